//! Has the code of definitions checked by its languages, a few definitions at a time: a check takes a sandbox, and may take seconds.
//! Whoever waits too long for that is not checked: the run tells then.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinError};

use crate::{model::problem::Problem, nodes::plan::CodeChecks};

/// Definitions whose code is checked at the same time.
const CHECKS_MAX: usize = 2;
/// How long the code of one definition may wait for that and be checked, together.
const CHECK_WITHIN: Duration = Duration::from_secs(10);

/// The places of checks.
pub(super) struct CodeChecking {
    places: Arc<Semaphore>,
    within: Duration,
}

impl Default for CodeChecking {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(CHECKS_MAX)), within: CHECK_WITHIN }
    }
}

impl CodeChecking {
    /// What is wrong with the code of a definition, as far as there is time to tell.
    ///
    /// Errors: the work was cut off.
    pub(super) async fn run(&self, checks: CodeChecks) -> Result<Vec<Problem>, JoinError> {
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let checked = tokio::time::timeout(self.within, self.check(checks)).await;
        checked.unwrap_or_else(|_| {
            tracing::warn!("the code of a definition was not checked in time");
            Ok(Vec::new())
        })
    }

    async fn check(&self, checks: CodeChecks) -> Result<Vec<Problem>, JoinError> {
        let started = Instant::now();
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let left = self.within.saturating_sub(started.elapsed());
        // Goes on if nobody waits any more, and has its place until then.
        let work = tokio::task::spawn_blocking(move || {
            let _place = place;
            checks.run(left)
        });
        work.await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model::{definition::parse::parse_value, ids::WorkflowId},
        nodes::{plan::compile_with_checks, registry::Registry},
        runtimes::languages::Languages,
    };

    fn checks() -> CodeChecks {
        let code = json!({ "id": "c", "type": "code", "params": { "language": "lua", "code": "= =" } });
        let definition = parse_value(json!({ "name": "a", "nodes": [code] })).unwrap();
        let registry = Registry::with_languages(Languages::for_tests());
        compile_with_checks(&registry, definition, WorkflowId::from_uuid(uuid::Uuid::nil()), 1).1
    }

    #[tokio::test]
    async fn checks_at_once_obeyed_and_violated() {
        let checking = CodeChecking { within: Duration::from_millis(50), ..CodeChecking::default() };
        let mut busy: Vec<_> = (0..CHECKS_MAX).map(|_| Arc::clone(&checking.places).try_acquire_owned().unwrap()).collect();
        assert_eq!(checking.run(checks()).await.unwrap(), []);
        drop(busy.pop());
        let checking = CodeChecking { within: Duration::from_secs(60), ..checking };
        assert_eq!(checking.run(checks()).await.unwrap().len(), 1);
        assert_eq!(checking.places.available_permits(), 1, "the place is given back");
    }
}
