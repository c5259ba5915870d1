//! Lists of executions, and the filters that narrow them.

use clap::Args;

use crate::cli::{
    Failure,
    remote::{ListArguments, Remote, duration, field, items},
    table::Table,
    workflow::find,
};

/// Which executions are meant.
#[derive(Debug, Clone, Args)]
pub(super) struct FilterArguments {
    /// `queued`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Of this workflow: an id or a name.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// `manual`, `webhook`, `schedule`, `workflow`, `event` or `retry`.
    #[arg(long, value_name = "TRIGGER")]
    trigger: Option<String>,
    /// From this time on: 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    started_after: Option<String>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    started_before: Option<String>,
    /// That failed with this code.
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,
    /// That repeat this execution.
    #[arg(long, value_name = "ID")]
    retry_of: Option<String>,
}

impl FilterArguments {
    /// The filter as the API reads it.
    ///
    /// Errors: there is no such workflow.
    pub(super) async fn query(self, remote: &Remote) -> Result<Vec<(&'static str, String)>, Failure> {
        let workflow_id = match &self.workflow {
            Some(workflow) => Some(find(remote, workflow).await?),
            None => None,
        };
        let fields = [
            ("status", self.status),
            ("workflow_id", workflow_id),
            ("trigger", self.trigger),
            ("started_after", self.started_after),
            ("started_before", self.started_before),
            ("error_code", self.error_code),
            ("retry_of", self.retry_of),
        ];
        Ok(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

pub(super) async fn show(remote: &Remote, filter: FilterArguments, list: &ListArguments) -> Result<(), Failure> {
    let query = filter.query(remote).await?;
    let found = remote.list(&["executions"], &query, list).await?;
    remote.output.show_list(&found, || {
        let mut table = Table::new(&["ID", "WORKFLOW", "STATUS", "TRIGGER", "CREATED", "DURATION", "ERROR"]);
        for row in items(&found) {
            table.push([
                field(row, "id"),
                field(row, "workflow_id"),
                field(row, "status"),
                field(row, "trigger"),
                field(row, "created_at"),
                duration(row, "duration_ms"),
                field(&row["error"], "code"),
            ]);
        }
        table.to_string()
    })
}
