//! CPU time of the calling thread, as far as the operating system tells.

use std::time::Duration;

/// CPU time that this thread has used; `None` where the system does not say.
///
/// Source: Linux `Documentation/scheduler/sched-stats.rst`: the first field is the time spent on the CPU, in nanoseconds.
pub(super) fn thread_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = stat.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn grows_while_the_thread_works() {
        let before = thread_time().unwrap();
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(30) {
            std::hint::black_box(1 + 1);
        }
        assert!(thread_time().unwrap() > before);
    }
}
