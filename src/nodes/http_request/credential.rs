//! Puts a credential into a request. Pure. Its values are marked as sensitive, so that they stay with their origin.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    auth::egress::{
        Url,
        header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    },
    model::error::{NodeError, codes},
    nodes::services::Credential,
};

/// Adds what the credential's type asks for: `http_bearer` (token), `http_basic` (username, password), `http_header` (name, value),
/// `http_query` (name, value), `oauth2_...` (access_token).
///
/// Errors: `invalid_parameter` for another type, a missing field, or a value that no header can carry.
pub(super) fn apply(credential: &Credential, url: &mut Url, headers: &mut HeaderMap) -> Result<(), NodeError> {
    match credential.kind.as_str() {
        "http_bearer" => insert(headers, AUTHORIZATION, &format!("Bearer {}", field(credential, "token")?)),
        "oauth2_client_credentials" | "oauth2_authorization_code" => {
            insert(headers, AUTHORIZATION, &format!("Bearer {}", field(credential, "access_token")?))
        }
        "http_basic" => {
            let pair = format!("{}:{}", field(credential, "username")?, field(credential, "password")?);
            insert(headers, AUTHORIZATION, &format!("Basic {}", BASE64_STANDARD.encode(pair)))
        }
        "http_header" => {
            let name = HeaderName::from_bytes(field(credential, "name")?.as_bytes());
            insert(headers, name.map_err(|_| unusable("its `name` is no header name"))?, field(credential, "value")?)
        }
        "http_query" => {
            set_query(url, field(credential, "name")?, field(credential, "value")?);
            Ok(())
        }
        other => {
            let known =
                "http_bearer, http_basic, http_header, http_query, oauth2_client_credentials or oauth2_authorization_code";
            Err(unusable(&format!("its type is {other}, not {known}")))
        }
    }
}

/// Gives a query parameter one value, instead of those that it had.
pub(super) fn set_query(url: &mut Url, name: &str, value: &str) {
    let others: Vec<(String, String)> =
        url.query_pairs().filter(|(key, _)| key != name).map(|(k, v)| (k.into(), v.into())).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), NodeError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| unusable("it has characters that no header can carry"))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

fn field<'c>(credential: &'c Credential, name: &str) -> Result<&'c str, NodeError> {
    credential.fields.get(name).map(|value| value.as_str()).ok_or_else(|| unusable(&format!("its field `{name}` is missing")))
}

fn unusable(why: &str) -> NodeError {
    NodeError::permanent(codes::INVALID_PARAMETER, format!("cannot use the credential: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(kind: &str, fields: &[(&str, &str)]) -> Credential {
        Credential { kind: kind.into(), fields: fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned().into())).collect() }
    }

    type Pairs<'p> = &'p [(&'p str, &'p str)];

    #[track_caller]
    fn check(kind: &str, fields: Pairs<'_>, expected: Result<(&str, Pairs<'_>), &str>) {
        let mut url = Url::parse("https://a.test/?key=old&x=1").unwrap();
        let mut headers = HeaderMap::new();
        match (apply(&credential(kind, fields), &mut url, &mut headers), expected) {
            (Ok(()), Ok((expected_url, expected_headers))) => {
                let found: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
                assert_eq!((url.as_str(), &*found), (expected_url, expected_headers));
                assert!(headers.values().all(HeaderValue::is_sensitive));
            }
            (Err(error), Err(part)) => assert!(error.message.contains(part), "{}", error.message),
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn applies_each_type() {
        let url = "https://a.test/?key=old&x=1";
        check("http_bearer", &[("token", "t")], Ok((url, &[("authorization", "Bearer t")])));
        for kind in ["oauth2_client_credentials", "oauth2_authorization_code"] {
            check(kind, &[("access_token", "t")], Ok((url, &[("authorization", "Bearer t")])));
        }
        let basic = [("username", "Aladdin"), ("password", "open sesame")];
        check("http_basic", &basic, Ok((url, &[("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")])));
        check("http_header", &[("name", "X-Key"), ("value", "v")], Ok((url, &[("x-key", "v")])));
        check("http_query", &[("name", "key"), ("value", "a&b")], Ok(("https://a.test/?x=1&key=a%26b", &[])));
    }

    #[test]
    fn says_what_is_wrong_without_the_secret() {
        check("postgres", &[], Err("its type is postgres"));
        check("http_bearer", &[], Err("`token` is missing"));
        check("http_bearer", &[("token", "a\nb")], Err("no header can carry"));
        check("http_header", &[("name", "a b"), ("value", "v")], Err("no header name"));
    }
}
