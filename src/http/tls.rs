//! The certificate of the server. It is read from files, and read again when they change or somebody asks for it: new connections
//! get the new one, open ones stay as they are. Files that cannot be used change nothing.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Bytes of a file with certificates or a key.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Pause between two looks whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} has no certificate in PEM form", .path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} has no private key in PEM form", .path.display())]
    NoKey { path: PathBuf },
    #[error("the certificate and its key are of no use")]
    Unusable(#[source] rustls::Error),
}

/// The certificate that is in force, and where it comes from. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: Files,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
    /// What the files held at the last look, good or bad.
    seen: Mutex<[u8; 32]>,
}

/// Where the certificate and its key are.
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// Answers every handshake with the certificate that is in force.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl Tls {
    /// Reads a certificate and its key.
    ///
    /// Errors: see [`TlsError`].
    pub fn load(cert: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let files = Files { cert, key };
        let (seen, certified) = files.read();
        let current = Arc::new(Current(ArcSwap::from_pointee(certified?)));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let resolver = Arc::clone(&current) as Arc<dyn ResolvesServerCert>;
        let mut config = builder.map_err(TlsError::Unusable)?.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self(Arc::new(Shared { files, current, acceptor, seen: Mutex::new(seen) })))
    }

    /// What shakes hands with clients.
    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.0.acceptor
    }

    /// Looks whether the files have changed and takes them over if so. Says in the log what came of it. Blocks for as long as
    /// reading two small files takes.
    pub fn look_again(&self) {
        let (found, certified) = self.0.files.read();
        let before = std::mem::replace(&mut *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner), found);
        if before == found {
            return;
        }
        match certified {
            Ok(certified) => {
                self.0.current.0.store(Arc::new(certified));
                tracing::info!(file = %self.0.files.cert.display(), "certificate replaced");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(error = %error, cause, "certificate not replaced: the one before stays in force");
            }
        }
    }

    /// Looks again and again, until `stop` is cancelled.
    pub async fn watch(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let tls = self.clone();
            // A look that panics is made again.
            let _ = tokio::task::spawn_blocking(move || tls.look_again()).await;
        }
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Files {
    /// Reads both files. Also answers a hash that is another one whenever they hold something else.
    fn read(&self) -> ([u8; 32], Result<CertifiedKey, TlsError>) {
        let (cert, key) = (read_file(&self.cert), read_file(&self.key));
        let mut hash = Sha256::new();
        for file in [&cert, &key] {
            match file {
                Ok(bytes) => hash.update(Sha256::digest(bytes.as_slice())),
                Err(error) => hash.update(error.to_string()),
            }
        }
        (hash.finalize().into(), cert.and_then(|cert| self.certify(&cert, &key?)))
    }

    /// Makes what signs handshakes.
    fn certify(&self, cert: &[u8], key: &[u8]) -> Result<CertifiedKey, TlsError> {
        let none = || TlsError::NoCertificate { path: self.cert.clone() };
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(cert).collect::<Result<_, _>>().map_err(|_| none())?;
        if chain.is_empty() {
            return Err(none());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey { path: self.key.clone() })?;
        let provider: CryptoProvider = aws_lc_rs::default_provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(TlsError::Unusable)
    }
}

/// Reads a file; its bytes are wiped after use, since they may be a key.
fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |source| TlsError::Unreadable { path: path.to_owned(), source };
    let size_bytes = std::fs::metadata(path).map_err(failed)?.len();
    if size_bytes > FILE_BYTES_MAX {
        return Err(failed(io::Error::other("the file is too large for a certificate or a key")));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(failed)
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
