//! Variables of a workspace.

use std::sync::Arc;

use citadel::{
    model::ids::WorkspaceId,
    store::{DeleteVariable, InsertVariable, NewVariable, Store, UpdateVariable, VARIABLES_MAX, VariableChange, VariableRow},
};

use crate::{
    harness::cases,
    samples::{NOON, broken, content, new_variable, stranger},
};

cases! {
    stores_a_variable_once,
    changes_and_deletes_what_the_caller_has_seen,
    lists_variables_by_name_and_pages,
    variables_limit_obeyed_and_violated,
    two_writers_of_a_version_are_one,
}

const HERE: WorkspaceId = WorkspaceId::DEFAULT;

fn row(name: &str, number: u64) -> VariableRow {
    let VariableChange { description, value, at } = content(number);
    VariableRow { workspace: HERE, name: name.to_owned(), version: 1, created_at: at, updated_at: at, description, value }
}

async fn stores_a_variable_once(store: Arc<dyn Store>) {
    let inserted = store.insert_variable(&new_variable("limit", 1)).await.unwrap();
    assert_eq!(inserted, InsertVariable::Inserted(row("limit", 1)));
    assert_eq!(store.insert_variable(&new_variable("limit", 2)).await.unwrap(), InsertVariable::Exists);
    assert_eq!(store.find_variable(HERE, "limit").await.unwrap(), Some(row("limit", 1)));
    assert_eq!(store.find_variable(HERE, "LIMIT").await.unwrap(), None);
    assert_eq!(store.find_variable(stranger(), "limit").await.unwrap(), None);
    broken(store.insert_variable(&NewVariable { workspace: stranger(), ..new_variable("limit", 1) }).await);
}

async fn changes_and_deletes_what_the_caller_has_seen(store: Arc<dyn Store>) {
    store.insert_variable(&new_variable("limit", 1)).await.unwrap();
    let change = VariableChange { description: None, ..content(2) };
    let updated = store.update_variable(HERE, "limit", Some(1), &change).await.unwrap();
    let second =
        VariableRow { version: 2, updated_at: change.at, description: None, value: change.value.clone(), ..row("limit", 1) };
    assert_eq!(updated, UpdateVariable::Updated(second.clone()));
    let stale = store.update_variable(HERE, "limit", Some(1), &content(3)).await.unwrap();
    assert_eq!(stale, UpdateVariable::Stale { version: 2 });
    assert_eq!(store.find_variable(HERE, "limit").await.unwrap(), Some(second));
    let whatever = store.update_variable(HERE, "limit", None, &content(3)).await.unwrap();
    assert!(matches!(whatever, UpdateVariable::Updated(VariableRow { version: 3, .. })));
    for (workspace, name) in [(HERE, "other"), (stranger(), "limit")] {
        assert_eq!(store.update_variable(workspace, name, None, &content(4)).await.unwrap(), UpdateVariable::NotFound);
        assert_eq!(store.delete_variable(workspace, name, None).await.unwrap(), DeleteVariable::NotFound);
    }
    assert_eq!(store.delete_variable(HERE, "limit", Some(2)).await.unwrap(), DeleteVariable::Stale { version: 3 });
    assert_eq!(store.delete_variable(HERE, "limit", Some(3)).await.unwrap(), DeleteVariable::Deleted);
    assert_eq!(store.find_variable(HERE, "limit").await.unwrap(), None);
    store.insert_variable(&new_variable("limit", 5)).await.unwrap();
    assert_eq!(store.delete_variable(HERE, "limit", None).await.unwrap(), DeleteVariable::Deleted);
}

async fn lists_variables_by_name_and_pages(store: Arc<dyn Store>) {
    // By bytes: capitals before the underscore before small letters.
    let names = ["B", "Z9", "_x", "a", "aa", "b"];
    for name in ["b", "_x", "aa", "Z9", "a", "B"] {
        store.insert_variable(&new_variable(name, 1)).await.unwrap();
    }
    let mut seen: Vec<String> = Vec::new();
    loop {
        let rows = store.list_variables(HERE, seen.last().map(String::as_str), 2).await.unwrap();
        assert!(rows.len() <= 2);
        if rows.is_empty() {
            break;
        }
        seen.extend(rows.into_iter().map(|row| row.name));
    }
    assert_eq!(seen, names);
    assert_eq!(store.list_variables(stranger(), None, 9).await.unwrap(), []);
}

async fn variables_limit_obeyed_and_violated(store: Arc<dyn Store>) {
    for number in 0..VARIABLES_MAX {
        let inserted = store.insert_variable(&new_variable(&format!("v{number}"), 1)).await.unwrap();
        assert!(matches!(inserted, InsertVariable::Inserted(_)), "{number}");
    }
    assert_eq!(store.insert_variable(&new_variable("more", 1)).await.unwrap(), InsertVariable::Full);
    assert_eq!(store.insert_variable(&new_variable("v0", 1)).await.unwrap(), InsertVariable::Exists);
    store.delete_variable(HERE, "v0", None).await.unwrap();
    assert!(matches!(store.insert_variable(&new_variable("more", 1)).await.unwrap(), InsertVariable::Inserted(_)));
}

async fn two_writers_of_a_version_are_one(store: Arc<dyn Store>) {
    store.insert_variable(&new_variable("limit", 1)).await.unwrap();
    let (second, third) = (content(NOON), content(NOON + 1));
    let (left, right) = tokio::join!(
        store.update_variable(HERE, "limit", Some(1), &second),
        store.update_variable(HERE, "limit", Some(1), &third),
    );
    let outcomes = [left.unwrap(), right.unwrap()];
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, UpdateVariable::Updated(_))).count(), 1, "{outcomes:?}");
    assert!(outcomes.contains(&UpdateVariable::Stale { version: 2 }));
}
