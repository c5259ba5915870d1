//! Runs code for a caller: once, in a fresh sandbox, without a workflow; by the places, languages and limits of code nodes. Not an
//! actor: the pool bounds how many run and wait, and the caller's limits how long.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    code_budget::BudgetSpent,
    engine::Engine,
    pool::{PoolRefused, Priority, Slot, Want},
};
pub use crate::runtimes::{
    code::{CodeError, CodeErrorCode, CodeLimits, CodeOutput, JAVASCRIPT, Usage, stderr_of, stdout_of},
    languages::{GrantsOffered, Isolation, LanguageInfo},
};
use crate::{
    model::{error::codes, ids::WorkspaceId, limits::OUTPUT_BYTES_MAX, log::CodeUsage, problem::Problem},
    nodes::{
        Pool,
        code::{ENV_COUNT_MAX, pool_of},
    },
    runtimes::{
        code::{Code, CodeInput, CodeRequest},
        grants::{Grants, env_complaint},
        sandbox::MEMORY_BYTES_MAX,
    },
};

/// The most that a caller may ask for: it waits for the answer.
pub const CODE_RUN_LIMITS_MAX: CodeLimits = CodeLimits {
    wall_ms: 60_000,
    cpu_ms: 60_000,
    memory_bytes: MEMORY_BYTES_MAX,
    output_bytes: OUTPUT_BYTES_MAX,
    log_bytes: crate::model::limits::LOG_BYTES_MAX,
};
/// Length of a variable's name, as in code nodes.
const ENV_NAME_BYTES_MAX: usize = 64;
/// How long a run may wait for its place.
const PLACE_WITHIN: Duration = Duration::from_secs(30);

/// A piece of code to run once.
pub struct CodeRunRequest {
    /// Whose turn it is among those that wait.
    pub workspace: WorkspaceId,
    pub language: String,
    pub source: String,
    pub input: Value,
    pub limits: CodeLimits,
    /// What the code finds in its environment. May be secret.
    pub env: BTreeMap<String, String>,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum CodeRunError {
    #[error("as many runs wait already as are allowed")]
    Overloaded,
    /// Its workspace has used what it may for now.
    #[error(transparent)]
    BudgetSpent(#[from] BudgetSpent),
    #[error("the server is shutting down")]
    Draining,
    /// With pointers into the request.
    #[error("the request has problems")]
    Invalid(Vec<Problem>),
    #[error("the run was interrupted")]
    Interrupted,
}

/// The way to run code. Cheap to clone.
#[derive(Clone)]
pub struct CodeRunsHandle {
    engine: Arc<Engine>,
}

impl CodeRunsHandle {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// The languages that are here, by name.
    pub fn languages(&self) -> Vec<LanguageInfo> {
        self.engine.services.languages.infos().collect()
    }

    /// Runs code once. What the code does wrong is in the inner result.
    ///
    /// Errors: see [`CodeRunError`].
    pub async fn run(&self, request: CodeRunRequest) -> Result<Result<CodeOutput, CodeError>, CodeRunError> {
        self.check(&request)?;
        let code = match Code::parse(&request.language, request.source.as_str()) {
            Ok(code) => code,
            Err(error) => {
                let at = (Some(error.position.line), Some(error.position.column));
                return Ok(Err(CodeError { line: at.0, column: at.1, ..CodeError::new(CodeErrorCode::Syntax, error.message) }));
            }
        };
        let slot = self.place(&request).await?;
        let mut meter = self.engine.code_budget.begin(request.workspace)?;
        let languages = Arc::clone(&self.engine.services.languages);
        // Goes on if the caller leaves: its limits end it, and until then it has its place.
        let run = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            let grants = Grants { workspace: Some(request.workspace), env: request.env, network: None };
            let ran = languages.run(&CodeRequest {
                code: &code,
                input: CodeInput::Value(&request.input),
                limits: request.limits,
                grants: &grants,
            });
            match ran.as_ref().map(|output| &output.usage) {
                Ok(usage) | Err(CodeError { usage: Some(usage), .. }) => {
                    meter.used(Duration::from_micros(CodeUsage::from(*usage).cpu_us));
                }
                Err(error) if error.code == CodeErrorCode::Unavailable => meter.used(Duration::ZERO),
                // It was not told what a start or a compilation took: its time counts.
                Err(_) => {}
            }
            ran
        });
        run.await.map_err(|_| CodeRunError::Interrupted)
    }

    fn check(&self, request: &CodeRunRequest) -> Result<(), CodeRunError> {
        if self.engine.is_draining.load(Ordering::Relaxed) {
            return Err(CodeRunError::Draining);
        }
        let mut problems = beyond(&request.limits);
        problems.extend(bad_names(&request.env));
        problems.extend(env_complaint(&request.env).map(|detail| Problem::new("/env", codes::INVALID_PARAMETER, detail)));
        let languages = &self.engine.services.languages;
        match languages.get(&request.language) {
            Some(language) if !request.env.is_empty() && !language.info().grants.env => {
                let detail = format!("{} has no environment", request.language);
                problems.push(Problem::new("/env", codes::INVALID_PARAMETER, detail));
            }
            Some(_) => {}
            None => problems.push(Problem::new("/language", codes::NOT_INSTALLED, languages.complaint(&request.language))),
        }
        if problems.is_empty() { Ok(()) } else { Err(CodeRunError::Invalid(problems)) }
    }

    /// Waits for a place in the pool of the language: behind executions that have begun, and in turn with new work.
    async fn place(&self, request: &CodeRunRequest) -> Result<Slot, CodeRunError> {
        let (tell, told) = oneshot::channel();
        let want = Want {
            priority: Priority::New,
            workspace: request.workspace,
            share: Uuid::nil(),
            memory_bytes: request.limits.memory_bytes,
        };
        let language = self.engine.services.languages.get(&request.language);
        let pool = language.map_or(Pool::Wasm, |language| pool_of(language.info().isolation));
        self.engine.pool(pool).acquire(want, move |place| drop(tell.send(place)));
        match tokio::time::timeout(PLACE_WITHIN, told).await {
            Ok(Ok(Ok(slot))) => Ok(slot),
            Ok(Ok(Err(PoolRefused::Full))) | Err(_) => Err(CodeRunError::Overloaded),
            Ok(Ok(Err(PoolRefused::Down)) | Err(_)) => Err(CodeRunError::Draining),
        }
    }
}

/// The names that no environment may have.
fn bad_names(env: &BTreeMap<String, String>) -> Option<Problem> {
    let is_good = |name: &String| {
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_word && (1..=ENV_NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    let detail = match env.keys().find(|name| !is_good(name)) {
        Some(name) => format!("{name:?} is no name: letters, digits and `_`, up to {ENV_NAME_BYTES_MAX} of them, no digit first"),
        None if env.len() > ENV_COUNT_MAX => format!("there are {} variables, more than {ENV_COUNT_MAX}", env.len()),
        None => return None,
    };
    Some(Problem::new("/env", codes::INVALID_PARAMETER, detail))
}

/// The limits that are zero or above the most.
fn beyond(limits: &CodeLimits) -> Vec<Problem> {
    let max = &CODE_RUN_LIMITS_MAX;
    let bytes = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    let pairs = [
        ("wall_ms", limits.wall_ms, max.wall_ms),
        ("cpu_ms", limits.cpu_ms, max.cpu_ms),
        ("memory_bytes", bytes(limits.memory_bytes), bytes(max.memory_bytes)),
        ("output_bytes", bytes(limits.output_bytes), bytes(max.output_bytes)),
        ("log_bytes", bytes(limits.log_bytes), bytes(max.log_bytes)),
    ];
    let is_beyond = |(_, value, most): &(&str, u64, u64)| !(1..=*most).contains(value);
    let problem = |(name, _, most): (&str, u64, u64)| {
        Problem::new(format!("/limits/{name}"), codes::INVALID_PARAMETER, format!("has to be from 1 to {most}"))
    };
    pairs.into_iter().filter(is_beyond).map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_obeyed_and_violated() {
        let env = |names: &[String]| names.iter().map(|name| (name.clone(), String::new())).collect::<BTreeMap<_, _>>();
        let many = |count| (0..count).map(|number| format!("V_{number}")).collect::<Vec<_>>();
        assert_eq!(bad_names(&env(&many(ENV_COUNT_MAX))), None);
        assert_eq!(bad_names(&env(&["x".repeat(ENV_NAME_BYTES_MAX)])), None);
        assert!(bad_names(&env(&many(ENV_COUNT_MAX + 1))).is_some());
        for name in [String::new(), "A=B".to_owned(), "1A".to_owned(), "é".to_owned(), "x".repeat(ENV_NAME_BYTES_MAX + 1)] {
            assert!(bad_names(&env(std::slice::from_ref(&name))).is_some(), "{name}");
        }
    }

    #[test]
    fn limits_obeyed_and_violated() {
        assert_eq!(beyond(&CODE_RUN_LIMITS_MAX), []);
        assert_eq!(beyond(&CodeLimits::default()), []);
        let over = CodeLimits { wall_ms: CODE_RUN_LIMITS_MAX.wall_ms + 1, log_bytes: 0, ..CodeLimits::default() };
        let pointers: Vec<String> = beyond(&over).into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(pointers, ["/limits/wall_ms", "/limits/log_bytes"]);
    }
}
