//! Standard error without secrets: the last thing between a log line and whoever reads it. Code does not log secrets; this is for
//! the text of a library's error that has one in it.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use tracing_subscriber::fmt::MakeWriter;

/// Takes secrets out of a text.
pub type Mask = fn(&str) -> Cow<'_, str>;

/// Makes the writers of log lines.
pub(super) struct MaskedError(pub(super) Mask);

/// Writes a log line.
pub(super) struct MaskedLine<W> {
    mask: Mask,
    to: W,
}

impl MakeWriter<'_> for MaskedError {
    type Writer = MaskedLine<io::Stderr>;

    fn make_writer(&self) -> Self::Writer {
        MaskedLine { mask: self.0, to: io::stderr() }
    }
}

impl<W: Write> Write for MaskedLine<W> {
    /// A line comes as one piece, so that no secret is cut in two.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.to.write_all((self.mask)(text).as_bytes())?,
            Err(_) => self.to.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_every_line_through_the_mask() {
        let mut line = MaskedLine { mask: |text| text.replace("hunter2", "[secret]").into(), to: Vec::new() };
        writeln!(line, "a line").unwrap();
        line.write_all(b"password hunter2\n").unwrap();
        line.write_all(b"\xff hunter2").unwrap();
        assert_eq!(line.to, b"a line\npassword [secret]\n\xff hunter2");
    }
}
