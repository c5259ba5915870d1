//! Regular expressions of conditions: compiled within a size, matched in linear time, remembered over the items of one run.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

/// Memory of one compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Patterns that one run remembers; more differing ones are compiled again.
const PATTERNS_MAX: usize = 64;

/// Compiles a pattern in the syntax of the `regex` crate: no look-around, no back references, and so no exponential time.
///
/// Errors: the syntax, or the size of the compiled pattern.
pub fn compile(pattern: &str, case_sensitive: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(!case_sensitive).size_limit(PATTERN_BYTES_MAX).build()
}

/// The patterns that a run has met.
#[derive(Debug, Default)]
pub struct Patterns {
    compiled: HashMap<String, Regex>,
}

impl Patterns {
    /// Whether the pattern matches somewhere in the text. Within one run, `case_sensitive` is always the same.
    ///
    /// Errors: as [`compile`].
    pub fn matches(&mut self, pattern: &str, text: &str, case_sensitive: bool) -> Result<bool, regex::Error> {
        if let Some(regex) = self.compiled.get(pattern) {
            return Ok(regex.is_match(text));
        }
        if self.compiled.len() >= PATTERNS_MAX {
            self.compiled.clear();
        }
        let regex = compile(pattern, case_sensitive)?;
        let is_match = regex.is_match(text);
        self.compiled.insert(pattern.to_owned(), regex);
        Ok(is_match)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_pattern_that_grows_too_large() {
        assert!(compile("a{1,100}", true).is_ok());
        assert!(compile("((a{1,200}){1,200}){1,200}", true).is_err());
    }

    #[test]
    fn remembers_no_more_patterns_than_the_limit() {
        let mut patterns = Patterns::default();
        for n in 0..PATTERNS_MAX * 2 + 1 {
            assert_eq!(patterns.matches(&format!("^{n}$"), &n.to_string(), true), Ok(true));
            assert!(patterns.compiled.len() <= PATTERNS_MAX);
        }
    }
}
