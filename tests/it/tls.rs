//! The real binary behind a certificate: HTTPS, a new certificate without a restart, and clients that do not come to the point.

use std::path::PathBuf;

use reqwest::{Certificate, Client, tls::TlsInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{ServerProcess, citadel, command, eventually};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

/// A certificate and its key where a test may replace them.
struct Pair(tempfile::TempDir);

impl Pair {
    fn of(name: &str) -> Self {
        let pair = Self(tempfile::tempdir().unwrap());
        pair.put(name);
        pair
    }

    fn put(&self, name: &str) {
        std::fs::copy(fixture(&format!("{name}.pem")), self.path("cert")).unwrap();
        std::fs::copy(fixture(&format!("{name}.key")), self.path("key")).unwrap();
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn serve(&self) -> ServerProcess {
        let (cert, key) = (self.path("cert"), self.path("key"));
        ServerProcess::start_with(&[
            ("CITADEL__HTTP__TLS__CERT", cert.to_str().unwrap()),
            ("CITADEL__HTTP__TLS__KEY", key.to_str().unwrap()),
            ("CITADEL__LOG__FILTER", "info"),
        ])
    }
}

fn address(server: &ServerProcess) -> &str {
    server.url().strip_prefix("http://").unwrap()
}

/// Opens a connection of its own and asks; answers the status, whether the client is told to stay with TLS, and the certificate.
async fn ask(server: &ServerProcess) -> (u16, bool, Vec<u8>) {
    // The provider is chosen once per process; a second choice is refused, which is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Certificate::from_pem(&std::fs::read(fixture("ca.pem")).unwrap()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([authority]).tls_info(true).build().unwrap();
    let answer = client.get(format!("https://{}/readyz", address(server))).send().await.unwrap();
    let info = answer.extensions().get::<TlsInfo>().unwrap();
    let certificate = info.peer_certificate().unwrap().to_vec();
    (answer.status().as_u16(), answer.headers().contains_key("strict-transport-security"), certificate)
}

#[tokio::test]
async fn serves_https_and_takes_a_new_certificate_over_when_asked() {
    let pair = Pair::of("first");
    let server = pair.serve();
    eventually("the scheme is announced", async || server.printed().contains("https://").then_some(())).await;
    let (status, stays, first) = ask(&server).await;
    assert_eq!((status, stays), (200, true));

    pair.put("second");
    server.signal("-HUP");
    eventually("the new certificate is shown", async || (ask(&server).await.2 != first).then_some(())).await;
    std::fs::write(pair.path("key"), "broken").unwrap();
    server.signal("-HUP");
    eventually("the mistake is logged", async || server.log().contains("certificate not replaced").then_some(())).await;
    assert_eq!(ask(&server).await.0, 200);
}

#[tokio::test]
async fn clients_that_do_not_shake_hands_hold_up_nobody() {
    let pair = Pair::of("first");
    let mut server = pair.serve();
    let _silent = tokio::net::TcpStream::connect(address(&server)).await.unwrap();
    let mut plain = tokio::net::TcpStream::connect(address(&server)).await.unwrap();
    plain.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert of TLS, or nothing at all; in any case the end.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is said in the clear");
    assert_eq!(ask(&server).await.0, 200);
    server.terminate();
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn the_health_check_of_a_container_works_with_any_certificate() {
    let pair = Pair::of("first");
    let server = pair.serve();
    let check = command(&["healthcheck"])
        .env("CITADEL__HTTP__LISTEN", address(&server))
        .env("CITADEL__HTTP__TLS__CERT", pair.path("cert"))
        .env("CITADEL__HTTP__TLS__KEY", pair.path("key"))
        .run();
    assert_eq!((check.code, check.out.as_str()), (0, "ready\n"), "{check:?}");
    let url = format!("https://{}", address(&server));
    let strict = command(&["healthcheck", "--url", &url]).run();
    assert_eq!(strict.code, 1, "nobody here knows the authority: {strict:?}");
}

#[test]
fn does_not_start_with_half_a_certificate() {
    let pair = Pair::of("first");
    let serve = |key: Option<PathBuf>| {
        let mut command = citadel();
        command.args(["serve", "--random-ports", "--data-dir"]).arg(pair.path("data"));
        command.env("CITADEL__HTTP__TLS__CERT", pair.path("cert")).envs(key.map(|key| ("CITADEL__HTTP__TLS__KEY", key)));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = serve(None);
    assert!(code == Some(2) && text.contains("http.tls.cert and http.tls.key need each other"), "{text}");
    let (code, text) = serve(Some(fixture("second.key")));
    assert!(code == Some(1) && text.contains("cannot serve HTTPS (http.tls)"), "{text}");
}
