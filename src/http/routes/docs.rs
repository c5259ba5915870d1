//! The OpenAPI document, and a page that shows it. Everything comes out of the binary: a server without the Internet has it, too.

use std::sync::{Arc, LazyLock};

use axum::{
    http::{HeaderName, header},
    response::{IntoResponse, Redirect, Response},
};
use utoipa_swagger_ui::{Config, SwaggerFile, serve};

use crate::http::{error::ApiError, extract::Path, openapi, problem};

const PAGE: &str = "index.html";
/// The page's links are relative to the directory of its files.
const HEAD: &str = "<head>";
const HEAD_WITH_BASE: &str = "<head>\n    <base href=\"/api/docs/\" />";
/// Only what the binary brings may run. Styles inline: the page's own renderer sets them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::new(["/api/v1/openapi.json"]).validator_url("none").deep_linking(true)));

/// Shows the OpenAPI document of this server.
///
/// The same for everybody, so it needs no token.
#[utoipa::path(
    get, path = "/openapi.json", tag = "documentation", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
pub(in crate::http) async fn get_openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi::served())
}

/// Shows the API as a page.
#[utoipa::path(
    get, path = "/api/docs", tag = "documentation", security(()),
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")),
)]
pub(in crate::http) async fn get_docs() -> Result<Response, ApiError> {
    let page = file(PAGE)?;
    let text = String::from_utf8_lossy(&page.bytes).replacen(HEAD, HEAD_WITH_BASE, 1);
    Ok((guard(), [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}

/// Leads to the page, for those who type a slash at its end.
#[utoipa::path(
    get, path = "/api/docs/", tag = "documentation", security(()),
    responses((status = 308, description = "It is at `Location`.", headers(("Location")))),
)]
pub(in crate::http) async fn redirect_to_docs() -> Redirect {
    Redirect::permanent("/api/docs")
}

/// Gives out a file of the page.
#[utoipa::path(
    get, path = "/api/docs/{file}", tag = "documentation", security(()),
    params(("file" = String, Path, description = "A script, a style sheet or an image.", example = "swagger-ui.css")),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/javascript"), (String = "text/css"), (String = "text/html"), (String = "image/png"),
        )),
    ),
)]
pub(in crate::http) async fn get_docs_file(Path(name): Path<String>) -> Result<Response, ApiError> {
    let SwaggerFile { bytes, content_type, .. } = file(&name)?;
    Ok((guard(), [(header::CONTENT_TYPE, content_type)], bytes.into_owned()).into_response())
}

/// A file of the page that is in the binary.
fn file(name: &str) -> Result<SwaggerFile<'static>, ApiError> {
    match serve(name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(ApiError::new(&problem::NOT_FOUND, "there is no such file")),
        Err(error) => Err(ApiError::internal(std::io::Error::other(error.to_string()))),
    }
}

fn guard() -> [(HeaderName, &'static str); 3] {
    [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ]
}
