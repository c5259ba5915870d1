//! A reader of server-sent events.

use reqwest::{RequestBuilder, Response, header::HeaderMap};
use serde_json::Value;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) id: Option<u32>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// An open stream.
pub(crate) struct EventStream {
    response: Response,
    unread: String,
}

impl EventStream {
    /// Opens a stream, which has to be one.
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, unread: String::new() }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next event; `None` once the server has closed the stream.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            while let Some((block, rest)) = self.unread.split_once("\n\n") {
                let line = parse(block);
                self.unread = rest.to_owned();
                if line.is_some() {
                    return line;
                }
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads events until one of this type, which is the last in the answer.
    pub(crate) async fn until(&mut self, name: &str) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(line) = self.next().await {
            let is_last = line.name == name;
            lines.push(line);
            if is_last {
                return lines;
            }
        }
        panic!("the stream ended without `{name}`: {lines:#?}");
    }

    /// Reads to the end of the stream, which has to be `event: end`.
    pub(crate) async fn rest(mut self) -> Vec<Line> {
        let lines = self.until("end").await;
        assert_eq!(self.next().await, None, "nothing follows the end");
        lines
    }
}

/// Reads one block; `None` for a comment.
fn parse(block: &str) -> Option<Line> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let name = field("event")?.to_owned();
    let data = serde_json::from_str(field("data").unwrap_or("null")).unwrap();
    Some(Line { id: field("id").map(|id| id.parse().unwrap()), name, data })
}
