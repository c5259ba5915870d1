//! Problems in the document: those that a route lists, and those that follow from what it takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
};

use serde_json::{Map, Value, json};
use utoipa::{
    IntoResponses,
    openapi::{
        RefOr,
        extensions::Extensions,
        response::{Response, ResponseBuilder},
    },
};

use super::complete::{Facts, RATE_HEADERS};
use crate::http::problem::{self, ProblemList, ProblemType};

/// Carries the codes of a response until the document is completed.
const MARK: &str = "x-problems";
const PROBLEM_JSON: &str = "application/problem+json";

/// The problems of a route that do not follow from what it takes: `Problems<problem::A>`, `Problems<(problem::A, problem::B)>`.
pub(in crate::http) struct Problems<L>(PhantomData<L>);

impl<L: ProblemList> IntoResponses for Problems<L> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        by_status(&L::kinds())
            .into_iter()
            .map(|(status, kinds)| {
                let codes: Vec<&str> = kinds.iter().map(|kind| kind.code).collect();
                let mark = Extensions::from_iter([(MARK, json!(codes))]);
                (status, ResponseBuilder::new().extensions(Some(mark)).build().into())
            })
            .collect()
    }
}

macro_rules! lists_of_problems {
    ($(($($list:ident),+))*) => {$(
        impl<$($list: ProblemList),+> ProblemList for ($($list,)+) {
            fn kinds() -> Vec<&'static ProblemType> {
                let mut kinds = Vec::new();
                $(kinds.extend($list::kinds());)+
                kinds
            }
        }
    )*};
}

lists_of_problems! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

/// Writes the problem responses of an operation. Those of up to three kinds are shared: they go to `shared`.
pub(super) fn add_problems(responses: &mut Map<String, Value>, facts: &Facts, shared: &mut BTreeMap<String, Value>) {
    let mut codes: BTreeSet<String> = implied(facts).into_iter().map(|kind| kind.code.to_owned()).collect();
    for response in responses.values_mut() {
        let listed = response.as_object_mut().and_then(|response| response.remove(MARK)).unwrap_or_default();
        let listed = listed.as_array().cloned().unwrap_or_default();
        codes.extend(listed.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    let kinds: Vec<&ProblemType> = problem::ALL.iter().filter(|kind| codes.contains(kind.code)).collect();
    for (status, kinds) in by_status(&kinds) {
        match (responses.get_mut(&status).and_then(|response| response.get_mut("content")), kinds.as_slice()) {
            (Some(content), kinds) => content[PROBLEM_JSON] = json!({ "schema": schema_of(kinds) }),
            (None, kinds) if facts.is_hook => {
                let mut response = response_of(kinds);
                // A workflow may say the same with words of its own.
                response["content"]["*/*"] = json!({});
                responses.insert(status, response);
            }
            (None, kinds @ ([_] | [_, _] | [_, _, _])) => {
                let name = kinds.iter().map(|kind| component_name(kind.code)).collect::<Vec<_>>().join("Or");
                responses.insert(status, json!({ "$ref": format!("#/components/responses/{name}") }));
                shared.entry(name).or_insert_with(|| response_of(kinds));
            }
            (None, kinds) => {
                responses.insert(status, response_of(kinds));
            }
        }
    }
}

/// The problems that follow from what an operation takes.
fn implied(facts: &Facts) -> Vec<&'static ProblemType> {
    let mut kinds = vec![&problem::INTERNAL, &problem::HEADERS_TOO_LARGE];
    let mut add = |applies: bool, more: &[&'static ProblemType]| kinds.extend(more.iter().filter(|_| applies));
    add(facts.is_secured, &[&problem::UNAUTHENTICATED, &problem::WORKSPACE_DENIED, &problem::UNAVAILABLE]);
    add(facts.needs_permission, &[&problem::PERMISSION_DENIED]);
    add(facts.is_change, &[&problem::CROSS_SITE]);
    add(!facts.is_hook, &[&problem::REQUEST_TIMED_OUT]);
    add(!facts.is_probe, &[&problem::RATE_LIMITED]);
    add(facts.takes("path", ""), &[&problem::NOT_FOUND]);
    add(facts.takes("query", ""), &[&problem::INVALID_QUERY]);
    add(facts.takes("query", "cursor"), &[&problem::INVALID_CURSOR]);
    add(facts.takes("header", "Idempotency-Key"), &[&problem::INVALID_HEADER, &problem::KEY_MISMATCH]);
    add(facts.takes("header", "If-Match"), &[&problem::INVALID_HEADER]);
    add(facts.has_body, &[&problem::BODY_TIMEOUT, &problem::TOO_LARGE, &problem::UNSUPPORTED_MEDIA_TYPE]);
    add(facts.has_body, &[&problem::INVALID_JSON, &problem::INVALID_BODY]);
    kinds
}

fn by_status<'a>(kinds: &[&'a ProblemType]) -> BTreeMap<String, Vec<&'a ProblemType>> {
    let mut found = BTreeMap::<String, Vec<&ProblemType>>::new();
    for kind in kinds {
        found.entry(kind.status.as_str().to_owned()).or_default().push(kind);
    }
    found
}

fn response_of(kinds: &[&ProblemType]) -> Value {
    let lines: Vec<String> = kinds.iter().map(|kind| format!("`{}`: {}", kind.code, kind.title)).collect();
    let more: &[&str] = match kinds.first().map_or(0, |kind| kind.status.as_u16()) {
        401 => &["WWW-Authenticate"],
        429 => &["Retry-After", RATE_HEADERS[0], RATE_HEADERS[1]],
        503 => &["Retry-After"],
        _ => &[],
    };
    let headers: Map<String, Value> = more.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    json!({
        "description": lines.join("\n\n"),
        "headers": headers,
        "content": { PROBLEM_JSON: { "schema": schema_of(kinds) } },
    })
}

fn schema_of(kinds: &[&ProblemType]) -> Value {
    let codes: Vec<&str> = kinds.iter().map(|kind| kind.code).collect();
    let status = kinds.first().map(|kind| kind.status.as_u16());
    json!({
        "allOf": [{ "$ref": "#/components/schemas/Problem" }],
        "properties": { "code": { "enum": codes }, "status": { "const": status } },
    })
}

/// `workflow_not_found` is the component `WorkflowNotFound`.
fn component_name(code: &str) -> String {
    let words = code.split('_').map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
    words.collect()
}
