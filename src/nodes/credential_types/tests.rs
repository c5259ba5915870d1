//! Tests of the types of credentials.

use serde_json::json;

use super::*;

#[track_caller]
fn check(kind: &str, fields: Value, expected: Result<&[&str], &[&str]>) {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    let checked = find(kind).unwrap().check(&fields);
    let shown = match &checked {
        Ok(texts) => Ok(texts.iter().map(|(name, text)| format!("{name}={}", **text)).collect::<Vec<_>>()),
        Err(problems) => Err(problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.code)).collect::<Vec<_>>()),
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(shown, expected.map(words).map_err(words), "{checked:?}");
}

#[test]
fn checks_the_fields_of_a_type() {
    check("http_bearer", json!({ "token": "t0ken" }), Ok(&["token=t0ken"]));
    check("http_bearer", json!({}), Err(&["/fields required"]));
    check("http_bearer", json!({ "token": "" }), Err(&["/fields/token value"]));
    check("http_bearer", json!({ "token": "a\u{0}" }), Err(&["/fields/token value"]));
    check("http_bearer", json!({ "token": { "a": 1 } }), Err(&["/fields/token type"]));
    check("http_bearer", json!({ "token": "t", "tokn": "t" }), Err(&["/fields/tokn unknown_field"]));
    check("custom", json!({ "a": "1", "b.c-d_e": 2, "f": true }), Ok(&["a=1", "b.c-d_e=2", "f=true"]));
    check("custom", json!({ "a/b": "1", "": "2" }), Err(&["/fields/a~1b invalid_name", "/fields/ invalid_name"]));
}

#[test]
fn knows_ports_urls_and_choices() {
    let server = |name: &str, value: Value| {
        let mut fields = json!({ "host": "db", "database": "d", "user": "u" });
        fields[name] = value;
        fields
    };
    check("postgres", server("port", json!(5432)), Ok(&["database=d", "host=db", "port=5432", "user=u"]));
    for port in [json!(0), json!(65_536), json!("x"), json!(-1)] {
        check("postgres", server("port", port), Err(&["/fields/port value"]));
    }
    check("postgres", server("sslmode", json!("maybe")), Err(&["/fields/sslmode value"]));
    check("redis", json!({ "username": "u" }), Err(&["/fields required"]));
    check("llm", json!({ "provider": "x", "api_key": "k" }), Err(&["/fields/provider value"]));
    check("api_key", json!({ "key": "k", "base_url": "ftp://x" }), Err(&["/fields/base_url value"]));
    check("api_key", json!({ "key": "k", "base_url": "https://x/v1" }), Ok(&["base_url=https://x/v1", "key=k"]));
}

#[test]
fn needs_one_of_the_alternatives() {
    check("postgres", json!({ "url": "postgres://u@h/d" }), Ok(&["url=postgres://u@h/d"]));
    check("postgres", json!({ "host": "h", "user": "u" }), Err(&["/fields required"]));
}

#[test]
fn fields_and_names_obey_and_violate_their_limits() {
    let fields = |count: usize| Value::Object((0..count).map(|number| (format!("f{number}"), json!("x"))).collect());
    let Value::Object(most) = fields(FIELDS_MAX) else { panic!() };
    assert_eq!(find("custom").unwrap().check(&most).unwrap().len(), FIELDS_MAX);
    check("custom", fields(FIELDS_MAX + 1), Err(&["/fields too_many"]));
    let named = |length: usize| json!({ "n".repeat(length): "x" });
    let longest = "n".repeat(FIELD_NAME_CHARS_MAX);
    check("custom", named(FIELD_NAME_CHARS_MAX), Ok(&[&*format!("{longest}=x")]));
    check("custom", named(FIELD_NAME_CHARS_MAX + 1), Err(&[&*format!("/fields/{longest}n invalid_name")]));
}

#[test]
fn a_problem_never_shows_a_value() {
    for known in all() {
        let fields: Map<String, Value> =
            known.fields.iter().map(|field| (field.name.to_owned(), json!({ "hunter2": "hunter2" }))).collect();
        if let Err(problems) = known.check(&fields) {
            assert!(!format!("{problems:?}").contains("hunter2"), "{}", known.name);
        }
    }
}

#[test]
fn every_schema_says_what_the_table_says() {
    let names: std::collections::BTreeSet<&str> = all().iter().map(|known| known.name).collect();
    assert_eq!(names.len(), all().len());
    for known in all() {
        let schema = known.schema();
        let validator = jsonschema::options().offline().build(&schema).unwrap();
        let value = |field: &Field| match field.form {
            Form::Text => json!("text"),
            Form::HttpUrl => json!("https://example.org/"),
            Form::Port => json!(25),
            Form::Choice(choices) => json!(choices[0]),
        };
        let all_fields: Map<String, Value> = known.fields.iter().map(|field| (field.name.to_owned(), value(field))).collect();
        let mut given = vec![all_fields.clone(), Map::new()];
        for field in known.fields {
            let mut others = all_fields.clone();
            others.remove(field.name);
            given.push(others);
        }
        given.push([("unknown".to_owned(), json!("x"))].into_iter().chain(all_fields).collect());
        for fields in given {
            let is_valid = validator.is_valid(&Value::Object(fields.clone()));
            assert_eq!(known.check(&fields).is_ok(), is_valid, "{}: {fields:?}", known.name);
        }
    }
}

#[test]
fn knows_which_values_must_not_turn_up() {
    let credential = |kind: &str, fields: &[(&str, &str)]| Credential {
        kind: kind.to_owned(),
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), Zeroizing::new((*value).to_owned()))).collect(),
    };
    let values = |kind: &str, fields: &[(&str, &str)]| {
        secret_values(&credential(kind, fields)).iter().map(|value| (**value).clone()).collect::<Vec<_>>()
    };
    assert_eq!(values("http_header", &[("name", "X-Key"), ("value", "v")]), ["v"]);
    assert_eq!(values("http_basic", &[("username", "u"), ("password", "p")]), ["p", "u:p"]);
    assert_eq!(values("postgres", &[("url", "postgres://u:pw@h/d")]), ["pw", "postgres://u:pw@h/d"]);
    assert_eq!(values("custom", &[("a", "1"), ("b", "2")]), ["1", "2"]);
    assert_eq!(values("unheard_of", &[("a", "1")]), ["1"]);
    assert_eq!(values("oauth2_client_credentials", &[("access_token", "at")]), ["at"]);
}
