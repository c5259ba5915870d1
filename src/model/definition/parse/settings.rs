//! Reads the settings of a workflow.

use super::object::ObjectReader;
use crate::model::definition::{Retention, WorkflowSettings};

/// Reads the fields of `settings`.
pub(super) fn read_settings(fields: &mut ObjectReader<'_>) -> WorkflowSettings {
    WorkflowSettings {
        timezone: fields.name("timezone"),
        timeout: fields.duration("timeout"),
        concurrency: fields.integer("concurrency"),
        error_workflow: fields.name("error_workflow"),
        retention: fields.nested("retention", |retention| Retention {
            success: retention.duration("success"),
            failure: retention.duration("failure"),
        }),
    }
}
