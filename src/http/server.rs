//! Accepts connections: a bounded number of them, with or without TLS, headers in time, and an orderly end.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use metrics::{Gauge, gauge};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    extract::{ClientAddress, OverTls},
    forwarded::{Proxies, is_over_tls},
    stall::{StallLimited, Talk},
    stream::Stopping,
    tls::Tls,
};

/// Time that a client has to agree on the encryption.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Time that the head of a request may take to arrive; an idle connection is closed after it, too.
const HEAD_MAX: Duration = Duration::from_secs(75);
/// How long a client may take nothing of its answer.
const STALL_MAX: Duration = Duration::from_secs(30);
/// How long a server that stops waits for the rest of a head.
const HEAD_GRACE: Duration = Duration::from_secs(1);
/// Bytes of a connection's buffer: the head of a request has to fit. Twice what `envelope` lets pass, so that almost every head
/// that is too large is told so by a problem.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept: the process is out of file descriptors, and one may become free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the server listens.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Tls>,
    proxies: Proxies,
}

impl Listener {
    /// Plain HTTP without `tls`; `proxies` are believed what they say about their clients.
    pub fn new(tcp: TcpListener, tls: Option<Tls>, proxies: Proxies) -> Self {
        Self { tcp, tls, proxies }
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self::new(tcp, None, Proxies::default())
    }
}

/// The other end of a connection.
#[derive(Debug, Clone)]
struct Peer {
    address: IpAddr,
    is_over_tls: bool,
    /// Those that are believed, if this is one of them.
    proxies: Option<Proxies>,
}

impl Peer {
    fn new(address: IpAddr, proxies: &Proxies) -> Self {
        Self { address, is_over_tls: false, proxies: proxies.trusts(address).then(|| proxies.clone()) }
    }

    /// Notes on a request where it comes from.
    fn mark(&self, request: &mut Request) {
        let of_client = self
            .proxies
            .as_ref()
            .map(|proxies| (proxies.client_of(self.address, request.headers()), is_over_tls(request.headers())));
        let (address, is_over_tls) = of_client.unwrap_or((self.address, false));
        request.extensions_mut().insert(ClientAddress(address));
        if self.is_over_tls || is_over_tls {
            request.extensions_mut().insert(OverTls);
        }
    }
}

/// Serves until `stop` is cancelled; then finishes the requests that run, and returns when the last connection is closed.
/// Dropping the future cuts them off.
pub async fn serve(listener: impl Into<Listener>, router: Router, connections_max: usize, stop: CancellationToken) {
    let Listener { tcp: listener, tls, proxies } = listener.into();
    let slots = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        // Ended connections are taken out here, so that the set stays as small as the number of open ones.
        while connections.try_join_next().is_some() {}
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => match accepted {
                Ok((stream, address, permit)) => {
                    let peer = Peer::new(address.ip(), &proxies);
                    connections.spawn(welcome(stream, peer, tls.clone(), router.clone(), stop.clone(), permit));
                }
                Err(error) => pause_after(&error).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits for a free slot and then for a connection.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, address, permit))
}

/// A connection that the client gave up while it was accepted is nothing; anything else is worth a line and a pause.
async fn pause_after(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::InvalidInput) {
        return;
    }
    tracing::warn!(cause = %error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Serves one connection, behind a handshake where there is a certificate.
async fn welcome(
    stream: TcpStream,
    peer: Peer,
    tls: Option<Tls>,
    router: Router,
    stop: CancellationToken,
    permit: OwnedSemaphorePermit,
) {
    let Some(tls) = tls else {
        return serve_connection(stream, peer, router, stop, permit).await;
    };
    let shaken = tokio::select! {
        shaken = shake_hands(&tls, stream) => shaken,
        () = stop.cancelled() => None,
    };
    if let Some(stream) = shaken {
        serve_connection(stream, Peer { is_over_tls: true, ..peer }, router, stop, permit).await;
    }
}

/// Agrees on the encryption with a client; `None` if it does not, or takes too long.
async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(tls: &Tls, stream: S) -> Option<TlsStream<S>> {
    match tokio::time::timeout(HANDSHAKE_MAX, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(cause = %error, "a client does not agree on the encryption");
            None
        }
        Err(_) => {
            tracing::debug!("a client did not finish its handshake in time");
            None
        }
    }
}

/// Serves one connection to its end; after `stop` to the end of the request that runs.
async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    router: Router,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    let _open = Open::new();
    let stopping = Stopping(stop.clone());
    let talk = Arc::new(Talk::default());
    let (beginning, answering) = (Arc::clone(&talk), Arc::clone(&talk));
    let service = router.map_request(move |request: Request<Incoming>| {
        beginning.request_began();
        let mut request = request.map(Body::new);
        peer.mark(&mut request);
        request.extensions_mut().insert(stopping.clone());
        request
    });
    let service = service.map_response(move |response| {
        answering.request_answered();
        response
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(
            TokioIo::new(StallLimited::new(stream, STALL_MAX, Arc::clone(&talk))),
            TowerToHyperService::new(service),
        )
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = unfinished_head(&talk) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(cause = %error, "a connection ended early");
    }
}

/// Answers when the client still has not sent the rest of a head, as long as it had time for it.
async fn unfinished_head(talk: &Talk) {
    loop {
        tokio::time::sleep(HEAD_GRACE).await;
        if talk.is_in_head() {
            return;
        }
    }
}

/// Counts as an open connection until it is dropped.
struct Open(Gauge);

impl Open {
    fn new() -> Self {
        let gauge = gauge!("citadel_http_connections");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const DEADLINE: Duration = Duration::from_secs(10);

    async fn start(connections_max: usize, delay: Duration) -> (SocketAddr, CancellationToken, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = move |client: ClientAddress| async move {
            tokio::time::sleep(delay).await;
            client.0.to_string()
        };
        let (stop, mut server) = (CancellationToken::new(), JoinSet::new());
        server.spawn(serve(listener, Router::new().route("/", get(handler)), connections_max, stop.clone()));
        (address, stop, server)
    }

    async fn ask(address: SocketAddr) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = vec![0; 1_000];
        let size = stream.read(&mut answer).await.unwrap();
        (stream, String::from_utf8_lossy(&answer[..size]).into_owned())
    }

    #[tokio::test]
    async fn finishes_the_running_request_before_it_ends() {
        let (address, stop, mut server) = start(10, Duration::from_millis(200)).await;
        let asked = ask(address);
        tokio::pin!(asked);
        tokio::select! {
            _ = &mut asked => panic!("the request takes longer"),
            () = tokio::time::sleep(Duration::from_millis(50)) => stop.cancel(),
        }
        let (_, answer) = tokio::time::timeout(DEADLINE, asked).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("127.0.0.1"), "{answer}");
        tokio::time::timeout(DEADLINE, server.join_next()).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_head_without_an_end_does_not_hold_up_the_stop() {
        let (near, mut far) = tokio::io::duplex(8);
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (stop, mut server) = (CancellationToken::new(), JoinSet::new());
        let peer = Peer::new("192.0.2.1".parse().unwrap(), &Proxies::default());
        server.spawn(serve_connection(near, peer, Router::new(), stop.clone(), permit));
        // Most of it has been read when this returns.
        far.write_all(format!("GET /{}", "x".repeat(100)).as_bytes()).await.unwrap();
        stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, server.join_next()).await;
        ended.expect("the client is not waited for").unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn handshake_limit_violated() {
        let fixture = |name: &str| std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name);
        let tls = Tls::load(fixture("first.pem"), fixture("first.key")).unwrap();
        let (near, _far) = tokio::io::duplex(64);
        let began = tokio::time::Instant::now();
        assert!(shake_hands(&tls, near).await.is_none());
        assert_eq!(began.elapsed(), HANDSHAKE_MAX);
    }

    #[tokio::test]
    async fn connections_limit_obeyed_and_violated() {
        let (address, _stop, _server) = start(1, Duration::ZERO).await;
        let (first, _) = tokio::time::timeout(DEADLINE, ask(address)).await.unwrap();
        let second = ask(address);
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut second).await.is_err(), "there is one slot only");
        drop(first);
        assert!(tokio::time::timeout(DEADLINE, second).await.unwrap().1.starts_with("HTTP/1.1 200 OK"));
    }
}
