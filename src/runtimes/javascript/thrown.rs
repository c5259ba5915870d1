//! Reads what QuickJS tells of an error.

use crate::runtimes::sandbox::{error::Thrown, interpreter::RawThrown};

/// What is before line and column in a frame of the source: guest.c names every source `code.js`.
const FILE_MARK: &str = "code.js:";

/// Takes the place and the calls from the stack.
pub(super) fn read(raw: RawThrown) -> Thrown {
    let place = frames(&raw.stack).next().map(|(_, line, column)| (line, column));
    let calls: Vec<&str> = frames(&raw.stack).map(|(frame, ..)| frame).collect();
    let stack = if calls.is_empty() { None } else { Some(calls.join("\n")) };
    Thrown {
        line: place.map(|at| at.0),
        column: place.map(|at| at.1),
        stack,
        name: raw.name,
        message: raw.message,
        is_denied: false,
    }
}

/// The stack's frames in the source: not those of the header, of `prelude.js`, or of built-in functions.
fn frames(stack: &str) -> impl Iterator<Item = (&str, u32, u32)> {
    stack.lines().filter_map(|frame| {
        let (_, place) = frame.split_once(FILE_MARK)?;
        let mut numbers = place.trim_end_matches(')').split(':').map(str::parse);
        match (numbers.next()?, numbers.next()?) {
            (Ok(line), Ok(column)) => Some((frame.trim(), line, column)),
            _ => None, // A line that does not count.
        }
    })
}
