//! Rows of executions: reading, listing, what an owner starts and wakes.

use std::sync::Arc;

use citadel::{
    model::{
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkspaceId},
    },
    store::{
        Append, DueExecution, ExecutionCursor, ExecutionFilter, ExecutionRow, NewExecution, PageRequest, StateChange, Store,
    },
};

use crate::{
    harness::cases,
    samples::{
        NOON, all_shards, change, commit, creation, execution, finished, later, new_execution, own_all, state, stranger,
        waiting_until, workflow,
    },
};

cases! {
    keeps_every_field_of_a_row,
    finds_executions_of_the_workspace_only,
    lists_newest_first_by_pages,
    every_filter_narrows_the_list,
    several_statuses_are_one_list,
    filters_narrow_together,
    lists_live_executions_of_the_shards,
    lists_queued_executions_of_the_shards,
    lists_due_executions_soonest_first,
    counts_activations_at_a_place,
    forgets_activations_that_ended_well,
}

async fn keeps_every_field_of_a_row(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let new = NewExecution {
        workspace: stranger(),
        workflow: workflow(3),
        version: 12,
        trigger: TriggerKind::Webhook,
        parent: Some(execution(7)),
        retry_of: Some(execution(8)),
        business_key: Some("order 4711 \u{1F980}".to_owned()),
    };
    let first = StateChange { wake_at: Some(NOON + 1), ..state(ExecutionStatus::Waiting) };
    let append = Append { create: Some(new.clone()), state: Some(first.clone()), ..creation(execution(1), epoch) };
    commit(&*store, &append).await;
    let row = ExecutionRow { id: execution(1), new, state: first, created_at: NOON };
    assert_eq!(store.get_execution(execution(1)).await.unwrap(), Some(row.clone()));
    let last = StateChange {
        status: ExecutionStatus::Failed,
        wake_at: None,
        finished_at: Some(NOON + 2),
        error_code: Some("timeout".to_owned()),
        expires_at: Some(NOON + 3),
    };
    commit(&*store, &change(execution(1), epoch, 1, last.clone())).await;
    assert_eq!(store.get_execution(execution(1)).await.unwrap(), Some(ExecutionRow { state: last, ..row }));
}

async fn finds_executions_of_the_workspace_only(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    assert!(store.find_execution(WorkspaceId::DEFAULT, execution(1)).await.unwrap().is_some());
    assert_eq!(store.find_execution(stranger(), execution(1)).await.unwrap(), None);
    assert_eq!(store.find_execution(WorkspaceId::DEFAULT, execution(2)).await.unwrap(), None);
    assert_eq!(store.get_execution(execution(2)).await.unwrap(), None);
    assert_eq!(list(&*store, stranger(), &ExecutionFilter::default()).await, []);
}

async fn lists_newest_first_by_pages(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    // Pairs are of the same time, so that the id decides.
    for number in 0..10_u64 {
        let created_at = NOON + number / 2;
        commit(&*store, &Append { created_at, ..creation(execution(number.into()), epoch) }).await;
    }
    let expected: Vec<ExecutionId> = (0..10).rev().map(execution).collect();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = PageRequest { after, limit: 3 };
        let rows = store.list_executions(WorkspaceId::DEFAULT, &ExecutionFilter::default(), &page).await.unwrap();
        assert!(rows.len() <= 3);
        let Some(last) = rows.last() else { break };
        after = Some(ExecutionCursor { created_at: last.created_at, id: last.id });
        seen.extend(rows.iter().map(|row| row.id));
    }
    assert_eq!(seen, expected);
}

async fn every_filter_narrows_the_list(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let plain = new_execution();
    let variants = [
        (plain.clone(), state(ExecutionStatus::Running)),
        (NewExecution { workflow: workflow(2), ..plain.clone() }, state(ExecutionStatus::Queued)),
        (NewExecution { trigger: TriggerKind::Schedule, ..plain.clone() }, waiting_until(NOON)),
        (NewExecution { retry_of: Some(execution(0)), ..plain.clone() }, finished(ExecutionStatus::Succeeded, NOON)),
        (NewExecution { business_key: Some("order 7".to_owned()), ..plain.clone() }, state(ExecutionStatus::Cancelled)),
        (plain, StateChange { error_code: Some("timeout".to_owned()), ..finished(ExecutionStatus::Failed, NOON) }),
    ];
    for (number, (new, state)) in (0_u64..).zip(variants) {
        let (create, state) = (Some(new), Some(state));
        let append = Append { create, state, created_at: NOON + number, ..creation(execution(number.into()), epoch) };
        commit(&*store, &append).await;
    }
    let none = ExecutionFilter::default();
    check(&*store, &none, &[5, 4, 3, 2, 1, 0]).await;
    check(&*store, &ExecutionFilter { workflow: Some(workflow(2)), ..none.clone() }, &[1]).await;
    check(&*store, &ExecutionFilter { trigger: Some(TriggerKind::Schedule), ..none.clone() }, &[2]).await;
    check(&*store, &ExecutionFilter { retry_of: Some(execution(0)), ..none.clone() }, &[3]).await;
    check(&*store, &ExecutionFilter { error_code: Some("timeout".to_owned()), ..none.clone() }, &[5]).await;
    check(&*store, &ExecutionFilter { business_key: Some("order 7".to_owned()), ..none.clone() }, &[4]).await;
    check(&*store, &ExecutionFilter { business_key: Some("order".to_owned()), ..none.clone() }, &[]).await;
    check(&*store, &ExecutionFilter { created_from: Some(NOON + 3), ..none.clone() }, &[5, 4, 3]).await;
    check(&*store, &ExecutionFilter { created_until: Some(NOON + 3), ..none.clone() }, &[2, 1, 0]).await;
    for (status, expected) in [
        (ExecutionStatus::Queued, &[1][..]),
        (ExecutionStatus::Running, &[0]),
        (ExecutionStatus::Waiting, &[2]),
        (ExecutionStatus::Succeeded, &[3]),
        (ExecutionStatus::Failed, &[5]),
        (ExecutionStatus::Cancelled, &[4]),
    ] {
        check(&*store, &ExecutionFilter { statuses: vec![status], ..none.clone() }, expected).await;
    }
}

async fn several_statuses_are_one_list(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 0..30_u64 {
        let status = ExecutionStatus::ALL[usize::try_from(number % 6).unwrap()];
        // Pairs are of the same time, so that the id decides.
        let append =
            Append { state: Some(state(status)), created_at: NOON + number / 2, ..creation(execution(number.into()), epoch) };
        commit(&*store, &append).await;
    }
    let of = |statuses: &[ExecutionStatus]| ExecutionFilter { statuses: statuses.to_vec(), ..ExecutionFilter::default() };
    let numbers = |wanted: &[u128]| (0..30).rev().filter(|number| wanted.contains(&(number % 6))).collect::<Vec<u128>>();
    check(&*store, &of(&[ExecutionStatus::Failed, ExecutionStatus::Queued]), &numbers(&[4, 0])).await;
    check(&*store, &of(&[ExecutionStatus::Succeeded, ExecutionStatus::Failed, ExecutionStatus::Failed]), &numbers(&[3, 4])).await;
    check(&*store, &of(&ExecutionStatus::ALL), &numbers(&[0, 1, 2, 3, 4, 5])).await;
    // By pages, too.
    let filter = ExecutionFilter { workflow: Some(workflow(1)), ..of(&[ExecutionStatus::Running, ExecutionStatus::Cancelled]) };
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let rows = store.list_executions(WorkspaceId::DEFAULT, &filter, &PageRequest { after, limit: 3 }).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = Some(ExecutionCursor { created_at: last.created_at, id: last.id });
        seen.extend(rows.iter().map(|row| row.id));
    }
    assert_eq!(seen, numbers(&[1, 5]).into_iter().map(execution).collect::<Vec<_>>());
}

async fn filters_narrow_together(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 0..6_u64 {
        let workflow = workflow(u128::from(number % 2));
        let status = if number < 3 { ExecutionStatus::Failed } else { ExecutionStatus::Cancelled };
        let append = Append {
            create: Some(NewExecution { workflow, ..new_execution() }),
            state: Some(finished(status, NOON)),
            created_at: NOON + number,
            ..creation(execution(number.into()), epoch)
        };
        commit(&*store, &append).await;
    }
    let filter = ExecutionFilter {
        workflow: Some(workflow(0)),
        statuses: vec![ExecutionStatus::Failed],
        created_from: Some(NOON + 1),
        ..ExecutionFilter::default()
    };
    check(&*store, &filter, &[2]).await;
}

async fn lists_live_executions_of_the_shards(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 0..60 {
        let state = match number % 4 {
            0 => state(ExecutionStatus::Queued),
            1 => state(ExecutionStatus::Running),
            2 => waiting_until(NOON),
            _ => finished(ExecutionStatus::Succeeded, NOON),
        };
        commit(&*store, &Append { state: Some(state), ..creation(execution(number), epoch) }).await;
    }
    let live: Vec<ExecutionId> = (0..60).filter(|number| number % 4 < 2).map(execution).collect();
    assert_eq!(store.list_live(&all_shards(), None, 100).await.unwrap(), live);
    assert_eq!(store.list_live(&all_shards(), None, 7).await.unwrap(), live[..7]);
    assert_eq!(store.list_live(&all_shards(), Some(live[6]), 7).await.unwrap(), live[7..14]);
    let (mine, theirs): (Vec<u16>, Vec<u16>) = all_shards().into_iter().partition(|shard| shard % 2 == 0);
    let of_mine: Vec<ExecutionId> = live.iter().copied().filter(|id| id.shard() % 2 == 0).collect();
    assert_eq!(store.list_live(&mine, None, 100).await.unwrap(), of_mine);
    assert_eq!(store.list_live(&theirs, None, 100).await.unwrap().len(), live.len() - of_mine.len());
    assert_eq!(store.list_live(&[], None, 100).await.unwrap(), []);
    let twice_and_unknown = [live[0].shard(), live[0].shard(), u16::MAX];
    let once: Vec<ExecutionId> = live.iter().copied().filter(|id| id.shard() == live[0].shard()).collect();
    assert_eq!(store.list_live(&twice_and_unknown, None, 100).await.unwrap(), once);
}

async fn lists_queued_executions_of_the_shards(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let ids: Vec<ExecutionId> = (1..=4).map(execution).collect();
    for id in &ids[..2] {
        commit(&*store, &Append { state: None, ..creation(*id, epoch) }).await;
    }
    commit(&*store, &creation(ids[2], epoch)).await;
    assert!(store.create_queued(&Append { state: None, ..creation(ids[3], 0) }, None).await.unwrap());
    assert_eq!(store.list_queued(&all_shards(), 9).await.unwrap(), [ids[0], ids[1], ids[3]]);
    assert_eq!(store.list_queued(&all_shards(), 2).await.unwrap(), ids[..2]);
    assert_eq!(store.list_queued(&[ids[1].shard()], 9).await.unwrap(), [ids[1]]);
    assert_eq!(store.list_queued(&[], 9).await.unwrap(), []);
    commit(&*store, &change(ids[0], epoch, 1, state(ExecutionStatus::Running))).await;
    assert_eq!(store.list_queued(&all_shards(), 9).await.unwrap(), [ids[1], ids[3]]);
}

async fn lists_due_executions_soonest_first(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    for number in 0..10_u64 {
        // Later ids are due earlier.
        let state = waiting_until(NOON + 10 - number);
        commit(&*store, &Append { state: Some(state), ..creation(execution(number.into()), epoch) }).await;
    }
    commit(&*store, &creation(execution(20), epoch)).await;
    commit(&*store, &Append { state: Some(state(ExecutionStatus::Waiting)), ..creation(execution(21), epoch) }).await;
    let due: Vec<DueExecution> =
        (0..10_u64).rev().map(|number| DueExecution { id: execution(number.into()), wake_at: NOON + 10 - number }).collect();
    assert_eq!(store.list_due(&all_shards(), NOON + 100, 100).await.unwrap(), due);
    assert_eq!(store.list_due(&all_shards(), NOON + 4, 100).await.unwrap(), due[..4]);
    assert_eq!(store.list_due(&all_shards(), NOON + 100, 3).await.unwrap(), due[..3]);
    assert_eq!(store.list_due(&all_shards(), NOON, 3).await.unwrap(), []);
    let first: Vec<DueExecution> = due.iter().copied().filter(|due| due.id.shard() == execution(9).shard()).collect();
    assert_eq!(store.list_due(&[execution(9).shard()], NOON + 100, 100).await.unwrap(), first);
    // One that runs again is not due.
    commit(&*store, &change(execution(9), epoch, 1, state(ExecutionStatus::Running))).await;
    assert_eq!(store.list_due(&all_shards(), NOON + 100, 1).await.unwrap(), due[1..2]);
}

async fn counts_activations_at_a_place(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    for (seq, expected) in [(1, 1), (1, 2), (1, 3), (5, 1), (5, 2), (0, 1)] {
        assert_eq!(store.record_activation(execution(1), seq).await.unwrap(), expected);
    }
    commit(&*store, &later(execution(1), epoch, 1)).await;
    assert_eq!(store.record_activation(execution(1), 0).await.unwrap(), 2);
    assert_eq!(store.record_activation(execution(2), 0).await.unwrap(), 0);
}

async fn forgets_activations_that_ended_well(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    assert!(!store.clear_activations(execution(1), 0, 0).await.unwrap(), "there is nothing to forget");
    assert_eq!(store.record_activation(execution(1), 3).await.unwrap(), 1);
    // Not those of another place, nor once it has been resumed again.
    assert!(!store.clear_activations(execution(1), 4, 1).await.unwrap());
    assert_eq!(store.record_activation(execution(1), 3).await.unwrap(), 2);
    assert!(!store.clear_activations(execution(1), 3, 1).await.unwrap());
    assert!(store.clear_activations(execution(1), 3, 2).await.unwrap());
    assert!(!store.clear_activations(execution(1), 3, 2).await.unwrap());
    assert_eq!(store.record_activation(execution(1), 3).await.unwrap(), 1);
    assert!(!store.clear_activations(execution(2), 3, 1).await.unwrap());
}

async fn list(store: &dyn Store, workspace: WorkspaceId, filter: &ExecutionFilter) -> Vec<ExecutionId> {
    let page = PageRequest { after: None, limit: 100 };
    let rows = store.list_executions(workspace, filter, &page).await.unwrap();
    rows.iter().map(|row| row.id).collect()
}

async fn check(store: &dyn Store, filter: &ExecutionFilter, expected: &[u128]) {
    let expected: Vec<ExecutionId> = expected.iter().map(|number| execution(*number)).collect();
    assert_eq!(list(store, WorkspaceId::DEFAULT, filter).await, expected, "{filter:?}");
}
