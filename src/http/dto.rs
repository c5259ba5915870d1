//! The JSON of the API. These are not store rows: a column can change without the API.

mod actor;
mod audit;
mod batch;
mod code;
mod credential;
mod event;
mod execution;
mod filter;
mod node_run;
mod node_type;
mod page;
mod people;
mod schedule;
mod stats;
mod time;
mod trial;
mod variable;
mod workflow;

pub(super) use self::{
    actor::{ActorBody, ActorsBody},
    audit::{AuditBody, AuditChainBody},
    batch::{BatchBody, BatchSelectionBody},
    code::{CodeRunBody, RuntimesBody},
    credential::{
        AuthorizationBody, CredentialBody, CredentialTestBody, CredentialTypeBody, CredentialUserBody, RotationBody, SecretsBody,
    },
    event::{EndBody, EventBody},
    execution::{ExecutionBody, StartedBody},
    filter::FilterBody,
    node_type::NodeTypeBody,
    page::{Page, page_limit},
    people::{AccountBody, ApiKeyBody, InvitationBody, JoinedWorkspaceBody, MemberBody, RoleBody, WorkspaceBody},
    schedule::{BackfillBody, BackfilledBody, ScheduleBody, ScheduleDraftBody},
    stats::StatsBody,
    time::{Time, parse_time},
    trial::TrialBody,
    variable::VariableBody,
    workflow::{VersionBody, WorkflowBody},
};
pub use self::{node_run::NodeRunBody, page::Items};
