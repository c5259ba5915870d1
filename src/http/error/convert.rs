//! Which problem each error of the rooms below becomes: one `match` per error.

use axum::http::{HeaderValue, header};

use super::ApiError;
use crate::{
    actors::{
        accounts::{LoginError, PasswordChangeError, SetupError},
        executions::{BatchError, CommandError, ReadError, RetryError, StartError},
        quotas::QuotaError,
        scheduler::launch::LaunchError,
        schedules::ScheduleError,
        workflows::WorkflowError,
    },
    auth::password::PasswordError,
    http::{
        extract::{etag, unauthenticated},
        problem,
    },
    model::{
        limits::{NAME_CHARS_MAX, PROBLEMS_MAX, SCHEDULES_MAX},
        problem::{Problem, counted},
        reuse::ReuseError,
    },
    store::StoreError,
};

/// Advice for a server that has too much to do, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;
/// The same for a workspace that has no room: that takes somebody who makes some.
const STORAGE_RETRY_AFTER_MS: u64 = 60_000;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::unavailable(error),
            StoreError::Conflict { .. }
            | StoreError::Corrupt { .. }
            | StoreError::SchemaTooNew { .. }
            | StoreError::SchemaTooOld { .. }
            | StoreError::Locked { .. }
            | StoreError::InvalidUrl { .. } => Self::internal(error),
        }
    }
}

impl From<WorkflowError> for ApiError {
    fn from(error: WorkflowError) -> Self {
        match error {
            WorkflowError::NotFound => Self::new(&problem::WORKFLOW_NOT_FOUND, "check the id, or list the workflows"),
            WorkflowError::VersionNotFound { .. } => Self::new(&problem::VERSION_NOT_FOUND, error.to_string()),
            WorkflowError::Invalid(problems) => {
                let detail = format!("{}: see `errors`", counted(problems.len(), "problem"));
                Self::new(&problem::INVALID_DEFINITION, detail).with_errors(problems)
            }
            WorkflowError::Stale { latest_version } => {
                let detail = format!("its latest version is {latest_version}: read it, and apply your change to it");
                let tag = HeaderValue::try_from(format!("\"{latest_version}\"")).expect("digits and quotes are fit for a header");
                Self::new(&problem::WORKFLOW_STALE, detail).with_header(header::ETAG, tag)
            }
            WorkflowError::KeyMismatch => Self::new(&problem::KEY_MISMATCH, "use a new key for a new request"),
            WorkflowError::HookTaken { ref hook, workflow } => {
                let detail =
                    format!("{} /hooks/{} belongs to {workflow}: deactivate that, or use another path", hook.method, hook.path);
                Self::new(&problem::HOOK_TAKEN, detail)
            }
            WorkflowError::Unusable { .. } => Self::new(&problem::INVALID_DEFINITION, error.to_string()),
            WorkflowError::Secret(_) | WorkflowError::Interrupted(_) => Self::internal(error),
            WorkflowError::Store(source) => source.into(),
        }
    }
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Overloaded { retry_after_ms } => {
                Self::new(&problem::OVERLOADED, "too many executions wait to start").with_retry_after_ms(retry_after_ms)
            }
            StartError::Quota(refused) => refused.into(),
            StartError::Draining => Self::new(&problem::DRAINING, "send the request again: another server takes it")
                .with_retry_after_ms(RETRY_AFTER_MS),
            StartError::UnknownStartNode { node } => {
                Self::new(&problem::UNKNOWN_START_NODE, format!("the workflow has no node `{node}`"))
            }
            StartError::NoTrigger => {
                Self::new(&problem::UNKNOWN_START_NODE, "the workflow has no enabled trigger: name a `start_node`")
            }
            StartError::KeyMismatch => Self::new(&problem::KEY_MISMATCH, "use a new key for a new request"),
            StartError::InputTooLarge { .. } => Self::new(&problem::TOO_LARGE, error.to_string()),
            StartError::Unknown => {
                Self::new(&problem::UNAVAILABLE, "the start may have happened: repeat it with the same Idempotency-Key")
                    .with_retry_after_ms(RETRY_AFTER_MS)
            }
            StartError::Exists { .. } => Self::internal(error),
            StartError::KeyTaken { execution } => {
                let detail = format!("{execution} has it and has not finished: `on_conflict` says what to do about it");
                Self::new(&problem::BUSINESS_KEY_TAKEN, detail).with_execution(execution)
            }
            StartError::Unavailable(source) => source.into(),
        }
    }
}

impl From<QuotaError> for ApiError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Executions { .. } => {
                Self::new(&problem::EXECUTIONS_QUOTA, format!("{error}: wait until some have ended"))
                    .with_retry_after_ms(RETRY_AFTER_MS)
            }
            QuotaError::Starts { retry_after_ms, .. } => {
                Self::new(&problem::STARTS_QUOTA, error.to_string()).with_retry_after_ms(retry_after_ms)
            }
            QuotaError::Storage { .. } => {
                let detail = format!("{error}: delete executions, or keep them for a shorter time");
                Self::new(&problem::STORAGE_QUOTA, detail).with_retry_after_ms(STORAGE_RETRY_AFTER_MS)
            }
        }
    }
}

impl From<ScheduleError> for ApiError {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::NotFound => Self::new(&problem::SCHEDULE_NOT_FOUND, "check the id, or list the schedules"),
            ScheduleError::Invalid(problems) => {
                let detail = format!("{}: see `errors`", counted(problems.len(), "problem"));
                Self::new(&problem::INVALID_SCHEDULE, detail).with_errors(problems)
            }
            ScheduleError::Stale { rev } => {
                let detail = "read it, and apply your change to what it is now";
                Self::new(&problem::SCHEDULE_STALE, detail).with_header(header::ETAG, etag(rev))
            }
            ScheduleError::Published { workflow } => {
                let detail = format!("it is a node of {workflow}: activate another version of that, or deactivate it");
                Self::new(&problem::SCHEDULE_PUBLISHED, detail)
            }
            ScheduleError::OtherWorkflow { workflow } => {
                let detail = format!("is {workflow} and stays that: create another schedule");
                let errors = vec![Problem::new("/workflow_id", "immutable", detail)];
                Self::new(&problem::INVALID_SCHEDULE, "1 problem: see `errors`").with_errors(errors)
            }
            ScheduleError::Full => {
                let detail = format!("{SCHEDULES_MAX} schedules may stand alone: delete some, or make them nodes of workflows");
                Self::new(&problem::SCHEDULE_LIMIT, detail)
            }
            ScheduleError::KeyMismatch => Self::new(&problem::KEY_MISMATCH, "use a new key for a new request"),
            ScheduleError::Start(source) => source.into(),
            ScheduleError::Workflow(source) => source.into(),
            ScheduleError::Unreadable { .. } => Self::internal(error),
            ScheduleError::Store(source) => source.into(),
        }
    }
}

impl From<LaunchError> for ApiError {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::UnknownStartNode { .. } | LaunchError::NoTrigger => {
                Self::new(&problem::UNKNOWN_START_NODE, error.to_string())
            }
            LaunchError::Workflow(source) => source.into(),
            LaunchError::Input(_) => Self::internal(error),
            LaunchError::Store(source) => source.into(),
        }
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound => Self::new(&problem::EXECUTION_NOT_FOUND, "check the id, or list the executions"),
            CommandError::Finished => Self::new(&problem::EXECUTION_FINISHED, "nothing can be sent to it any more"),
            CommandError::Running => Self::new(&problem::EXECUTION_RUNNING, "cancel it first"),
            CommandError::InboxFull => Self::new(&problem::INBOX_FULL, "wait until the execution has taken some messages")
                .with_retry_after_ms(RETRY_AFTER_MS),
            CommandError::InvalidPayload(problems) => {
                let detail = format!("{}: see `errors`", counted(problems.len(), "problem"));
                Self::new(&problem::INVALID_BODY, detail).with_errors(problems)
            }
            CommandError::Unreadable(source) => source.into(),
            CommandError::Unavailable(source) => source.into(),
        }
    }
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => CommandError::NotFound.into(),
            RetryError::Running => Self::new(&problem::EXECUTION_RUNNING, "wait for its end, or cancel it"),
            RetryError::Refused(ReuseError::NothingFailed) => {
                Self::new(&problem::NOTHING_TO_RETRY, "say where to begin, with `from`: `start` or a node")
            }
            RetryError::Refused(ReuseError::Unfit(problem)) => {
                Self::new(&problem::CANNOT_REUSE, problem.detail.clone()).with_errors(vec![problem])
            }
            RetryError::TooLarge { .. } => {
                let detail = format!("{error}: begin at the start, or at a node before the large results");
                Self::new(&problem::CANNOT_REUSE, detail)
            }
            RetryError::Refused(ReuseError::NoCreation) => Self::internal(error),
            RetryError::Version(source) => source.into(),
            RetryError::Read(source) => source.into(),
            RetryError::Start(source) => source.into(),
        }
    }
}

impl From<BatchError> for ApiError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::NotFound => Self::new(&problem::BATCH_NOT_FOUND, "check the id, or list the batches"),
            BatchError::Ended => Self::new(&problem::BATCH_ENDED, "there is nothing left to cancel"),
            BatchError::TooLarge => Self::new(&problem::BATCH_TOO_LARGE, format!("{error}: narrow the filter")),
            BatchError::UnknownIds(places) => {
                let code = problem::EXECUTION_NOT_FOUND.code;
                let unknown = |place| Problem::new(format!("/ids/{place}"), code, "there is no such execution");
                let errors = places.into_iter().take(PROBLEMS_MAX).map(unknown).collect();
                Self::new(&problem::INVALID_BATCH, "some of the executions do not exist: see `errors`").with_errors(errors)
            }
            BatchError::TooMany => Self::new(&problem::TOO_MANY_BATCHES, "wait until one has ended, or cancel one")
                .with_retry_after_ms(RETRY_AFTER_MS),
            BatchError::KeyMismatch => Self::new(&problem::KEY_MISMATCH, "use a new key for a new request"),
            BatchError::Unavailable(source) => source.into(),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(source) => source.into(),
            ReadError::Journal { .. } => Self::internal(error),
        }
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong(_) => Self::new(&problem::LOGIN_FAILED, "check both"),
            LoginError::TooMany { retry_after_ms } => too_many_logins(retry_after_ms),
            LoginError::Password(source) => refuse_password(source, "/password"),
            LoginError::Store(source) => source.into(),
        }
    }
}

impl From<PasswordChangeError> for ApiError {
    fn from(error: PasswordChangeError) -> Self {
        match error {
            PasswordChangeError::Nobody => Self::new(&problem::PERMISSION_DENIED, "only people have passwords"),
            PasswordChangeError::Wrong => Self::new(&problem::PASSWORD_WRONG, "check `current_password`"),
            PasswordChangeError::TooMany { retry_after_ms } => too_many_logins(retry_after_ms),
            PasswordChangeError::Password(source) => refuse_password(source, "/new_password"),
            PasswordChangeError::Store(source) => source.into(),
        }
    }
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Done => Self::new(&problem::SETUP_DONE, "log in, or ask an owner for an invitation"),
            SetupError::Token => unauthenticated("this is not the setup token: the first start has printed it"),
            SetupError::Email => refuse_field("/email", "this is no e-mail address"),
            SetupError::Taken => refuse_field("/email", "somebody has this address"),
            SetupError::Name => refuse_field("/name", format!("a name has up to {NAME_CHARS_MAX} printable characters")),
            SetupError::Password(source) => refuse_password(source, "/password"),
            SetupError::Keep(_) => Self::internal(error),
            SetupError::Store(source) => source.into(),
        }
    }
}

fn too_many_logins(retry_after_ms: u64) -> ApiError {
    ApiError::new(&problem::TOO_MANY_LOGINS, "wait before you try again").with_retry_after_ms(retry_after_ms)
}

/// The problem of a password in the field `pointer` of a body.
fn refuse_password(error: PasswordError, pointer: &'static str) -> ApiError {
    match error {
        PasswordError::Length => refuse_field(pointer, error.to_string()),
        PasswordError::Busy => ApiError::new(&problem::OVERLOADED, "too many logins at once").with_retry_after_ms(RETRY_AFTER_MS),
        PasswordError::Hash(_) => ApiError::internal(error),
    }
}

/// The problem of one field of a body.
fn refuse_field(pointer: &'static str, detail: impl Into<String>) -> ApiError {
    let placed = Problem::new(pointer, problem::INVALID_BODY.code, detail);
    ApiError::new(&problem::INVALID_BODY, "a field is not as it should be: see `errors`").with_errors(vec![placed])
}
