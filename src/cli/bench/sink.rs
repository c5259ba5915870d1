//! The server that the effects of `effects-3` call: one thread of this process that answers everything with 200 and counts. What
//! it costs is in the generator's share, not in the server's.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinSet, LocalSet},
};
use tokio_util::sync::CancellationToken;

use super::message::measure;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"stored\":true}";
/// Bytes of one request.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A running sink; it stops when it is dropped.
pub(super) struct Sink {
    address: SocketAddr,
    calls: Arc<AtomicU64>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts one on a free port of the loopback address.
    ///
    /// Errors: there is no port or no thread.
    pub(super) fn start() -> io::Result<Self> {
        let listener = StdTcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (calls, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let serving = serve(listener, Arc::clone(&calls), stop.clone());
        let thread = thread::Builder::new().name("sink".to_owned()).spawn(move || {
            if let Err(error) = LocalSet::new().block_on(&runtime, serving) {
                tracing::error!(cause = %error, "the sink ended early");
            }
        })?;
        Ok(Self { address, calls, stop, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests that were answered so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.cancel();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the sink panicked");
        }
    }
}

async fn serve(listener: StdTcpListener, calls: Arc<AtomicU64>, stop: CancellationToken) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => {
                connections.spawn_local(serve_connection(accepted?.0, Arc::clone(&calls)));
            }
        }
    }
}

async fn serve_connection(mut stream: TcpStream, calls: Arc<AtomicU64>) {
    if let Err(error) = answer_all(&mut stream, &calls).await {
        tracing::debug!(cause = %error, "a connection to the sink ended early");
    }
}

/// Answers one request after the other, until the caller closes the connection.
async fn answer_all(stream: &mut TcpStream, calls: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4 * 1024);
    loop {
        match measure(&buffer).map_err(io::Error::other)? {
            Some(extent) if buffer.len() >= extent.total() => {
                // Counted first: who has the answer may ask for the count.
                calls.fetch_add(1, Ordering::Relaxed);
                stream.write_all(ANSWER).await?;
                buffer.drain(..extent.total());
            }
            Some(_) | None if buffer.len() > REQUEST_BYTES_MAX => return Err(io::ErrorKind::FileTooLarge.into()),
            Some(_) | None => {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
        }
    }
}
