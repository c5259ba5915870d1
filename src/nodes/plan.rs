//! A workflow version, compiled: its graph and a runner per node. Made once per version and shared by its executions.

mod variables;

use std::sync::Arc;

use serde_json::{Value, json};

pub use self::variables::VariableUse;
use self::variables::variable_use;
use super::{Runner, registry::Registry};
use crate::model::{
    definition::WorkflowDefinition,
    graph::Graph,
    ids::WorkflowId,
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
    let Validated { shapes } = validation::validate(&definition, registry)?;
    let graph = Arc::new(Graph::new(&definition, &shapes));
    let mut problems = Vec::new();
    let mut runners = Vec::with_capacity(definition.nodes.len());
    for (position, node) in definition.nodes.iter().enumerate() {
        match registry.prepare(node) {
            Ok(prepared) => runners.push(prepared.runner),
            Err(found) => problems.extend(found.into_iter().map(|problem| problem.under(&format!("/nodes/{position}")))),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let variables = variable_use(&definition);
    Ok(CompiledWorkflow { workflow, version, definition: Arc::new(definition), graph, variables, runners })
}
