//! Finds the published webhook of a request: by the segments of its path, then by its method. Built whole, then never changed.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::OnceCell;

use super::hooks::OpenHook;
use crate::store::HookRow;

/// How a segment that takes any text is stored: see `HookPath::pattern`.
const ANY_SEGMENT: &str = "{}";
/// How a hook that takes every method is stored.
const ANY_METHOD: &str = "ANY";

/// A published webhook.
pub struct PublishedHook {
    pub row: HookRow,
    /// The path of the row, to be shared by whoever counts requests by it.
    pub path: Arc<str>,
    /// What the node's parameters say; read on the first request.
    pub(super) opened: OnceCell<Arc<OpenHook>>,
}

/// What a request's path and method lead to.
#[derive(Clone)]
pub enum HookLookup {
    Found(Arc<PublishedHook>),
    /// There are hooks at the path, for these methods.
    OtherMethods(Vec<String>),
    Nothing,
}

/// All published webhooks, as a tree of path segments.
#[derive(Default)]
pub(super) struct HookTable {
    root: Branch,
}

#[derive(Default)]
struct Branch {
    fixed: HashMap<String, Branch>,
    named: Option<Box<Branch>>,
    hooks: Vec<Arc<PublishedHook>>,
}

impl HookTable {
    pub(super) fn new(rows: Vec<HookRow>) -> Self {
        let mut root = Branch::default();
        for row in rows {
            let mut branch = &mut root;
            for segment in row.hook.path.split('/') {
                branch = match segment {
                    ANY_SEGMENT => &mut **branch.named.get_or_insert_default(),
                    fixed => branch.fixed.entry(fixed.to_owned()).or_default(),
                };
            }
            branch.hooks.push(Arc::new(PublishedHook { path: row.hook.path.as_str().into(), row, opened: OnceCell::new() }));
        }
        Self { root }
    }

    /// The most specific hook: fixed segments before named ones from left to right, then the exact method before `ANY`.
    pub(super) fn find(&self, method: &str, segments: &[String]) -> HookLookup {
        let mut methods = Vec::new();
        match search(&self.root, method, segments, &mut methods) {
            Some(hook) => HookLookup::Found(hook),
            None if methods.is_empty() => HookLookup::Nothing,
            None => HookLookup::OtherMethods(methods),
        }
    }
}

/// Depth-first; the depth is that of the published paths, which is bounded.
fn search(branch: &Branch, method: &str, segments: &[String], methods: &mut Vec<String>) -> Option<Arc<PublishedHook>> {
    let Some((first, rest)) = segments.split_first() else {
        let exact = branch.hooks.iter().find(|hook| hook.row.hook.method == method);
        let found = exact.or_else(|| branch.hooks.iter().find(|hook| hook.row.hook.method == ANY_METHOD));
        methods.extend(branch.hooks.iter().map(|hook| hook.row.hook.method.clone()));
        return found.cloned();
    };
    let fixed = branch.fixed.get(first.as_str()).and_then(|branch| search(branch, method, rest, methods));
    if fixed.is_some() || first.is_empty() {
        return fixed;
    }
    branch.named.as_deref().and_then(|branch| search(branch, method, rest, methods))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        model::ids::{WorkflowId, WorkspaceId},
        store::NewHook,
    };

    fn table() -> HookTable {
        let hooks = [
            ("orders", "POST", "create"),
            ("orders/new", "POST", "fixed"),
            ("orders/{}", "GET", "named"),
            ("orders/{}", "ANY", "any"),
            ("{}/lines", "POST", "tail"),
        ];
        HookTable::new(
            hooks
                .map(|(path, method, node)| HookRow {
                    workspace: WorkspaceId::DEFAULT,
                    workflow: WorkflowId::from_uuid(Uuid::nil()),
                    version: 1,
                    hook: NewHook { path: path.to_owned(), method: method.to_owned(), node: node.to_owned() },
                })
                .to_vec(),
        )
    }

    #[track_caller]
    fn check(method: &str, path: &str, expected: Result<&str, &[&str]>) {
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        match (table().find(method, &segments), expected) {
            (HookLookup::Found(hook), Ok(node)) => assert_eq!(hook.row.hook.node, node),
            (HookLookup::OtherMethods(methods), Err(expected)) => assert_eq!(methods, expected),
            (HookLookup::Nothing, Err([])) => {}
            (HookLookup::Found(hook), Err(_)) => panic!("{method} {path} finds {}", hook.row.hook.node),
            (HookLookup::OtherMethods(_) | HookLookup::Nothing, _) => panic!("{method} {path} finds no hook"),
        }
    }

    #[test]
    fn prefers_the_more_specific_hook() {
        check("POST", "orders", Ok("create"));
        check("POST", "orders/new", Ok("fixed"));
        check("GET", "orders/7", Ok("named"));
        check("DELETE", "orders/7", Ok("any"));
    }

    #[test]
    fn tries_the_other_branch_when_one_leads_nowhere() {
        check("GET", "orders/new", Ok("named"));
        check("POST", "x/lines", Ok("tail"));
    }

    #[test]
    fn tells_other_methods_from_nothing() {
        check("GET", "orders", Err(&["POST"]));
        check("GET", "x/lines", Err(&["POST"]));
        check("GET", "orders/", Err(&[]));
        check("GET", "orders/7/8", Err(&[]));
        check("GET", "", Err(&[]));
    }
}
