//! Schedules: what people and workflows make of them, and that a tick fires once.

use std::sync::Arc;

use citadel::{
    model::{
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
        schedule::{Tick, execution_of},
    },
    store::{
        Append, FireOutcome, FireSchedule, InsertSchedule, MoveSchedule, NewExecution, NewSchedule, PageRequest, Publication,
        PublishedSchedule, ScheduleContent, ScheduleCursor, ScheduleRow, ScheduleState, Store, UpdateSchedule,
    },
};

use crate::{
    harness::cases,
    samples::{
        NOON, all_shards, broken, change, commit, creation, finished, later, new_execution, new_schedule, new_workflow, own_all,
        published, schedule, stranger, tick, version, workflow,
    },
};

cases! {
    stores_a_schedule_that_stands_alone,
    schedules_of_a_workspace_obeyed_and_violated,
    changes_a_schedule_that_nobody_has_changed_meanwhile,
    pauses_and_resumes,
    lists_schedules_newest_first_by_pages,
    lists_what_is_due_soonest_first,
    publishes_the_schedules_of_the_active_version,
    a_published_schedule_that_says_the_same_goes_on,
    a_published_schedule_is_changed_by_its_workflow_only,
    fires_a_tick_once,
    a_tick_whose_execution_is_there_moves_on,
    a_schedule_in_another_state_does_not_fire,
    many_that_fire_one_tick_start_one_execution,
    an_execution_for_its_owner_is_created_once,
    knows_which_executions_of_a_schedule_live,
    passes_ticks_over,
    schedules_belong_to_their_workspace,
    deleting_a_workflow_takes_its_schedules,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

/// A store with workflow 1.
async fn with_workflow(store: &dyn Store) {
    store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
}

async fn insert(store: &dyn Store, new: &NewSchedule) -> ScheduleRow {
    match store.insert_schedule(new, 100).await.unwrap() {
        InsertSchedule::Inserted(row) => *row,
        other => panic!("not stored: {other:?}"),
    }
}

async fn activate(store: &dyn Store, version: u32, schedules: &[PublishedSchedule], now_ms: u64) {
    let publication = Publication { version, hooks: Vec::new(), schedules: schedules.to_vec(), now_ms };
    store.activate_workflow(HERE, workflow(1), &publication).await.unwrap();
}

async fn find(store: &dyn Store, number: u128) -> Option<ScheduleRow> {
    store.find_schedule(HERE, schedule(number)).await.unwrap()
}

fn next_of(row: &ScheduleRow) -> ScheduleState {
    ScheduleState { id: row.id, rev: row.rev, scheduled_at: row.content.next.unwrap().scheduled_at }
}

/// The firing of the next tick at a time.
fn firing(row: &ScheduleRow, next: Option<Tick>, fired_at: u64) -> FireSchedule {
    let from = next_of(row);
    let new = NewExecution { trigger: TriggerKind::Schedule, ..new_execution() };
    let id = execution_of(from.id, from.scheduled_at);
    let append = Append { created_at: fired_at, create: Some(new), state: None, ..creation(id, 0) };
    FireSchedule { from, next, append }
}

async fn stores_a_schedule_that_stands_alone(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let new = NewSchedule { paused_at: Some(NOON + 1), ..new_schedule(1, NOON, Some(tick(NOON + 10))) };
    let row = insert(&*store, &new).await;
    let expected = ScheduleRow {
        id: schedule(1),
        workspace: HERE,
        workflow: workflow(1),
        version: None,
        content: new.content.clone(),
        rev: 1,
        paused_at: Some(NOON + 1),
        last_scheduled_at: None,
        last_fired_at: None,
        fired: 0,
        passed: 0,
        last_error: None,
        created_at: NOON,
        updated_at: NOON,
    };
    assert_eq!(row, expected);
    assert_eq!(find(&*store, 1).await, Some(expected));
    assert_eq!(find(&*store, 2).await, None);
    assert_eq!(broken(store.insert_schedule(&new, 100).await), "schedules_key");

    let bare = ScheduleContent { node: Some("start".to_owned()), input: None, next: None, ..new.content };
    let new = NewSchedule { content: bare.clone(), ..new_schedule(2, NOON, None) };
    assert_eq!(insert(&*store, &new).await.content, bare);
    let homeless = NewSchedule { workflow: workflow(2), ..new_schedule(3, NOON, None) };
    assert_eq!(store.insert_schedule(&homeless, 100).await.unwrap(), InsertSchedule::NoWorkflow);
    assert!(store.delete_schedule(HERE, schedule(1)).await.unwrap());
    assert!(!store.delete_schedule(HERE, schedule(1)).await.unwrap());
    assert_eq!(find(&*store, 1).await, None);
}

async fn schedules_of_a_workspace_obeyed_and_violated(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    activate(&*store, 1, &[published(9, "{}", None)], NOON).await;
    for number in 1..=2 {
        let stored = store.insert_schedule(&new_schedule(number, NOON, None), 2).await.unwrap();
        assert!(matches!(stored, InsertSchedule::Inserted(_)), "published ones do not count");
    }
    assert_eq!(store.insert_schedule(&new_schedule(3, NOON, None), 2).await.unwrap(), InsertSchedule::Full);
    assert_eq!(find(&*store, 3).await, None);
}

async fn changes_a_schedule_that_nobody_has_changed_meanwhile(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let row = insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    let content = ScheduleContent {
        node: Some("other".to_owned()),
        spec: "{\"every\":\"9s\"}".into(),
        input: None,
        next: Some(Tick { waits: true, ..tick(NOON + 90) }),
    };
    let changed = store.update_schedule(HERE, schedule(1), 1, &content, NOON + 5).await.unwrap();
    let expected = ScheduleRow { content: content.clone(), rev: 2, updated_at: NOON + 5, ..row };
    assert_eq!(changed, UpdateSchedule::Updated(Box::new(expected.clone())));
    assert_eq!(find(&*store, 1).await, Some(expected));
    let stale = store.update_schedule(HERE, schedule(1), 1, &content, NOON).await.unwrap();
    assert_eq!(stale, UpdateSchedule::Stale { rev: 2 });
    assert_eq!(store.update_schedule(HERE, schedule(2), 1, &content, NOON).await.unwrap(), UpdateSchedule::NotFound);
}

async fn pauses_and_resumes(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let row = insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    let paused = store.pause_schedule(HERE, schedule(1), NOON + 5).await.unwrap().unwrap();
    assert_eq!(paused, ScheduleRow { paused_at: Some(NOON + 5), rev: 2, updated_at: NOON + 5, ..row.clone() });
    assert_eq!(store.pause_schedule(HERE, schedule(1), NOON + 6).await.unwrap(), Some(paused.clone()), "it is paused already");
    assert_eq!(store.pause_schedule(HERE, schedule(2), NOON).await.unwrap(), None);
    assert_eq!(store.due_schedules(u64::MAX, 9).await.unwrap(), []);
    assert_eq!(store.fire_schedule(&firing(&paused, None, NOON)).await.unwrap(), FireOutcome::Moved);
    let step = MoveSchedule { from: next_of(&paused), next: None, passed: 1, error: None };
    assert!(!store.move_schedule(&step).await.unwrap());

    let next = Some(tick(NOON + 60));
    let stale = store.resume_schedule(HERE, schedule(1), 1, next, NOON + 7).await.unwrap();
    assert_eq!(stale, UpdateSchedule::Stale { rev: 2 });
    let resumed = store.resume_schedule(HERE, schedule(1), 2, next, NOON + 7).await.unwrap();
    let content = ScheduleContent { next, ..row.content.clone() };
    assert_eq!(resumed, UpdateSchedule::Updated(Box::new(ScheduleRow { content, rev: 3, updated_at: NOON + 7, ..row })));
    assert_eq!(store.due_schedules(u64::MAX, 9).await.unwrap().len(), 1);
    assert_eq!(store.resume_schedule(HERE, schedule(2), 1, None, NOON).await.unwrap(), UpdateSchedule::NotFound);
}

async fn lists_schedules_newest_first_by_pages(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    store.insert_workflow(&new_workflow(2, NOON)).await.unwrap();
    for number in 1..=4 {
        let new = NewSchedule { workflow: workflow(number % 2 + 1), ..new_schedule(number, NOON + u64::from(number > 2), None) };
        insert(&*store, &new).await;
    }
    let list = async |of: Option<u128>, after: Option<(u64, u128)>, limit| -> Vec<u128> {
        let after = after.map(|(created_at, number)| ScheduleCursor { created_at, id: schedule(number) });
        let rows = store.list_schedules(HERE, of.map(workflow), &PageRequest { after, limit }).await.unwrap();
        (1..=4).rev().filter(|number| rows.iter().any(|row| row.id == schedule(*number))).collect()
    };
    assert_eq!(list(None, None, 9).await, [4, 3, 2, 1]);
    assert_eq!(list(None, None, 2).await, [4, 3]);
    assert_eq!(list(None, Some((NOON + 1, 3)), 9).await, [2, 1]);
    assert_eq!(list(None, Some((NOON, 2)), 1).await, [1]);
    assert_eq!(list(Some(1), None, 9).await, [4, 2]);
    assert_eq!(list(Some(2), Some((NOON + 1, 3)), 9).await, [1]);
    let rows = store.list_schedules(HERE, None, &PageRequest { after: None, limit: 9 }).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [4, 3, 2, 1].map(schedule));
}

async fn lists_what_is_due_soonest_first(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    for (number, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        insert(&*store, &new_schedule(number, NOON, Some(tick(NOON + at)))).await;
    }
    insert(&*store, &new_schedule(5, NOON, None)).await;
    let due = async |until: u64, limit| -> Vec<_> {
        let rows = store.due_schedules(NOON + 1_000 + until, limit).await.unwrap();
        rows.into_iter().map(|row| row.id).collect()
    };
    assert_eq!(due(9, 9).await, []);
    assert_eq!(due(10, 9).await, [2, 4].map(schedule));
    assert_eq!(due(30, 9).await, [2, 4, 3, 1].map(schedule));
    assert_eq!(due(30, 3).await, [2, 4, 3].map(schedule));
}

async fn publishes_the_schedules_of_the_active_version(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    store.update_workflow(HERE, workflow(1), 1, &version("workflow 1", NOON)).await.unwrap();
    insert(&*store, &new_schedule(7, NOON, None)).await;
    activate(&*store, 1, &[published(1, "a", Some(tick(NOON + 5))), published(2, "b", None)], NOON + 1).await;
    let row = find(&*store, 1).await.unwrap();
    assert_eq!((row.version, row.rev, row.created_at, row.updated_at), (Some(1), 1, NOON + 1, NOON + 1));
    assert_eq!((row.workflow, row.workspace), (workflow(1), HERE));
    let content = ScheduleContent { node: Some("node 1".to_owned()), spec: "a".into(), input: None, next: Some(tick(NOON + 5)) };
    assert_eq!(row.content, content);

    activate(&*store, 2, &[published(2, "b", None), published(3, "c", None)], NOON + 2).await;
    assert_eq!(find(&*store, 1).await, None, "version 2 does not have it");
    assert_eq!(find(&*store, 2).await.unwrap().version, Some(2));
    assert_eq!(find(&*store, 3).await.unwrap().version, Some(2));
    activate(&*store, 3, &[], NOON + 3).await;
    assert!(find(&*store, 3).await.is_some(), "there is no version 3");

    store.deactivate_workflow(HERE, workflow(1), NOON + 4).await.unwrap();
    assert_eq!((find(&*store, 2).await, find(&*store, 3).await), (None, None));
    assert!(find(&*store, 7).await.is_some(), "what stands alone stays");
}

async fn a_published_schedule_that_says_the_same_goes_on(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let (first, other) = (Some(tick(NOON + 5)), Some(tick(NOON + 50)));
    activate(&*store, 1, &[published(1, "a", first), published(2, "a", first)], NOON).await;
    store.pause_schedule(HERE, schedule(1), NOON + 1).await.unwrap();
    activate(&*store, 1, &[published(1, "a", other), published(2, "b", other)], NOON + 2).await;
    let (same, changed) = (find(&*store, 1).await.unwrap(), find(&*store, 2).await.unwrap());
    assert_eq!((same.content.next, same.paused_at, same.rev), (first, Some(NOON + 1), 3));
    assert_eq!((changed.content.next, changed.content.spec, changed.rev), (other, "b".into(), 2));
    assert_eq!((same.created_at, same.updated_at), (NOON, NOON + 2));
}

async fn a_published_schedule_is_changed_by_its_workflow_only(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    activate(&*store, 1, &[published(1, "a", None)], NOON).await;
    let content = new_schedule(1, NOON, None).content;
    let refused = store.update_schedule(HERE, schedule(1), 1, &content, NOON).await.unwrap();
    assert_eq!(refused, UpdateSchedule::Published);
    assert!(!store.delete_schedule(HERE, schedule(1)).await.unwrap());
    assert!(store.pause_schedule(HERE, schedule(1), NOON).await.unwrap().is_some());
    let resumed = store.resume_schedule(HERE, schedule(1), 2, None, NOON).await.unwrap();
    assert!(matches!(resumed, UpdateSchedule::Updated(row) if row.version == Some(1)));
}

async fn fires_a_tick_once(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    with_workflow(&*store).await;
    let row = insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    let next = Some(Tick { waits: true, ..tick(NOON + 60) });
    let fire = firing(&row, next, NOON + 3);
    assert_eq!(store.fire_schedule(&fire).await.unwrap(), FireOutcome::Fired);
    assert_eq!(store.fire_schedule(&fire).await.unwrap(), FireOutcome::Moved);
    let moved = find(&*store, 1).await.unwrap();
    let content = ScheduleContent { next, ..row.content.clone() };
    let (last_scheduled_at, last_fired_at) = (Some(NOON), Some(NOON + 3));
    assert_eq!(moved, ScheduleRow { content, last_scheduled_at, last_fired_at, fired: 1, ..row }, "a tick is no change");

    let id = fire.append.execution;
    let execution = store.get_execution(id).await.unwrap().unwrap();
    assert_eq!((execution.state.status, execution.created_at), (ExecutionStatus::Queued, NOON + 3));
    assert_eq!(execution.new.trigger, TriggerKind::Schedule);
    let journal = store.load_journal(id, 0, 9).await.unwrap();
    assert_eq!(journal.len(), 1);
    assert_eq!((journal[0].epoch, &journal[0].body), (epoch, &fire.append.entry.body));
    assert_eq!(store.list_queued(&all_shards(), 9).await.unwrap(), [id]);
    // Its owner goes on with it.
    commit(&*store, &later(id, epoch, 1)).await;
    assert_eq!(store.fire_schedule(&firing(&moved, None, NOON + 63)).await.unwrap(), FireOutcome::Fired);
    let ended = find(&*store, 1).await.unwrap();
    assert_eq!((ended.content.next, ended.fired), (None, 2));
}

async fn a_tick_whose_execution_is_there_moves_on(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let row = insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    let fire = firing(&row, Some(tick(NOON + 60)), NOON + 3);
    assert!(store.create_queued(&fire.append, Some(schedule(1))).await.unwrap(), "a backfill was first");
    assert_eq!(store.fire_schedule(&fire).await.unwrap(), FireOutcome::Repeated);
    assert_eq!(find(&*store, 1).await.unwrap().content.next, Some(tick(NOON + 60)));
    assert_eq!(store.load_journal(fire.append.execution, 0, 9).await.unwrap().len(), 1);
}

async fn a_schedule_in_another_state_does_not_fire(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let row = insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    let fire = firing(&row, None, NOON);
    let states = [
        ScheduleState { rev: 2, ..fire.from },
        ScheduleState { scheduled_at: NOON + 1, ..fire.from },
        ScheduleState { id: schedule(2), ..fire.from },
    ];
    for from in states {
        let outcome = store.fire_schedule(&FireSchedule { from, ..fire.clone() }).await.unwrap();
        assert_eq!(outcome, FireOutcome::Moved, "{from:?}");
        assert!(!store.move_schedule(&MoveSchedule { from, next: None, passed: 1, error: None }).await.unwrap());
    }
    assert_eq!(find(&*store, 1).await, Some(row));
    assert_eq!(store.get_execution(fire.append.execution).await.unwrap(), None);
}

async fn many_that_fire_one_tick_start_one_execution(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let mut row = insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    for round in 1..=5 {
        let next = Some(tick(NOON + round * 60));
        let fires: Vec<FireSchedule> = (0..4).map(|late| firing(&row, next, NOON + late)).collect();
        let outcomes = futures_util::future::join_all(fires.iter().map(|fire| store.fire_schedule(fire))).await;
        let fired = outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(FireOutcome::Fired))).count();
        assert_eq!(fired, 1, "round {round}");
        row = find(&*store, 1).await.unwrap();
        assert_eq!((row.fired, row.content.next), (round, next));
    }
    assert_eq!(store.list_live_of_schedule(schedule(1), 99).await.unwrap().len(), 5);
}

async fn an_execution_for_its_owner_is_created_once(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let id = execution_of(schedule(1), NOON);
    let append = Append { state: None, ..creation(id, -1) };
    assert!(store.create_queued(&append, None).await.unwrap());
    assert!(!store.create_queued(&append, None).await.unwrap());
    assert_eq!(store.find_journal_epoch(id, 0).await.unwrap(), Some(epoch));
    assert_eq!(store.list_live_of_schedule(schedule(1), 9).await.unwrap(), []);
    let append = Append { state: None, ..creation(execution_of(schedule(1), NOON + 1), -1) };
    let outcomes = futures_util::future::join_all((0..4).map(|_| store.create_queued(&append, Some(schedule(1))))).await;
    assert_eq!(outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(true))).count(), 1);
}

async fn knows_which_executions_of_a_schedule_live(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let mut ids: Vec<ExecutionId> = (0..3).map(|at| execution_of(schedule(1), NOON + at)).collect();
    ids.sort_unstable();
    for id in &ids {
        let append = Append { state: None, ..creation(*id, 0) };
        store.create_queued(&append, Some(schedule(1))).await.unwrap();
    }
    let other = Append { state: None, ..creation(execution_of(schedule(2), NOON), 0) };
    store.create_queued(&other, Some(schedule(2))).await.unwrap();
    assert_eq!(store.list_live_of_schedule(schedule(1), 9).await.unwrap(), ids);
    assert_eq!(store.list_live_of_schedule(schedule(1), 2).await.unwrap(), ids[..2]);
    commit(&*store, &change(ids[1], epoch, 1, finished(ExecutionStatus::Succeeded, NOON))).await;
    assert_eq!(store.list_live_of_schedule(schedule(1), 9).await.unwrap(), [ids[0], ids[2]]);
    store.prune(NOON + 1, 9).await.unwrap();
    assert_eq!(store.list_live_of_schedule(schedule(1), 9).await.unwrap(), [ids[0], ids[2]]);
    assert_eq!(store.list_live_of_schedule(schedule(3), 9).await.unwrap(), []);
}

async fn passes_ticks_over(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let row = insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    let held = Tick { due_at: NOON + 9_000, waits: true, ..tick(NOON) };
    let hold = MoveSchedule { from: next_of(&row), next: Some(held), passed: 0, error: None };
    assert!(store.move_schedule(&hold).await.unwrap());
    assert_eq!(find(&*store, 1).await.unwrap().content.next, Some(held));
    let error = Some("no such node".to_owned());
    let pass = MoveSchedule { from: next_of(&row), next: Some(tick(NOON + 60)), passed: 7, error: error.clone() };
    assert!(store.move_schedule(&pass).await.unwrap());
    let moved = find(&*store, 1).await.unwrap();
    assert_eq!((moved.content.next, moved.passed, &moved.last_error, moved.rev), (pass.next, 7, &error, row.rev));
    let pass = MoveSchedule { from: next_of(&moved), next: Some(tick(NOON + 120)), passed: 1, error: None };
    assert!(store.move_schedule(&pass).await.unwrap());
    let moved = find(&*store, 1).await.unwrap();
    assert_eq!((moved.passed, &moved.last_error), (8, &error), "what was wrong is kept");
    store.fire_schedule(&firing(&moved, None, NOON)).await.unwrap();
    assert_eq!(find(&*store, 1).await.unwrap().last_error, None, "until a tick fires");
}

async fn schedules_belong_to_their_workspace(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    let row = insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    let (there, id) = (stranger(), schedule(1));
    assert_eq!(store.find_schedule(there, id).await.unwrap(), None);
    assert_eq!(store.list_schedules(there, None, &PageRequest { after: None, limit: 9 }).await.unwrap(), []);
    assert_eq!(store.update_schedule(there, id, 1, &row.content, NOON).await.unwrap(), UpdateSchedule::NotFound);
    assert_eq!(store.pause_schedule(there, id, NOON).await.unwrap(), None);
    assert_eq!(store.resume_schedule(there, id, 1, None, NOON).await.unwrap(), UpdateSchedule::NotFound);
    assert!(!store.delete_schedule(there, id).await.unwrap());
    let theirs = NewSchedule { workspace: there, ..new_schedule(2, NOON, None) };
    assert_eq!(store.insert_schedule(&theirs, 9).await.unwrap(), InsertSchedule::NoWorkflow);
    assert_eq!(find(&*store, 1).await, Some(row));
}

async fn deleting_a_workflow_takes_its_schedules(store: Arc<dyn Store>) {
    with_workflow(&*store).await;
    insert(&*store, &new_schedule(1, NOON, Some(tick(NOON)))).await;
    activate(&*store, 1, &[published(2, "a", Some(tick(NOON)))], NOON).await;
    assert!(store.delete_workflow(HERE, workflow(1)).await.unwrap());
    assert_eq!((find(&*store, 1).await, find(&*store, 2).await), (None, None));
    assert_eq!(store.due_schedules(u64::MAX, 9).await.unwrap(), []);
}
