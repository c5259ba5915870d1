//! Reads a query just well enough to see where its statements begin and which named placeholders it has: skips strings, quoted
//! names and comments by the rules of each dialect. Pure.
//!
//! It also keeps SQLite inside its file: `ATTACH`, `VACUUM INTO` and some pragmas would reach any other.

use std::ops::Range;

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// What a query consists of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Every unquoted word in upper case, and whether it begins a statement.
    words: Vec<(String, bool)>,
    /// Named placeholders with their places in the text, the colon included.
    pub(super) names: Vec<(Range<usize>, String)>,
}

/// Why SQLite does not get a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the query is empty")]
    Empty,
    #[error("one statement per node, and this query has several")]
    Several,
    #[error("`{word}` statements are not allowed: only {}", ALLOWED.join(", "))]
    Statement { word: String },
}

/// What a SQLite statement may begin with.
const ALLOWED: [&str; 13] = [
    "SELECT", "VALUES", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "ANALYZE", "REINDEX",
    "EXPLAIN",
];
/// What a statement inside a trigger may begin with, and its end.
const IN_TRIGGER: [&str; 7] = ["SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "END"];

/// Checks that a query is one statement of a harmless kind.
pub(super) fn check_sqlite(sql: &str) -> Result<(), Refused> {
    let scan = scan(sql, Dialect::Sqlite);
    let mut starts = scan.words.iter().filter(|(_, begins)| *begins).map(|(word, _)| word.as_str());
    let first = starts.next().ok_or(Refused::Empty)?;
    if !ALLOWED.contains(&first) {
        return Err(Refused::Statement { word: first.to_owned() });
    }
    let is_trigger = first == "CREATE" && scan.words.iter().take(3).any(|(word, _)| word == "TRIGGER");
    match starts.find(|word| !(is_trigger && IN_TRIGGER.contains(word))) {
        Some(_) => Err(Refused::Several),
        None => Ok(()),
    }
}

/// Reads a query.
pub(super) fn scan(sql: &str, dialect: Dialect) -> Scan {
    let mut scan = Scan::default();
    let bytes = sql.as_bytes();
    let (mut at, mut begins) = (0, true);
    while let Some(byte) = bytes.get(at).copied() {
        let rest = &bytes[at..];
        at = match byte {
            b'-' if rest.starts_with(b"--") => at + find(rest, b"\n").unwrap_or(rest.len()),
            b'/' if rest.starts_with(b"/*") => at + comment(rest, dialect),
            b'\'' | b'"' => at + quoted(rest, byte),
            b'`' if dialect == Dialect::Sqlite => at + quoted(rest, byte),
            b'[' if dialect == Dialect::Sqlite => at + find(rest, b"]").map_or(rest.len(), |end| end + 1),
            b'$' if dialect == Dialect::Postgres => at + dollar_quoted(rest),
            b':' if rest.starts_with(b"::") => at + 2,
            b':' => {
                let length = 1 + word_length(&rest[1..]);
                if length > 1 && !rest[1].is_ascii_digit() {
                    scan.names.push((at..at + length, sql[at + 1..at + length].to_owned()));
                }
                at + length
            }
            b';' => {
                begins = true;
                at + 1
            }
            _ if is_word(byte) => {
                let length = word_length(rest);
                let word = sql[at..at + length].to_ascii_uppercase();
                let is_escape_string = dialect == Dialect::Postgres && word == "E" && rest.get(length) == Some(&b'\'');
                scan.words.push((word, begins));
                begins = false;
                if is_escape_string { at + length + escape_string(&rest[length..]) } else { at + length }
            }
            _ => at + 1,
        };
    }
    scan
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// Length of a comment. PostgreSQL nests them, SQLite does not.
fn comment(bytes: &[u8], dialect: Dialect) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else if dialect == Dialect::Postgres && bytes[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// Length of a string or quoted name, in which the quote is doubled.
fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        let is_quote = bytes[at] == quote;
        match bytes.get(at + 1) {
            Some(next) if is_quote && *next == quote => at += 2,
            _ if is_quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Length of the quoted part of a string with backslash escapes.
fn escape_string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\\', _) | (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Length of a string between `$tag$` and `$tag$`; of the dollar sign alone where none begins.
fn dollar_quoted(bytes: &[u8]) -> usize {
    let Some(end) = find(&bytes[1..], b"$") else { return 1 };
    let tag = &bytes[..end + 2];
    let is_tag = tag[1..=end].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80);
    if !is_tag || tag.get(1).is_some_and(u8::is_ascii_digit) {
        return 1;
    }
    find(&bytes[tag.len()..], tag).map_or(bytes.len(), |close| tag.len() + close + tag.len())
}

/// Whether a byte belongs to a word. Bytes of other characters than ASCII do, as in both databases.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// A dollar sign may stand inside a word, so a placeholder such as `a$1` is none.
fn word_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_word(*byte) && *byte != b'$').unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_names(sql: &str, dialect: Dialect, expected: &[&str]) {
        let scan = scan(sql, dialect);
        let names: Vec<&str> = scan.names.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, expected, "{sql}");
        assert!(scan.names.iter().all(|(range, name)| sql[range.clone()] == format!(":{name}")));
    }

    #[test]
    fn finds_named_placeholders_outside_of_strings_and_comments() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            check_names("select :a, :b_2, :a from t where x = :ä", dialect, &["a", "b_2", "a", "ä"]);
            check_names("select ':a' , \":b\", 'it''s :c' -- :d\n, :e /* :f */, x::text", dialect, &["e"]);
            check_names("select 'open :a", dialect, &[]);
            check_names("select '12:30', arr[1:2]", dialect, &[]);
        }
        check_names("select `:a`, [:b], :c", Dialect::Sqlite, &["c"]);
        check_names("select e'\\':a', $$ :b $$, $t$ :c $x$ $t$, :d, $1 /* /* :e */ :f */", Dialect::Postgres, &["d"]);
    }

    #[test]
    fn allows_one_statement_for_sqlite() {
        for sql in [
            "select 1",
            " -- a comment\n/* another; */ select ';' ;",
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x;",
            "create trigger t after insert on a begin insert into b values (1); delete from c; end;",
            "CREATE TEMP TRIGGER t AFTER DELETE ON a BEGIN SELECT 1; END",
        ] {
            assert_eq!(check_sqlite(sql), Ok(()), "{sql}");
        }
    }

    #[track_caller]
    fn check_refused(sql: &str, expected: &Refused) {
        assert_eq!(check_sqlite(sql).as_ref(), Err(expected), "{sql}");
    }

    #[test]
    fn keeps_sqlite_in_its_file() {
        let statement = |word: &str| Refused::Statement { word: word.to_owned() };
        check_refused("ATTACH DATABASE '/etc/x' AS y", &statement("ATTACH"));
        check_refused("/* select */ attach 'x' as y", &statement("ATTACH"));
        check_refused("\u{feff}attach 'x' as y", &statement("\u{feff}ATTACH"));
        check_refused("vacuum into '/tmp/x'", &statement("VACUUM"));
        check_refused("PRAGMA journal_mode = DELETE", &statement("PRAGMA"));
        check_refused("begin", &statement("BEGIN"));
        check_refused("", &Refused::Empty);
        check_refused(" ; -- select 1", &Refused::Empty);
        check_refused("select 1; attach 'x' as y", &Refused::Several);
        check_refused("select ']' , [;] ; attach 'x' as y", &Refused::Several);
        check_refused("select $a$; attach 'x' as y; $a$", &Refused::Several);
        check_refused("select e'\\'; attach 'x' as y; --'", &Refused::Several);
        check_refused("/* /* */ attach 'x' as y /* */ */", &statement("ATTACH"));
        check_refused("create trigger t after insert on a begin select 1; end; attach 'x' as y", &Refused::Several);
        check_refused("create table trigger_(x); attach 'x' as y", &Refused::Several);
        check_refused("create table t(x); select 1", &Refused::Several);
    }
}
