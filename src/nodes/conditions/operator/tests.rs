//! What `operator` does, case by case.

use super::*;

const STRICT: Rules = Rules { case_sensitive: true, loose: false };
const LOOSE: Rules = Rules { case_sensitive: true, loose: true };
const ANY_CASE: Rules = Rules { case_sensitive: false, loose: false };

#[track_caller]
fn test(rules: Rules, left: &Value, name: &str, right: &Value) -> Result<bool, Mismatch> {
    let operation: Operation = serde_json::from_value(json!(name)).unwrap();
    operation.test(left, right, rules, "UTC", &mut Patterns::default())
}

#[track_caller]
fn check(rules: Rules, left: Value, name: &str, right: Value, expected: bool) {
    assert_eq!(test(rules, &left, name, &right), Ok(expected), "{left} {name} {right}");
}

#[track_caller]
fn check_mismatch(rules: Rules, left: Value, name: &str, right: Value) {
    assert!(test(rules, &left, name, &right).is_err(), "{left} {name} {right}");
}

#[test]
fn compares_strictly_by_type() {
    check(STRICT, json!(1), "equals", json!(1.0), true);
    check(STRICT, json!(1), "equals", json!("1"), false);
    check(STRICT, json!("a"), "not_equals", json!("A"), true);
    check(STRICT, json!({ "a": 1, "b": 2 }), "equals", json!({ "b": 2, "a": 1 }), true);
    check(STRICT, json!(2), "gt", json!(1), true);
    check(STRICT, json!(2), "gte", json!(2), true);
    check(STRICT, json!("10"), "lt", json!("9"), true);
    check(STRICT, json!("b"), "lte", json!("a"), false);
    check_mismatch(STRICT, json!("2"), "gt", json!(1));
    check_mismatch(STRICT, json!(true), "lt", json!(false));
}

#[test]
fn converts_types_where_asked() {
    check(LOOSE, json!("1"), "equals", json!(1), true);
    check(LOOSE, json!("TRUE"), "equals", json!(true), true);
    check(LOOSE, json!(0), "equals", json!(false), true);
    check(LOOSE, json!("yes"), "equals", json!(true), false);
    check(LOOSE, json!(null), "equals", json!(""), true);
    check(LOOSE, json!("10"), "gt", json!("9"), true);
    check(LOOSE, json!("10"), "gt", json!(9), true);
    check(LOOSE, json!(404), "starts_with", json!("4"), true);
    check(LOOSE, json!("1"), "is_true", json!(null), false);
    check(LOOSE, json!(1), "is_true", json!(null), true);
    check_mismatch(LOOSE, json!("many"), "gt", json!(9));
}

#[test]
fn looks_into_texts_and_arrays() {
    check(STRICT, json!("workflow"), "contains", json!("flow"), true);
    check(STRICT, json!("workflow"), "not_contains", json!("Flow"), true);
    check(ANY_CASE, json!("workflow"), "contains", json!("FLOW"), true);
    check(STRICT, json!([1, { "a": 2 }]), "contains", json!({ "a": 2 }), true);
    check(STRICT, json!("workflow"), "starts_with", json!("work"), true);
    check(STRICT, json!("workflow"), "not_ends_with", json!("work"), true);
    check(STRICT, json!("b"), "in", json!(["a", "b"]), true);
    check(STRICT, json!("c"), "not_in", json!(["a", "b"]), true);
    check_mismatch(STRICT, json!(404), "contains", json!("4"));
    check_mismatch(STRICT, json!("a"), "in", json!("abc"));
}

#[test]
fn matches_patterns() {
    check(STRICT, json!("order-17"), "matches", json!(r"^order-\d+$"), true);
    check(STRICT, json!("ORDER-17"), "matches", json!("^order"), false);
    check(ANY_CASE, json!("ORDER 17"), "matches", json!(r"^order\s"), true);
    check(STRICT, json!("x"), "not_matches", json!("y"), true);
    check_mismatch(STRICT, json!("x"), "matches", json!("("));
}

#[test]
fn compares_points_in_time() {
    check(STRICT, json!("2026-01-01T00:00:00+02:00"), "before", json!("2026-01-01T00:00:00Z"), true);
    check(STRICT, json!("2026-01-02"), "after", json!("2026-01-01T23:59:59Z"), true);
    check(STRICT, json!(0), "after", json!("1970-01-01"), false);
    check_mismatch(STRICT, json!("tomorrow"), "after", json!("2026-01-01"));
}

#[test]
fn null_is_only_equal_to_null() {
    check(STRICT, json!(null), "equals", json!(null), true);
    check(STRICT, json!(null), "equals", json!(""), false);
    for name in ["gt", "lte", "contains", "starts_with", "matches", "before", "after"] {
        check(STRICT, json!(null), name, json!("a"), false);
        check(STRICT, json!("a"), name, json!(null), false);
    }
    check(STRICT, json!(1), "in", json!(null), false);
}

#[test]
fn asks_one_value() {
    check(STRICT, json!(0), "exists", json!(null), true);
    check(STRICT, json!(null), "not_exists", json!(null), true);
    for value in [json!(""), json!([]), json!({}), json!(null)] {
        check(STRICT, value, "is_empty", json!(null), true);
    }
    check(STRICT, json!(0), "is_not_empty", json!(null), true);
    check(STRICT, json!(true), "is_true", json!(null), true);
    check(STRICT, json!("true"), "is_true", json!(null), false);
    check(STRICT, json!(false), "is_false", json!(null), true);
    check(STRICT, json!(null), "is_false", json!(null), false);
}
