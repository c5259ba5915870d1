//! Checks every edge by itself: that its ends, its port and its input exist, and that it is there once; then that no input of a
//! merge is left out.

use std::collections::HashSet;

use super::Subject;
use crate::model::{
    catalog::Role,
    definition::{EdgeDefinition, OnError},
    problem::{Problems, excerpt, suggestion},
};

/// The port that `on_error: branch` adds to a node.
const ERROR_PORT: &str = "error";

/// Reports every edge that cannot carry items.
pub(super) fn check(subject: &Subject<'_>, problems: &mut Problems) {
    let mut seen = HashSet::with_capacity(subject.definition.edges.len());
    for (index, edge) in subject.definition.edges.iter().enumerate() {
        if problems.is_full() {
            return;
        }
        let pointer = format!("/edges/{index}");
        if !seen.insert((&edge.from, &edge.port, &edge.to, edge.input)) {
            problems.report(
                &pointer,
                "duplicate_edge",
                format!("there is such an edge from `{}` to `{}` already", edge.from, edge.to),
            );
        }
        check_source(subject, edge, &pointer, problems);
        check_target(subject, edge, &pointer, problems);
    }
    check_merges(subject, problems);
}

fn check_source(subject: &Subject<'_>, edge: &EdgeDefinition, pointer: &str, problems: &mut Problems) {
    let Some(position) = subject.position(&edge.from) else {
        return report_dangling(subject, &edge.from, format!("{pointer}/from"), problems);
    };
    let (node, Some(shape)) = (&subject.definition.nodes[position], &subject.shapes[position]) else {
        return;
    };
    let branches = node.on_error == OnError::Branch;
    if shape.ports.contains(&edge.port) || (branches && edge.port == ERROR_PORT) {
        return;
    }
    let ports = shape.ports.iter().map(AsRef::as_ref).chain(branches.then_some(ERROR_PORT));
    let hint = match &*edge.port {
        ERROR_PORT => "it gets one with `on_error: branch`".to_owned(),
        port => suggestion(port, ports),
    };
    let detail = format!("the node `{}` has no port `{}`; {hint}", node.id, excerpt(&edge.port));
    problems.report(format!("{pointer}/port"), "unknown_port", detail);
}

fn check_target(subject: &Subject<'_>, edge: &EdgeDefinition, pointer: &str, problems: &mut Problems) {
    let Some(position) = subject.position(&edge.to) else {
        return report_dangling(subject, &edge.to, format!("{pointer}/to"), problems);
    };
    let (node, Some(shape)) = (&subject.definition.nodes[position], &subject.shapes[position]) else {
        return;
    };
    if shape.role == Role::Trigger {
        let detail = format!("the trigger `{}` starts executions and takes no items", node.id);
        problems.report(format!("{pointer}/to"), "edge_into_trigger", detail);
    } else if edge.input >= shape.inputs {
        let detail =
            format!("the node `{}` has {} input(s), counted from 0; there is no input {}", node.id, shape.inputs, edge.input);
        problems.report(format!("{pointer}/input"), "unknown_input", detail);
    }
}

fn report_dangling(subject: &Subject<'_>, id: &str, pointer: String, problems: &mut Problems) {
    let hint = suggestion(id, subject.definition.nodes.iter().map(|node| &*node.id));
    problems.report(pointer, "dangling_edge", format!("there is no node `{}`; {hint}", excerpt(id)));
}

/// A merge with an input that nothing leads to is nearly always one whose edges all name input 0, and then it does not wait.
fn check_merges(subject: &Subject<'_>, problems: &mut Problems) {
    let connected: HashSet<(&str, u32)> = subject.definition.edges.iter().map(|edge| (&*edge.to, edge.input)).collect();
    for (position, node) in subject.definition.nodes.iter().enumerate() {
        let Some(shape) = subject.shapes[position].as_ref().filter(|shape| shape.role == Role::Merge) else {
            continue;
        };
        for input in (0..shape.inputs).filter(|input| !connected.contains(&(&*node.id, *input))) {
            if problems.is_full() {
                return;
            }
            let detail =
                format!("no edge leads to input {input} of the merge `{}`; give one of its edges `input: {input}`", node.id);
            problems.report(format!("/nodes/{position}"), "input_not_connected", detail);
        }
    }
}
