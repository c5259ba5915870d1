//! The document hangs together: every reference leads somewhere, and nothing is left undescribed.

use std::collections::BTreeSet;

use super::*;

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// Every operation, with its method and path in front.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item)| {
        let (path, item): (&String, &Value) = (path, item);
        METHODS.iter().filter_map(move |method| Some((format!("{method} {path}"), item.get(method)?)))
    };
    paths.iter().flat_map(of_path).collect()
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn leads_somewhere_by_every_reference() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn describes_each_operation() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert!(TAGS.iter().any(|(known, _)| *known == tag), "{name}: the tag `{tag}` is not in TAGS");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{name}: no summary");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}: another operation has its id");
        let succeeds = operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with(['2', '3']));
        assert!(succeeds, "{name}: no success");
    }
    assert!(ids.len() > 30);
}

#[test]
fn describes_each_parameter_of_a_path_once() {
    let document = document();
    for (name, operation) in operations(&document) {
        let in_path = name.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0.to_owned());
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut described: Vec<String> = parameters
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        let mut expected: Vec<String> = in_path.collect();
        described.sort();
        expected.sort();
        assert_eq!(described, expected, "{name}");
    }
}

#[test]
fn links_lead_to_operations_that_take_their_parameters() {
    let document = document();
    let operations = operations(&document);
    let mut links = 0;
    for (name, operation) in &operations {
        for response in operation["responses"].as_object().unwrap().values() {
            for link in response["links"].as_object().into_iter().flat_map(|links| links.values()) {
                let target = operations.iter().find(|(_, target)| target["operationId"] == link["operationId"]);
                let (_, target) = target.unwrap_or_else(|| panic!("{name}: {link}"));
                for parameter in link["parameters"].as_object().unwrap().keys() {
                    let taken = target["parameters"].as_array().unwrap().iter().any(|taken| taken["name"] == *parameter);
                    assert!(taken, "{name}: {link}");
                }
                links += 1;
            }
        }
    }
    assert!(links > 10);
    let from = links::sources();
    let known = |id: &str| operations.iter().any(|(_, operation)| operation["operationId"] == id);
    assert!(from.iter().all(|id| known(id)), "{from:?}");
}

#[test]
fn asks_for_a_token_where_one_is_needed() {
    let document = document();
    let open: Vec<String> = operations(&document)
        .into_iter()
        .filter(|(name, operation)| operation["security"] == json!([]) && !name.contains(" /hooks/"))
        .map(|(name, _)| name)
        .collect();
    insta::assert_json_snapshot!(open);
}

#[test]
fn lists_the_problems_of_a_route_and_those_that_follow_from_what_it_takes() {
    let document = document();
    let responses = &document["paths"]["/api/v1/workflows/{id}"]["put"]["responses"];
    let statuses: Vec<&String> = responses.as_object().unwrap().keys().collect();
    assert_eq!(
        statuses,
        ["200", "400", "401", "403", "404", "408", "412", "413", "415", "422", "428", "429", "431", "500", "503", "504"]
    );
    let not_found = &document["components"]["responses"]["NotFoundOrWorkflowNotFound"];
    assert_eq!(responses["404"], json!({ "$ref": "#/components/responses/NotFoundOrWorkflowNotFound" }));
    let codes = &not_found["content"]["application/problem+json"]["schema"]["properties"]["code"]["enum"];
    assert_eq!(*codes, json!(["not_found", "workflow_not_found"]));
    assert_eq!(responses["403"], json!({ "$ref": "#/components/responses/WorkspaceDeniedOrPermissionDeniedOrCrossSiteRequest" }));
    assert_eq!(responses["412"], json!({ "$ref": "#/components/responses/WorkflowStale" }));
    assert!(document["components"]["responses"]["Unavailable"]["headers"]["Retry-After"].is_object());
}
