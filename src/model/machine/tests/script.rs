//! A script: lines of `event => effects`, parted by semicolons or new lines. Effects are parted by commas; a line may end before
//! the arrow where there are none.
//!
//! ```text
//! start 2 [@node]               created, with the items {"n":0} {"n":1}; at the node `hook` if no other is named
//! begun a                       the start record of an attempt; `a` is a#0/1: run 0, attempt 1
//! cut a                         a crash cut the attempt off, and somebody is asked about it
//! done a 0 2                    progress: the input items 0 and 2 are done
//! ok a [2] [port=2]             success; puts out that many items, or its inputs on its first port
//! fail a [after=5] [chance=7]   a failure that may pass; `fail! a` one that stays
//! wait a [until=5] [for=x,y]    the attempt waits until 5 ms from now, for signals, or for both
//! signal x [json]
//! retry a/2, elapsed a          the delay or the wait is over
//! +5                            5 ms later, with all that is due then
//! cancel, timeout, finished succeeded
//! ```
//!
//! Effects: `run a`, `resume a`, `resume a late`, `abort a`, `finish failed code@node`. Brackets show more: `run m[0 1|2]` the
//! numbers of the items at each input (`!1` is item 1 at a port `error`, `-` one without number), `resume a[x=1]` the signals.

use serde_json::{Value, json};

use super::{
    super::Effect,
    play::{self, Play},
};
use crate::model::{
    after_crash,
    error::NodeError,
    event::{Attempt, Event, Wait},
    execution::ExecutionStatus,
    item::{Item, MAIN, PortItems},
};

/// Plays a script, and compares the effects of each line.
#[track_caller]
pub(in crate::model) fn run(play: &mut Play, script: &str) {
    for line in script.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
        let (event, expected) = line.split_once("=>").unwrap_or((line, ""));
        let effects = match event.trim().strip_prefix('+') {
            Some(ms) => play.advance(ms.parse().unwrap()),
            None => play.apply(event_of(play, event)),
        };
        let expected: Vec<&str> = expected.split(',').map(str::trim).filter(|effect| !effect.is_empty()).collect();
        let shown: Vec<(String, String)> = effects.iter().map(|effect| show(play, effect)).collect();
        let full: Vec<String> = shown.iter().map(|(short, detail)| format!("{short}{detail}")).collect();
        let matches = |((short, _), full): (&(String, String), &String), wanted: &&str| short == wanted || full == wanted;
        let agrees =
            shown.len() == expected.len() && shown.iter().zip(&full).zip(&expected).all(|(got, want)| matches(got, want));
        assert!(agrees, "{line}\n     got: {}", full.join(", "));
    }
}

/// Reads the left side of a line.
fn event_of(play: &Play, text: &str) -> Event {
    let words: Vec<&str> = text.split_whitespace().collect();
    let arguments = words.get(1..).unwrap_or_default();
    let attempt = || attempt_of(arguments[0]);
    let option = |name: &str| arguments.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &str| option(name).map(|text| text.parse::<u64>().unwrap());
    match words[0] {
        "start" => play::created(arguments.get(1).map_or("hook", |word| &word[1..]), arguments[0].parse().unwrap()),
        "begun" => Event::NodeStarted { attempt: attempt() },
        "cut" => Event::AttemptInterrupted { attempt: attempt() },
        "done" => {
            let indexes = arguments[1..].iter().map(|index| index.parse().unwrap());
            Event::NodeProgressed { attempt: attempt(), done: indexes.map(|index| (index, item(10 + index))).collect() }
        }
        "ok" => succeeded(play, attempt(), &arguments[1..]),
        "fail" | "fail!" => {
            let retry_after_ms = number("after");
            let error =
                NodeError { retryable: words[0] == "fail", retry_after_ms, ..NodeError::permanent("boom", "it went wrong") };
            let (started_at, chance) = (play.now_ms, number("chance").unwrap_or(0));
            Event::NodeFailed { attempt: attempt(), started_at, error, chance, log: None }
        }
        "wait" => {
            let signals = option("for").map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default();
            let until = number("until").map(|ms| play.now_ms + ms);
            Event::WaitStarted {
                attempt: attempt(),
                started_at: play.now_ms,
                wait: Wait { until, signals, state: json!("kept") },
            }
        }
        "signal" => {
            let payload = arguments.get(1).map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
            Event::SignalReceived { name: arguments[0].to_owned(), payload }
        }
        "retry" => Event::RetryDue { attempt: attempt() },
        "elapsed" => Event::WaitElapsed { attempt: attempt() },
        "cancel" => Event::CancelRequested { reason: None },
        "timeout" => Event::TimedOut,
        "finished" => play::finished(ExecutionStatus::ALL.into_iter().find(|status| status.as_str() == arguments[0]).unwrap()),
        other => panic!("no such event: {other}"),
    }
}

/// A success that puts out what the words say, or all that came in.
fn succeeded(play: &Play, attempt: Attempt, words: &[&str]) -> Event {
    let ports = play.graph.node(&attempt.node).map_or(&[][..], |node| &node.shape.ports);
    let first = ports.first().cloned().unwrap_or(MAIN);
    let output = |word: &&str| {
        let (port, count) = word.split_once('=').unwrap_or((&first, word));
        PortItems::new(port.to_owned().into(), play::numbered(count.parse().unwrap()))
    };
    let outputs = if words.is_empty() {
        let inputs = play.machine.current(&attempt).map_or(&[][..], |run| &run.inputs);
        vec![PortItems::new(first, inputs.iter().flat_map(|input| input.items.iter().cloned()).collect())]
    } else {
        words.iter().map(output).collect()
    };
    Event::NodeSucceeded { attempt, started_at: play.now_ms, outputs, response: None, log: None }
}

/// Reads `node#run/attempt`.
fn attempt_of(text: &str) -> Attempt {
    let (text, attempt) = text.split_once('/').unwrap_or((text, "1"));
    let (node, run) = text.split_once('#').unwrap_or((text, "0"));
    Attempt { node: node.into(), run: run.parse().unwrap(), attempt: attempt.parse().unwrap() }
}

/// One effect as a script writes it, and its details in brackets.
fn show(play: &Play, effect: &Effect) -> (String, String) {
    match effect {
        Effect::Run(attempt) => {
            let inputs = play.machine.current(attempt).map_or(&[][..], |run| &run.inputs);
            let inputs: Vec<String> = inputs.iter().map(|input| numbers(&input.items)).collect();
            (format!("run {}", name(attempt)), format!("[{}]", inputs.join("|")))
        }
        Effect::Resume { attempt, wait_state, signals, timed_out } => {
            assert!(*wait_state == json!("kept") || after_crash::is_state(wait_state));
            let late = if *timed_out { " late" } else { "" };
            let signals: Vec<String> = signals.iter().map(|(name, payload)| format!("{name}={payload}")).collect();
            (format!("resume {}{late}", name(attempt)), format!("[{}]", signals.join(" ")))
        }
        Effect::Abort(attempt) => (format!("abort {}", name(attempt)), String::new()),
        Effect::Finish { status, error } => {
            let cause = error.as_ref().filter(|_| *status == ExecutionStatus::Failed);
            let cause = cause.map(|error| match &error.node_id {
                Some(node) => format!(" {}@{node}", error.code),
                None => format!(" {}", error.code),
            });
            (format!("finish {}{}", status.as_str(), cause.unwrap_or_default()), String::new())
        }
    }
}

/// Items by their numbers.
pub(in crate::model) fn numbers(items: &[Item]) -> String {
    let shown: Vec<String> = items.iter().map(|item| number(&item.json)).collect();
    shown.join(" ")
}

fn number(json: &Value) -> String {
    match (json.get("n"), json.get("error")) {
        (Some(n), _) => n.to_string(),
        (None, Some(_)) => format!("!{}", number(&json["json"])),
        (None, None) => "-".to_owned(),
    }
}

fn item(n: u32) -> Item {
    Item::from_value(json!({ "n": n }))
}

fn name(attempt: &Attempt) -> String {
    let Attempt { node, run, attempt } = attempt;
    let run = if *run == 0 { String::new() } else { format!("#{run}") };
    let attempt = if *attempt == 1 { String::new() } else { format!("/{attempt}") };
    format!("{node}{run}{attempt}")
}
