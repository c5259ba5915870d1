//! Decides whether a definition can be run, and reports every reason against it at once, each with a JSON pointer. Its form has
//! been read by `definition::parse`; what a node type knows of its parameters comes in as a [`NodeCatalog`]. Called when a
//! definition is saved, validated or compiled.

mod bounds;
mod edges;
mod structure;
mod webhooks;

use std::{collections::HashMap, sync::Arc};

use super::{
    catalog::{NodeCatalog, NodeShape, Role},
    definition::WorkflowDefinition,
    problem::{Problem, Problems},
};

/// What validation has learnt of a sound definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// In the order of [`WorkflowDefinition::nodes`].
    pub shapes: Vec<Arc<NodeShape>>,
}

/// Checks a whole definition.
///
/// Errors: every problem, up to [`PROBLEMS_MAX`](super::limits::PROBLEMS_MAX).
pub fn validate(definition: &WorkflowDefinition, catalog: &dyn NodeCatalog) -> Result<Validated, Vec<Problem>> {
    let mut problems = Problems::default();
    bounds::check(definition, &mut problems);
    let subject = Subject::new(definition, catalog, &mut problems);
    edges::check(&subject, &mut problems);
    webhooks::check(&subject, &mut problems);
    structure::check(&subject, &mut problems);
    let shapes = subject.shapes.into_iter().flatten().collect();
    problems.or(Validated { shapes })
}

/// A definition with what its ids and types mean.
struct Subject<'a> {
    definition: &'a WorkflowDefinition,
    /// `None` for a node whose type or parameters have problems: nothing is said about its ports then.
    shapes: Vec<Option<Arc<NodeShape>>>,
    /// The first node of each id.
    positions: HashMap<&'a str, usize>,
}

impl<'a> Subject<'a> {
    /// Resolves ids and types. Reports duplicate ids and the problems that the catalog finds.
    fn new(definition: &'a WorkflowDefinition, catalog: &dyn NodeCatalog, problems: &mut Problems) -> Self {
        let mut positions: HashMap<&str, usize> = HashMap::with_capacity(definition.nodes.len());
        let mut shapes = Vec::with_capacity(definition.nodes.len());
        for (position, node) in definition.nodes.iter().enumerate() {
            let first = *positions.entry(&node.id).or_insert(position);
            if first != position {
                let detail = format!("the id `{}` is taken by the node at /nodes/{first}", node.id);
                problems.report(format!("/nodes/{position}/id"), "duplicate_id", detail);
            }
            let shape = catalog.shape(node);
            shapes.push(
                shape.map_err(|found| found.into_iter().for_each(|p| problems.push(p.under(&format!("/nodes/{position}"))))).ok(),
            );
        }
        Self { definition, shapes, positions }
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.positions.get(id).copied()
    }

    fn role(&self, position: usize) -> Option<Role> {
        self.shapes[position].as_ref().map(|shape| shape.role)
    }

    /// Whether every id names one node and every edge two nodes.
    fn is_resolved(&self) -> bool {
        let known = |id: &str| self.positions.contains_key(id);
        self.positions.len() == self.definition.nodes.len()
            && self.definition.edges.iter().all(|edge| known(&edge.from) && known(&edge.to))
    }
}

#[cfg(test)]
mod tests;
