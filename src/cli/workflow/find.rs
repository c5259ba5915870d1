//! Workflows by what people call them: an id or a name.

use serde_json::Value;

use crate::{
    cli::{Failure, remote::Remote},
    model::{ids::WorkflowId, problem::suggestion},
};

/// The id of a workflow that is named by its id or its name.
///
/// Errors: none or several have this name.
pub(in crate::cli) async fn find(remote: &Remote, wanted: &str) -> Result<String, Failure> {
    if wanted.parse::<WorkflowId>().is_ok() {
        return Ok(wanted.to_owned());
    }
    choose(&remote.list_all(&["workflows"]).await?, wanted)
}

fn choose(workflows: &[Value], wanted: &str) -> Result<String, Failure> {
    let found: Vec<&str> = workflows.iter().filter(|row| row["name"] == wanted).filter_map(|row| row["id"].as_str()).collect();
    match found[..] {
        [id] => Ok(id.to_owned()),
        [] => {
            let hint = suggestion(wanted, workflows.iter().filter_map(|row| row["name"].as_str()));
            Err(Failure::error(format!("there is no workflow {wanted}")).with_hint(hint))
        }
        _ => Err(Failure::error(format!("{} workflows are called {wanted}", found.len()))
            .with_hint(format!("name one by its id: {}", found.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_a_workflow_by_a_name_that_only_one_has() {
        let workflows = ["a", "b", "b"].iter().zip(1..).map(|(name, n)| json!({ "id": format!("wf_{n}"), "name": name }));
        let workflows: Vec<Value> = workflows.collect();
        assert_eq!(choose(&workflows, "a").unwrap(), "wf_1");
        assert!(format!("{:?}", choose(&workflows, "b").unwrap_err()).contains("wf_2, wf_3"));
        assert!(choose(&workflows, "c").is_err());
    }
}
