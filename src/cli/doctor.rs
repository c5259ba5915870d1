//! `citadel doctor`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{
    Failure,
    output::{OutputArguments, note},
    table::Table,
};
use crate::{
    app::doctor::{self, Finding, State},
    config::Config,
};

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn doctor(arguments: DoctorArguments, config: &Config) -> Result<ExitCode, Failure> {
    let findings = doctor::examine(config).await;
    let healthy = findings.iter().all(|finding| finding.state != State::Problem);
    arguments.output.show(&json!({ "healthy": healthy, "items": findings }), || table(&findings))?;
    if healthy {
        return Ok(ExitCode::SUCCESS);
    }
    for finding in findings.iter().filter(|finding| finding.state == State::Problem) {
        note(format_args!("error: {}: {}", finding.name, finding.detail));
        if let Some(hint) = finding.hint {
            note(format_args!("hint: {hint}"));
        }
    }
    Ok(ExitCode::FAILURE)
}

fn table(findings: &[Finding]) -> String {
    let mut table = Table::new(&["CHECK", "STATE", "DETAIL"]);
    for finding in findings {
        table.push([finding.name.to_owned(), finding.state.as_str().to_owned(), finding.detail.clone()]);
    }
    table.to_string()
}
