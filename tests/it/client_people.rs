//! `citadel user`, `member`, `role`, `key` and `workspace` against a real server with a demonstration workspace.

use serde_json::{Value, json};

use crate::support::{Ran, ServerProcess, command, rows};

const USERS: &str = "ID EMAIL NAME ROLE DISABLED";

/// A server, and the keys of its people by their roles.
struct Demo {
    server: ServerProcess,
    seeded: Value,
}

impl Demo {
    fn new() -> Self {
        let (server, seeded) = ServerProcess::start_seeded();
        Self { server, seeded }
    }

    fn key(&self, role: &str) -> &str {
        let people = self.seeded["people"].as_array().unwrap();
        people.iter().find(|person| person["role"] == role).unwrap()["api_key"].as_str().unwrap()
    }

    /// Runs a command as somebody of a role, with lines on standard input.
    fn run(&self, role: &str, arguments: &[&str], input: &str) -> Ran {
        self.with_token(self.key(role), arguments, input)
    }

    fn with_token(&self, token: &str, arguments: &[&str], input: &str) -> Ran {
        self.server.command(arguments).env("CITADEL__CLIENT__TOKEN", token).input(input).run()
    }

    #[track_caller]
    fn json(&self, role: &str, arguments: &[&str]) -> Value {
        self.run(role, &[arguments, &["-o", "json"]].concat(), "").json()
    }

    /// What a command of the owner prints.
    #[track_caller]
    fn prints(&self, arguments: &[&str], input: &str) -> String {
        let ran = self.run("owner", arguments, input);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    }
}

#[test]
fn a_demonstration_workspace_has_somebody_of_every_role_with_a_key() {
    let demo = Demo::new();
    let workspace = demo.seeded["workspace_id"].as_str().unwrap();
    assert_eq!((&demo.seeded["workflows"], demo.seeded["people"].as_array().unwrap().len()), (&json!(3), 5));
    for role in ["owner", "admin", "editor", "operator", "viewer"] {
        assert_eq!(demo.json(role, &["workspace", "list"])["items"].as_array().unwrap().last().unwrap()["id"], *workspace);
        assert_eq!(demo.json(role, &["workflow", "list"])["items"].as_array().unwrap().len(), 3, "{role}");
    }
    assert_eq!(demo.json("viewer", &["schedule", "list"])["items"].as_array().unwrap().len(), 1);
    demo.run("viewer", &["workflow", "delete", "hello"], "").assert_failed(5, "workflow:write");
    let here = demo.json("viewer", &["workflow", "list", "--workspace", workspace]);
    assert_eq!(here["items"].as_array().unwrap().len(), 3);
    let elsewhere = ["workflow", "list", "--workspace", "ws_01900000000070008000000000000001"];
    demo.run("viewer", &elsewhere, "").assert_failed(5, "workspace_denied");
}

#[test]
fn looks_after_accounts_and_members() {
    let demo = Demo::new();
    let create = ["user", "create", "ada@example.org", "--name", "Ada", "--role", "editor"];
    let made = rows(&demo.prints(&create, "correct horse battery\n"), USERS);
    assert_eq!(made[0][1..], ["ada@example.org", "Ada", "editor", "-"].map(str::to_owned));
    demo.run("owner", &create, "correct horse battery\n").assert_failed(1, "user_exists");
    demo.prints(&["user", "disable", "ADA@example.org"], "");
    assert!(demo.json("owner", &["user", "get", "ada@example.org"])["disabled_at"].is_string());
    demo.prints(&["user", "rename", "ada@example.org", "Ada L."], "");
    let renamed = demo.json("owner", &["user", "get", "ada@example.org"]);
    assert!(renamed["name"] == "Ada L." && renamed["disabled_at"].is_string(), "{renamed}");
    demo.prints(&["user", "enable", "ada@example.org"], "");
    assert_eq!(demo.json("owner", &["user", "list"])["items"].as_array().unwrap().len(), 6);

    let changed = demo.json("owner", &["member", "role", "ada@example.org", "viewer"]);
    assert_eq!(changed["role"], "viewer");
    demo.run("admin", &["member", "role", "ada@example.org", "owner"], "").assert_failed(5, "workspace:write");
    demo.prints(&["member", "remove", "ada@example.org"], "");
    demo.run("owner", &["member", "remove", "ada@example.org"], "").assert_failed(1, "nobody in the workspace is");
    let members = demo.json("owner", &["member", "list"]);
    assert!(!members.to_string().contains("ada@example.org"), "{members}");
    demo.run("owner", &["member", "remove", "owner@demo.example"], "").assert_failed(1, "last_owner");
}

#[test]
fn invites_somebody_who_joins() {
    let demo = Demo::new();
    let token = demo.prints(&["member", "invite", "new@example.org", "--role", "operator", "--expires-in", "2d"], "");
    let open = demo.json("owner", &["member", "invitations"]);
    assert_eq!(open["items"][0]["email"], "new@example.org");
    let joined =
        demo.run("owner", &["member", "join", "--name", "New", "-o", "json"], &format!("{token}correct horse battery\n"));
    assert_eq!((joined.json()["role"].as_str(), joined.json()["email"].as_str()), (Some("operator"), Some("new@example.org")));
    // Who is in no workspace any more comes back with the password of the account.
    demo.prints(&["member", "remove", "new@example.org"], "");
    let token = demo.prints(&["member", "invite", "new@example.org", "--role", "viewer"], "");
    let url = demo.server.url();
    let back = command(&["member", "join", "--url", url, "-o", "json"]).input(&format!("{token}correct horse battery\n")).run();
    assert_eq!(back.json()["role"], "viewer", "{back:?}");
    demo.prints(&["member", "invite", "late@example.org", "--role", "viewer"], "");
    let id = demo.json("owner", &["member", "invitations"])["items"][0]["id"].as_str().unwrap().to_owned();
    demo.prints(&["member", "uninvite", &id], "");
    demo.run("owner", &["member", "uninvite", &id], "").assert_failed(1, "invitation_not_found");
}

#[test]
fn looks_after_roles_keys_and_workspaces() {
    let demo = Demo::new();
    let set = |permissions: &str| demo.json("owner", &["role", "set", "deployer", "--permission", permissions]);
    assert_eq!(set("workflow:read,workflow:execute")["version"], 1);
    assert_eq!((&set("workflow:read")["version"], &set("workflow:read")["permissions"]), (&json!(2), &json!(["workflow:read"])));
    let shown = rows(&demo.prints(&["role", "get", "deployer"], ""), "NAME BUILT IN PERMISSIONS");
    assert_eq!(shown[0], ["deployer", "false", "workflow:read"].map(str::to_owned));
    assert_eq!(demo.json("viewer", &["role", "list"])["items"].as_array().unwrap().len(), 6);
    demo.prints(&["role", "delete", "deployer"], "");
    demo.run("owner", &["role", "delete", "viewer"], "").assert_failed(1, "role_built_in");

    let create = ["key", "create", "deploy", "--permission", "workflow:read", "--expires-in", "90d", "-o", "json"];
    let made = demo.run("owner", &create, "").json();
    let (secret, id) = (made["secret"].as_str().unwrap(), made["key"]["id"].as_str().unwrap());
    assert!(made["key"]["expires_at"].is_string());
    assert_eq!(demo.with_token(secret, &["workflow", "list"], "").code, 0);
    let rotated = demo.prints(&["key", "rotate", id, "--grace", "0s"], "");
    assert_eq!(demo.with_token(rotated.trim(), &["workflow", "list"], "").code, 0);
    demo.with_token(secret, &["workflow", "list"], "").assert_failed(5, "unauthenticated");
    assert_eq!(demo.json("owner", &["key", "get", id])["name"], "deploy");
    assert_eq!(demo.json("owner", &["key", "list"])["items"].as_array().unwrap().len(), 6);
    demo.prints(&["key", "delete", id], "");

    let workspace = demo.seeded["workspace_id"].as_str().unwrap();
    assert_eq!(demo.json("owner", &["workspace", "rename", "lab"])["name"], "lab");
    assert_eq!(demo.json("owner", &["workspace", "create", "other"])["name"], "other");
    demo.run("owner", &["workspace", "delete", workspace], "").assert_failed(1, "workspace_in_use");
    let damaged = demo.run("owner", &["key", "get", "nix"], "");
    assert!(damaged.code == 1 && !damaged.err.contains("older"), "{damaged:?}");
}

#[test]
fn keeps_what_a_role_is_for_unless_it_is_said_anew() {
    let demo = Demo::new();
    let set = |more: &[&str]| {
        let set = ["role", "set", "deployer", "--permission", "workflow:read"];
        demo.json("owner", &[&set[..], more].concat())["description"].clone()
    };
    assert_eq!(set(&["--description", "deploys"]), "deploys");
    assert_eq!(set(&["--permission", "workflow:execute"]), "deploys");
    assert_eq!(set(&["--description", "reads"]), "reads");
    demo.run("owner", &["role", "set", "viewer", "--permission", "workflow:read"], "").assert_failed(1, "role_built_in");
}

#[test]
fn deletes_a_workspace_that_is_not_ones_home() {
    let (demo, home) = (Demo::new(), tempfile::tempdir().unwrap());
    let run = |arguments: &[&str], input: &str| demo.server.command(arguments).env("HOME", home.path()).input(input).run();
    let owner = demo.seeded["people"].as_array().unwrap().iter().find(|person| person["role"] == "owner").unwrap();
    let (email, password) = (owner["email"].as_str().unwrap(), owner["password"].as_str().unwrap());
    let logged_in = run(&["login", "--email", email], &format!("{password}\n"));
    assert_eq!(logged_in.code, 0, "{logged_in:?}");
    let made = run(&["workspace", "create", "other", "-o", "json"], "").json();
    let id = made["id"].as_str().unwrap();
    let deleted = run(&["workspace", "delete", id], "");
    assert_eq!(deleted.code, 0, "{deleted:?}");
    assert!(!run(&["workspace", "list"], "").out.contains(id));
}
