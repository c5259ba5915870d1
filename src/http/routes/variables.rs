//! Variables of the workspace, which expressions see as `$vars`, and the tags of its workflows.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    actors::audit::{AuditEntry, AuditEvent, digest},
    auth::permissions::permit::{VariableRead, VariableWrite, WorkflowRead},
    http::{
        AppState,
        dto::{Page, VariableBody, page_limit},
        error::ApiError,
        extract::{IdempotencyKey, IfMatch, Json, May, OptionalIfMatch, Path, Query, REPLAYED, etag},
        openapi::Problems,
        problem,
    },
    model::audit::Digest,
    model::limits::{NAME_CHARS_MAX, VARIABLE_BYTES_MAX, VARIABLE_DESCRIPTION_CHARS_MAX, VARIABLE_NAME_CHARS_MAX},
    store::{DeleteVariable, InsertVariable, TagCount, UpdateVariable, VARIABLES_MAX, VariableRow},
};

/// Which part of a list to show.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    /// Items of the page; 50 where it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A new variable.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVariable)]
pub(in crate::http) struct NewBody {
    #[schema(max_length = 64, pattern = "^[A-Za-z_][A-Za-z0-9_]*$")]
    name: String,
    value: Value,
    #[schema(max_length = 1000)]
    description: Option<String>,
}

/// What a variable becomes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VariableChange)]
pub(in crate::http) struct ChangeBody {
    value: Value,
    #[schema(max_length = 1000)]
    description: Option<String>,
}

/// A variable with its `ETag`.
type Tagged = ([(HeaderName, HeaderValue); 1], Answer<VariableBody>);

/// A tag in use.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct TagBody {
    tag: String,
    workflows: u32,
}

/// Creates a variable.
///
/// Expressions of executions that start from now on see it as `$vars.name`.
#[utoipa::path(
    post, path = "/variables", tag = "variables", security(("bearer" = ["variable:write"])), params(IdempotencyKey),
    responses(
        (status = 201, description = "The variable.", body = VariableBody, headers(("ETag"), ("Location"))),
        Problems<(problem::VARIABLE_EXISTS, problem::VARIABLES_FULL)>,
    ),
)]
pub(in crate::http) async fn create_variable(
    State(app): State<AppState>,
    caller: May<VariableWrite>,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<NewBody>,
) -> Result<(StatusCode, HeaderMap, Answer<VariableBody>), ApiError> {
    check_name(&body.name)?;
    check_content(&body.value, body.description.as_deref())?;
    let name = body.name.clone();
    match app.variables.create(caller.workspace(), body.name, &body.value, body.description.clone()).await? {
        InsertVariable::Inserted(row) => {
            let entry = AuditEntry::from(AuditEvent::VariableCreated(name)).changed(None, Some(content(&row)));
            app.audit.record(caller.origin(), entry).await;
            created(row, false)
        }
        InsertVariable::Full => {
            let detail = format!("a workspace has {VARIABLES_MAX} variables at most: a value may be an object");
            Err(ApiError::new(&problem::VARIABLES_FULL, detail))
        }
        InsertVariable::Exists => {
            let stored = app.variables.find(caller.workspace(), &name).await?;
            let is_same =
                |row: &VariableRow| row.version == 1 && row.description == body.description && value_is(row, &body.value);
            match stored.filter(|row| key.is_some() && is_same(row)) {
                Some(row) => created(row, true),
                None => Err(ApiError::new(&problem::VARIABLE_EXISTS, "change it with PUT, or choose another name")),
            }
        }
    }
}

/// Lists the variables by name.
#[utoipa::path(
    get, path = "/variables", tag = "variables", security(("bearer" = ["variable:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<VariableBody>)),
)]
pub(in crate::http) async fn list_variables(
    State(app): State<AppState>,
    caller: May<VariableRead>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<VariableBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    let rows = app.variables.list(caller.workspace(), query.cursor.as_deref(), limit + 1).await?;
    let bodies = rows.into_iter().map(VariableBody::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Answer(Page::new(bodies, limit, |body| body.name().to_owned(), |body| body)))
}

/// Shows a variable.
#[utoipa::path(
    get, path = "/variables/{name}", tag = "variables", security(("bearer" = ["variable:read"])), params(("name" = String, Path)),
    responses(
        (status = 200, description = "The variable.", body = VariableBody, headers(("ETag"))),
        Problems<problem::VARIABLE_NOT_FOUND>,
    ),
)]
pub(in crate::http) async fn get_variable(
    State(app): State<AppState>,
    caller: May<VariableRead>,
    Path(name): Path<String>,
) -> Result<Tagged, ApiError> {
    tagged(app.variables.find(caller.workspace(), &name).await?.ok_or_else(not_found)?)
}

/// Changes a variable.
#[utoipa::path(
    put, path = "/variables/{name}", tag = "variables", security(("bearer" = ["variable:write"])), params(("name" = String, Path), IfMatch),
    responses(
        (status = 200, description = "The variable.", body = VariableBody, headers(("ETag"))),
        Problems<(problem::VARIABLE_NOT_FOUND, problem::STALE, problem::IF_MATCH_REQUIRED)>,
    ),
)]
pub(in crate::http) async fn update_variable(
    State(app): State<AppState>,
    caller: May<VariableWrite>,
    Path(name): Path<String>,
    if_match: IfMatch,
    Json(body): Json<ChangeBody>,
) -> Result<Tagged, ApiError> {
    check_content(&body.value, body.description.as_deref())?;
    let before = app.variables.find(caller.workspace(), &name).await?;
    let updated = app.variables.update(caller.workspace(), &name, version_of(if_match), &body.value, body.description).await?;
    match updated {
        UpdateVariable::Updated(row) => {
            let entry = AuditEntry::from(AuditEvent::VariableUpdated(name));
            let entry = entry.changed(before.as_ref().map(content), Some(content(&row))).with("version", row.version);
            app.audit.record(caller.origin(), entry).await;
            tagged(row)
        }
        UpdateVariable::Stale { version } => Err(stale(version)),
        UpdateVariable::NotFound => Err(not_found()),
    }
}

/// Deletes a variable.
#[utoipa::path(
    delete, path = "/variables/{name}", tag = "variables", security(("bearer" = ["variable:write"])), params(("name" = String, Path), OptionalIfMatch),
    responses((status = 204, description = "It is gone."), Problems<(problem::VARIABLE_NOT_FOUND, problem::STALE)>),
)]
pub(in crate::http) async fn delete_variable(
    State(app): State<AppState>,
    caller: May<VariableWrite>,
    Path(name): Path<String>,
    OptionalIfMatch(if_match): OptionalIfMatch,
) -> Result<StatusCode, ApiError> {
    let before = app.variables.find(caller.workspace(), &name).await?;
    match app.variables.delete(caller.workspace(), &name, if_match.and_then(version_of)).await? {
        DeleteVariable::Deleted => {
            let entry = AuditEntry::from(AuditEvent::VariableDeleted(name)).changed(before.as_ref().map(content), None);
            app.audit.record(caller.origin(), entry).await;
            Ok(StatusCode::NO_CONTENT)
        }
        DeleteVariable::Stale { version } => Err(stale(version)),
        DeleteVariable::NotFound => Err(not_found()),
    }
}

/// Lists the tags of workflows by name.
#[utoipa::path(
    get, path = "/tags", tag = "workflows", security(("bearer" = ["workflow:read"])), params(ListQuery),
    responses((status = 200, description = "A page.", body = Page<TagBody>)),
)]
pub(in crate::http) async fn list_tags(
    State(app): State<AppState>,
    caller: May<WorkflowRead>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Page<TagBody>>, ApiError> {
    let limit = page_limit(query.limit)?;
    if query.cursor.as_ref().is_some_and(|cursor| cursor.chars().count() > NAME_CHARS_MAX) {
        return Err(ApiError::new(&problem::INVALID_CURSOR, "take `next_cursor` of the page before"));
    }
    let rows = app.workflows.list_tags(caller.workspace(), query.cursor.as_deref(), limit + 1).await?;
    let body = |count: TagCount| TagBody { tag: count.tag, workflows: count.workflows };
    Ok(Answer(Page::new(rows, limit, |count| count.tag.clone(), body)))
}

fn created(row: VariableRow, replayed: bool) -> Result<(StatusCode, HeaderMap, Answer<VariableBody>), ApiError> {
    let location = HeaderValue::try_from(format!("/api/v1/variables/{}", row.name)).map_err(ApiError::internal)?;
    let mut headers = HeaderMap::from_iter([(header::ETAG, etag(row.version)), (header::LOCATION, location)]);
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok((StatusCode::CREATED, headers, Answer(row.try_into()?)))
}

fn tagged(row: VariableRow) -> Result<Tagged, ApiError> {
    Ok(([(header::ETAG, etag(row.version))], Answer(row.try_into()?)))
}

/// What the audit log keeps of a variable's value.
fn content(row: &VariableRow) -> Digest {
    digest(&row.value)
}

fn version_of(if_match: IfMatch) -> Option<u32> {
    match if_match {
        IfMatch::Version(version) => Some(version),
        IfMatch::Any => None,
    }
}

fn value_is(row: &VariableRow, value: &Value) -> bool {
    serde_json::from_slice::<Value>(&row.value).is_ok_and(|stored| stored == *value)
}

/// A name is what can stand behind `$vars.`: so no expression has to quote it.
fn check_name(name: &str) -> Result<(), ApiError> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if begins && goes_on && name.len() <= VARIABLE_NAME_CHARS_MAX {
        return Ok(());
    }
    let detail = format!(
        "`name` has up to {VARIABLE_NAME_CHARS_MAX} letters (a to z in both cases), digits and `_`, and begins with no digit"
    );
    Err(ApiError::new(&problem::INVALID_BODY, detail))
}

fn check_content(value: &Value, description: Option<&str>) -> Result<(), ApiError> {
    let bytes = serde_json::to_vec(value).map_err(ApiError::internal)?.len();
    if bytes > VARIABLE_BYTES_MAX {
        let detail = format!("`value` has {bytes} bytes as JSON, the limit is {VARIABLE_BYTES_MAX}");
        return Err(ApiError::new(&problem::TOO_LARGE, detail));
    }
    if description.is_some_and(|text| text.chars().count() > VARIABLE_DESCRIPTION_CHARS_MAX) {
        let detail = format!("`description` has {VARIABLE_DESCRIPTION_CHARS_MAX} characters at most");
        return Err(ApiError::new(&problem::INVALID_BODY, detail));
    }
    Ok(())
}

fn not_found() -> ApiError {
    ApiError::new(&problem::VARIABLE_NOT_FOUND, "GET /api/v1/variables lists them")
}

fn stale(version: u32) -> ApiError {
    let detail = format!("it is at version {version}: read it, and apply your change to it");
    ApiError::new(&problem::STALE, detail).with_header(header::ETAG, etag(version))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(result: Result<(), ApiError>, code: Option<&str>) {
        assert_eq!(result.err().map(|error| error.problem.code), code);
    }

    #[test]
    fn names_obey_and_violate_their_limits() {
        for name in ["a", "_", "apiUrl_2", &"x".repeat(VARIABLE_NAME_CHARS_MAX)] {
            check(check_name(name), None);
        }
        for name in ["", "2a", "a-b", "a.b", "ä", &"x".repeat(VARIABLE_NAME_CHARS_MAX + 1)] {
            check(check_name(name), Some("invalid_body"));
        }
    }

    #[test]
    fn values_and_descriptions_obey_and_violate_their_limits() {
        // Two quotes belong to the JSON.
        check(check_content(&json!("x".repeat(VARIABLE_BYTES_MAX - 2)), None), None);
        check(check_content(&json!("x".repeat(VARIABLE_BYTES_MAX - 1)), None), Some("too_large"));
        check(check_content(&json!(1), Some(&"x".repeat(VARIABLE_DESCRIPTION_CHARS_MAX))), None);
        check(check_content(&json!(1), Some(&"x".repeat(VARIABLE_DESCRIPTION_CHARS_MAX + 1))), Some("invalid_body"));
    }
}
