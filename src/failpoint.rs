//! Places where a test can kill, break or slow the process: `failpoint!("lane.before_commit")`. They are compiled to nothing
//! unless the cargo feature `failpoints` is on, which no release has. Armed once per process, from `CITADEL__FAILPOINTS`.

#[cfg(feature = "failpoints")]
mod armed;

#[cfg(feature = "failpoints")]
pub use self::armed::{FailpointError, configure, hit};

/// Marks a place by a name such as `lane.before_commit`.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::hit($name)
    };
}

/// Marks a place by a name such as `lane.before_commit`; nothing happens there in this build.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        ()
    };
}
