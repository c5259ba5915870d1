//! Finds the `{{ expressions }}` in a string, without being misled by braces, strings, templates, comments and regular expressions
//! inside of them.

/// Brackets inside brackets in one expression.
pub(super) const EXPRESSION_NESTING_MAX: usize = 100;

/// A piece of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    /// What is between the braces, and its offset in the string.
    Expression {
        source: &'a str,
        offset: usize,
    },
}

/// Why a string has no parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScanError {
    #[error("this `{{{{` has no `}}}}`")]
    Unclosed { offset: usize },
    #[error("the expression has more than {EXPRESSION_NESTING_MAX} brackets inside brackets")]
    TooDeep { offset: usize },
}

impl ScanError {
    pub(super) fn offset(self) -> usize {
        match self {
            Self::Unclosed { offset } | Self::TooDeep { offset } => offset,
        }
    }
}

/// Splits a string at its expressions. Text between them may hold `}}`; two opening braces always start an expression.
pub(super) fn split(text: &str) -> Result<Vec<Part<'_>>, ScanError> {
    let mut parts = Vec::new();
    let mut rest = 0;
    while let Some(found) = text[rest..].find("{{") {
        let open = rest + found;
        let offset = open + 2;
        let end = Scanner { bytes: text.as_bytes(), at: offset, open: Vec::new(), can_end_value: false }.end(open)?;
        if open > rest {
            parts.push(Part::Text(&text[rest..open]));
        }
        parts.push(Part::Expression { source: &text[offset..end], offset });
        rest = end + 2;
    }
    if rest < text.len() {
        parts.push(Part::Text(&text[rest..]));
    }
    Ok(parts)
}

/// Reads JavaScript just as closely as it takes to find where an expression ends.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The open brackets; a backquote stands for a template literal, and `$` for a substitution in one.
    open: Vec<u8>,
    /// Whether what was read last can end a value, so that a slash divides and does not start a regular expression.
    can_end_value: bool,
}

impl Scanner<'_> {
    /// The offset of the closing `}}`. Where a bracket, a string or a comment is left open so that none is found, the first `}}` there
    /// is: the parser can then say what is wrong, or find that it was just a comment (`{{ a // b }}`).
    fn end(mut self, start: usize) -> Result<usize, ScanError> {
        let after_open = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.open.last() == Some(&b'`') {
                self.template_character(byte);
            } else if byte == b'}' && self.open.is_empty() {
                if self.bytes.get(self.at + 1) == Some(&b'}') {
                    return Ok(self.at);
                }
                self.at += 1; // A closing brace too many: the parser will say so.
            } else {
                self.code(byte);
            }
            if self.open.len() > EXPRESSION_NESTING_MAX {
                return Err(ScanError::TooDeep { offset: self.at });
            }
        }
        let any = self.bytes[after_open..].windows(2).position(|pair| pair == b"}}");
        any.map(|found| after_open + found).ok_or(ScanError::Unclosed { offset: start })
    }

    fn code(&mut self, byte: u8) {
        let mut can_end_value = false;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => can_end_value = self.can_end_value,
            b'(' | b'[' | b'{' | b'`' => self.open.push(byte),
            b')' | b']' | b'}' => {
                self.open.pop();
                can_end_value = true;
            }
            b'"' | b'\'' => {
                self.skip_string(byte);
                can_end_value = true;
            }
            b'/' => can_end_value = self.slash(),
            b'_' | b'$' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => can_end_value = self.word(),
            _ => {}
        }
        self.at += 1;
        self.can_end_value = can_end_value;
    }

    fn template_character(&mut self, byte: u8) {
        match byte {
            b'\\' => self.at += 1,
            b'`' => {
                self.open.pop();
                self.can_end_value = true;
            }
            b'$' if self.bytes.get(self.at + 1) == Some(&b'{') => {
                self.at += 1;
                self.open.push(b'$');
                self.can_end_value = false;
            }
            _ => {}
        }
        self.at += 1;
    }

    /// Stops on the closing quote, or on the last byte before a line ends without one.
    fn skip_string(&mut self, quote: u8) {
        while let Some(&next) = self.bytes.get(self.at + 1) {
            if next == b'\n' {
                return;
            }
            self.at += if next == b'\\' { 2 } else { 1 };
            if next == quote {
                return;
            }
        }
    }

    /// A comment, a regular expression or a division. Stops on its last byte; returns whether it can end a value.
    fn slash(&mut self) -> bool {
        match self.bytes.get(self.at + 1) {
            Some(b'/') => {
                self.skip_until(|rest| rest.starts_with(b"\n"), 0);
                self.can_end_value
            }
            Some(b'*') => {
                self.at += 1;
                self.skip_until(|rest| rest.starts_with(b"*/"), 1);
                self.can_end_value
            }
            _ if self.can_end_value => false,
            _ => {
                self.skip_regular_expression();
                true
            }
        }
    }

    /// Goes to the first place behind this one where `found` holds, and `beyond` bytes on.
    fn skip_until(&mut self, found: impl Fn(&[u8]) -> bool, beyond: usize) {
        self.at += 1;
        while self.at < self.bytes.len() && !found(&self.bytes[self.at..]) {
            self.at += 1;
        }
        self.at += beyond;
    }

    fn skip_regular_expression(&mut self) {
        let mut is_in_class = false;
        while let Some(&next) = self.bytes.get(self.at + 1) {
            match next {
                b'\n' => return,
                b'\\' => self.at += 1,
                b'[' => is_in_class = true,
                b']' => is_in_class = false,
                _ => {}
            }
            self.at += 1;
            if next == b'/' && !is_in_class {
                return;
            }
        }
    }

    /// Stops on the last byte of a name or a number; returns whether it can end a value, as most but some keywords can.
    fn word(&mut self) -> bool {
        let start = self.at;
        while let Some(b'_' | b'$' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | 0x80..) = self.bytes.get(self.at + 1) {
            self.at += 1;
        }
        !matches!(
            &self.bytes[start..=self.at],
            b"typeof" | b"void" | b"delete" | b"in" | b"of" | b"instanceof" | b"return" | b"new"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expressions of a text, trimmed.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let parts = split(text).unwrap();
        let sources: Vec<&str> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(_) => None,
                Part::Expression { source, offset } => {
                    assert_eq!(text[*offset..*offset + source.len()], **source);
                    Some(source.trim())
                }
            })
            .collect();
        assert_eq!(sources, expected, "{text}");
    }

    #[test]
    fn finds_expressions_between_texts() {
        check("no braces", &[]);
        check("a } b }} c { d", &[]);
        check("Hi {{ $json.name }}, you are {{$json.age}}!", &["$json.name", "$json.age"]);
        check("{{}}", &[""]);
        assert_eq!(split("a{{b}}c").unwrap()[2], Part::Text("c"));
    }

    #[test]
    fn is_not_misled_by_what_is_inside() {
        check("{{ {a: {b: 1}} }}", &["{a: {b: 1}}"]);
        check("{{ {a:{b:1}}}}", &["{a:{b:1}}"]);
        check("{{ '}}' + \"}}\" + '\\'}}' }}x", &["'}}' + \"}}\" + '\\'}}'"]);
        check("{{ `}} ${ {a: `}}${1}`}.a } }}` }}", &["`}} ${ {a: `}}${1}`}.a } }}`"]);
        check("{{ 1 /* }} */ + 2 // }}\n }}", &["1 /* }} */ + 2 // }}"]);
        check("{{ /[}}/]}}/.test(x) }}", &["/[}}/]}}/.test(x)"]);
        check("{{ a / b }} {{ c / d }}", &["a / b", "c / d"]);
        check("{{ (a) / 2 }} {{ x[0] / 2 /* / */ }}", &["(a) / 2", "x[0] / 2 /* / */"]);
        check("{{ typeof /}}/ }}", &["typeof /}}/"]);
        check("{{ `\\`}}` }}", &["`\\`}}`"]);
        check("{{ 'ü}}' }}ü", &["'ü}}'"]);
    }

    #[test]
    fn leaves_what_is_left_open_to_the_parser() {
        check("{{ 'x }} and }}", &["'x"]);
        check("{{ a // b }} c", &["a // b"]);
        check("{{ 1), (2 }}", &["1), (2"]);
    }

    #[test]
    fn says_where_braces_are_not_closed() {
        assert_eq!(split("ab {{ 'x }"), Err(ScanError::Unclosed { offset: 3 }));
        assert_eq!(split("{{ a }"), Err(ScanError::Unclosed { offset: 0 }));
        assert_eq!(split("{{ \\"), Err(ScanError::Unclosed { offset: 0 }));
    }

    #[test]
    fn nesting_obeyed_and_violated() {
        let nested = |depth: usize| format!("{{{{ {}{} }}}}", "(".repeat(depth), ")".repeat(depth));
        assert!(split(&nested(EXPRESSION_NESTING_MAX)).is_ok());
        assert!(matches!(split(&nested(EXPRESSION_NESTING_MAX + 1)), Err(ScanError::TooDeep { .. })));
    }
}
