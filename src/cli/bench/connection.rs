//! One keep-alive connection: a request, its answer, the next request.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::message::{Extent, measure, status_of};

/// Bytes of one answer with its head.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that are made room for at the beginning: the answers that are measured fit.
const BUFFER_BYTES: usize = 4 * 1024;

/// A connection to a server of this benchmark.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer; its body is in the connection's buffer until the next request.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        Self::from_stream(TcpStream::connect(address).await?)
    }

    /// Goes on with a stream that is connected.
    pub(super) fn from_stream(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// The bare stream. Only between an answer and the next request.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends a rendered request and reads the whole answer.
    ///
    /// Errors: the connection broke, or the answer is longer than [`ANSWER_BYTES_MAX`] or malformed. The connection is of no use then.
    pub(super) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let extent = self.read().await?;
        let status = status_of(&self.buffer).map_err(io::Error::other)?;
        Ok(Answer { status, body: &self.buffer[extent.head..extent.total()] })
    }

    async fn read(&mut self) -> io::Result<Extent> {
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match measure(&self.buffer).map_err(io::Error::other)? {
                Some(extent) if extent.total() > ANSWER_BYTES_MAX => return Err(io::ErrorKind::FileTooLarge.into()),
                Some(extent) if self.buffer.len() >= extent.total() => return Ok(extent),
                None if self.buffer.len() > ANSWER_BYTES_MAX => return Err(io::ErrorKind::FileTooLarge.into()),
                Some(_) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Answers the first request with these parts, one write each, and then closes.
    async fn answered_with(parts: &[&[u8]]) -> io::Result<(u16, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            for part in parts {
                // A client that has seen enough has closed the connection.
                let _ = stream.write_all(part).await;
                tokio::task::yield_now().await;
            }
        };
        let client = async {
            let mut connection = Connection::open(address).await?;
            let answer = connection.ask(b"x").await?;
            Ok((answer.status, answer.body.to_vec()))
        };
        tokio::join!(server, client).1
    }

    #[tokio::test]
    async fn puts_an_answer_together() {
        let parts: [&[u8]; 3] = [b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 4\r\n\r\nab", b"cd"];
        assert_eq!(answered_with(&parts).await.unwrap(), (200, b"abcd".to_vec()));
    }

    #[tokio::test]
    async fn fails_when_the_answer_stops_halfway() {
        let cut = answered_with(&[b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab"]).await;
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn answer_bytes_obeyed_and_violated() {
        let answer =
            |body: usize| [format!("HTTP/1.1 200 OK\r\ncontent-length: {body}\r\n\r\n").into_bytes(), vec![0; body]].concat();
        let head = answer(ANSWER_BYTES_MAX).len() - ANSWER_BYTES_MAX;
        let obeyed = answered_with(&[&answer(ANSWER_BYTES_MAX - head)]).await.unwrap();
        assert_eq!(obeyed.1.len(), ANSWER_BYTES_MAX - head);
        let violated = answered_with(&[&answer(ANSWER_BYTES_MAX - head + 1)]).await;
        assert_eq!(violated.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
