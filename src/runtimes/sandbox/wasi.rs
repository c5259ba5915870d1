//! WASI for guests that are programs: text in, text out, variables of the environment, a clock and chance. No files, no network.
//!
//! Such guests run on a stack of their own and may wait: what they wait for ends with the wall time of their run.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{self, AsyncWrite},
    runtime,
};
use wasmtime::{Error, component::ResourceTable};
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, async_trait,
    cli::{IsTerminal, StdoutStream},
    p1::WasiP1Ctx,
    p2::{OutputStream, Pollable, StreamError, StreamResult, pipe::MemoryInputPipe},
};

use super::state::HostState;

/// Bytes that a guest may write in one call.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Random bytes that a guest may draw in one call.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;
/// Handles that a component may hold.
const HANDLES_MAX: usize = 1_000;

/// What a component has on the host's side.
pub(in crate::runtimes) struct WasiState {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiState {
    pub(in crate::runtimes) fn new(ctx: WasiCtx) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self { ctx, table }
    }
}

impl WasiView for HostState<WasiState> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let WasiState { ctx, table } = &mut self.guest;
        WasiCtxView { ctx, table }
    }
}

/// What a program gets and where it writes.
pub(in crate::runtimes) struct Program<'a> {
    /// Its name, as it sees it.
    pub(in crate::runtimes) name: &'a str,
    pub(in crate::runtimes) stdin: Vec<u8>,
    pub(in crate::runtimes) env: &'a BTreeMap<String, String>,
    pub(in crate::runtimes) stdout: &'a Sink,
    pub(in crate::runtimes) stderr: &'a Sink,
}

impl Program<'_> {
    /// The context of a component.
    pub(in crate::runtimes) fn component(self) -> WasiState {
        WasiState::new(self.builder().build())
    }

    /// The context of a module of preview 1.
    pub(in crate::runtimes) fn module(self) -> WasiP1Ctx {
        self.builder().build_p1()
    }

    fn builder(self) -> WasiCtxBuilder {
        let mut builder = WasiCtxBuilder::new();
        builder
            .arg(self.name)
            .stdin(MemoryInputPipe::new(self.stdin))
            .stdout(self.stdout.clone())
            .stderr(self.stderr.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_BYTES_MAX);
        for (name, value) in self.env {
            builder.env(name, value);
        }
        builder
    }
}

/// What a program writes, up to a number of bytes. Clones share it.
#[derive(Clone)]
pub(in crate::runtimes) struct Sink(Arc<Mutex<Written>>);

struct Written {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_cut: bool,
    when_full: WhenFull,
}

/// What happens to a program that writes too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtimes) enum WhenFull {
    /// It ends.
    End,
    /// The rest is dropped.
    Drop,
}

impl Sink {
    pub(in crate::runtimes) fn new(bytes_max: usize, when_full: WhenFull) -> Self {
        Self(Arc::new(Mutex::new(Written { bytes: Vec::new(), bytes_max, is_cut: false, when_full })))
    }

    /// Takes what was written, and whether some of it was dropped.
    pub(in crate::runtimes) fn take(&self) -> (Vec<u8>, bool) {
        let mut written = self.written();
        (std::mem::take(&mut written.bytes), written.is_cut)
    }

    fn put(&self, bytes: &[u8]) -> StreamResult<()> {
        let mut written = self.written();
        let free = written.bytes_max.saturating_sub(written.bytes.len());
        if bytes.len() > free {
            written.is_cut = true;
            if written.when_full == WhenFull::End {
                return Err(StreamError::Trap(Error::msg("the program writes too much")));
            }
        }
        written.bytes.extend_from_slice(&bytes[..bytes.len().min(free)]);
        Ok(())
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutputStream for Sink {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.put(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for Sink {
    async fn ready(&mut self) {}
}

impl IsTerminal for Sink {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.put(bytes).map(|()| bytes.len()).map_err(|_| io::ErrorKind::StorageFull.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl StdoutStream for Sink {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

/// Runs a guest's calls to their end on this thread; `None` if they still waited for something when the time was over.
pub(in crate::runtimes) fn block_on<R>(within: Duration, calls: impl Future<Output = R>) -> std::io::Result<Option<R>> {
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    Ok(runtime.block_on(async { tokio::time::timeout(within, calls).await.ok() }))
}
