//! What the tests of languages share: a scope, and a language to run sources in.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    code::{Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput, CodeRequest},
    grants::{Fetch, FetchError, FetchRequest, FetchResponse, Grants},
    languages::Languages,
    scope::{RunData, Scope},
};
use crate::model::{
    item::{Item, ItemSource, Outputs, PortItems, RunOutput},
    log::{LogLevel, LogLine},
};

/// How far beyond its deadline a run may end on a busy machine.
pub(super) const SLACK: Duration = Duration::from_secs(3);

/// A language under test, by its name.
#[derive(Clone, Copy)]
pub(super) struct Tested(pub(super) &'static str);

impl Tested {
    #[track_caller]
    pub(super) fn code(self, source: &str) -> Code {
        Code::parse(self.0, source).unwrap_or_else(|error| panic!("{source}: {error}"))
    }

    pub(super) fn run_granted(
        self,
        source: &str,
        input: CodeInput<'_>,
        limits: CodeLimits,
        grants: &Grants,
    ) -> Result<CodeOutput, CodeError> {
        Languages::for_tests().run(&CodeRequest { code: &self.code(source), input, limits, grants })
    }

    pub(super) fn run_over(self, source: &str, input: CodeInput<'_>) -> Result<CodeOutput, CodeError> {
        self.run_granted(source, input, CodeLimits::default(), &Grants::default())
    }

    pub(super) fn run_with(self, source: &str, input: &Value, limits: CodeLimits) -> Result<CodeOutput, CodeError> {
        self.run_granted(source, CodeInput::Value(input), limits, &Grants::default())
    }

    /// Runs a source over an object with something of everything.
    pub(super) fn run(self, source: &str) -> Result<CodeOutput, CodeError> {
        let input = json!({ "n": 20, "list": [], "map": {}, "none": null, "text": "ä\n😀" });
        self.run_with(source, &input, CodeLimits::default())
    }

    #[track_caller]
    pub(super) fn check(self, source: &str, expected: Value) {
        assert_eq!(self.run(source).map(|output| output.output), Ok(expected), "{}: {source}", self.0);
    }

    /// A run that fails, with the beginning of its message and its line.
    #[track_caller]
    pub(super) fn check_fails(self, source: &str, code: CodeErrorCode, message: &str, line: Option<u32>) -> CodeError {
        let error = self.run(source).expect_err(source);
        assert_eq!((error.code, error.line), (code, line), "{}: {source}: {error:?}", self.0);
        assert!(error.message.starts_with(message), "{}: {source}: {}", self.0, error.message);
        error
    }

    /// What a run writes, whatever becomes of it.
    pub(super) fn logs(self, source: &str) -> Vec<LogLine> {
        self.run(source).map_or_else(|error| error.logs, |output| output.logs)
    }

    /// A source that counts its runs in a variable of the sandbox, throws for the input 1, and never ends for 2.
    #[track_caller]
    pub(super) fn check_session(self, source: &str) {
        let (code, grants) = (self.code(source), Grants::default());
        let languages = Languages::for_tests();
        let limits = CodeLimits { cpu_ms: 200, ..CodeLimits::default() };
        let mut session = languages.get(self.0).expect("it is here").session(&code, limits, &grants);
        let mut run = |n: u32| {
            let ran = session.run(CodeInput::Value(&json!(n)));
            ran.map(|output| (output.output, output.usage.cold)).map_err(|error| error.code)
        };
        assert_eq!(run(0), Ok((json!(1), true)));
        assert_eq!(run(1), Err(CodeErrorCode::Exception));
        assert_eq!(run(0), Ok((json!(3), false)));
        assert_eq!(run(2), Err(CodeErrorCode::Timeout));
        assert_eq!(run(0), Ok((json!(1), true)));
    }
}

/// Levels and texts of lines.
pub(super) fn shown(logs: &[LogLine]) -> Vec<(LogLevel, &str)> {
    logs.iter().map(|line| (line.level, line.text.as_str())).collect()
}

/// A network that answers everything, or nothing.
pub(super) enum FakeNetwork {
    Empty,
    Silent,
}

impl FakeNetwork {
    pub(super) fn granted(self) -> Grants {
        Grants { network: Some(Arc::new(self)), ..Grants::default() }
    }
}

impl Fetch for FakeNetwork {
    fn fetch(&self, request: FetchRequest, within: Duration) -> Result<FetchResponse, FetchError> {
        match self {
            Self::Empty => Ok(FetchResponse { url: request.url, status: 200, headers: Vec::new(), body: Vec::new() }),
            Self::Silent => {
                std::thread::sleep(within);
                Err(FetchError::Failed("no answer came in time".to_owned()))
            }
        }
    }
}

/// The parts that a [`Scope`] borrows.
pub(super) struct World {
    pub(super) items: Vec<Item>,
    pub(super) outputs: Outputs,
    pub(super) data: RunData,
}

impl World {
    /// Two items, the second of which is the scope's; node `source` has put out three, and made the second from its third.
    pub(super) fn new(first: Value, current: Value) -> Self {
        let mut current = Item::from_value(current);
        current.source = Some(ItemSource { node: "source".into(), run: 0, item: 2 });
        let made = ["a", "b", "c"].map(|name| Item::from_value(json!({ "name": name, "tags": [name, 1] })));
        let output = RunOutput { run: 0, ports: PortItems::main(made.to_vec()) };
        Self {
            items: vec![Item::from_value(first), current],
            outputs: Arc::new(BTreeMap::from([(Arc::from("source"), output)])),
            data: RunData {
                execution: json!({ "id": "exe_1", "nesting": 0 }),
                workflow: json!({ "id": "wf_1", "name": "Test" }),
                vars: json!({ "limit": 10 }),
                env: json!({ "REGION": "eu" }),
                timezone: "Europe/Berlin".to_owned(),
            },
        }
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            item: self.items.get(1),
            item_index: 1,
            items: &self.items,
            run_index: 0,
            outputs: &self.outputs,
            data: &self.data,
            now_ms: 1_782_945_000_250, // 2026-07-01T22:30:00.250Z
        }
    }
}
