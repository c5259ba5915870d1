//! Plays operations on schedules. Each acts on the state that the schedule is in, or on one that is slightly off.

use citadel::{
    model::{
        ids::WorkspaceId,
        schedule::{Tick, execution_of},
    },
    store::{
        Append, FireSchedule, MoveSchedule, NewSchedule, PageRequest, PublishedSchedule, ScheduleContent, ScheduleCursor,
        ScheduleState, Store,
    },
};

use super::{
    operation::{Operation, PUBLISHED, SCHEDULES},
    player::{created_at, told},
};
use crate::samples::{NOON, creation, execution, new_schedule, published, schedule, tick, workflow};

const HERE: WorkspaceId = WorkspaceId::DEFAULT;
/// Schedules that stand alone, per sequence: one less than there are names, so that the limit is met.
const ALONE_MAX: u32 = 1;

/// The answer to one operation.
pub(super) async fn play(store: &dyn Store, operation: &Operation) -> String {
    match operation {
        Operation::InsertSchedule { schedule, workflow: of, next } => {
            let new = new_schedule((*schedule).into(), at(*schedule), next.map(tick_at));
            told(store.insert_schedule(&NewSchedule { workflow: workflow((*of).into()), ..new }, ALONE_MAX).await)
        }
        Operation::UpdateSchedule { schedule: number, rev, next } => {
            let content = content(*number, *next);
            told(store.update_schedule(HERE, schedule((*number).into()), (*rev).into(), &content, at(*rev)).await)
        }
        Operation::PauseSchedule { schedule: number, time } => {
            told(store.pause_schedule(HERE, schedule((*number).into()), at(*time)).await)
        }
        Operation::ResumeSchedule { schedule: number, rev, next } => {
            let id = schedule((*number).into());
            told(store.resume_schedule(HERE, id, (*rev).into(), next.map(tick_at), at(*rev)).await)
        }
        Operation::DeleteSchedule { schedule: number } => told(store.delete_schedule(HERE, schedule((*number).into())).await),
        Operation::MoveSchedule { schedule: number, next, stale } => {
            let step = MoveSchedule {
                from: state(store, *number, *stale).await,
                next: next.map(tick_at),
                passed: (*stale).into(),
                error: next.is_none().then(|| "something".to_owned()),
            };
            told(store.move_schedule(&step).await)
        }
        Operation::FireSchedule { schedule: number, next, stale } => {
            let from = state(store, *number, *stale).await;
            let append = Append { state: None, ..creation(execution_of(from.id, from.scheduled_at), 0) };
            told(store.fire_schedule(&FireSchedule { from, next: next.map(tick_at), append }).await)
        }
        Operation::CreateQueued { execution: number, schedule: of } => {
            let id = execution((*number).into());
            let append = Append { created_at: created_at(*number), state: None, ..creation(id, 0) };
            told(store.create_queued(&append, of.map(|number| schedule(number.into()))).await)
        }
        Operation::ReadSchedules { after, until, limit } => read(store, *after, *until, (*limit).into()).await,
        _ => unreachable!("not about schedules"),
    }
}

/// One of the two schedules that a workflow may publish. What it says changes with the time.
pub(super) fn published_by(workflow: u8, half: u8, time: u8) -> PublishedSchedule {
    let number = workflow * (PUBLISHED / 2) + half;
    published(number.into(), if time < 5 { "early" } else { "late" }, Some(tick_at(time)))
}

async fn read(store: &dyn Store, after: Option<u8>, until: u8, limit: u32) -> String {
    let after = after.map(|number| ScheduleCursor { created_at: at(number), id: schedule(number.into()) });
    let mut answer = told(store.list_schedules(HERE, None, &PageRequest { after, limit }).await);
    answer += &told(store.list_schedules(HERE, Some(workflow(0)), &PageRequest { after: None, limit }).await);
    answer += &told(store.due_schedules(at(until) + 1_000, limit).await);
    for number in 0..SCHEDULES {
        let id = schedule(number.into());
        answer += &told(store.find_schedule(HERE, id).await);
        answer += &told(store.list_live_of_schedule(id, limit).await);
    }
    answer
}

/// The state that the schedule is in, or one that another caller would believe in.
async fn state(store: &dyn Store, number: u8, stale: u8) -> ScheduleState {
    let id = schedule(number.into());
    let row = store.find_schedule(HERE, id).await.unwrap();
    let (rev, next) = row.map_or((1, None), |row| (row.rev, row.content.next));
    let scheduled_at = next.map_or(NOON, |next| next.scheduled_at);
    match stale {
        0 => ScheduleState { id, rev, scheduled_at },
        1 => ScheduleState { id, rev: rev + 1, scheduled_at },
        _ => ScheduleState { id, rev, scheduled_at: scheduled_at + 1 },
    }
}

fn content(number: u8, next: Option<u8>) -> ScheduleContent {
    new_schedule(u128::from(number) + 10, NOON, next.map(tick_at)).content
}

fn tick_at(time: u8) -> Tick {
    Tick { waits: time.is_multiple_of(3), ..tick(at(time)) }
}

fn at(time: u8) -> u64 {
    NOON + u64::from(time)
}
