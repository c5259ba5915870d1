//! As much of HTTP/1.1 as a load generator needs: requests rendered once, and where a message ends. It shares the machine with
//! the server that it measures, so it looks at no header but the two that say how long the body is.

/// Where a message ends, and how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of the head, with the empty line.
    pub(super) head: usize,
    /// Bytes of the body.
    pub(super) body: usize,
}

/// A message that this reader cannot measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the body comes in chunks, its length is not told")]
    Chunked,
    #[error("the length of the body is no number")]
    Length,
    #[error("the answer does not begin with a status")]
    Status,
}

impl Extent {
    /// Bytes of the whole message.
    pub(super) fn total(self) -> usize {
        self.head + self.body
    }
}

/// Renders a request with keep-alive. `headers` are whole lines without their line breaks.
pub(super) fn render(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: citadel\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str("content-type: application/json\r\n");
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// Measures the message at the beginning of `bytes`; `None` while its head is not complete.
pub(super) fn measure(bytes: &[u8]) -> Result<Option<Extent>, Malformed> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = end + 4;
    let mut body = 0;
    for line in bytes[..end].split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).map_err(|_| Malformed::Length)?;
            body = text.trim().parse().map_err(|_| Malformed::Length)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(Malformed::Chunked);
        }
    }
    Ok(Some(Extent { head, body }))
}

/// The status of an answer whose head is complete.
pub(super) fn status_of(head: &[u8]) -> Result<u16, Malformed> {
    let digits = head.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5)).ok_or(Malformed::Status)?;
    let text = std::str::from_utf8(digits).map_err(|_| Malformed::Status)?;
    text.parse().map_err(|_| Malformed::Status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Option<Extent>, Malformed>) {
        assert_eq!(measure(bytes), expected, "{}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn measures_messages_with_and_without_a_body() {
        check(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Ok(Some(Extent { head: 38, body: 2 })));
        check(b"HTTP/1.1 204 No Content\r\n\r\n", Ok(Some(Extent { head: 27, body: 0 })));
        check(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r", Ok(None));
        check(b"", Ok(None));
    }

    #[test]
    fn refuses_what_it_cannot_measure() {
        check(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Err(Malformed::Chunked));
        check(b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n", Err(Malformed::Length));
    }

    #[test]
    fn reads_the_status() {
        assert_eq!(status_of(b"HTTP/1.1 202 Accepted\r\n\r\n"), Ok(202));
        assert_eq!(status_of(b"HTTP/1.1 ok"), Err(Malformed::Status));
        assert_eq!(status_of(b"SSH-2.0"), Err(Malformed::Status));
    }

    #[test]
    fn renders_what_it_can_measure() {
        let request = render("POST", "/hooks/a", &["authorization: Bearer x"], "{\"a\":1}");
        let extent = measure(&request).unwrap().unwrap();
        assert_eq!((extent.total(), extent.body), (request.len(), 7));
    }
}
