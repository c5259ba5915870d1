//! What a finished process means: its output as JSON, its standard error as a log, its failure with the line in the user's source.

use std::{sync::LazyLock, time::Duration};

use regex::Regex;
use serde_json::{Value, json};

use super::{
    plan::{Ended, Exceeded},
    process::{Finished, Outcome, Written},
    table::{Failures, LanguageSpec},
};
use crate::{
    model::log::{LogLevel, LogLine},
    runtimes::code::{CodeError, CodeErrorCode, CodeLimits, CodeOutput, Usage},
};

/// Source: `signal(7)`.
const SIGNALS: [(i32, &str); 10] = [
    (2, "SIGINT"),
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (15, "SIGTERM"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
];
const SIGXCPU: i32 = 24;
/// What shells and `timeout` add to a signal when they turn it into an exit code.
const SIGNAL_EXIT_CODE: i32 = 128;
/// Bytes of one line of a log.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// Turns the end of a process into what the contract of a code run says. `now_ms` is the time of its lines.
pub(super) fn conclude(
    spec: &LanguageSpec,
    limits: &CodeLimits,
    finished: Finished,
    cold: bool,
    now_ms: u64,
) -> Result<CodeOutput, CodeError> {
    let logs = lines(&finished.stderr, now_ms);
    let logs_truncated = finished.stderr.truncated;
    let usage = usage(&finished, cold);
    match failure(spec, limits, &finished) {
        Some(error) => {
            let has_run = error.code != CodeErrorCode::Unavailable;
            Err(CodeError { logs, logs_truncated, usage: has_run.then_some(usage), ..error })
        }
        None => Ok(CodeOutput { output: output(&finished.stdout), logs, logs_truncated, usage }),
    }
}

fn usage(finished: &Finished, cold: bool) -> Usage {
    let ended = match &finished.outcome {
        Outcome::Ended(ended) => Some(ended),
        Outcome::Refused { .. } | Outcome::WallTime | Outcome::OutputLimit => finished.used.as_ref(),
    };
    let wall_ms = finished.wall.as_secs_f64() * 1_000.0;
    // Of what was cut off it may be unknown: then its time counts.
    let unknown = if matches!(finished.outcome, Outcome::Refused { .. }) { 0.0 } else { wall_ms };
    let (cpu_ms, memory) = ended.map_or((unknown, 0), |ended| (ended.cpu_ms, ended.memory_peak_bytes));
    Usage { wall_ms, cpu_ms, memory_peak_bytes: usize::try_from(memory).unwrap_or(usize::MAX), cold }
}

/// Standard output as JSON; nothing is null, what is not JSON is `{ stdout }`.
pub(super) fn output(stdout: &[u8]) -> Value {
    if stdout.trim_ascii().is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(stdout).unwrap_or_else(|_| json!({ "stdout": String::from_utf8_lossy(stdout) }))
}

fn lines(stderr: &Written, now_ms: u64) -> Vec<LogLine> {
    let text = String::from_utf8_lossy(&stderr.bytes);
    let cut = |line: &str| {
        line.chars()
            .scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= LINE_BYTES_MAX).then_some(c)
            })
            .collect()
    };
    text.lines().map(|line| LogLine { at: now_ms, level: LogLevel::Warn, text: cut(line) }).collect()
}

/// `None` for a process that ended well.
fn failure(spec: &LanguageSpec, limits: &CodeLimits, finished: &Finished) -> Option<CodeError> {
    let wall = Duration::from_millis(limits.wall_ms);
    let ended = match &finished.outcome {
        Outcome::Ended(ended) => ended,
        Outcome::Refused { attempt, detail } => {
            let message = format!("the sandbox of `{}` could not {attempt}: {detail}", spec.name);
            return Some(CodeError::new(CodeErrorCode::Unavailable, message));
        }
        Outcome::WallTime => {
            let message = format!("the code ran for more than {} ms", wall.as_millis());
            return Some(CodeError::new(CodeErrorCode::Timeout, message));
        }
        Outcome::OutputLimit => {
            let message = format!("the output is larger than {} bytes", limits.output_bytes);
            return Some(CodeError::new(CodeErrorCode::OutputLimit, message));
        }
    };
    if let Some(error) = exceeded(spec, limits, ended) {
        return Some(error);
    }
    if ended.exit_code == Some(0) {
        return None;
    }
    Some(exception(spec, limits, ended, &String::from_utf8_lossy(&finished.stderr.tail)))
}

fn exceeded(spec: &LanguageSpec, limits: &CodeLimits, ended: &Ended) -> Option<CodeError> {
    let was_cpu = ended.signal == Some(SIGXCPU) || ended.exit_code == Some(SIGNAL_EXIT_CODE + SIGXCPU);
    let limit = ended.exceeded.or(was_cpu.then_some(Exceeded::Cpu))?;
    Some(match limit {
        Exceeded::Cpu => {
            CodeError::new(CodeErrorCode::Timeout, format!("the code used more than {} ms of CPU time", limits.cpu_ms))
        }
        Exceeded::Memory => memory(limits),
        Exceeded::Tasks => {
            let message = format!("the code has more than {} processes and threads", spec.tasks_max);
            CodeError::new(CodeErrorCode::Exception, message)
        }
    })
}

fn memory(limits: &CodeLimits) -> CodeError {
    CodeError::new(CodeErrorCode::Memory, format!("the code needs more than {} bytes of memory", limits.memory_bytes))
}

/// A process that ended badly by itself: what it said last, and where.
fn exception(spec: &LanguageSpec, limits: &CodeLimits, ended: &Ended, tail: &str) -> CodeError {
    let memory = says(spec.failures.memory, tail).then(|| memory(limits));
    let code = if says(spec.failures.syntax, tail) { CodeErrorCode::Syntax } else { CodeErrorCode::Exception };
    let how = match (ended.exit_code, ended.signal) {
        (Some(code), _) => format!("the program exited with {code}"),
        (None, Some(signal)) => format!("the program was ended by {}", signal_name(signal)),
        // The kernel ended all of it, without a word: from outside, or because the machine had no memory left.
        (None, None) => "the program was ended from outside".to_owned(),
    };
    let message = match said(tail) {
        Some(said) => format!("{how}: {said}"),
        None => how,
    };
    let place = place(&spec.file, spec.failures, tail);
    CodeError {
        line: place.map(|(line, _)| line),
        column: place.and_then(|(_, column)| column),
        stack: (!tail.trim().is_empty()).then(|| tail.trim().to_owned()),
        ..memory.unwrap_or_else(|| CodeError::new(code, message))
    }
}

/// Whether a line begins like this.
fn says(pattern: &str, tail: &str) -> bool {
    Regex::new(&format!("(?m)^(?:{pattern})")).expect("an expression of the table, each of which a test compiles").is_match(tail)
}

/// The line that says what went wrong: the last one that names an error, else the last one.
fn said(tail: &str) -> Option<&str> {
    static ERROR: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)\b\w*(error|exception|panic)\b").expect("a constant expression"));
    let lines = || tail.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    lines().find(|line| ERROR.is_match(line) && !line.starts_with("at ")).or_else(|| lines().next())
}

/// Line and column in the user's file. Forms: `"/code/main.py", line 3`, `main.sh: line 3:`, `main.js:3:7`, `main.php on line 3`,
/// `main.pl line 3`.
fn place(file: &str, failures: Failures, tail: &str) -> Option<(u32, Option<u32>)> {
    let pattern = format!(r#"{}"?(?:, line |: line | on line | line |:)(\d+)(?::(\d+))?"#, regex::escape(file));
    let pattern = Regex::new(&pattern).expect("an escaped name in a constant expression");
    let mut found = pattern.captures_iter(tail);
    let found = if failures.innermost_last { found.last() } else { found.next() }?;
    let number = |index: usize| found.get(index)?.as_str().parse().ok();
    Some((number(1)?, number(2)))
}

fn signal_name(signal: i32) -> String {
    let known = SIGNALS.iter().find(|(number, _)| *number == signal);
    known.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::{plan::Walls, table::languages},
        *,
    };

    const LAST: Failures = Failures { syntax: "x", memory: "x", innermost_last: true };
    const FIRST: Failures = Failures { innermost_last: false, ..LAST };

    #[track_caller]
    fn check(file: &str, failures: Failures, tail: &str, line: u32, column: Option<u32>, message: &str) {
        assert_eq!(place(file, failures, tail), Some((line, column)));
        assert_eq!(said(tail), Some(message));
    }

    #[test]
    fn finds_the_users_line_and_what_went_wrong() {
        let python = "Traceback (most recent call last):\n  File \"/code/main.py\", line 9, in <module>\n    f()\n  \
                      File \"/code/main.py\", line 3, in f\n    raise ValueError('no')\nValueError: no\n";
        check("main.py", LAST, python, 3, None, "ValueError: no");
        check(
            "main.sh",
            LAST,
            "/code/main.sh: line 2: nope: command not found\n",
            2,
            None,
            "/code/main.sh: line 2: nope: command not found",
        );
        let node = "/code/main.js:4\nthrow new Error('no')\n^\n\nError: no\n    at f (/code/main.js:4:7)\n    at main.js:9:1\n\nNode.js v20\n";
        check("main.js", FIRST, node, 4, None, "Error: no");
        let java = "Exception in thread \"main\" java.lang.RuntimeException: no\n\tat Main.main(Main.java:3)\n";
        check("Main.java", FIRST, java, 3, None, "Exception in thread \"main\" java.lang.RuntimeException: no");
        let php = "PHP Fatal error:  Uncaught Exception: no in /code/main.php:2\nStack trace:\n#0 {main}\n  thrown in /code/main.php on line 2\n";
        assert_eq!(place("main.php", FIRST, php), Some((2, None)));
        check(
            "main.go",
            FIRST,
            "# command-line-arguments\n/code/main.go:3:5: syntax error: no\n",
            3,
            Some(5),
            "/code/main.go:3:5: syntax error: no",
        );
        let go = "panic: no\n\ngoroutine 1 [running]:\nmain.main()\n\t/code/main.go:3 +0x27\nexit status 2\n";
        check("main.go", FIRST, go, 3, None, "panic: no");
        let r = "Error in f() : no\nExecution halted\n";
        assert_eq!(said(r), Some("Error in f() : no"));
        assert_eq!(place("main.py", LAST, "nothing"), None);
        assert_eq!(said(" \n"), None);
    }

    #[test]
    fn words_of_a_program_are_not_those_of_its_interpreter() {
        let (specs, _) = languages(&BTreeMap::new());
        let (syntax, memory, other) = (CodeErrorCode::Syntax, CodeErrorCode::Memory, CodeErrorCode::Exception);
        for (language, tail, code) in [
            ("bash", "/code/main.sh: line 1: syntax error near unexpected token `('\n", syntax),
            ("bash", "sqlite3: syntax error near FROM\n", other),
            ("bash", "/code/main.sh: fork: Cannot allocate memory\n", memory),
            ("bash", "curl: cannot allocate memory\n", other),
            ("python-native", "  File \"/code/main.py\", line 2\n    x = = 1\nSyntaxError: invalid syntax\n", syntax),
            ("python-native", "ValueError: the SQL has a SyntaxError: near FROM\n", other),
            ("python-native", "Traceback (most recent call last):\nMemoryError\n", memory),
            ("python-native", "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8 GiB\n", memory),
            ("python-native", "ValueError: remote said MemoryError\n", other),
            ("node", "SyntaxError: Unexpected token '='\n    at wrapSafe (node:internal/modules/cjs/loader:1)\n", syntax),
            ("node", "SyntaxError: Unexpected end of JSON input\n    at JSON.parse (<anonymous>)\n", other),
            ("node", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n", memory),
            ("node", "Error: remote: JavaScript heap out of memory\n", other),
            ("php", "PHP Fatal error:  Allowed memory size of 67108864 bytes exhausted\n", memory),
            ("php", "PHP Fatal error:  Uncaught Exception: remote: Allowed memory size in /code/main.php:2\n", other),
            ("go", "# command-line-arguments\n/code/main.go:3:3: x declared but not used\n", syntax),
            ("go", "/code/main.go:2:8: package nope is not in std\n", syntax),
            ("go", "panic: no\n\nmain.main()\n\t/code/main.go:3 +0x27\nexit status 2\n", other),
            ("java", "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\n", memory),
            ("java", "Exception in thread \"main\" java.lang.RuntimeException: remote OutOfMemoryError\n", other),
            ("r", "Error: cannot allocate vector of size 7.6 Mb\n", memory),
        ] {
            let spec = specs.iter().find(|spec| spec.name == language).unwrap();
            let ended = Ended {
                exit_code: Some(1),
                signal: None,
                exceeded: None,
                cpu_ms: 0.0,
                memory_peak_bytes: 0,
                walls: Walls::default(),
            };
            let error = exception(spec, &CodeLimits::default(), &ended, tail);
            assert_eq!((error.code, error.stack.as_deref()), (code, Some(tail.trim())), "{language}: {tail}");
        }
    }

    #[test]
    fn output_is_json_or_text() {
        assert_eq!(output(b" [1, 2]\n"), json!([1, 2]));
        assert_eq!(output(b" \n"), Value::Null);
        assert_eq!(output(b"[1,"), json!({ "stdout": "[1," }));
        assert_eq!(output(b"\xff"), json!({ "stdout": "\u{fffd}" }));
    }

    #[test]
    fn a_log_has_a_line_per_line_and_bounded_ones() {
        let written = Written { bytes: format!("a\n\n{}", "ä".repeat(LINE_BYTES_MAX)).into_bytes(), ..Written::default() };
        let logged = lines(&written, 7);
        assert_eq!(logged.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [1, 0, LINE_BYTES_MAX]);
        assert!(logged.iter().all(|line| line.at == 7 && line.level == LogLevel::Warn));
    }

    #[test]
    fn signals_have_names() {
        assert_eq!([signal_name(9), signal_name(64)], ["SIGKILL", "signal 64"]);
    }
}
