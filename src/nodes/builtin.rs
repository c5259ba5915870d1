//! The list of node types that are compiled in. A new one is added here and nowhere else.

use super::{NodeType, filter, if_node, manual, no_op, set, switch, webhook};

/// One of each, in any order.
pub(super) fn node_types() -> Vec<Box<dyn NodeType>> {
    vec![
        Box::new(filter::Filter),
        Box::new(if_node::If),
        Box::new(manual::Manual),
        Box::new(no_op::NoOp),
        Box::new(set::Set),
        Box::new(switch::Switch),
        Box::new(webhook::Webhook),
    ]
}
