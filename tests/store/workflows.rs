//! Workflows, their versions and the hooks that they publish.

use std::sync::Arc;

use citadel::{
    model::ids::{WorkflowId, WorkspaceId},
    store::{
        Activation, HookRow, NewHook, NewWorkflow, PageRequest, Publication, Store, UpdateWorkflow, VersionRow, VersionSummary,
        WorkflowCursor, WorkflowFilter, WorkflowRow,
    },
};

use crate::{
    harness::cases,
    samples::{NOON, broken, new_workflow, stranger, tagged, version, workflow},
};

cases! {
    stores_a_workflow_with_its_first_version,
    refuses_a_workflow_twice_or_without_a_workspace,
    stores_versions_one_after_the_other,
    lists_workflows_newest_first_by_pages,
    lists_workflows_by_tag_name_and_state,
    counts_the_tags_of_the_latest_versions,
    lists_versions_newest_first_by_pages,
    workflows_belong_to_their_workspace,
    publishes_the_hooks_of_the_active_version,
    a_hook_belongs_to_one_workflow,
    refuses_the_same_hook_twice,
    two_activations_at_once_do_not_share_a_hook,
    deleting_a_workflow_takes_everything_of_it,
    counts_what_is_published_and_taken_down,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

async fn stores_a_workflow_with_its_first_version(store: Arc<dyn Store>) {
    let row = store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
    let expected = WorkflowRow {
        id: workflow(1),
        workspace: HERE,
        name: "workflow 1".to_owned(),
        latest_version: 1,
        active_version: None,
        created_at: NOON,
        updated_at: NOON,
    };
    assert_eq!(row, expected);
    assert_eq!(store.find_workflow(HERE, workflow(1)).await.unwrap(), Some(expected));
    assert_eq!(store.find_workflow(HERE, workflow(2)).await.unwrap(), None);
    let definition = new_workflow(1, NOON).version.definition;
    let first = VersionRow { workflow: workflow(1), version: 1, definition, created_at: NOON };
    assert_eq!(store.find_workflow_version(HERE, workflow(1), 1).await.unwrap(), Some(first));
    assert_eq!(store.find_workflow_version(HERE, workflow(1), 2).await.unwrap(), None);
}

async fn refuses_a_workflow_twice_or_without_a_workspace(store: Arc<dyn Store>) {
    store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
    assert_eq!(broken(store.insert_workflow(&new_workflow(1, NOON)).await), "workflows_key");
    let homeless = NewWorkflow { workspace: stranger(), ..new_workflow(2, NOON) };
    broken(store.insert_workflow(&homeless).await); // SQLite does not say which foreign key it is.
    assert_eq!(store.find_workflow(stranger(), workflow(2)).await.unwrap(), None);
}

async fn stores_versions_one_after_the_other(store: Arc<dyn Store>) {
    let row = store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
    let second = version("renamed", NOON + 5);
    let updated = store.update_workflow(HERE, workflow(1), 1, &second).await.unwrap();
    let expected = WorkflowRow { name: "renamed".to_owned(), latest_version: 2, updated_at: NOON + 5, ..row };
    assert_eq!(updated, UpdateWorkflow::Updated(expected.clone()));
    assert_eq!(store.find_workflow(HERE, workflow(1)).await.unwrap(), Some(expected));
    let stale = store.update_workflow(HERE, workflow(1), 1, &version("too late", NOON + 6)).await.unwrap();
    assert_eq!(stale, UpdateWorkflow::Stale { latest_version: 2 });
    let nothing = store.update_workflow(HERE, workflow(2), 1, &second).await.unwrap();
    assert_eq!(nothing, UpdateWorkflow::NotFound);
    let stored = store.find_workflow_version(HERE, workflow(1), 2).await.unwrap().unwrap();
    assert_eq!(stored.definition, second.definition);
}

async fn lists_workflows_newest_first_by_pages(store: Arc<dyn Store>) {
    for number in 0..7 {
        store.insert_workflow(&new_workflow(number.into(), NOON + number / 2)).await.unwrap();
    }
    let mut seen: Vec<WorkflowId> = Vec::new();
    let mut after = None;
    loop {
        let rows = store.list_workflows(HERE, &WorkflowFilter::default(), &PageRequest { after, limit: 2 }).await.unwrap();
        assert!(rows.len() <= 2);
        let Some(last) = rows.last() else { break };
        after = Some(WorkflowCursor { created_at: last.created_at, id: last.id });
        seen.extend(rows.iter().map(|row| row.id));
    }
    assert_eq!(seen, (0..7).rev().map(workflow).collect::<Vec<_>>());
}

async fn lists_workflows_by_tag_name_and_state(store: Arc<dyn Store>) {
    let insert = async |number: u128, name: &str, tags: &[&str]| {
        let version = tagged(name, NOON + u64::try_from(number).unwrap(), tags);
        store.insert_workflow(&NewWorkflow { version, ..new_workflow(number, NOON) }).await.unwrap();
    };
    insert(1, "Orders 100%", &["sales", "daily"]).await;
    insert(2, "old_ORDERS", &["sales", "sales"]).await;
    insert(3, "Überblick", &["Sales"]).await;
    store.activate_workflow(HERE, workflow(2), &publication(1, &[], NOON)).await.unwrap();
    let list = async |tag: Option<&str>, name_part: Option<&str>, active: Option<bool>| {
        let filter = WorkflowFilter { tag: tag.map(str::to_owned), name_part: name_part.map(str::to_owned), active };
        let rows = store.list_workflows(HERE, &filter, &PageRequest { after: None, limit: 9 }).await.unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let ids = |numbers: &[u128]| numbers.iter().map(|number| workflow(*number)).collect::<Vec<_>>();
    assert_eq!(list(Some("sales"), None, None).await, ids(&[2, 1]));
    assert_eq!(list(Some("Sales"), None, None).await, ids(&[3]));
    assert_eq!(list(Some("sal"), None, None).await, ids(&[]));
    assert_eq!(list(None, Some("oRdErS"), None).await, ids(&[2, 1]));
    // Nothing in a part is a pattern, and only A to Z have two cases.
    assert_eq!(list(None, Some("0%"), None).await, ids(&[1]));
    assert_eq!(list(None, Some("d_o"), None).await, ids(&[2]));
    assert_eq!(list(None, Some("Ü"), None).await, ids(&[3]));
    assert_eq!(list(None, Some("ü"), None).await, ids(&[]));
    assert_eq!(list(None, None, Some(true)).await, ids(&[2]));
    assert_eq!(list(None, None, Some(false)).await, ids(&[3, 1]));
    assert_eq!(list(Some("sales"), Some("orders"), Some(false)).await, ids(&[1]));
    let filter = WorkflowFilter { tag: Some("sales".to_owned()), ..WorkflowFilter::default() };
    let after = Some(WorkflowCursor { created_at: NOON + 2, id: workflow(2) });
    let rows = store.list_workflows(HERE, &filter, &PageRequest { after, limit: 9 }).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids(&[1]));
    assert_eq!(store.list_workflows(stranger(), &filter, &PageRequest { after: None, limit: 9 }).await.unwrap(), []);
}

async fn counts_the_tags_of_the_latest_versions(store: Arc<dyn Store>) {
    for (number, tags) in [(1, ["b", "a"]), (2, ["a", "Z"]), (3, ["ä", "a"])] {
        let new = NewWorkflow { version: tagged("w", NOON, &tags), ..new_workflow(number, NOON) };
        store.insert_workflow(&new).await.unwrap();
    }
    let tags = async |after: Option<&str>, limit: u32| {
        let counts = store.list_tags(HERE, after, limit).await.unwrap();
        counts.into_iter().map(|count| format!("{} {}", count.tag, count.workflows)).collect::<Vec<_>>()
    };
    assert_eq!(tags(None, 9).await, ["Z 1", "a 3", "b 1", "ä 1"]);
    assert_eq!(tags(Some("Z"), 2).await, ["a 3", "b 1"]);
    assert_eq!(store.list_tags(stranger(), None, 9).await.unwrap(), []);
    store.update_workflow(HERE, workflow(1), 1, &tagged("w", NOON, &["c"])).await.unwrap();
    assert_eq!(tags(None, 9).await, ["Z 1", "a 2", "c 1", "ä 1"]);
    let stale = store.update_workflow(HERE, workflow(1), 1, &tagged("w", NOON, &["lost"])).await.unwrap();
    assert_eq!(stale, UpdateWorkflow::Stale { latest_version: 2 });
    store.delete_workflow(HERE, workflow(2)).await.unwrap();
    assert_eq!(tags(None, 9).await, ["a 1", "c 1", "ä 1"]);
}

async fn lists_versions_newest_first_by_pages(store: Arc<dyn Store>) {
    store.insert_workflow(&new_workflow(1, NOON + 1)).await.unwrap();
    for number in 1..5 {
        let updated = store.update_workflow(HERE, workflow(1), number, &version("next", NOON + 1 + u64::from(number))).await;
        assert!(matches!(updated, Ok(UpdateWorkflow::Updated(_))));
    }
    let all: Vec<VersionSummary> =
        (1..=5).rev().map(|version| VersionSummary { version, created_at: NOON + u64::from(version) }).collect();
    assert_eq!(store.list_workflow_versions(HERE, workflow(1), None, 100).await.unwrap(), all);
    assert_eq!(store.list_workflow_versions(HERE, workflow(1), None, 2).await.unwrap(), all[..2]);
    assert_eq!(store.list_workflow_versions(HERE, workflow(1), Some(4), 2).await.unwrap(), all[2..4]);
    assert_eq!(store.list_workflow_versions(HERE, workflow(1), Some(1), 2).await.unwrap(), []);
    assert_eq!(store.list_workflow_versions(HERE, workflow(2), None, 2).await.unwrap(), []);
}

async fn workflows_belong_to_their_workspace(store: Arc<dyn Store>) {
    store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
    let (there, id) = (stranger(), workflow(1));
    assert_eq!(store.find_workflow(there, id).await.unwrap(), None);
    assert_eq!(
        store.list_workflows(there, &WorkflowFilter::default(), &PageRequest { after: None, limit: 9 }).await.unwrap(),
        []
    );
    assert_eq!(store.find_workflow_version(there, id, 1).await.unwrap(), None);
    assert_eq!(store.list_workflow_versions(there, id, None, 9).await.unwrap(), []);
    assert_eq!(store.update_workflow(there, id, 1, &version("theirs", NOON)).await.unwrap(), UpdateWorkflow::NotFound);
    assert_eq!(store.activate_workflow(there, id, &publication(1, &[], NOON)).await.unwrap(), Activation::NotFound);
    assert!(!store.deactivate_workflow(there, id, NOON).await.unwrap());
    assert!(!store.delete_workflow(there, id).await.unwrap());
    assert_eq!(store.find_workflow(HERE, id).await.unwrap().unwrap().latest_version, 1);
}

async fn publishes_the_hooks_of_the_active_version(store: Arc<dyn Store>) {
    let row = store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
    store.update_workflow(HERE, workflow(1), 1, &version("workflow 1", NOON)).await.unwrap();
    let first = [hook("orders", "POST"), hook("Orders", "POST"), hook("orders", "GET"), hook("zebra/:name", "ANY")];
    let activated = store.activate_workflow(HERE, workflow(1), &publication(1, &first, NOON + 7)).await.unwrap();
    let expected = WorkflowRow { latest_version: 2, active_version: Some(1), updated_at: NOON + 7, ..row };
    assert_eq!(activated, Activation::Activated(expected.clone()));
    assert_eq!(store.find_workflow(HERE, workflow(1)).await.unwrap(), Some(expected));
    // By path, then by method, byte by byte.
    let listed = [&first[1], &first[2], &first[0], &first[3]];
    assert_eq!(store.list_hooks(100).await.unwrap(), listed.map(|hook| published(1, 1, hook)));
    assert_eq!(store.list_hooks(2).await.unwrap().len(), 2);

    let second = [hook("orders", "POST"), hook("invoices", "POST")];
    let activated = store.activate_workflow(HERE, workflow(1), &publication(2, &second, NOON + 8)).await.unwrap();
    assert!(matches!(activated, Activation::Activated(row) if row.active_version == Some(2)));
    let listed = [published(1, 2, &second[1]), published(1, 2, &second[0])];
    assert_eq!(store.list_hooks(100).await.unwrap(), listed);

    assert_eq!(store.activate_workflow(HERE, workflow(1), &publication(3, &[], NOON)).await.unwrap(), Activation::NotFound);
    assert_eq!(store.list_hooks(100).await.unwrap(), listed);

    assert!(store.deactivate_workflow(HERE, workflow(1), NOON + 9).await.unwrap());
    assert_eq!(store.list_hooks(100).await.unwrap(), []);
    let row = store.find_workflow(HERE, workflow(1)).await.unwrap().unwrap();
    assert_eq!((row.active_version, row.updated_at), (None, NOON + 9));
    assert!(!store.deactivate_workflow(HERE, workflow(2), NOON).await.unwrap());
}

async fn a_hook_belongs_to_one_workflow(store: Arc<dyn Store>) {
    for number in 1..=2 {
        store.insert_workflow(&new_workflow(number, NOON)).await.unwrap();
    }
    store.activate_workflow(HERE, workflow(1), &publication(1, &[hook("a", "POST"), hook("b", "POST")], NOON)).await.unwrap();
    let wanted = [hook("c", "POST"), hook("b", "GET"), hook("b", "POST"), hook("a", "POST")];
    let taken = store.activate_workflow(HERE, workflow(2), &publication(1, &wanted, NOON)).await.unwrap();
    assert_eq!(taken, Activation::HookTaken { hook: hook("b", "POST"), workflow: workflow(1) });
    assert_eq!(store.find_workflow(HERE, workflow(2)).await.unwrap().unwrap().active_version, None);
    assert_eq!(store.list_hooks(9).await.unwrap().len(), 2);
    store.deactivate_workflow(HERE, workflow(1), NOON).await.unwrap();
    let activated = store.activate_workflow(HERE, workflow(2), &publication(1, &wanted, NOON)).await.unwrap();
    assert!(matches!(activated, Activation::Activated(_)));
}

async fn refuses_the_same_hook_twice(store: Arc<dyn Store>) {
    store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
    let twice = [hook("a", "POST"), NewHook { node: "other".to_owned(), ..hook("a", "POST") }];
    assert_eq!(broken(store.activate_workflow(HERE, workflow(1), &publication(1, &twice, NOON)).await), "hooks_key");
    assert_eq!(store.list_hooks(9).await.unwrap(), []);
    assert_eq!(store.find_workflow(HERE, workflow(1)).await.unwrap().unwrap().active_version, None);
}

async fn two_activations_at_once_do_not_share_a_hook(store: Arc<dyn Store>) {
    for number in 1..=2 {
        store.insert_workflow(&new_workflow(number, NOON)).await.unwrap();
    }
    let (forwards, backwards) = ([hook("a", "POST"), hook("b", "POST")], [hook("b", "POST"), hook("a", "POST")]);
    let (forwards, backwards) = (publication(1, &forwards, NOON), publication(1, &backwards, NOON));
    for _ in 0..10 {
        let (one, two) = tokio::join!(
            store.activate_workflow(HERE, workflow(1), &forwards),
            store.activate_workflow(HERE, workflow(2), &backwards),
        );
        let activated = [one.unwrap(), two.unwrap()].iter().filter(|done| matches!(done, Activation::Activated(_))).count();
        assert_eq!(activated, 1);
        assert_eq!(store.list_hooks(9).await.unwrap().len(), 2);
        for number in 1..=2 {
            store.deactivate_workflow(HERE, workflow(number), NOON).await.unwrap();
        }
    }
}

async fn deleting_a_workflow_takes_everything_of_it(store: Arc<dyn Store>) {
    for number in 1..=2 {
        store.insert_workflow(&new_workflow(number, NOON)).await.unwrap();
        let hooks = [hook(&format!("path {number}"), "POST")];
        store.activate_workflow(HERE, workflow(number), &publication(1, &hooks, NOON)).await.unwrap();
    }
    assert!(store.delete_workflow(HERE, workflow(1)).await.unwrap());
    assert!(!store.delete_workflow(HERE, workflow(1)).await.unwrap());
    assert_eq!(store.find_workflow(HERE, workflow(1)).await.unwrap(), None);
    assert_eq!(store.find_workflow_version(HERE, workflow(1), 1).await.unwrap(), None);
    assert_eq!(store.list_hooks(9).await.unwrap(), [published(2, 1, &hook("path 2", "POST"))]);
    store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
}

async fn counts_what_is_published_and_taken_down(store: Arc<dyn Store>) {
    store.insert_workflow(&new_workflow(1, NOON)).await.unwrap();
    let mut last = store.publication_rev().await.unwrap();
    let mut grows = async |expected: bool, what: &str| {
        let now = store.publication_rev().await.unwrap();
        assert_eq!(now > last, expected, "{what}");
        last = now;
    };
    grows(false, "nothing is published").await;
    store.activate_workflow(HERE, workflow(1), &publication(1, &[], NOON)).await.unwrap();
    grows(true, "activated").await;
    store.activate_workflow(HERE, workflow(1), &publication(2, &[], NOON)).await.unwrap();
    grows(false, "there is no version 2").await;
    store.deactivate_workflow(HERE, workflow(1), NOON).await.unwrap();
    grows(true, "deactivated").await;
    store.delete_workflow(stranger(), workflow(1)).await.unwrap();
    store.deactivate_workflow(HERE, workflow(2), NOON).await.unwrap();
    grows(false, "neither is there").await;
    store.delete_workflow(HERE, workflow(1)).await.unwrap();
    grows(true, "deleted").await;
}

fn publication(version: u32, hooks: &[NewHook], now_ms: u64) -> Publication {
    Publication { version, hooks: hooks.to_vec(), schedules: Vec::new(), now_ms }
}

fn hook(path: &str, method: &str) -> NewHook {
    NewHook { path: path.to_owned(), method: method.to_owned(), node: "hook".to_owned() }
}

fn published(number: u128, version: u32, hook: &NewHook) -> HookRow {
    HookRow { workspace: HERE, workflow: workflow(number), version, hook: hook.clone() }
}
