//! The cookies of console sessions and of logins that wait: their names, and how they are set and taken away. They never leave this
//! server's origin, are never seen by scripts, and go over TLS, unless browser and server are plainly on one machine.
//! Source: RFC 6265bis, draft 20.

use std::net::IpAddr;

use axum::http::{Extensions, HeaderMap, HeaderValue, header};

use super::{
    extract::{ClientAddress, OverTls},
    forwarded::is_over_tls,
};
use crate::{
    actors::accounts::{CONSOLE_MS, ConsoleSession},
    auth::oidc::PENDING_MS,
};

/// Browsers take a cookie of this name from a host only that speaks TLS, and for the host itself: no other host can set it.
const HOST_SESSION: &str = "__Host-citadel_session";
const SESSION: &str = "citadel_session";
/// A login at an OpenID provider that waits for the browser to come back.
const HOST_LOGIN: &str = "__Host-citadel_login";
const LOGIN: &str = "citadel_login";

/// How the browser and the server are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Over TLS, or at least it should be.
    Secure,
    /// Without TLS, and both are on one machine.
    PlainLoopback,
}

impl Way {
    /// The way of a request. A proxy on this machine says by a header that it speaks TLS; whoever makes the header up loses by it.
    pub(super) fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let is_near = extensions.get::<ClientAddress>().is_some_and(|client| client.0.is_loopback());
        let is_named_so = headers.get(header::HOST).and_then(|host| host.to_str().ok()).is_some_and(is_loopback_host);
        let is_encrypted = extensions.get::<OverTls>().is_some();
        let is_forwarded = is_over_tls(headers);
        if is_near && is_named_so && !is_forwarded && !is_encrypted { Self::PlainLoopback } else { Self::Secure }
    }

    const fn session(self) -> &'static str {
        match self {
            Self::Secure => HOST_SESSION,
            Self::PlainLoopback => SESSION,
        }
    }

    const fn login(self) -> &'static str {
        match self {
            Self::Secure => HOST_LOGIN,
            Self::PlainLoopback => LOGIN,
        }
    }

    /// `Set-Cookie` for a new session. The cookie outlives the session where nobody uses it: the server knows better.
    pub(super) fn set(self, session: &ConsoleSession) -> HeaderValue {
        self.text(self.session(), session.token.expose(), CONSOLE_MS / 1_000)
    }

    /// `Set-Cookie` that takes the session's cookie away.
    pub(super) fn unset(self) -> HeaderValue {
        self.text(self.session(), "", 0)
    }

    /// The secret of the session's cookie, if the request has one.
    pub(super) fn read(self, headers: &HeaderMap) -> Option<&str> {
        find(headers, self.session())
    }

    /// `Set-Cookie` for a login that waits; `kept` is Base64.
    pub(super) fn set_login(self, kept: &str) -> HeaderValue {
        self.text(self.login(), kept, PENDING_MS / 1_000)
    }

    /// `Set-Cookie` that takes the cookie of a login away.
    pub(super) fn unset_login(self) -> HeaderValue {
        self.text(self.login(), "", 0)
    }

    /// What the browser has kept of a login that waits.
    pub(super) fn read_login(self, headers: &HeaderMap) -> Option<&str> {
        find(headers, self.login())
    }

    fn text(self, name: &str, value: &str, age_seconds: u64) -> HeaderValue {
        let secure = match self {
            Self::Secure => "; Secure",
            Self::PlainLoopback => "",
        };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_seconds}{secure}");
        let mut header = HeaderValue::try_from(text).expect("tokens and Base64 are fit for a header");
        header.set_sensitive(true);
        header
    }
}

/// The value of a cookie.
fn find<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// `localhost:8080`, `127.0.0.1`, `[::1]:8080`.
fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        actors::accounts::Whose,
        auth::token::{Label, Token},
        model::ids::{TokenId, UserId, WorkspaceId},
    };

    #[track_caller]
    fn check_way(client: &str, headers: &[(&'static str, &'static str)], expected: Way) {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        let mut extensions = Extensions::new();
        extensions.insert(ClientAddress(client.parse().unwrap()));
        assert_eq!(Way::of(&headers, &extensions), expected, "{client} {headers:?}");
    }

    #[test]
    fn goes_without_tls_on_one_machine_only() {
        for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"] {
            check_way("127.0.0.1", &[("host", host)], Way::PlainLoopback);
            check_way("192.0.2.1", &[("host", host)], Way::Secure);
            check_way("::1", &[("host", host), ("x-forwarded-proto", "https")], Way::Secure);
        }
        for host in ["citadel.example", "127.0.0.1.example", "[2001:db8::1]", "10.0.0.1:8080", ""] {
            check_way("127.0.0.1", &[("host", host)], Way::Secure);
        }
        check_way("127.0.0.1", &[], Way::Secure);
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        let mut extensions = Extensions::new();
        extensions.insert(ClientAddress("127.0.0.1".parse().unwrap()));
        extensions.insert(OverTls);
        assert_eq!(Way::of(&headers, &extensions), Way::Secure);
    }

    #[test]
    fn reads_what_it_has_set_and_no_other_cookie() {
        let token = Token::new(Label::Session, TokenId::from_uuid(Uuid::nil()), &[7; 32]);
        let whose = Whose { user: UserId::from_uuid(Uuid::nil()), home: WorkspaceId::DEFAULT };
        let session = ConsoleSession { whose, token: token.clone() };
        let set = Way::Secure.set(&session);
        let text = set.to_str().unwrap();
        assert!(text.starts_with("__Host-citadel_session=ctd_session_") && text.ends_with("; Secure"), "{text}");
        assert!(text.contains("; Path=/; HttpOnly; SameSite=Lax; Max-Age=1209600"), "{text}");
        assert!(!Way::PlainLoopback.set(&session).to_str().unwrap().contains("Secure"));
        assert!(Way::Secure.unset().to_str().unwrap().contains("Max-Age=0"));

        let cookie = format!("a=b; citadel_session=planted; {}", text.split(';').next().unwrap());
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::try_from(cookie).unwrap())]);
        assert_eq!(Way::Secure.read(&headers), Some(token.expose()));
        assert_eq!(Way::PlainLoopback.read(&headers), Some("planted"));
        assert_eq!(Way::Secure.read(&HeaderMap::new()), None);
    }
}
