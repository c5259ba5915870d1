//! A validated definition as a graph that the execution machine walks: edges by port, and for merges and loops the sets of
//! nodes whose activity they have to wait for. Built once per workflow version.

use std::{collections::HashMap, sync::Arc};

use super::{
    catalog::{NodeShape, Role},
    definition::{NodeDefinition, OnError, RetryPolicy, WorkflowDefinition},
    item::Port,
    limits,
};

/// A workflow version, ready to be executed.
#[derive(Debug)]
pub struct Graph {
    pub nodes: Vec<GraphNode>,
    index: HashMap<Arc<str>, usize>,
    /// Wall time of one execution.
    pub timeout_ms: u64,
}

/// One node with everything that decides about its runs.
#[derive(Debug)]
pub struct GraphNode {
    pub id: Arc<str>,
    pub shape: Arc<NodeShape>,
    pub retry: RetryPolicy,
    pub on_error: OnError,
    pub disabled: bool,
    pub execute_once: bool,
    pub always_output: bool,
    /// Wall time of one attempt.
    pub timeout_ms: u64,
    /// The ports that have edges, with their targets.
    pub ports: Vec<(Port, Vec<Target>)>,
    pub incoming: Vec<Incoming>,
    /// For a loop: the nodes whose activity is the iteration's. Empty otherwise.
    pub body: NodeSet,
}

/// Where an edge leads.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub node: usize,
    /// Index of the edge in the target's [`GraphNode::incoming`].
    pub edge: usize,
}

/// An edge, seen from its target.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub source: usize,
    pub input: u32,
    /// For a merge: the nodes that could still send something over this edge. Empty otherwise.
    pub feeders: NodeSet,
}

/// A set of nodes of one graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSet(Vec<u64>);

impl NodeSet {
    /// Adds a node; `false` if it was in already.
    pub fn insert(&mut self, node: usize) -> bool {
        let (word, bit) = (node / 64, 1_u64 << (node % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    pub fn contains(&self, node: usize) -> bool {
        self.0.get(node / 64).is_some_and(|word| word & (1 << (node % 64)) != 0)
    }

    /// Whether the two sets share a node.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(left, right)| left & right != 0)
    }
}

impl FromIterator<usize> for NodeSet {
    fn from_iter<I: IntoIterator<Item = usize>>(nodes: I) -> Self {
        let mut set = Self::default();
        set.extend(nodes);
        set
    }
}

impl Extend<usize> for NodeSet {
    fn extend<I: IntoIterator<Item = usize>>(&mut self, nodes: I) {
        for node in nodes {
            self.insert(node);
        }
    }
}

impl Graph {
    /// Builds the graph of a definition that has passed validation; `shapes` are in the order of its nodes.
    ///
    /// # Panics
    /// If an edge names a node that is not there: validation has refused such a definition.
    pub fn new(definition: &WorkflowDefinition, shapes: &[Arc<NodeShape>]) -> Self {
        assert_eq!(definition.nodes.len(), shapes.len(), "one shape per node");
        let index: HashMap<Arc<str>, usize> =
            definition.nodes.iter().enumerate().map(|(position, node)| (Arc::clone(&node.id), position)).collect();
        let mut nodes: Vec<GraphNode> = definition.nodes.iter().zip(shapes).map(|(node, shape)| bare_node(node, shape)).collect();
        for edge in &definition.edges {
            let (from, to) = (index[&edge.from], index[&edge.to]);
            let target = Target { node: to, edge: nodes[to].incoming.len() };
            nodes[to].incoming.push(Incoming { source: from, input: edge.input, feeders: NodeSet::default() });
            match nodes[from].ports.iter_mut().find(|(port, _)| *port == edge.port) {
                Some((_, targets)) => targets.push(target),
                None => nodes[from].ports.push((edge.port.clone(), vec![target])),
            }
        }
        let timeout_ms = definition.settings.timeout.map_or(limits::EXECUTION_MS_DEFAULT, |timeout| timeout.0);
        let mut graph = Self { nodes, index, timeout_ms };
        graph.find_bodies();
        graph.find_feeders();
        graph
    }

    /// The position of a node.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The node of an id.
    pub fn node(&self, id: &str) -> Option<&GraphNode> {
        self.position(id).map(|position| &self.nodes[position])
    }

    /// The first trigger, which starts executions that name no start node.
    pub fn default_trigger(&self) -> Option<&GraphNode> {
        self.nodes.iter().find(|node| node.shape.role == Role::Trigger && !node.disabled)
    }

    /// Whether nothing follows the node.
    pub fn is_leaf(&self, position: usize) -> bool {
        self.nodes[position].ports.iter().all(|(_, targets)| targets.is_empty())
    }

    fn find_bodies(&mut self) {
        let loops: Vec<usize> = (0..self.nodes.len()).filter(|node| self.is_loop(*node)).collect();
        let reached: Vec<NodeSet> = loops.iter().map(|node| self.reached_outside(*node)).collect();
        for node in &loops {
            let is_bound = |(bound, reached): &(&usize, &NodeSet)| *bound == node || !reached.contains(*node);
            let bounds = loops.iter().zip(&reached).filter(is_bound).map(|(bound, _)| *bound).collect();
            self.nodes[*node].body = self.body_of(*node, &bounds);
        }
    }

    fn is_loop(&self, node: usize) -> bool {
        matches!(self.nodes[node].shape.role, Role::Loop { .. })
    }

    /// What the triggers reach without the `loop` port of this loop.
    fn reached_outside(&self, node: usize) -> NodeSet {
        let triggers = (0..self.nodes.len()).filter(|position| self.nodes[*position].shape.role == Role::Trigger).collect();
        reach(triggers, &NodeSet::default(), |position| {
            let ports = self.nodes[position].ports.iter().filter(move |(port, _)| position != node || port != "loop");
            ports.flat_map(|(_, targets)| targets.iter().map(|target| target.node))
        })
    }

    /// A loop's body: what its `loop` port reaches, less what only follows its `done` port. `bounds` are itself and the loops
    /// around it, whose bodies go on outside of its own: every way from a trigger to this one leads out of their `loop` port. A
    /// loop before this one, which hands it items when it is done, is none of them: it may lie in this body, too.
    fn body_of(&self, node: usize, bounds: &NodeSet) -> NodeSet {
        let after_port = |port: &str| {
            let targets = self.nodes[node].ports.iter().filter(|(name, _)| name == port).flat_map(|(_, targets)| targets);
            reach(targets.map(|target| target.node).collect(), bounds, |position| self.nodes[position].targets())
        };
        let (inside, after) = (after_port("loop"), after_port("done"));
        let back = reach(self.nodes[node].sources().collect(), bounds, |position| self.nodes[position].sources());
        let is_body = |position: &usize| inside.contains(*position) && (back.contains(*position) || !after.contains(*position));
        (0..self.nodes.len()).filter(is_body).collect()
    }

    /// For each edge into a merge: its source and what is above it. A loop around the merge is no feeder: it goes on only when
    /// its body, and so the merge, is done.
    fn find_feeders(&mut self) {
        for merge in 0..self.nodes.len() {
            if self.nodes[merge].shape.role != Role::Merge {
                continue;
            }
            let is_bound = |position: &usize| *position == merge || self.nodes[*position].body.contains(merge);
            let bounds: NodeSet = (0..self.nodes.len()).filter(is_bound).collect();
            for edge in 0..self.nodes[merge].incoming.len() {
                let source = self.nodes[merge].incoming[edge].source;
                let feeders = reach(vec![source], &bounds, |position| self.nodes[position].sources());
                self.nodes[merge].incoming[edge].feeders = feeders;
            }
        }
    }
}

impl GraphNode {
    /// The nodes that edges lead to.
    fn targets(&self) -> impl Iterator<Item = usize> {
        self.ports.iter().flat_map(|(_, targets)| targets.iter().map(|target| target.node))
    }

    /// The nodes that edges come from.
    fn sources(&self) -> impl Iterator<Item = usize> {
        self.incoming.iter().map(|edge| edge.source)
    }
}

/// The nodes `open` and what follows them, without what is bound.
fn reach<I: Iterator<Item = usize>>(mut open: Vec<usize>, bounds: &NodeSet, next: impl Fn(usize) -> I) -> NodeSet {
    let mut seen = NodeSet::default();
    while let Some(node) = open.pop() {
        if !bounds.contains(node) && seen.insert(node) {
            open.extend(next(node));
        }
    }
    seen
}

fn bare_node(node: &NodeDefinition, shape: &Arc<NodeShape>) -> GraphNode {
    GraphNode {
        id: Arc::clone(&node.id),
        shape: Arc::clone(shape),
        retry: node.retry.clone().unwrap_or_else(RetryPolicy::once),
        on_error: node.on_error,
        disabled: node.disabled,
        execute_once: node.execute_once,
        always_output: node.always_output,
        timeout_ms: node.timeout.map_or(limits::NODE_MS_DEFAULT, |timeout| timeout.0),
        ports: Vec::new(),
        incoming: Vec::new(),
        body: NodeSet::default(),
    }
}

#[cfg(test)]
mod tests;
