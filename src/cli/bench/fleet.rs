//! The load: clients with one connection each, in a closed loop, on as few threads as will do. The generator shares the cores
//! with the server that it measures, so each thread has a runtime of its own: no work is passed between threads.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpStream as StdTcpStream},
    num::NonZeroUsize,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    task::{JoinSet, LocalSet},
};

use super::{connection::Connection, histogram::Histogram};

/// Cores per thread of the generator: the others are for the server.
const CORES_PER_THREAD: usize = 4;
/// How long an answer may be late after the end of the load; then it counts as broken.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Pause of a client whose server takes no connection.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// The name of requests without an answer among the errors.
const BROKEN: &str = "no_answer";

/// Clients that are connected to one server.
pub(super) struct Fleet {
    address: SocketAddr,
    clients: usize,
    threads: Vec<Vec<StdTcpStream>>,
}

/// What became of the requests of one load.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Latencies of the answers with a 2xx status.
    pub(super) latencies: Histogram,
    /// Everything else: by status, or [`BROKEN`].
    pub(super) errors: BTreeMap<String, u64>,
    /// From the first request to the last answer.
    pub(super) elapsed: Duration,
}

impl Tally {
    /// Answers with a 2xx status.
    pub(super) fn succeeded(&self) -> u64 {
        self.latencies.count()
    }

    /// All requests.
    pub(super) fn requests(&self) -> u64 {
        self.succeeded() + self.errors.values().sum::<u64>()
    }

    fn answered(&mut self, status: u16, time: Duration) {
        if (200..300).contains(&status) {
            self.latencies.record(time);
        } else {
            *self.errors.entry(status.to_string()).or_default() += 1;
        }
    }

    fn broke(&mut self) {
        *self.errors.entry(BROKEN.to_owned()).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.latencies.merge(&other.latencies);
        for (name, count) in &other.errors {
            *self.errors.entry(name.clone()).or_default() += count;
        }
        self.elapsed = self.elapsed.max(other.elapsed);
    }
}

/// What every client sends, and for how long.
struct Load {
    address: SocketAddr,
    request: Arc<[u8]>,
    duration: Duration,
}

impl Fleet {
    /// Connects every client.
    ///
    /// Errors: the server takes no connection, or the process may not have so many.
    pub(super) fn connect(address: SocketAddr, clients: usize) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let count = (cores / CORES_PER_THREAD).clamp(1, clients.max(1));
        let mut threads: Vec<Vec<StdTcpStream>> = (0..count).map(|_| Vec::new()).collect();
        for client in 0..clients {
            threads[client % count].push(StdTcpStream::connect(address)?);
        }
        Ok(Self { address, clients, threads })
    }

    /// Lets every client send the request, wait for the answer, and send it again, for as long as `duration`; a last answer may
    /// come later. Blocks.
    ///
    /// Errors: the system refuses a runtime or a connection.
    pub(super) fn drive(&mut self, request: &Arc<[u8]>, duration: Duration) -> io::Result<Tally> {
        let load = Load { address: self.address, request: Arc::clone(request), duration };
        let threads = std::mem::take(&mut self.threads);
        let ended: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = threads.into_iter().map(|streams| scope.spawn(|| drive_thread(streams, &load))).collect();
            running.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let mut tally = Tally::default();
        for result in ended {
            let (streams, part) = result.map_err(|_| io::Error::other("a thread of the load generator panicked"))??;
            tally.merge(&part);
            self.threads.push(streams);
        }
        debug_assert_eq!(self.threads.iter().map(Vec::len).sum::<usize>(), self.clients);
        Ok(tally)
    }
}

/// The clients of one thread.
fn drive_thread(streams: Vec<StdTcpStream>, load: &Load) -> io::Result<(Vec<StdTcpStream>, Tally)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let tally = Rc::new(RefCell::new(Tally::default()));
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for stream in streams {
            stream.set_nonblocking(true)?;
            let connection = Connection::from_stream(TcpStream::from_std(stream)?)?;
            let (address, duration) = (load.address, load.duration);
            clients.spawn_local(drive_client(
                connection,
                address,
                Arc::clone(&load.request),
                began + duration,
                Rc::clone(&tally),
            ));
        }
        let mut streams = Vec::new();
        while let Some(ended) = clients.join_next().await {
            streams.push(ended.map_err(io::Error::other)??.into_stream().into_std()?);
        }
        let mut tally = tally.take();
        tally.elapsed = began.elapsed();
        Ok((streams, tally))
    })
}

/// One client. Answers with a connection that can be used again.
async fn drive_client(
    connection: Connection,
    address: SocketAddr,
    request: Arc<[u8]>,
    until: Instant,
    tally: Rc<RefCell<Tally>>,
) -> io::Result<Connection> {
    let last_answer = tokio::time::Instant::from_std(until + ANSWER_MAX);
    match tokio::time::timeout_at(last_answer, ask_until(connection, address, &request, until, &tally)).await {
        Ok(connection) => Ok(connection),
        Err(_) => {
            tally.borrow_mut().broke();
            Connection::open(address).await
        }
    }
}

async fn ask_until(
    mut connection: Connection,
    address: SocketAddr,
    request: &[u8],
    until: Instant,
    tally: &RefCell<Tally>,
) -> Connection {
    let mut sent = Instant::now();
    while sent < until {
        if let Ok(answer) = connection.ask(request).await {
            let answered = Instant::now();
            tally.borrow_mut().answered(answer.status, answered - sent);
            sent = answered;
            continue;
        }
        tally.borrow_mut().broke();
        match Connection::open(address).await {
            Ok(new) => connection = new,
            Err(_) => tokio::time::sleep(RECONNECT_PAUSE).await,
        }
        sent = Instant::now();
    }
    connection
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::{message::render, sink::Sink};

    fn request() -> Arc<[u8]> {
        render("POST", "/", &[], "{}").into()
    }

    #[test]
    fn counts_every_answer_once() {
        let sink = Sink::start().unwrap();
        let mut fleet = Fleet::connect(sink.address(), 3).unwrap();
        let first = fleet.drive(&request(), Duration::from_millis(50)).unwrap();
        let second = fleet.drive(&request(), Duration::from_millis(50)).unwrap();
        assert!(first.succeeded() > 0 && second.succeeded() > 0);
        assert_eq!(first.requests() + second.requests(), sink.calls());
        assert!(first.errors.is_empty() && first.elapsed >= Duration::from_millis(50));
        assert!(first.latencies.max() <= first.elapsed);
    }

    #[test]
    fn counts_requests_without_an_answer() {
        let sink = Sink::start().unwrap();
        let mut fleet = Fleet::connect(sink.address(), 2).unwrap();
        drop(sink);
        let tally = fleet.drive(&request(), Duration::from_millis(50)).unwrap();
        assert_eq!((tally.succeeded(), tally.errors.len()), (0, 1));
        assert!(tally.errors[BROKEN] >= 2, "{:?}", tally.errors);
    }
}
