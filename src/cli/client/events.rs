//! Reads a stream of server-sent events. Source: WHATWG HTML, section "Server-sent events".

use std::time::Duration;

use reqwest::Response;

use crate::cli::Failure;

/// Silence after which a stream counts as dead: servers say every 15 seconds that they are alive.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Bytes of one event.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct ServerEvent {
    /// What a new stream goes on after.
    pub(in crate::cli) id: Option<String>,
    pub(in crate::cli) name: String,
    pub(in crate::cli) data: String,
}

/// An open stream.
pub(in crate::cli) struct EventStream {
    response: Response,
    reader: EventReader,
}

impl EventStream {
    pub(super) fn new(response: Response) -> Self {
        Self { response, reader: EventReader::default() }
    }

    /// The next event; `None` where the stream has ended or was cut: the caller knows which by what came last.
    ///
    /// Errors: an event is too large.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<ServerEvent>, Failure> {
        loop {
            if let Some(event) = self.reader.next() {
                return Ok(Some(event));
            }
            match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.reader.push(&chunk)?,
                Ok(Ok(None) | Err(_)) | Err(_) => return Ok(None),
            }
        }
    }
}

/// Puts events together from pieces of any size.
#[derive(Debug, Default)]
struct EventReader {
    buffer: Vec<u8>,
    /// Where the next line starts.
    position: usize,
    id: Option<String>,
    name: String,
    data: Vec<String>,
}

impl EventReader {
    fn push(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.buffer.drain(..self.position);
        self.position = 0;
        let data_bytes: usize = self.data.iter().map(String::len).sum();
        if self.buffer.len() + piece.len() + data_bytes > EVENT_BYTES_MAX {
            return Err(Failure::error(format!("an event has more than {EVENT_BYTES_MAX} bytes")));
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    fn next(&mut self) -> Option<ServerEvent> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.read_field(&line);
            } else if self.data.is_empty() {
                self.name.clear();
            } else {
                let name = std::mem::take(&mut self.name);
                let name = if name.is_empty() { "message".to_owned() } else { name };
                let data = std::mem::take(&mut self.data).join("\n");
                return Some(ServerEvent { id: self.id.clone(), name, data });
            }
        }
        None
    }

    /// The next whole line, without its end. A stream that uses carriage returns alone is not known.
    fn next_line(&mut self) -> Option<String> {
        let rest = &self.buffer[self.position..];
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        let line = String::from_utf8_lossy(line).into_owned();
        self.position += end + 1;
        Some(line)
    }

    fn read_field(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // A comment, or a field that does not concern us.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, name: &str, data: &str) -> ServerEvent {
        ServerEvent { id: id.map(str::to_owned), name: name.to_owned(), data: data.to_owned() }
    }

    #[track_caller]
    fn check(text: &str, expected: &[ServerEvent]) {
        for size in [1, 3, text.len()] {
            let mut reader = EventReader::default();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                reader.push(piece).unwrap();
                events.extend(std::iter::from_fn(|| reader.next()));
            }
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn puts_events_together_from_any_pieces() {
        check(
            ": alive\n\nid: 7\nevent: created\ndata: {\"a\":\ndata: 1}\n\ndata:é\r\n\r\n",
            &[event(Some("7"), "created", "{\"a\":\n1}"), event(Some("7"), "message", "é")],
        );
        check("event: lost\n\nevent: end\nid: 1\ndata: x\n\ndata: unfinished", &[event(Some("1"), "end", "x")]);
    }

    #[test]
    fn event_bytes_obeyed_and_violated() {
        let mut reader = EventReader::default();
        reader.push(&vec![b'x'; EVENT_BYTES_MAX]).unwrap();
        assert!(reader.push(b"x").is_err());
    }
}
