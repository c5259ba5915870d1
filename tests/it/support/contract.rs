//! Holds every answer that a test gets against the OpenAPI document: its status, its media type, its headers and its body. A route
//! that answers something else than it says fails the test that made it do so.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&citadel::http::openapi_document()).unwrap());
/// Validators by the pointer of their schema: each takes a while to make.
static VALIDATORS: LazyLock<Mutex<BTreeMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Checks one answer. Paths that no route has are not in the document, and neither are methods that a path does not have. HEAD is
/// answered as GET without the body, and OPTIONS everywhere with the methods of the path.
#[track_caller]
pub(crate) fn assert_documented(method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &Value) {
    let method = method.as_str().to_ascii_lowercase();
    let is_bodiless = method == "head";
    let as_get = || find_operation("get", path).filter(|_| is_bodiless);
    let Some(operation) = find_operation(&method, path).or_else(as_get) else {
        assert!(
            matches!(status, 401 | 404 | 405) || (method == "options" && status == 204),
            "{method} {path} is not in the document, but is answered with {status}: {body}"
        );
        return;
    };
    let responses = &DOCUMENT.pointer(&operation).unwrap()["responses"];
    let key = [status.to_string(), "default".to_owned()].into_iter().find(|key| responses.get(key).is_some());
    let key = key.unwrap_or_else(|| panic!("{method} {path}: the status {status} is not in the document: {body}"));
    let pointer = follow(format!("{operation}/responses/{key}"));
    let response = DOCUMENT.pointer(&pointer).unwrap();
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let is_required =
            DOCUMENT.pointer(&follow(pointer_of(header).unwrap_or_default())).is_some_and(|header| header["required"] == true);
        assert!(!is_required || headers.contains_key(name), "{method} {path}: {status} comes without {name}");
    }
    let Some(content) = response["content"].as_object().filter(|_| !is_bodiless) else { return };
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    let is_described = content.contains_key(kind);
    assert!(is_described || content.contains_key("*/*"), "{method} {path}: {status} as `{kind}` is not in the document: {body}");
    if is_described && kind.ends_with("json") {
        let schema = format!("{pointer}/content/{}/schema", kind.replace('/', "~1"));
        let errors: Vec<String> = validator(&schema).iter_errors(body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{method} {path}: the body of {status} is not as documented: {errors:?} in {body}");
    }
}

/// The pointer of the operation that a request means; of several the one with the most literal path.
fn find_operation(method: &str, path: &str) -> Option<String> {
    let path = path.split('?').next().unwrap_or_default();
    let templates = DOCUMENT["paths"].as_object().unwrap().iter();
    let fitting = templates.filter(|(template, item)| item.get(method).is_some() && fits(template, path));
    let (template, _) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
    Some(format!("/paths/{}/{method}", template.replace('~', "~0").replace('/', "~1")))
}

fn fits(template: &str, path: &str) -> bool {
    if template == "/hooks/{path}" {
        return path.starts_with("/hooks/");
    }
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(&path).all(|(wanted, found)| wanted.starts_with('{') || wanted == found)
}

/// The pointer itself, or where the reference at it leads.
fn follow(pointer: String) -> String {
    DOCUMENT.pointer(&pointer).and_then(pointer_of).unwrap_or(pointer)
}

fn pointer_of(reference: &Value) -> Option<String> {
    reference["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')).map(str::to_owned)
}

fn validator(pointer: &str) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let make = || {
        let schema = json!({ "allOf": [DOCUMENT.pointer(pointer)], "components": DOCUMENT["components"] });
        Arc::new(jsonschema::draft202012::new(&schema).unwrap())
    };
    Arc::clone(validators.entry(pointer.to_owned()).or_insert_with(make))
}
