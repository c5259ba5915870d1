//! A schedule with a tick every ten minutes, from minute 0 on, and what becomes of its ticks. Times are minutes.

use super::*;

const MINUTE_MS: u64 = 60_000;

/// A tick every so many milliseconds, until an end.
struct Every {
    ms: u64,
    until: u64,
}

impl Ticks for Every {
    fn next_after(&self, at_ms: u64) -> Option<u64> {
        Some((at_ms / self.ms + 1) * self.ms).filter(|next| *next <= self.until)
    }
}

const TEN_MINUTES: Every = Every { ms: 10 * MINUTE_MS, until: u64::MAX };

fn rules(catch_up: CatchUp, overlap: Overlap) -> Rules<'static> {
    let schedule = ScheduleId::from_uuid(Uuid::from_u128(7));
    Rules { schedule, ticks: &TEN_MINUTES, catch_up, overlap, jitter_ms: 0 }
}

fn tick(minute: u64) -> Tick {
    Tick { scheduled_at: minute * MINUTE_MS, due_at: minute * MINUTE_MS, waits: false }
}

fn waiting(minute: u64) -> Tick {
    Tick { waits: true, ..tick(minute) }
}

fn fire(next: u64) -> Step {
    Step::Fire { next: Some(tick(next)) }
}

fn pass(next: u64, passed: u32) -> Step {
    Step::Pass { next: Some(tick(next)), passed }
}

#[track_caller]
fn check(rules: Rules<'_>, next: Tick, now_minute: u64, is_busy: bool, expected: Step) {
    assert_eq!(rules.decide(next, now_minute * MINUTE_MS, is_busy), expected);
}

#[test]
fn fires_a_tick_once_it_is_due() {
    for catch_up in [CatchUp::None, CatchUp::Last, CatchUp::All { max: 3 }] {
        let rules = rules(catch_up, Overlap::Allow);
        check(rules, tick(10), 9, false, Step::Sleep);
        check(rules, tick(10), 10, false, fire(20));
        check(rules, tick(10), 11, true, fire(20));
    }
}

#[test]
fn a_missed_tick_is_made_up_for_as_the_schedule_says() {
    // Down from minute 10 to 45: 10, 20, 30 and 40 are missed.
    check(rules(CatchUp::None, Overlap::Allow), tick(10), 45, false, pass(50, 4));
    check(rules(CatchUp::Last, Overlap::Allow), tick(10), 45, false, pass(40, 3));
    check(rules(CatchUp::Last, Overlap::Allow), tick(40), 45, false, fire(50));
    check(rules(CatchUp::All { max: 9 }, Overlap::Allow), tick(10), 45, false, fire(20));
    check(rules(CatchUp::All { max: 4 }, Overlap::Allow), tick(10), 45, false, fire(20));
    check(rules(CatchUp::All { max: 3 }, Overlap::Allow), tick(10), 45, false, pass(20, 1));
    check(rules(CatchUp::All { max: 1 }, Overlap::Allow), tick(10), 45, false, pass(40, 3));
}

#[test]
fn a_tick_in_time_needs_no_catch_up() {
    // Down until just after 40: that one is in time.
    check(rules(CatchUp::None, Overlap::Allow), tick(10), 40, false, pass(40, 3));
    check(rules(CatchUp::Last, Overlap::Allow), tick(10), 40, false, pass(40, 3));
    check(rules(CatchUp::None, Overlap::Allow), tick(40), 41, false, fire(50));
    check(rules(CatchUp::None, Overlap::Allow), tick(40), 42, false, pass(50, 1));
}

#[test]
fn the_last_tick_of_all_is_made_up_for_too() {
    let ticks = Every { until: 20 * MINUTE_MS, ..TEN_MINUTES };
    let ended = |catch_up| Rules { ticks: &ticks, ..rules(catch_up, Overlap::Allow) };
    check(ended(CatchUp::None), tick(10), 45, false, Step::Pass { next: None, passed: 2 });
    check(ended(CatchUp::Last), tick(10), 45, false, pass(20, 1));
    check(ended(CatchUp::Last), tick(20), 45, false, Step::Fire { next: None });
}

#[test]
fn an_execution_that_goes_on_is_in_the_way_of_some() {
    check(rules(CatchUp::Last, Overlap::Allow), tick(10), 10, true, fire(20));
    check(rules(CatchUp::Last, Overlap::CancelOld), tick(10), 10, true, fire(20));
    check(rules(CatchUp::Last, Overlap::Skip), tick(10), 10, true, pass(20, 1));
    check(rules(CatchUp::Last, Overlap::Skip), tick(10), 10, false, fire(20));
    let held = Tick { due_at: 10 * MINUTE_MS + HOLD_MS, ..waiting(10) };
    check(rules(CatchUp::Last, Overlap::Queue), tick(10), 10, true, Step::Hold { tick: held });
    check(rules(CatchUp::Last, Overlap::Queue), tick(10), 10, false, fire(20));
}

#[test]
fn ticks_that_wait_are_not_missed() {
    let queue = rules(CatchUp::None, Overlap::Queue);
    // The execution of minute 0 took until 35: 10, 20 and 30 have waited for it, 40 has not.
    check(queue, waiting(10), 35, false, Step::Fire { next: Some(waiting(20)) });
    check(queue, waiting(30), 35, false, fire(40));
}

#[test]
fn queue_length_obeyed_and_violated() {
    let queue = rules(CatchUp::None, Overlap::Queue);
    let all = u64::from(QUEUED_TICKS_MAX) * 10;
    let held = Tick { due_at: all * MINUTE_MS + HOLD_MS, ..waiting(10) };
    check(queue, waiting(10), all, true, Step::Hold { tick: held });
    check(queue, waiting(10), all + 10, true, Step::Pass { next: Some(waiting(20)), passed: 1 });
    check(queue, waiting(10), all + 500, true, Step::Pass { next: Some(waiting(510)), passed: 50 });
}

#[test]
fn a_long_time_down_costs_few_steps_of_the_search() {
    // A tick a second for ten years: three hundred million.
    let ticks = Every { ms: 1_000, until: u64::MAX };
    let rules = Rules { ticks: &ticks, ..rules(CatchUp::All { max: 1_000 }, Overlap::Allow) };
    let now_ms = 10 * 365 * 24 * 3_600_000;
    let first = Tick { scheduled_at: 1_000, due_at: 1_000, waits: false };
    let Step::Pass { next: Some(next), passed } = rules.decide(first, now_ms, false) else { panic!("ticks are passed over") };
    assert_eq!((next.scheduled_at, passed), (now_ms - SCHEDULE_GRACE_MS - 1_000_000, PASSED_COUNTED_MAX));
}

#[test]
fn the_newest_past_tick_is_found_whatever_the_pattern() {
    /// Ticks at given seconds only.
    struct At(Vec<u64>);
    impl Ticks for At {
        fn next_after(&self, at_ms: u64) -> Option<u64> {
            self.0.iter().copied().find(|tick| *tick > at_ms)
        }
    }
    let ticks = At(vec![3, 4, 5, 1_000, 2_500, 2_501, 90_000, 1_000_000_000]);
    let rules = Rules { ticks: &ticks, ..rules(CatchUp::None, Overlap::Allow) };
    for pair in ticks.0.windows(2) {
        for before in [pair[0] + 1, pair[1]] {
            assert_eq!(rules.previous(before, 3), pair[0], "before {before}");
        }
    }
}

#[test]
fn chance_delays_each_tick_by_a_time_of_its_own_and_keeps_their_order() {
    let jittered = |jitter_ms| Rules { jitter_ms, ..rules(CatchUp::None, Overlap::Allow) };
    let delays = |rules: Rules<'_>| -> Vec<u64> {
        (0..200).map(|n| rules.first_after(n * TEN_MINUTES.ms).unwrap()).map(|tick| tick.due_at - tick.scheduled_at).collect()
    };
    let minute = delays(jittered(MINUTE_MS));
    assert!(minute.iter().all(|delay| *delay < MINUTE_MS));
    assert!(minute.iter().any(|delay| *delay < MINUTE_MS / 4) && minute.iter().any(|delay| *delay > 3 * MINUTE_MS / 4));
    assert_eq!(minute, delays(jittered(MINUTE_MS)), "always the same");
    let other = Rules { schedule: ScheduleId::from_uuid(Uuid::from_u128(8)), ..jittered(MINUTE_MS) };
    assert_ne!(minute, delays(other), "another schedule has others");
    assert!(delays(jittered(100 * TEN_MINUTES.ms)).iter().all(|delay| *delay < TEN_MINUTES.ms));
    assert!(delays(jittered(0)).iter().all(|delay| *delay == 0));
}

#[test]
fn a_delayed_tick_is_in_time_as_long_as_its_delay_may_be() {
    let rules = Rules { jitter_ms: 5 * MINUTE_MS, ..rules(CatchUp::None, Overlap::Allow) };
    let next = rules.first_after(9 * MINUTE_MS).unwrap();
    assert_eq!(rules.decide(next, next.due_at - 1, false), Step::Sleep);
    assert!(matches!(rules.decide(next, 16 * MINUTE_MS, false), Step::Fire { .. }));
    assert!(matches!(rules.decide(next, 16 * MINUTE_MS + 1, false), Step::Pass { passed: 1, .. }));
}

#[test]
fn a_tick_names_its_execution() {
    let (one, other) = (ScheduleId::from_uuid(Uuid::from_u128(1)), ScheduleId::from_uuid(Uuid::from_u128(2)));
    assert_eq!(execution_of(one, 1_000), execution_of(one, 1_000));
    assert_ne!(execution_of(one, 1_000), execution_of(one, 2_000));
    assert_ne!(execution_of(one, 1_000), execution_of(other, 1_000));
}
