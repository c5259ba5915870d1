//! The way of Ruby to the network. Its build has no imports for that, so it is a file: what is written to it is a request, what is read
//! then is the answer. Both are a head in JSON, a newline and a body. The file is standard input, through which nothing else comes: the
//! files in the build's memory take all numbers behind the standard ones.

use crate::runtimes::fetch::{Answer, FETCH_BODY_BYTES_MAX, FETCH_HEAD_BYTES_MAX};

/// The number of the file.
pub(super) const DOOR: u32 = 0;
/// What is kept of a request: one byte more of its body than it may have shows that it is too much.
const REQUEST_BYTES_MAX: usize = FETCH_HEAD_BYTES_MAX + 1 + FETCH_BODY_BYTES_MAX + 1;

/// One request and its answer.
#[derive(Default)]
pub(super) struct Door {
    request: Vec<u8>,
    /// What is left of the answer, once the request was sent.
    answer: Option<Rest>,
}

struct Rest {
    bytes: Vec<u8>,
    read: usize,
}

impl Door {
    /// Takes a part of a request. What is left of an earlier answer is nobody's any more.
    pub(super) fn write(&mut self, part: &[u8]) {
        self.answer = None;
        let room = REQUEST_BYTES_MAX.saturating_sub(self.request.len());
        self.request.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// Whether there is something to read: a request was written, and its answer not read to its end.
    pub(super) fn is_open(&self) -> bool {
        !self.request.is_empty() || self.answer.is_some()
    }

    /// The next bytes of the answer, up to `bytes_max` of them; none at its end. `send` is called with head and body once a request.
    pub(super) fn read(&mut self, bytes_max: usize, send: impl FnOnce(&[u8], &[u8]) -> Answer) -> &[u8] {
        if self.answer.as_ref().is_some_and(|rest| rest.read == rest.bytes.len()) {
            self.answer = None;
            return &[];
        }
        let request = &mut self.request;
        let rest = self.answer.get_or_insert_with(|| {
            let request = std::mem::take(request);
            let end = request.iter().position(|&byte| byte == b'\n').unwrap_or(request.len());
            let Answer { head, body } = send(&request[..end], request.get(end + 1..).unwrap_or_default());
            Rest { bytes: [head.as_bytes(), b"\n", &body].concat(), read: 0 }
        });
        let start = rest.read;
        rest.read = rest.bytes.len().min(start + bytes_max);
        &rest.bytes[start..rest.read]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(head: &[u8], body: &[u8]) -> Answer {
        Answer { head: String::from_utf8_lossy(head).into_owned(), body: body.to_vec() }
    }

    #[test]
    fn an_answer_that_was_read_in_part_is_not_that_of_the_next_request() {
        let mut door = Door::default();
        door.write(b"one\nbody");
        assert_eq!(door.read(4, echo), b"one\n");
        door.write(b"two\n");
        assert_eq!(door.read(64, echo), b"two\n");
        assert_eq!(door.read(64, echo), b"");
    }

    #[test]
    fn what_is_written_is_sent_with_the_first_read_and_answered_piece_by_piece() {
        let mut door = Door::default();
        for _ in 0..2 {
            door.write(b"he");
            door.write(b"ad\nbo\ndy");
            assert_eq!(door.read(6, echo), b"head\nb");
            assert_eq!(door.read(100, |_, _| unreachable!("it was sent")), b"o\ndy");
            assert_eq!(door.read(100, |_, _| unreachable!("it was sent")), b"");
            assert!(!door.is_open());
        }
        door.write(b"head");
        assert_eq!(door.read(100, echo), b"head\n");
    }

    #[test]
    fn size_obeyed_and_violated() {
        for (bytes, kept) in [(FETCH_BODY_BYTES_MAX, FETCH_BODY_BYTES_MAX), (2 * FETCH_BODY_BYTES_MAX, FETCH_BODY_BYTES_MAX + 1)]
        {
            let mut door = Door::default();
            door.write(&vec![b'h'; FETCH_HEAD_BYTES_MAX]);
            door.write(b"\n");
            door.write(&vec![0; bytes]);
            let mut sizes = None;
            door.read(1, |head, body| {
                sizes = Some((head.len(), body.len()));
                echo(head, body)
            });
            assert_eq!(sizes, Some((FETCH_HEAD_BYTES_MAX, kept)));
        }
    }
}
