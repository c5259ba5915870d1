//! Which executions are meant: the filter of lists and of batches.

use serde::Deserialize;

use super::parse_time;
use crate::{
    actors::executions::{Search, SearchText},
    model::{
        execution::{ExecutionStatus, TriggerKind},
        ids::{ExecutionId, WorkflowId},
        problem::suggestion,
    },
    store::ExecutionFilter,
};

/// Characters of a text that is searched for.
const TEXT_CHARS_MAX: usize = 255;

/// Every field narrows what is meant.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct FilterBody {
    #[schema(value_type = Option<Vec<ExecutionStatus>>)]
    pub(in crate::http) status: Option<Vec<String>>,
    pub(in crate::http) workflow_id: Option<WorkflowId>,
    pub(in crate::http) trigger: Option<TriggerKind>,
    #[schema(format = DateTime)]
    pub(in crate::http) started_after: Option<String>,
    #[schema(format = DateTime)]
    pub(in crate::http) started_before: Option<String>,
    pub(in crate::http) error_code: Option<String>,
    pub(in crate::http) retry_of: Option<ExecutionId>,
    pub(in crate::http) business_key: Option<String>,
    #[schema(max_length = 255)]
    pub(in crate::http) q: Option<String>,
}

impl FilterBody {
    /// Reads what is text.
    ///
    /// Errors: a sentence that says which field is wrong and what it takes.
    pub(in crate::http) fn into_search(self) -> Result<Search, String> {
        let time = |name: &str, text: Option<String>| {
            let invalid = || format!("`{name}` is a time such as 2026-01-31T12:00:00Z");
            text.map(|text| parse_time(&text).ok_or_else(invalid)).transpose()
        };
        if self.q.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            return Err(format!("`q` has {TEXT_CHARS_MAX} characters at most"));
        }
        let statuses = self.status.unwrap_or_default().iter().map(|name| parse_status(name)).collect::<Result<_, _>>()?;
        let filter = ExecutionFilter {
            workflow: self.workflow_id,
            statuses,
            trigger: self.trigger,
            created_from: time("started_after", self.started_after)?,
            created_until: time("started_before", self.started_before)?,
            error_code: self.error_code,
            retry_of: self.retry_of,
            business_key: self.business_key,
        };
        Ok(Search { filter, text: self.q.as_deref().and_then(SearchText::new) })
    }
}

fn parse_status(name: &str) -> Result<ExecutionStatus, String> {
    let found = ExecutionStatus::ALL.into_iter().find(|status| status.as_str() == name);
    let names = || ExecutionStatus::ALL.iter().map(|status| status.as_str());
    found.ok_or_else(|| format!("`{name}` is no status: {}", suggestion(name, names())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Search, String> {
        serde_json::from_str::<FilterBody>(json).unwrap().into_search()
    }

    #[test]
    fn reads_every_field() {
        let search = read(
            r#"{"status":["failed","waiting"],"started_after":"1970-01-01T00:00:01Z","started_before":"1970-01-01T00:00:02Z","q":" x "}"#,
        );
        let search = search.unwrap();
        assert_eq!(search.filter.statuses, [ExecutionStatus::Failed, ExecutionStatus::Waiting]);
        assert_eq!((search.filter.created_from, search.filter.created_until), (Some(1_000), Some(2_000)));
        assert_eq!(search.text, SearchText::new("x"));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(read(r#"{"status":["faild"]}"#).unwrap_err(), "`faild` is no status: did you mean `failed`?");
        assert!(read(r#"{"started_after":"yesterday"}"#).unwrap_err().starts_with("`started_after` is a time"));
    }

    #[test]
    fn text_length_obeyed_and_violated() {
        let text = |length: usize| FilterBody { q: Some("\u{e4}".repeat(length)), ..FilterBody::default() }.into_search();
        assert!(text(TEXT_CHARS_MAX).is_ok() && text(TEXT_CHARS_MAX + 1).is_err());
    }
}
