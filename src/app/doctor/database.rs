//! The database: whether it answers, what schema it has, and whether its clock agrees with ours.

use super::Finding;
use crate::{
    app::database::{self, Migration},
    clock,
    config::{Config, Migrate},
    model::problem::counted,
    store::open::database_clock_ms,
};

/// A clock before this is wrong: it is older than this release. Unix milliseconds of 2025-11-01.
const CLOCK_MS_MIN: u64 = 1_761_955_200_000;
/// Difference to the database's clock that is worth a warning, and one that is a problem, in milliseconds. Leases run by the
/// database's clock alone; schedules and shown times by ours.
const SKEW_MS_WARNING: u64 = 2_000;
const SKEW_MS_PROBLEM: u64 = 60_000;

/// Whether the database can be reached, and what a start would do about its schema.
pub(super) async fn schema(config: &Config) -> Finding {
    match database::migrations(config).await {
        Ok(all) => judge_schema(&all, config.store.migrate),
        Err(error) => {
            let hint = crate::app::process::hint(&error).unwrap_or("check store.url");
            Finding::problem("database", format!("{error:#}"), hint)
        }
    }
}

fn judge_schema(all: &[Migration], migrate: Migrate) -> Finding {
    let applied = all.iter().filter(|migration| migration.applied).count();
    let version = all.iter().filter(|migration| migration.applied).map(|migration| migration.version).max().unwrap_or(0);
    let detail = format!("reachable, schema version {version}, {applied} of {} applied", counted(all.len(), "migration"));
    match (applied == all.len(), migrate) {
        (true, _) => Finding::good("database", detail),
        (false, Migrate::Auto) => Finding::good("database", format!("{detail}; the next start applies the others")),
        (false, Migrate::Check) => Finding::problem("database", detail, "run `citadel db migrate`, or start with --migrate auto"),
        (false, Migrate::Off) => Finding::warning("database", detail, "run `citadel db migrate`"),
    }
}

/// Whether the clock is plausible and agrees with the database's.
pub(super) async fn clock(config: &Config) -> Finding {
    let before_ms = clock::now_ms();
    let database_ms = database_clock_ms(&config.store_url()).await;
    let after_ms = clock::now_ms();
    match database_ms {
        // Half of the way there and back.
        Ok(database_ms) => judge_clock(before_ms.midpoint(after_ms), database_ms),
        Err(error) => Finding::warning("clock", format!("the database's clock cannot be asked: {error}"), "check store.url"),
    }
}

fn judge_clock(now_ms: u64, database_ms: Option<u64>) -> Finding {
    const HINT: &str = "let this machine and the database's set their clocks by NTP";
    if now_ms < CLOCK_MS_MIN {
        return Finding::problem("clock", "the clock of this machine is years behind", HINT);
    }
    let Some(database_ms) = database_ms else {
        return Finding::good("clock", "plausible; an embedded database has no other");
    };
    let skew_ms = now_ms.abs_diff(database_ms);
    let detail = format!("differs from the database's by {skew_ms} ms");
    match skew_ms {
        SKEW_MS_PROBLEM.. => Finding::problem("clock", detail, HINT),
        SKEW_MS_WARNING..SKEW_MS_PROBLEM => Finding::warning("clock", detail, HINT),
        _ => Finding::good("clock", detail),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn judges_a_schema_by_what_a_start_would_do() {
        let step = |version, applied| Migration { version, name: "x", applied };
        let (current, old) = ([step(1, true), step(2, true)], [step(1, true), step(2, false)]);
        assert_eq!(judge_schema(&current, Migrate::Check).state, State::Good);
        assert_eq!(judge_schema(&old, Migrate::Auto).state, State::Good);
        assert_eq!(judge_schema(&old, Migrate::Check).state, State::Problem);
        assert_eq!(judge_schema(&old, Migrate::Off).state, State::Warning);
        assert!(judge_schema(&old, Migrate::Off).detail.contains("version 1, 1 of 2"));
    }

    #[test]
    fn judges_a_clock_by_its_difference() {
        let now_ms = CLOCK_MS_MIN + 1;
        let state = |database_ms| judge_clock(now_ms, database_ms).state;
        assert_eq!(state(None), State::Good);
        assert_eq!(state(Some(now_ms + SKEW_MS_WARNING - 1)), State::Good);
        assert_eq!(state(Some(now_ms - SKEW_MS_WARNING)), State::Warning);
        assert_eq!(state(Some(now_ms + SKEW_MS_PROBLEM)), State::Problem);
        assert_eq!(judge_clock(CLOCK_MS_MIN - 1, None).state, State::Problem);
    }
}
