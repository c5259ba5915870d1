//! One thing that is wrong with a document: where, which rule, and what to do.

use serde::{Deserialize, Serialize};

use super::limits::PROBLEMS_MAX;

/// Candidates that a suggestion compares.
const CANDIDATES_MAX: usize = 256;
/// Candidates that a suggestion lists where none is near.
const LISTED_MAX: usize = 16;
/// Characters of a word from outside that a sentence shows; longer ones are not compared either.
const WORD_CHARS_MAX: usize = 64;

/// A problem of a definition or a request body. **Shape**: `{ pointer, code, detail }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into the document; empty for the whole.
    pub pointer: String,
    /// Stable, `snake_case`.
    pub code: String,
    /// A sentence for a person.
    pub detail: String,
}

impl Problem {
    pub fn new(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.to_owned(), detail: detail.into() }
    }

    /// The same problem, seen from a document that holds this one at `prefix`.
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

/// Collects the problems of one document, up to [`PROBLEMS_MAX`]: a hostile document must not make a huge answer.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// Adds a problem, unless there are enough already.
    pub fn report(&mut self, pointer: impl Into<String>, code: &str, detail: impl Into<String>) {
        self.push(Problem::new(pointer, code, detail));
    }

    /// Adds a problem that was found elsewhere, unless there are enough already.
    pub fn push(&mut self, problem: Problem) {
        if !self.is_full() {
            self.found.push(problem);
        }
    }

    /// Whether nothing more is kept, and looking on is of no use.
    pub fn is_full(&self) -> bool {
        self.found.len() >= PROBLEMS_MAX
    }

    /// `value` if nothing was found.
    ///
    /// Errors: every problem, in the order of their discovery.
    pub fn or<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }

    /// Every problem, in the order of their discovery.
    pub fn into_found(self) -> Vec<Problem> {
        self.found
    }
}

/// The end of a sentence about an unknown `word`: what was probably meant, or else what there is.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().take(CANDIDATES_MAX).collect();
    if let Some(meant) = did_you_mean(word, candidates.iter().copied()) {
        return format!("did you mean `{meant}`?");
    }
    match candidates.len() {
        0 => "there are none".to_owned(),
        1..=LISTED_MAX => format!("there are `{}`", candidates.join("`, `")),
        more => format!("there are `{}` and {} more", candidates[..LISTED_MAX].join("`, `"), more - LISTED_MAX),
    }
}

/// A number of things in words: `1 problem`, `2 problems`. For nouns that take an `s`.
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// The first characters of a text from outside, fit for a sentence of a problem.
pub fn excerpt(text: &str) -> String {
    match text.char_indices().nth(WORD_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Escapes one segment of a JSON pointer.
pub fn pointer_segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The candidate that `word` was probably meant to be: at most two edits and a third of the word away.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_CHARS_MAX * 4 {
        return None;
    }
    let limit = 2.min(word.chars().count().div_ceil(3));
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Levenshtein distance in characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_problems_than_the_limit() {
        let mut problems = Problems::default();
        for n in 0..PROBLEMS_MAX + 5 {
            problems.report(format!("/{n}"), "code", "detail");
        }
        assert_eq!(problems.or(()).unwrap_err().len(), PROBLEMS_MAX);
        assert_eq!(Problems::default().or(7), Ok(7));
    }

    #[test]
    fn says_what_there_is_where_nothing_is_near() {
        assert_eq!(suggestion("mian", ["main", "error"]), "did you mean `main`?");
        assert_eq!(suggestion("yes", ["true", "false"]), "there are `true`, `false`");
        assert_eq!(suggestion("yes", []), "there are none");
        assert_eq!(suggestion("yes", ["x"; 18]), format!("there are `{}` and 2 more", ["x"; 16].join("`, `")));
        assert_eq!(suggestion(&"x".repeat(100_000), ["true"]), "there are `true`");
    }

    #[test]
    fn counts_one_thing_and_several() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "problem")), ["0 problems", "1 problem", "2 problems"]);
    }

    #[test]
    fn shows_the_beginning_of_a_long_word() {
        assert_eq!(excerpt("short"), "short");
        assert_eq!(excerpt(&"ä".repeat(65)), format!("{}...", "ä".repeat(64)));
    }

    #[test]
    fn suggests_the_nearest_name_only() {
        assert_eq!(did_you_mean("webhok", ["webhook", "manual"]), Some("webhook"));
        assert_eq!(did_you_mean("urll", ["url", "query"]), Some("url"));
        assert_eq!(did_you_mean("frobnicate", ["url", "query"]), None);
    }
}
