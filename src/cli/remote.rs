//! What every client command has in common: which server, and how to show what it answers.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    client::{Client, Method, Target},
    output::OutputArguments,
};
use crate::config::{Flags, Loaded};

/// Items of one page.
const PAGE: u32 = 200;
/// Items of a list that is read as a whole.
const ITEMS_MAX: usize = 1_000_000;

/// Flags of client commands.
#[derive(Debug, Clone, Args)]
pub(super) struct RemoteArguments {
    /// The context to use instead of the current one; see `citadel context`.
    #[arg(long, value_name = "NAME", global = true, conflicts_with = "url")]
    context: Option<String>,
    /// The server to talk to.
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// The workspace to act in, by its id; one's home, unless it says.
    #[arg(long, value_name = "ID", global = true)]
    workspace: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

/// A server, and how to show what it answers.
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) output: OutputArguments,
}

impl RemoteArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        flags.set_default("log.filter", "warn");
        flags.set("client.url", self.url.clone());
    }

    /// Finds the server. Nothing is sent yet.
    ///
    /// Errors: there is no such context, or the URL is none.
    pub(super) fn connect(&self, loaded: &Loaded) -> Result<Remote, Failure> {
        let client = Client::new(Target::find(loaded, self.context.as_deref())?)?.in_workspace(self.workspace.clone());
        Ok(Remote { client, output: self.output })
    }
}

/// How much of a list to show.
#[derive(Debug, Clone, Args)]
pub(super) struct ListArguments {
    /// The first so many.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl ListArguments {
    fn count(&self) -> usize {
        if self.all { ITEMS_MAX } else { usize::try_from(self.limit).unwrap_or(ITEMS_MAX) }
    }
}

impl Remote {
    /// Reads a list page by page. **Shape**: `{ items, next_cursor }`, the cursor of what was not asked for.
    pub(super) async fn list(&self, path: &[&str], query: &[(&str, String)], wanted: &ListArguments) -> Result<Value, Failure> {
        let (items, next_cursor) = self.read_pages(path, query, wanted.count()).await?;
        Ok(json!({ "items": items, "next_cursor": next_cursor }))
    }

    /// Reads a whole list.
    pub(super) async fn list_all(&self, path: &[&str]) -> Result<Vec<Value>, Failure> {
        Ok(self.read_pages(path, &[], ITEMS_MAX).await?.0)
    }

    /// As [`Self::list_all`], narrowed down.
    pub(super) async fn list_all_of(&self, path: &[&str], query: &[(&str, String)]) -> Result<Vec<Value>, Failure> {
        Ok(self.read_pages(path, query, ITEMS_MAX).await?.0)
    }

    async fn read_pages(&self, path: &[&str], query: &[(&str, String)], count: usize) -> Result<(Vec<Value>, Value), Failure> {
        let mut items: Vec<Value> = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let limit = u32::try_from(count - items.len()).map_or(PAGE, |left| left.min(PAGE));
            let mut query = query.to_vec();
            query.push(("limit", limit.to_string()));
            query.extend(cursor.as_str().map(|cursor| ("cursor", cursor.to_owned())));
            let mut page = self.client.api(Method::GET, path).await?.query(&query).send().await?.body;
            let Value::Array(more) = page["items"].take() else {
                return Err(Failure::error("the server's answer is no list"));
            };
            items.extend(more);
            cursor = page["next_cursor"].take();
            if cursor.is_null() || items.len() >= count {
                return Ok((items, cursor));
            }
        }
    }
}

/// A field of an answer, for people: texts without quotes, a dash for nothing.
pub(super) fn field(body: &Value, name: &str) -> String {
    match &body[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A duration of an answer in milliseconds, for people.
pub(super) fn duration(body: &Value, name: &str) -> String {
    body[name].as_u64().map_or_else(|| "-".to_owned(), |ms| crate::model::duration::DurationMs(ms).to_string())
}

/// The items of a list.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}
