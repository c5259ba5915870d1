//! This machine: its files and its addresses.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{Finding, shown_bytes};
use crate::{config::HttpConfig, http::Tls};

/// Free space below which a database cannot be trusted to go on, and one that is worth a warning, in bytes.
const FREE_BYTES_PROBLEM: u64 = 128 << 20;
const FREE_BYTES_WARNING: u64 = 1 << 30;

/// Whether files can be made in the data directory, or the directory itself.
pub(super) fn data_directory(directory: &Path) -> Finding {
    const HINT: &str = "choose another data_dir, or give this one to the user of the server";
    let existing = nearest_existing(directory);
    // Has no name, so that it cannot stay behind.
    match tempfile::tempfile_in(&existing) {
        Ok(_) if existing == directory => Finding::good("data_dir", format!("{} is writable", directory.display())),
        Ok(_) => Finding::good("data_dir", format!("{} is made at the first start", directory.display())),
        Err(error) => Finding::problem("data_dir", format!("cannot write to {}: {error}", existing.display()), HINT),
    }
}

/// How much room there is for the data directory.
pub(super) fn disk(directory: &Path) -> Finding {
    let existing = nearest_existing(directory);
    match free_bytes(&existing) {
        Ok(free_bytes) => judge_free(free_bytes),
        Err(error) => Finding::warning("disk", format!("cannot ask how much is free: {error}"), "look by hand"),
    }
}

fn judge_free(free_bytes: u64) -> Finding {
    const HINT: &str = "make room, shorten retention.success and retention.failure, or move data_dir";
    let detail = format!("{} free", shown_bytes(free_bytes));
    match free_bytes {
        ..FREE_BYTES_PROBLEM => Finding::problem("disk", detail, HINT),
        FREE_BYTES_PROBLEM..FREE_BYTES_WARNING => Finding::warning("disk", detail, HINT),
        _ => Finding::good("disk", detail),
    }
}

#[cfg(unix)]
fn free_bytes(directory: &Path) -> std::io::Result<u64> {
    let status = rustix::fs::statvfs(directory)?;
    // What is there for users other than root.
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_directory: &Path) -> std::io::Result<u64> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Whether the server would be seen by others without TLS.
pub(super) fn listener(http: &HttpConfig) -> Finding {
    let listen = &http.listen;
    match listen_port(listen) {
        Err(reason) => Finding::problem("listener", reason, "set http.listen to an address and a port, such as 127.0.0.1:8080"),
        Ok(host) if is_loopback(host) => Finding::good("listener", format!("{listen}: this machine only")),
        Ok(_) if http.tls_files().is_some() => Finding::good("listener", format!("{listen}: others reach it, with TLS")),
        Ok(_) => Finding::warning(
            "listener",
            format!("{listen}: others reach it, without TLS"),
            "set http.tls, put a proxy with TLS in front, or listen on 127.0.0.1",
        ),
    }
}

/// Whether there is a certificate to serve with, where the settings name one.
pub(super) fn certificate(http: &HttpConfig) -> Option<Finding> {
    let (cert, key) = http.tls_files()?;
    let named = cert.display().to_string();
    Some(match Tls::load(cert, key) {
        Ok(_) => Finding::good("certificate", format!("{named} and its key fit together")),
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            Finding::problem("certificate", format!("{error}{cause}"), "check http.tls.cert and http.tls.key")
        }
    })
}

/// The host of an address with a port.
///
/// Errors: a sentence that says what is missing.
pub(super) fn listen_port(listen: &str) -> Result<&str, String> {
    let (host, port) = listen.rsplit_once(':').ok_or_else(|| format!("`{listen}` has no port"))?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(format!("`{listen}` is not an address and a port"));
    }
    Ok(host)
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The path itself, or the nearest directory above it that is there.
fn nearest_existing(path: &Path) -> PathBuf {
    let above = path.ancestors().find(|above| above.is_dir());
    above.filter(|above| !above.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};
    use crate::config::TlsConfig;

    #[test]
    fn tries_to_write_where_the_data_will_be() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(data_directory(directory.path()).state, State::Good);
        let later = data_directory(&directory.path().join("a/b"));
        assert_eq!((later.state, later.detail.ends_with("is made at the first start")), (State::Good, true));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");
        assert_eq!(data_directory(Path::new("/proc/none")).state, State::Problem);
    }

    #[test]
    fn disk_free_obeyed_and_violated() {
        assert_eq!(judge_free(FREE_BYTES_WARNING).state, State::Good);
        assert_eq!(judge_free(FREE_BYTES_WARNING - 1).state, State::Warning);
        assert_eq!(judge_free(FREE_BYTES_PROBLEM - 1).state, State::Problem);
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
    }

    #[test]
    fn tells_private_listeners_from_public_ones() {
        let at = |listen: &str| listener(&HttpConfig { listen: listen.to_owned(), ..HttpConfig::default() }).state;
        assert_eq!(at("127.0.0.1:8080"), State::Good);
        assert_eq!(at("[::1]:8080"), State::Good);
        assert_eq!(at("0.0.0.0:8080"), State::Warning);
        assert_eq!(at("8080"), State::Problem);
        assert_eq!(at("localhost:http"), State::Problem);
    }

    #[test]
    fn looks_at_the_certificate_where_there_is_one() {
        let fixture = |name: &str| Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name));
        let with = |cert: &str, key: &str| {
            let tls = TlsConfig { cert: fixture(cert), key: fixture(key) };
            HttpConfig { listen: "0.0.0.0:8080".to_owned(), tls, ..HttpConfig::default() }
        };
        assert_eq!(certificate(&HttpConfig::default()), None);
        let good = with("first.pem", "first.key");
        assert_eq!((certificate(&good).unwrap().state, listener(&good).state), (State::Good, State::Good));
        assert_eq!(certificate(&with("first.pem", "second.key")).unwrap().state, State::Problem);
        assert_eq!(certificate(&with("first.pem", "none")).unwrap().state, State::Problem);
    }
}
