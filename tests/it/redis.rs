//! Rates that the servers of a cluster count together, in a real Redis: also while it is gone, hangs, or comes back empty.

use std::{sync::Arc, time::Duration};

use citadel::{
    config::{Config, Secret},
    store::shared_buckets::{Bucket, SharedBuckets, SharedBucketsError, Taken},
};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{PATIENCE, RedisServer, TestApp, command, eventually, workflows};

/// Longer than the buckets of a test need to fill.
const SLOW: f64 = 0.001;

fn connect(redis: &RedisServer) -> Arc<SharedBuckets> {
    SharedBuckets::connect(&redis.url(), "test").unwrap()
}

async fn take(shared: &SharedBuckets, key: &str, per_second: f64, burst: u32) -> Option<Taken> {
    shared.take(Bucket { key, per_second, burst }).await.ok()
}

/// Waits until Redis answers this client.
async fn reach(shared: &SharedBuckets) {
    eventually("redis answers", async || take(shared, "reach", 1_000.0, 1_000).await).await;
}

#[tokio::test]
async fn burst_obeyed_and_violated_over_all_servers() {
    let redis = RedisServer::start();
    let (one, other) = (connect(&redis), connect(&redis));
    reach(&one).await;
    reach(&other).await;
    for remaining in [3, 2, 1, 0] {
        let server = if remaining % 2 == 0 { &one } else { &other };
        assert_eq!(take(server, "a", SLOW, 4).await, Some(Taken::Granted { remaining }));
    }
    for server in [&one, &other] {
        let Some(Taken::Refused { wait_ms }) = take(server, "a", SLOW, 4).await else { panic!("the bucket is empty") };
        assert!((900_000..=1_000_000).contains(&wait_ms), "{wait_ms}");
    }
    assert_eq!(take(&one, "b", SLOW, 4).await, Some(Taken::Granted { remaining: 3 }), "another key has a bucket of its own");
}

#[tokio::test]
async fn buckets_fill_again_and_are_forgotten_when_they_are_full() {
    let redis = RedisServer::start();
    let shared = connect(&redis);
    reach(&shared).await;
    assert_eq!(take(&shared, "a", 20.0, 1).await, Some(Taken::Granted { remaining: 0 }));
    let Some(Taken::Refused { wait_ms }) = take(&shared, "a", 20.0, 1).await else { panic!("it is empty") };
    assert!(wait_ms <= 50, "{wait_ms}");
    eventually("there is one again", async || {
        (take(&shared, "a", 20.0, 1).await == Some(Taken::Granted { remaining: 0 })).then_some(())
    })
    .await;
    // In the long run not more than the rate, whatever the burst.
    let (began, mut granted) = (Instant::now(), 0.0);
    while granted < 40.0 {
        granted += f64::from(u8::from(matches!(take(&shared, "b", 100.0, 5).await, Some(Taken::Granted { .. }))));
    }
    let most = 5.0 + 100.0 * began.elapsed().as_secs_f64() + 1.0;
    assert!(granted <= most, "{granted} of {most}");
}

#[tokio::test]
async fn does_not_hold_up_callers_while_it_is_gone_and_goes_on_when_it_is_back() {
    let mut redis = RedisServer::start();
    let shared = connect(&redis);
    reach(&shared).await;
    assert_eq!(take(&shared, "a", SLOW, 1).await, Some(Taken::Granted { remaining: 0 }));
    redis.stop();
    eventually("its absence is noticed", async || take(&shared, "a", SLOW, 1).await.is_none().then_some(())).await;
    let began = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(take(&shared, "a", SLOW, 1).await, None);
    }
    // At most one try a second, each of a tenth of one: a thousand tries would take 100 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    redis.start_again();
    // It has forgotten the bucket and the script.
    let first = eventually("it is used again", async || take(&shared, "a", SLOW, 1).await).await;
    assert_eq!(first, Taken::Granted { remaining: 0 });
}

#[tokio::test]
async fn a_redis_that_hangs_is_left_alone() {
    let redis = RedisServer::start();
    let shared = connect(&redis);
    reach(&shared).await;
    redis.freeze();
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(take(&shared, "a", 1_000.0, 1_000).await, None);
    }
    let took = began.elapsed();
    redis.thaw();
    assert!(took < Duration::from_millis(2_500), "one try, and then none for a second, where fifty would take 5 s: {took:?}");
    reach(&shared).await;
}

#[tokio::test]
async fn refuses_a_url_and_does_not_show_it() {
    for url in ["http://u:hunter2@localhost", "localhost:6379", ""] {
        let Err(error) = SharedBuckets::connect(url, "test") else { panic!("{url} is no URL of a Redis") };
        assert!(matches!(error, SharedBucketsError::Url) && !format!("{error:?}{error}").contains("hunter2"));
    }
}

fn limited(redis: &RedisServer) -> impl Fn(&mut Config) + use<> {
    let url = redis.url();
    move |config| {
        config.redis.url = Some(Secret::new(url.clone()));
        (config.limits.requests_per_second, config.limits.requests_burst) = (1.try_into().unwrap(), 30.try_into().unwrap());
    }
}

#[tokio::test]
async fn two_servers_let_a_client_send_what_one_would() {
    let mut redis = RedisServer::start();
    let (one, other) = (TestApp::start_with(limited(&redis)).await, TestApp::start_with(limited(&redis)).await);
    for app in [&one, &other] {
        reach(app.running().shared.as_ref().unwrap()).await;
    }
    let (began, mut granted) = (Instant::now(), 0_u32);
    // Without a token, so that the address is counted.
    for turn in 0..80 {
        let client = if turn % 2 == 0 { one.client.anonymous() } else { other.client.anonymous() };
        match client.get("/openapi.json").await {
            answer if answer.status == 429 => answer.assert_problem(429, "rate_limited"),
            answer => {
                assert!(answer.header("ratelimit").starts_with("\"requests\";r="), "{answer:?}");
                granted += 1;
            }
        }
    }
    let most = 31 + u32::try_from(began.elapsed().as_secs()).unwrap();
    assert!((30..=most).contains(&granted), "{granted} of {most}");

    // Without Redis each counts for itself, from a bucket that is full.
    redis.stop();
    let answer = one.client.anonymous().get("/openapi.json").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let figures = one.client.get("/metrics").await;
    let figures = figures.body.as_str().unwrap().to_owned();
    let unshared = figures.lines().find_map(|line| line.strip_prefix("citadel_rate_limits_unshared_total "));
    assert!(unshared.is_some_and(|count| count.parse::<f64>().unwrap() >= 1.0), "{unshared:?}");
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn two_servers_let_a_workspace_start_what_one_would() {
    let redis = RedisServer::start();
    let url = redis.url();
    let change = |config: &mut Config| {
        config.redis.url = Some(Secret::new(url.clone()));
        config.limits.workspace_starts_per_minute = Some(4.try_into().unwrap());
    };
    let apps = [TestApp::start_with(change).await, TestApp::start_with(change).await];
    let mut workflows_of = Vec::new();
    for app in &apps {
        reach(app.running().shared.as_ref().unwrap()).await;
        workflows_of.push(app.client.create_workflow(&workflows::mark()).await);
    }
    let mut statuses = Vec::new();
    for turn in 0..6 {
        let (app, workflow) = (&apps[turn % 2], &workflows_of[turn % 2]);
        let answer = app.client.post(&format!("/workflows/{workflow}/executions"), &json!({})).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            answer.assert_problem(429, "starts_quota");
            assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 10, "{answer:?}");
        }
    }
    assert_eq!(statuses, [202, 202, 202, 202, 429, 429]);
    for app in apps {
        app.stop().await;
    }
}

#[tokio::test]
async fn a_server_starts_without_its_redis() {
    let mut redis = RedisServer::start();
    redis.stop();
    let app = TestApp::start_with(limited(&redis)).await;
    assert_eq!(app.client.get("/auth/me").await.status, 200);
    redis.start_again();
    tokio::time::timeout(PATIENCE, reach(app.running().shared.as_ref().unwrap())).await.unwrap();
    app.stop().await;
}

#[test]
fn the_doctor_says_whether_it_answers() {
    let mut redis = RedisServer::start();
    let directory = tempfile::tempdir().unwrap();
    let examine = |url: &str| {
        let report = command(&["doctor", "-o", "json"]).within(directory.path()).env("CITADEL__REDIS__URL", url).run();
        let report: serde_json::Value = serde_json::from_str(&report.out).unwrap();
        report["items"].as_array().unwrap().iter().find(|item| item["name"] == "redis").unwrap()["state"].clone()
    };
    assert_eq!(examine(&redis.url()), "good");
    redis.stop();
    assert_eq!(examine(&redis.url()), "warning");
}
