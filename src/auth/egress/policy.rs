//! Decides whether a host and an address may be reached. Pure but for the block list of own listeners, which grows at start, and
//! the operator's lists, which may be exchanged while a server runs.
//!
//! Precedence: an allowed host name, then an allowed address, then the block lists (the operator's, then the built-in ranges and
//! the own listeners). So `egress.allow` always wins over `egress.deny`.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{Arc, RwLock},
};

use arc_swap::ArcSwap;

use super::{
    listeners,
    ranges::{blocked_reason, blocked_reasons},
    rules::{InvalidRule, Rules, normalise_host},
};

/// Which hosts and addresses may be reached.
#[derive(Debug, Default)]
pub struct EgressPolicy {
    lists: ArcSwap<Lists>,
    own: RwLock<BTreeSet<IpAddr>>,
}

/// The operator's lists.
#[derive(Debug, Default)]
struct Lists {
    allow: Rules,
    deny: Rules,
}

/// Why a connection was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressDenied {
    #[error("{host} is on the deny list of this server")]
    Host { host: String },
    #[error("{host} leads to {address}, which is blocked ({reason}); if it is meant, add it to `egress.allow`")]
    Address { host: String, address: IpAddr, reason: &'static str },
    #[error("`{scheme}` URLs are not allowed, only http and https")]
    Scheme { scheme: String },
    #[error("the URL has no host")]
    NoHost,
}

impl EgressDenied {
    /// The reason in a word or two, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Host { .. } => "denied host",
            Self::Address { reason, .. } => reason,
            Self::Scheme { .. } => "scheme",
            Self::NoHost => "no host",
        }
    }

    /// The host that was not to be reached, if there was one.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Host { host } | Self::Address { host, .. } => Some(host),
            Self::Scheme { .. } | Self::NoHost => None,
        }
    }

    /// The address that the host leads to, where that decided.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address { address, .. } => Some(*address),
            Self::Host { .. } | Self::Scheme { .. } | Self::NoHost => None,
        }
    }
}

impl EgressPolicy {
    /// A policy with the operator's lists: addresses, networks in CIDR notation, host names, `*.` before a host name.
    ///
    /// Errors: the first rule that cannot be read.
    pub fn new<S: AsRef<str>>(allow: &[S], deny: &[S]) -> Result<Self, InvalidRule> {
        Ok(Self { lists: ArcSwap::from_pointee(Lists::parse(allow, deny)?), own: RwLock::default() })
    }

    /// Exchanges the operator's lists for everything that is decided from now on.
    ///
    /// Errors: the first rule that cannot be read; then nothing has changed.
    pub fn set_lists<S: AsRef<str>>(&self, allow: &[S], deny: &[S]) -> Result<(), InvalidRule> {
        self.lists.store(Arc::new(Lists::parse(allow, deny)?));
        Ok(())
    }

    /// What the networks of the allow list open that is blocked otherwise, in words. Allowed host names open whatever they lead to.
    pub fn opened(&self) -> BTreeSet<&'static str> {
        self.lists.load().allow.networks().iter().flat_map(blocked_reasons).collect()
    }

    /// Puts the address of one of the process's own listeners on the block list, with all its ports: a resolver does not know
    /// for which port it is asked. A listener on every address (`0.0.0.0`) blocks those that this machine reaches the world from.
    pub fn block_listener(&self, listener: SocketAddr) {
        let mut own = self.own.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        own.extend(listeners::addresses_of(listener.ip()));
    }

    /// Checks a host before its name is resolved. A host that is an address is decided here, since no resolver will see it.
    pub(super) fn check_host(&self, host: &str) -> Result<(), EgressDenied> {
        let name = normalise_host(host);
        if let Ok(address) = name.parse() {
            return self.check_address(&name, address);
        }
        let lists = self.lists.load();
        if lists.deny.has_host(&name) && !lists.allow.has_host(&name) {
            return Err(EgressDenied::Host { host: name });
        }
        Ok(())
    }

    /// Checks one address that `host` leads to.
    pub(super) fn check_address(&self, host: &str, address: IpAddr) -> Result<(), EgressDenied> {
        let name = normalise_host(host);
        let lists = self.lists.load();
        if lists.allow.has_host(&name) || lists.allow.has_address(address) {
            return Ok(());
        }
        let reason = if lists.deny.has_address(address) {
            Some("deny list")
        } else {
            blocked_reason(address).or_else(|| self.is_own(address).then_some("own listener"))
        };
        match reason {
            Some(reason) => Err(EgressDenied::Address { host: name, address, reason }),
            None => Ok(()),
        }
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.own.read().unwrap_or_else(std::sync::PoisonError::into_inner).contains(&address)
    }
}

impl Lists {
    fn parse<S: AsRef<str>>(allow: &[S], deny: &[S]) -> Result<Self, InvalidRule> {
        Ok(Self { allow: Rules::parse(allow)?, deny: Rules::parse(deny)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> EgressPolicy {
        EgressPolicy::new(allow, deny).unwrap()
    }

    #[track_caller]
    fn check(policy: &EgressPolicy, host: &str, address: &str, reason: Option<&str>) {
        let result = policy.check_host(host).and_then(|()| policy.check_address(host, address.parse().unwrap()));
        assert_eq!(result.as_ref().err().map(EgressDenied::reason), reason, "{host} {address}");
    }

    #[test]
    fn blocks_private_addresses_unless_allowed() {
        check(&policy(&[], &[]), "a.test", "8.8.8.8", None);
        check(&policy(&[], &[]), "a.test", "10.0.5.1", Some("private"));
        check(&policy(&["10.0.5.0/24"], &[]), "a.test", "10.0.5.1", None);
        check(&policy(&["10.0.5.0/24"], &[]), "a.test", "10.0.6.1", Some("private"));
        check(&policy(&["*.test"], &[]), "a.test", "10.0.6.1", None);
    }

    #[test]
    fn decides_literal_addresses_before_any_resolver() {
        let closed = policy(&["*"], &[]);
        for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"] {
            assert!(matches!(closed.check_host(host), Err(EgressDenied::Address { .. })), "{host}");
        }
        assert_eq!(policy(&["127.0.0.1"], &[]).check_host("127.0.0.1"), Ok(()));
    }

    #[test]
    fn keeps_the_precedence_of_the_lists() {
        let lists = policy(&["ok.evil.test", "10.0.0.0/8"], &["*.evil.test", "10.0.5.0/24", "8.8.8.8"]);
        check(&lists, "bad.evil.test", "1.1.1.1", Some("denied host"));
        check(&lists, "ok.evil.test", "127.0.0.1", None);
        check(&lists, "a.test", "10.0.5.1", None);
        check(&lists, "a.test", "8.8.8.8", Some("deny list"));
    }

    #[test]
    fn exchanges_its_lists_as_a_whole_or_not_at_all() {
        let lists = policy(&["10.0.0.0/8"], &[]);
        assert!(lists.set_lists(&["10.0.5.0/24"], &["not a rule"]).is_err());
        check(&lists, "a.test", "10.0.6.1", None);
        lists.set_lists(&["10.0.5.0/24"], &["8.8.8.8"]).unwrap();
        check(&lists, "a.test", "10.0.6.1", Some("private"));
        check(&lists, "a.test", "8.8.8.8", Some("deny list"));
    }

    #[test]
    fn blocks_own_listeners_once_they_are_known() {
        let own = policy(&["named.test"], &[]);
        check(&own, "a.test", "93.184.216.34", None);
        own.block_listener("93.184.216.34:8080".parse().unwrap());
        check(&own, "a.test", "93.184.216.34", Some("own listener"));
        check(&own, "named.test", "93.184.216.34", None);
    }
}
