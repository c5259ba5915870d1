//! Tests of the service: what it keeps, what it hands out, grants and master keys, against the store in memory.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, AtomicUsize},
};

use axum::{Router, extract::State, routing::post};
use serde_json::json;

use super::{master_keys::open_keyring, *};
use crate::{
    auth::egress::testing::{TestServer, client},
    store::{
        faulty::{Fault, FaultyStore},
        memory::MemoryStore,
    },
};

const HERE: WorkspaceId = WorkspaceId::DEFAULT;
const OLD: &str = "an-old-master-key-of-40-characters-00000";
const NEW: &str = "a-new-master-key-of-40-characters-000000";

async fn handle_on(store: Arc<dyn Store>, keys: &str) -> CredentialsHandle {
    let file = std::path::Path::new("/nonexistent/master.key");
    let keys = Arc::new(open_keyring(&store, Some(keys), file).await.unwrap());
    let alerting = Credential {
        kind: "http_bearer".to_owned(),
        fields: BTreeMap::from([("token".to_owned(), "of the operator".to_owned().into())]),
    };
    let operator = OperatorCredentials::new(BTreeMap::from([("alerting".to_owned(), alerting)]));
    CredentialsHandle::new(CredentialsParts { store, keys, operator, egress: client(&["127.0.0.1"]) })
}

async fn handle() -> CredentialsHandle {
    handle_on(Arc::new(MemoryStore::new()), NEW).await
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("it is an object") };
    map
}

fn draft(name: &str, kind: &str, fields: Value) -> CredentialDraft {
    CredentialDraft { name: name.to_owned(), kind: kind.to_owned(), description: None, fields: map(fields) }
}

async fn create(handle: &CredentialsHandle, name: &str, kind: &str, fields: Value) -> CredentialRow {
    match handle.create(HERE, draft(name, kind, fields), false).await.unwrap() {
        Created::New(row) | Created::Same(row) => row,
    }
}

async fn value(handle: &CredentialsHandle, name: &str, field: &str) -> std::result::Result<String, String> {
    let found = handle.get(HERE, name).await.map_err(|error| error.to_string())?;
    Ok(found.fields[field].to_string())
}

#[tokio::test]
async fn a_run_after_a_write_sees_it() {
    let handle = handle().await;
    assert_eq!(value(&handle, "alerting", "token").await.unwrap(), "of the operator");
    let row = create(&handle, "alerting", "http_bearer", json!({ "token": "first" })).await;
    assert_eq!(value(&handle, "alerting", "token").await.unwrap(), "first", "the workspace's own goes first");
    assert_eq!(row.fields.names, ["token"]);
    assert!(!row.fields.value.bytes.windows(5).any(|part| part == b"first"), "it is not stored as it is");
    handle.update((HERE, row.id), Some(1), Change::Keep, Some(&map(json!({ "token": "second" })))).await.unwrap();
    assert_eq!(value(&handle, "alerting", "token").await.unwrap(), "second");
    handle.update((HERE, row.id), None, Change::To(Some("described".to_owned())), None).await.unwrap();
    assert_eq!(value(&handle, "alerting", "token").await.unwrap(), "second", "the fields stay");
    handle.delete((HERE, row.id), Some(3), false).await.unwrap();
    assert_eq!(value(&handle, "alerting", "token").await.unwrap(), "of the operator");
    assert!(value(&handle, "alertin", "token").await.unwrap_err().contains("did you mean `alerting`?"));
}

#[tokio::test]
async fn keeps_what_it_read_for_a_moment_only() {
    let store = Arc::new(FaultyStore::new());
    let (here, elsewhere) = (handle_on(store.clone(), NEW).await, handle_on(store.clone(), NEW).await);
    let row = create(&here, "a", "http_bearer", json!({ "token": "first" })).await;
    assert_eq!(value(&here, "a", "token").await.unwrap(), "first");
    store.set("find_credential_by_name", Some(Fault::Unavailable));
    assert_eq!(value(&here, "a", "token").await.unwrap(), "first", "the store is not asked again");
    elsewhere.update((HERE, row.id), None, Change::Keep, Some(&map(json!({ "token": "second" })))).await.unwrap();
    store.set("find_credential_by_name", None);
    let deadline = Instant::now() + 10 * FRESH;
    while value(&here, "a", "token").await.unwrap() == "first" {
        assert!(Instant::now() < deadline, "a write on another node is never seen");
        tokio::time::sleep(FRESH / 10).await;
    }
}

#[tokio::test]
async fn a_store_that_is_away_fails_a_run_for_now() {
    let store = Arc::new(FaultyStore::new());
    let handle = handle_on(store.clone(), NEW).await;
    create(&handle, "a", "http_bearer", json!({ "token": "first" })).await;
    store.set("use_credential", Some(Fault::Unavailable));
    assert_eq!(value(&handle, "a", "token").await.unwrap(), "first", "a note of the use is not needed");
    store.set("find_credential_by_name", Some(Fault::Unavailable));
    let Err(error) = handle.get(HERE, "b").await else { panic!("there is no answer") };
    assert_eq!((&*error.code, error.retryable), (codes::CREDENTIAL, true));
}

#[tokio::test]
async fn a_row_cannot_stand_in_for_another() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let handle = handle_on(Arc::clone(&store), NEW).await;
    let (a, b) = (
        create(&handle, "a", "http_bearer", json!({ "token": "first" })).await,
        create(&handle, "b", "http_bearer", json!({ "token": "second" })).await,
    );
    let change = CredentialChange { description: None, fields: Some(a.fields.clone()), at: 1 };
    store.update_credential(HERE, b.id, 1, &change).await.unwrap();
    let error = value(&handle, "b", "token").await.unwrap_err();
    assert!(error.contains("damaged, or belongs to another row"), "{error}");
}

#[tokio::test]
async fn names_and_sizes_obey_and_violate_their_limits() {
    let handle = handle().await;
    let outcome = async |draft: CredentialDraft| match handle.create(HERE, draft, false).await {
        Ok(_) => "created".to_owned(),
        Err(CredentialError::Invalid(problems)) => problems[0].code.clone(),
        Err(error) => error.to_string(),
    };
    let named = |name: &str| draft(name, "http_bearer", json!({ "token": "t" }));
    assert_eq!(outcome(named(&"n".repeat(NAME_CHARS_MAX))).await, "created");
    for name in ["", " a", "a ", "a\nb", &"n".repeat(NAME_CHARS_MAX + 1)] {
        assert_eq!(outcome(named(name)).await, "invalid_name", "{name:?}");
    }
    let described = |length: usize| CredentialDraft { description: Some("d".repeat(length)), ..named("described") };
    assert_eq!(outcome(described(PROSE_CHARS_MAX + 1)).await, "too_long");
    assert_eq!(outcome(described(PROSE_CHARS_MAX)).await, "created");
    let sized = |length: usize| draft("sized", "http_bearer", json!({ "token": "t".repeat(length) }));
    assert!(outcome(sized(FIELDS_BYTES_MAX - 4)).await.contains("the limit is"));
    assert_eq!(outcome(sized(FIELDS_BYTES_MAX - 5)).await, "created");
    assert_eq!(outcome(draft("x", "http_barer", json!({}))).await, "unknown_type");
}

/// A service that grants tokens, and counts them. Its refresh tokens are good once.
#[derive(Clone, Default)]
struct Granting {
    requests: Arc<AtomicUsize>,
    /// How long its tokens live, in seconds.
    life_s: Arc<AtomicU32>,
    seen: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Granting {
    async fn start(&self) -> TestServer {
        let grant = async |State(granting): State<Granting>, body: String| {
            let number = granting.requests.fetch_add(1, Ordering::SeqCst) + 1;
            granting.seen.lock().unwrap().push(body.clone());
            // Long enough for two that ask at once to meet.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let refresh = body.split('&').find_map(|pair| pair.strip_prefix("refresh_token="));
            if refresh.is_some_and(|token| token != format!("refresh-{}", number - 1)) {
                return axum::Json(json!({ "error": "invalid_grant" }));
            }
            let life = granting.life_s.load(Ordering::SeqCst);
            let tokens = json!({ "access_token": format!("access-{number}"), "refresh_token": format!("refresh-{number}"), "expires_in": life });
            axum::Json(tokens)
        };
        TestServer::start(Router::new().route("/token", post(grant)).with_state(self.clone())).await
    }
}

fn client_fields(server: &TestServer) -> Value {
    json!({ "token_url": server.url("/token"), "client_id": "me", "client_secret": "s3cret" })
}

#[tokio::test]
async fn fetches_a_token_once_for_all_who_ask() {
    let granting = Granting::default();
    granting.life_s.store(3_600, Ordering::SeqCst);
    let server = granting.start().await;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (here, elsewhere) = (handle_on(Arc::clone(&store), NEW).await, handle_on(store, NEW).await);
    create(&here, "api", "oauth2_client_credentials", client_fields(&server)).await;
    let (first, second, third) = tokio::join!(
        value(&here, "api", "access_token"),
        value(&here, "api", "access_token"),
        value(&elsewhere, "api", "access_token")
    );
    assert_eq!([first, second, third].map(std::result::Result::unwrap), ["access-1", "access-1", "access-1"]);
    assert_eq!(granting.requests.load(Ordering::SeqCst), 1);
    let found = here.get(HERE, "api").await.unwrap();
    assert_eq!(found.fields.keys().collect::<Vec<_>>(), ["access_token"], "nodes do not see the client's secret");
}

#[tokio::test]
async fn renews_a_token_before_it_ends() {
    let granting = Granting::default();
    granting.life_s.store(10, Ordering::SeqCst);
    let server = granting.start().await;
    let handle = handle().await;
    create(&handle, "api", "oauth2_client_credentials", client_fields(&server)).await;
    assert_eq!(value(&handle, "api", "access_token").await.unwrap(), "access-1");
    assert_eq!(value(&handle, "api", "access_token").await.unwrap(), "access-2", "ten seconds are too few");
    granting.life_s.store(3_600, Ordering::SeqCst);
    assert_eq!(value(&handle, "api", "access_token").await.unwrap(), "access-3");
    assert_eq!(value(&handle, "api", "access_token").await.unwrap(), "access-3");
}

#[tokio::test]
async fn a_refusal_is_told_and_does_not_block_the_next_attempt() {
    let server = TestServer::start(Router::new().route("/token", post(async || axum::http::StatusCode::BAD_GATEWAY))).await;
    let handle = handle().await;
    let row = create(&handle, "api", "oauth2_client_credentials", client_fields(&server)).await;
    for _ in 0..2 {
        let Err(error) = handle.get(HERE, "api").await else { panic!("there is no token") };
        assert_eq!((&*error.code, error.retryable), (codes::CREDENTIAL, true));
        assert!(error.message.contains("status 502"), "{error}");
    }
    let fields = json!({ "token_url": "http://10.0.0.1/token", "client_id": "me", "client_secret": "s3cret" });
    handle.update((HERE, row.id), None, Change::Keep, Some(&map(fields))).await.unwrap();
    let Err(error) = handle.get(HERE, "api").await else { panic!("it may not be reached") };
    assert_eq!((&*error.code, error.retryable), (codes::EGRESS_DENIED, false));
}

/// What the service sends a person back with.
fn parameter(url: &str, name: &str) -> String {
    let url = crate::auth::egress::Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
}

#[tokio::test]
async fn a_person_agrees_once_and_the_token_is_renewed_from_then_on() {
    let granting = Granting::default();
    granting.life_s.store(10, Ordering::SeqCst);
    let server = granting.start().await;
    let handle = handle().await;
    let mut fields = client_fields(&server);
    fields["authorize_url"] = json!("https://id.test/authorize?x=1");
    fields["authorize_params"] = json!("prompt=consent");
    fields["scope"] = json!("read write");
    let row = create(&handle, "api", "oauth2_authorization_code", fields).await;
    assert!(value(&handle, "api", "access_token").await.unwrap_err().contains("nobody has authorized it"));
    let authorization = handle.authorize((HERE, row.id), "http://here/callback".to_owned()).await.unwrap();
    let url = &authorization.url;
    assert!(url.starts_with("https://id.test/authorize?x=1&prompt=consent&response_type=code&client_id=me&"), "{url}");
    assert_eq!((parameter(url, "scope"), parameter(url, "code_challenge_method")), ("read write".to_owned(), "S256".to_owned()));
    let state = parameter(url, "state");
    let wrong = handle.complete_authorization(&state[1..], "code").await.unwrap_err();
    assert!(matches!(wrong, CredentialError::UnknownAuthorization(_)), "{wrong}");
    handle.complete_authorization(&state, "the-code").await.unwrap();
    let verifier = granting.seen.lock().unwrap()[0].split("code_verifier=").nth(1).unwrap().to_owned();
    let challenge = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        <sha2::Sha256 as sha2::Digest>::digest(verifier.as_bytes()),
    );
    assert_eq!(parameter(url, "code_challenge"), challenge);
    let again = handle.complete_authorization(&state, "the-code").await.unwrap_err();
    assert!(matches!(again, CredentialError::UnknownAuthorization(_)), "a state is good once: {again}");
    // Each refresh token is good once, so two that renew at once would lose the grant.
    let (left, right) = tokio::join!(value(&handle, "api", "access_token"), value(&handle, "api", "access_token"));
    assert!(left.unwrap().starts_with("access-") && right.unwrap().starts_with("access-"));
    granting.life_s.store(3_600, Ordering::SeqCst);
    let renewed = value(&handle, "api", "access_token").await.unwrap();
    assert_eq!(value(&handle, "api", "access_token").await.unwrap(), renewed);
    let other = create(&handle, "b", "http_bearer", json!({ "token": "t" })).await;
    let refused = handle.authorize((HERE, other.id), String::new()).await.unwrap_err();
    assert!(matches!(refused, CredentialError::NoAuthorization { .. }), "{refused}");
}

#[tokio::test]
async fn an_aborted_caller_does_not_lose_the_token_that_it_asked_for() {
    let granting = Granting::default();
    granting.life_s.store(3_600, Ordering::SeqCst);
    let server = granting.start().await;
    let handle = handle().await;
    let row = create(&handle, "api", "oauth2_client_credentials", client_fields(&server)).await;
    let cut = tokio::time::timeout(Duration::from_millis(10), value(&handle, "api", "access_token")).await;
    assert!(cut.is_err(), "the service takes longer than that");
    let deadline = Instant::now() + Duration::from_secs(20);
    while handle.find(HERE, row.id).await.unwrap().grant.is_none() {
        assert!(Instant::now() < deadline, "the renewal was given up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(value(&handle, "api", "access_token").await.unwrap(), "access-1");
}

#[tokio::test]
async fn rotates_what_older_keys_have_sealed() {
    let granting = Granting::default();
    granting.life_s.store(3_600, Ordering::SeqCst);
    let server = granting.start().await;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let before = handle_on(Arc::clone(&store), OLD).await;
    create(&before, "a", "http_bearer", json!({ "token": "first" })).await;
    create(&before, "api", "oauth2_client_credentials", client_fields(&server)).await;
    value(&before, "api", "access_token").await.unwrap();

    let file = std::path::Path::new("/nonexistent/master.key");
    let Err(error) = open_keyring(&store, Some(NEW), file).await else { panic!("it could read nothing") };
    assert!(error.to_string().contains("does not have: set secrets.master_key"), "{error}");
    let Err(error) = open_keyring(&store, None, file).await else { panic!("a new key could read nothing") };
    assert!(error.to_string().contains("put the file /nonexistent/master.key back"), "{error}");

    let during = handle_on(Arc::clone(&store), &format!("{NEW} {OLD}")).await;
    assert_eq!(value(&during, "a", "token").await.unwrap(), "first");
    let keys = during.master_keys().await.unwrap();
    assert_eq!(keys.iter().map(|key| (key.is_current, key.in_use)).collect::<Vec<_>>(), [(true, true), (false, true)]);
    let rotated = during.rotate().await.unwrap();
    assert_eq!((rotated.resealed, rotated.skipped, rotated.is_done, rotated.retired), (3, 0, true, 1));
    assert_eq!(during.rotate().await.unwrap().resealed, 0);
    assert_eq!(value(&during, "a", "token").await.unwrap(), "first");

    let after = handle_on(Arc::clone(&store), NEW).await;
    assert_eq!(value(&after, "a", "token").await.unwrap(), "first");
    assert_eq!(value(&after, "api", "access_token").await.unwrap(), "access-1");
    let Err(error) = open_keyring(&store, Some(OLD), file).await else { panic!("the old key is out of use") };
    assert!(matches!(error, master_keys::MasterKeyError::Missing { .. }), "{error}");
}

#[tokio::test]
async fn the_first_start_makes_a_key_and_others_need_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("master.key");
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = open_keyring(&store, None, &file).await.unwrap().current();
    assert_eq!(open_keyring(&store, None, &file).await.unwrap().current(), first);
    std::fs::remove_file(&file).unwrap();
    let Err(error) = open_keyring(&store, None, &file).await else { panic!("the key is lost") };
    assert!(error.to_string().contains(&first.to_string()), "{error}");
    assert!(!file.exists(), "no new key takes its place");
}
