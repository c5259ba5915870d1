//! `http.request`: one HTTP request per item, several at once if wanted, page by page if wanted. Everything leaves through the
//! egress client. Items that succeeded are reported at once, so a retry repeats the failed ones only.

mod body;
mod credential;
mod draft;
mod failure;
mod pagination;
mod params;
mod response;
mod retry_after;
mod run;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use self::params::Params;
use super::{
    Description, EffectNode, NodeType, Outcome, Prepared, Runner,
    context::EffectContext,
    effects::attempt_timeout,
    params::{invalid, read},
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::PortItems,
    problem::Problem,
};

/// Items that one node run may have in flight.
pub const CONCURRENCY_MAX: usize = 16;
/// Pages of one item.
pub const PAGES_MAX: u32 = 1_000;
/// Bytes of a response that becomes JSON or text.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a response that goes to the blob store.
pub const RESPONSE_BINARY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of a request's body.
pub const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Failed items that an error lists.
pub const FAILURES_SHOWN_MAX: usize = 10;
/// Longest `Retry-After` that is obeyed, in milliseconds.
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

/// The node type.
pub struct HttpRequest;

impl NodeType for HttpRequest {
    fn describe(&self) -> Description {
        Description {
            type_name: "http.request",
            summary: "Sends an HTTP request per item",
            params_schema: params::schema(),
            verbatim: &[],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let params: Params = read(node)?;
        if let Some(problem) = params.pagination.as_ref().and_then(pagination::Pagination::problem) {
            return Err(vec![invalid("/params/pagination", problem)]);
        }
        let effect = if params.is_safe() { EffectClass::Idempotent } else { EffectClass::Effect };
        let runner = Requester { params: Arc::new(params), timeout: attempt_timeout(node) };
        Ok(Prepared { shape: NodeShape::step(effect), runner: Runner::Effect(Arc::new(runner)) })
    }
}

/// A node of this type.
struct Requester {
    params: Arc<Params>,
    timeout: Duration,
}

#[async_trait]
impl EffectNode for Requester {
    async fn run(&self, ctx: EffectContext) -> Result<Outcome, NodeError> {
        let items = run::run(&self.params, self.timeout, ctx).await?;
        Ok(Outcome::Done(PortItems::main(items)))
    }
}
