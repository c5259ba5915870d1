//! Operations on the audit log: two chains, whose times do not always go forward.

use citadel::{
    model::ids::WorkspaceId,
    store::{AuditFilter, AuditOrder, PageRequest, Store},
};
use proptest::{option, prelude::*};

use super::player::told;
use crate::samples::{NOON, audit_record, stranger};

/// Records of a sequence: few, so that some are appended twice.
const RECORDS: u8 = 30;

/// One call about the audit log.
#[derive(Debug, Clone)]
pub(super) enum AuditOperation {
    /// So many records from the first on.
    Append {
        elsewhere: bool,
        first: u8,
        count: u8,
    },
    Prune {
        before: u8,
        limit: u8,
    },
    Read {
        elsewhere: bool,
        kind: Option<u8>,
        after: Option<u8>,
        limit: u8,
    },
}

pub(super) fn any() -> impl Strategy<Value = AuditOperation> {
    let elsewhere = prop::bool::weighted(0.3);
    prop_oneof![
        4 => (elsewhere, 0..RECORDS, 0..4_u8)
            .prop_map(|(elsewhere, first, count)| AuditOperation::Append { elsewhere, first, count }),
        2 => (0..10_u8, 1..4_u8).prop_map(|(before, limit)| AuditOperation::Prune { before, limit }),
        3 => (elsewhere, option::weighted(0.3, 0..2_u8), option::weighted(0.3, 0..5_u8), 0..5_u8)
            .prop_map(|(elsewhere, kind, after, limit)| AuditOperation::Read { elsewhere, kind, after, limit }),
    ]
}

pub(super) async fn play(store: &dyn Store, operation: &AuditOperation) -> String {
    let workspace = |elsewhere: bool| if elsewhere { stranger() } else { WorkspaceId::DEFAULT };
    match operation {
        AuditOperation::Append { elsewhere, first, count } => {
            let records: Vec<_> = (*first..first + count).map(|number| audit_record(number.into(), number % 7)).collect();
            told(store.append_audit(workspace(*elsewhere), &records).await)
        }
        AuditOperation::Prune { before, limit } => told(store.prune_audit(NOON + u64::from(*before), (*limit).into()).await),
        AuditOperation::Read { elsewhere, kind, after, limit } => {
            let kind = kind.map(|number| if number == 0 { "workflow" } else { "variable" }.to_owned());
            let filter = AuditFilter { kind, ..AuditFilter::default() };
            let page = PageRequest { after: after.map(u64::from), limit: (*limit).into() };
            let mut answer = told(store.find_audit_chain(workspace(*elsewhere)).await);
            for order in [AuditOrder::NewestFirst, AuditOrder::OldestFirst] {
                answer += &told(store.list_audit(workspace(*elsewhere), &filter, order, &page).await);
            }
            answer
        }
    }
}
