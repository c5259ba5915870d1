//! Rules of an operator's allow and deny lists: `10.0.5.7`, `10.0.5.0/24`, `db.corp.example`, `*.corp.example`, `*`. Pure.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// A list of rules: addresses and host names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    networks: Vec<IpNet>,
    hosts: Vec<HostRule>,
}

/// Which host names a rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HostRule {
    /// Every name; not an address, which has to be allowed as one.
    Any,
    Exact(String),
    /// Every name below: `.corp.example` for `*.corp.example`, which `corp.example` itself does not match.
    Below(String),
}

/// A rule that is neither an address, nor a network, nor a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is no egress rule: use an address, a network such as 10.0.5.0/24, or a host name such as *.corp.example")]
pub struct InvalidRule {
    pub rule: String,
}

impl Rules {
    /// Errors: the first rule that cannot be read.
    pub(super) fn parse<S: AsRef<str>>(rules: &[S]) -> Result<Self, InvalidRule> {
        let mut parsed = Self::default();
        for rule in rules.iter().map(AsRef::as_ref) {
            if let Ok(network) = rule.parse::<IpNet>() {
                parsed.networks.push(network.trunc());
            } else if let Ok(address) = rule.parse::<IpAddr>() {
                parsed.networks.push(address.into());
            } else {
                parsed.hosts.push(rule.parse()?);
            }
        }
        Ok(parsed)
    }

    /// Whether a rule means this host name. `host` is normalised: see [`normalise_host`].
    pub(super) fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|rule| match rule {
            HostRule::Any => host.parse::<IpAddr>().is_err(),
            HostRule::Exact(name) => host == name,
            HostRule::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        })
    }

    /// The addresses and networks among the rules.
    pub(super) fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for HostRule {
    type Err = InvalidRule;

    fn from_str(rule: &str) -> Result<Self, InvalidRule> {
        if rule == "*" {
            return Ok(Self::Any);
        }
        let name = normalise_host(rule.strip_prefix("*.").unwrap_or(rule));
        let is_label =
            |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        // A name of digits and dots only is a mistyped address: as a host name it would never match.
        let is_number = name.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_number || !name.split('.').all(is_label) {
            return Err(InvalidRule { rule: rule.to_owned() });
        }
        Ok(if rule.starts_with("*.") { Self::Below(format!(".{name}")) } else { Self::Exact(name) })
    }
}

/// Lower case, without the root's dot and without the brackets of an IPv6 address in a URL.
pub(super) fn normalise_host(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: &str, matching: &[&str], other: &[&str]) {
        let rules = Rules::parse(&[rule]).unwrap();
        let matches = |text: &str| match text.parse() {
            Ok(address) => rules.has_address(address),
            Err(_) => rules.has_host(&normalise_host(text)),
        };
        for text in matching {
            assert!(matches(text), "{rule} should match {text}");
        }
        for text in other {
            assert!(!matches(text), "{rule} should not match {text}");
        }
    }

    #[test]
    fn matches_addresses_and_networks() {
        check("10.0.5.7", &["10.0.5.7"], &["10.0.5.8", "::ffff:10.0.5.7", "host"]);
        check("10.0.5.9/24", &["10.0.5.0", "10.0.5.255"], &["10.0.6.0"]);
        check("fd00::/8", &["fd00::1"], &["fe80::1"]);
    }

    #[test]
    fn matches_host_names() {
        check("db.corp.example", &["db.corp.example", "DB.corp.example."], &["x.db.corp.example", "db.corp.example.evil.test"]);
        check("*.corp.example", &["a.corp.example", "a.b.corp.example"], &["corp.example", "evilcorp.example", ".corp.example"]);
        check("*", &["anything.test"], &["127.0.0.1"]);
    }

    #[test]
    fn refuses_what_it_cannot_mean() {
        for rule in ["", "10.0.5.0/33", "10.0.5", "a..b", "http://a", "a*.example", "a b", "*."] {
            assert_eq!(Rules::parse(&[rule]), Err(InvalidRule { rule: rule.to_owned() }), "{rule}");
        }
    }
}
