//! Looks at the Redis of the cluster.

use super::Finding;
use crate::store::shared_buckets::SharedBuckets;

/// Prefix of the keys that this look could write; it writes none.
const PREFIX: &str = "citadel";

/// Whether Redis answers. A server goes on without it: each counts rates for itself then.
pub(super) async fn answers(url: &str) -> Finding {
    let hint = "check `redis.url`; until it answers, every server counts rates for itself";
    let shared = match SharedBuckets::connect(url, PREFIX) {
        Ok(shared) => shared,
        Err(error) => return Finding::problem("redis", error.to_string(), "check `redis.url`"),
    };
    let finding = match shared.ping().await {
        Ok(()) => Finding::good("redis", "answers: rates are counted together"),
        Err(error) => Finding::warning("redis", error.to_string(), hint),
    };
    shared.close().await;
    finding
}
