//! Variables and tags.

use std::collections::BTreeMap;

use super::{State, take};
use crate::{
    model::ids::WorkspaceId,
    store::{
        DeleteVariable, InsertVariable, NewVariable, Result, TagCount, UpdateVariable, VARIABLES_MAX, VariableChange,
        VariableRow, journal::conflict,
    },
};

impl State {
    pub(super) fn insert_variable(&mut self, new: &NewVariable) -> Result<InsertVariable> {
        if !self.workspaces.contains(&new.workspace) {
            return Err(conflict("variables_workspace"));
        }
        let key = (new.workspace, new.name.clone());
        if self.variables.contains_key(&key) {
            return Ok(InsertVariable::Exists);
        }
        let count = self.variables.keys().filter(|(workspace, _)| *workspace == new.workspace).count();
        if count >= take(VARIABLES_MAX) {
            return Ok(InsertVariable::Full);
        }
        let row = VariableRow {
            workspace: new.workspace,
            name: new.name.clone(),
            version: 1,
            created_at: new.content.at,
            updated_at: new.content.at,
            description: new.content.description.clone(),
            value: new.content.value.clone(),
        };
        self.variables.insert(key, row.clone());
        Ok(InsertVariable::Inserted(row))
    }

    pub(super) fn update_variable(
        &mut self,
        workspace: WorkspaceId,
        name: &str,
        expected_version: Option<u32>,
        change: &VariableChange,
    ) -> UpdateVariable {
        let Some(row) = self.variables.get_mut(&(workspace, name.to_owned())) else { return UpdateVariable::NotFound };
        if expected_version.is_some_and(|expected| expected != row.version) {
            return UpdateVariable::Stale { version: row.version };
        }
        row.version += 1;
        row.updated_at = change.at;
        row.description.clone_from(&change.description);
        row.value.clone_from(&change.value);
        UpdateVariable::Updated(row.clone())
    }

    pub(super) fn delete_variable(&mut self, workspace: WorkspaceId, name: &str, expected: Option<u32>) -> DeleteVariable {
        let key = (workspace, name.to_owned());
        match self.variables.get(&key) {
            None => DeleteVariable::NotFound,
            Some(row) if expected.is_some_and(|expected| expected != row.version) => {
                DeleteVariable::Stale { version: row.version }
            }
            Some(_) => {
                self.variables.remove(&key);
                DeleteVariable::Deleted
            }
        }
    }

    pub(super) fn find_variable(&self, workspace: WorkspaceId, name: &str) -> Option<VariableRow> {
        self.variables.get(&(workspace, name.to_owned())).cloned()
    }

    pub(super) fn list_variables(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<VariableRow> {
        let is_listed = |row: &&VariableRow| row.workspace == workspace && after.is_none_or(|after| row.name.as_str() > after);
        self.variables.values().filter(is_listed).take(take(limit)).cloned().collect()
    }

    pub(super) fn list_tags(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<TagCount> {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        let is_listed =
            |(of, tag, _): &&(WorkspaceId, String, _)| *of == workspace && after.is_none_or(|after| tag.as_str() > after);
        for (_, tag, _) in self.tags.iter().filter(is_listed) {
            *counts.entry(tag).or_default() += 1;
        }
        counts.into_iter().take(take(limit)).map(|(tag, workflows)| TagCount { tag: tag.to_owned(), workflows }).collect()
    }
}
