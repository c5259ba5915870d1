//! Decides where a redirect leads, with which method, and which headers may go along. Pure.

use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, COOKIE, HeaderMap, LOCATION, PROXY_AUTHORIZATION},
};

/// The request that a redirect asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    /// Whether the body goes along; a request that became a GET has none.
    pub(super) keeps_body: bool,
    /// Whether it leaves the origin (scheme, host and port), and so must not carry secrets.
    pub(super) leaves_origin: bool,
}

/// Reads a response as a redirect; `None` if it is none or its location cannot be read.
/// Source: RFC 9110 section 15.4; POST becomes GET on 301 and 302 as in the Fetch standard.
pub(super) fn next_hop(method: &Method, url: &Url, status: StatusCode, headers: &HeaderMap) -> Option<Hop> {
    let becomes_get = match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::POST,
        StatusCode::SEE_OTHER => method != Method::HEAD,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
        _ => return None,
    };
    let mut target = url.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    // A redirect must not choose the credentials of the next request. Only URLs without a host (`data:`) cannot be changed so,
    // and the policy refuses those.
    let _ = target.set_username("");
    let _ = target.set_password(None);
    Some(Hop {
        method: if becomes_get { Method::GET } else { method.clone() },
        leaves_origin: target.origin() != url.origin(),
        url: target,
        keeps_body: !becomes_get,
    })
}

/// The headers that may go to another origin: without those that hold credentials by their name, and without every value that
/// is marked as sensitive.
pub fn without_secrets(headers: &HeaderMap) -> HeaderMap {
    let is_secret = |name: &reqwest::header::HeaderName| [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name);
    headers
        .iter()
        .filter(|(name, value)| !is_secret(name) && !value.is_sensitive())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(method: Method, status: u16, location: &str, expected: Option<(Method, &str, bool, bool)>) {
        let url = Url::parse("https://a.test/x/y?q=1").unwrap();
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(location).unwrap())]);
        let hop = next_hop(&method, &url, StatusCode::from_u16(status).unwrap(), &headers);
        let found = hop.as_ref().map(|hop| (hop.method.clone(), hop.url.as_str(), hop.keeps_body, hop.leaves_origin));
        assert_eq!(found, expected, "{status} {location}");
    }

    #[test]
    fn follows_the_method_rules_of_each_status() {
        check(Method::GET, 302, "z", Some((Method::GET, "https://a.test/x/z", true, false)));
        check(Method::POST, 301, "/z", Some((Method::GET, "https://a.test/z", false, false)));
        check(Method::PUT, 302, "/z", Some((Method::PUT, "https://a.test/z", true, false)));
        check(Method::PUT, 303, "/z", Some((Method::GET, "https://a.test/z", false, false)));
        check(Method::HEAD, 303, "/z", Some((Method::HEAD, "https://a.test/z", true, false)));
        check(Method::POST, 307, "/z", Some((Method::POST, "https://a.test/z", true, false)));
        check(Method::POST, 308, "/z", Some((Method::POST, "https://a.test/z", true, false)));
        check(Method::GET, 304, "/z", None);
        check(Method::GET, 200, "/z", None);
    }

    #[test]
    fn sees_another_origin_by_scheme_host_and_port() {
        check(Method::GET, 302, "https://a.test:443/", Some((Method::GET, "https://a.test/", true, false)));
        check(Method::GET, 302, "http://a.test/", Some((Method::GET, "http://a.test/", true, true)));
        check(Method::GET, 302, "https://a.test:444/", Some((Method::GET, "https://a.test:444/", true, true)));
        check(Method::GET, 302, "//u:p@b.test/", Some((Method::GET, "https://b.test/", true, true)));
    }

    #[test]
    fn drops_secrets_for_another_origin() {
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "proxy-authorization", "accept"] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        headers.insert("x-api-key", secret);
        assert_eq!(without_secrets(&headers).keys().collect::<Vec<_>>(), ["accept"]);
    }
}
