//! `citadel audit`: who changed what on a server, and whether the log of it is whole.

mod chain;

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::chain::{Chain, Known};
use super::{
    Failure,
    client::Method,
    output::{note, print},
    remote::{ListArguments, Remote, RemoteArguments, field, items},
    table::Table,
};
use crate::config::{Flags, Loaded};

/// Rows of one page.
const PAGE: u32 = 200;
/// How often a check begins again because retention has taken rows away under it.
const TRIES_MAX: u32 = 3;

#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Lists what happened, the newest first.
    List {
        #[command(flatten)]
        filter: FilterArguments,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Writes the whole log, the oldest row first: one JSON document per line.
    Export {
        /// Into this file instead of the standard output.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Checks that no row was changed, moved or taken out; exit code 1 if one was, with the number of the first.
    Verify {
        /// An export to check instead of the server's log; `-` for the standard input.
        file: Option<PathBuf>,
        /// That this row is still the one that it was: its number and its hash, as an earlier check has printed them.
        #[arg(long, value_name = "NUMBER:HASH")]
        known: Option<Known>,
    },
}

/// Which rows are meant.
#[derive(Debug, Args)]
struct FilterArguments {
    /// What happened: `workflow.updated`.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Which kind of thing it happened to: `workflow`.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Who it was: the id of a user, a token or an execution, `anonymous` or `system`.
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// What it happened to: an id or a name.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// What one request did.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// From this time on: 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl AuditArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

impl FilterArguments {
    fn query(self) -> Vec<(&'static str, String)> {
        let fields = [
            ("action", self.action),
            ("kind", self.kind),
            ("actor", self.actor),
            ("target", self.target),
            ("request_id", self.request_id),
            ("since", self.since),
            ("until", self.until),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

pub(super) async fn audit(arguments: AuditArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let connect = || arguments.remote.connect(loaded);
    match arguments.command {
        AuditCommand::List { filter, list } => {
            let remote = connect()?;
            let found = remote.list(&["audit"], &filter.query(), &list).await?;
            remote.output.show_list(&found, || table(items(&found)))?;
        }
        AuditCommand::Export { file } => export(&connect()?, file.as_deref()).await?,
        AuditCommand::Verify { file: Some(file), known } => say(&verify_file(&file, known)?),
        AuditCommand::Verify { file: None, known } => say(&verify_server(&connect()?, known).await?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes every row as soon as its page is there.
async fn export(remote: &Remote, file: Option<&Path>) -> Result<(), Failure> {
    let mut out: Box<dyn Write> = match file {
        Some(file) => {
            let created =
                File::create(file).map_err(|error| Failure::error(format!("cannot write {}: {error}", file.display())))?;
            Box::new(BufWriter::new(created))
        }
        None => Box::new(std::io::stdout()),
    };
    let failed = |error: std::io::Error| Failure::error(format!("cannot write the export: {error}"));
    let mut pages = Pages::new(remote);
    let mut rows = 0;
    while let Some(page) = pages.next().await? {
        for row in &page {
            writeln!(out, "{row}").map_err(failed)?;
        }
        rows += page.len();
    }
    out.flush().map_err(failed)?;
    note(format_args!("{rows} rows"));
    Ok(())
}

/// Checks the log of the workspace against the ends that the server names.
async fn verify_server(remote: &Remote, known: Option<Known>) -> Result<Chain, Failure> {
    for _ in 0..TRIES_MAX {
        let ends = remote.client.get(&["audit", "chain"]).await?;
        let mut chain = Chain::between(&ends, known)?;
        match take_all(remote, &mut chain).await {
            Ok(()) => return Ok(chain),
            // Rows that became too old meanwhile are no gap.
            Err(error) if remote.client.get(&["audit", "chain"]).await?["first_seq"] == ends["first_seq"] => return Err(error),
            Err(_) => {}
        }
    }
    Err(Failure::transient("the server takes old rows off the log all the time: try again"))
}

async fn take_all(remote: &Remote, chain: &mut Chain) -> Result<(), Failure> {
    let mut pages = Pages::new(remote);
    while let Some(page) = pages.next().await? {
        page.iter().try_for_each(|row| chain.take(row))?;
    }
    chain.end()
}

fn verify_file(file: &Path, known: Option<Known>) -> Result<Chain, Failure> {
    let failed = |error: std::io::Error| Failure::error(format!("cannot read {}: {error}", file.display()));
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(file).map_err(failed)?))
    };
    let mut chain = Chain::anywhere(known);
    for (number, line) in (1_u64..).zip(reader.lines()) {
        let row: Value = serde_json::from_str(&line.map_err(failed)?)
            .map_err(|error| Failure::error(format!("line {number} of {} is no JSON: {error}", file.display())))?;
        chain.take(&row)?;
    }
    chain.end()?;
    Ok(chain)
}

fn say(chain: &Chain) {
    print(chain);
}

/// The log of the workspace, the oldest row first.
struct Pages<'a> {
    remote: &'a Remote,
    /// `None` at the beginning and at the end.
    cursor: Option<String>,
    is_over: bool,
}

impl<'a> Pages<'a> {
    fn new(remote: &'a Remote) -> Self {
        Self { remote, cursor: None, is_over: false }
    }

    /// The next page; `None` behind the last one.
    async fn next(&mut self) -> Result<Option<Vec<Value>>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let mut query = vec![("order", "oldest".to_owned()), ("limit", PAGE.to_string())];
        query.extend(self.cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page = self.remote.client.api(Method::GET, &["audit"]).await?.query(&query).send().await?.body;
        let Value::Array(rows) = page["items"].take() else {
            return Err(Failure::error("the server's answer is no list"));
        };
        self.cursor = page["next_cursor"].as_str().map(str::to_owned);
        self.is_over = self.cursor.is_none();
        Ok(Some(rows))
    }
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["NUMBER", "TIME", "WHO", "ACTION", "TARGET", "ADDRESS", "DETAILS"]);
    for row in rows {
        let details = if row["details"] == json!({}) { "-".to_owned() } else { field(row, "details") };
        table.push([
            field(row, "seq"),
            field(row, "at"),
            field(row, "actor"),
            field(row, "action"),
            field(row, "target"),
            field(row, "address"),
            details,
        ]);
    }
    table.to_string()
}
