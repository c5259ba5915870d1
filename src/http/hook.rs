//! Requests to published webhooks: from the request to the item that starts an execution, and from its end to the answer.

pub(super) mod answer;
pub(super) mod request;
