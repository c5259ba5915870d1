//! Headers that a workflow may set on an answer. Pure; used by `webhook` and `respond`.

use crate::model::problem::{Problem, pointer_segment};

/// Headers of one answer.
pub const HEADERS_MAX: usize = 50;
/// Bytes of one header's value.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;

/// Headers that the server writes itself: framing and the connection.
const RESERVED: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Why a header cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    #[error("a header's name is made of letters, digits and `!#$%&'*+-.^_`|~`")]
    Name,
    #[error("this header is written by the server")]
    Reserved,
    #[error("a header's value has no control characters and at most {HEADER_BYTES_MAX} bytes")]
    Value,
}

/// Checks the name of a header. Source: RFC 9110 section 5.6.2 (token).
pub fn check_name(name: &str) -> Result<(), InvalidHeader> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(InvalidHeader::Name);
    }
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(InvalidHeader::Reserved);
    }
    Ok(())
}

/// Checks the value of a header: a line break in it would start another header.
pub fn check_value(value: &str) -> Result<(), InvalidHeader> {
    let is_allowed = |c: char| c == '\t' || !c.is_control();
    if value.len() <= HEADER_BYTES_MAX && value.chars().all(is_allowed) { Ok(()) } else { Err(InvalidHeader::Value) }
}

/// The problems of a node's `headers`. A value that shows at run time only is `None`.
pub fn check<'h>(headers: impl IntoIterator<Item = (&'h str, Option<&'h str>)>) -> Vec<Problem> {
    let found = headers.into_iter().filter_map(|(name, value)| {
        let error = check_name(name).and_then(|()| value.map_or(Ok(()), check_value)).err()?;
        Some(Problem::new(format!("/params/headers/{}", pointer_segment(name)), "invalid_header", error.to_string()))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_would_break_the_message() {
        assert_eq!(check_name("X-Request-Id"), Ok(()));
        assert_eq!(check_name(""), Err(InvalidHeader::Name));
        assert_eq!(check_name("x y"), Err(InvalidHeader::Name));
        assert_eq!(check_name("Content-Length"), Err(InvalidHeader::Reserved));
        assert_eq!(check_value("a\tb"), Ok(()));
        assert_eq!(check_value("a\r\nSet-Cookie: b"), Err(InvalidHeader::Value));
        assert_eq!(check_value(&"x".repeat(HEADER_BYTES_MAX + 1)), Err(InvalidHeader::Value));
    }
}
