//! Slows down whoever guesses passwords: per account and address, and per address. In memory and bounded.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

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
    /// How long this caller has to wait before it may try again, in milliseconds; 0: not at all.
    pub(super) fn wait_ms(&self, account: &str, address: IpAddr, now_ms: u64) -> u64 {
        let failures = self.failures.lock().expect("nothing panics under this lock");
        let blocked =
            keys(account, address).into_iter().filter_map(|(key, _)| failures.get(&key)).map(|entry| entry.blocked_until_ms);
        blocked.max().unwrap_or(0).saturating_sub(now_ms)
    }

    /// Records a wrong password.
    pub(super) fn record_failure(&self, account: &str, address: IpAddr, now_ms: u64) {
        let mut failures = self.failures.lock().expect("nothing panics under this lock");
        for (key, free) in keys(account, address) {
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
    }

    /// Forgets an account's failures from an address: the right password was given. The address stays remembered, or one
    /// account of one's own would open the way to guess at all the others.
    pub(super) fn record_success(&self, account: &str, address: IpAddr) {
        let mut failures = self.failures.lock().expect("nothing panics under this lock");
        failures.remove(&Key::AccountFrom(account.to_owned(), address));
    }
}

/// The keys of one attempt, each with its free failures.
fn keys(account: &str, address: IpAddr) -> [(Key, u32); 2] {
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

    fn after_failures(count: u32) -> LoginDelay {
        let delay = LoginDelay::default();
        (0..count).for_each(|_| delay.record_failure("a@example.org", HOME, 1_000));
        delay
    }

    #[test]
    fn lets_a_few_typos_pass_and_then_doubles_the_wait() {
        assert_eq!(after_failures(5).wait_ms("a@example.org", HOME, 1_000), 0);
        assert_eq!(after_failures(6).wait_ms("a@example.org", HOME, 1_000), 1_000);
        assert_eq!(after_failures(8).wait_ms("a@example.org", HOME, 1_000), 4_000);
        assert_eq!(after_failures(100).wait_ms("a@example.org", HOME, 1_000), DELAY_MS_MAX);
    }

    #[test]
    fn does_not_lock_the_owner_out_from_elsewhere() {
        assert_eq!(after_failures(100).wait_ms("a@example.org", AWAY, 1_000), 0);
    }

    #[test]
    fn counts_an_address_over_all_accounts() {
        let delay = LoginDelay::default();
        (0..21).for_each(|n| delay.record_failure(&format!("{n}@example.org"), HOME, 1_000));
        assert_eq!(delay.wait_ms("new@example.org", HOME, 1_000), 1_000);
    }

    #[test]
    fn forgets_after_success_and_after_a_while() {
        let delay = after_failures(6);
        delay.record_success("a@example.org", HOME);
        assert_eq!(delay.wait_ms("a@example.org", HOME, 1_000), 0);
        let delay = after_failures(6);
        delay.record_failure("a@example.org", HOME, 1_001 + MEMORY_MS);
        assert_eq!(delay.wait_ms("a@example.org", HOME, 1_001 + MEMORY_MS), 0);
    }

    #[test]
    fn stays_within_its_bound() {
        let delay = LoginDelay::default();
        (0..ENTRIES_MAX + 10).for_each(|n| delay.record_failure(&n.to_string(), HOME, 1_000));
        assert!(delay.failures.lock().unwrap().len() <= ENTRIES_MAX);
    }
}
