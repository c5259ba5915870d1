//! Slows down whoever guesses passwords: per account and address, and per address. In memory and bounded.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use super::{AccountsService, LoginError};
use crate::{auth::network::client_network, clock};

/// Failures of one account from one address before the delays start.
const FREE_FAILURES_OF_ACCOUNT: u32 = 5;
/// Failures from one address, whatever the account, before the delays start.
const FREE_FAILURES_OF_ADDRESS: u32 = 20;
/// The first delay; each further failure doubles it.
const DELAY_MS_FIRST: u64 = 1_000;
/// The longest delay.
const DELAY_MS_MAX: u64 = 5 * 60_000;
/// How long a failure is remembered after the last one.
const MEMORY_MS: u64 = 15 * 60_000;
/// Accounts and addresses that are remembered; the one with the oldest failure is forgotten first.
const ENTRIES_MAX: usize = 10_000;

/// Whose failures are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    AccountFrom(String, IpAddr),
    Address(IpAddr),
}

/// What is remembered of one key.
#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: u32,
    last_ms: u64,
    blocked_until_ms: u64,
}

/// The memory of failed logins.
#[derive(Debug, Default)]
pub(super) struct LoginDelay {
    failures: Mutex<HashMap<Key, Failures>>,
}

impl LoginDelay {
    /// Takes note of an attempt. It counts as a failure from the start, or of a thousand attempts at once each would come before the
    /// first failure.
    ///
    /// Errors: how long this caller has to wait before it may try, in milliseconds.
    pub(super) fn begin(&self, account: &str, address: IpAddr, now_ms: u64) -> Result<(), u64> {
        let mut failures = self.failures.lock().expect("nothing panics under this lock");
        let keys = keys(account, address);
        let blocked = keys.iter().filter_map(|(key, _)| failures.get(key)).map(|entry| entry.blocked_until_ms).max();
        match blocked.unwrap_or(0).saturating_sub(now_ms) {
            0 => {}
            wait_ms => return Err(wait_ms),
        }
        for (key, free) in keys {
            if !failures.contains_key(&key) {
                make_room(&mut failures, now_ms);
            }
            let entry = failures.entry(key).or_default();
            if now_ms.saturating_sub(entry.last_ms) > MEMORY_MS {
                *entry = Failures::default();
            }
            entry.count = entry.count.saturating_add(1);
            entry.last_ms = now_ms;
            entry.blocked_until_ms = now_ms + delay_ms(entry.count.saturating_sub(free));
        }
        Ok(())
    }

    /// Forgets an attempt that has come to nothing.
    pub(super) fn take_back(&self, account: &str, address: IpAddr) {
        let mut failures = self.failures.lock().expect("nothing panics under this lock");
        for (key, free) in keys(account, address) {
            let Some(entry) = failures.get_mut(&key) else { continue };
            entry.count = entry.count.saturating_sub(1);
            if entry.count <= free {
                entry.blocked_until_ms = 0;
            }
        }
    }

    /// Forgets an account's failures from an address: the right password was given. The address stays remembered, or one
    /// account of one's own would open the way to guess at all the others.
    pub(super) fn record_success(&self, account: &str, address: IpAddr) {
        self.take_back(account, address);
        let mut failures = self.failures.lock().expect("nothing panics under this lock");
        failures.remove(&Key::AccountFrom(account.to_owned(), client_network(address)));
    }
}

/// One attempt to log in. If it is dropped before it is known how it ended, it is taken back.
pub(super) struct Attempt<'a> {
    /// `None` where logins are not limited, and once the attempt has ended.
    delay: Option<&'a LoginDelay>,
    account: String,
    address: IpAddr,
    has_failed: bool,
}

impl Attempt<'_> {
    /// The password is known to be wrong, unless [`Self::succeeded`] follows.
    pub(super) fn failed(&mut self) {
        self.has_failed = true;
    }

    /// The password is right.
    pub(super) fn succeeded(mut self) {
        if let Some(delay) = self.delay.take() {
            delay.record_success(&self.account, self.address);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(delay) = self.delay.take().filter(|_| !self.has_failed) {
            delay.take_back(&self.account, self.address);
        }
    }
}

impl AccountsService {
    /// Takes note of an attempt to log in, where logins are limited.
    ///
    /// Errors: `TooMany`.
    pub(super) fn begin_attempt(&self, email: &str, address: IpAddr) -> Result<Attempt<'_>, LoginError> {
        let attempt = |delay| Attempt { delay, account: email.to_owned(), address, has_failed: false };
        if !self.inner.limits.is_on() {
            return Ok(attempt(None));
        }
        let begun = self.inner.delay.begin(email, address, clock::now_ms());
        begun.map_err(|retry_after_ms| LoginError::TooMany { retry_after_ms })?;
        Ok(attempt(Some(&self.inner.delay)))
    }
}

/// The keys of one attempt, each with its free failures.
fn keys(account: &str, address: IpAddr) -> [(Key, u32); 2] {
    let address = client_network(address);
    [(Key::AccountFrom(account.to_owned(), address), FREE_FAILURES_OF_ACCOUNT), (Key::Address(address), FREE_FAILURES_OF_ADDRESS)]
}

/// The delay after the `excess`-th failure beyond the free ones.
fn delay_ms(excess: u32) -> u64 {
    match excess {
        0 => 0,
        _ => DELAY_MS_FIRST.saturating_mul(1_u64.checked_shl(excess - 1).unwrap_or(u64::MAX)).min(DELAY_MS_MAX),
    }
}

/// Forgets old entries when the memory is full, and the oldest one if that is not enough.
fn make_room(failures: &mut HashMap<Key, Failures>, now_ms: u64) {
    if failures.len() < ENTRIES_MAX {
        return;
    }
    failures.retain(|_, entry| now_ms.saturating_sub(entry.last_ms) <= MEMORY_MS);
    if failures.len() >= ENTRIES_MAX {
        let oldest = failures.iter().min_by_key(|(_, entry)| entry.last_ms).map(|(key, _)| key.clone());
        oldest.map(|key| failures.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    const ADA: &str = "ada@example.org";

    /// How long the next attempt has to wait.
    fn wait_ms(delay: &LoginDelay, account: &str, address: IpAddr, now_ms: u64) -> u64 {
        let begun = delay.begin(account, address, now_ms);
        if begun.is_ok() {
            delay.take_back(account, address);
        }
        begun.err().unwrap_or(0)
    }

    /// Fails as often as it may, each time as soon as it may; answers when that was done.
    fn fail(delay: &LoginDelay, count: u32) -> u64 {
        let mut now_ms = 1_000;
        for _ in 0..count {
            now_ms += wait_ms(delay, ADA, HOME, now_ms);
            delay.begin(ADA, HOME, now_ms).unwrap();
        }
        now_ms
    }

    #[track_caller]
    fn check_wait(failures: u32, expected_ms: u64) {
        let delay = LoginDelay::default();
        let now_ms = fail(&delay, failures);
        assert_eq!(wait_ms(&delay, ADA, HOME, now_ms), expected_ms);
    }

    #[test]
    fn lets_a_few_typos_pass_and_then_doubles_the_wait() {
        check_wait(5, 0);
        check_wait(6, 1_000);
        check_wait(8, 4_000);
        check_wait(20, DELAY_MS_MAX);
    }

    #[test]
    fn counts_attempts_that_come_at_once() {
        let delay = LoginDelay::default();
        let begun = (0..100).filter(|_| delay.begin(ADA, HOME, 1_000).is_ok()).count();
        assert_eq!(begun, 6);
        assert_eq!(wait_ms(&delay, ADA, AWAY, 1_000), 0, "the owner is not locked out from elsewhere");
    }

    #[test]
    fn takes_back_what_came_to_nothing() {
        let delay = LoginDelay::default();
        (0..100).for_each(|_| {
            delay.begin(ADA, HOME, 1_000).unwrap();
            delay.take_back(ADA, HOME);
        });
        assert_eq!(wait_ms(&delay, ADA, HOME, 1_000), 0);
    }

    #[test]
    fn counts_the_network_of_an_ipv6_client() {
        let delay = LoginDelay::default();
        let at = |host: u128| IpAddr::V6(std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) + host));
        (0..6).for_each(|host| delay.begin("a@example.org", at(host), 1_000).unwrap());
        assert!(delay.begin("a@example.org", at(7), 1_000).is_err());
        assert!(delay.begin("a@example.org", at(1 << 64), 1_000).is_ok(), "another network");
    }

    #[test]
    fn counts_an_address_over_all_accounts() {
        let delay = LoginDelay::default();
        (0..21).for_each(|n| delay.begin(&format!("{n}@example.org"), HOME, 1_000).unwrap());
        assert_eq!(wait_ms(&delay, "new@example.org", HOME, 1_000), 1_000);
        // One account of one's own does not make the others free.
        delay.begin(ADA, HOME, 2_000).unwrap();
        delay.record_success(ADA, HOME);
        assert!(delay.begin("new@example.org", HOME, 4_000).is_ok());
        assert_eq!(wait_ms(&delay, "other@example.org", HOME, 4_000), 2_000);
    }

    #[test]
    fn forgets_after_success_and_after_a_while() {
        let delay = LoginDelay::default();
        let now_ms = fail(&delay, 6) + 1_000;
        delay.begin(ADA, HOME, now_ms).unwrap();
        delay.record_success(ADA, HOME);
        assert_eq!(wait_ms(&delay, ADA, HOME, now_ms), 0);
        let delay = LoginDelay::default();
        let later_ms = fail(&delay, 6) + MEMORY_MS + 1;
        delay.begin(ADA, HOME, later_ms).unwrap();
        assert_eq!(wait_ms(&delay, ADA, HOME, later_ms), 0);
    }

    #[test]
    fn stays_within_its_bound() {
        let delay = LoginDelay::default();
        for n in 0..u32::try_from(ENTRIES_MAX / 2).unwrap() + 10 {
            delay.begin(&n.to_string(), Ipv4Addr::from_bits(n).into(), 1_000).unwrap();
        }
        assert!(delay.failures.lock().unwrap().len() <= ENTRIES_MAX);
    }
}
