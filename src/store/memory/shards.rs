//! Leases of shards, by the clock of the process.

use super::State;
use crate::{model::ids::NodeInstanceId, store::ShardLease};

/// Who owns a shard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shard {
    owner: Option<NodeInstanceId>,
    pub(super) epoch: i64,
    /// Unix milliseconds.
    lease_until: u64,
}

impl State {
    pub(super) fn take_shards(&mut self, owner: NodeInstanceId, wanted: &[u16], lease_ms: u64, now_ms: u64) -> Vec<ShardLease> {
        self.numbered_shards()
            .filter(|(number, _)| wanted.contains(number))
            .filter(|(_, shard)| shard.owner.is_none_or(|holder| holder == owner) || shard.lease_until < now_ms)
            .map(|(number, shard)| {
                *shard = Shard { owner: Some(owner), epoch: shard.epoch + 1, lease_until: now_ms.saturating_add(lease_ms) };
                ShardLease { shard: number, epoch: shard.epoch }
            })
            .collect()
    }

    pub(super) fn renew_shards(&mut self, owner: NodeInstanceId, lease_ms: u64, now_ms: u64) -> Vec<ShardLease> {
        self.numbered_shards()
            .filter(|(_, shard)| shard.owner == Some(owner))
            .map(|(number, shard)| {
                shard.lease_until = now_ms.saturating_add(lease_ms);
                ShardLease { shard: number, epoch: shard.epoch }
            })
            .collect()
    }

    pub(super) fn release_shards(&mut self, owner: NodeInstanceId) -> u64 {
        let mut released = 0;
        for (_, shard) in self.numbered_shards().filter(|(_, shard)| shard.owner == Some(owner)) {
            *shard = Shard { owner: None, epoch: shard.epoch, lease_until: 0 };
            released += 1;
        }
        self.nodes.remove(&owner);
        released
    }

    pub(super) fn hand_over_shards(&mut self, owner: NodeInstanceId, wanted: &[u16]) -> u64 {
        let mut released = 0;
        let owned = self.numbered_shards().filter(|(number, shard)| shard.owner == Some(owner) && wanted.contains(number));
        for (_, shard) in owned {
            *shard = Shard { owner: None, epoch: shard.epoch, lease_until: 0 };
            released += 1;
        }
        released
    }

    pub(super) fn announce_node(&mut self, node: NodeInstanceId, lease_ms: u64, now_ms: u64) -> Vec<NodeInstanceId> {
        self.nodes.retain(|_, lease_until| *lease_until >= now_ms);
        self.nodes.insert(node, now_ms.saturating_add(lease_ms));
        self.nodes.keys().copied().collect()
    }

    fn numbered_shards(&mut self) -> impl Iterator<Item = (u16, &mut Shard)> {
        (0_u16..).zip(&mut self.shards)
    }
}
