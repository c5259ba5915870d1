//! Carries connections to one address that the egress policy has checked. The driver verifies a certificate against the host that it
//! connects to, and it resolves names by itself: by then a name may lead elsewhere. So it is given a socket of this process instead,
//! behind which nothing is resolved. Bounds: the connections of the pool that it belongs to.

use std::{fs::Permissions, io, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use tempfile::TempDir;
use tokio::{
    net::{TcpStream, UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::auth::egress::CONNECT_MS_MAX;

/// Only this user may enter the directory of the socket.
const PRIVATE: u32 = 0o700;
/// Pause after a failed accept: the process is out of file descriptors, and one may become free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that leads to one address, for as long as this is kept.
pub(super) struct Relay {
    directory: TempDir,
    _task: AbortOnDropHandle<()>,
}

impl Relay {
    /// Opens the socket in a directory of its own.
    ///
    /// Errors: those of the file system.
    #[expect(clippy::disallowed_methods, reason = "the relay owns the task and aborts it")]
    pub(super) fn start(address: SocketAddr) -> io::Result<Self> {
        let permissions = Permissions::from_mode(PRIVATE);
        let directory = tempfile::Builder::new().prefix("citadel-sql-").permissions(permissions).tempdir()?;
        // The name that the driver looks for.
        let listener = UnixListener::bind(directory.path().join(format!(".s.PGSQL.{}", address.port())))?;
        Ok(Self { directory, _task: AbortOnDropHandle::new(tokio::spawn(serve(listener, address))) })
    }

    /// Where the driver finds the socket.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

async fn serve(listener: UnixListener, address: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => drop(connections.spawn(carry(near, address))),
                Err(error) => {
                    tracing::warn!(cause = %error, "cannot accept a connection of an SQL node");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries one connection to its end. Where nobody answers it is closed, which is what the driver then says.
async fn carry(mut near: UnixStream, address: SocketAddr) {
    let connecting = tokio::time::timeout(Duration::from_millis(CONNECT_MS_MAX), TcpStream::connect(address));
    let Ok(Ok(mut far)) = connecting.await else { return };
    let carried = async {
        far.set_nodelay(true)?;
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    };
    if let Err(error) = carried.await {
        tracing::debug!(cause = %error, "a connection of an SQL node broke off");
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn carries_both_ways_until_it_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let relay = Relay::start(address).unwrap();
        assert_eq!(relay.directory().metadata().unwrap().permissions().mode() & 0o777, PRIVATE);
        let socket = relay.directory().join(format!(".s.PGSQL.{}", address.port()));
        let mut near = UnixStream::connect(&socket).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.write_all(b"ask").await.unwrap();
        let mut bytes = [0; 3];
        far.read_exact(&mut bytes).await.unwrap();
        far.write_all(&bytes).await.unwrap();
        near.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ask");
        drop(relay);
        assert_eq!(near.read(&mut bytes).await.unwrap_or(0), 0, "the connection ends with the relay");
        assert!(!socket.exists());
    }

    #[tokio::test]
    async fn closes_a_connection_that_leads_nowhere() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let relay = Relay::start(unused).unwrap();
        let mut near = UnixStream::connect(relay.directory().join(format!(".s.PGSQL.{}", unused.port()))).await.unwrap();
        assert_eq!(near.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
}
