//! Takes parts out of a source without moving the rest: blanks of the same length stand in their place.

use oxc::span::Span;

/// Modifiers that only TypeScript has.
const MODIFIERS: [&str; 7] = ["public", "private", "protected", "readonly", "override", "abstract", "declare"];

/// A source that loses parts.
pub(super) struct Eraser {
    text: Vec<u8>,
}

impl Eraser {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.as_bytes().to_vec() }
    }

    /// Puts blanks in place of everything but line breaks.
    pub(super) fn erase(&mut self, span: Span) {
        let (start, end) = bounds(span);
        let Some(part) = self.text.get(start..end).and_then(|part| std::str::from_utf8(part).ok()) else { return };
        let blanks: String = part.chars().map(blank).collect();
        self.text[start..end].copy_from_slice(blanks.as_bytes());
    }

    /// As [`Self::erase`], for a whole statement or member: what is before it must not run on into what follows.
    pub(super) fn erase_statement(&mut self, span: Span) {
        self.erase(span);
        self.put(span.start, b';');
    }

    /// As [`Self::erase`], for what ended an expression. Where the next line would now go on with the expression, and did not before,
    /// the statement is ended.
    pub(super) fn erase_end_of_expression(&mut self, span: Span) {
        self.erase(span);
        let (_, end) = bounds(span);
        let mut rest = self.text[end..].iter().skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        if rest.next() != Some(&b'\n') {
            return;
        }
        if rest.find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'(' | b'[' | b'`')) {
            self.put(span.start, b';');
        }
    }

    /// As [`Self::erase`], for the return type of an arrow function, which ends before the arrow. No line may break between the
    /// parameters' closing bracket and the arrow: the bracket moves to the end of the type.
    pub(super) fn erase_before_arrow(&mut self, span: Span, after_bracket: u32) {
        let (start, end) = bounds(span);
        let has_line_break = self.text[start..end].contains(&b'\n');
        self.erase(span);
        let bracket = after_bracket.saturating_sub(1);
        if has_line_break && self.text.get(bounds(Span::new(bracket, bracket)).0) == Some(&b')') {
            self.put(bracket, b' ');
            self.put(span.end.saturating_sub(1), b')');
        }
    }

    /// Takes the modifiers of TypeScript out of a part that has nothing but words and comments.
    pub(super) fn erase_modifiers(&mut self, span: Span) {
        self.erase_in_words(span, |word| MODIFIERS.contains(&word));
    }

    /// Takes `?` and `!` out of a part that has nothing else but comments.
    pub(super) fn erase_marks(&mut self, span: Span) {
        let (start, end) = bounds(span);
        for byte in &mut self.text[start..end] {
            if matches!(byte, b'?' | b'!') {
                *byte = b' ';
            }
        }
    }

    fn erase_in_words(&mut self, span: Span, is_erased: impl Fn(&str) -> bool) {
        let (start, end) = bounds(span);
        let mut at = start;
        while at < end {
            let length = self.text[at..end].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            if std::str::from_utf8(&self.text[at..at + length]).is_ok_and(&is_erased) {
                self.text[at..at + length].fill(b' ');
            }
            at += length.max(1);
        }
    }

    fn put(&mut self, at: u32, byte: u8) {
        let (at, _) = bounds(Span::new(at, at));
        // In the middle of a character there is nothing to put a byte to; blanks have no such places at their first byte.
        if self.text.get(at).is_some_and(u8::is_ascii) {
            self.text[at] = byte;
        }
    }

    pub(super) fn into_text(self) -> String {
        String::from_utf8(self.text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

/// White space of the same number of bytes, which JavaScript takes for such.
fn blank(c: char) -> &'static str {
    match (c, c.len_utf8()) {
        ('\n', _) => "\n",
        ('\r', _) => "\r",
        (_, 1) => " ",
        (_, 2) => "\u{a0}",
        (_, 3) => "\u{3000}",
        _ => "\u{a0}\u{a0}",
    }
}

fn bounds(span: Span) -> (usize, usize) {
    let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    (place(span.start), place(span.end))
}
