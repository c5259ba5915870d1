//! The list of node types that are compiled in. A new one is added here and nowhere else.

use std::sync::Arc;

use super::{
    NodeType, aggregate, approval, code, dedupe, file, filter, format, http_request, if_node, limit, loop_node, manual, merge,
    no_op, parse, rename, respond, schedule, set, sort, split, sql, stop_error, summarize, switch, wait, webhook, workflow,
};
use crate::runtimes::languages::Languages;

/// One of each, in any order. Without languages, code may be in any.
pub(super) fn node_types(languages: Option<Arc<Languages>>) -> Vec<Box<dyn NodeType>> {
    vec![
        Box::new(aggregate::Aggregate),
        Box::new(approval::Approval),
        Box::new(code::CodeNode::new(languages)),
        Box::new(dedupe::Dedupe),
        Box::new(file::FileRead),
        Box::new(file::FileWrite),
        Box::new(filter::Filter),
        Box::new(format::Format),
        Box::new(http_request::HttpRequest),
        Box::new(if_node::If),
        Box::new(limit::Limit),
        Box::new(loop_node::Loop),
        Box::new(manual::Manual),
        Box::new(merge::Merge),
        Box::new(no_op::NoOp),
        Box::new(parse::Parse),
        Box::new(rename::Rename),
        Box::new(respond::Respond),
        Box::new(schedule::Schedule),
        Box::new(set::Set),
        Box::new(sort::Sort),
        Box::new(split::Split),
        Box::new(sql::Sql),
        Box::new(stop_error::StopError),
        Box::new(summarize::Summarize),
        Box::new(switch::Switch),
        Box::new(wait::Wait),
        Box::new(webhook::Webhook),
        Box::new(workflow::SubWorkflow),
    ]
}
