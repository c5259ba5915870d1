//! Every node type of this program, by name: the catalogue that definitions are checked against, and the way from a node's
//! definition to something that runs. Built once at start; never changes.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Description, NodeType, Prepared, builtin,
    docs::{self, Docs},
    params::check::ParamsSchema,
};
use crate::{
    model::{
        catalog::{NodeCatalog, NodeShape},
        definition::NodeDefinition,
        problem::{Problem, did_you_mean},
    },
    runtimes::languages::Languages,
};

/// All node types.
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
    /// `None` where it is not known what is installed.
    languages: Option<Arc<Languages>>,
}

struct Entry {
    node_type: Box<dyn NodeType>,
    description: Description,
    params: ParamsSchema,
    docs: Docs,
}

impl Registry {
    /// The node types that are compiled in, where it is not known which languages are installed: for a look at definitions without
    /// a server. Panics if two have one name, a schema is none or an example has problems: a test builds it.
    pub fn builtin() -> Self {
        Self::of(None)
    }

    /// The node types that are compiled in, with the languages that code may be in. Panics as [`Self::builtin`].
    pub fn with_languages(languages: Arc<Languages>) -> Self {
        Self::of(Some(languages))
    }

    fn of(languages: Option<Arc<Languages>>) -> Self {
        let mut entries = BTreeMap::new();
        let examples = docs::examples();
        for node_type in builtin::node_types(languages.clone()) {
            let description = node_type.describe();
            let name = description.type_name;
            let params = ParamsSchema::compile(&description);
            let docs = docs::docs(name, examples.get(name).map_or(&[], Vec::as_slice), |node| {
                let problems = params.check(&node.params);
                if problems.is_empty() { node_type.prepare(node) } else { Err(problems) }
            });
            let docs = docs.unwrap_or_else(|problems| panic!("an example of {name} has problems: {problems:?}"));
            let earlier = entries.insert(name, Entry { node_type, description, params, docs });
            assert!(earlier.is_none(), "two node types are called {name}");
        }
        Self { entries, languages }
    }

    /// The node type of that name.
    pub fn get(&self, type_name: &str) -> Option<&dyn NodeType> {
        self.entries.get(type_name).map(|entry| &*entry.node_type)
    }

    /// The languages that code may be in, where that is known.
    pub(super) fn languages(&self) -> Option<&Arc<Languages>> {
        self.languages.as_ref()
    }

    /// What is published of each node type, sorted by name.
    pub fn types(&self) -> impl Iterator<Item = &Description> {
        self.entries.values().map(|entry| &entry.description)
    }

    /// What people read about a node type.
    pub fn docs(&self, type_name: &str) -> Option<&Docs> {
        self.entries.get(type_name).map(|entry| &entry.docs)
    }

    /// Makes a node ready to run.
    ///
    /// Errors: every problem of the node, with pointers relative to it: an unknown type, violations of the parameters' schema,
    /// expressions that do not parse, or else what the node type itself finds.
    pub fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let Some(entry) = self.entries.get(node.node_type.as_str()) else {
            return Err(vec![self.unknown_type(&node.node_type)]);
        };
        let problems = entry.params.check(&node.params);
        if !problems.is_empty() {
            return Err(problems);
        }
        entry.node_type.prepare(node)
    }

    fn unknown_type(&self, type_name: &str) -> Problem {
        let hint = match did_you_mean(type_name, self.entries.keys().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "GET /api/v1/node-types lists them".to_owned(),
        };
        Problem::new("/type", "unknown_node_type", format!("there is no such node type; {hint}"))
    }
}

impl NodeCatalog for Registry {
    fn shape(&self, node: &NodeDefinition) -> Result<Arc<NodeShape>, Vec<Problem>> {
        self.prepare(node).map(|prepared| Arc::new(prepared.shape))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::nodes::testing::node;

    #[test]
    fn describes_every_type_under_its_own_name_in_order() {
        let registry = Registry::builtin();
        let names: Vec<&str> = registry.types().map(|description| description.type_name).collect();
        assert!(names.is_sorted());
        for name in &names {
            assert_eq!(registry.get(name).unwrap().describe().type_name, *name);
        }
    }

    #[test]
    fn every_schema_is_closed_and_explains_every_parameter() {
        for description in Registry::builtin().types() {
            let schema = &description.params_schema;
            assert_eq!(schema["additionalProperties"], json!(false), "{}", description.type_name);
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{}: {name}", description.type_name);
            }
            for verbatim in description.verbatim {
                assert!(schema["properties"][verbatim].is_object(), "{}: {verbatim}", description.type_name);
            }
        }
    }

    #[test]
    fn suggests_the_type_that_was_meant() {
        let problems = Registry::builtin().shape(&node("webhok", json!({}))).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!((problems[0].pointer.as_str(), problems[0].code.as_str()), ("/type", "unknown_node_type"));
        assert!(problems[0].detail.contains("did you mean `webhook`?"), "{}", problems[0].detail);
    }
}
