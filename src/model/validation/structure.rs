//! Checks the drawing as a whole: that something starts it, that every node can be reached, and that its cycles are loops.

use super::Subject;
use crate::model::{catalog::Role, problem::Problems};

/// The port by which a loop node hands a batch to its body: the only edge that may close a cycle.
const LOOP_PORT: &str = "loop";
/// Nodes of a cycle that a problem names.
const CYCLE_SHOWN_MAX: usize = 12;

/// Reports missing triggers, unreachable nodes and cycles that no loop bounds.
pub(super) fn check(subject: &Subject<'_>, problems: &mut Problems) {
    let links = Links::new(subject);
    let has_unknown = subject.shapes.iter().any(Option::is_none);
    let has_trigger = subject.shapes.iter().flatten().any(|shape| shape.role == Role::Trigger);
    if !has_trigger && !has_unknown {
        problems.report(
            "/nodes",
            "no_trigger",
            "no node starts this workflow; add a `manual`, `webhook`, `schedule` or other trigger",
        );
    } else if subject.is_resolved() {
        // Otherwise a misspelt id would make nodes unreachable which are not.
        report_unreachable(subject, &links, problems);
    }
    report_cycles(subject, &links, problems);
}

/// The edges whose ends exist, by source.
struct Links(Vec<Vec<Link>>);

#[derive(Clone, Copy)]
struct Link {
    /// Index in the definition's edges.
    edge: usize,
    to: usize,
}

impl Links {
    fn new(subject: &Subject<'_>) -> Self {
        let mut links = vec![Vec::new(); subject.definition.nodes.len()];
        for (edge, definition) in subject.definition.edges.iter().enumerate() {
            if let (Some(from), Some(to)) = (subject.position(&definition.from), subject.position(&definition.to)) {
                links[from].push(Link { edge, to });
            }
        }
        Self(links)
    }
}

/// Reports every node that no trigger leads to. A node of an unknown type might be a trigger.
fn report_unreachable(subject: &Subject<'_>, links: &Links, problems: &mut Problems) {
    let count = subject.definition.nodes.len();
    let mut open: Vec<usize> = (0..count).filter(|node| matches!(subject.role(*node), None | Some(Role::Trigger))).collect();
    let mut reached = vec![false; count];
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut reached[node], true) {
            open.extend(links.0[node].iter().map(|link| link.to));
        }
    }
    for position in (0..count).filter(|position| !reached[*position]) {
        let id = &subject.definition.nodes[position].id;
        problems.report(
            format!("/nodes/{position}"),
            "unreachable_node",
            format!("no edge leads from a trigger to the node `{id}`"),
        );
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    NotYet,
    OnPath,
    Done,
}

/// Reports every cycle that remains when the edges out of `loop` ports are taken away: those are the cycles that no loop node
/// bounds. Each is reported at the edge that closes it. Depth-first, without recursion.
fn report_cycles(subject: &Subject<'_>, links: &Links, problems: &mut Problems) {
    let mut visits = vec![Visit::NotYet; links.0.len()];
    let mut reported = vec![false; links.0.len()];
    for root in 0..links.0.len() {
        if visits[root] != Visit::NotYet {
            continue;
        }
        visits[root] = Visit::OnPath;
        // Each node of the path with the number of its links that were followed.
        let mut path = vec![(root, 0)];
        while let Some((node, followed)) = path.last_mut() {
            let (node, link) = (*node, links.0[*node].get(*followed).copied());
            *followed += 1;
            match link {
                None => {
                    visits[node] = Visit::Done;
                    path.pop();
                }
                Some(link) if may_close_cycle(subject, node, link) => {}
                Some(link) => match visits[link.to] {
                    Visit::NotYet => {
                        visits[link.to] = Visit::OnPath;
                        path.push((link.to, 0));
                    }
                    // A chord of a cycle that was reported is not another finding.
                    Visit::OnPath if reported[node] && reported[link.to] => {}
                    Visit::OnPath => {
                        let start = path.iter().position(|(node, _)| *node == link.to).expect("the node is on the path");
                        let cycle: Vec<usize> = path[start..].iter().map(|(node, _)| *node).collect();
                        cycle.iter().for_each(|node| reported[*node] = true);
                        report_cycle(subject, &cycle, link.edge, problems);
                    }
                    Visit::Done => {}
                },
            }
        }
    }
}

/// Whether the edge leaves a loop node by its `loop` port, or a node of an unknown type, which might be one.
fn may_close_cycle(subject: &Subject<'_>, from: usize, link: Link) -> bool {
    match subject.role(from) {
        Some(Role::Loop { .. }) => subject.definition.edges[link.edge].port == LOOP_PORT,
        Some(Role::Trigger | Role::Step | Role::Merge) => false,
        None => true,
    }
}

fn report_cycle(subject: &Subject<'_>, cycle: &[usize], edge: usize, problems: &mut Problems) {
    let mut names: Vec<&str> = cycle.iter().take(CYCLE_SHOWN_MAX).map(|node| &*subject.definition.nodes[*node].id).collect();
    if cycle.len() > CYCLE_SHOWN_MAX {
        names.push("...");
    }
    names.push(&subject.definition.nodes[cycle[0]].id);
    let detail = format!("`{}` is a cycle without end; only the port `loop` of a loop node may begin one", names.join("` -> `"));
    problems.report(format!("/edges/{edge}"), "illegal_cycle", detail);
}
