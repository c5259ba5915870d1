//! The open connections of the process, by database: a small pool each, the least recently used one dropped when there are too
//! many.
//! A pool closes what is idle by itself.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};
use sqlx::SqlitePool;

use super::{POOLS_MAX, postgres::ServerPool};

/// Every pool of the process. Made once, and shared by all nodes.
#[derive(Default)]
pub struct SqlPools {
    pub(super) sqlite: Pools<SqlitePool>,
    pub(super) postgres: Pools<ServerPool>,
}

/// The pools of one kind of database.
pub(super) struct Pools<P> {
    entries: Mutex<Entries<P>>,
}

struct Entries<P> {
    pools: HashMap<Key, Entry<P>>,
    /// Counts uses: what has a smaller number was used earlier.
    uses: u64,
}

struct Entry<P> {
    pool: P,
    used: u64,
}

impl<P> Default for Pools<P> {
    fn default() -> Self {
        Self { entries: Mutex::new(Entries { pools: HashMap::new(), uses: 0 }) }
    }
}

/// A hash of everything that makes a connection, the password too: whoever does not know it does not get the pool.
pub(super) type Key = [u8; 32];

/// The key of a database.
pub(super) fn key(parts: &[&str]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

impl<P: Clone> Pools<P> {
    /// The pool of a database, made if there is none. `make` opens no connection yet.
    ///
    /// Errors: that of `make`.
    pub(super) fn get<E>(&self, key: Key, make: impl FnOnce() -> Result<P, E>) -> Result<P, E> {
        let mut entries = self.lock();
        entries.uses += 1;
        let used = entries.uses;
        if let Some(entry) = entries.pools.get_mut(&key) {
            entry.used = used;
            return Ok(entry.pool.clone());
        }
        let pool = make()?;
        if entries.pools.len() >= POOLS_MAX {
            let oldest = entries.pools.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            // Runs that use it keep their connections; the others close with the last handle.
            oldest.map(|key| entries.pools.remove(&key));
        }
        entries.pools.insert(key, Entry { pool: pool.clone(), used });
        Ok(pool)
    }

    fn lock(&self) -> MutexGuard<'_, Entries<P>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_pools_that_were_used_last() {
        let pools = Pools::default();
        let numbered = |number: usize| key(&[&number.to_string()]);
        let get = |number: usize| pools.get(numbered(number), || Ok::<_, ()>(number)).unwrap();
        for number in 0..POOLS_MAX {
            get(number);
        }
        assert_eq!(pools.get(numbered(0), || -> Result<usize, ()> { panic!("there is one") }), Ok(0));
        assert_eq!(pools.get(numbered(POOLS_MAX), || Err("no")), Err("no"));
        assert_eq!(pools.lock().pools.len(), POOLS_MAX, "what cannot be made takes nobody's place");
        get(POOLS_MAX);
        let entries = pools.lock();
        assert_eq!(entries.pools.len(), POOLS_MAX);
        assert!(entries.pools.contains_key(&numbered(0)) && !entries.pools.contains_key(&numbered(1)));
    }

    #[test]
    fn keys_differ_where_the_parts_do() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
    }
}
