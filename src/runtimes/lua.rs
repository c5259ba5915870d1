//! Lua: the reference implementation in WebAssembly, a fresh guest instance per node run.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use super::{
    code::{CHECK_LIMITS, Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput},
    grants::Grants,
    languages::{CodeSession, GrantsOffered, Isolation, Language, LanguageInfo},
    sandbox::{
        EngineError, Sandbox,
        error::{GuestError, Thrown},
        interpreter::{Dialect, Function, Guest, Interpreter, RawThrown, Source},
    },
};

/// The guest, before its boot.
const GUEST: &[u8] = include_bytes!(env!("CITADEL_LUA_GUEST"));
/// The name of the language.
pub const LUA: &str = "lua";
const DIALECT: Dialect = Dialect { read_thrown, out_of_memory: "not enough memory" };

/// The pre-booted guest: made once per process.
pub struct Lua {
    interpreter: Interpreter,
}

impl Lua {
    /// Boots, snapshots and compiles the guest, or loads what an earlier process compiled.
    ///
    /// Errors: [`EngineError`]; none of them passes by itself.
    pub fn new(sandbox: Arc<Sandbox>) -> Result<Self, EngineError> {
        let source = Source { name: LUA, wasm: GUEST, dialect: DIALECT };
        Ok(Self { interpreter: Interpreter::new(sandbox, source)? })
    }

    /// What is published of it.
    pub fn about() -> LanguageInfo {
        LanguageInfo {
            name: LUA.to_owned(),
            title: "Lua".to_owned(),
            version: "5.4".to_owned(),
            isolation: Isolation::WebAssembly,
            grants: GrantsOffered { env: true, network: true },
            notes: vec![
                "JSON's null is `json.null`; an empty table is an empty array, unless it is marked by `json.object`".to_owned(),
                "the time zone is UTC; `io`, `debug` and `require` are not there".to_owned(),
            ],
        }
    }

    fn start(&self, code: &Code, limits: CodeLimits, grants: &Grants) -> Result<Live, CodeError> {
        let mut guest = self.interpreter.instantiate(limits.of_instance())?;
        guest.grant(grants);
        let function = guest.compile(code.source(), 0).map_err(|error| match error {
            GuestError::Thrown(_) => CodeError { code: CodeErrorCode::Syntax, ..CodeError::from(error) },
            other => CodeError::from(other),
        })?;
        Ok(Live { guest, function })
    }
}

impl Language for Lua {
    fn info(&self) -> LanguageInfo {
        Self::about()
    }

    fn check(&self, code: &Code) -> Result<(), CodeError> {
        self.start(code, CHECK_LIMITS, &Grants::default()).map(|_| ())
    }

    fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits, grants: &'a Grants) -> Box<dyn CodeSession + 'a> {
        Box::new(LuaSession { lua: self, code, limits, grants, live: None })
    }
}

struct LuaSession<'a> {
    lua: &'a Lua,
    code: &'a Code,
    limits: CodeLimits,
    grants: &'a Grants,
    live: Option<Live>,
}

struct Live {
    guest: Guest,
    function: Function,
}

impl CodeSession for LuaSession<'_> {
    fn run(&mut self, input: CodeInput<'_>) -> Result<CodeOutput, CodeError> {
        let reused = self.live.take();
        let cold = reused.is_none();
        let mut live = match reused {
            Some(live) => live,
            None => self.lua.start(self.code, self.limits, self.grants)?,
        };
        let result: Result<Value, GuestError> =
            live.guest.call_with_json(live.function, &input.variables_with_env_to_json(self.code, self.grants));
        let goes_on = !result.as_ref().is_err_and(GuestError::ends_instance);
        let output = live.guest.finish(result, cold);
        self.live = goes_on.then_some(live);
        output
    }
}

fn read_thrown(RawThrown { name, message, line, stack }: RawThrown) -> Thrown {
    Thrown { name, message, line, column: None, stack: Some(stack).filter(|stack| !stack.is_empty()), is_denied: false }
}
