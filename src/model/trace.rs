//! Trace context as requests carry it. Source: W3C Trace Context, the header `traceparent`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The header's name.
pub const TRACEPARENT: &str = "traceparent";
/// The only version that is written.
const VERSION: &str = "00";
/// Reserved: no header has it.
const VERSION_INVALID: &str = "ff";
/// The only flag that has a meaning: the caller records this trace.
const SAMPLED: u8 = 1;

/// Which trace something belongs to, and which span of it asked for it. **Shape**: `00-<trace>-<span>-<flags>` in lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

/// A text that is no trace context. It is ignored, as the specification asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no traceparent")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The same trace with another span; `chance` is uniform over `u64`.
    #[must_use]
    pub fn child(self, chance: u64) -> Self {
        // Zero is no span.
        Self { span: chance.max(1), flags: self.flags & SAMPLED, ..self }
    }

    /// The trace's id in hex, for logs.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// A later version may have more behind the flags; what is known of it means the same.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let parts: Vec<&str> = text.splitn(5, '-').collect();
        let (version, rest) = parts.split_first().ok_or(InvalidTraceParent)?;
        let ([trace, span, flags] | [trace, span, flags, _]) = rest else { return Err(InvalidTraceParent) };
        let is_whole = rest.len() == 3 || *version != VERSION;
        if !is_whole || *version == VERSION_INVALID || !is_hex(version, 2) {
            return Err(InvalidTraceParent);
        }
        if !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
            return Err(InvalidTraceParent);
        }
        let read = Self {
            trace: u128::from_str_radix(trace, 16).map_err(|_| InvalidTraceParent)?,
            span: u64::from_str_radix(span, 16).map_err(|_| InvalidTraceParent)?,
            flags: u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceParent)?,
        };
        if read.trace == 0 || read.span == 0 { Err(InvalidTraceParent) } else { Ok(read) }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidTraceParent;

    fn try_from(text: String) -> Result<Self, InvalidTraceParent> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.to_string()
    }
}

/// The specification allows lower case only.
fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(text.parse::<TraceParent>().ok().map(|read| read.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn reads_what_the_specification_allows() {
        let plain = format!("00-{TRACE}-{SPAN}-01");
        check(&plain, Some(&plain));
        check(&format!("cc-{TRACE}-{SPAN}-01-what-comes-later"), Some(&plain));
        check(&format!("cc-{TRACE}-{SPAN}-01"), Some(&plain));
    }

    #[test]
    fn ignores_everything_else() {
        for text in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{SPAN}-zz"),
        ] {
            check(&text, None);
        }
    }

    #[test]
    fn a_child_has_the_same_trace_and_another_span() {
        let parent: TraceParent = format!("00-{TRACE}-{SPAN}-ff").parse().unwrap();
        assert_eq!(parent.child(255).to_string(), format!("00-{TRACE}-00000000000000ff-01"));
        assert_eq!(parent.child(0).to_string(), format!("00-{TRACE}-0000000000000001-01"));
        assert_eq!(parent.trace_id(), TRACE);
    }

    #[test]
    fn is_stored_as_its_text() {
        let parent: TraceParent = format!("00-{TRACE}-{SPAN}-01").parse().unwrap();
        let json = serde_json::to_string(&parent).unwrap();
        assert_eq!(json, format!("\"{parent}\""));
        assert_eq!(serde_json::from_str::<TraceParent>(&json).unwrap(), parent);
    }
}
