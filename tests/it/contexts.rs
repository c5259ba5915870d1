//! Client commands find their server and their token, and keep a login alive.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, ServerProcess, command};

const EMAIL: &str = "owner@example.org";
const PASSWORD: &str = "correct horse battery";

/// A person's directory of settings, and a server with an owner who logs in.
struct Person {
    home: TempDir,
    server: ServerProcess,
}

impl Person {
    fn new() -> Self {
        let server = ServerProcess::start_with(&[("CITADEL__ADMIN__EMAIL", EMAIL), ("CITADEL__ADMIN__PASSWORD", PASSWORD)]);
        Self { home: tempfile::tempdir().unwrap(), server }
    }

    fn run(&self, arguments: &[&str], input: &str) -> Ran {
        command(arguments).env("HOME", self.home.path()).input(input).run()
    }

    fn log_in(&self) -> Ran {
        self.run(&["login", "--url", self.server.url(), "--email", EMAIL, "--name", "main"], &format!("{PASSWORD}\n"))
    }

    /// The file of contexts.
    fn file(&self) -> std::path::PathBuf {
        self.home.path().join(".config/citadel/contexts.json")
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut contexts: Value = serde_json::from_str(&std::fs::read_to_string(self.file()).unwrap()).unwrap();
        change(&mut contexts);
        std::fs::write(self.file(), contexts.to_string()).unwrap();
    }

    fn session(&self) -> Value {
        let contexts: Value = serde_json::from_str(&std::fs::read_to_string(self.file()).unwrap()).unwrap();
        contexts["contexts"]["main"]["credentials"].clone()
    }
}

#[test]
fn a_login_is_kept_as_a_context_that_only_its_owner_can_read() {
    let person = Person::new();
    person.run(&["login", "--url", person.server.url(), "--email", EMAIL], "wrong\n").assert_failed(5, "login_failed");
    assert!(!person.file().exists());
    let logged_in = person.log_in();
    assert!(logged_in.code == 0 && logged_in.out.contains(&format!("as {EMAIL}")), "{logged_in:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(person.file()).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(person.run(&["workflow", "list", "-o", "json"], "").json()["items"], json!([]));

    let listed = person.run(&["context", "list", "-o", "json"], "").json();
    let url = format!("{}/", person.server.url());
    assert_eq!(listed["items"], json!([{ "name": "main", "url": url, "login": "session", "current": true }]));
    assert!(!person.run(&["context", "show"], "").out.contains("ctd_"));
    person.run(&["context", "use", "mian"], "").assert_failed(2, "hint: did you mean `main`?");
    person.run(&["workflow", "list", "--context", "mian"], "").assert_failed(2, "there is no context mian");
    assert_eq!(person.run(&["context", "remove", "main"], "").code, 0);
    person.run(&["context", "show"], "").assert_failed(1, "no context is in use");
}

#[test]
fn a_session_is_renewed_before_it_ends_also_by_several_commands_at_once() {
    let person = Person::new();
    assert_eq!(person.log_in().code, 0);
    let first = person.session();
    person.change(|contexts| contexts["contexts"]["main"]["credentials"]["expires_at_ms"] = json!(1));
    // A refresh token works once: commands that use it twice, and much later, would end the session.
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| person.run(&["workflow", "list"], ""))).collect();
        for ran in runs {
            let ran = ran.join().unwrap();
            assert_eq!(ran.code, 0, "{ran:?}");
        }
    });
    let second = person.session();
    assert!(first["access_token"] != second["access_token"] && first["refresh_token"] != second["refresh_token"]);

    person.change(|contexts| {
        let credentials = &mut contexts["contexts"]["main"]["credentials"];
        (credentials["expires_at_ms"], credentials["refresh_token"]) = (json!(1), json!("ctd_refresh_nonsense"));
    });
    person.run(&["workflow", "list"], "").assert_failed(5, "the session of the context main has ended");
    // Where to log in again is known.
    let again = person.run(&["login", "--email", EMAIL], &format!("{PASSWORD}\n"));
    assert!(again.code == 0 && again.out.contains("the context main is in use"), "{again:?}");
}

#[test]
fn a_token_is_tried_before_it_is_kept() {
    let (server, home) = (ServerProcess::start(), tempfile::tempdir().unwrap());
    let token = std::fs::read_to_string(server.data_dir().join("owner-token")).unwrap();
    let login = |input: &str| {
        command(&["login", "--url", server.url(), "--token", "-", "--name", "a"]).env("HOME", home.path()).input(input).run()
    };
    login("ctd_live_nonsense\n").assert_failed(5, "unauthenticated");
    let shown = command(&["login", "--url", server.url(), "--token", &token]).env("HOME", home.path()).run();
    shown.assert_failed(2, "can be read by every user of this machine");
    assert_eq!(login(&token).code, 0);
    let list = |name: &str, value: &Path| command(&["workflow", "list"]).env("HOME", home.path()).env(name, value).run();
    assert_eq!(list("UNRELATED", Path::new("x")).code, 0);
    // The environment wins over the context, also with a worse token.
    list("CITADEL__CLIENT__TOKEN", Path::new("nonsense"))
        .assert_failed(5, "the token came from environment variable CITADEL__CLIENT__TOKEN");
    assert_eq!(list("CITADEL__CLIENT__TOKEN_FILE", &server.data_dir().join("owner-token")).code, 0);
    list("CITADEL__CLIENT__URL", Path::new("http://127.0.0.1:1")).assert_failed(1, "cannot reach http://127.0.0.1:1/");
}

#[test]
fn takes_the_owners_token_on_this_machine_where_nobody_has_logged_in() {
    let server = ServerProcess::start();
    let listen = server.url().trim_start_matches("http://");
    let list = command(&["workflow", "list"]).env("CITADEL__DATA_DIR", server.data_dir()).env("CITADEL__HTTP__LISTEN", listen);
    assert_eq!(list.run().code, 0);
    let stranger = command(&["workflow", "list"]).env("CITADEL__HTTP__LISTEN", listen).run();
    stranger.assert_failed(5, "hint: log in with `citadel login`");
}

#[tokio::test]
async fn asks_whether_a_server_is_ready() {
    let mut server = ServerProcess::start_with(&[("CITADEL__DRAIN__READINESS_GRACE", "10m")]);
    let listen = server.url().trim_start_matches("http://").to_owned();
    let check = || command(&["healthcheck"]).env("CITADEL__HTTP__LISTEN", &listen).run();
    assert_eq!((check().code, check().out.as_str()), (0, "ready\n"));
    server.terminate();
    crate::support::eventually("it is not ready", async || (check().code == 1).then_some(())).await;
    check().assert_failed(1, "not ready");
    server.terminate();
    server.ended().await;
    check().assert_failed(1, "cannot reach");
}
