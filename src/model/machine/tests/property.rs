//! Properties of random flows under random events. [`Play`] checks after every event that a replay gives the same machine with
//! the same work open, that not too much is in flight, that what is aborted was open, and that nothing is open at the end.

use std::sync::Arc;

use proptest::{prelude::*, sample::Index};
use serde_json::json;

use super::play::{Play, attempt_of, created, finished, numbered};
use crate::model::{
    after_crash,
    error::{NodeError, codes},
    event::{Attempt, Event, Wait},
    execution::ExecutionStatus,
    item::PortItems,
    machine::{Effect, Machine, SNAPSHOT_VERSION},
    testing::Flow,
};

/// Flows with their schedules that each property is tried on.
const CASES: u32 = 64;
/// Events after which every flow has to come to an end, once nothing puts out items any more.
const DRAIN_EVENTS_MAX: u32 = 2_000;

/// A node: its type, from which node and port its edges come, and its options.
type Drawn = (&'static str, [(Index, Index); 2], &'static str);
/// Another edge: from a node and port, to a node, or to a loop.
type Extra = (Index, Index, Index, bool);

pub(in crate::model) fn any_flow() -> impl Strategy<Value = String> {
    let types = vec!["step", "step", "effect", "wait", "if", "if", "merge", "merge", "loop(1,6)", "loop(2,6)"];
    let options = prop_oneof![
        5 => Just(""),
        1 => prop::sample::select(vec!["disabled", "execute_once", "always_output", "on_error=continue", "on_error=branch"]),
        1 => Just(r#"retry={"max_attempts":3}"#),
        1 => Just(r#"on_error=branch retry={"max_attempts":2}"#),
    ];
    let nodes = prop::collection::vec((prop::sample::select(types), any::<[(Index, Index); 2]>(), options), 1..9);
    (nodes, prop::collection::vec(any::<Extra>(), 0..6)).prop_map(|(nodes, extras)| draw(&nodes, &extras))
}

/// Flows of loops and ways between them, with many edges more: bodies that lie in each other.
fn any_tangle() -> impl Strategy<Value = String> {
    let types = prop::sample::select(vec!["loop(1,6)", "loop(2,6)", "loop(1,6)", "if"]);
    let nodes = prop::collection::vec((types, any::<[(Index, Index); 2]>(), Just("")), 2..5);
    (nodes, prop::collection::vec(any::<Extra>(), 2..10)).prop_map(|(nodes, extras)| draw(&nodes, &extras))
}

/// Writes a flow: a tree under a trigger, in which merges have two parents, with those of the other edges that keep it valid.
fn draw(nodes: &[Drawn], extras: &[Extra]) -> String {
    let mut text = "n0: trigger".to_owned();
    for (position, (node_type, _, options)) in (1..).zip(nodes) {
        text += &format!("; n{position}: {node_type} {options}");
    }
    let source = |node: usize, port: &Index| match node.checked_sub(1).map(|place| nodes[place]) {
        Some((node_type, _, options)) => format!("n{node}:{}", port.get(&ports_of(node_type, options))),
        None => "n0".to_owned(),
    };
    for (position, (node_type, parents, _)) in (1..).zip(nodes) {
        let inputs = if *node_type == "merge" { 2 } else { 1 };
        for (input, (parent, port)) in parents.iter().take(inputs).enumerate() {
            let target = if inputs > 1 { format!("n{position}.{input}") } else { format!("n{position}") };
            text += &format!("; {} -> {target}", source(parent.index(position), port));
        }
    }
    let loops: Vec<usize> =
        (1..).zip(nodes).filter(|(_, node)| node.0.starts_with("loop")).map(|(position, _)| position).collect();
    for (from, port, to, to_loop) in extras {
        let to = if *to_loop && !loops.is_empty() { *to.get(&loops) } else { to.index(nodes.len() + 1) };
        let more = format!("{text}; {} -> n{to}", source(from.index(nodes.len() + 1), port));
        if Flow::read(&more).is_ok() {
            text = more;
        }
    }
    text
}

fn ports_of(node_type: &str, options: &str) -> Vec<&'static str> {
    let mut ports = match node_type {
        "if" => vec!["true", "false"],
        "loop(1,6)" | "loop(2,6)" => vec!["loop", "done"],
        _ => vec!["main"],
    };
    if options.contains("branch") {
        ports.push("error");
    }
    ports
}

/// What may happen next; the numbers pick one of what is possible.
#[derive(Debug, Clone)]
pub(in crate::model) enum Step {
    Succeed(Index, [usize; 2]),
    Fail {
        run: Index,
        retryable: bool,
        chance: u64,
    },
    Wait {
        run: Index,
        until: Option<u64>,
        signals: usize,
    },
    Begin(Index),
    Cut(Index),
    Decide(Index, bool),
    Progress(Index),
    Signal(Index),
    Advance(u64),
    Cancel,
    /// An event of an attempt that is not the current one.
    Stale(Index, u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let run = any::<Index>;
    prop_oneof![
        24 => (run(), any::<[Index; 2]>()).prop_map(|(run, counts)| Step::Succeed(run, counts.map(|count| count.index(4)))),
        4 => (run(), any::<bool>(), any::<u64>()).prop_map(|(run, retryable, chance)| Step::Fail { run, retryable, chance }),
        4 => (run(), prop::option::of(0..5_000_u64), 0..3_usize).prop_map(|(run, until, signals)| Step::Wait { run, until, signals }),
        1 => run().prop_map(Step::Begin),
        1 => run().prop_map(Step::Cut),
        2 => (run(), any::<bool>()).prop_map(|(run, retry)| Step::Decide(run, retry)),
        1 => run().prop_map(Step::Progress),
        3 => run().prop_map(Step::Signal),
        3 => (0..5_000_u64).prop_map(Step::Advance),
        1 => Just(Step::Cancel),
        3 => (run(), 0..4_u32).prop_map(|(run, attempt)| Step::Stale(run, attempt)),
    ]
}

pub(in crate::model) fn any_schedule() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (1..5_usize, prop::collection::vec(any_step(), 0..40))
}

/// Does one step, if it is possible.
pub(in crate::model) fn take_step(play: &mut Play, step: &Step) -> Vec<Effect> {
    let pick = |run: &Index| {
        let open: Vec<Attempt> = play.open.values().map(|effect| attempt_of(effect).clone()).collect();
        (!open.is_empty()).then(|| run.get(&open).clone())
    };
    let started_at = play.now_ms;
    let event = match step {
        Step::Succeed(run, counts) => pick(run).map(|attempt| succeeded(play, attempt, counts)),
        Step::Fail { run, retryable, chance } => pick(run).map(|attempt| {
            let error = NodeError { retryable: *retryable, ..NodeError::permanent("boom", "it went wrong") };
            Event::NodeFailed { attempt, started_at, error, chance: *chance, log: None }
        }),
        Step::Wait { run, until, signals } => pick(run).map(|attempt| {
            let signals = ["x", "y"][..*signals].iter().map(|name| (*name).to_owned()).collect();
            let wait = Wait { until: until.map(|ms| started_at + ms), signals, state: json!("kept") };
            Event::WaitStarted { attempt, started_at, wait }
        }),
        Step::Begin(run) => pick(run).map(|attempt| Event::NodeStarted { attempt }),
        Step::Cut(run) => pick(run).map(|attempt| Event::AttemptInterrupted { attempt }),
        Step::Decide(run, retry) => {
            let asked = play.events.iter().filter_map(|recorded| match &recorded.event {
                Event::AttemptInterrupted { attempt } => Some(after_crash::signal(&attempt.node, attempt.run)),
                _ => None,
            });
            let asked: Vec<String> = asked.collect();
            let payload = json!({ "decision": if *retry { "retry" } else { "fail" } });
            (!asked.is_empty()).then(|| Event::SignalReceived { name: run.get(&asked).clone(), payload })
        }
        Step::Progress(run) => pick(run).map(|attempt| Event::NodeProgressed { attempt, done: vec![(0, numbered(1).remove(0))] }),
        Step::Signal(name) => {
            Some(Event::SignalReceived { name: name.get(&["x", "y", "z"]).to_string(), payload: json!(started_at) })
        }
        Step::Advance(ms) => return play.advance(*ms),
        Step::Cancel => Some(Event::CancelRequested { reason: None }),
        Step::Stale(run, number) => {
            for attempt in pick(run).into_iter().filter(|attempt| attempt.attempt != *number) {
                ignores_everything_of(play, &Attempt { attempt: *number, ..attempt });
            }
            None
        }
    };
    event.map(|event| play.apply(event)).unwrap_or_default()
}

/// A success with a number of items on each of the first two ports.
fn succeeded(play: &Play, attempt: Attempt, counts: &[usize; 2]) -> Event {
    let ports = &play.graph.node(&attempt.node).unwrap().shape.ports;
    let outputs = ports.iter().zip(counts).map(|(port, count)| PortItems::new(port.clone(), numbered(*count))).collect();
    Event::NodeSucceeded { attempt, started_at: play.now_ms, outputs, response: None, log: None }
}

/// Lets every run succeed without items, and time pass, until the execution ends.
pub(super) fn drain(play: &mut Play) {
    for _ in 0..DRAIN_EVENTS_MAX {
        if play.finish.is_some() {
            return;
        }
        match play.open.values().next().map(|effect| attempt_of(effect).clone()) {
            Some(attempt) => play.apply(succeeded(play, attempt, &[0, 0])),
            None => play.advance(play.machine.next_wake().unwrap().saturating_sub(play.now_ms)),
        };
    }
    panic!("no end after {DRAIN_EVENTS_MAX} events");
}

/// Expects that no event of this attempt does anything.
fn ignores_everything_of(play: &mut Play, attempt: &Attempt) {
    let (attempt, started_at) = (|| attempt.clone(), play.now_ms);
    let error = NodeError::transient("late", "it comes too late");
    for event in [
        Event::NodeStarted { attempt: attempt() },
        Event::NodeProgressed { attempt: attempt(), done: vec![(0, numbered(1).remove(0))] },
        Event::NodeSucceeded { attempt: attempt(), started_at, outputs: PortItems::main(numbered(2)), response: None, log: None },
        Event::NodeFailed { attempt: attempt(), started_at, error, chance: 7, log: None },
        Event::WaitStarted { attempt: attempt(), started_at, wait: Wait::default() },
        Event::AttemptInterrupted { attempt: attempt() },
        Event::RetryDue { attempt: attempt() },
        Event::WaitElapsed { attempt: attempt() },
    ] {
        play.ignores(&event);
    }
}

/// Expects that nothing does anything any more but the record of the end.
fn is_over(play: &mut Play) {
    for node in play.graph.nodes.iter().map(|node| node.id.clone()).collect::<Vec<_>>() {
        for run in 0..2 {
            ignores_everything_of(play, &Attempt { node: node.clone(), run, attempt: 1 });
        }
    }
    for event in [
        created("n0", 2),
        Event::SignalReceived { name: "x".to_owned(), payload: json!(1) },
        Event::CancelRequested { reason: None },
        Event::TimedOut,
    ] {
        play.ignores(&event);
    }
    assert_eq!((play.machine.due(u64::MAX), play.machine.next_wake()), (vec![], None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn every_execution_ends_once_and_for_all(flow in any_flow(), (items, steps) in any_schedule()) {
        let mut play = Play::new(&Flow::new(&flow).graph);
        play.apply(created("n0", items));
        for step in &steps {
            take_step(&mut play, step);
        }
        drain(&mut play);
        let Some(Effect::Finish { status, .. }) = play.finish.clone() else { panic!("an end") };
        is_over(&mut play);
        play.apply(finished(status));
        is_over(&mut play);
        play.ignores(&finished(ExecutionStatus::Queued));
        prop_assert_eq!(play.machine.ended(), Some(status));
        prop_assert_eq!(play.machine.outstanding(), []);
    }

    #[test]
    fn loops_in_each_other_do_not_begin_the_same_items_for_ever(flow in any_tangle(), items in 1..4_usize) {
        let mut play = Play::new(&Flow::new(&flow).graph);
        play.apply(created("n0", items));
        drain(&mut play);
        let Some(Effect::Finish { error, .. }) = play.finish else { panic!("an end") };
        // The loops' own bounds make it short.
        prop_assert_ne!(error.map(|error| error.code), Some(codes::STEP_LIMIT.to_owned()));
    }

    #[test]
    fn a_snapshot_and_what_follows_are_the_whole(
        flow in any_flow(), (items, steps) in any_schedule(), cut in any::<Index>(), again in any::<Index>(),
    ) {
        let mut play = Play::new(&Flow::new(&flow).graph);
        play.apply(created("n0", items));
        for step in &steps {
            take_step(&mut play, step);
        }
        drain(&mut play);
        let Some(Effect::Finish { status, .. }) = play.finish.clone() else { panic!("an end") };
        play.apply(finished(status));

        // Two, as a second recovery begins with a snapshot of what came from the first one.
        let cuts = [cut, again].map(|cut| cut.index(play.events.len() + 1));
        let (mut whole, mut resumed) = (Machine::new(Arc::clone(&play.graph)), Machine::new(Arc::clone(&play.graph)));
        for (place, recorded) in play.events.iter().enumerate() {
            if cuts.contains(&place) {
                resumed = Machine::restore(Arc::clone(&play.graph), SNAPSHOT_VERSION, &resumed.snapshot()).unwrap();
                prop_assert_eq!(resumed.outstanding(), whole.outstanding());
            }
            let (got, expected) = (resumed.apply(&recorded.event, recorded.at), whole.apply(&recorded.event, recorded.at));
            prop_assert_eq!(got, expected);
            prop_assert_eq!(resumed.next_wake(), whole.next_wake());
        }
        prop_assert_eq!(resumed.outstanding(), whole.outstanding());
        prop_assert_eq!(resumed.outputs(), whole.outputs());
        prop_assert_eq!(resumed.result(), whole.result());
        prop_assert_eq!((resumed.ended(), resumed.failure()), (whole.ended(), whole.failure()));
        prop_assert_eq!(resumed.abandoned_children(), whole.abandoned_children());
    }

    #[test]
    fn a_cancel_ends_an_execution_at_any_time(flow in any_flow(), (items, steps) in any_schedule()) {
        let mut play = Play::new(&Flow::new(&flow).graph);
        play.apply(created("n0", items));
        for step in &steps {
            take_step(&mut play, step);
        }
        let was_over = play.finish.is_some();
        play.apply(Event::CancelRequested { reason: None });
        let cancelled = matches!(play.finish, Some(Effect::Finish { status: ExecutionStatus::Cancelled, .. }));
        prop_assert!(cancelled || was_over);
        is_over(&mut play);
    }

    #[test]
    fn a_branch_that_waits_delays_no_other(flow in any_flow(), (items, steps) in any_schedule()) {
        let mut alone = Play::new(&Flow::new(&flow).graph);
        let mut beside = Play::new(&Flow::new(&format!("{flow}; idle: wait; n0 -> idle")).graph);
        let idle = Attempt { node: "idle".into(), run: 0, attempt: 1 };
        let wait = Wait { signals: vec!["never".to_owned()], ..Wait::default() };
        let mut got = beside.apply(created("n0", items));
        got.retain(|effect| *effect != Effect::Run(idle.clone()));
        got.extend(beside.apply(Event::WaitStarted { attempt: idle, started_at: 0, wait }));
        let mut expected = alone.apply(created("n0", items));
        for step in &steps {
            expected.retain(|effect| !matches!(effect, Effect::Finish { status: ExecutionStatus::Succeeded, .. }));
            prop_assert_eq!(&got, &expected);
            if alone.finish.is_some() {
                break;
            }
            (got, expected) = (take_step(&mut beside, step), take_step(&mut alone, step));
        }
    }
}
