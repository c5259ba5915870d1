//! `citadel actors`: the live actors of a server, as the tree that they are or by how busy they are.

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Failure,
    output::{print, printable},
    remote::{Remote, RemoteArguments, duration, field},
    table::Table,
};
use crate::{
    config::{Flags, Loaded},
    model::duration::DurationMs,
};

/// Levels that are shown: more than a tree of supervisors has.
const DEPTH_MAX: usize = 64;

#[derive(Debug, Args)]
pub(super) struct ActorsArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: ActorsCommand,
}

#[derive(Debug, Subcommand)]
enum ActorsCommand {
    /// Shows who supervises whom.
    Tree,
    /// Shows the busiest first: once, or again and again on a terminal.
    Top {
        /// Pause between two looks.
        #[arg(long, value_name = "DURATION", default_value = "2s")]
        interval: DurationMs,
        /// Shows the actors once.
        #[arg(long)]
        once: bool,
        /// So many actors.
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        count: usize,
    },
}

impl ActorsArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(super) async fn actors(arguments: ActorsArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    match arguments.command {
        ActorsCommand::Tree => {
            let snapshot = look(&remote).await?;
            remote.output.show(&snapshot, || outline(&snapshot))?;
        }
        ActorsCommand::Top { interval, once, count } => {
            let repeats = !once && remote.output.is_table() && std::io::stdout().is_terminal();
            loop {
                let snapshot = look(&remote).await?;
                if !repeats {
                    remote.output.show(&snapshot, || busiest(&snapshot, count))?;
                    break;
                }
                // Home, and clear what is below.
                print(format_args!("\x1b[H\x1b[2J{}", busiest(&snapshot, count)));
                tokio::time::sleep(Duration::from_millis(interval.0)).await;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(remote: &Remote) -> Result<Value, Failure> {
    remote.client.get(&["actors"]).await
}

/// The tree, a line for each actor.
fn outline(snapshot: &Value) -> String {
    let mut lines = Vec::new();
    let tops = snapshot["tree"].as_array().map_or(&[][..], Vec::as_slice);
    tops.iter().for_each(|top| add_branch(top, 0, &mut lines));
    lines.push(format!("{} live", field(snapshot, "actors_live")));
    lines.join("\n")
}

fn add_branch(actor: &Value, depth: usize, lines: &mut Vec<String>) {
    let serves = actor["serves"].as_str().map_or_else(String::new, |serves| format!("  {serves}"));
    let what = format!("{}  depth {}  handled {}{serves}", title(actor), field(actor, "depth"), field(actor, "handled"));
    lines.push(format!("{}{}", "  ".repeat(depth), printable(&what)));
    let children = actor["children"].as_array().filter(|_| depth < DEPTH_MAX);
    children.into_iter().flatten().for_each(|child| add_branch(child, depth + 1, lines));
}

fn title(actor: &Value) -> String {
    match actor["name"].as_str() {
        Some(name) => format!("{} {name}", field(actor, "kind")),
        None => field(actor, "kind"),
    }
}

/// Every actor of the tree.
fn flat<'a>(actors: &'a [Value], depth: usize, found: &mut Vec<&'a Value>) {
    for actor in actors {
        found.push(actor);
        if let Some(children) = actor["children"].as_array().filter(|_| depth < DEPTH_MAX) {
            flat(children, depth + 1, found);
        }
    }
}

/// Those with the deepest mailboxes first, then those that have handled most.
fn busiest(snapshot: &Value, count: usize) -> String {
    let mut actors = Vec::new();
    flat(snapshot["tree"].as_array().map_or(&[], Vec::as_slice), 0, &mut actors);
    let number = |actor: &Value, name: &str| actor[name].as_u64().unwrap_or_default();
    actors.sort_by_key(|actor| std::cmp::Reverse((number(actor, "depth"), number(actor, "handled"))));
    let mut table = Table::new(&["ID", "ACTOR", "STATUS", "DEPTH", "HANDLED", "ERRORS", "WAIT P99", "HANDLE P99", "BUSY", "AGE"]);
    for actor in actors.into_iter().take(count) {
        table.push([
            field(actor, "id"),
            title(actor),
            field(actor, "status"),
            field(actor, "depth"),
            field(actor, "handled"),
            field(actor, "errors"),
            micros(actor, "wait_p99_us"),
            micros(actor, "handle_p99_us"),
            duration(actor, "busy_for_ms"),
            duration(actor, "age_ms"),
        ]);
    }
    format!("{} live\n{table}", field(snapshot, "actors_live"))
}

fn micros(actor: &Value, name: &str) -> String {
    actor[name].as_u64().map_or_else(|| "-".to_owned(), |us| format!("{us} us"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot() -> Value {
        let actor = |id: &str, kind: &str, depth: u64, children: Value| {
            json!({ "id": id, "kind": kind, "name": null, "status": "running", "depth": depth, "handled": 7, "errors": 0,
                    "age_ms": 1_000, "children": children })
        };
        let leaf = actor("2", "lane", 5, json!([]));
        json!({ "actors_live": 2, "actors_shown": 2, "tree": [actor("1", "supervisor", 0, json!([leaf]))], "kinds": [] })
    }

    #[test]
    fn shows_who_supervises_whom() {
        assert_eq!(outline(&snapshot()), "supervisor  depth 0  handled 7\n  lane  depth 5  handled 7\n2 live");
    }

    #[test]
    fn shows_the_busiest_first() {
        let text = busiest(&snapshot(), 20);
        let (lane, supervisor) = (text.find("lane").unwrap(), text.find("supervisor").unwrap());
        assert!(lane < supervisor && text.contains("1s"), "{text}");
        assert!(!busiest(&snapshot(), 1).contains("supervisor"));
    }
}
