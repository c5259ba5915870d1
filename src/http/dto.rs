//! The JSON of the API. These are not store rows: a column can change without the API.

mod batch;
mod event;
mod execution;
mod filter;
mod node_run;
mod node_type;
mod page;
mod schedule;
mod time;
mod workflow;

pub(super) use self::{
    batch::{BatchBody, BatchSelectionBody},
    event::{EndBody, EventBody},
    execution::{ExecutionBody, StartedBody},
    filter::FilterBody,
    node_type::NodeTypeBody,
    page::{Page, page_limit},
    schedule::{BackfillBody, BackfilledBody, ScheduleBody, ScheduleDraftBody},
    time::{Time, parse_time},
    workflow::{VersionBody, WorkflowBody},
};
pub use self::{node_run::NodeRunBody, page::Items};
