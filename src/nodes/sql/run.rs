//! Runs the statement for every item: in one transaction, or one after the other, each remembered once it is done.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    BATCH_MAX, Dialect, Mode, Params,
    bindings::{Bound, bind},
    budget::Budget,
    lexer::{Scan, check_sqlite, scan},
    pools::key,
    postgres::{self, PostgresSession, ServerPool},
    session::Session,
    sqlite::{self, SqliteSession},
    target::{self, Server, Target},
};
use crate::{
    model::{
        error::{NodeError, codes},
        item::Item,
    },
    nodes::{
        context::{EffectContext, expect_string},
        effects::{at_item, of_egress},
        files_root::FilesRoot,
        params::wrong_type,
    },
};

/// The output items of a run.
///
/// Errors: that of the first item that fails, with its index; those of the connection.
pub(super) async fn run(params: &Params, timeout: Duration, mut ctx: EffectContext) -> Result<Vec<Item>, NodeError> {
    let count = ctx.pure().items().len();
    if count == 0 {
        return Ok(Vec::new());
    }
    let target = find_target(params, &mut ctx).await?;
    let dialect = match &target {
        Target::Sqlite(_) => Dialect::Sqlite,
        Target::Postgres(_) => Dialect::Postgres,
    };
    if dialect == Dialect::Sqlite {
        check_sqlite(&params.query).map_err(|error| NodeError::permanent(codes::INVALID_PARAMETER, error.to_string()))?;
    }
    let transaction = params.transaction.unwrap_or(!params.readonly);
    let session = open(&target, params, timeout, transaction, &ctx).await?;
    let mut work = Work { params, scan: scan(&params.query, dialect), dialect, budget: Budget::new(), session };
    let mut output = Vec::new();
    for index in 0..count {
        let number = u32::try_from(index).expect("a node run has fewer items than ITEMS_MAX");
        if let Some(item) = ctx.done.remove(&number) {
            output.push(item);
            continue;
        }
        let items = work.run_item(&mut ctx, index).await.map_err(|error| at_item(error, index))?;
        // Inside a transaction nothing is done before the commit; and several rows do not fit one record.
        if let ([item], false, true) = (items.as_slice(), transaction, params.mode != Mode::Query) {
            ctx.progress.done(number, item.clone());
        }
        output.extend(items);
    }
    work.session.commit().await?;
    Ok(output)
}

/// What the items of a run share.
struct Work<'p> {
    params: &'p Params,
    scan: Scan,
    dialect: Dialect,
    budget: Budget,
    session: Box<dyn Session>,
}

impl Work<'_> {
    async fn run_item(&mut self, ctx: &mut EffectContext, index: usize) -> Result<Vec<Item>, NodeError> {
        let values = match &self.params.params {
            Some(param) => ctx.pure().evaluate(param, index)?,
            None => Value::Null,
        };
        let rows_affected = match self.params.mode {
            Mode::Query => {
                let rows = self.session.query(&self.bind(values)?, &mut self.budget).await?;
                return Ok(rows.into_iter().map(|row| ctx.pure().derive(index, Value::Object(row))).collect());
            }
            Mode::Execute => self.session.execute(&self.bind(values)?).await?,
            Mode::Batch => self.run_batch(values).await?,
        };
        Ok(vec![ctx.pure().derive(index, json!({ "rows_affected": rows_affected }))])
    }

    async fn run_batch(&mut self, sets: Value) -> Result<u64, NodeError> {
        let sets = match sets {
            Value::Array(sets) if sets.len() <= BATCH_MAX => sets,
            Value::Array(sets) => {
                let message = format!("`params` has {} sets; one item may have {BATCH_MAX}", sets.len());
                return Err(NodeError::permanent(codes::INVALID_PARAMETER, message));
            }
            other => return Err(wrong_type("params", "an array of objects or arrays", &other)),
        };
        let mut rows_affected = 0;
        for set in sets {
            rows_affected += self.session.execute(&self.bind(set)?).await?;
        }
        Ok(rows_affected)
    }

    fn bind(&self, values: Value) -> Result<Bound, NodeError> {
        bind(&self.params.query, &self.scan, self.dialect, values)
    }
}

async fn find_target(params: &Params, ctx: &mut EffectContext) -> Result<Target, NodeError> {
    let root = |ctx: &EffectContext| FilesRoot::open(ctx.services.files_root.as_deref());
    if let Some(url) = &params.url {
        let url = expect_string(ctx.pure().evaluate(url, 0)?, "url")?;
        return target::of_url(&url, &root(ctx)?);
    }
    let name = ctx.credential.clone().unwrap_or_default();
    let credential = ctx.services.credentials.get(ctx.workspace, &name).await?;
    target::of_credential(&credential, || root(ctx))
}

async fn open(
    target: &Target,
    params: &Params,
    timeout: Duration,
    transaction: bool,
    ctx: &EffectContext,
) -> Result<Box<dyn Session>, NodeError> {
    match target {
        Target::Sqlite(path) => {
            let mode = if params.readonly { "read" } else { "write" };
            let make = || Ok::<_, NodeError>(sqlite::pool(path, params.readonly));
            let pool = ctx.services.sql.sqlite.get(key(&[mode, &path.to_string_lossy()]), make)?;
            Ok(Box::new(SqliteSession::open(&pool, timeout, transaction).await?))
        }
        Target::Postgres(server) => open_postgres(server, params.readonly, timeout, transaction, ctx).await,
    }
}

/// Connects to the first of the server's allowed addresses that answers.
async fn open_postgres(
    server: &Server,
    readonly: bool,
    timeout: Duration,
    transaction: bool,
    ctx: &EffectContext,
) -> Result<Box<dyn Session>, NodeError> {
    let Server { host, port, database, user, password, encryption } = server;
    let addresses = ctx.services.egress.resolve(host, *port).await.map_err(|error| of_egress(&error))?;
    let mut failure = None;
    for address in addresses {
        let parts: [&str; 6] = [host, &address.to_string(), database, user, password, &format!("{encryption:?}")];
        let pool = ctx.services.sql.postgres.get(key(&parts), || ServerPool::new(server, address))?;
        if pool.is_unused()
            && let Err(error) = postgres::probe(address).await
        {
            failure = Some(error);
            continue;
        }
        match PostgresSession::open(&pool, timeout, transaction, readonly).await {
            Ok(session) => return Ok(Box::new(session)),
            Err(error) if error.code == codes::CONNECTION_FAILED => failure = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| NodeError::transient(codes::CONNECTION_FAILED, format!("{host} has no address"))))
}
