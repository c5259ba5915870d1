//! Credentials that the operator defines in the settings: the same for every workspace.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{
    model::{
        error::{NodeError, codes},
        ids::WorkspaceId,
        problem::did_you_mean,
    },
    nodes::services::{Credential, Credentials},
};

/// The credentials by name. Never changes while the process runs.
pub struct OperatorCredentials {
    by_name: BTreeMap<String, Credential>,
}

impl OperatorCredentials {
    /// Takes what the settings define.
    pub fn new(by_name: BTreeMap<String, Credential>) -> Self {
        Self { by_name }
    }
}

#[async_trait]
impl Credentials for OperatorCredentials {
    async fn get(&self, _workspace: WorkspaceId, name: &str) -> Result<Credential, NodeError> {
        self.by_name.get(name).cloned().ok_or_else(|| {
            let hint = match did_you_mean(name, self.by_name.keys().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "define it in the settings, as the table `credentials.NAME`".to_owned(),
            };
            NodeError::permanent(codes::INVALID_PARAMETER, format!("there is no credential `{name}`: {hint}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_by_name_and_suggests_another() {
        let alerting = Credential { kind: "http_bearer".to_owned(), fields: BTreeMap::new() };
        let credentials = OperatorCredentials::new(BTreeMap::from([("alerting".to_owned(), alerting)]));
        assert_eq!(credentials.get(WorkspaceId::DEFAULT, "alerting").await.unwrap().kind, "http_bearer");
        let Err(error) = credentials.get(WorkspaceId::DEFAULT, "alertin").await else { panic!("there is none") };
        assert!(error.message.contains("did you mean `alerting`?"), "{error}");
    }
}
