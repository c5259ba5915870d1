//! Whether a node whose results are taken over has the same place in two versions of a workflow: results are counted by run, and
//! which run is which follows from what leads to the node. Its parameters may differ: the results are there already.

use crate::model::{
    catalog::Role,
    graph::{Graph, GraphNode, Incoming, Target},
};

/// An edge into a node: its source, the port there, and the input here.
type Edge<'a> = (&'a str, &'a str, u32);

/// Errors: a sentence that says what differs.
pub(super) fn same_shape(original: &Graph, target: &Graph, id: &str) -> Result<(), String> {
    let advice = "begin at a node before it, or at the start";
    let Some(before) = original.position(id) else { return Ok(()) };
    let Some(now) = target.position(id) else {
        return Err(format!("this version lacks the node `{id}`, whose results would be taken over: {advice}"));
    };
    let (left, right) = (&original.nodes[before], &target.nodes[now]);
    if !same_role(left, right) {
        return Err(format!("in this version `{id}` is another kind of node, whose results fit no more: {advice}"));
    }
    if left.shape.ports != right.shape.ports {
        return Err(format!("in this version `{id}` has other ports: {advice}"));
    }
    if left.disabled != right.disabled {
        let state = if right.disabled { "disabled" } else { "enabled" };
        return Err(format!("in this version `{id}` is {state}: {advice}"));
    }
    if edges_into(original, before) != edges_into(target, now) {
        return Err(format!("in this version other edges lead to `{id}`: {advice}"));
    }
    Ok(())
}

/// Whether two nodes take part in the flow in the same manner. How often a loop may go round says nothing about what came out.
fn same_role(left: &GraphNode, right: &GraphNode) -> bool {
    let same = match (left.shape.role, right.shape.role) {
        (Role::Loop { batch_size: left, .. }, Role::Loop { batch_size: right, .. }) => left == right,
        (left, right) => left == right,
    };
    same && left.shape.inputs == right.shape.inputs
}

/// The edges into a node, in the order of the definition.
fn edges_into(graph: &Graph, node: usize) -> Vec<Edge<'_>> {
    let incoming = graph.nodes[node].incoming.iter().enumerate();
    let edge = |(place, edge): (usize, &Incoming)| {
        let source = &graph.nodes[edge.source];
        let leads_here = |target: &Target| (target.node, target.edge) == (node, place);
        let port = source.ports.iter().find(|(_, targets)| targets.iter().any(leads_here));
        (&*source.id, port.map_or("", |(port, _)| &**port), edge.input)
    };
    incoming.map(edge).collect()
}
