//! Decides whether there is a further page, and with which request it is fetched. Pure but for the expressions, which the caller
//! evaluates over the page.

use serde::Deserialize;
use serde_json::Value;

use super::{PAGES_MAX, credential::set_query};
use crate::{
    auth::egress::{
        EgressRequest, Url,
        header::{HeaderName, HeaderValue},
        without_secrets,
    },
    model::error::{NodeError, codes},
    nodes::{
        context::{expect_string, kind_of},
        params::{Param, wrong_type},
        paths::Path,
    },
};

/// The parameter `pagination`.
#[derive(Debug, Deserialize)]
pub(super) struct Pagination {
    mode: Mode,
    next: Option<Param>,
    parameter: Option<String>,
    #[serde(default = "one")]
    start: u64,
    #[serde(default = "one")]
    step: u64,
    until: Option<Param>,
    items: Option<Path>,
    max_pages: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    NextUrl,
    Cursor,
    Page,
}

/// A page that was fetched.
pub(super) struct Page<'p> {
    /// From 0 on.
    pub(super) number: u32,
    pub(super) request: &'p EgressRequest,
    /// Items in it, if `items` is set.
    pub(super) item_count: Option<usize>,
}

impl Pagination {
    /// What does not hold together in the parameter.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self.mode {
            Mode::NextUrl if self.next.is_none() => Some("mode `next_url` needs `next`"),
            Mode::Cursor if self.next.is_none() || self.parameter.is_none() => Some("mode `cursor` needs `next` and `parameter`"),
            Mode::Page if self.parameter.is_none() => Some("mode `page` needs `parameter`"),
            Mode::Page if self.until.is_none() && self.items.is_none() && self.max_pages.is_none() => {
                Some("mode `page` needs `items`, `until` or `max_pages` to find the end")
            }
            Mode::NextUrl | Mode::Cursor | Mode::Page => None,
        }
    }

    /// Names the first page in its URL.
    pub(super) fn start(&self, url: &mut Url) {
        if let (Mode::Page, Some(parameter)) = (self.mode, &self.parameter) {
            set_query(url, parameter, &self.start.to_string());
        }
    }

    /// The items of a page's body; `None` if the page itself is the item.
    ///
    /// Errors: `invalid_response` if there is something else where the array should be.
    pub(super) fn items_of(&self, body: &Value) -> Result<Option<Vec<Value>>, NodeError> {
        let Some(path) = &self.items else {
            return Ok(None);
        };
        match path.read_present(body) {
            Some(Value::Array(values)) => Ok(Some(values.clone())),
            None => Ok(Some(Vec::new())),
            Some(other) => {
                let message = format!("`pagination.items`: at `{path}` is {}, not an array", kind_of(other));
                Err(NodeError::permanent(codes::INVALID_RESPONSE, message))
            }
        }
    }

    /// The request of the next page; `None` after the last one.
    ///
    /// Errors: those of `evaluate`; `invalid_parameter` if an expression's value does not fit; `loop_limit` over [`PAGES_MAX`] pages.
    pub(super) fn next(
        &self,
        page: &Page<'_>,
        mut evaluate: impl FnMut(&Param) -> Result<Value, NodeError>,
    ) -> Result<Option<EgressRequest>, NodeError> {
        if let Some(until) = &self.until
            && is_true(&evaluate(until)?)?
        {
            return Ok(None);
        }
        let url = match (self.mode, &self.next, &self.parameter) {
            (Mode::Page, _, Some(parameter)) if page.item_count != Some(0) => {
                let mut url = page.request.url.clone();
                let number = self.start.saturating_add(self.step.saturating_mul(u64::from(page.number) + 1));
                set_query(&mut url, parameter, &number.to_string());
                Some(url)
            }
            (Mode::Cursor, Some(next), Some(parameter)) => target(evaluate(next)?)?.map(|cursor| {
                let mut url = page.request.url.clone();
                set_query(&mut url, parameter, &cursor);
                url
            }),
            (Mode::NextUrl, Some(next), _) => match target(evaluate(next)?)? {
                Some(link) => Some(page.request.url.join(&link).map_err(|error| {
                    NodeError::permanent(codes::INVALID_RESPONSE, format!("`pagination.next` is no URL: {error}"))
                })?),
                None => None,
            },
            (Mode::Page | Mode::Cursor | Mode::NextUrl, _, _) => None,
        };
        match url {
            Some(_) if self.max_pages.is_some_and(|max| page.number + 1 >= max) => Ok(None),
            Some(_) if page.number + 1 >= PAGES_MAX => {
                let message = format!("more than {PAGES_MAX} pages: set `pagination.max_pages` to end earlier");
                Err(NodeError::permanent(codes::LOOP_LIMIT, message))
            }
            Some(url) => Ok(Some(follow(page.request, url))),
            None => Ok(None),
        }
    }
}

/// The same request for another URL. A page may name a URL of another origin: no secret goes there.
fn follow(request: &EgressRequest, url: Url) -> EgressRequest {
    let mut next = request.clone();
    if url.origin() != request.url.origin() {
        next.headers = without_secrets(&request.headers);
    }
    next.url = url;
    next
}

/// Gives each page an idempotency key of its own: under one key, a service would answer the first page again and again.
pub(super) fn number_key(request: &mut EgressRequest, header: &str, key: &str, page: u32) {
    if let Some(value) = HeaderName::from_bytes(header.as_bytes()).ok().and_then(|name| request.headers.get_mut(name)) {
        *value = HeaderValue::from_str(&format!("{key}-{page}")).expect("a key is hex digits");
    }
}

fn is_true(value: &Value) -> Result<bool, NodeError> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Null => Ok(false),
        other => Err(wrong_type("pagination.until", "a boolean", other)),
    }
}

/// A next URL or cursor; nothing, null, `false` and an empty text mean that there is none.
fn target(value: Value) -> Result<Option<String>, NodeError> {
    match value {
        Value::Null | Value::Bool(false) => Ok(None),
        other => Ok(Some(expect_string(other, "pagination.next")?).filter(|text| !text.is_empty())),
    }
}

fn one() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::auth::egress::{
        Method,
        header::{AUTHORIZATION, HeaderMap},
    };

    fn pagination(params: Value) -> Pagination {
        serde_json::from_value(params).unwrap()
    }

    fn request(url: &str) -> EgressRequest {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer t"))]);
        let url = url.parse().unwrap();
        EgressRequest { method: Method::GET, url, headers, body: None, timeout: Duration::ZERO, follow_redirects: true }
    }

    /// Evaluates by reading literals: the templates of these tests have no expressions.
    #[track_caller]
    fn check(params: Value, number: u32, item_count: Option<usize>, expected: Option<&str>) {
        let request = request("https://a.test/list?q=1&page=1");
        let page = Page { number, request: &request, item_count };
        let next = pagination(params).next(&page, |param| Ok(param.literal().unwrap().clone())).unwrap();
        assert_eq!(next.as_ref().map(|next| next.url.as_str()), expected);
    }

    #[test]
    fn counts_pages_until_one_is_empty() {
        let params = json!({ "mode": "page", "parameter": "page", "items": "data" });
        check(params.clone(), 0, Some(2), Some("https://a.test/list?q=1&page=2"));
        check(params.clone(), 4, Some(1), Some("https://a.test/list?q=1&page=6"));
        check(params, 4, Some(0), None);
        let offset = json!({ "mode": "page", "parameter": "page", "start": 0, "step": 50, "items": "data" });
        check(offset, 1, Some(50), Some("https://a.test/list?q=1&page=100"));
        check(json!({ "mode": "page", "parameter": "page", "until": true }), 0, None, None);
        check(json!({ "mode": "page", "parameter": "page", "until": false, "max_pages": 2 }), 1, None, None);
    }

    #[test]
    fn follows_cursors_and_urls_until_there_is_none() {
        let cursor = |next: Value| json!({ "mode": "cursor", "parameter": "after", "next": next });
        check(cursor(json!("x y")), 0, None, Some("https://a.test/list?q=1&page=1&after=x+y"));
        check(cursor(json!(7)), 0, None, Some("https://a.test/list?q=1&page=1&after=7"));
        check(cursor(json!("")), 0, None, None);
        let url = |next: Value| json!({ "mode": "next_url", "next": next });
        check(url(json!("/list?page=2")), 0, None, Some("https://a.test/list?page=2"));
        check(url(Value::Null), 0, None, None);
    }

    #[test]
    fn takes_no_secret_to_another_origin() {
        let here = request("https://a.test/");
        assert!(follow(&here, "https://a.test/2".parse().unwrap()).headers.contains_key(AUTHORIZATION));
        assert!(!follow(&here, "https://evil.test/2".parse().unwrap()).headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn page_limit_obeyed_and_violated() {
        let request = request("https://a.test/");
        let params = pagination(json!({ "mode": "next_url", "next": "/x" }));
        let at = |number| params.next(&Page { number, request: &request, item_count: None }, |_| Ok(json!("/x")));
        assert!(at(PAGES_MAX - 2).unwrap().is_some());
        assert_eq!(at(PAGES_MAX - 1).unwrap_err().code, codes::LOOP_LIMIT);
    }

    #[test]
    fn says_what_a_mode_needs() {
        assert!(pagination(json!({ "mode": "next_url" })).problem().unwrap().contains("`next`"));
        assert!(pagination(json!({ "mode": "cursor", "next": "x" })).problem().unwrap().contains("`parameter`"));
        assert!(pagination(json!({ "mode": "page", "parameter": "p" })).problem().unwrap().contains("to find the end"));
        assert_eq!(pagination(json!({ "mode": "page", "parameter": "p", "items": "data" })).problem(), None);
    }

    #[test]
    fn reads_the_items_of_a_page() {
        let params = pagination(json!({ "mode": "next_url", "next": "x", "items": "data.rows" }));
        assert_eq!(params.items_of(&json!({ "data": { "rows": [1, 2] } })), Ok(Some(vec![json!(1), json!(2)])));
        assert_eq!(params.items_of(&json!({})), Ok(Some(vec![])));
        assert_eq!(params.items_of(&json!({ "data": { "rows": "x" } })).unwrap_err().code, codes::INVALID_RESPONSE);
    }
}
