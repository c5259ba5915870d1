//! Logins at an OpenID provider: a real one in a process of its own, and a browser that does what it is told.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use citadel::{
    config::{Config, OidcConfig, Secret},
    model::ids::WorkspaceId,
};
use reqwest::{Method, Response, Url, header::SET_COOKIE};
use serde_json::json;

use crate::support::{TestApp, client::send};

/// Where the provider sends browsers back to: nobody listens there, so that the test sees what they bring.
const BASE: &str = "http://127.0.0.1:1";
const SECRET: &str = "a secret of the client: with / and %";

/// A provider. It is killed when it is dropped.
struct Provider {
    child: Child,
    issuer: String,
    /// Kept open: the provider writes notices there, and would die of a closed pipe.
    _output: BufReader<ChildStdout>,
}

impl Provider {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/oidc-provider.sh");
        let callback = format!("{BASE}/api/v1/auth/oidc/corp/callback");
        let mut child = Command::new(script).arg(callback).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut issuer = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut issuer).unwrap();
        assert!(!issuer.is_empty(), "the provider did not start: {:?}", child.wait_with_output());
        Self { child, issuer: issuer.trim().to_owned(), _output: output }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(issuer: &str) -> OidcConfig {
    OidcConfig {
        issuer: issuer.to_owned(),
        client_id: "citadel".to_owned(),
        client_secret: Some(Secret::new(SECRET.to_owned())),
        label: Some("Corp".to_owned()),
        scopes: vec!["email".to_owned(), "profile".to_owned()],
        groups_claim: "groups".to_owned(),
        roles: BTreeMap::from([("builders".to_owned(), "editor".to_owned()), ("everybody".to_owned(), "viewer".to_owned())]),
        default_role: None,
    }
}

fn with_provider(config: &mut Config, settings: OidcConfig) {
    config.http.public_url = Some(BASE.to_owned());
    config.auth.oidc.insert("corp".to_owned(), settings);
}

/// A browser: it keeps cookies and follows no redirect by itself.
struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, cookies: BTreeMap::new() }
    }

    async fn go(&mut self, method: Method, url: &str, form: Option<&str>) -> Response {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.http.request(method, url).header("cookie", cookies.join("; "));
        if let Some(form) = form {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        }
        let response = request.send().await.unwrap();
        for set in response.headers().get_all(SET_COOKIE) {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name)
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned())
            };
        }
        response
    }

    /// The address that an answer leads to.
    #[track_caller]
    fn next(response: &Response) -> String {
        assert_eq!(response.status(), 303, "{response:?}");
        let location = response.headers()["location"].to_str().unwrap();
        response.url().join(location).unwrap().into()
    }

    /// Logs in at the provider as somebody; answers where that leads back to, with the code.
    async fn log_in(&mut self, app: &TestApp, who: &str) -> Url {
        let base = format!("http://{}", app.client.address());
        let start = self.go(Method::GET, &format!("{base}/api/v1/auth/oidc/corp/start?return_to=/workflows"), None).await;
        let asked = self.go(Method::GET, &Self::next(&start), None).await;
        let form = format!("prompt=login&login={who}&password=x");
        let answered = self.go(Method::POST, &Self::next(&asked), Some(&form)).await;
        let back = self.go(Method::GET, &Self::next(&answered), None).await;
        let back = Url::parse(&Self::next(&back)).unwrap();
        assert!(back.as_str().starts_with(BASE), "{back}");
        back
    }

    /// Comes back to the app.
    async fn come_back(&mut self, app: &TestApp, back: &Url) -> Response {
        let url = format!("http://{}{}?{}", app.client.address(), back.path(), back.query().unwrap_or_default());
        self.go(Method::GET, &url, None).await
    }

    /// What the app answers to whoever has the cookies of this browser.
    async fn me(&self, app: &TestApp) -> crate::support::Answer {
        let session = self.cookies.get("citadel_session").map(String::as_str).unwrap_or_default();
        let request = app.client.anonymous().request(Method::GET, "/auth/me");
        send(request.header("cookie", format!("citadel_session={session}"))).await
    }
}

#[tokio::test]
async fn somebody_of_the_provider_gets_an_account_and_the_role_of_their_groups() {
    let provider = Provider::start();
    let app = TestApp::start_with(|config| with_provider(config, settings(&provider.issuer))).await;
    let listed = app.client.anonymous().get("/auth/oidc").await.body;
    assert_eq!(listed["items"], json!([{ "name": "corp", "label": "Corp", "href": "/api/v1/auth/oidc/corp/start" }]));

    let mut browser = Browser::new();
    let back = browser.log_in(&app, "ada").await;
    let done = browser.come_back(&app, &back).await;
    assert_eq!(Browser::next(&done), format!("http://{}/workflows", app.client.address()));
    let me = browser.me(&app).await.body;
    assert_eq!(
        (&me["user"]["email"], &me["user"]["name"], &me["role"]),
        (&json!("ada@example.org"), &json!("Ada Lovelace"), &json!("editor"))
    );
    // What came back is good once.
    let again = Browser { cookies: browser.cookies.clone(), ..Browser::new() }.come_back(&app, &back).await;
    assert_eq!(again.status(), 401);

    // The groups decide at every login, and it is the same account.
    let store = &app.running().store;
    let user = store.find_user_by_email("ada@example.org").await.unwrap().unwrap();
    let owner = citadel::store::RoleGrant { name: "viewer".to_owned(), is_custom: false };
    store.set_member_role(WorkspaceId::DEFAULT, user.id, &owner).await.unwrap();
    let mut other = Browser::new();
    let back = other.log_in(&app, "ada").await;
    assert_eq!(other.come_back(&app, &back).await.status(), 303);
    let me = other.me(&app).await.body;
    assert_eq!((&me["user"]["id"], &me["role"]), (&json!(user.id), &json!("editor")));
    app.stop().await;
}

#[tokio::test]
async fn nobody_is_let_in_without_a_group_or_by_an_address_that_is_not_verified() {
    let provider = Provider::start();
    let app = TestApp::start_with(|config| with_provider(config, settings(&provider.issuer))).await;
    let ada = app.person("ada", "owner").await;
    for who in ["grace", "mallory"] {
        let mut browser = Browser::new();
        let back = browser.log_in(&app, who).await;
        assert_eq!(browser.come_back(&app, &back).await.status(), 401, "{who}");
        browser.me(&app).await.assert_problem(401, "unauthenticated");
    }
    assert!(app.running().store.find_user_by_email("grace@example.org").await.unwrap().is_none());
    // Whoever has an account and is not let in loses nothing.
    let grace = app.person("grace", "viewer").await;
    app.log_in_as(grace.user).await;
    let mut browser = Browser::new();
    let back = browser.log_in(&app, "grace").await;
    assert_eq!(browser.come_back(&app, &back).await.status(), 401);
    assert_eq!(grace.client.get("/auth/me").await.status, 200);
    assert!(!app.running().store.find_user(grace.user).await.unwrap().unwrap().password_hash.is_empty());
    // Who has the address keeps the account; the last owner stays one, whatever the groups say.
    let mut browser = Browser::new();
    let back = browser.log_in(&app, "ada").await;
    assert_eq!(browser.come_back(&app, &back).await.status(), 303);
    let me = browser.me(&app).await.body;
    assert_eq!((&me["user"]["id"], &me["role"]), (&json!(ada.user), &json!("owner")));
    // Whoever made the account may have known its password and its keys: they are worth nothing from now on.
    ada.client.get("/auth/me").await.assert_problem(401, "unauthenticated");
    let stored = app.running().store.find_user_by_email("ada@example.org").await.unwrap().unwrap();
    assert_eq!(stored.password_hash, "");
    app.stop().await;
}

#[tokio::test]
async fn a_login_that_did_not_begin_in_this_browser_is_refused() {
    let provider = Provider::start();
    let app = TestApp::start_with(|config| with_provider(config, settings(&provider.issuer))).await;
    let mut browser = Browser::new();
    let back = browser.log_in(&app, "ada").await;
    // Somebody else's browser, and this one with another state, issuer or error.
    assert_eq!(Browser::new().come_back(&app, &back).await.status(), 401);
    let changed = |from: &str, to: &str| Url::parse(&back.as_str().replace(from, to)).unwrap();
    for other in
        [changed("state=", "state=x"), changed("iss=", "iss=http://evil.example"), changed("code=", "error=access_denied&old=")]
    {
        let mut copy = Browser { cookies: browser.cookies.clone(), ..Browser::new() };
        assert_eq!(copy.come_back(&app, &other).await.status(), 401, "{other}");
    }
    assert_eq!(browser.come_back(&app, &back).await.status(), 303);
    let elsewhere = format!("http://{}/api/v1/auth/oidc/corp/start?return_to=//evil.example", app.client.address());
    assert_eq!(browser.go(Method::GET, &elsewhere, None).await.status(), 400);
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_and_a_wrong_name_of_the_provider_let_nobody_in() {
    let provider = Provider::start();
    let app = TestApp::start_with(|config| {
        with_provider(config, OidcConfig { client_secret: Some(Secret::new("wrong".to_owned())), ..settings(&provider.issuer) });
    })
    .await;
    let mut browser = Browser::new();
    let back = browser.log_in(&app, "ada").await;
    assert_eq!(browser.come_back(&app, &back).await.status(), 401);
    app.stop().await;

    // The provider says that it is somebody else.
    let other = provider.issuer.replace("127.0.0.1", "localhost");
    let app = TestApp::start_with(|config| {
        config.egress.allow.push("localhost".to_owned());
        with_provider(config, settings(&other));
    })
    .await;
    app.client.anonymous().get("/auth/oidc/corp/start").await.assert_problem(502, "login_provider_failed");
    app.stop().await;
}
