//! Checks that no two webhooks of one workflow answer the same requests. Against other workflows this is checked when the
//! workflow is activated, where those are known.

use std::collections::HashMap;

use super::Subject;
use crate::model::{definition::NodeDefinition, problem::Problems};

const WEBHOOK: &str = "webhook";
const METHOD_DEFAULT: &str = "POST";
const METHOD_ANY: &str = "ANY";

/// Reports every webhook whose path and method an earlier one has.
pub(super) fn check(subject: &Subject<'_>, problems: &mut Problems) {
    let mut taken: HashMap<String, Vec<(&str, &NodeDefinition)>> = HashMap::new();
    for (position, node) in subject.definition.nodes.iter().enumerate() {
        let Some(path) = node.params.get("path").and_then(|path| path.as_str()).filter(|_| node.node_type == WEBHOOK) else {
            continue;
        };
        let method = node.params.get("method").and_then(|method| method.as_str()).unwrap_or(METHOD_DEFAULT);
        let others = taken.entry(normalise(path)).or_default();
        if let Some((_, other)) = others.iter().find(|(other, _)| overlap(other, method)) {
            let detail = format!("the webhook `{}` answers {method} requests to this path already", other.id);
            problems.report(format!("/nodes/{position}/params/path"), "duplicate_webhook", detail);
        }
        others.push((method, node));
        if problems.is_full() {
            return;
        }
    }
}

fn overlap(left: &str, right: &str) -> bool {
    left == METHOD_ANY || right == METHOD_ANY || left == right
}

/// The path without a leading slash and without the names of its parameters: `/orders/{id}` and `orders/{order}` are one.
fn normalise(path: &str) -> String {
    let segments = path.trim_start_matches('/').split('/');
    segments.map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect::<Vec<_>>().join("/")
}
