//! Credentials that the operator defines in the settings: the same for every workspace, for names that it has no credential of.

use std::collections::BTreeMap;

use crate::{model::problem::did_you_mean, nodes::services::Credential};

/// The credentials by name. Never changes while the process runs.
#[derive(Default)]
pub struct OperatorCredentials {
    by_name: BTreeMap<String, Credential>,
}

impl OperatorCredentials {
    /// Takes what the settings define.
    pub fn new(by_name: BTreeMap<String, Credential>) -> Self {
        Self { by_name }
    }

    /// The credential of this name.
    pub(super) fn find(&self, name: &str) -> Option<Credential> {
        self.by_name.get(name).cloned()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Credential)> {
        self.by_name.iter()
    }

    /// What to do about a name that nobody knows.
    pub(super) fn hint(&self, name: &str) -> String {
        match did_you_mean(name, self.by_name.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                "create it (POST /api/v1/credentials), or define it in the settings as the table `credentials.NAME`".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_name_and_suggests_another() {
        let alerting = Credential { kind: "http_bearer".to_owned(), fields: BTreeMap::new() };
        let credentials = OperatorCredentials::new(BTreeMap::from([("alerting".to_owned(), alerting)]));
        assert_eq!(credentials.find("alerting").unwrap().kind, "http_bearer");
        assert!(credentials.find("alertin").is_none());
        assert_eq!(credentials.hint("alertin"), "did you mean `alerting`?");
    }
}
