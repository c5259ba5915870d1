//! Ends connections whose client takes nothing any more: without it, one that asks and does not read would keep its answer in
//! memory, and its place, for ever. Also knows whether a request is on its way.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// A stream that fails when a write has not moved for `limit`. Reading is not its concern: heads and bodies have their own times.
pub(super) struct StallLimited<S> {
    stream: S,
    limit: Duration,
    talk: Arc<Talk>,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
}

/// Who has the word on a connection. A hint for its end: see [`Talk::is_in_head`].
#[derive(Debug, Default)]
pub(super) struct Talk {
    requests: AtomicUsize,
    /// Whether bytes have come since the last request or answer.
    heard: AtomicBool,
}

impl Talk {
    /// The head of a request is complete.
    pub(super) fn request_began(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.heard.store(false, Ordering::Relaxed);
    }

    /// The head of its answer is there.
    pub(super) fn request_answered(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        self.heard.store(false, Ordering::Relaxed);
    }

    /// Whether the client has begun a request and not come to the end of its head.
    pub(super) fn is_in_head(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && self.heard.load(Ordering::Relaxed)
    }
}

impl<S> StallLimited<S> {
    pub(super) fn new(stream: S, limit: Duration, talk: Arc<Talk>) -> Self {
        Self { stream, limit, talk, stall: None }
    }

    /// Starts the clock at a write that waits and stops it at one that does not.
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stall = None;
            return poll;
        }
        let limit = self.limit;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing any more")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallLimited<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.talk.heard.store(true, Ordering::Relaxed);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallLimited<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, poll)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, poll)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn stall_limit_violated() {
        let (near, _far) = duplex(16);
        let mut stream = StallLimited::new(near, LIMIT, Arc::default());
        let began = tokio::time::Instant::now();
        let error = stream.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    }

    #[tokio::test]
    async fn knows_a_head_that_has_no_end() {
        let (near, mut far) = duplex(64);
        let talk = Arc::new(Talk::default());
        let mut stream = StallLimited::new(near, LIMIT, Arc::clone(&talk));
        assert!(!talk.is_in_head(), "nothing has come");
        far.write_all(b"GET / HT").await.unwrap();
        stream.read_exact(&mut [0; 8]).await.unwrap();
        assert!(talk.is_in_head());
        talk.request_began();
        far.write_all(b"body").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        assert!(!talk.is_in_head(), "these are bytes of a body");
        talk.request_answered();
        assert!(!talk.is_in_head());
    }

    #[tokio::test(start_paused = true)]
    async fn stall_limit_obeyed_by_a_slow_reader() {
        let (near, mut far) = duplex(16);
        let mut stream = StallLimited::new(near, LIMIT, Arc::default());
        let reading = async {
            let mut buffer = [0; 10];
            for _ in 0..10 {
                tokio::time::sleep(LIMIT / 2).await;
                far.read_exact(&mut buffer).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[0; 100]), reading);
        written.unwrap();
    }
}
