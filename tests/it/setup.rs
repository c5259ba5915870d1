//! The first owner, by the setup token.

use serde_json::{Value, json};

use crate::support::{Answer, Client, ServerProcess, TestApp, command, eventually};

const PASSWORD: &str = "correct horse battery";

async fn claim(client: &Client, token: &str, email: &str) -> Answer {
    let body = json!({ "token": token, "email": email, "password": PASSWORD, "name": "Ada" });
    client.anonymous().post("/setup", &body).await
}

#[tokio::test]
async fn the_setup_token_is_the_owners_until_there_is_one() {
    let server = ServerProcess::start();
    let file = server.data_dir().join("owner-token");
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let client = server.client();
    eventually("the token is shown", async || server.printed().contains(&token).then_some(())).await;
    let me = client.get("/auth/me").await.body;
    assert_eq!((&me["user"], &me["role"], &me["workspaces"]), (&Value::Null, &json!("owner"), &json!([])));

    claim(&client, "ctd_live_nonsense", "ada@example.org").await.assert_problem(401, "unauthenticated");
    for (body, pointer) in [
        (json!({ "token": token, "email": "ada", "password": PASSWORD }), "/email"),
        (json!({ "token": token, "email": "ada@example.org", "password": "short" }), "/password"),
        (json!({ "token": token, "email": "ada@example.org", "password": PASSWORD, "name": "a\nb" }), "/name"),
    ] {
        let refused = client.anonymous().post("/setup", &body).await;
        refused.assert_problem(422, "invalid_body");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
    let claimed = claim(&client, &token, "Ada@example.org").await;
    assert_eq!(claimed.status, 201, "{claimed:?}");
    let owner = client.with_token(&claimed.text("access_token"));
    let me = owner.get("/auth/me").await.body;
    assert_eq!(
        (&me["user"]["email"], &me["user"]["name"], &me["role"]),
        (&json!("ada@example.org"), &json!("Ada"), &json!("owner"))
    );

    client.get("/auth/me").await.assert_problem(401, "unauthenticated");
    assert!(!file.exists());
    claim(&client, &token, "eve@example.org").await.assert_problem(409, "setup_done");
    // No start makes another one.
    let server = server.kill_and_restart();
    eventually("the address is printed", async || server.printed().contains("/api/v1").then_some(())).await;
    assert!(!server.printed().contains("Setup") && !server.data_dir().join("owner-token").exists(), "{}", server.printed());
    let session = server.client().with_token(&claimed.text("access_token"));
    assert_eq!(session.get("/auth/me").await.status, 200, "the keys outlive the process");
}

#[tokio::test]
async fn of_several_claims_one_wins() {
    let app = TestApp::start().await;
    let token = app.client.token().to_owned();
    let claims = (0..4).map(|number| {
        let (client, token) = (app.client.clone(), token.clone());
        async move { claim(&client, &token, &format!("owner{number}@example.org")).await }
    });
    let answers = futures_util::future::join_all(claims).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1, "{answers:?}");
    for lost in answers.iter().filter(|answer| answer.status != 201) {
        assert!(matches!(lost.status, 401 | 409), "{lost:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_waits_for_its_owner_says_so_and_keeps_the_token() {
    let server = ServerProcess::start();
    let token = std::fs::read_to_string(server.data_dir().join("owner-token")).unwrap();
    let server = server.kill_and_restart();
    eventually("it says so", async || server.printed().contains("there is no owner yet").then_some(())).await;
    assert!(!server.printed().contains(token.trim()), "{}", server.printed());
    assert_eq!(std::fs::read_to_string(server.data_dir().join("owner-token")).unwrap(), token);
}

#[test]
fn the_commands_make_the_owner_and_log_them_in() {
    let (server, home) = (ServerProcess::start(), tempfile::tempdir().unwrap());
    let run = |arguments: &[&str], input: &str| {
        let listen = server.url().trim_start_matches("http://");
        let run = command(arguments).env("HOME", home.path()).env("CITADEL__HTTP__LISTEN", listen);
        run.env("CITADEL__DATA_DIR", server.data_dir()).input(input).run()
    };
    run(&["setup", "--email", "ada@example.org"], "short\n").assert_failed(1, "invalid_body");
    let token = std::fs::read_to_string(server.data_dir().join("owner-token")).unwrap().trim().to_owned();
    run(&["setup", "--email", "ada@example.org", "--token", &token], &format!("{PASSWORD}\n"))
        .assert_failed(2, "can be read by every user of this machine");
    run(&["setup", "--email", "ada@example.org", "--token", "-"], &format!("ctd_live_nonsense\n{PASSWORD}\n"))
        .assert_failed(5, "unauthenticated");
    let given = format!("{token}\n{PASSWORD}\n");
    let made = run(&["setup", "--email", "ada@example.org", "--owner", "Ada", "--token", "-"], &given);
    assert!(made.code == 0 && made.out.contains("as ada@example.org"), "{made:?}");
    assert_eq!(run(&["workflow", "list", "-o", "json"], "").json()["items"], json!([]));
    run(&["setup", "--email", "eve@example.org"], &format!("{PASSWORD}\n")).assert_failed(2, "there is no setup token");
    let again = run(&["login", "--email", "ada@example.org"], &format!("{PASSWORD}\n"));
    assert!(again.code == 0 && again.out.contains("as ada@example.org"), "{again:?}");
}

#[test]
fn the_operator_looks_after_people_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &str| {
        let arguments: Vec<&str> = [&["admin"], arguments].concat();
        command(&arguments).env("CITADEL__DATA_DIR", directory.path().join("data")).input(input).run()
    };
    assert_eq!(run(&["list", "-o", "json"], "").json()["items"], json!([]));
    let made = run(&["create", "Ada@example.org", "--name", "Ada"], &format!("{PASSWORD}\n"));
    assert!(made.code == 0 && made.out.contains("can log in, as owner"), "{made:?}");
    run(&["create", "ada@example.org"], &format!("{PASSWORD}\n")).assert_failed(1, "has an account");
    run(&["create", "eve@example.org", "--role", "king"], &format!("{PASSWORD}\n")).assert_failed(2, "there is no role king");
    run(&["create", "eve@example.org"], "short\n").assert_failed(1, "a password has 8 characters or more");
    let listed = run(&["list", "-o", "json"], "").json();
    let row = &listed["items"][0];
    assert_eq!((&row["email"], &row["role"], &row["disabled"]), (&json!("ada@example.org"), &json!("owner"), &json!(false)));
    assert!(run(&["list"], "").out.contains("ada@example.org  Ada"), "{:?}", run(&["list"], ""));
    run(&["reset-password", "eve@example.org"], "another horse\n").assert_failed(1, "nobody has the address");
    assert_eq!(run(&["reset-password", "ADA@example.org"], "another horse\n").code, 0);
}

#[tokio::test]
async fn a_password_that_was_reset_opens_the_server_again() {
    let server =
        ServerProcess::start_with(&[("CITADEL__ADMIN__EMAIL", "ada@example.org"), ("CITADEL__ADMIN__PASSWORD", PASSWORD)]);
    let login = async |client: &Client, password: &str| {
        client.anonymous().post("/auth/login", &json!({ "email": "ada@example.org", "password": password })).await
    };
    let before = login(&server.client(), PASSWORD).await.text("refresh_token");
    let reset = || {
        let run = command(&["admin", "reset-password", "ada@example.org"]).env("CITADEL__DATA_DIR", server.data_dir());
        run.input("another horse\n").run()
    };
    reset().assert_failed(1, "another process uses the database");
    let mut server = server;
    server.terminate();
    server.ended().await;
    let run = command(&["admin", "reset-password", "ada@example.org"]).env("CITADEL__DATA_DIR", server.data_dir());
    let done = run.input("another horse\n").run();
    assert_eq!(done.code, 0, "{done:?}");
    let server = server.restart();
    let client = server.client();
    login(&client, PASSWORD).await.assert_problem(401, "login_failed");
    let session = client.with_token(&login(&client, "another horse").await.text("access_token"));
    let rows = session.get("/audit?action=user.password_reset").await.body["items"].clone();
    assert_eq!((&rows[0]["actor"], &rows[0]["details"]["by"]), (&json!("system"), &json!("citadel admin")), "{rows}");
    let refresh = client.anonymous().post("/auth/refresh", &json!({ "refresh_token": before })).await;
    refresh.assert_problem(401, "unauthenticated");
}
