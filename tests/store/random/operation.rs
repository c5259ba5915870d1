//! What a random sequence is made of. Names are small numbers, so that the operations meet each other.

use proptest::{
    collection::{SizeRange, vec},
    option,
    prelude::*,
    sample::subsequence,
};

use super::audit::{self, AuditOperation};

/// Executions, workflows, messages and owners of a sequence: each number is one of them.
pub(super) const EXECUTIONS: u8 = 6;
pub(super) const WORKFLOWS: u8 = 2;
const MESSAGES: u8 = 6;
const OWNERS: u8 = 2;
const KEYS: u8 = 3;
const SESSIONS: u8 = 4;
/// Schedules of a sequence; those below [`PUBLISHED`] belong to workflows, one half to each.
pub(super) const SCHEDULES: u8 = 6;
pub(super) const PUBLISHED: u8 = 4;
const VARIABLES: u8 = 3;
/// Ways to narrow the list of workflows: see the player.
const FILTERS: u8 = 5;
/// Journal places; few, so that some are written twice.
const SEQS: u8 = 6;

/// One request of a batch.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) execution: u8,
    /// How far the sender's epoch is from the stored one.
    pub(super) epoch_offset: i8,
    pub(super) seq: u8,
    pub(super) creates: bool,
    pub(super) business_key: Option<u8>,
    /// Index in `ExecutionStatus::ALL`.
    pub(super) status: Option<u8>,
    pub(super) time: u8,
    pub(super) consumed: Vec<u8>,
    pub(super) notes: Vec<Message>,
    /// The version of its snapshot, if it has one.
    pub(super) snapshot: Option<u8>,
}

/// The message, its target, whether it has a dedupe key.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) number: u8,
    pub(super) target: u8,
    pub(super) key: Option<u8>,
}

/// One call of the store.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Append(Vec<Request>),
    CreateKeyed {
        request: Request,
        key: u8,
        now: u8,
        lives: u8,
    },
    CreateExclusive {
        request: Request,
        key: Option<u8>,
        adopts: bool,
    },
    Put(Message),
    DeleteInbox {
        execution: u8,
        number: u8,
    },
    ReadInboxes {
        after: Option<u8>,
        limit: u8,
    },
    ReadExecution {
        execution: u8,
        from_seq: u8,
        limit: u8,
    },
    ListExecutions {
        workflow: Option<u8>,
        statuses: Vec<u8>,
        key: Option<u8>,
        from: Option<u8>,
        after: Option<u8>,
        limit: u8,
    },
    ListLive {
        after: Option<u8>,
        limit: u8,
    },
    ListDue {
        until: u8,
        limit: u8,
    },
    RecordActivation {
        execution: u8,
        seq: u8,
    },
    ClearActivations {
        execution: u8,
        seq: u8,
        count: u8,
    },
    DeleteExecution {
        execution: u8,
    },
    Prune {
        now: u8,
        limit: u8,
    },
    Take {
        owner: u8,
        executions: Vec<u8>,
    },
    Renew {
        owner: u8,
    },
    Release {
        owner: u8,
    },
    InsertWorkflow {
        workflow: u8,
        time: u8,
    },
    UpdateWorkflow {
        workflow: u8,
        expected: u8,
        time: u8,
    },
    Activate {
        workflow: u8,
        version: u8,
        hooks: Vec<u8>,
        schedules: Vec<u8>,
        time: u8,
    },
    Deactivate {
        workflow: u8,
        time: u8,
    },
    DeleteWorkflow {
        workflow: u8,
    },
    ReadWorkflows {
        after: Option<u8>,
        below: Option<u8>,
        limit: u8,
        filter: u8,
    },
    InsertVariable {
        name: u8,
        content: u8,
    },
    UpdateVariable {
        name: u8,
        expected: Option<u8>,
        content: u8,
    },
    DeleteVariable {
        name: u8,
        expected: Option<u8>,
    },
    ReadVariables {
        name: u8,
        after: Option<u8>,
        limit: u8,
    },
    InsertSchedule {
        schedule: u8,
        workflow: u8,
        next: Option<u8>,
    },
    UpdateSchedule {
        schedule: u8,
        rev: u8,
        next: Option<u8>,
    },
    PauseSchedule {
        schedule: u8,
        time: u8,
    },
    ResumeSchedule {
        schedule: u8,
        rev: u8,
        next: Option<u8>,
    },
    DeleteSchedule {
        schedule: u8,
    },
    /// From the state that the schedule is in, or one that is off by `stale`.
    MoveSchedule {
        schedule: u8,
        next: Option<u8>,
        stale: u8,
    },
    FireSchedule {
        schedule: u8,
        next: Option<u8>,
        stale: u8,
    },
    CreateQueued {
        execution: u8,
        schedule: Option<u8>,
    },
    ReadSchedules {
        after: Option<u8>,
        until: u8,
        limit: u8,
    },
    InsertFirstUser {
        user: u8,
    },
    InsertSession {
        session: u8,
        user: u8,
    },
    /// Uses the token with the hash `from`.
    RotateSession {
        session: u8,
        from: u8,
        to: u8,
        after_ms: u16,
    },
    TouchSession {
        session: u8,
        after_ms: u32,
    },
    DeleteSession {
        session: u8,
    },
    SetPassword {
        user: u8,
        keep: Option<u8>,
    },
    Audit(AuditOperation),
    ReadAccounts {
        session: u8,
        user: u8,
    },
}

/// A sequence on a store that is ready to be used: without an owner or a workflow, most operations would do nothing.
pub(super) fn sequence(length: impl Into<SizeRange>) -> impl Strategy<Value = Vec<Operation>> {
    let ready = [
        Operation::Take { owner: 0, executions: (0..EXECUTIONS).collect() },
        Operation::InsertWorkflow { workflow: 0, time: 0 },
        Operation::InsertWorkflow { workflow: 1, time: 1 },
    ];
    vec(any(), length).prop_map(move |operations| ready.iter().cloned().chain(operations).collect())
}

/// Any operation: appends most often, since they have the most to agree about.
fn any() -> impl Strategy<Value = Operation> {
    prop_oneof![
        10 => vec(request(), 0..5).prop_map(Operation::Append),
        3 => (request(), 0..KEYS, 0..9_u8, 0..9_u8)
            .prop_map(|(request, key, now, lives)| Operation::CreateKeyed { request, key, now, lives }),
        3 => (request(), option::weighted(0.3, 0..KEYS), prop::bool::ANY)
            .prop_map(|(request, key, adopts)| Operation::CreateExclusive { request, key, adopts }),
        6 => executions(),
        5 => inboxes(),
        3 => shards(),
        6 => workflows(),
        8 => schedules(),
        2 => accounts(),
        2 => variables(),
        2 => audit::any().prop_map(Operation::Audit),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let epoch_offset = prop_oneof![8 => Just(0_i8), 1 => Just(-1), 1 => Just(1)];
    let creates = prop::bool::weighted(0.4);
    let notes = prop_oneof![2 => Just(Vec::new()), 1 => vec(message(), 1..3)];
    let snapshot = option::weighted(0.3, 1..4_u8);
    let messages = (vec(0..MESSAGES, 0..3), notes);
    let created = (creates, option::weighted(0.6, 0..2_u8));
    (0..EXECUTIONS, epoch_offset, 0..SEQS, created, option::of(status()), 0..9_u8, messages, snapshot).prop_map(
        |(execution, epoch_offset, seq, (creates, business_key), status, time, (consumed, notes), snapshot)| Request {
            execution,
            epoch_offset,
            seq,
            creates,
            business_key,
            status,
            time,
            consumed,
            notes,
            snapshot,
        },
    )
}

/// Mostly states that can go on.
fn status() -> impl Strategy<Value = u8> {
    prop_oneof![3 => 0..3_u8, 1 => 3..6_u8]
}

fn message() -> impl Strategy<Value = Message> {
    (0..MESSAGES, 0..EXECUTIONS, option::of(0..2_u8)).prop_map(|(number, target, key)| Message { number, target, key })
}

fn executions() -> impl Strategy<Value = Operation> {
    let (execution, limit, time) = (0..EXECUTIONS, 0..8_u8, 0..9_u8);
    let after = option::of(0..EXECUTIONS);
    let statuses = subsequence((0..6_u8).collect::<Vec<_>>(), 0..4);
    let narrowed = (option::of(0..WORKFLOWS), statuses, option::weighted(0.2, 0..2_u8), option::of(0..EXECUTIONS));
    let list = (narrowed, after.clone(), limit.clone());
    prop_oneof![
        3 => (execution.clone(), 0..SEQS, limit.clone())
            .prop_map(|(execution, from_seq, limit)| Operation::ReadExecution { execution, from_seq, limit }),
        2 => list.prop_map(|((workflow, statuses, key, from), after, limit)| {
            Operation::ListExecutions { workflow, statuses, key, from, after, limit }
        }),
        1 => (after, limit.clone()).prop_map(|(after, limit)| Operation::ListLive { after, limit }),
        1 => (time.clone(), limit.clone()).prop_map(|(until, limit)| Operation::ListDue { until, limit }),
        1 => (execution.clone(), 0..2_u8).prop_map(|(execution, seq)| Operation::RecordActivation { execution, seq }),
        1 => (execution.clone(), 0..2_u8, 0..3_u8)
            .prop_map(|(execution, seq, count)| Operation::ClearActivations { execution, seq, count }),
        1 => execution.prop_map(|execution| Operation::DeleteExecution { execution }),
        1 => (time, limit).prop_map(|(now, limit)| Operation::Prune { now, limit }),
    ]
}

fn inboxes() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => message().prop_map(Operation::Put),
        1 => (0..EXECUTIONS, 0..MESSAGES).prop_map(|(execution, number)| Operation::DeleteInbox { execution, number }),
        2 => (option::of(0..EXECUTIONS), 0..8_u8).prop_map(|(after, limit)| Operation::ReadInboxes { after, limit }),
    ]
}

fn shards() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0..OWNERS, vec(0..EXECUTIONS, 0..4)).prop_map(|(owner, executions)| Operation::Take { owner, executions }),
        1 => (0..OWNERS).prop_map(|owner| Operation::Renew { owner }),
        1 => (0..OWNERS).prop_map(|owner| Operation::Release { owner }),
    ]
}

fn workflows() -> impl Strategy<Value = Operation> {
    let (workflow, time) = (0..WORKFLOWS, 0..9_u8);
    let version = prop_oneof![3 => Just(1_u8), 1 => Just(2)];
    let (hooks, schedules) = (subsequence(vec![0_u8, 1, 2], 0..3), subsequence(vec![0_u8, 1], 0..3));
    prop_oneof![
        3 => (workflow.clone(), time.clone()).prop_map(|(workflow, time)| Operation::InsertWorkflow { workflow, time }),
        2 => (workflow.clone(), 1..3_u8, time.clone())
            .prop_map(|(workflow, expected, time)| Operation::UpdateWorkflow { workflow, expected, time }),
        6 => (workflow.clone(), version, hooks, schedules, time.clone()).prop_map(|(workflow, version, hooks, schedules, time)| {
            Operation::Activate { workflow, version, hooks, schedules, time }
        }),
        1 => (workflow.clone(), time).prop_map(|(workflow, time)| Operation::Deactivate { workflow, time }),
        1 => workflow.clone().prop_map(|workflow| Operation::DeleteWorkflow { workflow }),
        2 => (option::of(workflow), option::of(1..4_u8), 0..5_u8, 0..FILTERS)
            .prop_map(|(after, below, limit, filter)| Operation::ReadWorkflows { after, below, limit, filter }),
    ]
}

fn variables() -> impl Strategy<Value = Operation> {
    let (name, expected, content) = (0..VARIABLES, option::of(1..4_u8), 0..9_u8);
    prop_oneof![
        3 => (name.clone(), content.clone()).prop_map(|(name, content)| Operation::InsertVariable { name, content }),
        3 => (name.clone(), expected.clone(), content)
            .prop_map(|(name, expected, content)| Operation::UpdateVariable { name, expected, content }),
        1 => (name.clone(), expected).prop_map(|(name, expected)| Operation::DeleteVariable { name, expected }),
        2 => (name.clone(), option::of(name), 0..4_u8)
            .prop_map(|(name, after, limit)| Operation::ReadVariables { name, after, limit }),
    ]
}

fn schedules() -> impl Strategy<Value = Operation> {
    let (schedule, rev) = (0..SCHEDULES, 1..5_u8);
    let (next, stale) = (option::weighted(0.8, 0..9_u8), prop_oneof![6 => Just(0_u8), 1 => Just(1), 1 => Just(2)]);
    prop_oneof![
        3 => (PUBLISHED..SCHEDULES, 0..WORKFLOWS, next.clone())
            .prop_map(|(schedule, workflow, next)| Operation::InsertSchedule { schedule, workflow, next }),
        2 => (schedule.clone(), rev.clone(), next.clone())
            .prop_map(|(schedule, rev, next)| Operation::UpdateSchedule { schedule, rev, next }),
        1 => (schedule.clone(), 0..9_u8).prop_map(|(schedule, time)| Operation::PauseSchedule { schedule, time }),
        2 => (schedule.clone(), rev, next.clone())
            .prop_map(|(schedule, rev, next)| Operation::ResumeSchedule { schedule, rev, next }),
        1 => schedule.clone().prop_map(|schedule| Operation::DeleteSchedule { schedule }),
        2 => (schedule.clone(), next.clone(), stale.clone())
            .prop_map(|(schedule, next, stale)| Operation::MoveSchedule { schedule, next, stale }),
        4 => (schedule.clone(), next, stale)
            .prop_map(|(schedule, next, stale)| Operation::FireSchedule { schedule, next, stale }),
        1 => (0..EXECUTIONS, option::of(schedule.clone()))
            .prop_map(|(execution, schedule)| Operation::CreateQueued { execution, schedule }),
        3 => (option::of(schedule), 0..9_u8, 0..8_u8)
            .prop_map(|(after, until, limit)| Operation::ReadSchedules { after, until, limit }),
    ]
}

fn accounts() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => (0..2_u8).prop_map(|user| Operation::InsertFirstUser { user }),
        3 => (0..SESSIONS, 0..2_u8).prop_map(|(session, user)| Operation::InsertSession { session, user }),
        4 => (0..SESSIONS, 0..SESSIONS, 0..SESSIONS, 0..2_000_u16)
            .prop_map(|(session, from, to, after_ms)| Operation::RotateSession { session, from, to, after_ms }),
        1 => (0..SESSIONS, 0..90_000_u32).prop_map(|(session, after_ms)| Operation::TouchSession { session, after_ms }),
        1 => (0..SESSIONS).prop_map(|session| Operation::DeleteSession { session }),
        1 => (0..2_u8, option::of(0..SESSIONS)).prop_map(|(user, keep)| Operation::SetPassword { user, keep }),
        3 => (0..SESSIONS, 0..2_u8).prop_map(|(session, user)| Operation::ReadAccounts { session, user }),
    ]
}
