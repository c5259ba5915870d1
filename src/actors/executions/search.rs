//! Lists of executions by filter and by text. A text is looked for row by row, newest first, over a bounded number of rows per
//! page: no index finds a part of a word on both databases, and the filters have taken the most away before.

use super::ExecutionsHandle;
use crate::{
    model::ids::WorkspaceId,
    store::{ExecutionCursor, ExecutionFilter, ExecutionRow, PageRequest, StoreError},
};

/// Rows that one page of a text search looks at; the next page goes on behind them.
pub const SEARCH_ROWS_MAX: usize = 10_000;
/// Rows of one look at the store.
const LOOK_ROWS: u32 = 500;

/// Which executions are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    pub filter: ExecutionFilter,
    pub text: Option<SearchText>,
}

/// A text that an execution is known by: the beginning of its id, a part of its business key or of its error code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText(String);

/// A page of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub rows: Vec<ExecutionRow>,
    /// Where the next page begins; `None` if there is none. A page may be empty and have a next one.
    pub next: Option<ExecutionCursor>,
}

impl SearchText {
    /// `None` for a text of white space.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        (!text.is_empty()).then_some(Self(text))
    }

    fn is_about(&self, row: &ExecutionRow) -> bool {
        let has = |text: &Option<String>| text.as_ref().is_some_and(|text| text.to_lowercase().contains(&self.0));
        let id = row.id.to_string();
        let bare = id.split_once('_').map_or("", |(_, bare)| bare);
        id.starts_with(&self.0) || bare.starts_with(&self.0) || has(&row.new.business_key) || has(&row.state.error_code)
    }
}

impl ExecutionsHandle {
    /// Executions of a workspace, newest first.
    pub async fn search(
        &self,
        workspace: WorkspaceId,
        search: &Search,
        page: &PageRequest<ExecutionCursor>,
    ) -> Result<Found, StoreError> {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let (mut rows, mut after, mut seen): (Vec<ExecutionRow>, _, usize) = (Vec::new(), page.after, 0);
        loop {
            // Without a text one row more than wanted says whether there is a next page.
            let look = if search.text.is_some() { LOOK_ROWS } else { page.limit.saturating_add(1) };
            let request = PageRequest { after, limit: look };
            let looked_at = self.engine.store.list_executions(workspace, &search.filter, &request).await?;
            let is_last = looked_at.len() < usize::try_from(look).unwrap_or(usize::MAX);
            seen += looked_at.len();
            after = looked_at.last().map(cursor_of).or(after);
            let wanted = |row: &ExecutionRow| search.text.as_ref().is_none_or(|text| text.is_about(row));
            rows.extend(looked_at.into_iter().filter(wanted));
            if rows.len() > limit {
                rows.truncate(limit);
                return Ok(Found { next: rows.last().map(cursor_of), rows });
            }
            if is_last || seen >= SEARCH_ROWS_MAX {
                return Ok(Found { rows, next: after.filter(|_| !is_last) });
            }
        }
    }
}

/// The place of a row in the list.
fn cursor_of(row: &ExecutionRow) -> ExecutionCursor {
    ExecutionCursor { created_at: row.created_at, id: row.id }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        model::{
            execution::{ExecutionStatus, TriggerKind},
            ids::{ExecutionId, WorkflowId},
        },
        store::{NewExecution, StateChange},
    };

    #[test]
    fn finds_the_beginning_of_an_id_and_parts_of_the_rest_in_any_case() {
        let row = ExecutionRow {
            id: ExecutionId::from_uuid(Uuid::from_u128(0x0193_abcd_0000_7000_8000_0000_0000_0001)),
            new: NewExecution {
                workspace: WorkspaceId::DEFAULT,
                workflow: WorkflowId::from_uuid(Uuid::nil()),
                version: 1,
                trigger: TriggerKind::Manual,
                parent: None,
                retry_of: None,
                business_key: Some("Order-\u{c4}7".to_owned()),
            },
            state: StateChange {
                status: ExecutionStatus::Failed,
                wake_at: None,
                finished_at: None,
                error_code: Some("http_status".to_owned()),
                expires_at: None,
            },
            created_at: 1,
        };
        let finds = |text: &str| SearchText::new(text).unwrap().is_about(&row);
        assert!(["exe_0193ABCD", "0193abcd", " order", "R-\u{e4}", "STATUS"].into_iter().all(finds));
        assert!(!["abcd", "exe_0194", "orders", "timeout"].into_iter().any(finds));
        assert_eq!(SearchText::new("  "), None);
    }
}
