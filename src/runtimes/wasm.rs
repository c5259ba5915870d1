//! The user's own WebAssembly: a command of WASI preview 1 (a module) or preview 2 (a component), as base64. It reads the input as JSON
//! on its standard input and writes the output as JSON on its standard output, like a process does.

mod binary;
mod cache;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use wasmtime::{Engine, Linker, component};
use wasmtime_wasi::p1::WasiP1Ctx;

pub(super) use self::binary::Binary;
pub use self::binary::{WASM, WASM_BYTES_MAX};
use self::{cache::ProgramCache, run::WasmSession};
use super::{
    code::{Code, CodeError, CodeErrorCode, CodeLimits, Parsed},
    grants::Grants,
    languages::{CodeSession, GrantsOffered, Isolation, Language, LanguageInfo},
    sandbox::{EngineError, Sandbox, state::HostState, wasi::WasiState},
};

/// Runs the user's WebAssembly. Compiled programs are kept as long as the process lives, the latest of them.
pub struct Wasm {
    sandbox: Arc<Sandbox>,
    modules: Linker<HostState<WasiP1Ctx>>,
    components: component::Linker<HostState<WasiState>>,
    programs: ProgramCache,
}

impl Wasm {
    /// Errors: [`EngineError`]; none of them passes by itself.
    pub fn new(sandbox: Arc<Sandbox>) -> Result<Self, EngineError> {
        let (modules, components) =
            linkers(sandbox.engine()).map_err(EngineError::web_assembly("define what WebAssembly programs import"))?;
        Ok(Self { sandbox, modules, components, programs: ProgramCache::default() })
    }

    /// What is published of it.
    pub fn about() -> LanguageInfo {
        LanguageInfo {
            name: WASM.to_owned(),
            title: "WebAssembly".to_owned(),
            version: "WASI preview 1 commands, preview 2 components".to_owned(),
            isolation: Isolation::WebAssembly,
            grants: GrantsOffered { env: true, network: false },
            notes: vec![
                "`code` is a binary in base64; it reads the input as JSON on stdin and writes the output as JSON on stdout"
                    .to_owned(),
            ],
        }
    }

    fn program(&self, code: &Code) -> Result<Arc<cache::Program>, CodeError> {
        let Parsed::Wasm(binary) = code.parsed() else {
            return Err(CodeError::new(CodeErrorCode::Syntax, format!("this is {}, not WebAssembly", code.language())));
        };
        self.programs.get_or_compile(binary, || cache::Program::compile(self, binary))
    }
}

/// What modules and components find.
type Linkers = (Linker<HostState<WasiP1Ctx>>, component::Linker<HostState<WasiState>>);

fn linkers(engine: &Engine) -> wasmtime::Result<Linkers> {
    let mut modules = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut modules, |state: &mut HostState<WasiP1Ctx>| &mut state.guest)?;
    let mut components = component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut components)?;
    Ok((modules, components))
}

impl Language for Wasm {
    fn info(&self) -> LanguageInfo {
        Self::about()
    }

    fn check(&self, code: &Code) -> Result<(), CodeError> {
        self.program(code).map(|_| ())
    }

    fn session<'a>(&'a self, code: &'a Code, limits: CodeLimits, grants: &'a Grants) -> Box<dyn CodeSession + 'a> {
        Box::new(WasmSession { wasm: self, code, limits, grants, used: None })
    }
}
