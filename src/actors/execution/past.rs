//! What the store has of an execution: its creation, and either all of its events, or a snapshot with the events after it. Read
//! by recoveries; histories read the whole journal.
//!
//! A journal that is too short for a snapshot is read as if there were none: nobody asks the store for one.

use std::sync::Arc;

use bytes::Bytes;
use ractor::ActorProcessingErr;

use super::snapshots::{Pace, SNAPSHOT_EVENTS};
use crate::{
    actors::engine::Engine,
    model::{
        event::{Event, Parent, Recorded},
        graph::Graph,
        ids::ExecutionId,
        machine::Machine,
    },
    store::{JournalRow, Snapshot},
};

/// Journal rows that one read takes.
const JOURNAL_READ_ROWS: u32 = 500;

/// What has happened to an execution.
pub(super) struct Past {
    /// The first event, if there is any.
    pub(super) created: Option<Event>,
    /// Number of the next event.
    pub(super) next_seq: u32,
    /// Whether the events are those after a snapshot.
    base: Option<Base>,
    events: Vec<Recorded>,
    /// Bytes of the events.
    bytes: usize,
}

/// A snapshot that could be unpacked.
struct Base {
    seq: u32,
    version: u32,
    document: Bytes,
}

impl Past {
    /// Reads what a recovery needs.
    ///
    /// Errors: the store, or a journal that cannot be read.
    pub(super) async fn read(engine: &Engine, id: ExecutionId) -> Result<Self, ActorProcessingErr> {
        let first_page = Page::load(engine, id, 0).await?;
        if first_page.rows.iter().map(|row| u64::from(row.count)).sum::<u64>() < u64::from(SNAPSHOT_EVENTS) {
            return Self::whole(engine, id, first_page).await;
        }
        match Self::from_snapshot(engine, id, &first_page).await {
            Ok(Some(past)) => Ok(past),
            Ok(None) => Self::whole(engine, id, first_page).await,
            Err(error) => {
                tracing::warn!(execution.id = %id, error = %error, "snapshot not read, replaying the whole journal");
                Self::whole(engine, id, first_page).await
            }
        }
    }

    /// `None` if there is no snapshot.
    async fn from_snapshot(engine: &Engine, id: ExecutionId, first_page: &Page) -> Result<Option<Self>, ActorProcessingErr> {
        let Some(Snapshot { seq, version, body }) = engine.store.find_snapshot(id).await? else { return Ok(None) };
        let base = Base { seq, version, document: engine.codec.decode(&body).await? };
        let mut creation = Reader::new(engine, id, 0);
        creation.take(&first_page.rows[..1]).await?;
        let mut reader = Reader::new(engine, id, seq);
        reader.read_on(first_page.from(seq)).await?;
        let Reader { next_seq, events, bytes, .. } = reader;
        Ok(Some(Self { created: first_of(&creation.events), next_seq, base: Some(base), events, bytes }))
    }

    async fn whole(engine: &Engine, id: ExecutionId, first_page: Page) -> Result<Self, ActorProcessingErr> {
        let mut reader = Reader::new(engine, id, 0);
        reader.read_on(first_page).await?;
        let Reader { next_seq, events, bytes, .. } = reader;
        Ok(Self { created: first_of(&events), next_seq, base: None, events, bytes })
    }

    /// The machine to which all of this has happened. A snapshot that is no use gives way to the whole journal.
    ///
    /// Errors: that journal cannot be read.
    pub(super) async fn replay(
        &mut self,
        engine: &Engine,
        id: ExecutionId,
        graph: &Arc<Graph>,
    ) -> Result<Machine, ActorProcessingErr> {
        if let Some(Base { version, document, .. }) = &self.base {
            match Machine::restore(Arc::clone(graph), *version, document) {
                Ok(machine) => return Ok(self.applied_to(machine)),
                Err(error) => {
                    tracing::warn!(execution.id = %id, error = %error, "snapshot not used, replaying the whole journal");
                }
            }
            *self = Self::whole(engine, id, Page::load(engine, id, 0).await?).await?;
        }
        Ok(self.applied_to(Machine::new(Arc::clone(graph))))
    }

    fn applied_to(&self, mut machine: Machine) -> Machine {
        for recorded in &self.events {
            machine.apply(&recorded.event, recorded.at);
        }
        machine
    }

    /// The execution that started this one.
    pub(super) fn parent(&self) -> Option<&Parent> {
        match &self.created {
            Some(Event::Created { parent, .. }) => parent.as_ref(),
            _ => None,
        }
    }

    /// Number of the first event that is replayed.
    pub(super) fn replayed_from(&self) -> u32 {
        self.base.as_ref().map_or(0, |base| base.seq)
    }

    /// How far the execution is from its next snapshot.
    pub(super) fn pace(&self) -> Pace {
        let base = self.base.as_ref();
        base.map_or_else(|| Pace::after(0, 0, self.bytes), |base| Pace::after(base.seq, base.document.len(), self.bytes))
    }
}

/// Every event of a journal, in order.
///
/// Errors: a gap, or a row that cannot be read.
pub async fn read_events(engine: &Engine, id: ExecutionId) -> Result<Vec<Recorded>, ActorProcessingErr> {
    let mut reader = Reader::new(engine, id, 0);
    reader.read_on(Page::load(engine, id, 0).await?).await?;
    Ok(reader.events)
}

fn first_of(events: &[Recorded]) -> Option<Event> {
    events.first().map(|recorded| recorded.event.clone())
}

/// Some rows of a journal.
struct Page {
    rows: Vec<JournalRow>,
    /// Whether the journal has no rows after these.
    is_last: bool,
}

impl Page {
    async fn load(engine: &Engine, id: ExecutionId, from_seq: u32) -> Result<Self, ActorProcessingErr> {
        let rows = engine.store.load_journal(id, from_seq, JOURNAL_READ_ROWS).await?;
        let is_last = rows.len() < usize::try_from(JOURNAL_READ_ROWS)?;
        Ok(Self { rows, is_last })
    }

    /// The rows from `seq` on.
    fn from(&self, seq: u32) -> Self {
        let rows = self.rows.iter().filter(|row| row.seq >= seq).cloned().collect();
        Self { rows, is_last: self.is_last }
    }
}

/// Unpacks a journal, row after row.
struct Reader<'a> {
    engine: &'a Engine,
    id: ExecutionId,
    next_seq: u32,
    events: Vec<Recorded>,
    bytes: usize,
}

impl<'a> Reader<'a> {
    fn new(engine: &'a Engine, id: ExecutionId, next_seq: u32) -> Self {
        Self { engine, id, next_seq, events: Vec::new(), bytes: 0 }
    }

    /// Takes a page and everything after it.
    async fn read_on(&mut self, mut page: Page) -> Result<(), ActorProcessingErr> {
        loop {
            self.take(&page.rows).await?;
            if page.is_last {
                return Ok(());
            }
            page = Page::load(self.engine, self.id, self.next_seq).await?;
        }
    }

    async fn take(&mut self, rows: &[JournalRow]) -> Result<(), ActorProcessingErr> {
        for row in rows {
            if row.seq != self.next_seq {
                return Err(format!("the journal of {} has a gap before {}", self.id, row.seq).into());
            }
            let document = self.engine.codec.decode(&row.body).await?;
            let events: Vec<Recorded> = serde_json::from_slice(&document)?;
            if events.is_empty() {
                return Err(format!("the journal of {} has an empty row at {}", self.id, row.seq).into());
            }
            self.next_seq += u32::try_from(events.len())?;
            self.bytes += document.len();
            self.events.extend(events);
        }
        Ok(())
    }
}
