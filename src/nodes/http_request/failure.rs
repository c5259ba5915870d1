//! Turns error statuses into node errors, and the failures of several items into one. Pure.

use serde_json::{Value, json};

use super::{FAILURES_SHOWN_MAX, retry_after::retry_after_ms};
use crate::{
    auth::egress::{StatusCode, header::HeaderMap},
    model::error::{NodeError, codes},
    nodes::effects::at_item,
};

/// The failure of an answer with an error status; `None` for any other status.
pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, now_ms: u64) -> Option<NodeError> {
    if status.as_u16() < 400 {
        return None;
    }
    let wait_ms = retry_after_ms(headers, now_ms);
    let is_limit = status == StatusCode::TOO_MANY_REQUESTS || (status == StatusCode::SERVICE_UNAVAILABLE && wait_ms.is_some());
    let passes = status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    let code = if is_limit { codes::RATE_LIMITED } else { codes::HTTP_STATUS };
    let message = format!("the server answered {status}");
    Some(NodeError {
        retryable: passes,
        retry_after_ms: wait_ms.filter(|_| passes),
        ..NodeError::permanent(code, message).with_details(json!({ "status": status.as_u16() }))
    })
}

/// The failure of a run of which `failures` items out of `total` failed. `failures` is not empty.
/// It may be repeated if any of them may, after the longest of their delays.
pub(super) fn of_items(mut failures: Vec<(usize, NodeError)>, total: usize) -> NodeError {
    failures.sort_by_key(|(index, _)| *index);
    let retryable = failures.iter().any(|(_, error)| error.retryable);
    let retry_after_ms = failures.iter().filter_map(|(_, error)| error.retry_after_ms).max();
    let shown: Vec<Value> = failures.iter().take(FAILURES_SHOWN_MAX).map(|(index, error)| show(*index, error)).collect();
    let count = failures.len();
    // The one that decides about another attempt speaks for all.
    let spokesman = failures.iter().position(|(_, error)| error.retryable == retryable).unwrap_or(0);
    let (index, error) = failures.swap_remove(spokesman);
    let error = at_item(error, index);
    if count == 1 {
        return error;
    }
    let message = format!("{count} of {total} items failed; {}", error.message);
    let details = json!({ "items": total, "failed": count, "failures": shown });
    NodeError { message, retryable, retry_after_ms, ..error }.with_details(details)
}

fn show(index: usize, error: &NodeError) -> Value {
    let mut shown = at_item(error.clone(), index).details.unwrap_or_default();
    shown["code"] = json!(error.code);
    shown["message"] = json!(error.message);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::egress::header::RETRY_AFTER;

    #[track_caller]
    fn check(status: u16, retry_after: Option<&str>, expected: Option<(&str, bool, Option<u64>)>) {
        let headers = retry_after.map(|text| (RETRY_AFTER, text.parse().unwrap())).into_iter().collect();
        let error = of_status(StatusCode::from_u16(status).unwrap(), &headers, 0);
        let found = error.as_ref().map(|error| (error.code.as_str(), error.retryable, error.retry_after_ms));
        assert_eq!(found, expected, "{status}");
    }

    #[test]
    fn sorts_statuses_by_what_can_be_done() {
        for status in [200, 204, 304] {
            check(status, None, None);
        }
        for status in [400, 401, 403, 404, 409, 422] {
            check(status, Some("5"), Some(("http_status", false, None)));
        }
        for status in [408, 425, 500, 502, 503, 504] {
            check(status, None, Some(("http_status", true, None)));
        }
        check(429, None, Some(("rate_limited", true, None)));
        check(429, Some("2"), Some(("rate_limited", true, Some(2_000))));
        check(503, Some("2"), Some(("rate_limited", true, Some(2_000))));
    }

    #[test]
    fn a_single_failure_keeps_its_details() {
        let error = NodeError::permanent("http_status", "no").with_details(json!({ "status": 404 }));
        let combined = of_items(vec![(3, error)], 5);
        assert_eq!((combined.code.as_str(), combined.message.as_str()), ("http_status", "item 3: no"));
        assert_eq!(combined.details, Some(json!({ "status": 404, "item": 3 })));
    }

    #[test]
    fn several_failures_are_counted_and_retried_if_any_may_be() {
        let slow = NodeError { retry_after_ms: Some(7), ..NodeError::transient("rate_limited", "slow down") };
        let failures = vec![(4, slow), (1, NodeError::permanent("http_status", "gone"))];
        let combined = of_items(failures, 9);
        assert_eq!((combined.code.as_str(), combined.retryable, combined.retry_after_ms), ("rate_limited", true, Some(7)));
        assert_eq!(combined.message, "2 of 9 items failed; item 4: slow down");
        let details = combined.details.unwrap();
        assert_eq!((&details["items"], &details["failed"]), (&json!(9), &json!(2)));
        assert_eq!(details["failures"][0], json!({ "item": 1, "code": "http_status", "message": "gone" }));
    }

    #[test]
    fn lists_the_first_failures_only() {
        let failures = (0..50).map(|index| (index, NodeError::permanent("http_status", "no"))).collect();
        let details = of_items(failures, 50).details.unwrap();
        assert_eq!(details["failures"].as_array().unwrap().len(), FAILURES_SHOWN_MAX);
    }
}
