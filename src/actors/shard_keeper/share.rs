//! Which shards a process should own among those that live: rendezvous hashing, so that a process that comes or goes moves its own
//! share only. Pure. Says who should; the store's rows say who does.

use crate::model::ids::{NodeInstanceId, SHARD_COUNT};

/// The shards of `me` among the live processes; all of them if nobody is known to live.
pub fn fair_share(me: NodeInstanceId, live: &[NodeInstanceId]) -> Vec<u16> {
    let is_mine = |shard: &u16| {
        let first = live.iter().max_by_key(|node| (score(**node, *shard), **node));
        first.is_none_or(|first| *first == me)
    };
    (0..SHARD_COUNT).filter(is_mine).collect()
}

/// How much a process is meant to have a shard: FNV-1a over both, mixed (the end of MurmurHash3).
fn score(node: NodeInstanceId, shard: u16) -> u64 {
    let uuid = node.uuid();
    let bytes = uuid.as_bytes().iter().copied().chain(shard.to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn nodes(count: u128) -> Vec<NodeInstanceId> {
        (1..=count).map(|number| NodeInstanceId::from_uuid(Uuid::from_u128(number))).collect()
    }

    #[test]
    fn shares_every_shard_once_and_about_evenly() {
        for count in 1..=8 {
            let live = nodes(count);
            let shares: Vec<Vec<u16>> = live.iter().map(|node| fair_share(*node, &live)).collect();
            let mut all: Vec<u16> = shares.concat();
            all.sort_unstable();
            assert_eq!(all, (0..SHARD_COUNT).collect::<Vec<_>>());
            let even = 256 / live.len();
            assert!(shares.iter().all(|share| share.len() > even / 2 && share.len() < 2 * even + 1), "{count}: {shares:?}");
        }
    }

    #[test]
    fn who_leaves_moves_its_own_share_only() {
        let (live, left) = (nodes(4), nodes(3));
        for node in &left {
            let (before, after) = (fair_share(*node, &live), fair_share(*node, &left));
            assert!(before.iter().all(|shard| after.contains(shard)));
        }
    }

    #[test]
    fn one_that_knows_of_nobody_wants_everything() {
        assert_eq!(fair_share(nodes(1)[0], &[]).len(), usize::from(SHARD_COUNT));
        assert_eq!(fair_share(nodes(1)[0], &nodes(1)).len(), usize::from(SHARD_COUNT));
    }
}
