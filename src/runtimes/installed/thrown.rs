//! What the guests of installed languages tell of an error.

use serde::Deserialize;

use crate::runtimes::sandbox::{
    error::{GuestError, Thrown},
    state::{HostState, Limits},
};

/// What a guest calls things.
pub(in crate::runtimes) struct Names {
    /// Every source.
    pub(in crate::runtimes) file: &'static str,
    /// What is thrown when there is no memory left.
    pub(in crate::runtimes) memory_error: &'static str,
}

/// An error as guests write it in JSON. A frame of the stack is `at NAME (FILE:LINE)` or `at NAME (FILE:LINE:COLUMN)`, or only the
/// place; innermost first, only those in the source.
#[derive(Debug, Deserialize)]
struct RawThrown {
    name: String,
    message: String,
    stack: String,
}

/// What an error means that a guest has told.
pub(in crate::runtimes) fn error_of<T>(json: &str, names: &Names, state: &HostState<T>, limits: &Limits) -> GuestError {
    match serde_json::from_str::<RawThrown>(json) {
        Ok(thrown) if thrown.name == names.memory_error && state.memory.is_refused => {
            GuestError::Memory { bytes_max: limits.memory_bytes }
        }
        Ok(thrown) => state.thrown(thrown.into_thrown(names.file)),
        Err(error) => GuestError::OutputMalformed(error),
    }
}

impl RawThrown {
    fn into_thrown(self, file: &str) -> Thrown {
        let (line, column) = self.place(file);
        let stack = Some(self.stack).filter(|stack| !stack.is_empty());
        Thrown { line, column, stack, name: self.name, message: self.message, is_denied: false }
    }

    fn place(&self, file: &str) -> (Option<u32>, Option<u32>) {
        let Some((_, place)) = self.stack.lines().next().and_then(|frame| frame.rsplit_once(file)) else { return (None, None) };
        let mut numbers = place.trim_start_matches(':').trim_end_matches(')').split(':').map(|number| number.parse().ok());
        (numbers.next().flatten(), numbers.next().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stack: &str, expected: (Option<u32>, Option<u32>)) {
        let raw = RawThrown { name: String::new(), message: String::new(), stack: stack.to_owned() };
        assert_eq!(raw.place("code.py"), expected);
    }

    #[test]
    fn the_first_frame_says_where() {
        check("at f (code.py:3:8)\nat g (code.py:1:2)", (Some(3), Some(8)));
        check("at f (code.py:3)", (Some(3), None));
        check("at code.py:1:5", (Some(1), Some(5)));
        check("", (None, None));
        check("at nowhere", (None, None));
    }
}
