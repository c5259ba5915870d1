//! The trace that a request belongs to. A header that cannot be read is no reason to refuse a request: it is ignored.

use axum::http::HeaderMap;

use crate::model::trace::{TRACEPARENT, TraceParent};

/// Reads `traceparent`. A request with two of them has none.
pub(in crate::http) fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_header_and_ignores_what_it_cannot_read() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        assert_eq!(trace_of(&headers), None);
        headers.append(TRACEPARENT, text.parse().unwrap());
        assert_eq!(trace_of(&headers).map(|trace| trace.to_string()).as_deref(), Some(text));
        headers.append(TRACEPARENT, text.parse().unwrap());
        assert_eq!(trace_of(&headers), None);
        headers.insert(TRACEPARENT, "nonsense".parse().unwrap());
        assert_eq!(trace_of(&headers), None);
    }
}
