//! The same abuse in every language: what code does that means ill, or is broken, and how each of it ends. A language's tests give
//! its programs to [`Abuse::check`] and [`Abuse::check_sequences`].

use std::time::{Duration, Instant};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use super::{
    code::{Code, CodeError, CodeErrorCode, CodeInput, CodeLimits, CodeOutput},
    grants::Grants,
    languages::Language,
    testing::{FakeNetwork, SLACK},
};

/// Sequences of good and bad runs that are tried.
const SEQUENCES: u32 = 12;
/// Length of the text that the output flood returns, in bytes; more than it may.
pub(super) const OUTPUT_FLOOD_BYTES: usize = 100_000;
/// Length of the text in the huge input, in bytes.
pub(super) const HUGE_INPUT_BYTES: usize = 4 * 1024 * 1024;

/// The programs of one language. `None` where a language has no such thing.
pub(super) struct Abuse<'a> {
    pub(super) language: &'static str,
    /// Loops without end.
    pub(super) endless: &'a str,
    /// Takes memory without end.
    pub(super) memory: &'a str,
    /// Calls itself without end.
    pub(super) recursion: &'a str,
    /// Matches a pattern that takes for ever.
    pub(super) pattern: Option<&'a str>,
    /// Waits for an hour.
    pub(super) sleep: Option<&'a str>,
    /// Returns a text of [`OUTPUT_FLOOD_BYTES`] bytes.
    pub(super) output_flood: &'a str,
    /// Writes lines of output without end.
    pub(super) log_flood: &'a str,
    /// Returns the length of the text `input`.
    pub(super) huge_input: &'a str,
    /// Whether the code holds its input in memory of its own.
    pub(super) holds_input: bool,
    /// Does not parse, and the line where it does not.
    pub(super) syntax_error: (&'a str, Option<u32>),
    /// Returns what no JSON can hold.
    pub(super) no_json: Option<&'a str>,
    /// Throws, with a part of the message and the line.
    pub(super) throws: (&'a str, &'a str, Option<u32>),
    /// Sends requests without end, and catches nothing. `None` for a language that has no network.
    pub(super) fetches: Option<&'a str>,
    /// Each tries to leave something behind for the next run.
    pub(super) poisons: &'a [&'a str],
    /// Returns `[input + 1, "clean"]` if nothing was left behind, and `"clean"` only then.
    pub(super) healthy: &'a str,
}

/// Limits that end every abuse soon.
fn tight() -> CodeLimits {
    CodeLimits { wall_ms: 500, cpu_ms: 400, memory_bytes: 64 * 1024 * 1024, output_bytes: 50_000, log_bytes: 10_000 }
}

impl Abuse<'_> {
    /// Runs every program of the table and checks how it ends.
    #[track_caller]
    pub(super) fn check(&self, language: &dyn Language) {
        let timeouts = [Some(self.endless), self.pattern, self.sleep, Some(self.log_flood)];
        for source in timeouts.into_iter().flatten() {
            let started = Instant::now();
            let error = self.fails(language, source, tight());
            assert_eq!(error.code, CodeErrorCode::Timeout, "{source}: {error:?}");
            assert!(started.elapsed() < Duration::from_millis(500) + SLACK, "{source} ended after {:?}", started.elapsed());
        }
        let flooded = self.fails(language, self.log_flood, tight());
        let bytes: usize = flooded.logs.iter().map(|line| line.text.len()).sum();
        assert!(flooded.logs_truncated && bytes <= 10_000, "{bytes} bytes of output were kept");
        self.check_memory(language);
        let error = self.fails(language, self.recursion, CodeLimits { cpu_ms: 10_000, wall_ms: 20_000, ..CodeLimits::default() });
        assert!(matches!(error.code, CodeErrorCode::Exception | CodeErrorCode::Memory), "recursion: {error:?}");
        self.check_output(language);
        self.check_errors(language);
        self.check_network(language);
    }

    fn check_memory(&self, language: &dyn Language) {
        let limits = CodeLimits { wall_ms: 20_000, cpu_ms: 20_000, ..tight() };
        assert_eq!(self.fails(language, self.memory, limits).code, CodeErrorCode::Memory, "{}", self.memory);
        let huge = Value::String("x".repeat(HUGE_INPUT_BYTES));
        let fits = run(language, &self.code(self.huge_input), &huge, CodeLimits::default());
        assert_eq!(fits.map(|output| output.output), Ok(json!(HUGE_INPUT_BYTES)), "{}", self.huge_input);
        if !self.holds_input {
            return;
        }
        let beyond = Value::String("x".repeat(limits.memory_bytes));
        let error = run(language, &self.code(self.huge_input), &beyond, limits).expect_err("the input is larger than the memory");
        assert_eq!(error.code, CodeErrorCode::Memory, "huge input: {error:?}");
    }

    fn check_output(&self, language: &dyn Language) {
        let of = |output_bytes| CodeLimits { output_bytes, ..CodeLimits::default() };
        assert_eq!(self.fails(language, self.output_flood, of(OUTPUT_FLOOD_BYTES)).code, CodeErrorCode::OutputLimit);
        let quotes_and_slack = 64;
        let output = run(language, &self.code(self.output_flood), &Value::Null, of(OUTPUT_FLOOD_BYTES + quotes_and_slack));
        let text = output.unwrap_or_else(|error| panic!("{}: {error:?}", self.output_flood)).output;
        assert_eq!(text.as_str().map(str::len), Some(OUTPUT_FLOOD_BYTES), "{}", self.output_flood);
    }

    fn check_network(&self, language: &dyn Language) {
        assert_eq!(language.info().grants.network, self.fetches.is_some());
        let Some(source) = self.fetches else { return };
        let error = self.fails(language, source, CodeLimits::default());
        assert_eq!(error.code, CodeErrorCode::Denied, "{source}: {error:?}");
        assert!(error.message.ends_with("fetch failed: the network was not granted"), "{source}: {error:?}");

        let code = self.code(source);
        let run = |network: FakeNetwork, limits| {
            let grants = network.granted();
            let ran = language.session(&code, limits, &grants).run(CodeInput::Value(&Value::Null));
            ran.expect_err(source)
        };
        let error = run(FakeNetwork::Empty, CodeLimits::default());
        assert_eq!(error.code, CodeErrorCode::Exception, "{source}: {error:?}");
        assert!(error.message.contains("more than 100 requests"), "{source}: {error:?}");
        let started = Instant::now();
        let error = run(FakeNetwork::Silent, tight());
        assert!(matches!(error.code, CodeErrorCode::Timeout | CodeErrorCode::Exception), "{source}: {error:?}");
        assert!(started.elapsed() < Duration::from_millis(500) + SLACK, "{source} ended after {:?}", started.elapsed());
    }

    fn check_errors(&self, language: &dyn Language) {
        let (source, line) = self.syntax_error;
        match Code::parse(self.language, source) {
            Err(error) => assert_eq!(Some(error.position.line), line, "{source}: {error}"),
            Ok(code) => {
                let ran = run(language, &code, &Value::Null, CodeLimits::default()).expect_err(source);
                assert_eq!((ran.code, ran.line), (CodeErrorCode::Syntax, line), "{source}: {ran:?}");
                let checked = language.check(&code).expect_err(source);
                assert_eq!((checked.code, checked.line), (CodeErrorCode::Syntax, line), "check of {source}: {checked:?}");
            }
        }
        if let Some(source) = self.no_json {
            let error = self.fails(language, source, CodeLimits::default());
            assert_eq!(error.code, CodeErrorCode::Exception, "{source}: {error:?}");
        }
        let (source, message, line) = self.throws;
        let error = self.fails(language, source, CodeLimits::default());
        assert_eq!((error.code, error.line), (CodeErrorCode::Exception, line), "{source}: {error:?}");
        assert!(error.message.contains(message), "{source}: {error:?}");
    }

    /// Runs random sequences of good and bad programs: a bad run never affects the next.
    #[track_caller]
    pub(super) fn check_sequences(&self, language: &dyn Language) {
        let mut bad = vec![self.endless, self.memory, self.recursion, self.output_flood, self.log_flood, self.throws.0];
        bad.extend(self.pattern);
        bad.extend(self.no_json);
        bad.extend(self.poisons);
        let bad: Vec<Code> = bad.into_iter().map(|source| self.code(source)).collect();
        let healthy = self.code(self.healthy);
        let limits = CodeLimits { wall_ms: 150, cpu_ms: 100, ..tight() };
        let sequences = prop::collection::vec(0..bad.len(), 1..5);
        let config = Config { cases: SEQUENCES, failure_persistence: None, ..Config::default() };
        let tried = TestRunner::new(config).run(&sequences, |sequence| {
            for index in sequence {
                let _ = run(language, &bad[index], &json!(1), limits);
                let after = run(language, &healthy, &json!(20), CodeLimits::default());
                prop_assert_eq!(after.map(|output| output.output), Ok(json!([21, "clean"])), "after {:?}", bad[index].source());
            }
            Ok(())
        });
        tried.unwrap();
    }

    fn code(&self, source: &str) -> Code {
        Code::parse(self.language, source).unwrap_or_else(|error| panic!("{source}: {error}"))
    }

    fn fails(&self, language: &dyn Language, source: &str, limits: CodeLimits) -> CodeError {
        run(language, &self.code(source), &Value::Null, limits).expect_err(source)
    }
}

fn run(language: &dyn Language, code: &Code, input: &Value, limits: CodeLimits) -> Result<CodeOutput, CodeError> {
    language.session(code, limits, &Grants::default()).run(CodeInput::Value(input))
}
