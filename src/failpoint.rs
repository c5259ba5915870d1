//! tmp
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {};
}
