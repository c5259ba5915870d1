//! Runs executions again.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{conclude, described, follow};
use crate::cli::{
    Failure,
    remote::{Remote, field},
};

#[derive(Debug, Args)]
pub(super) struct RetryArguments {
    id: String,
    /// `start`, `failed`, or the id of a node: what was done before is taken over.
    #[arg(long, value_name = "PLACE", default_value = "failed")]
    from: String,
    /// The version to run: `original`, `latest` or a number.
    #[arg(long, value_name = "VERSION", default_value = "original")]
    version: String,
    /// Follows the new execution to its end; exit code 3 if it does not succeed.
    #[arg(long)]
    wait: bool,
}

impl RetryArguments {
    fn body(&self) -> Value {
        let from = match &*self.from {
            "start" | "failed" => json!(self.from),
            node => json!({ "node": node }),
        };
        let version = self.version.parse::<u32>().map_or_else(|_| json!(self.version), |number| json!(number));
        json!({ "from": from, "version": version })
    }
}

pub(super) async fn retry(remote: &Remote, arguments: &RetryArguments) -> Result<ExitCode, Failure> {
    let started = remote.client.post(&["executions", &arguments.id, "retry"], &arguments.body()).await?;
    if !arguments.wait {
        remote.output.show(&started, || format!("{} retries {}", field(&started, "id"), arguments.id))?;
        return Ok(ExitCode::SUCCESS);
    }
    let ended = follow(remote, &field(&started, "id"), None).await?;
    remote.output.show(&ended, || described(&ended))?;
    conclude(&ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, version: &str, expected: &Value) {
        let arguments =
            RetryArguments { id: "exe_1".to_owned(), from: from.to_owned(), version: version.to_owned(), wait: false };
        assert_eq!(arguments.body(), *expected);
    }

    #[test]
    fn names_places_and_versions_as_the_api_does() {
        check("failed", "original", &json!({ "from": "failed", "version": "original" }));
        check("fetch", "7", &json!({ "from": { "node": "fetch" }, "version": 7 }));
    }
}
