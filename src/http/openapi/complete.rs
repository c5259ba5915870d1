//! Completes what the annotations say with what all operations have in common, so that no handler has to repeat it: names, headers,
//! problems, links.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::{links::links_of, numbers, problems::add_problems, schemas, texts};

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// There while rates are limited.
pub(super) const RATE_HEADERS: [&str; 2] = ["RateLimit", "RateLimit-Policy"];

/// The parts of a document.
pub(super) struct Completed {
    pub(super) paths: Value,
    pub(super) schemas: Value,
    pub(super) responses: BTreeMap<String, Value>,
}

/// What an operation takes, as far as other parts of its description follow from it.
pub(super) struct Facts {
    pub(super) is_secured: bool,
    pub(super) needs_permission: bool,
    pub(super) has_body: bool,
    /// Whether a browser has to say which page it sends this for.
    pub(super) is_change: bool,
    /// Whether a workflow makes the answer, in its own time.
    pub(super) is_hook: bool,
    /// Whether orchestrators ask it as often as they like.
    pub(super) is_probe: bool,
    /// Where and name, of each parameter.
    parameters: Vec<(String, String)>,
}

impl Facts {
    fn of(operation: &Value, method: &str) -> Self {
        let text = |parameter: &Value, field: &str| parameter[field].as_str().unwrap_or_default().to_owned();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let has_tag = |tag: &str| operation["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag)));
        Self {
            is_secured: operation["security"].is_null() || permission_of(operation).is_some(),
            needs_permission: permission_of(operation).is_some(),
            has_body: operation["requestBody"].is_object(),
            is_change: !matches!(method, "get" | "head" | "options") && !has_tag("hooks"),
            is_hook: has_tag("hooks"),
            is_probe: has_tag("health"),
            parameters: parameters.map(|parameter| (text(parameter, "in"), text(parameter, "name"))).collect(),
        }
    }

    /// Whether there is such a parameter; an empty name stands for any.
    pub(super) fn takes(&self, place: &str, name: &str) -> bool {
        self.parameters.iter().any(|(in_, named)| in_ == place && (name.is_empty() || named.eq_ignore_ascii_case(name)))
    }
}

/// Completes what was gathered from the handlers.
pub(super) fn complete(api: &OpenApi) -> Completed {
    let api = serde_json::to_value(api).expect("a document is JSON");
    let mut schemas = api["components"]["schemas"].as_object().cloned().unwrap_or_default();
    schemas.extend(schemas::by_hand());
    refer_to_items(&mut schemas);
    let mut responses = BTreeMap::new();
    let mut paths = Map::new();
    for (path, item) in api["paths"].as_object().into_iter().flatten() {
        let mut item = item.clone();
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                complete_operation(operation, path, method, &schemas, &mut responses);
            }
        }
        paths.insert(path.replace("{*", "{"), item);
    }
    texts::restrict_bodies(&paths, &mut schemas);
    for response in responses.values_mut() {
        complete_headers(response, &[]);
    }
    let mut whole = json!({ "paths": paths, "schemas": schemas });
    numbers::unsign(&mut whole);
    rename_schemas(&mut whole);
    Completed { paths: whole["paths"].take(), schemas: whole["schemas"].take(), responses }
}

fn complete_operation(
    operation: &mut Value,
    path: &str,
    method: &str,
    schemas: &Map<String, Value>,
    shared: &mut BTreeMap<String, Value>,
) {
    let mut id = camel_case(operation["operationId"].as_str().unwrap_or_default());
    if path.contains("{*") {
        // One handler for several methods: an id has to be unique.
        id += &camel_case(&format!("_{method}"));
    }
    operation["operationId"] = json!(id);
    complete_parameters(operation);
    if matches!(method, "get" | "head")
        && let Some(operation) = operation.as_object_mut()
    {
        operation.remove("requestBody");
    }
    if let Some(body) = operation.get_mut("requestBody") {
        body["required"] = json!(is_required(body, schemas));
    }
    // Routes without a token say `security(())`: an alternative that asks for nothing.
    if operation["security"] == json!([{}]) {
        operation["security"] = json!([]);
    }
    if let Some(permission) = permission_of(operation) {
        let description = operation["description"].as_str().unwrap_or_default();
        operation["description"] = json!(format!("{description}\n\nNeeds the permission `{permission}`.").trim_start());
    }
    let facts = Facts::of(operation, method);
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    add_problems(responses, &facts, shared);
    responses.sort_keys();
    let mut of_success = Vec::new();
    of_success.extend(facts.takes("header", "Idempotency-Key").then_some("Idempotent-Replayed"));
    of_success.extend(RATE_HEADERS.iter().filter(|_| !facts.is_probe));
    for (status, response) in responses {
        let is_success = status.starts_with('2');
        complete_headers(response, if is_success { &of_success } else { &[] });
        if let Some(links) = links_of(&id, status) {
            response["links"] = links;
        }
    }
}

/// The permission that the operation says to need: `security(("bearer" = ["workflow:read"]))`.
fn permission_of(operation: &Value) -> Option<&str> {
    operation["security"][0]["bearer"][0].as_str()
}

/// A parameter that may be left out is not null for that: a query has no null.
fn complete_parameters(operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let place = parameter["in"].clone();
        let Some(schema) = parameter.get_mut("schema") else { continue };
        if let Some(only) = the_one_but_null(&schema["oneOf"], |alternative| alternative["type"] == "null") {
            *schema = only;
        } else if let Some(only) = the_one_but_null(&schema["type"], |kind| kind == "null") {
            schema["type"] = only;
        }
        match place.as_str() {
            Some("path") => texts::restrict(schema, texts::IN_A_PATH),
            Some("query") => texts::restrict(schema, texts::ANYWHERE),
            Some(_) | None => {}
        }
    }
}

fn the_one_but_null(alternatives: &Value, is_null: impl Fn(&Value) -> bool) -> Option<Value> {
    let mut others = alternatives.as_array()?.iter().filter(|alternative| !is_null(alternative));
    let first = others.next().cloned();
    first.filter(|_| others.next().is_none())
}

/// An empty body counts as `{}`, so that an object has to be there only if a field of it has to be. For a body of any form it is
/// as the annotation says: `Option<Value>` may be left out.
fn is_required(body: &Value, schemas: &Map<String, Value>) -> bool {
    let mut contents = body["content"].as_object().into_iter().flat_map(Map::values);
    let required = body["required"] == true;
    contents.any(|content| {
        let name = content["schema"]["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        match name.and_then(|name| schemas.get(name)) {
            Some(schema) => schema["required"].as_array().is_some_and(|fields| !fields.is_empty()),
            None => required,
        }
    })
}

/// Replaces the headers that are known by references, and adds those that every response has.
fn complete_headers(response: &mut Value, more: &[&str]) {
    if !response["$ref"].is_null() {
        return;
    }
    let mut named = response["headers"].as_object().cloned().unwrap_or_default();
    for name in more.iter().chain(["X-Request-Id"].iter()) {
        named.insert((*name).to_owned(), json!({}));
    }
    let known = headers();
    for (name, header) in &mut named {
        if known.get(name).is_some() {
            *header = json!({ "$ref": format!("#/components/headers/{name}") });
        }
    }
    response["headers"] = Value::Object(named);
}

/// The headers of answers that routes name.
pub(super) fn headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "ETag": {
            "description": "The version, for `If-Match` of a later change.",
            "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" },
        },
        "Location": text("The path of what was made."),
        "Idempotent-Replayed": {
            "description": "There if this repeats the answer to an earlier request with the same key.",
            "schema": { "type": "string", "enum": ["true"] },
        },
        "RateLimit": text("How many requests are left, and in how many seconds there are more: `\"requests\";r=9;t=1`."),
        "RateLimit-Policy": text("How many requests there may be at once, and in how many seconds all are back: `\"requests\";q=10;w=2`."),
        "Retry-After": {
            "description": "Seconds after which it makes sense to try again.",
            "schema": { "type": "integer", "minimum": 1 },
        },
        "WWW-Authenticate": text("The scheme to authenticate with."),
        "X-Request-Id": {
            "description": "The id of the request, as the server's log has it; the client's own if it sent one.",
            "required": true,
            "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
        },
    })
}

/// `start_execution` is the operation `startExecution`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |id, word| match word.split_at_checked(1) {
        Some((initial, rest)) => id + &initial.to_ascii_uppercase() + rest,
        None => id,
    })
}

/// Makes the lists refer to the schema of their items, which the derive of a generic type repeats.
fn refer_to_items(schemas: &mut Map<String, Value>) {
    let names: Vec<String> = schemas.keys().cloned().collect();
    for name in names {
        let item = name.strip_prefix("Page_").or_else(|| name.strip_prefix("Items_"));
        let Some(item) = item.filter(|item| schemas.contains_key(*item)) else { continue };
        schemas[&name]["properties"]["items"]["items"] = json!({ "$ref": format!("#/components/schemas/{item}") });
    }
}

/// Gives schemas the names that a client's author wants to read: `Workflow`, `WorkflowPage`, `NodeTypeList`.
fn rename_schemas(whole: &mut Value) {
    let names: Vec<String> = whole["schemas"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let renamed: BTreeMap<String, String> = names.into_iter().map(|name| (name.clone(), shown_name(&name))).collect();
    let schemas = whole["schemas"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let count = schemas.len();
    let schemas: BTreeMap<String, Value> = schemas.into_iter().map(|(name, schema)| (renamed[&name].clone(), schema)).collect();
    assert_eq!(schemas.len(), count, "two schemas would get one name: rename a body");
    whole["schemas"] = json!(schemas);
    rename_references(whole, &renamed);
}

fn shown_name(name: &str) -> String {
    let bare = |name: &str| name.strip_suffix("Body").unwrap_or(name).to_owned();
    match name.split_once('_') {
        Some(("Page", item)) => bare(item) + "Page",
        Some(("Items", item)) => bare(item) + "List",
        Some(_) | None => bare(name),
    }
}

fn rename_references(value: &mut Value, renamed: &BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let name = field.as_str().filter(|_| key == "$ref").and_then(|text| text.strip_prefix("#/components/schemas/"));
                match name.and_then(|name| renamed.get(name)) {
                    Some(name) => *field = json!(format!("#/components/schemas/{name}")),
                    None => rename_references(field, renamed),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename_references(value, renamed)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
