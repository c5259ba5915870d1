//! A flood of logins, each of which costs a core for a while, leaves the rest of the API alone.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::json;

use crate::support::{Client, TestApp};

const LOGINS: usize = 1_000;
/// Connections that the flood has open at once: both ends are in this process, which may have so many files open.
const AT_ONCE: usize = 200;
/// Longest answer to anybody else, on a machine that has two cores and runs other tests.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Sends logins for several accounts; answers how many were tried and how many were refused for want of a place.
async fn flood(client: &Client) -> (usize, usize) {
    let login = |number: usize| {
        let client = client.anonymous();
        async move {
            let body = json!({ "email": format!("user{}@example.org", number % 7), "password": "a wrong password" });
            client.post("/auth/login", &body).await.status
        }
    };
    let answers: Vec<u16> = futures_util::stream::iter(0..LOGINS).map(login).buffer_unordered(AT_ONCE).collect().await;
    let of = |status| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!(of(401) + of(429), LOGINS, "every login is answered");
    (of(401), of(429))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_logins_leave_the_rest_of_the_api_answering() {
    // Without the delays that one address gets: as if it came from everywhere.
    let app = TestApp::start_with(|config| config.limits.enabled = false).await;
    let client = app.client.clone();
    let mut flooding = Box::pin(flood(&client));
    let mut slowest = Duration::ZERO;
    let mut answered = 0;
    let (tried, refused) = loop {
        let begun = Instant::now();
        let other = async {
            assert_eq!(client.get("/workflows").await.status, 200);
            (slowest, answered) = (slowest.max(begun.elapsed()), answered + 1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        tokio::select! {
            flooded = &mut flooding => break flooded,
            () = other => {}
        }
    };
    assert!(tried > 0 && refused > 0, "{tried} were tried, {refused} refused");
    assert!(answered > 10 && slowest < ANSWER_MAX, "{answered} answers to others, the slowest after {slowest:?}");
    app.stop().await;
}
