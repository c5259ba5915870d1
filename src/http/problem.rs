//! Every kind of problem that the API answers with, and how one is written (RFC 9457). `GET /problems/{code}` explains them.

use axum::http::StatusCode;
use serde::Serialize;

use crate::model::problem::Problem;

/// A kind of problem: the stable code, the status it comes with, and a title that never changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProblemType {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
}

/// Kinds of problems as a type, for the documentation of routes: one kind, or a tuple of lists.
pub(super) trait ProblemList {
    fn kinds() -> Vec<&'static ProblemType>;
}

macro_rules! problem_types {
    ($($name:ident = $status:ident, $code:literal, $title:literal;)*) => {
        $(
            #[doc = $title]
            pub(super) const $name: ProblemType = ProblemType { status: StatusCode::$status, code: $code, title: $title };

            #[doc = $title]
            #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the type has the name of the constant")]
            #[allow(dead_code, reason = "some problems follow from what a route takes: no route lists them")]
            pub(super) enum $name {}

            impl ProblemList for $name {
                fn kinds() -> Vec<&'static ProblemType> {
                    vec![&$name]
                }
            }
        )*

        /// All kinds, for the documentation.
        pub(super) const ALL: &[ProblemType] = &[$($name),*];
    };
}

problem_types! {
    INVALID_JSON = BAD_REQUEST, "invalid_json", "The body is not valid JSON";
    INVALID_YAML = BAD_REQUEST, "invalid_yaml", "The body is not valid YAML";
    INVALID_QUERY = BAD_REQUEST, "invalid_query", "A query parameter is not valid";
    INVALID_CURSOR = BAD_REQUEST, "invalid_cursor", "The cursor is not one of this list";
    INVALID_HEADER = BAD_REQUEST, "invalid_header", "A header is not valid";
    UNAUTHENTICATED = UNAUTHORIZED, "unauthenticated", "A valid token is needed";
    LOGIN_FAILED = UNAUTHORIZED, "login_failed", "The e-mail address or the password is wrong";
    HOOK_UNVERIFIED = UNAUTHORIZED, "hook_unverified", "The request could not be verified";
    EXTERNAL_LOGIN_FAILED = UNAUTHORIZED, "external_login_failed", "The login at the provider lets nobody in here";
    PASSWORD_WRONG = FORBIDDEN, "password_wrong", "The present password is wrong";
    WORKSPACE_DENIED = FORBIDDEN, "workspace_denied", "The token is not good for this workspace";
    PERMISSION_DENIED = FORBIDDEN, "permission_denied", "The caller has no permission for this";
    CROSS_SITE = FORBIDDEN, "cross_site_request", "The request comes from a page of another site";
    NOT_FOUND = NOT_FOUND, "not_found", "There is nothing at this path";
    LOGIN_PROVIDER_NOT_FOUND = NOT_FOUND, "login_provider_not_found", "There is no such provider of logins";
    WORKFLOW_NOT_FOUND = NOT_FOUND, "workflow_not_found", "There is no such workflow";
    VERSION_NOT_FOUND = NOT_FOUND, "version_not_found", "The workflow has no such version";
    EXECUTION_NOT_FOUND = NOT_FOUND, "execution_not_found", "There is no such execution";
    BATCH_NOT_FOUND = NOT_FOUND, "batch_not_found", "There is no such batch";
    NODE_TYPE_NOT_FOUND = NOT_FOUND, "node_type_not_found", "There is no such node type";
    SCHEDULE_NOT_FOUND = NOT_FOUND, "schedule_not_found", "There is no such schedule";
    CREDENTIAL_NOT_FOUND = NOT_FOUND, "credential_not_found", "There is no such credential";
    VARIABLE_NOT_FOUND = NOT_FOUND, "variable_not_found", "There is no such variable";
    ACTOR_NOT_FOUND = NOT_FOUND, "actor_not_found", "There is no such actor";
    USER_NOT_FOUND = NOT_FOUND, "user_not_found", "There is no such user in the workspace";
    MEMBER_NOT_FOUND = NOT_FOUND, "member_not_found", "The workspace has no such member";
    WORKSPACE_NOT_FOUND = NOT_FOUND, "workspace_not_found", "There is no such workspace";
    INVITATION_NOT_FOUND = NOT_FOUND, "invitation_not_found", "There is no such invitation";
    ROLE_NOT_FOUND = NOT_FOUND, "role_not_found", "There is no such role";
    API_KEY_NOT_FOUND = NOT_FOUND, "api_key_not_found", "There is no such API key";
    HOOK_NOT_FOUND = NOT_FOUND, "hook_not_found", "No active workflow has a webhook at this path";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method_not_allowed", "The path does not know this method";
    BODY_TIMEOUT = REQUEST_TIMEOUT, "body_timeout", "The body did not arrive in time";
    SETUP_DONE = CONFLICT, "setup_done", "The server has its first owner already";
    EXECUTION_FINISHED = CONFLICT, "execution_finished", "The execution has already finished";
    EXECUTION_RUNNING = CONFLICT, "execution_running", "The execution has not finished yet";
    BATCH_ENDED = CONFLICT, "batch_ended", "The batch has already ended";
    BUSINESS_KEY_TAKEN = CONFLICT, "business_key_taken", "A live execution has this business key";
    HOOK_TAKEN = CONFLICT, "hook_taken", "Another workflow has published this webhook";
    SCHEDULE_PUBLISHED = CONFLICT, "schedule_published", "The schedule belongs to a version of its workflow";
    CREDENTIAL_EXISTS = CONFLICT, "credential_exists", "There is a credential of this name";
    CREDENTIALS_FULL = CONFLICT, "credentials_full", "The workspace has as many credentials as it may have";
    CREDENTIAL_IN_USE = CONFLICT, "credential_in_use", "An active workflow names the credential";
    VARIABLE_EXISTS = CONFLICT, "variable_exists", "There is a variable of this name";
    VARIABLES_FULL = CONFLICT, "variables_full", "The workspace has as many variables as it may have";
    USER_EXISTS = CONFLICT, "user_exists", "Somebody has an account with this e-mail address";
    MEMBER_EXISTS = CONFLICT, "member_exists", "Whoever it is is a member already";
    ROLE_EXISTS = CONFLICT, "role_exists", "There is a role of this name";
    ROLE_BUILT_IN = CONFLICT, "role_built_in", "Every workspace has this role as it is";
    ROLE_IN_USE = CONFLICT, "role_in_use", "Somebody has this role";
    WORKSPACE_IN_USE = CONFLICT, "workspace_in_use", "There is something in the workspace";
    LAST_OWNER = CONFLICT, "last_owner", "A workspace needs an owner";
    LIMIT_REACHED = CONFLICT, "limit_reached", "There are as many of these as there may be";
    WORKFLOW_STALE = PRECONDITION_FAILED, "workflow_stale", "The workflow has changed since it was read";
    SCHEDULE_STALE = PRECONDITION_FAILED, "schedule_stale", "The schedule has changed since it was read";
    STALE = PRECONDITION_FAILED, "stale", "The resource has changed since it was read";
    TOO_LARGE = PAYLOAD_TOO_LARGE, "too_large", "The body is too large";
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body has a media type that is not understood here";
    INVALID_BODY = UNPROCESSABLE_ENTITY, "invalid_body", "The body does not have the expected form";
    INVALID_DEFINITION = UNPROCESSABLE_ENTITY, "invalid_definition", "The workflow definition has problems";
    INVALID_CREDENTIAL = UNPROCESSABLE_ENTITY, "invalid_credential", "The credential has problems";
    INVALID_AUTHORIZATION = UNPROCESSABLE_ENTITY, "invalid_authorization", "The authorization did not succeed";
    INVALID_SCHEDULE = UNPROCESSABLE_ENTITY, "invalid_schedule", "The schedule has problems";
    INVALID_CODE_RUN = UNPROCESSABLE_ENTITY, "invalid_code_run", "The code cannot be run as the request says";
    SCHEDULE_LIMIT = UNPROCESSABLE_ENTITY, "schedule_limit", "The workspace has as many schedules as it may have";
    INVALID_BATCH = UNPROCESSABLE_ENTITY, "invalid_batch", "The batch does not say what to do with which executions";
    BATCH_TOO_LARGE = UNPROCESSABLE_ENTITY, "batch_too_large", "The batch has too many executions";
    NOTHING_TO_RETRY = UNPROCESSABLE_ENTITY, "nothing_to_retry", "The execution did not fail";
    CANNOT_REUSE = UNPROCESSABLE_ENTITY, "cannot_reuse", "The execution's results do not fit the retry";
    UNKNOWN_START_NODE = UNPROCESSABLE_ENTITY, "unknown_start_node", "The workflow cannot start at this node";
    KEY_MISMATCH = UNPROCESSABLE_ENTITY, "idempotency_key_mismatch", "The idempotency key was used with another request";
    IF_MATCH_REQUIRED = PRECONDITION_REQUIRED, "if_match_required", "The header If-Match is needed";
    RATE_LIMITED = TOO_MANY_REQUESTS, "rate_limited", "Too many requests";
    EXECUTIONS_QUOTA = TOO_MANY_REQUESTS, "executions_quota", "The workspace runs as many executions as it may";
    STARTS_QUOTA = TOO_MANY_REQUESTS, "starts_quota", "The workspace has started as many executions as it may in a minute";
    STORAGE_QUOTA = TOO_MANY_REQUESTS, "storage_quota", "The workspace has stored as much as it may";
    TOO_MANY_LOGINS = TOO_MANY_REQUESTS, "too_many_logins", "Too many failed logins";
    CODE_QUOTA = TOO_MANY_REQUESTS, "code_quota", "The code of the workspace has used what it may for now";
    OVERLOADED = TOO_MANY_REQUESTS, "overloaded", "The server has too much to do";
    TOO_MANY_BATCHES = TOO_MANY_REQUESTS, "too_many_batches", "Too many batches are running";
    TOO_MANY_STREAMS = TOO_MANY_REQUESTS, "too_many_streams", "The server has too many open streams";
    INBOX_FULL = TOO_MANY_REQUESTS, "inbox_full", "Too many messages wait for the execution";
    HEADERS_TOO_LARGE = REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "The headers are too large";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal", "Something went wrong inside the server";
    LOGIN_PROVIDER_FAILED = BAD_GATEWAY, "login_provider_failed", "The provider of the login does not answer as it should";
    EXECUTION_FAILED = INTERNAL_SERVER_ERROR, "execution_failed", "The execution failed";
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "The server cannot do this right now";
    DRAINING = SERVICE_UNAVAILABLE, "draining", "The server is stopping";
    REQUEST_TIMED_OUT = GATEWAY_TIMEOUT, "timeout", "The request took too long";
}

/// What a workspace is told that has used up what it may use.
pub(super) type Quotas = (EXECUTIONS_QUOTA, STARTS_QUOTA, STORAGE_QUOTA);

/// The kind with this code.
pub(super) fn find(code: &str) -> Option<&'static ProblemType> {
    ALL.iter().find(|known| known.code == code)
}

/// A problem as it is sent. **Shape**: `{ type, title, status, detail, code, request_id, execution_id?, errors? }`.
#[derive(Debug, Serialize)]
pub(super) struct ProblemBody<'a> {
    #[serde(rename = "type")]
    pub(super) problem_type: String,
    pub(super) title: &'a str,
    pub(super) status: u16,
    pub(super) detail: &'a str,
    pub(super) code: &'a str,
    pub(super) request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) execution_id: Option<crate::model::ids::ExecutionId>,
    #[serde(skip_serializing_if = "<[Problem]>::is_empty")]
    pub(super) errors: &'a [Problem],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_each_code_once() {
        let codes: std::collections::BTreeSet<&str> = ALL.iter().map(|known| known.code).collect();
        assert_eq!(codes.len(), ALL.len());
        assert_eq!(find("hook_taken"), Some(&HOOK_TAKEN));
        assert_eq!(find("no_such_code"), None);
    }

    #[test]
    fn is_an_error_status_throughout() {
        assert!(ALL.iter().all(|known| known.status.is_client_error() || known.status.is_server_error()));
    }
}
