//! The audit log: who changed what, when and from where. It is read here only; what changes something writes it.

use axum::{
    Json as Answer,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    auth::permissions::permit::AuditRead,
    http::{
        AppState,
        dto::{AuditBody, AuditChainBody, Page, page_limit, parse_time},
        error::ApiError,
        extract::{May, Query},
        openapi::{AuditAction, AuditKind, Problems},
        problem,
        stream::StreamSlot,
    },
    model::{
        audit::{ACTIONS, AUDIT_TEXT_CHARS_MAX, kinds},
        ids::WorkspaceId,
    },
    store::{AuditFilter, AuditOrder, AuditRow, PageRequest},
};

/// Rows that an export reads at a time.
const EXPORT_ROWS: u32 = 500;
/// One JSON document per line. Source: <https://jsonlines.org>.
const JSON_LINES: &str = "application/jsonl";

/// Which rows to list, and from where on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, in the same order.
    cursor: Option<String>,
    #[param(inline)]
    order: Option<Order>,
    /// What happened: `workflow.updated`.
    #[param(value_type = Option<AuditAction>)]
    action: Option<String>,
    /// Which kind of thing it happened to: `workflow`.
    #[param(value_type = Option<AuditKind>)]
    kind: Option<String>,
    /// Who it was: an id, `anonymous` or `system`.
    #[param(max_length = 255)]
    actor: Option<String>,
    /// What it happened to: an id or a name.
    #[param(max_length = 255)]
    target: Option<String>,
    #[param(max_length = 255)]
    request_id: Option<String>,
    /// At this time or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// In which order to list; `newest` first where it is not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Newest,
    Oldest,
}

/// Where an export begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ExportQuery {
    /// Behind this row: the `seq` of the last one that is there already.
    after: Option<u64>,
}

/// Lists what was changed, by whom and from where.
///
/// The rows of a workspace are a chain of hashes: `citadel audit verify` finds the first one that was changed, moved or taken away.
#[utoipa::path(
    get, path = "/audit", tag = "audit", security(("bearer" = ["audit:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<AuditBody>)),
)]
pub(in crate::http) async fn list_audit(
    State(app): State<AppState>,
    caller: May<AuditRead>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<AuditBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let invalid = |_| ApiError::new(&problem::INVALID_CURSOR, "take `next_cursor` of the page before");
    let after = query.cursor.as_deref().map(str::parse).transpose().map_err(invalid)?;
    let order = match query.order.unwrap_or_default() {
        Order::Newest => AuditOrder::NewestFirst,
        Order::Oldest => AuditOrder::OldestFirst,
    };
    let filter = query.into_filter()?;
    let rows = app.audit.list(caller.workspace(), &filter, order, &PageRequest { after, limit: limit + 1 }).await?;
    Page::try_new(rows, limit, |row: &AuditRow| row.seq.to_string(), AuditBody::try_from).map(Answer)
}

/// Shows where the log begins and ends.
///
/// Keep `last_seq` and `last_hash` somewhere else, and you can tell later that nothing before them was changed.
#[utoipa::path(
    get, path = "/audit/chain", tag = "audit", security(("bearer" = ["audit:read"])),
    responses((status = 200, description = "Its ends.", body = AuditChainBody)),
)]
pub(in crate::http) async fn get_audit_chain(
    State(app): State<AppState>,
    caller: May<AuditRead>,
) -> Result<Answer<AuditChainBody>, ApiError> {
    let chain = app.audit.chain(caller.workspace()).await?;
    Ok(Answer(AuditChainBody::new(caller.workspace(), chain)))
}

/// Streams the log, oldest row first, one JSON document per line.
///
/// An answer that breaks off was cut short: go on behind its last row.
#[utoipa::path(
    get, path = "/audit/export", tag = "audit", security(("bearer" = ["audit:read"])), params(ExportQuery),
    responses(
        (status = 200, description = "The rows, as in the list.", body = String, content_type = "application/jsonl"),
        Problems<problem::TOO_MANY_STREAMS>,
    ),
)]
pub(in crate::http) async fn export_audit(
    State(app): State<AppState>,
    caller: May<AuditRead>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let slot = app.streams.take()?;
    let export = Export { app, workspace: caller.workspace(), after: query.after, _slot: slot };
    let lines = stream::try_unfold(Some(export), async |export| match export {
        Some(export) => export.next_lines().await,
        None => Ok(None),
    });
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
    Ok(([kind], Body::from_stream(lines)).into_response())
}

/// An export on its way.
struct Export {
    app: AppState,
    workspace: WorkspaceId,
    after: Option<u64>,
    _slot: StreamSlot,
}

impl Export {
    /// The lines of the next rows, and what comes behind them.
    ///
    /// Errors: the store fails; the answer breaks off then.
    async fn next_lines(mut self) -> Result<Option<(Bytes, Option<Self>)>, axum::Error> {
        let page = PageRequest { after: self.after, limit: EXPORT_ROWS };
        let read = self.app.audit.list(self.workspace, &AuditFilter::default(), AuditOrder::OldestFirst, &page).await;
        let rows = read.map_err(|error| {
            tracing::error!(cause = %error, "an export of the audit log was cut short");
            axum::Error::new(error)
        })?;
        let Some(last) = rows.last() else { return Ok(None) };
        self.after = Some(last.seq);
        let mut lines = Vec::new();
        for row in rows {
            let body = AuditBody::try_from(row).map_err(|error| axum::Error::new(std::io::Error::other(error.detail)))?;
            serde_json::to_writer(&mut lines, &body).map_err(axum::Error::new)?;
            lines.push(b'\n');
        }
        Ok(Some((lines.into(), Some(self))))
    }
}

impl ListQuery {
    /// Errors: `invalid_query` with what is wrong.
    fn into_filter(self) -> Result<AuditFilter, ApiError> {
        let invalid = |detail: String| ApiError::new(&problem::INVALID_QUERY, detail);
        if let Some(action) = self.action.as_deref().filter(|action| !ACTIONS.contains(action)) {
            return Err(invalid(format!("`action`: nothing is called `{action}`; such as `workflow.updated` is")));
        }
        if let Some(kind) = self.kind.as_deref().filter(|kind| !kinds().contains(kind)) {
            return Err(invalid(format!("`kind`: nothing happens to a `{kind}`; to a `workflow` it does")));
        }
        let texts = [&self.actor, &self.target, &self.request_id];
        if texts.into_iter().flatten().any(|text| text.chars().count() > AUDIT_TEXT_CHARS_MAX) {
            return Err(invalid(format!("`actor`, `target` and `request_id` have {AUDIT_TEXT_CHARS_MAX} characters at most")));
        }
        let time = |name: &str, text: Option<String>| {
            let wrong = || invalid(format!("`{name}` must be a time such as 2026-01-31T12:00:00Z"));
            text.map(|text| parse_time(&text).ok_or_else(wrong)).transpose()
        };
        let (from, until) = (time("since", self.since)?, time("until", self.until)?);
        let Self { action, kind, actor, target, request_id, .. } = self;
        Ok(AuditFilter { action, kind, actor, target, request_id, from, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<AuditFilter, ApiError> {
        serde_json::from_str::<ListQuery>(text).unwrap().into_filter()
    }

    #[track_caller]
    fn refused(text: &str, word: &str) {
        let error = query(text).unwrap_err();
        assert!(error.problem.code == "invalid_query" && error.detail.contains(word), "{error:?}");
    }

    #[test]
    fn takes_what_there_is_a_word_for() {
        let filter = query(r#"{"action":"workflow.updated","kind":"workflow","since":"1970-01-01T00:00:01Z"}"#).unwrap();
        assert_eq!((filter.action.as_deref(), filter.kind.as_deref()), (Some("workflow.updated"), Some("workflow")));
        assert_eq!((filter.from, filter.until), (Some(1_000), None));
        refused(r#"{"action":"workflow.eaten"}"#, "workflow.eaten");
        refused(r#"{"kind":"work"}"#, "`work`");
        refused(r#"{"until":"yesterday"}"#, "`until`");
    }

    #[test]
    fn texts_obey_and_violate_their_limit() {
        let actor = |length| format!(r#"{{"actor":"{}"}}"#, "x".repeat(length));
        assert!(query(&actor(AUDIT_TEXT_CHARS_MAX)).is_ok());
        refused(&actor(AUDIT_TEXT_CHARS_MAX + 1), "255");
    }
}
