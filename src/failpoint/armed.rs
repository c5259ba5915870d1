//! What happens at which fail point, and when. Global by nature: a fail point has nobody to be handed its settings by.

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The longest delay, in milliseconds.
const SLEEP_MS_MAX: u64 = 600_000;

static POINTS: OnceLock<BTreeMap<String, Point>> = OnceLock::new();

/// Why fail points cannot be armed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailpointError {
    /// A part of the text has the wrong form.
    #[error(
        "`{0}` is no fail point: write NAME=ACTION, NAME=ACTION@HIT or NAME=ACTION@HIT+, where ACTION is abort, panic or sleep(MS)"
    )]
    Malformed(String),
    /// They are armed already.
    #[error("fail points are armed once per process")]
    Repeated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Ends the process as a crash would: nothing is flushed, nothing is dropped.
    Abort,
    /// Panics, which ends the actor that came by.
    Panic,
    /// Blocks the thread that came by.
    Sleep(Duration),
}

#[derive(Debug)]
struct Point {
    action: Action,
    /// The hit that the action happens at, from 1.
    at: u64,
    /// Whether it happens at every later hit too.
    onwards: bool,
    hits: AtomicU64,
}

/// Arms fail points. **Shape**: `lane.before_commit=abort@17,node.run=panic,lane.after_commit=sleep(200)@3`; without `@` the
/// action happens at the first hit; `@3+` means the third and every later one.
///
/// Errors: see [`FailpointError`].
pub fn configure(text: &str) -> Result<(), FailpointError> {
    POINTS.set(parse(text)?).map_err(|_| FailpointError::Repeated)
}

/// Does what is planned for this hit. Called by [`failpoint!`](crate::failpoint) only.
pub fn hit(name: &str) {
    let Some(point) = POINTS.get().and_then(|points| points.get(name)) else { return };
    let hit = point.hits.fetch_add(1, Relaxed) + 1;
    if hit != point.at && !(point.onwards && hit > point.at) {
        return;
    }
    match point.action {
        Action::Abort => std::process::abort(),
        Action::Panic => panic!("fail point {name}"),
        Action::Sleep(delay) => std::thread::sleep(delay),
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, Point>, FailpointError> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| parse_point(part).ok_or_else(|| FailpointError::Malformed(part.to_owned())))
        .collect()
}

fn parse_point(part: &str) -> Option<(String, Point)> {
    let (name, rest) = part.split_once('=')?;
    let (action, at) = rest.split_once('@').unwrap_or((rest, "1"));
    let (at, onwards) = at.strip_suffix('+').map_or((at, false), |at| (at, true));
    let at = at.parse().ok().filter(|at| *at > 0)?;
    let point = Point { action: parse_action(action)?, at, onwards, hits: AtomicU64::new(0) };
    (!name.is_empty()).then(|| (name.to_owned(), point))
}

fn parse_action(text: &str) -> Option<Action> {
    match text {
        "abort" => Some(Action::Abort),
        "panic" => Some(Action::Panic),
        _ => {
            let delay_ms = text.strip_prefix("sleep(")?.strip_suffix(')')?.parse().ok()?;
            (delay_ms <= SLEEP_MS_MAX).then(|| Action::Sleep(Duration::from_millis(delay_ms)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::catch_unwind, process::Command, time::Instant};

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, Action, u64)], &str>) {
        let parsed = parse(text);
        let seen = parsed
            .as_ref()
            .map(|points| points.iter().map(|(name, point)| (name.as_str(), point.action, point.at)).collect::<Vec<_>>());
        let expected = expected.map(<[_]>::to_vec).map_err(|part| FailpointError::Malformed(part.to_owned()));
        assert_eq!(seen, expected.as_ref().cloned(), "{text}");
    }

    #[test]
    fn reads_names_actions_and_hits() {
        check("", Ok(&[]));
        check("a.b=abort@17, c=panic,", Ok(&[("a.b", Action::Abort, 17), ("c", Action::Panic, 1)]));
        check("a=sleep(250)@2", Ok(&[("a", Action::Sleep(Duration::from_millis(250)), 2)]));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for part in ["a", "=abort", "a=explode", "a=abort@0", "a=abort@x", "a=sleep(", "a=sleep(600001)"] {
            check(&format!("fine=abort,{part}"), Err(part));
        }
    }

    /// Arms this process, so it runs in one of its own: see `a_process_does_what_it_is_armed_for`.
    #[test]
    #[ignore = "aborts"]
    fn armed_process() {
        configure("early=panic@2,often=panic@2+,slow=sleep(30),late=abort").unwrap();
        assert_eq!(configure("early=panic"), Err(FailpointError::Repeated));
        let early = || catch_unwind(|| crate::failpoint!("early"));
        assert_eq!([early().is_err(), early().is_err(), early().is_err()], [false, true, false]);
        let often = || catch_unwind(|| crate::failpoint!("often"));
        assert_eq!([often().is_err(), often().is_err(), often().is_err()], [false, true, true]);
        crate::failpoint!("unknown");
        let before = Instant::now();
        crate::failpoint!("slow");
        assert!(before.elapsed() >= Duration::from_millis(30));
        println!("alive until here");
        crate::failpoint!("late");
    }

    #[test]
    fn a_process_does_what_it_is_armed_for() {
        use std::os::unix::process::ExitStatusExt;
        let arguments = ["--ignored", "--exact", "--nocapture", "failpoint::armed::tests::armed_process"];
        let ended = Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
        assert!(String::from_utf8_lossy(&ended.stdout).contains("alive until here"), "{ended:?}");
        assert_eq!(ended.status.signal(), Some(6), "ends by SIGABRT");
    }
}
