//! What `verify` does, case by case.

use serde_json::{Value, json};

use super::*;
use crate::nodes::{
    testing::{self, NOW_MS, node, problems},
    webhook::WebhookParams,
};

/// Seconds of [`NOW_MS`].
const NOW_S: &str = "1767323045";
const BODY: &[u8] = br#"{"a":1}"#;

fn verifier(verify: Value) -> Verifier {
    let read = WebhookParams::read(&node("webhook", json!({ "path": "a", "verify": verify })));
    let verification = read.unwrap_or_else(|problems| panic!("{problems:#?}")).verification.unwrap();
    verification.resolve(&testing::run_data(), NOW_MS, &mut testing::guest()).unwrap()
}

#[track_caller]
fn check(verify: Value, headers: &[(&str, &str)], body: &[u8], expected: Result<Option<&str>, Refused>) {
    let find = |name: &str| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value);
    let expected = expected.map(|id| Verified { message_id: id.map(str::to_owned) });
    assert_eq!(verifier(verify).verify(find, body, NOW_MS), expected);
}

// Signatures of an independent implementation (Python's `hmac`), under the key `k`, `key` or `s3cret`.
const GITHUB: &str = "c3a92ff9e274cdcce27a58c15a78ec6dcbbdbd0038a87e7a11baef2028fd8bff";
const STRIPE: &str = "f5054ace57f274d749263a996bbd13864a472665823389ac69147400f85291ae";
const SLACK: &str = "78d09759f52b39a8c8f536a5d3350d406436d41566771acbbe0484cd18ea3bb7";
const SHOPIFY: &str = "w6kv+eJ0zczieljBWnjsbcu9vQA4qH56EbrvICj9i/8=";
const STANDARD: &str = "JTENL1JmP8bdnXdebqYkInUTcPNjfLyDVgkz9ceTqFY=";
const GENERIC: &str = "KterpMQ7Eml/UtN9DZ8ZYh9kasmzmFe0NMKi9IGgBRmHyuCPIW0fOrvp2b/135jTnSa8bhfX0DRkvxxndWD6Fw==";
const OLD_300S: &str = "2dc9ff19ced8410fe067cc51d4d76bf0fdb70138cb867e1e3975200e5d9b0b80";
const OLD_301S: &str = "78df8c5331a6ffa86cd8f03b18b8e58760007ae6fea9bea7e29c2e5b62b9d9e5";
const NEW_301S: &str = "235bbd585048ca6b91624452a70361d09ddff745c54c97a9628c545ba4c2072a";

#[test]
fn github() {
    let verify = json!({ "type": "github", "secret": "k" });
    let good = format!("sha256={GITHUB}");
    let good = good.as_str();
    check(verify.clone(), &[("x-hub-signature-256", good), ("x-github-delivery", "d1")], BODY, Ok(Some("d1")));
    check(verify.clone(), &[("x-hub-signature-256", good)], BODY, Ok(None));
    check(verify.clone(), &[("x-hub-signature-256", good)], b"{}", Err(Refused::Mismatch));
    check(verify.clone(), &[("x-hub-signature-256", "sha256=")], BODY, Err(Refused::Mismatch));
    check(verify.clone(), &[("x-hub-signature-256", "sha256=zz")], BODY, Err(Refused::Mismatch));
    check(verify, &[], BODY, Err(missing("x-hub-signature-256")));
}

#[test]
fn stripe() {
    let verify = json!({ "type": "stripe", "secret": "k" });
    let signature = STRIPE;
    let header = format!("t={NOW_S},v0=00,v1=00,v1={signature}");
    check(verify.clone(), &[("stripe-signature", &header)], BODY, Ok(Some(signature)));
    check(verify.clone(), &[("stripe-signature", &header)], b"{}", Err(Refused::Mismatch));
    check(verify, &[("stripe-signature", &format!("v1={signature}"))], BODY, Err(malformed("stripe-signature")));
}

#[test]
fn slack() {
    let verify = json!({ "type": "slack", "secret": "k" });
    let signature = SLACK;
    let header = format!("v0={signature}");
    let headers = [("x-slack-signature", header.as_str()), ("x-slack-request-timestamp", NOW_S)];
    check(verify.clone(), &headers, BODY, Ok(Some(signature)));
    check(verify, &headers[..1], BODY, Err(missing("x-slack-request-timestamp")));
}

#[test]
fn shopify() {
    let verify = json!({ "type": "shopify", "secret": "k" });
    check(verify.clone(), &[("x-shopify-hmac-sha256", SHOPIFY), ("x-shopify-webhook-id", "w1")], BODY, Ok(Some("w1")));
    check(verify, &[("x-shopify-hmac-sha256", "AAAA")], BODY, Err(Refused::Mismatch));
}

#[test]
fn standard_webhooks() {
    let verify = json!({ "type": "standard-webhooks", "secret": "whsec_a2V5" });
    let header = format!("v1,AAAA v1,{STANDARD} v1a,AAAA");
    let headers = [("webhook-signature", header.as_str()), ("webhook-timestamp", NOW_S), ("webhook-id", "msg_1")];
    check(verify.clone(), &headers, BODY, Ok(Some("msg_1")));
    check(verify, &headers[..2], BODY, Err(missing("webhook-id")));
}

#[test]
fn any_other_signature() {
    let verify = json!({
        "type": "hmac", "secret": "{{ $env.SECRET }}", "header": "X-Sig", "algorithm": "sha512", "encoding": "base64", "prefix": "s=",
        "template": "{id}:{timestamp}.{body}", "timestamp_header": "X-Time", "id_header": "X-Id"
    });
    let header = format!("s={GENERIC}");
    check(verify, &[("x-sig", header.as_str()), ("x-time", NOW_S), ("x-id", "7")], BODY, Ok(Some("7")));
}

#[test]
fn tolerance_obeyed_and_violated() {
    for (seconds, signature, expected) in [
        ("1767322745", OLD_300S, Ok(Some(OLD_300S))),
        ("1767322744", OLD_301S, Err(Refused::Stale)),
        ("1767323346", NEW_301S, Err(Refused::Stale)),
    ] {
        let header = format!("t={seconds},v1={signature}");
        check(json!({ "type": "stripe", "secret": "k" }), &[("stripe-signature", &header)], BODY, expected);
    }
    let header = format!("t=1767322744,v1={OLD_301S}");
    check(
        json!({ "type": "stripe", "secret": "k", "tolerance": "6m" }),
        &[("stripe-signature", &header)],
        BODY,
        Ok(Some(OLD_301S)),
    );
}

#[test]
fn tries_no_more_signatures_than_the_limit() {
    let verify = json!({ "type": "stripe", "secret": "k" });
    let header = |others: usize| format!("t={NOW_S},{}v1={STRIPE}", "v1=00,".repeat(others));
    check(verify.clone(), &[("stripe-signature", &header(15))], BODY, Ok(Some(STRIPE)));
    check(verify, &[("stripe-signature", &header(16))], BODY, Err(Refused::Mismatch));
}

#[test]
fn basic_and_bearer() {
    let basic = json!({ "type": "basic", "username": "u", "password": "p:w" });
    check(basic.clone(), &[("authorization", "basic dTpwOnc=")], BODY, Ok(None));
    check(basic.clone(), &[("authorization", "Basic dTpwOng=")], BODY, Err(Refused::Mismatch));
    check(basic.clone(), &[("authorization", "Basic %")], BODY, Err(malformed("authorization")));
    check(basic, &[("authorization", "Bearer dTpwOnc=")], BODY, Err(malformed("authorization")));
    let bearer = json!({ "type": "bearer", "secret": "{{ $env.SECRET }}" });
    check(bearer.clone(), &[("authorization", "Bearer s3cret")], BODY, Ok(None));
    check(bearer.clone(), &[("authorization", "Bearer s3cre")], BODY, Err(Refused::Mismatch));
    check(bearer, &[], BODY, Err(missing("authorization")));
}

#[test]
fn an_unset_secret_opens_no_door() {
    let verify = json!({ "type": "bearer", "secret": "{{ $env.UNSET }}" });
    let read = WebhookParams::read(&node("webhook", json!({ "path": "a", "verify": verify })));
    let verification = read.unwrap_or_else(|problems| panic!("{problems:#?}")).verification.unwrap();
    assert!(verification.resolve(&testing::run_data(), NOW_MS, &mut testing::guest()).is_err());
}

#[track_caller]
fn check_problems(verify: Value, expected: &[&str]) {
    assert_eq!(problems("webhook", json!({ "path": "a", "verify": verify })), expected);
}

#[test]
fn reports_what_does_not_fit_the_type() {
    check_problems(json!({ "type": "github" }), &["/params/verify missing_field"]);
    check_problems(json!({ "type": "basic", "username": "u" }), &["/params/verify missing_field"]);
    check_problems(json!({ "type": "github", "secret": "k", "header": "x" }), &["/params/verify/header invalid_parameter"]);
    check_problems(json!({ "type": "hmac", "secret": "k" }), &["/params/verify missing_field"]);
    check_problems(
        json!({ "type": "hmac", "secret": "k", "header": "x", "template": "{timestamp}" }),
        &["/params/verify/template invalid_parameter"],
    );
    check_problems(
        json!({ "type": "hmac", "secret": "k", "header": "x", "template": "{timestamp}{body}" }),
        &["/params/verify missing_field"],
    );
    check_problems(
        json!({ "type": "hmac", "secret": "k", "header": "x", "timestamp_header": "t" }),
        &["/params/verify/timestamp_header invalid_parameter"],
    );
    check_problems(json!({ "type": "hmac", "secret": "", "header": "x" }), &["/params/verify/secret empty"]);
}
