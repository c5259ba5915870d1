//! Tokens and logins.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, phc::PasswordHash},
};
use citadel::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::support::{Answer, Client, TestApp, client::send, eventually};

const EMAIL: &str = "Owner@Example.org";
const PASSWORD: &str = "correct horse battery";

async fn app_with_owner() -> TestApp {
    TestApp::start_with(|config| {
        config.admin.email = Some(EMAIL.to_owned());
        config.admin.password = Some(Secret::new(PASSWORD.to_owned()));
    })
    .await
}

async fn login(client: &Client, password: &str) -> Answer {
    client.anonymous().post("/auth/login", &json!({ "email": EMAIL, "password": password })).await
}

async fn refresh(client: &Client, token: &str) -> Answer {
    client.anonymous().post("/auth/refresh", &json!({ "refresh_token": token })).await
}

/// Lets `ms` of milliseconds pass for the sessions of an app.
async fn age_sessions(app: &TestApp, ms: i64) {
    let mut other = SqliteConnection::connect(&app.database()).await.unwrap();
    let sql = "UPDATE sessions SET rotated_at = rotated_at - ?1, expires_at = expires_at - ?1, ends_at = ends_at - ?1";
    sqlx::query(sql).bind(ms).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test]
async fn opens_nothing_without_a_valid_token() {
    let app = TestApp::start().await;
    for path in ["/workflows", "/executions", "/node-types", "/auth/me"] {
        let refused = app.client.anonymous().get(path).await;
        refused.assert_problem(401, "unauthenticated");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
    for token in ["nonsense", "a.b.c", "ctd_live_0"] {
        app.client.with_token(token).get("/workflows").await.assert_problem(401, "unauthenticated");
    }
    let basic = app.client.anonymous().request(Method::GET, "/workflows").basic_auth("a", Some("b"));
    send(basic).await.assert_problem(401, "unauthenticated");
    for other in ["ws_01900000000070008000000000000009", "nonsense"] {
        let request = app.client.request(Method::GET, "/workflows").header("citadel-workspace", other);
        send(request).await.assert_problem(403, "workspace_denied");
    }
    let own = app.client.request(Method::GET, "/workflows").header("citadel-workspace", "ws_01900000000070008000000000000001");
    assert_eq!(send(own).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_session_lasts_from_login_to_logout() {
    let app = app_with_owner().await;
    let tokens = login(&app.client, PASSWORD).await;
    assert_eq!((tokens.status, tokens.text("token_type").as_str()), (200, "Bearer"));
    assert_eq!(tokens.body["expires_in"], 600);
    let session = app.client.with_token(&tokens.text("access_token"));
    let me = session.get("/auth/me").await.body;
    assert_eq!((&me["user"]["email"], &me["role"]), (&json!(EMAIL.to_lowercase()), &json!("owner")));
    assert!(me["permissions"].as_array().unwrap().contains(&json!("workspace:write")), "{me}");
    assert_eq!(me["workspaces"][0]["id"], me["workspace_id"]);
    session.with_token(&tokens.text("refresh_token")).get("/auth/me").await.assert_problem(401, "unauthenticated");

    let renewed = refresh(&app.client, &tokens.text("refresh_token")).await;
    assert_eq!(renewed.status, 200);
    let renewed_session = app.client.with_token(&renewed.text("access_token"));
    assert_eq!(renewed_session.get("/auth/me").await.status, 200);
    let last = json!({ "refresh_token": renewed.text("refresh_token") });
    assert_eq!(app.client.anonymous().post("/auth/logout", &last).await.status, 204);
    for client in [&session, &renewed_session] {
        client.get("/auth/me").await.assert_problem(401, "unauthenticated");
    }
    refresh(&app.client, &renewed.text("refresh_token")).await.assert_problem(401, "unauthenticated");
    assert_eq!(app.client.anonymous().post("/auth/logout", &last).await.status, 204);

    let by_access = app.client.with_token(&login(&app.client, PASSWORD).await.text("access_token"));
    assert_eq!(by_access.post("/auth/logout", &json!({})).await.status, 204);
    by_access.get("/auth/me").await.assert_problem(401, "unauthenticated");
    app.stop().await;
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_ends_the_session_unless_the_answer_was_lost() {
    let app = app_with_owner().await;
    let first = login(&app.client, PASSWORD).await.text("refresh_token");
    let (one, two) = tokio::join!(refresh(&app.client, &first), refresh(&app.client, &first));
    let second = one.text("refresh_token");
    assert_eq!(second, two.text("refresh_token"), "two tabs get the same one");
    assert_eq!(refresh(&app.client, &first).await.text("refresh_token"), second);

    age_sessions(&app, 11_000).await;
    refresh(&app.client, &first).await.assert_problem(401, "unauthenticated");
    refresh(&app.client, &second).await.assert_problem(401, "unauthenticated");
    app.client.with_token(&one.text("access_token")).get("/auth/me").await.assert_problem(401, "unauthenticated");

    // A text that no server has written ends nobody's session.
    let again = login(&app.client, PASSWORD).await.text("refresh_token");
    let mut invented = again.clone();
    invented.replace_range(invented.len() - 1.., if invented.ends_with('0') { "1" } else { "0" });
    refresh(&app.client, &invented).await.assert_problem(401, "unauthenticated");
    assert_eq!(refresh(&app.client, &again).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let app = app_with_owner().await;
    let tokens = login(&app.client, PASSWORD).await;
    age_sessions(&app, 14 * 86_400_000).await;
    refresh(&app.client, &tokens.text("refresh_token")).await.assert_problem(401, "unauthenticated");
    app.client.with_token(&tokens.text("access_token")).get("/auth/me").await.assert_problem(401, "unauthenticated");
    app.stop().await;
}

#[tokio::test]
async fn a_person_acts_where_they_are_a_member() {
    let app = TestApp::start().await;
    let (workspace, _) = app.stranger("elsewhere").await;
    let member = app.person("member", "viewer").await;
    let tokens = app.log_in_as(member.user).await;
    let session = app.client.with_token(&tokens);
    let at = |workspace: &str| session.request(Method::GET, "/auth/me").header("citadel-workspace", workspace);
    let here = session.get("/auth/me").await.body;
    assert_eq!(here["role"], "viewer");
    assert_eq!(send(at(here["workspace_id"].as_str().unwrap())).await.body, here);
    send(at(&workspace.to_string())).await.assert_problem(403, "workspace_denied");
    let owner = citadel::store::RoleGrant { name: "operator".to_owned(), is_custom: false };
    app.running().store.insert_member(workspace, member.user, &owner, 1).await.unwrap();
    // What is known of the token is believed for a moment.
    let there = eventually("the new workspace is open", async || {
        let seen = send(at(&workspace.to_string())).await;
        (seen.status == 200).then_some(seen.body)
    })
    .await;
    assert_eq!((&there["role"], &there["workspace_id"]), (&json!("operator"), &json!(workspace)));
    assert_eq!(there["workspaces"].as_array().unwrap().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it_and_ends_the_other_sessions() {
    let app = app_with_owner().await;
    let [own, other] = [login(&app.client, PASSWORD).await, login(&app.client, PASSWORD).await];
    let session = app.client.with_token(&own.text("access_token"));
    let change = async |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        send(session.request(Method::PUT, "/auth/password").json(&body)).await
    };
    change("wrong", "another horse battery").await.assert_problem(403, "password_wrong");
    let short = change(PASSWORD, "short").await;
    short.assert_problem(422, "invalid_body");
    assert_eq!(short.body["errors"][0]["pointer"], "/new_password");
    assert_eq!(change(PASSWORD, "another horse battery").await.status, 204);
    assert_eq!(session.get("/auth/me").await.status, 200);
    app.client.with_token(&other.text("access_token")).get("/auth/me").await.assert_problem(401, "unauthenticated");
    refresh(&app.client, &other.text("refresh_token")).await.assert_problem(401, "unauthenticated");
    assert_eq!(refresh(&app.client, &own.text("refresh_token")).await.status, 200);
    login(&app.client, PASSWORD).await.assert_problem(401, "login_failed");
    assert_eq!(login(&app.client, "another horse battery").await.status, 200);
    app.stop().await;

    let app = TestApp::start().await;
    let body = json!({ "current_password": "a", "new_password": "long enough" });
    send(app.client.request(Method::PUT, "/auth/password").json(&body)).await.assert_problem(403, "permission_denied");
    app.stop().await;
}

#[tokio::test]
async fn an_old_hash_is_replaced_at_the_next_login() {
    let app = app_with_owner().await;
    // As an earlier release could have made them: with less memory.
    let earlier = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    let old: PasswordHash = earlier.hash_password_with_salt(b"an old password", &[7; 16]).unwrap();
    let mut other = SqliteConnection::connect(&app.database()).await.unwrap();
    sqlx::query("UPDATE users SET password_hash = ?1").bind(old.to_string()).execute(&mut other).await.unwrap();
    assert_eq!(login(&app.client, "an old password").await.status, 200);
    let new: String = sqlx::query_scalar("SELECT password_hash FROM users").fetch_one(&mut other).await.unwrap();
    assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
    assert_eq!(login(&app.client, "an old password").await.status, 200);
    other.close().await.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn slows_guessing_down_without_telling_whether_the_account_exists() {
    let app = app_with_owner().await;
    let nobody = json!({ "email": "nobody@example.org", "password": PASSWORD });
    app.client.anonymous().post("/auth/login", &nobody).await.assert_problem(401, "login_failed");
    for _ in 0..6 {
        login(&app.client, "wrong password").await.assert_problem(401, "login_failed");
    }
    let slowed = login(&app.client, PASSWORD).await;
    slowed.assert_problem(429, "too_many_logins");
    assert_eq!(slowed.header("retry-after"), "1");
    app.stop().await;
}

#[tokio::test]
async fn does_not_limit_logins_where_limits_are_off() {
    let app = TestApp::start_with(|config| config.limits.enabled = false).await;
    for _ in 0..8 {
        login(&app.client, "wrong password").await.assert_problem(401, "login_failed");
    }
    app.stop().await;
}

#[tokio::test]
async fn nobody_is_let_in_who_is_disabled() {
    let app = TestApp::start().await;
    let (member, _owner) = (app.person("member", "viewer").await, app.person("owner", "owner").await);
    let session = app.client.with_token(&app.log_in_as(member.user).await);
    assert_eq!(session.get("/auth/me").await.status, 200);
    let change =
        citadel::store::UserChange { name: "member".to_owned(), disabled_at: citadel::model::change::Change::To(Some(1)) };
    app.running().store.update_user(member.user, &change).await.unwrap();
    eventually("the session opens nothing", async || (session.get("/auth/me").await.status == 401).then_some(())).await;
    let wrong = json!({ "email": "member@example.org", "password": PASSWORD });
    let refused = app.client.anonymous().post("/auth/login", &wrong).await;
    refused.assert_problem(401, "login_failed");
    assert_eq!(refused.body["detail"], Value::from("check both"), "as for a wrong password");
    app.stop().await;
}
