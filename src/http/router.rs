//! Every route of the server on one screen, and what surrounds them. A route says its method and its path itself, beside its
//! handler: the OpenAPI document is made of the same words.

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    compression::compression,
    envelope::{answer_panic, deadline, envelope},
    extract::BodyTime,
    finish::{finish, finish_changes},
    guard::guard,
    health,
    rates::limit_requests,
    routes::{
        api_keys, audit, auth, batch, credential_use, credentials, docs, execution_events, executions, hooks, invitations, logs,
        meta, monitor, node_types, oidc, retry, roles, runtimes, schedules, secrets, session, setup, start, users, variables,
        workflows, workspaces,
    },
};
use crate::model::limits::{DEFINITION_BYTES_MAX, INPUT_BYTES_MAX};

/// Bytes of a body that is neither a definition nor an input.
const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;

/// The routes by what surrounds them.
struct Routes {
    /// Below `/api/v1`.
    api: OpenApiRouter<AppState>,
    /// Below `/api/v1`, too.
    waiting: OpenApiRouter<AppState>,
    hooks: OpenApiRouter<AppState>,
    public: OpenApiRouter<AppState>,
    probes: OpenApiRouter<AppState>,
}

impl Routes {
    fn all() -> Self {
        Self { api: api(), waiting: waiting_api(), hooks: webhooks(), public: public(), probes: probes() }
    }

    fn merge(self) -> OpenApiRouter<AppState> {
        let Self { api, waiting, hooks, public, probes } = self;
        OpenApiRouter::default().nest("/api/v1", api.merge(waiting)).merge(hooks).merge(public).merge(probes)
    }
}

/// The whole service.
pub fn router(state: AppState) -> Router {
    let count_hooks = from_fn_with_state(state.clone(), monitor::count_hooks);
    let within = from_fn_with_state(state.times.request, deadline);
    let limited = from_fn_with_state(state.clone(), limit_requests);
    let Routes { api, waiting, hooks, public, probes } = Routes::all();
    let routes = Routes {
        api: api.layer(within.clone()).layer(from_fn(finish_changes)).layer(limited.clone()),
        waiting: waiting.layer(limited.clone()),
        hooks: hooks.layer(count_hooks),
        public: public.layer(within.clone()).layer(limited),
        probes: probes.layer(within),
    };
    Router::from(routes.merge())
        .fallback(meta::not_found)
        .method_not_allowed_fallback(meta::other_method)
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn_with_state(state.clone(), guard))
        .layer(Extension(BodyTime(state.times.body)))
        .layer(from_fn(envelope))
        .layer(compression())
        .with_state(state)
}

/// The routes with their part of the OpenAPI document.
pub(super) fn documented_routes() -> OpenApiRouter<AppState> {
    Routes::all().merge()
}

/// For orchestrators, which ask as often as they like.
fn probes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(health::healthz)).routes(routes!(health::readyz)).routes(routes!(health::startupz))
}

/// Without a version.
fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(monitor::get_metrics))
        .routes(routes!(meta::list_problem_types))
        .routes(routes!(meta::get_problem_type))
        .routes(routes!(docs::get_docs))
        .routes(routes!(docs::redirect_to_docs))
        .routes(routes!(docs::get_docs_file))
}

/// The caller is whoever the webhook lets in; how long it takes is the workflow's business.
fn webhooks() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(hooks::receive_hook)).layer(DefaultBodyLimit::max(INPUT_BYTES_MAX))
}

/// Requests that may wait for an execution or a node, and so have a deadline of their own.
fn waiting_api() -> OpenApiRouter<AppState> {
    let starts = OpenApiRouter::default()
        .routes(routes!(start::start_execution))
        .routes(routes!(node_types::test_node_type))
        .routes(routes!(runtimes::execute_code))
        .layer(DefaultBodyLimit::max(INPUT_BYTES_MAX));
    let small = OpenApiRouter::default()
        .routes(routes!(retry::retry_execution))
        .routes(routes!(credential_use::test_credential))
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX))
        .layer(from_fn(finish_changes));
    starts.merge(small)
}

/// Who may do what.
fn people() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(users::create_user, users::list_users))
        .routes(routes!(users::get_user, users::update_user, users::delete_user))
        .routes(routes!(workspaces::create_workspace, workspaces::list_workspaces))
        .routes(routes!(workspaces::get_workspace, workspaces::update_workspace, workspaces::delete_workspace))
        .routes(routes!(workspaces::list_members))
        .routes(routes!(workspaces::update_member, workspaces::remove_member))
        .routes(routes!(invitations::create_invitation, invitations::list_invitations))
        .routes(routes!(invitations::delete_invitation))
        .routes(routes!(invitations::accept_invitation))
        .routes(routes!(roles::create_role, roles::list_roles))
        .routes(routes!(roles::get_role, roles::update_role, roles::delete_role))
        .routes(routes!(api_keys::create_api_key, api_keys::list_api_keys))
        .routes(routes!(api_keys::get_api_key, api_keys::update_api_key, api_keys::delete_api_key))
        .routes(routes!(api_keys::rotate_api_key))
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX))
}

fn api() -> OpenApiRouter<AppState> {
    let definitions = OpenApiRouter::default()
        .routes(routes!(workflows::create_workflow, workflows::list_workflows))
        .routes(routes!(workflows::validate_workflow))
        .routes(routes!(workflows::get_workflow, workflows::update_workflow, workflows::delete_workflow))
        .layer(DefaultBodyLimit::max(DEFINITION_BYTES_MAX));
    let payloads = OpenApiRouter::default()
        .routes(routes!(executions::signal_execution))
        .routes(routes!(schedules::create_schedule, schedules::list_schedules))
        .routes(routes!(schedules::get_schedule, schedules::update_schedule, schedules::delete_schedule))
        .layer(DefaultBodyLimit::max(INPUT_BYTES_MAX));
    let small = OpenApiRouter::default()
        .routes(routes!(auth::login))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::me))
        .routes(routes!(auth::change_password))
        .routes(routes!(session::open_session, session::close_session))
        .routes(routes!(setup::set_up))
        .routes(routes!(oidc::list_login_providers))
        .routes(routes!(oidc::start_external_login))
        .routes(routes!(workflows::activate_workflow))
        .routes(routes!(workflows::deactivate_workflow))
        .routes(routes!(workflows::list_versions))
        .routes(routes!(workflows::get_version))
        .routes(routes!(executions::list_executions))
        .routes(routes!(batch::create_batch, batch::list_batches))
        .routes(routes!(batch::get_batch, batch::cancel_batch))
        .routes(routes!(executions::get_execution, executions::delete_execution))
        .routes(routes!(execution_events::stream_events))
        .routes(routes!(logs::list_logs))
        .routes(routes!(executions::list_node_runs))
        .routes(routes!(executions::cancel_execution))
        .routes(routes!(schedules::list_next_ticks))
        .routes(routes!(schedules::pause_schedule))
        .routes(routes!(schedules::resume_schedule))
        .routes(routes!(schedules::backfill_schedule))
        .routes(routes!(monitor::list_actors))
        .routes(routes!(monitor::stream_actors))
        .routes(routes!(monitor::get_actor))
        .routes(routes!(monitor::get_stats))
        .routes(routes!(variables::create_variable, variables::list_variables))
        .routes(routes!(variables::get_variable, variables::update_variable, variables::delete_variable))
        .routes(routes!(variables::list_tags))
        .routes(routes!(credentials::create_credential, credentials::list_credentials))
        .routes(routes!(credentials::get_credential, credentials::update_credential, credentials::delete_credential))
        .routes(routes!(credentials::list_credential_workflows))
        .routes(routes!(credentials::list_credential_types))
        .routes(routes!(credential_use::authorize_credential))
        .routes(routes!(secrets::get_secrets))
        .routes(routes!(secrets::rotate_secrets))
        .routes(routes!(audit::list_audit))
        .routes(routes!(audit::get_audit_chain))
        .routes(routes!(audit::export_audit))
        .routes(routes!(node_types::list_node_types))
        .routes(routes!(node_types::get_node_type))
        .routes(routes!(runtimes::list_runtimes))
        .routes(routes!(meta::get_workflow_schema))
        .routes(routes!(docs::get_openapi))
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX));
    // Other services send browsers here, with GET.
    let callbacks = OpenApiRouter::default()
        .routes(routes!(oidc::finish_external_login))
        .routes(routes!(credential_use::complete_authorization))
        .layer(from_fn(finish));
    definitions.merge(payloads).merge(small).merge(people()).merge(callbacks)
}
