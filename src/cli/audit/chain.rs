//! Checks a chain of audit rows as they come: that none is missing, that each names the hash of the one before it, and that its own
//! hash is that of its fields. It believes nothing that it can compute.

use std::{fmt, str::FromStr};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    cli::Failure,
    model::audit::{Digest, hashed_text_of},
};

/// What has been checked so far, and what has to come next.
#[derive(Debug)]
pub(super) struct Chain {
    /// The number and the hash of the last row before the next one; `None` where an export begins anywhere.
    last: Option<(u64, Digest)>,
    /// Where the chain has to end at least: that of the server was there when it was asked.
    end: Option<(u64, Digest)>,
    known: Option<Known>,
    first: Option<u64>,
    rows: u64,
}

/// A row that was seen before. **Shape**: `NUMBER:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    seq: u64,
    hash: Digest,
}

impl FromStr for Known {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (seq, hash) = text.split_once(':').ok_or("expected the number of a row, a colon and its hash")?;
        let seq = seq.parse().map_err(|_| "the part before the colon is the number of a row")?;
        Ok(Self { seq, hash: hash.parse().map_err(|_| "the part behind the colon is a hash of 64 hex digits")? })
    }
}

impl Chain {
    /// A chain with the ends that a server has named.
    ///
    /// Errors: these are no ends.
    pub(super) fn between(ends: &Value, known: Option<Known>) -> Result<Self, Failure> {
        let read = || {
            let first = ends["first_seq"].as_u64()?.checked_sub(1)?;
            let base = (first, digest(ends, "base_hash")?);
            Some((base, (ends["last_seq"].as_u64()?, digest(ends, "last_hash")?)))
        };
        let (base, end) = read().ok_or_else(|| Failure::error("the server does not say where the log begins and ends"))?;
        Ok(Self { last: Some(base), end: Some(end), known, first: None, rows: 0 })
    }

    /// A chain that begins with any row.
    pub(super) fn anywhere(known: Option<Known>) -> Self {
        Self { last: None, end: None, known, first: None, rows: 0 }
    }

    /// Takes the next row.
    ///
    /// Errors: it is not what has to come next, or not what it was.
    pub(super) fn take(&mut self, row: &Value) -> Result<(), Failure> {
        let read = || Some((row["seq"].as_u64()?, digest(row, "prev_hash")?, digest(row, "hash")?));
        let (seq, prev, hash) = read().ok_or_else(|| Failure::error("this is no row of an audit log"))?;
        // The first row of all has nothing before it.
        let last = self.last.or((seq == 1).then_some((0, Digest::ZERO)));
        if let Some((last_seq, last_hash)) = last {
            if seq != last_seq + 1 {
                return Err(broken(last_seq + 1, &format!("is missing: row {seq} comes behind row {last_seq}")));
            }
            if prev != last_hash {
                return Err(broken(seq, "does not follow the row before it"));
            }
        }
        let computed = Sha256::new().chain_update(prev.0).chain_update(hashed_text_of(row)).finalize();
        if Digest(computed.into()) != hash {
            return Err(broken(seq, "was changed: its hash is another one"));
        }
        if let Some((end_seq, end_hash)) = self.end.filter(|(end_seq, _)| *end_seq == seq)
            && end_hash != hash
        {
            return Err(broken(end_seq, "is not the last row that the server names"));
        }
        if self.known.is_some_and(|known| known.seq == seq && known.hash != hash) {
            return Err(broken(seq, "is not the row that it was"));
        }
        self.last = Some((seq, hash));
        self.first = self.first.or(Some(seq));
        self.rows += 1;
        Ok(())
    }

    /// Says that no more rows come.
    ///
    /// Errors: some are missing at the end, or the known one is.
    pub(super) fn end(&self) -> Result<(), Failure> {
        let last = self.last.map_or(0, |(seq, _)| seq);
        if let Some((end, _)) = self.end.filter(|(end, _)| *end > last) {
            return Err(broken(last + 1, &format!("is missing: the last one is row {end}")));
        }
        match self.known {
            Some(known) if known.seq > last => Err(broken(known.seq, "is missing")),
            Some(known) if self.first.is_none_or(|first| known.seq < first) => {
                let seq = known.seq;
                Err(Failure::error(format!("row {seq} cannot be checked: it is older than the rows that are kept")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (Some(first), Some((seq, hash))) => {
                writeln!(f, "the log is whole: {} rows, from {first} to {seq}", self.rows)?;
                write!(f, "last row: {seq}:{hash}")
            }
            (None, _) | (_, None) => f.write_str("the log is whole: it has no rows"),
        }
    }
}

fn digest(row: &Value, name: &str) -> Option<Digest> {
    row[name].as_str()?.parse().ok()
}

fn broken(seq: u64, how: &str) -> Failure {
    Failure::error(format!("the log is broken: row {seq} {how}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A whole chain of so many rows, from `first` on.
    fn rows(first: u64, count: u64) -> Vec<Value> {
        let mut prev = if first == 1 { Digest::ZERO } else { Digest([9; 32]) };
        let row = |seq: u64| {
            let mut row =
                json!({ "workspace_id": "ws_1", "seq": seq, "actor": "system", "details": { "a": 1 }, "prev_hash": prev });
            let hash = Digest(Sha256::new().chain_update(prev.0).chain_update(hashed_text_of(&row)).finalize().into());
            row["hash"] = json!(hash);
            prev = hash;
            row
        };
        (first..first + count).map(row).collect()
    }

    fn check(mut chain: Chain, rows: &[Value]) -> Result<String, String> {
        let taken = rows.iter().try_for_each(|row| chain.take(row));
        taken.and_then(|()| chain.end()).map_err(Failure::into_message)?;
        Ok(chain.to_string())
    }

    #[track_caller]
    fn refused(chain: Chain, rows: &[Value], words: &str) {
        let error = check(chain, rows).unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    fn ends(first_seq: u64, rows: &[Value]) -> Value {
        json!({
            "first_seq": first_seq, "base_hash": rows[0]["prev_hash"],
            "last_seq": rows.last().unwrap()["seq"], "last_hash": rows.last().unwrap()["hash"],
        })
    }

    #[test]
    fn a_whole_chain_says_where_it_ends() {
        let rows = rows(1, 3);
        let hash = rows[2]["hash"].as_str().unwrap();
        let said = format!("the log is whole: 3 rows, from 1 to 3\nlast row: 3:{hash}");
        assert_eq!(check(Chain::anywhere(None), &rows).unwrap(), said);
        assert_eq!(check(Chain::between(&ends(1, &rows), None).unwrap(), &rows).unwrap(), said);
        assert_eq!(check(Chain::anywhere(None), &[]).unwrap(), "the log is whole: it has no rows");
    }

    #[test]
    fn a_chain_whose_old_rows_are_gone_is_whole() {
        let rows = rows(5, 2);
        assert!(check(Chain::anywhere(None), &rows).is_ok());
        assert!(check(Chain::between(&ends(5, &rows), None).unwrap(), &rows).is_ok());
    }

    #[test]
    fn names_the_first_row_that_is_not_what_it_was() {
        for (name, value) in
            [("actor", json!("usr_1")), ("at", json!("x")), ("details", json!({ "a": 2 })), ("hash", json!(Digest::ZERO))]
        {
            let mut changed = rows(1, 4);
            changed[2][name] = value;
            refused(Chain::anywhere(None), &changed, "row 3 was changed");
        }
        let mut moved = rows(1, 4);
        moved.swap(1, 2);
        refused(Chain::anywhere(None), &moved, "row 2 is missing");
        let mut gone = rows(1, 4);
        gone.remove(1);
        refused(Chain::anywhere(None), &gone, "row 2 is missing: row 3 comes behind row 1");
        // Whoever rewrites a row with its hash breaks the next one.
        let mut rewritten = rows(1, 4);
        rewritten[1] = rows(2, 1).remove(0);
        refused(Chain::anywhere(None), &rewritten, "row 2 does not follow");
        let first = rows(2, 1);
        let mut false_start = first.clone();
        false_start[0]["seq"] = json!(1);
        refused(Chain::anywhere(None), &false_start, "row 1 does not follow");
    }

    #[test]
    fn misses_rows_at_both_ends() {
        let all = rows(1, 4);
        let whole = ends(1, &all);
        refused(Chain::between(&whole, None).unwrap(), &all[..2], "row 3 is missing: the last one is row 4");
        refused(Chain::between(&whole, None).unwrap(), &all[1..], "row 1 is missing");
        refused(Chain::between(&whole, None).unwrap(), &[], "row 1 is missing");
        let more = [&all[..], &rows_after(&all)].concat();
        assert!(check(Chain::between(&whole, None).unwrap(), &more).is_ok(), "rows may come while it is checked");
    }

    /// A row behind the last one.
    fn rows_after(rows: &[Value]) -> Vec<Value> {
        let last = rows.last().unwrap();
        let prev = digest(last, "hash").unwrap();
        let mut row = json!({ "seq": last["seq"].as_u64().unwrap() + 1, "details": {}, "prev_hash": prev });
        let hash = Digest(Sha256::new().chain_update(prev.0).chain_update(hashed_text_of(&row)).finalize().into());
        row["hash"] = json!(hash);
        vec![row]
    }

    #[test]
    fn knows_a_row_that_was_seen_before() {
        let rows = rows(1, 3);
        let known = |seq: u64, hash: &Value| format!("{seq}:{}", hash.as_str().unwrap()).parse::<Known>().unwrap();
        assert!(check(Chain::anywhere(Some(known(2, &rows[1]["hash"]))), &rows).is_ok());
        refused(Chain::anywhere(Some(known(2, &rows[0]["hash"]))), &rows, "row 2 is not the row that it was");
        refused(Chain::anywhere(Some(known(4, &rows[0]["hash"]))), &rows, "row 4 is missing");
        refused(Chain::anywhere(Some(known(1, &rows[0]["hash"]))), &rows[1..], "row 1 cannot be checked");
        for text in ["", "1", "1:", ":00", "x:00", "1:zz"] {
            assert!(text.parse::<Known>().is_err(), "{text}");
        }
    }
}
