//! What can be done next with what an answer names, on one screen. Clients show it, and tests walk along it.

use serde_json::{Map, Value, json};

/// A way from an answer to operations that take its id as `id`.
struct Way {
    from: &'static str,
    status: &'static str,
    /// Where the id is in the answer.
    id: &'static str,
    to: &'static [&'static str],
}

const ID: &str = "$response.body#/id";
/// The signal that the example of a definition waits for.
pub(super) const SIGNAL: &str = "paid";
const FIRST_ID: &str = "$response.body#/items/0/id";

const WORKFLOW: &[&str] = &[
    "getWorkflow",
    "updateWorkflow",
    "deleteWorkflow",
    "activateWorkflow",
    "deactivateWorkflow",
    "listVersions",
    "startExecution",
];
const EXECUTION: &[&str] =
    &["getExecution", "listNodeRuns", "listLogs", "cancelExecution", "signalExecution", "retryExecution", "deleteExecution"];

const SCHEDULE: &[&str] =
    &["getSchedule", "updateSchedule", "deleteSchedule", "listNextTicks", "pauseSchedule", "resumeSchedule", "backfillSchedule"];

const API_KEY: &[&str] = &["getApiKey", "updateApiKey", "rotateApiKey", "deleteApiKey"];
const CREDENTIAL: &[&str] = &[
    "getCredential",
    "updateCredential",
    "listCredentialWorkflows",
    "testCredential",
    "authorizeCredential",
    "deleteCredential",
];

const WAYS: &[Way] = &[
    Way { from: "createWorkflow", status: "201", id: ID, to: WORKFLOW },
    Way { from: "updateWorkflow", status: "200", id: ID, to: WORKFLOW },
    Way { from: "activateWorkflow", status: "200", id: ID, to: &["deactivateWorkflow", "startExecution"] },
    Way { from: "listWorkflows", status: "200", id: FIRST_ID, to: &["getWorkflow"] },
    Way { from: "startExecution", status: "202", id: ID, to: EXECUTION },
    Way { from: "startExecution", status: "200", id: ID, to: EXECUTION },
    Way { from: "createBatch", status: "202", id: ID, to: &["getBatch", "cancelBatch"] },
    Way { from: "listBatches", status: "200", id: FIRST_ID, to: &["getBatch"] },
    Way { from: "createSchedule", status: "201", id: ID, to: SCHEDULE },
    Way { from: "updateSchedule", status: "200", id: ID, to: SCHEDULE },
    Way { from: "pauseSchedule", status: "200", id: ID, to: &["resumeSchedule"] },
    Way { from: "listSchedules", status: "200", id: FIRST_ID, to: &["getSchedule", "listNextTicks"] },
    Way { from: "createUser", status: "201", id: ID, to: &["getUser", "updateUser", "deleteUser"] },
    Way { from: "createApiKey", status: "201", id: "$response.body#/key/id", to: API_KEY },
    Way { from: "listApiKeys", status: "200", id: FIRST_ID, to: &["getApiKey"] },
    Way { from: "createCredential", status: "201", id: ID, to: CREDENTIAL },
    Way { from: "updateCredential", status: "200", id: ID, to: CREDENTIAL },
    Way { from: "listCredentials", status: "200", id: FIRST_ID, to: &["getCredential"] },
    Way { from: "listExecutions", status: "200", id: FIRST_ID, to: &["getExecution"] },
];

/// The links of an answer.
pub(super) fn links_of(operation: &str, status: &str) -> Option<Value> {
    let way = WAYS.iter().find(|way| way.from == operation && way.status == status)?;
    let link = |to: &&str| ((*to).to_owned(), link_to(to, way.id));
    Some(Value::Object(way.to.iter().map(link).collect::<Map<String, Value>>()))
}

fn link_to(operation: &str, id: &str) -> Value {
    let parameters = match operation {
        // A change needs the version that it changes, too.
        "updateWorkflow" | "updateSchedule" | "updateCredential" => json!({ "id": id, "If-Match": "$response.header.ETag" }),
        "signalExecution" => json!({ "id": id, "name": SIGNAL }),
        _ => json!({ "id": id }),
    };
    json!({ "operationId": operation, "parameters": parameters })
}

/// The operations that links lead from.
#[cfg(test)]
pub(super) fn sources() -> Vec<&'static str> {
    WAYS.iter().map(|way| way.from).collect()
}
