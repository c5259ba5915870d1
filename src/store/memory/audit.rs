//! The audit log.

use std::collections::BTreeSet;

use super::{State, take};
use crate::{
    model::{
        audit::AuditRecord,
        ids::{AuditId, WorkspaceId},
    },
    store::{AuditChain, AuditFilter, AuditOrder, AuditRow, PageRequest, Result, audit_chain},
};

impl State {
    pub(super) fn append_audit(&mut self, workspace: WorkspaceId, records: &[AuditRecord]) -> Result<AuditChain> {
        let mut known: BTreeSet<AuditId> = self.audit.values().map(|row| row.record.id).collect();
        let new: Vec<AuditRecord> = records.iter().filter(|record| known.insert(record.id)).cloned().collect();
        let mut chain = self.find_audit_chain(workspace);
        let rows = audit_chain::link(workspace, &mut chain, &new)?;
        self.audit.extend(rows.into_iter().map(|row| ((workspace, row.seq), row)));
        if chain != AuditChain::NEW {
            self.audit_chains.insert(workspace, chain);
        }
        Ok(chain)
    }

    pub(super) fn find_audit_chain(&self, workspace: WorkspaceId) -> AuditChain {
        self.audit_chains.get(&workspace).copied().unwrap_or(AuditChain::NEW)
    }

    pub(super) fn list_audit(
        &self,
        workspace: WorkspaceId,
        filter: &AuditFilter,
        order: AuditOrder,
        page: &PageRequest<u64>,
    ) -> Vec<AuditRow> {
        let rows = self.audit.range((workspace, 0)..=(workspace, u64::MAX)).map(|(_, row)| row);
        let wanted = rows.filter(|row| is_wanted(row, filter));
        match order {
            AuditOrder::NewestFirst => {
                let behind = wanted.rev().filter(|row| page.after.is_none_or(|after| row.seq < after));
                behind.take(take(page.limit)).cloned().collect()
            }
            AuditOrder::OldestFirst => {
                let behind = wanted.filter(|row| page.after.is_none_or(|after| row.seq > after));
                behind.take(take(page.limit)).cloned().collect()
            }
        }
    }

    pub(super) fn prune_audit(&mut self, before: u64, limit: u32) -> u64 {
        let begins_before = |(workspace, chain): &(&WorkspaceId, &AuditChain)| {
            self.audit.get(&(**workspace, chain.first_seq)).is_some_and(|row| row.record.at < before)
        };
        let Some(workspace) = self.audit_chains.iter().find(begins_before).map(|(workspace, _)| *workspace) else { return 0 };
        let page = PageRequest { after: None, limit };
        let mut rows = self.list_audit(workspace, &AuditFilter::default(), AuditOrder::OldestFirst, &page);
        rows.truncate(audit_chain::expired(&rows, before));
        for row in &rows {
            self.audit.remove(&(workspace, row.seq));
        }
        if let (Some(last), Some(chain)) = (rows.last(), self.audit_chains.get_mut(&workspace)) {
            (chain.first_seq, chain.base_hash) = (last.seq + 1, last.hash);
        }
        u64::try_from(rows.len()).unwrap_or(u64::MAX)
    }
}

fn is_wanted(row: &AuditRow, filter: &AuditFilter) -> bool {
    let AuditFilter { action, kind, actor, target, request_id, from, until } = filter;
    let record = &row.record;
    let kind_of = record.action.split_once('.').map(|(kind, _)| kind);
    action.as_ref().is_none_or(|action| *action == record.action)
        && kind.as_ref().is_none_or(|kind| Some(kind.as_str()) == kind_of)
        && actor.as_ref().is_none_or(|actor| *actor == record.actor)
        && (target.is_none() || *target == record.target)
        && (request_id.is_none() || *request_id == record.request_id)
        && from.is_none_or(|from| record.at >= from)
        && until.is_none_or(|until| record.at < until)
}
