//! Plays operations on a store and writes its answers down as text, without what stores may say differently: the name of a
//! broken constraint.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use citadel::{
    model::{
        execution::ExecutionStatus,
        ids::{ExecutionId, WorkspaceId},
    },
    store::{
        Append, ExecutionCursor, ExecutionFilter, IdempotencyKey, InboxRow, NewExecution, NewHook, NewWorkflow, OnTaken,
        PageRequest, PasswordStep, Publication, Result, RotateSession, SessionRow, ShardLease, Snapshot, StateChange, Store,
        StoreError, WorkflowCursor, WorkflowFilter,
    },
};

use super::{
    audit,
    operation::{EXECUTIONS, Message, Operation, Request, WORKFLOWS},
    schedules,
};
use crate::samples::{
    LEASE_MS, NOON, all_shards, content, creation, entry, execution, idempotency_key, message, new_execution, new_variable,
    new_workflow, owner, session, session_row, signal, snapshot, tagged, user, user_row, workflow,
};

const DAY_MS: u64 = 24 * 3_600_000;
const HERE: WorkspaceId = WorkspaceId::DEFAULT;

/// A store with what its caller remembers: the epochs of the shards.
pub(super) struct Player {
    store: Arc<dyn Store>,
    epochs: BTreeMap<u16, i64>,
}

impl Player {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, epochs: BTreeMap::new() }
    }

    /// The answers to the operations, one after the other.
    pub(super) async fn play(mut self, operations: &[Operation]) -> Vec<String> {
        let mut answers = Vec::with_capacity(operations.len());
        for operation in operations {
            answers.push(self.answer(operation).await);
        }
        answers
    }

    async fn answer(&mut self, operation: &Operation) -> String {
        use Operation as O;
        match operation {
            O::Append(_) | O::CreateKeyed { .. } | O::CreateExclusive { .. } => self.write(operation).await,
            O::Put(_) | O::DeleteInbox { .. } | O::ReadInboxes { .. } => self.inbox(operation).await,
            O::Take { .. } | O::Renew { .. } | O::Release { .. } => self.shards(operation).await,
            O::InsertFirstUser { .. }
            | O::InsertSession { .. }
            | O::RotateSession { .. }
            | O::TouchSession { .. }
            | O::DeleteSession { .. }
            | O::SetPassword { .. }
            | O::ReadAccounts { .. } => self.accounts(operation).await,
            O::InsertWorkflow { .. }
            | O::UpdateWorkflow { .. }
            | O::Activate { .. }
            | O::Deactivate { .. }
            | O::DeleteWorkflow { .. }
            | O::ReadWorkflows { .. } => self.workflows(operation).await,
            O::InsertSchedule { .. }
            | O::UpdateSchedule { .. }
            | O::PauseSchedule { .. }
            | O::ResumeSchedule { .. }
            | O::DeleteSchedule { .. }
            | O::MoveSchedule { .. }
            | O::FireSchedule { .. }
            | O::CreateQueued { .. }
            | O::ReadSchedules { .. } => schedules::play(&*self.store, operation).await,
            O::InsertVariable { .. } | O::UpdateVariable { .. } | O::DeleteVariable { .. } | O::ReadVariables { .. } => {
                self.variables(operation).await
            }
            O::Audit(operation) => audit::play(&*self.store, operation).await,
            _ => self.executions(operation).await,
        }
    }

    async fn write(&self, operation: &Operation) -> String {
        match operation {
            Operation::Append(requests) => {
                let batch: Vec<Append> = requests.iter().map(|request| self.append(request)).collect();
                told(self.store.append_batch(&batch).await)
            }
            Operation::CreateKeyed { request, key, now, lives } => {
                let now_ms = NOON + u64::from(*now);
                let expires_at = now_ms + u64::from(*lives);
                let key = IdempotencyKey { now_ms, expires_at, ..idempotency_key(&format!("key {key}")) };
                let request = Request { creates: true, ..request.clone() };
                told(self.store.create_keyed(&self.append(&request), &key).await)
            }
            Operation::CreateExclusive { request, key, adopts } => {
                // Later than every other time of a sequence: no key has half expired then.
                let (now_ms, expires_at) = (NOON + 100, NOON + 1_000);
                let key = key.map(|key| IdempotencyKey { now_ms, expires_at, ..idempotency_key(&format!("key {key}")) });
                let on_taken = if *adopts { OnTaken::Adopt } else { OnTaken::Refuse };
                let request = Request { creates: true, ..request.clone() };
                told(self.store.create_exclusive(&self.append(&request), key.as_ref(), on_taken).await)
            }
            _ => unreachable!("not a write"),
        }
    }

    async fn executions(&self, operation: &Operation) -> String {
        match operation {
            Operation::ReadExecution { execution, from_seq, limit } => {
                let id = id(*execution);
                let row = told(self.store.get_execution(id).await);
                let found = told(self.store.find_execution(HERE, id).await);
                assert_eq!(row, found);
                let journal = told(self.store.load_journal(id, (*from_seq).into(), (*limit).into()).await);
                let epoch = told(self.store.find_journal_epoch(id, (*from_seq).into()).await);
                let snapshot = told(self.store.find_snapshot(id).await);
                format!("{row} {journal} {epoch} {snapshot}")
            }
            Operation::ListExecutions { workflow: of, statuses, key, from, after, limit } => {
                let filter = ExecutionFilter {
                    workflow: of.map(|number| workflow(number.into())),
                    statuses: statuses.iter().map(|status| status_of(*status)).collect(),
                    business_key: key.map(business_key),
                    created_from: from.map(created_at),
                    ..ExecutionFilter::default()
                };
                let after = after.map(|number| ExecutionCursor { created_at: created_at(number), id: id(number) });
                let page = PageRequest { after, limit: (*limit).into() };
                told(self.store.list_executions(HERE, &filter, &page).await)
            }
            Operation::ListLive { after, limit } => {
                let queued = told(self.store.list_queued(&all_shards(), (*limit).into()).await);
                told(self.store.list_live(&all_shards(), after.map(id), (*limit).into()).await) + &queued
            }
            Operation::ListDue { until, limit } => {
                told(self.store.list_due(&all_shards(), NOON + u64::from(*until), (*limit).into()).await)
            }
            Operation::RecordActivation { execution, seq } => {
                told(self.store.record_activation(id(*execution), (*seq).into()).await)
            }
            Operation::ClearActivations { execution, seq, count } => {
                told(self.store.clear_activations(id(*execution), (*seq).into(), (*count).into()).await)
            }
            Operation::DeleteExecution { execution } => told(self.store.delete_execution(HERE, id(*execution)).await),
            Operation::Prune { now, limit } => told(self.store.prune(NOON + u64::from(*now), (*limit).into()).await),
            _ => unreachable!("not about executions"),
        }
    }

    async fn inbox(&self, operation: &Operation) -> String {
        match operation {
            Operation::Put(message) => told(self.store.put_inbox(&inbox_row(message)).await),
            Operation::DeleteInbox { execution, number } => {
                told(self.store.delete_inbox(id(*execution), message((*number).into())).await)
            }
            Operation::ReadInboxes { after, limit } => {
                let mut answer = told(self.store.list_inbox_owners(&all_shards(), after.map(id), (*limit).into()).await);
                for number in 0..EXECUTIONS {
                    answer += &told(self.store.list_inbox(id(number), (*limit).into()).await);
                }
                answer
            }
            _ => unreachable!("not about inboxes"),
        }
    }

    async fn shards(&mut self, operation: &Operation) -> String {
        match operation {
            Operation::Take { owner: number, executions } => {
                let shards: Vec<u16> = executions.iter().map(|number| id(*number).shard()).collect();
                let leases = self.store.take_shards(owner((*number).into()), &shards, LEASE_MS).await;
                for ShardLease { shard, epoch } in leases.iter().flatten() {
                    self.epochs.insert(*shard, *epoch);
                }
                told(leases)
            }
            Operation::Renew { owner: number } => told(self.store.renew_shards(owner((*number).into()), LEASE_MS).await),
            Operation::Release { owner: number } => told(self.store.release_shards(owner((*number).into())).await),
            _ => unreachable!("not about shards"),
        }
    }

    async fn workflows(&self, operation: &Operation) -> String {
        match operation {
            Operation::InsertWorkflow { workflow, time } => {
                let new = new_workflow((*workflow).into(), at(*time));
                let version = tagged(&new.version.name, at(*time), &tags(*time));
                told(self.store.insert_workflow(&NewWorkflow { version, ..new }).await)
            }
            Operation::UpdateWorkflow { workflow: number, expected, time } => {
                let (id, next) = (workflow((*number).into()), tagged(&format!("Renamed at {time}"), at(*time), &tags(*time)));
                told(self.store.update_workflow(HERE, id, (*expected).into(), &next).await)
            }
            Operation::Activate { workflow: number, version, hooks, schedules, time } => {
                let hooks: Vec<NewHook> = hooks.iter().map(|number| hook(*number)).collect();
                let schedules = schedules.iter().map(|half| schedules::published_by(*number, *half, *time)).collect();
                let publication = Publication { version: (*version).into(), hooks, schedules, now_ms: at(*time) };
                told(self.store.activate_workflow(HERE, workflow((*number).into()), &publication).await)
            }
            Operation::Deactivate { workflow: number, time } => {
                told(self.store.deactivate_workflow(HERE, workflow((*number).into()), at(*time)).await)
            }
            Operation::DeleteWorkflow { workflow: number } => {
                told(self.store.delete_workflow(HERE, workflow((*number).into())).await)
            }
            Operation::ReadWorkflows { after, below, limit, filter } => {
                let filter = workflow_filter(*filter);
                let limit = (*limit).into();
                let after = after.map(|number| WorkflowCursor { created_at: at(number), id: workflow(number.into()) });
                let mut answer = told(self.store.list_workflows(HERE, &filter, &PageRequest { after, limit }).await);
                answer += &told(self.store.list_tags(HERE, filter.tag.as_deref(), limit).await);
                for number in 0..WORKFLOWS {
                    let (id, below) = (workflow(number.into()), below.map(u32::from));
                    answer += &told(self.store.find_workflow(HERE, id).await);
                    answer += &told(self.store.find_workflow_version(HERE, id, below.unwrap_or(1)).await);
                    answer += &told(self.store.list_workflow_versions(HERE, id, below, limit).await);
                }
                answer += &told(self.store.publication_rev().await);
                answer + &told(self.store.list_hooks(limit).await)
            }
            _ => unreachable!("not about workflows"),
        }
    }

    async fn variables(&self, operation: &Operation) -> String {
        let name = |number: u8| format!("v{number}");
        match operation {
            Operation::InsertVariable { name: number, content } => {
                told(self.store.insert_variable(&new_variable(&name(*number), (*content).into())).await)
            }
            Operation::UpdateVariable { name: number, expected, content: next } => {
                let (expected, next) = (expected.map(u32::from), content((*next).into()));
                told(self.store.update_variable(HERE, &name(*number), expected, &next).await)
            }
            Operation::DeleteVariable { name: number, expected } => {
                told(self.store.delete_variable(HERE, &name(*number), expected.map(u32::from)).await)
            }
            Operation::ReadVariables { name: number, after, limit } => {
                let found = told(self.store.find_variable(HERE, &name(*number)).await);
                let after = after.map(name);
                found + &told(self.store.list_variables(HERE, after.as_deref(), (*limit).into()).await)
            }
            _ => unreachable!("not about variables"),
        }
    }

    async fn accounts(&self, operation: &Operation) -> String {
        match operation {
            Operation::InsertFirstUser { user } => told(self.store.insert_first_user(&user_row((*user).into())).await),
            Operation::InsertSession { session: number, user: of } => {
                let row = SessionRow { user: user((*of).into()), ..session_row(*number) };
                told(self.store.insert_session(&row, Some(&user_row((*of).into()).password_hash)).await)
            }
            Operation::RotateSession { session: number, from, to, after_ms } => {
                let now_ms = NOON + u64::from(*after_ms);
                let step = RotateSession {
                    id: session((*number).into()),
                    from: [*from; 32],
                    to: [*to; 32],
                    now_ms,
                    expires_at: now_ms + 1_000,
                    grace_ms: 500,
                };
                told(self.store.rotate_session(&step).await)
            }
            Operation::TouchSession { session: number, after_ms } => {
                told(self.store.touch_session(session((*number).into()), NOON + u64::from(*after_ms)).await)
            }
            Operation::DeleteSession { session: number } => told(self.store.delete_session(session((*number).into())).await),
            Operation::SetPassword { user: of, keep } => {
                let keep = keep.map(|number| session(number.into()));
                told(
                    self.store
                        .set_password(
                            user((*of).into()),
                            &user_row((*of).into()).password_hash,
                            PasswordStep { keep, from: None },
                        )
                        .await,
                )
            }
            Operation::ReadAccounts { session: number, user: of } => {
                let found = told(self.store.find_session(session((*number).into())).await);
                let person = told(self.store.find_user(user((*of).into())).await);
                let same = told(self.store.find_user_by_email(&user_row((*of).into()).email).await);
                let places = told(self.store.list_workspaces(user((*of).into()), None, 9).await);
                format!("{found} {person} {same} {places}")
            }
            _ => unreachable!("not about accounts"),
        }
    }

    /// The request with the epoch that this caller believes in, give or take.
    fn append(&self, request: &Request) -> Append {
        let id = id(request.execution);
        let epoch = self.epochs.get(&id.shard()).copied().unwrap_or(0) + i64::from(request.epoch_offset);
        let new = NewExecution {
            workflow: workflow((request.execution % WORKFLOWS).into()),
            business_key: request.business_key.map(business_key),
            ..new_execution()
        };
        Append {
            created_at: created_at(request.execution),
            entry: entry(request.seq.into(), epoch),
            create: request.creates.then_some(new),
            state: request.status.map(|status| state_of(status_of(status), NOON + u64::from(request.time))),
            consumed: request.consumed.iter().map(|number| message((*number).into())).collect(),
            notify: request.notes.iter().map(inbox_row).collect(),
            snapshot: request.snapshot.map(|version| Snapshot { version: version.into(), ..snapshot(request.seq.into()) }),
            ..creation(id, epoch)
        }
    }
}

/// The answer as text.
pub(super) fn told<T: Debug>(result: Result<T>) -> String {
    match result {
        Ok(answer) => format!("{answer:?}"),
        Err(StoreError::Conflict { .. }) => "conflict".to_owned(),
        Err(error) => panic!("{error:?}"),
    }
}

fn business_key(number: u8) -> String {
    format!("order {number}")
}

fn id(number: u8) -> ExecutionId {
    execution(number.into())
}

/// Each execution has a day of its own, long ago: its journal's partition goes with it, and the number can be used again.
pub(super) fn created_at(number: u8) -> u64 {
    NOON - (1_000 - u64::from(number)) * DAY_MS
}

fn at(time: u8) -> u64 {
    NOON + u64::from(time)
}

fn status_of(index: u8) -> ExecutionStatus {
    ExecutionStatus::ALL[usize::from(index)]
}

fn state_of(status: ExecutionStatus, time: u64) -> StateChange {
    let is_terminal = status.is_terminal();
    StateChange {
        status,
        wake_at: (status == ExecutionStatus::Waiting).then_some(time),
        finished_at: is_terminal.then_some(time),
        error_code: (status == ExecutionStatus::Failed).then(|| "timeout".to_owned()),
        expires_at: is_terminal.then_some(time),
    }
}

fn inbox_row(message: &Message) -> InboxRow {
    let dedupe_key = message.key.map(|key| format!("key {key}"));
    InboxRow { dedupe_key, ..signal(message.number.into(), id(message.target)) }
}

fn hook(number: u8) -> NewHook {
    NewHook { path: format!("path/{number}"), method: "POST".to_owned(), node: "hook".to_owned() }
}

/// The tags of a version that was stored at this time.
fn tags(time: u8) -> Vec<&'static str> {
    match time % 3 {
        0 => vec!["red"],
        1 => vec!["red", "Blue"],
        _ => vec![],
    }
}

/// One of five ways to narrow the list of workflows.
fn workflow_filter(number: u8) -> WorkflowFilter {
    let (tag, name_part, active) = match number {
        0 => (Some("red"), None, None),
        1 => (Some("Blue"), Some("RENAMED"), None),
        2 => (None, Some("FLOW"), Some(false)),
        3 => (None, None, Some(true)),
        _ => (None, None, None),
    };
    WorkflowFilter { tag: tag.map(str::to_owned), name_part: name_part.map(str::to_owned), active }
}
