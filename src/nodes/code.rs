//! `code`: the user's code in a sandbox, once for all items or once per item, in every language that is installed.
//!
//! Code may read the clock and draw random numbers, so it is not pure; without a grant of the network it changes nothing outside, so
//! it may be repeated. A fresh sandbox per node run, one for all items of the run.

mod grants;
mod network;
mod params;
mod program;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::params::ENV_COUNT_MAX;
use self::{
    params::{Mode, Params},
    run::Job,
};
use super::{
    Description, EffectNode, NodeType, Outcome, Pool, Prepared, Runner,
    context::EffectContext,
    params::{Param, invalid, read},
};
use crate::{
    model::{
        catalog::{EffectClass, NodeShape},
        definition::NodeDefinition,
        error::{NodeError, codes},
        item::PortItems,
        problem::Problem,
    },
    runtimes::{
        code::{Code, CodeLimits},
        languages::{Isolation, Languages},
        wasm::WASM,
    },
};

/// Longest wall or CPU time that a node may ask for, in milliseconds.
pub const WALL_MS_MAX: u64 = 15 * 60_000;

/// The node type.
pub struct CodeNode {
    /// `None` where it is not known what is installed.
    languages: Option<Arc<Languages>>,
}

impl CodeNode {
    pub(super) fn new(languages: Option<Arc<Languages>>) -> Self {
        Self { languages }
    }

    /// Whether the language is there and may be given the grants.
    fn check_language(&self, params: &Params) -> Result<(), Vec<Problem>> {
        let Some(languages) = &self.languages else { return Ok(()) };
        let Some(language) = languages.get(&params.language) else {
            return Err(vec![Problem::new("/params/language", codes::NOT_INSTALLED, languages.complaint(&params.language))]);
        };
        let offered = language.info().grants;
        let refused =
            [("env", !params.grants.env.is_empty() && !offered.env), ("network", params.grants.network && !offered.network)];
        let problems: Vec<Problem> = refused
            .iter()
            .filter(|(_, is_refused)| *is_refused)
            .map(|(name, _)| invalid(&format!("/params/grants/{name}"), format!("{} cannot be granted it", params.language)))
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl NodeType for CodeNode {
    fn describe(&self) -> Description {
        Description {
            type_name: "code",
            summary: "Runs code over the items: JavaScript, TypeScript, Lua, WebAssembly and whatever else is installed",
            params_schema: params::schema(),
            verbatim: &["code"],
        }
    }

    fn prepare(&self, node: &NodeDefinition) -> Result<Prepared, Vec<Problem>> {
        let params: Params = read(node)?;
        let mut problems = self.check_language(&params).err().unwrap_or_default();
        match Source::of(&params) {
            Ok(source) if problems.is_empty() => {
                let mut limits = params.limits;
                limits.wall_ms = node.timeout.map_or(limits.wall_ms, |timeout| limits.wall_ms.min(timeout.0));
                let effect = if params.grants.network { EffectClass::Effect } else { EffectClass::Idempotent };
                let language = self.languages.as_ref().and_then(|languages| languages.get(&params.language));
                let pool = language.map_or(Pool::Wasm, |language| pool_of(language.info().isolation));
                let runner = CodeRunner { source, mode: params.mode, limits, grants: params.grants, pool };
                Ok(Prepared { shape: NodeShape::step(effect), runner: Runner::Effect(Arc::new(runner)) })
            }
            Ok(_) => Err(problems),
            Err(problem) => {
                problems.push(problem);
                Err(problems)
            }
        }
    }
}

/// The pool that bounds code in a language.
pub fn pool_of(isolation: Isolation) -> Pool {
    match isolation {
        Isolation::WebAssembly => Pool::Wasm,
        Isolation::Process | Isolation::ProcessReduced => Pool::Native,
    }
}

/// Where a node's code is.
enum Source {
    Written(Arc<Code>),
    /// In the blob store.
    Stored(Param),
}

impl Source {
    fn of(params: &Params) -> Result<Self, Problem> {
        match (&params.code, &params.program) {
            (Some(code), None) => match Code::parse(&params.language, code.as_str()) {
                Ok(code) => Ok(Self::Written(Arc::new(code))),
                Err(error) => Err(Problem::new("/params/code", codes::CODE_SYNTAX, error.to_string())),
            },
            (None, Some(program)) if params.language == WASM => Ok(Self::Stored(program.clone())),
            (None, Some(_)) => Err(invalid("/params/program", format!("code in {} is text: give it as `code`", params.language))),
            (Some(_), Some(_)) => Err(invalid("/params/program", "there is `code` already: give one of them")),
            (None, None) => Err(Problem::new("/params", "missing_field", "the parameter `code` is missing")),
        }
    }
}

struct CodeRunner {
    source: Source,
    mode: Mode,
    limits: CodeLimits,
    grants: params::Grants,
    pool: Pool,
}

#[async_trait]
impl EffectNode for CodeRunner {
    async fn run(&self, mut ctx: EffectContext) -> Result<Outcome, NodeError> {
        let grants = grants::of_run(&self.grants, &mut ctx).await?;
        let code = match &self.source {
            Source::Written(code) => Arc::clone(code),
            Source::Stored(program) => Arc::new(program::of_run(program, &mut ctx).await?),
        };
        let job = Job { code, limits: self.limits, grants };
        let mode = self.mode;
        // Not aborted with the attempt: the wall time ends it.
        let work = tokio::task::spawn_blocking(move || match mode {
            Mode::All => job.run_all(ctx),
            Mode::Each => job.run_each(ctx),
        });
        let items = match work.await {
            Ok(result) => result?,
            Err(error) => return Err(NodeError::permanent(codes::PANICKED, format!("the sandbox did not end: {error}"))),
        };
        Ok(Outcome::Done(PortItems::main(items)))
    }

    fn code(&self) -> Option<&Arc<Code>> {
        match &self.source {
            Source::Written(code) => Some(code),
            Source::Stored(_) => None,
        }
    }

    fn pool(&self) -> Pool {
        self.pool
    }

    fn memory_bytes(&self) -> usize {
        self.limits.memory_bytes
    }
}
