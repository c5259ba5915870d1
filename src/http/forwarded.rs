//! Who is behind a proxy. Proxies say so in headers that anybody can write: they are believed from the addresses that the operator
//! lists, and from nobody else. Source: the de-facto headers `X-Forwarded-For` and `X-Forwarded-Proto`.

use std::{net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The addresses of proxies that are believed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Whether what this address says about others is believed.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client behind a proxy: the last one named that is no proxy of ours. What stands before it may be invented.
    pub(super) fn client_of(&self, proxy: IpAddr, headers: &HeaderMap) -> IpAddr {
        let values: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let named = values.iter().rev().flat_map(|value| value.rsplit(',')).map(|name| address_of(name.trim()));
        let mut nearest = proxy;
        for address in named {
            // A name that is no address: whoever wrote it is as far as one can see.
            let Some(address) = address else { break };
            nearest = address;
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }
}

/// Whether a proxy says that its client came by TLS.
pub(super) fn is_over_tls(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(FORWARDED_PROTO).iter().filter_map(|value| value.to_str().ok());
    let last = values.next_back().and_then(|value| value.rsplit(',').next());
    last.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

/// An address as proxies write it: also with a port, and in brackets.
fn address_of(name: &str) -> Option<IpAddr> {
    let bare = name.trim_start_matches('[').split(']').next().unwrap_or_default();
    let parsed = bare.parse().or_else(|_| name.parse::<std::net::SocketAddr>().map(|address| address.ip()));
    parsed.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// The client that is found behind the proxy with these headers.
    fn client(forwarded_for: &[&str]) -> String {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for value in forwarded_for {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        proxies.client_of(PROXY.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn finds_the_last_address_that_is_no_proxy() {
        assert_eq!(client(&["192.0.2.7"]), "192.0.2.7");
        assert_eq!(client(&["198.51.100.1, 192.0.2.7, 10.0.0.9"]), "192.0.2.7");
        assert_eq!(client(&["198.51.100.1", "192.0.2.7"]), "192.0.2.7");
        assert_eq!(client(&["192.0.2.7:4711"]), "192.0.2.7");
        assert_eq!(client(&["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client(&["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client(&["::ffff:192.0.2.7"]), "192.0.2.7");
    }

    #[test]
    fn stays_with_the_proxy_where_it_says_nothing_of_use() {
        assert_eq!(client(&[]), PROXY);
        assert_eq!(client(&["unknown"]), PROXY);
        assert_eq!(client(&["192.0.2.7, unknown"]), PROXY);
        assert_eq!(client(&["10.0.0.9"]), "10.0.0.9");
    }

    #[test]
    fn believes_nobody_who_is_not_listed() {
        let proxies = Proxies::new(vec!["192.0.2.1/32".parse().unwrap()]);
        assert!(proxies.trusts("192.0.2.1".parse().unwrap()) && proxies.trusts("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!proxies.trusts("192.0.2.2".parse().unwrap()) && !Proxies::default().trusts(PROXY.parse().unwrap()));
    }

    #[test]
    fn takes_the_scheme_of_the_nearest_proxy() {
        let says = |value: &'static str| is_over_tls(&HeaderMap::from_iter([(FORWARDED_PROTO, HeaderValue::from_static(value))]));
        assert!(says("https") && says("http, https") && says("HTTPS"));
        assert!(!says("http") && !says("https, http") && !is_over_tls(&HeaderMap::new()));
    }
}
