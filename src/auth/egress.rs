//! What may be reached from here. Every outgoing connection of the product goes through [`EgressClient`] (HTTP) or
//! [`EgressClient::resolve`] (databases): there is no other way out. Must never connect to an address that was not checked,
//! and never check one address and connect to another.

mod client;
mod listeners;
mod policy;
mod ranges;
mod redirect;
mod resolver;
mod rules;
mod watch;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod watch_tests;

/// The vocabulary of requests and answers, so that no other room names the HTTP library.
pub use reqwest::{Method, StatusCode, Url, header};

pub use self::{
    client::{EgressClient, EgressError, EgressRequest, EgressResponse, ListsError},
    policy::{EgressDenied, EgressPolicy},
    redirect::without_secrets,
    resolver::Lookup,
    rules::InvalidRule,
    watch::{DenialWatch, OnBehalf},
};

/// Redirects that one request follows.
pub const REDIRECTS_MAX: u32 = 5;
/// Wall time of a name's resolution and of a connection's start, in milliseconds each.
pub const CONNECT_MS_MAX: u64 = 10_000;
/// Addresses of one name that are looked at.
pub const ADDRESSES_MAX: usize = 64;
/// Idle connections kept per host.
pub const IDLE_CONNECTIONS_PER_HOST_MAX: usize = 16;
/// How long an idle connection is kept, in milliseconds.
pub const IDLE_CONNECTION_MS_MAX: u64 = 90_000;
