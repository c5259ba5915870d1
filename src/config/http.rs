//! Settings of the HTTP server.

use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::duration::DurationMs;

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpConfig {
    /// Address and port.
    pub listen: String,
    /// The address as browsers see it: `https://citadel.example.org`.
    pub public_url: Option<String>,
    /// How long the body of a request may take to arrive.
    pub body_timeout: DurationMs,
    /// How long a request may take that does not wait for an execution.
    pub request_timeout: DurationMs,
    /// Origins of web pages that may call the API, beside the server's own: `https://app.example.org`.
    pub cors_origins: Vec<String>,
    /// Addresses and networks of proxies that are believed what they say about their clients: `10.0.0.0/8`.
    pub trusted_proxies: Vec<String>,
    pub tls: TlsConfig,
}

/// The certificate of the HTTP server: both files or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    /// The certificate and those above it, in PEM form.
    pub cert: Option<PathBuf>,
    /// Its private key, in PEM form.
    pub key: Option<PathBuf>,
}

impl HttpConfig {
    /// The files of the certificate and of its key; `None` for plain HTTP.
    pub fn tls_files(&self) -> Option<(PathBuf, PathBuf)> {
        Some((self.tls.cert.clone()?, self.tls.key.clone()?))
    }

    /// The networks of trusted proxies.
    pub fn proxies(&self) -> Vec<IpNet> {
        self.trusted_proxies.iter().filter_map(|network| network_of(network)).collect()
    }
}

/// An address or a network.
pub(super) fn network_of(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

impl Default for HttpConfig {
    fn default() -> Self {
        let half_a_minute = DurationMs(30_000);
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: None,
            body_timeout: half_a_minute,
            request_timeout: half_a_minute,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            tls: TlsConfig::default(),
        }
    }
}

/// Whether a text is an origin as browsers write it: scheme, host, perhaps a port, and nothing else. Source: RFC 6454 section 6.2.
pub(super) fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && host.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_networks() {
        let all = |texts: &[&str]| {
            let trusted_proxies = texts.iter().map(|text| (*text).to_owned()).collect();
            HttpConfig { trusted_proxies, ..HttpConfig::default() }.proxies()
        };
        assert_eq!(all(&["10.0.0.0/8", "::1", "192.0.2.1"]).len(), 3);
        assert_eq!(network_of("proxy.example"), None);
    }

    #[test]
    fn knows_an_origin_from_a_url() {
        for good in ["https://app.example.org", "http://localhost:5173", "http://[::1]:80", "https://192.0.2.1"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["*", "null", "", "https://", "https://*", "https://a.example/", "https://A.example", "ftp://a", "a.example"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
