//! The client against real servers on the loopback interface.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::Path,
    http::HeaderMap as AxumHeaders,
    response::{IntoResponse, Redirect},
    routing::{any, get},
};

use super::{
    header::{HeaderMap, HeaderValue},
    testing::{FakeLookup, TestServer, client},
    *,
};

fn get_request(url: &str) -> EgressRequest {
    EgressRequest {
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        timeout: Duration::from_secs(5),
        follow_redirects: true,
    }
}

async fn body_of(client: &EgressClient, url: &str) -> Result<String, EgressError> {
    let response = client.send(get_request(url)).await?;
    Ok(String::from_utf8(response.read(1_000).await?.to_vec()).unwrap())
}

fn denied_reason(result: Result<String, EgressError>) -> String {
    match result {
        Err(EgressError::Denied(denied)) => denied.reason().to_owned(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

#[tokio::test]
async fn reaches_loopback_only_when_allowed() {
    let server = TestServer::start(hello()).await;
    assert_eq!(body_of(&client(&["127.0.0.0/8"]), &server.url("/")).await.unwrap(), "hello");
    assert_eq!(denied_reason(body_of(&client(&[]), &server.url("/")).await), "loopback");
    let by_name = format!("http://localhost:{}/", server.address.port());
    assert_eq!(body_of(&client(&["localhost"]), &by_name).await.unwrap(), "hello");
    assert_eq!(denied_reason(body_of(&client(&[]), &by_name).await), "loopback");
}

#[tokio::test]
async fn sees_through_other_spellings_of_an_address() {
    for url in ["http://2130706433/", "http://0x7f.1/", "http://[::ffff:127.0.0.1]/", "http://[::1]/", "http://127.1/"] {
        denied_reason(body_of(&client(&["*"]), url).await);
    }
}

#[tokio::test]
async fn refuses_other_schemes() {
    assert_eq!(denied_reason(body_of(&client(&["*"]), "ftp://a.test/").await), "scheme");
}

#[tokio::test]
async fn a_rebinding_name_never_reaches_a_blocked_address() {
    let server = TestServer::start(hello()).await;
    let lookup = FakeLookup::new("rebind.test", &[&["192.0.2.1"], &["127.0.0.1"]]);
    let policy = Arc::new(EgressPolicy::new(&["192.0.2.1"], &[]).unwrap());
    let client = EgressClient::with_lookup(policy, lookup).unwrap();
    // The first answer passes the check, the second one is what a later connection would get.
    assert_eq!(client.resolve("rebind.test", 80).await.unwrap(), ["192.0.2.1:80".parse().unwrap()]);
    let url = format!("http://rebind.test:{}/", server.address.port());
    assert_eq!(denied_reason(body_of(&client, &url).await), "loopback");
}

#[tokio::test]
async fn keeps_the_allowed_answers_and_drops_the_others() {
    let server = TestServer::start(hello()).await;
    let lookup = FakeLookup::new("mixed.test", &[&["10.0.0.1", "127.0.0.1", "::1"]]);
    let policy = Arc::new(EgressPolicy::new(&["127.0.0.1"], &[]).unwrap());
    let client = EgressClient::with_lookup(policy, lookup).unwrap();
    assert_eq!(client.resolve("mixed.test", 7).await.unwrap(), ["127.0.0.1:7".parse().unwrap()]);
    let url = format!("http://mixed.test:{}/", server.address.port());
    assert_eq!(body_of(&client, &url).await.unwrap(), "hello");
}

#[tokio::test]
async fn resolves_for_other_protocols_under_the_same_policy() {
    assert!(matches!(client(&[]).resolve("127.0.0.1", 5432).await, Err(EgressError::Denied(_))));
    assert!(matches!(client(&[]).resolve("localhost", 5432).await, Err(EgressError::Denied(_))));
    assert_eq!(client(&["::1"]).resolve("::1", 5432).await.unwrap(), ["[::1]:5432".parse().unwrap()]);
}

#[tokio::test]
async fn checks_each_redirect() {
    let inner = TestServer::start(hello()).await;
    let target = format!("http://localhost:{}/", inner.address.port());
    let router = Router::new()
        .route("/blocked", get(async || Redirect::temporary("http://169.254.169.254/latest/meta-data")))
        .route("/by-name", get(async move || Redirect::temporary(&target)))
        .route("/ok", get(async || Redirect::temporary("/end")))
        .route("/end", get(async || "end"));
    let server = TestServer::start(router).await;
    let client = client(&["127.0.0.1"]);
    assert_eq!(denied_reason(body_of(&client, &server.url("/blocked")).await), "cloud metadata");
    // The name resolves to an allowed address, so it is allowed; were it not, the resolver would refuse it.
    assert_eq!(body_of(&client, &server.url("/by-name")).await.unwrap(), "hello");
    assert_eq!(body_of(&client, &server.url("/ok")).await.unwrap(), "end");
    let stay = EgressRequest { follow_redirects: false, ..get_request(&server.url("/ok")) };
    assert_eq!(client.send(stay).await.unwrap().status(), StatusCode::TEMPORARY_REDIRECT);
}

#[tokio::test]
async fn follows_five_redirects_and_not_six() {
    async fn down(Path(left): Path<u32>) -> axum::response::Response {
        if left == 0 { "arrived".into_response() } else { Redirect::temporary(&format!("/{}", left - 1)).into_response() }
    }
    let server = TestServer::start(Router::new().route("/{left}", get(down))).await;
    let client = client(&["127.0.0.1"]);
    assert_eq!(body_of(&client, &server.url("/5")).await.unwrap(), "arrived");
    assert!(matches!(body_of(&client, &server.url("/6")).await, Err(EgressError::TooManyRedirects)));
}

#[tokio::test]
async fn drops_credentials_across_origins() {
    async fn echo(headers: AxumHeaders) -> String {
        let seen = ["authorization", "cookie", "x-api-key", "accept-language"].map(|name| headers.contains_key(name));
        format!("{seen:?}")
    }
    let other = TestServer::start(Router::new().route("/", any(echo))).await;
    let target = other.url("/");
    let router = Router::new()
        .route("/here", get(async || Redirect::temporary("/echo")))
        .route("/away", get(async move || Redirect::temporary(&target)))
        .route("/echo", any(echo));
    let server = TestServer::start(router).await;
    let client = client(&["127.0.0.1"]);
    let send = async |path: &str| {
        let mut request = get_request(&server.url(path));
        for name in ["authorization", "cookie", "x-api-key", "accept-language"] {
            let mut value = HeaderValue::from_static("v");
            value.set_sensitive(name == "x-api-key");
            request.headers.insert(name, value);
        }
        client.send(request).await.unwrap().read(100).await.unwrap()
    };
    assert_eq!(send("/here").await, "[true, true, true, true]");
    assert_eq!(send("/away").await, "[false, false, false, true]");
}

#[tokio::test]
async fn body_limit_obeyed_and_violated() {
    let server = TestServer::start(Router::new().route("/", get(async || "x".repeat(100)))).await;
    let client = client(&["127.0.0.1"]);
    let read = async |limit| client.send(get_request(&server.url("/"))).await.unwrap().read(limit).await;
    assert_eq!(read(100).await.unwrap().len(), 100);
    assert!(matches!(read(99).await, Err(EgressError::BodyTooLarge { limit_bytes: 99 })));
}

#[tokio::test]
async fn timeout_covers_headers_and_body() {
    let slow = get(async || {
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
    let trickle = get(async || {
        let chunks = futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, std::convert::Infallible>("x"), ()))
        });
        axum::body::Body::from_stream(chunks)
    });
    let server = TestServer::start(Router::new().route("/slow", slow).route("/trickle", trickle)).await;
    let client = client(&["127.0.0.1"]);
    for path in ["/slow", "/trickle"] {
        let request = EgressRequest { timeout: Duration::from_millis(200), ..get_request(&server.url(path)) };
        let result = async { client.send(request).await?.read(1_000_000).await }.await;
        assert!(matches!(result, Err(EgressError::Timeout(_))), "{path}: {result:?}");
    }
}

#[tokio::test]
async fn reports_a_refused_connection_without_the_query() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = body_of(&client(&["127.0.0.1"]), &format!("http://{unused}/?token=secret")).await.unwrap_err();
    assert!(matches!(error, EgressError::Connect { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn reuses_connections() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let lookup = FakeLookup::new("pooled.test", &[&["127.0.0.1"]]);
    let server = TestServer::start(hello()).await;
    struct Counting(Arc<FakeLookup>, Arc<AtomicUsize>);
    #[async_trait::async_trait]
    impl Lookup for Counting {
        async fn lookup(&self, host: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.lookup(host).await
        }
    }
    let policy = Arc::new(EgressPolicy::new(&["127.0.0.1"], &[]).unwrap());
    let client = EgressClient::with_lookup(policy, Arc::new(Counting(lookup, counter))).unwrap();
    let url = format!("http://pooled.test:{}/", server.address.port());
    for _ in 0..3 {
        body_of(&client, &url).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "one resolution means one connection");
}
