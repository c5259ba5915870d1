//! `sql`: queries against PostgreSQL, or SQLite files inside the files directory. Values are bound, never written into the query:
//! its text is fixed. Connections to servers go through the egress policy. The only SQL outside of the store.

mod bindings;
mod budget;
mod failure;
mod lexer;
mod pools;
mod postgres;
#[cfg(unix)]
mod relay;
mod run;
mod session;
mod sqlite;
mod target;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use self::lexer::Dialect;
pub use self::pools::SqlPools;
use super::{
    Description, EffectNode, NodeType, Outcome, Prepared, Runner,
    context::EffectContext,
    effects::attempt_timeout,
    params::{
        Param, invalid, read,
        schema::{LITERAL, any, choice, flag, object, text},
    },
};
use crate::model::{
    catalog::{EffectClass, NodeShape},
    definition::NodeDefinition,
    error::NodeError,
    item::PortItems,
    problem::Problem,
};

/// Characters of a query.
pub const QUERY_CHARS_MAX: usize = 64 * 1024;
/// Sets of parameters that one item may have in mode `batch`.
pub const BATCH_MAX: usize = 10_000;
/// Databases that have open connections at once.
pub const POOLS_MAX: usize = 32;
/// Connections to one database.
pub const CONNECTIONS_MAX: u32 = 4;
/// How long a run waits for a connection, in milliseconds.
pub const ACQUIRE_MS_MAX: u64 = 30_000;
/// How long an unused connection stays open, in milliseconds.
pub const IDLE_MS_MAX: u64 = 60_000;

/// The node type.
pub struct Sql;

/// The parameters.
#[derive(Debug, Deserialize)]
struct Params {
    query: String,
    params: Option<Param>,
    #[serde(default)]
    mode: Mode,
    transaction: Option<bool>,
    #[serde(default)]
    readonly: bool,
    url: Option<Param>,
}

/// What a query gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Query,
    Execute,
    Batch,
}

impl NodeType for Sql {
    fn describe(&self) -> Description {
        Description {
            type_name: "sql",
            summary: "Queries a SQL database per item",
            params_schema: schema(),
            verbatim: &["query"],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let params: Params = read(node)?;
        if params.query.contains("{{") {
            let detail = "a query takes no expressions: write `:name` or a placeholder, and the value into `params`";
            return Err(vec![invalid("/params/query", detail)]);
        }
        match (&params.url, &node.credential) {
            (None, None) => return Err(vec![invalid("/params", "`url` or a credential has to say which database")]),
            (Some(_), Some(_)) => {
                return Err(vec![invalid("/params/url", "the credential says which database: leave `url` out")]);
            }
            (Some(_), None) => {
                lexer::check_sqlite(&params.query).map_err(|error| vec![invalid("/params/query", error.to_string())])?;
            }
            (None, Some(_)) => {}
        }
        let effect = if params.readonly { EffectClass::Idempotent } else { EffectClass::Effect };
        let runner = Runner::Effect(Arc::new(Querier { params, timeout: attempt_timeout(node) }));
        Ok(Prepared { shape: NodeShape::step(effect), runner })
    }
}

struct Querier {
    params: Params,
    timeout: Duration,
}

#[async_trait]
impl EffectNode for Querier {
    async fn run(&self, ctx: EffectContext) -> Result<Outcome, NodeError> {
        let items = run::run(&self.params, self.timeout, ctx).await?;
        Ok(Outcome::Done(PortItems::main(items)))
    }
}

/// JSON Schema of `params`.
fn schema() -> Value {
    object(
        &["query"],
        json!({
            "query": {
                "description": "One statement. Values go into `params`: expressions are not allowed here. Placeholders are `:name`, or \
                                `?` for SQLite and `$1` for PostgreSQL.",
                "type": "string", "minLength": 1, "maxLength": QUERY_CHARS_MAX,
            },
            "params": any(
                "The values: an object by name, or an array by position. Objects and arrays in it are bound as JSON (or as a \
                 PostgreSQL array). In mode `batch` an array of these."
            ),
            "mode": choice(
                "`query` puts out an item per row. `execute` puts out `{ rows_affected }` per item. `batch` runs the statement for \
                 every element of `params` and puts out one `{ rows_affected }` per item.",
                &["query", "execute", "batch"],
            ),
            "transaction": {
                "description": "All items in one transaction: all or nothing. On by default, unless `readonly`. Without it, a later \
                                attempt goes on behind the items that are done (modes `execute` and `batch`).",
                "type": "boolean", (LITERAL): true,
            },
            "readonly": flag("The statement changes nothing, so it may be repeated. The database holds it to that."),
            "url": text("A SQLite file inside the files directory: `sqlite://data/app.db`. It is made if it is missing."),
        }),
    )
}
