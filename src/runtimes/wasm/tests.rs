//! What programs can and cannot do, and what is taken for one.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::*;
use crate::{
    model::log::LogLevel,
    runtimes::{
        abuse::{Abuse, OUTPUT_FLOOD_BYTES},
        code::{CodeInput, CodeOutput},
        languages::Languages,
        testing::{Tested, shown},
    },
};

/// Functions that the programs of the tests share: `$print` writes text to a stream, `$number` a number to the standard output,
/// `$read` reads up to 4,000 bytes to 8192, and returns how many.
const SHARED: &str = r#"
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func $print (param $stream i32) (param $text i32) (param $length i32)
      (i32.store (i32.const 0) (local.get $text))
      (i32.store (i32.const 4) (local.get $length))
      (drop (call $fd_write (local.get $stream) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func $read (result i32)
      (i32.store (i32.const 0) (i32.const 8192))
      (i32.store (i32.const 4) (i32.const 4000))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (i32.load (i32.const 8)))
    (func $number (param $value i32)
      (local $at i32)
      (local.set $at (i32.const 64))
      (loop $digits
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10))))
        (local.set $value (i32.div_u (local.get $value) (i32.const 10)))
        (br_if $digits (local.get $value)))
      (call $print (i32.const 1) (local.get $at) (i32.sub (i32.const 64) (local.get $at))))
    (data (i32.const 1024) "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
    (data (i32.const 2048) "\"flood\n[,\"clean\"]no")
"#;

/// A program as base64: functions, the last of which is the body of `_start`.
fn program(functions: &str, body: &str) -> String {
    encode(&format!("(module {SHARED} {functions} (func (export \"_start\") {body}))"))
}

fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(wat::parse_str(text).unwrap_or_else(|error| panic!("{text}\n{error}")))
}

const TESTED: Tested = Tested(WASM);

fn run(source: &str, input: &Value) -> Result<CodeOutput, CodeError> {
    TESTED.run_with(source, input, CodeLimits::default())
}

/// Copies its input to its output.
fn echo() -> String {
    let body = "(local $length i32) (loop $more
        (local.set $length (call $read))
        (call $print (i32.const 1) (i32.const 8192) (local.get $length))
        (br_if $more (local.get $length)))";
    program("", body)
}

/// The programs of the abuse table, made once: their texts have to live as long as the table.
struct Programs {
    endless: String,
    memory: String,
    recursion: String,
    sleep: String,
    output_flood: String,
    log_flood: String,
    huge_input: String,
    no_json: String,
    throws: String,
    poison: String,
    healthy: String,
}

impl Programs {
    fn new() -> Self {
        let repeat = |count: usize, what: &str| {
            format!(
                "(local $n i32) (loop $more {what} (local.set $n (i32.add (local.get $n) (i32.const 1))) (br_if $more (i32.lt_u (local.get $n) (i32.const {count}))))"
            )
        };
        let quote = "(call $print (i32.const 1) (i32.const 2048) (i32.const 1))";
        let flood = repeat(OUTPUT_FLOOD_BYTES / 100, "(call $print (i32.const 1) (i32.const 1024) (i32.const 100))");
        let bracket = "(call $print (i32.const 1) (i32.const 2055) (i32.const 1))";
        let count = "(local $length i32) (local $sum i32) (loop $more
            (local.set $length (call $read))
            (local.set $sum (i32.add (local.get $sum) (local.get $length)))
            (br_if $more (local.get $length)))
            (call $number (i32.sub (local.get $sum) (i32.const 2)))";
        // `[`, the number read and one more, `,"clean"]`. The number has two digits.
        let healthy = "(drop (call $read))
            (call $print (i32.const 1) (i32.const 2055) (i32.const 1))
            (call $number (i32.add (i32.const 1) (i32.add
              (i32.mul (i32.const 10) (i32.sub (i32.load8_u (i32.const 8192)) (i32.const 48)))
              (i32.sub (i32.load8_u (i32.const 8193)) (i32.const 48)))))
            (call $print (i32.const 1) (i32.const 2056) (i32.const 9))";
        Self {
            endless: program("", "(loop $l (br $l))"),
            memory: program("", "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable"),
            recursion: program("(func $f (result i32) (i32.add (call $f) (i32.const 1)))", "(drop (call $f))"),
            // A subscription to the clock, an hour from now.
            sleep: program(
                "",
                "(i32.store (i32.const 16400) (i32.const 1)) (i64.store (i32.const 16408) (i64.const 3600000000000))
                 (drop (call $poll (i32.const 16384) (i32.const 16512) (i32.const 1) (i32.const 8)))",
            ),
            output_flood: program("", &format!("{flood} {quote}").replacen("(loop", &format!("{quote} (loop"), 1)),
            log_flood: program("", "(loop $l (call $print (i32.const 2) (i32.const 2049) (i32.const 6)) (br $l))"),
            huge_input: program("", count),
            no_json: program("", &repeat(200, bracket)),
            throws: program("", "(call $print (i32.const 2) (i32.const 2065) (i32.const 2)) (call $exit (i32.const 3))"),
            poison: program("", "(i32.store (i32.const 2056) (i32.const 0)) (drop (memory.grow (i32.const 100))) unreachable"),
            healthy: program("", healthy),
        }
    }

    fn abuse<'a>(&'a self, poisons: &'a [&'a str]) -> Abuse<'a> {
        Abuse {
            language: WASM,
            endless: &self.endless,
            memory: &self.memory,
            recursion: &self.recursion,
            pattern: None,
            sleep: Some(&self.sleep),
            output_flood: &self.output_flood,
            log_flood: &self.log_flood,
            huge_input: &self.huge_input,
            holds_input: false,
            syntax_error: ("AGFzbQIAAAA=", Some(1)),
            no_json: Some(&self.no_json),
            fetches: None,
            throws: (&self.throws, "no", None),
            poisons,
            healthy: &self.healthy,
        }
    }
}

#[test]
fn abuse_ends_as_it_should() {
    Programs::new().abuse(&[]).check(Languages::for_tests().get(WASM).unwrap());
}

#[test]
fn a_bad_run_never_affects_the_next() {
    let programs = Programs::new();
    programs.abuse(&[&programs.poison]).check_sequences(Languages::for_tests().get(WASM).unwrap());
}

#[test]
fn a_module_reads_its_input_and_writes_its_output() {
    let input = json!({ "text": "ä".repeat(10_000), "n": [1, 2.5, null] });
    assert_eq!(run(&echo(), &input).unwrap().output, input);
    let silent = program("", "");
    assert_eq!(run(&silent, &input).unwrap().output, Value::Null);
    let text = program("", "(call $print (i32.const 1) (i32.const 2065) (i32.const 2))");
    assert_eq!(run(&text, &input).unwrap().output, json!({ "stdout": "no" }));
}

#[test]
fn a_component_runs_too() {
    let output = run(&encode(COMPONENT), &Value::Null).unwrap();
    assert_eq!(output.output, json!([42]));
}

#[test]
fn failures_tell_how_the_program_ended() {
    let programs = Programs::new();
    let error = run(&programs.throws, &Value::Null).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (CodeErrorCode::Exception, "the program ended with exit code 3: no"));
    assert_eq!(shown(&error.logs), [(LogLevel::Error, "no")]);
    let error = run(&program("", "unreachable"), &Value::Null).unwrap_err();
    assert_eq!(error.code, CodeErrorCode::Exception);
    assert!(error.message.starts_with("the program trapped: "), "{}", error.message);
}

#[test]
fn nothing_of_the_host_is_in_reach() {
    // Opens what would be the first directory: WASI's errno 8 is a bad descriptor.
    let opens = program(
        "",
        "(call $number (call $path_open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 0)
           (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))",
    );
    assert_eq!(run(&opens, &Value::Null).unwrap().output, json!(8));
    let prints_env = program(
        "",
        "(drop (call $environ_get (i32.const 4096) (i32.const 8192))) (call $print (i32.const 1) (i32.const 8192) (i32.const 9))",
    );
    let grants = Grants { env: [("KEY".to_owned(), "value".to_owned())].into(), ..Grants::default() };
    let output = TESTED.run_granted(&prints_env, CodeInput::Value(&Value::Null), CodeLimits::default(), &grants).unwrap().output;
    assert_eq!(output, json!({ "stdout": "KEY=value" }));
    let without = run(&prints_env, &Value::Null).unwrap().output;
    assert_eq!(without, json!({ "stdout": "\0\0\0\0\0\0\0\0\0" }));
    let random =
        program("", "(drop (call $random_get (i32.const 4096) (i32.const 4))) (call $number (i32.load (i32.const 4096)))");
    assert_ne!(run(&random, &Value::Null).unwrap().output, run(&random, &Value::Null).unwrap().output);
}

#[test]
fn what_is_no_program_is_refused() {
    let place = |source: &str| Code::parse(WASM, source).map(|_| ()).map_err(|error| error.message);
    assert!(place("no base64!").unwrap_err().starts_with("the code is no base64"));
    assert!(place("aGVsbG8=").unwrap_err().starts_with("the code is no WebAssembly"));
    assert_eq!(place(&format!("{}\n", echo())), Ok(()));
    assert_eq!(place(echo().trim_end_matches('=')), Ok(()));
    let refused = |text: &str| {
        let error = run(&encode(text), &Value::Null).unwrap_err();
        assert_eq!(error.code, CodeErrorCode::Syntax, "{text}");
        error.message
    };
    assert!(refused("(module)").contains("`_start`"));
    assert!(refused("(module (import \"env\" \"secret\" (func)) (func (export \"_start\")))").contains("secret"));
    assert!(refused("(component)").contains("wasi:cli/run"));
    let truncated = BASE64_STANDARD.encode(&BASE64_STANDARD.decode(echo()).unwrap()[..200]);
    assert_eq!(run(&truncated, &Value::Null).unwrap_err().code, CodeErrorCode::Syntax);
}

#[test]
fn size_obeyed_and_violated() {
    let of = |bytes: usize| {
        let mut binary = b"\0asm\x01\0\0\0".to_vec();
        binary.resize(bytes, 0);
        Code::parse(WASM, BASE64_STANDARD.encode(binary)).map(|_| ())
    };
    assert!(of(WASM_BYTES_MAX).is_ok());
    assert!(of(WASM_BYTES_MAX + 1).unwrap_err().message.contains("more than"));
}

/// Writes `[42]` to the standard output.
const COMPONENT: &str = r#"
(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output-stream (sub resource)))
    (alias outer 1 $io-error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output-stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output-stream (type $outer-stream))
    (export "output-stream" (type $stream (eq $outer-stream)))
    (export "get-stdout" (func (result (own $stream))))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (core func $get (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core module $main
    (import "host" "memory" (memory 1))
    (import "host" "get" (func $get (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (data (i32.const 16) "[42]")
    (func (export "run") (result i32)
      (call $write (call $get) (i32.const 16) (i32.const 4) (i32.const 64))
      (i32.const 0)))
  (core instance $main (instantiate $main (with "host" (instance
    (export "memory" (memory $mem))
    (export "get" (func $get))
    (export "write" (func $write))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
"#;
