//! A workflow version, compiled: its graph and a runner per node. Made once per version and shared by its executions.

mod checks;
mod variables;

use std::sync::Arc;

use serde_json::{Value, json};

use self::variables::variable_use;
pub use self::{checks::CodeChecks, variables::VariableUse};
use super::{Prepared, Runner, registry::Registry};
use crate::model::{
    definition::WorkflowDefinition,
    graph::Graph,
    ids::WorkflowId,
    limits::NODES_MAX,
    problem::Problem,
    validation::{self, Validated},
};

/// A workflow version that can be executed.
pub struct CompiledWorkflow {
    pub workflow: WorkflowId,
    pub version: u32,
    pub definition: Arc<WorkflowDefinition>,
    pub graph: Arc<Graph>,
    /// What of `$vars` its executions are given.
    pub variables: VariableUse,
    /// In the order of the definition's nodes.
    runners: Vec<Runner>,
}

impl CompiledWorkflow {
    /// The runner of a node.
    pub fn runner(&self, node: &str) -> Option<&Runner> {
        self.graph.position(node).map(|position| &self.runners[position])
    }

    /// The name of a node's type.
    pub fn node_type(&self, node: &str) -> Option<&str> {
        self.graph.position(node).map(|position| self.definition.nodes[position].node_type.as_str())
    }

    /// The name of a node's credential.
    pub fn credential(&self, node: &str) -> Option<&str> {
        self.graph.position(node).and_then(|position| self.definition.nodes[position].credential.as_deref())
    }

    /// What expressions see as `$workflow`.
    pub fn describe(&self) -> Value {
        json!({ "id": self.workflow, "name": self.definition.name, "version": self.version })
    }
}

/// Validates and compiles a definition.
///
/// Errors: every problem of the definition, with pointers into it.
pub fn compile(
    registry: &Registry,
    definition: WorkflowDefinition,
    workflow: WorkflowId,
    version: u32,
) -> Result<CompiledWorkflow, Vec<Problem>> {
    compile_with_checks(registry, definition, workflow, version).0
}

/// As [`compile`], with what is still to be checked of the definition's code, whether the rest of it is right or not: for one that is
/// about to be stored.
pub fn compile_with_checks(
    registry: &Registry,
    definition: WorkflowDefinition,
    workflow: WorkflowId,
    version: u32,
) -> (Result<CompiledWorkflow, Vec<Problem>>, CodeChecks) {
    let validated = validation::validate(&definition, registry);
    let prepared: Vec<_> = definition.nodes.iter().take(NODES_MAX).map(|node| registry.prepare(node)).collect();
    let checks = CodeChecks::of(registry, &prepared);
    let compiled = validated.and_then(|Validated { shapes }| {
        let graph = Arc::new(Graph::new(&definition, &shapes));
        let runners = runners(prepared)?;
        let variables = variable_use(&definition);
        Ok(CompiledWorkflow { workflow, version, definition: Arc::new(definition), graph, variables, runners })
    });
    (compiled, checks)
}

/// Errors: the problems of every node.
fn runners(prepared: Vec<Result<Prepared, Vec<Problem>>>) -> Result<Vec<Runner>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut runners = Vec::with_capacity(prepared.len());
    for (position, prepared) in prepared.into_iter().enumerate() {
        match prepared {
            Ok(prepared) => runners.push(prepared.runner),
            Err(found) => problems.extend(found.into_iter().map(|problem| problem.under(&format!("/nodes/{position}")))),
        }
    }
    if problems.is_empty() { Ok(runners) } else { Err(problems) }
}
