//! The report for people.

use std::fmt::Write;

use super::report::{Cell, Constant, Load, Report, StartCost};

const HEADINGS: &str =
    "scenario      clients       /s   p50 ms   p90 ms   p99 ms   max ms   errors  of const  server us  client us  RSS MiB";

/// Renders the report as lines for a terminal.
pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    write_report(&mut out, report).expect("a string takes everything");
    out
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    let (versions, machine) = (&report.versions, &report.machine);
    writeln!(out, "Citadel {} ({} build), {}, {}", versions.citadel, versions.build, versions.target, versions.database)?;
    let unknown = || "unknown".to_owned();
    writeln!(
        out,
        "{} cores of {}, Linux {}, {} MiB, data on {}, load before {}",
        machine.cores,
        machine.cpu_model.clone().unwrap_or_else(unknown),
        machine.kernel.clone().unwrap_or_else(unknown),
        mebibytes(machine.memory_bytes),
        machine.filesystem.clone().unwrap_or_else(unknown),
        shown(machine.load_before, 2),
    )?;
    if versions.build == "debug" {
        writeln!(out, "This is a debug build: its figures say nothing. Use `cargo run --release -- bench`.")?;
    }
    if machine.filesystem.as_deref() == Some("tmpfs") {
        writeln!(out, "The data is in memory: commits cost nothing there. Choose a directory on a disk with --data-dir.")?;
    }
    let (limits, starts) = (&report.limits, &report.starts);
    let commits: Vec<String> =
        limits.single_row_commits.iter().map(|row| format!("{:.0}/s by {}", row.per_second, row.writers)).collect();
    writeln!(out, "limits: {:.0} fdatasync/s; single-row commits {}", limits.fdatasync_per_second, commits.join(", "))?;
    writeln!(
        out,
        "server: ready after {} ms cold, {} ms with the sandbox cached; idle {} MiB",
        shown(starts.cold_ms, 0),
        shown(starts.cached_ms, 0),
        mebibytes(report.memory.idle_bytes),
    )?;
    writeln!(out, "\n{HEADINGS}")?;
    limits.constant.iter().try_for_each(|constant| write_constant(out, constant))?;
    report.scenarios.iter().try_for_each(|cell| write_cell(out, cell))?;
    if !report.memory.growth.is_empty() {
        writeln!(out, "\nRSS of the server after so many executions:")?;
    }
    for growth in &report.memory.growth {
        writeln!(out, "{:>12}  {} MiB", growth.executions, mebibytes(growth.resident_bytes))?;
    }
    report.start_cost.iter().try_for_each(|cost| write_start_cost(out, cost))
}

fn write_constant(out: &mut String, constant: &Constant) -> std::fmt::Result {
    write_load(out, "constant", constant.clients, &constant.load)?;
    let cpu = [constant.server_cpu_us_per_request, constant.generator_cpu_us_per_request].map(|cpu| shown(cpu, 1));
    writeln!(out, "  {:>6.1} %  {:>9}  {:>9}", 100.0, cpu[0], cpu[1])
}

/// The columns that every load has; the caller ends the line.
fn write_load(out: &mut String, name: &str, clients: usize, load: &Load) -> std::fmt::Result {
    let (latency, errors) = (&load.latency_ms, load.errors.values().sum::<u64>());
    write!(
        out,
        "{name:<13} {clients:>7} {:>8.0} {:>8.3} {:>8.3} {:>8.3} {:>8.3} {errors:>8}",
        load.requests_per_second, latency.p50, latency.p90, latency.p99, latency.max
    )
}

fn write_cell(out: &mut String, cell: &Cell) -> std::fmt::Result {
    write_load(out, &cell.scenario.name(), cell.clients, &cell.load)?;
    writeln!(
        out,
        "  {:>6.1} %  {:>9}  {:>9}  {:>7}",
        cell.of_constant * 100.0,
        shown(cell.server_cpu_us_per_execution, 1),
        shown(cell.generator_cpu_us_per_request, 1),
        mebibytes(cell.server_resident_after_bytes),
    )
}

fn write_start_cost(out: &mut String, cost: &StartCost) -> std::fmt::Result {
    writeln!(
        out,
        "\nstart-cost: empty store, and with {} finished executions (filled in {:.1} s)",
        cost.executions, cost.fill_seconds
    )?;
    for cell in &cost.cells {
        let (empty, full) = (cell.empty.requests_per_second, cell.full.requests_per_second);
        writeln!(
            out,
            "{:<13} {:>7}  empty {empty:>8.0}/s  full {full:>8.0}/s  ratio {:.2}",
            cell.scenario.name(),
            cell.clients,
            cell.ratio
        )?;
    }
    Ok(())
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| (bytes / (1_024 * 1_024)).to_string())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::cli::bench::{
        fleet::Tally,
        machine::Machine,
        report::{Limits, Memory, Settings, StartCostCell, Starts, Versions},
        scenario::Scenario,
    };

    fn load() -> Load {
        let mut tally = Tally { elapsed: Duration::from_secs(2), ..Tally::default() };
        tally.latencies.record(Duration::from_micros(250));
        tally.errors.insert("503".to_owned(), 7);
        Load::from(&tally)
    }

    fn report() -> Report {
        Report {
            versions: Versions { citadel: "0.1.0", build: "debug", target: "any".to_owned(), database: "SQLite 3".to_owned() },
            machine: Machine { filesystem: Some("tmpfs".to_owned()), ..Machine::read(Path::new("/")) },
            settings: Settings {
                store: "sqlite",
                scenarios: Vec::new(),
                clients: vec![4],
                seconds: 1,
                warmup_seconds: 0,
                log_filter: "warn".to_owned(),
            },
            limits: Limits { constant: Vec::new(), single_row_commits: Vec::new(), fdatasync_per_second: 12.0 },
            starts: Starts::default(),
            memory: Memory::default(),
            scenarios: vec![Cell {
                scenario: Scenario::Webhook3,
                clients: 4,
                load: load(),
                executions: 1,
                at_rest: true,
                effects: 0,
                server_cpu_us_per_execution: Some(80.25),
                generator_cpu_us_per_request: None,
                server_resident_before_bytes: None,
                server_resident_after_bytes: Some(64 << 20),
                of_constant: 0.125,
            }],
            start_cost: Some(StartCost {
                executions: 9,
                fill_seconds: 0.5,
                cells: vec![StartCostCell {
                    scenario: Scenario::StartAsync,
                    clients: 4,
                    empty: load(),
                    full: load(),
                    ratio: 1.0,
                }],
            }),
        }
    }

    #[test]
    fn puts_every_figure_under_its_heading() {
        let text = render(&report());
        let heading = text.lines().find(|line| line.starts_with("scenario")).unwrap();
        let row = text.lines().find(|line| line.starts_with("webhook-3")).unwrap();
        let under = |title: &str| {
            let end = heading.find(title).unwrap() + title.len();
            row[..end].rsplit(' ').find(|word| !word.is_empty() && *word != "%").unwrap()
        };
        let figures = ["clients", "p50 ms", "max ms", "errors", "of const", "server us", "client us", "RSS MiB"].map(under);
        assert_eq!(figures, ["4", "0.250", "0.250", "7", "12.5", "80.2", "-", "64"], "{text}");
        assert!(text.contains("start-async"), "{text}");
    }

    #[test]
    fn warns_of_figures_that_say_nothing() {
        let text = render(&report());
        assert!(text.contains("debug build: its figures say nothing") && text.contains("data is in memory"), "{text}");
    }
}
