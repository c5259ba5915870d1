//! The list of node types that are compiled in. A new one is added here and nowhere else.

use super::{NodeType, code, file, filter, http_request, if_node, manual, no_op, set, sql, switch, webhook, workflow};

/// One of each, in any order.
pub(super) fn node_types() -> Vec<Box<dyn NodeType>> {
    vec![
        Box::new(code::CodeNode),
        Box::new(file::FileRead),
        Box::new(file::FileWrite),
        Box::new(filter::Filter),
        Box::new(http_request::HttpRequest),
        Box::new(if_node::If),
        Box::new(manual::Manual),
        Box::new(no_op::NoOp),
        Box::new(set::Set),
        Box::new(sql::Sql),
        Box::new(switch::Switch),
        Box::new(webhook::Webhook),
        Box::new(workflow::SubWorkflow),
    ]
}
