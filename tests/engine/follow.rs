//! Following executions: what is committed by others, what is missing, and what is gone.

use citadel::{
    actors::executions::{Followed, FollowedEnd, Signal},
    model::{execution::ExecutionStatus, ids::WorkspaceId},
};
use serde_json::json;

use crate::support::{Engine, PATIENCE};

const WORKSPACE: WorkspaceId = WorkspaceId::DEFAULT;

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_told_of_each_event_once_while_it_happens() {
    let engine = Engine::start().await;
    let definition = json!({
        "name": "two waits",
        "nodes": [
            { "id": "start", "type": "manual" },
            { "id": "first", "type": "wait", "params": { "signal": "a" } },
            { "id": "second", "type": "wait", "params": { "signal": "b" } },
        ],
        "edges": [{ "from": "start", "to": "first" }, { "from": "first", "to": "second" }]
    });
    let workflow = engine.workflow(definition).await;
    let id = engine.begin(&workflow, json!({}), None).await.execution;
    let executions = &engine.app.executions;
    assert!(
        executions
            .follow_events(WORKSPACE, citadel::model::ids::ExecutionId::from_uuid(uuid::Uuid::nil()), 0)
            .await
            .unwrap()
            .is_none()
    );
    let mut follower = executions.follow_events(WORKSPACE, id, 0).await.unwrap().unwrap();
    let (mut seqs, mut signals) = (Vec::new(), ["a", "b"].into_iter());
    let end = loop {
        let followed = tokio::time::timeout(PATIENCE, follower.next()).await.unwrap().unwrap();
        match followed.expect("the end comes before the stream's") {
            Followed::Event { seq, recorded } => {
                seqs.push(seq);
                if matches!(recorded.event, citadel::model::event::Event::WaitStarted { .. }) {
                    let name = signals.next().unwrap().to_owned();
                    executions.signal(WORKSPACE, id, Signal { name, payload: json!(1), dedupe_key: None }).await.unwrap();
                }
            }
            Followed::End(end) => break end,
        }
    };
    assert_eq!(end, FollowedEnd { status: Some(ExecutionStatus::Succeeded), error_code: None });
    assert_eq!(seqs, (0..).take(seqs.len()).collect::<Vec<u32>>());
    assert!(follower.next().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_is_deleted_ends_without_a_status() {
    let engine = Engine::start().await;
    let definition = json!({ "name": "short", "nodes": [{ "id": "start", "type": "manual" }] });
    let workflow = engine.workflow(definition).await;
    let id = engine.begin(&workflow, json!({}), None).await.execution;
    engine.app.executions.wait(WORKSPACE, id, PATIENCE).await.unwrap().unwrap();
    let mut follower = engine.app.executions.follow_events(WORKSPACE, id, 9).await.unwrap().unwrap();
    assert!(engine.app.store.delete_execution(WORKSPACE, id).await.unwrap());
    let Some(Followed::End(end)) = follower.next().await.unwrap() else { panic!("it is over") };
    assert_eq!(end, FollowedEnd { status: None, error_code: None });
}
