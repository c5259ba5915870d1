//! What effect nodes share: the time that an attempt has, and how the failures of items and connections are told. Pure.

use std::{error::Error, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    auth::egress::EgressError,
    model::{
        definition::NodeDefinition,
        error::{NodeError, codes},
        limits::NODE_MS_DEFAULT,
    },
};

/// The wall time of one attempt of a node.
pub fn attempt_timeout(node: &NodeDefinition) -> Duration {
    Duration::from_millis(node.timeout.map_or(NODE_MS_DEFAULT, |timeout| timeout.0))
}

/// Says in a failure which item it was, unless it says so already (a failed expression does).
pub fn at_item(mut error: NodeError, index: usize) -> NodeError {
    let mut details = match error.details.take() {
        Some(Value::Object(details)) => details,
        _ => Map::new(),
    };
    if !details.contains_key("item") {
        error.message.insert_str(0, &format!("item {index}: "));
        details.insert("item".to_owned(), json!(index));
    }
    error.with_details(Value::Object(details))
}

/// The failure of what the egress client could not do.
pub fn of_egress(error: &EgressError) -> NodeError {
    match error {
        EgressError::Denied(denied) => {
            NodeError::permanent(codes::EGRESS_DENIED, denied.to_string()).with_details(json!({ "reason": denied.reason() }))
        }
        EgressError::TooManyRedirects => NodeError::permanent(codes::TOO_MANY_REDIRECTS, error.to_string()),
        EgressError::BodyTooLarge { .. } => NodeError::permanent(codes::OUTPUT_LIMIT, error.to_string()),
        EgressError::Timeout(_) => NodeError::transient(codes::TIMEOUT, error.to_string()),
        EgressError::Connect { .. } | EgressError::Exchange { .. } => {
            NodeError::transient(codes::CONNECTION_FAILED, format!("{error}: {}", root_cause(error)))
        }
    }
}

/// The innermost cause: the one that says what happened.
fn root_cause(error: &EgressError) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_item_once() {
        let named = at_item(NodeError::permanent("sql_failed", "no").with_details(json!({ "sql_code": "1" })), 3);
        assert_eq!((named.message.as_str(), &named.details), ("item 3: no", &Some(json!({ "sql_code": "1", "item": 3 }))));
        assert_eq!(at_item(named.clone(), 4), named);
    }
}
