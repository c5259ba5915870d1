//! When an execution stores a snapshot of its machine: with a commit, once enough has come since the last one. A recovery then
//! reads the snapshot and the events after it, however long the journal is. An execution that ends before never has one.
//!
//! A snapshot is a help and nothing depends on it: one that cannot be stored is left out, one that cannot be read costs a replay
//! of the whole journal, which stays complete.

use super::Live;
use crate::{model::machine::SNAPSHOT_VERSION, store::Snapshot};

/// Events from one snapshot to the next, at least.
pub(super) const SNAPSHOT_EVENTS: u32 = 500;
/// Bytes that snapshots may have per byte of journal. A state that grows, such as the results of a long loop, would else be
/// written again and again, which takes quadratic time and room; so a large one waits for more events.
const SNAPSHOT_BYTES_PER_JOURNAL_BYTE: usize = 4;

/// How far an execution is from its next snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Number of the first event after the last snapshot.
    seq: u32,
    /// Bytes of the last snapshot, before it was packed.
    bytes: usize,
    /// Bytes of the events since then, before they were packed.
    journal_bytes: usize,
}

impl Pace {
    /// The pace of an execution that has this snapshot, and so much journal after it.
    pub(super) fn after(seq: u32, bytes: usize, journal_bytes: usize) -> Self {
        Self { seq, bytes, journal_bytes }
    }

    /// Counts a row that ends before `next_seq`. `true` if a snapshot is due with it.
    fn count(&mut self, next_seq: u32, row_bytes: usize) -> bool {
        self.journal_bytes += row_bytes;
        let events = next_seq.saturating_sub(self.seq);
        events >= SNAPSHOT_EVENTS && self.bytes <= self.journal_bytes.saturating_mul(SNAPSHOT_BYTES_PER_JOURNAL_BYTE)
    }
}

impl Live {
    /// The snapshot that goes with a row of `row_bytes` which ends before `next_seq`, if one is due. Everything that the row
    /// holds has been applied, and nothing else.
    pub(super) async fn snapshot_after(&mut self, next_seq: u32, row_bytes: usize) -> Option<Snapshot> {
        let is_due = self.journal.pace.count(next_seq, row_bytes);
        // What has ended is never recovered.
        if !is_due || self.machine.ended().is_some() {
            return None;
        }
        let document = self.machine.snapshot();
        self.journal.pace = Pace::after(next_seq, document.len(), 0);
        match self.engine.codec.encode(document).await {
            Ok(body) => Some(Snapshot { seq: next_seq, version: SNAPSHOT_VERSION, body }),
            Err(error) => {
                tracing::warn!(execution.id = %self.id, seq = next_seq, error = %error, "snapshot left out");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pace: Pace, next_seq: u32, row_bytes: usize, expected: bool) {
        assert_eq!({ pace }.count(next_seq, row_bytes), expected);
    }

    #[test]
    fn waits_for_enough_events() {
        let first = Pace::default();
        check(first, SNAPSHOT_EVENTS - 1, 1_000_000, false);
        check(first, SNAPSHOT_EVENTS, 1, true);
        let later = Pace::after(700, 100, 1_000);
        check(later, 700 + SNAPSHOT_EVENTS - 1, 1, false);
        check(later, 700 + SNAPSHOT_EVENTS, 1, true);
    }

    #[test]
    fn a_large_snapshot_waits_for_as_much_journal() {
        let large = Pace::after(0, 40_000, 9_000);
        check(large, 9_000, 999, false);
        check(large, 9_000, 1_000, true);
    }
}
