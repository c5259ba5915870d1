//! The table of abuse, for every native language of this machine: each row is a program that goes wrong in its own way.

use citadel::{
    model::log::LogLevel,
    runtimes::code::{CodeError, CodeErrorCode, CodeLimits},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Run, full};

/// The programs of one language.
struct Programs {
    language: &'static str,
    /// Reads its input, a list of numbers, and writes the double of each.
    double: &'static str,
    endless: &'static str,
    memory: &'static str,
    /// `None` where a program may recurse until its memory ends.
    recursion: Option<&'static str>,
    output_flood: &'static str,
    log_flood: &'static str,
    /// Wrong in line 2.
    syntax: &'static str,
    /// Writes `[1,`.
    not_json: &'static str,
    /// Fails with `went wrong` in line 3.
    throws: &'static str,
    /// What fails only when it is parsed is an exception in a language without a parser of its own.
    knows_syntax: bool,
}

const TABLE: &[Programs] = &[
    Programs {
        language: "bash",
        double: "IFS=', []' read -ra numbers; sum=(); for n in \"${numbers[@]}\"; do [ -n \"$n\" ] && sum+=($((n * 2))); done; IFS=,; echo \"[${sum[*]}]\"",
        endless: "while :; do :; done",
        memory: "x=0123456789abcdef; while :; do x=$x$x; done",
        recursion: None,
        output_flood: "while :; do echo 0123456789012345678901234567890123456789; done",
        log_flood: "for ((i = 0; i < 20000; i++)); do echo flood >&2; done; echo 1",
        syntax: "echo 1\nif then fi\n",
        not_json: "echo '[1,'",
        throws: "f() {\n  :\n  ls '/went wrong' || exit 3\n}\nf",
        knows_syntax: true,
    },
    Programs {
        language: "python-native",
        double: "import json, sys\nprint(json.dumps([n * 2 for n in json.load(sys.stdin)]))",
        endless: "while True: pass",
        memory: "x = []\nwhile True: x.append(bytearray(1 << 20))",
        recursion: Some("def f(n): return f(n + 1) + 1\nf(0)"),
        output_flood: "while True: print('0' * 1000)",
        log_flood: "import sys\nfor i in range(20000): print('flood', file=sys.stderr)\nprint(1)",
        syntax: "x = 1\nx = = 2\n",
        not_json: "print('[1,')",
        throws: "def f():\n    x = 1\n    raise ValueError('went wrong')\n\nf()",
        knows_syntax: true,
    },
    Programs {
        language: "node",
        double: "const fs = require('fs');\nconsole.log(JSON.stringify(JSON.parse(fs.readFileSync(0, 'utf8')).map(n => n * 2)));",
        endless: "for (;;) {}",
        memory: "const x = []; for (;;) x.push(new Array(100000).fill({}))",
        recursion: Some("const f = n => f(n + 1) + 1; f(0)"),
        output_flood: "const fs = require('fs'); for (;;) fs.writeSync(1, '0'.repeat(1000))",
        log_flood: "const fs = require('fs'); for (let i = 0; i < 20000; i++) fs.writeSync(2, 'flood\\n'); console.log(1)",
        syntax: "let x = 1;\nlet y = = 2;\n",
        not_json: "console.log('[1,')",
        throws: "function f() {\n  const x = 1;\n  throw new Error('went wrong');\n}\nf();",
        knows_syntax: true,
    },
    Programs {
        language: "perl",
        double: "$_ = join '', <STDIN>; print '[' . join(',', map { $_ * 2 } /\\d+/g) . ']';",
        endless: "while (1) {}",
        memory: "my @x; push @x, 'x' x 1000000 while 1;",
        recursion: None,
        output_flood: "print '0' x 1000 while 1;",
        log_flood: "print STDERR \"flood\\n\" for 1 .. 20000; print 1;",
        syntax: "my $x = 1;\nmy $y = = 2;\n",
        not_json: "print '[1,'",
        throws: "sub f {\n  my $x = 1;\n  die 'went wrong';\n}\nf();",
        knows_syntax: false,
    },
    Programs {
        language: "java",
        double: "import java.util.*;\nclass Main { public static void main(String[] a) { Scanner s = new Scanner(System.in).useDelimiter(\"\\\\D+\"); StringJoiner j = new StringJoiner(\",\", \"[\", \"]\"); while (s.hasNextInt()) j.add(\"\" + s.nextInt() * 2); System.out.println(j); } }",
        endless: "class Main { public static void main(String[] a) { for (;;) {} } }",
        memory: "import java.util.*;\nclass Main { public static void main(String[] a) { List<byte[]> x = new ArrayList<>(); for (;;) x.add(new byte[1 << 20]); } }",
        recursion: Some(
            "class Main { static int f(int n) { return f(n + 1) + 1; } public static void main(String[] a) { f(0); } }",
        ),
        output_flood: "class Main { public static void main(String[] a) { String s = \"0\".repeat(1000); for (;;) System.out.print(s); } }",
        log_flood: "class Main { public static void main(String[] a) { for (int i = 0; i < 20000; i++) System.err.println(\"flood\"); System.out.println(1); } }",
        syntax: "class Main { public static void main(String[] a) {\n int x = = 2;\n} }",
        not_json: "class Main { public static void main(String[] a) { System.out.println(\"[1,\"); } }",
        throws: "class Main {\n  public static void main(String[] a) {\n    throw new RuntimeException(\"went wrong\");\n  }\n}",
        knows_syntax: true,
    },
    Programs {
        language: "php",
        double: "<?php echo json_encode(array_map(fn($n) => $n * 2, json_decode(stream_get_contents(STDIN))));",
        endless: "<?php while (true) {}",
        memory: "<?php $x = []; while (true) $x[] = str_repeat('x', 1000000);",
        recursion: None,
        output_flood: "<?php while (true) echo str_repeat('0', 1000);",
        log_flood: "<?php for ($i = 0; $i < 20000; $i++) fwrite(STDERR, \"flood\\n\"); echo 1;",
        syntax: "<?php $x = 1;\n$y = = 2;\n",
        not_json: "<?php echo '[1,';",
        throws: "<?php function f() {\n  $x = 1;\n  throw new Exception('went wrong');\n}\nf();",
        knows_syntax: true,
    },
    Programs {
        language: "go",
        double: "package main\nimport (\"encoding/json\"; \"os\")\nfunc main() { var n []int; json.NewDecoder(os.Stdin).Decode(&n); for i := range n { n[i] *= 2 }; json.NewEncoder(os.Stdout).Encode(n) }",
        endless: "package main\nfunc main() { for {} }",
        memory: "package main\nfunc main() { x := [][]byte{}; for { b := make([]byte, 1<<20); for i := range b { b[i] = 1 }; x = append(x, b) } }",
        recursion: None,
        output_flood: "package main\nimport (\"os\"; \"strings\")\nfunc main() { s := []byte(strings.Repeat(\"0\", 1000)); for { os.Stdout.Write(s) } }",
        log_flood: "package main\nfunc main() { for i := 0; i < 20000; i++ { println(\"flood\") }; print(\"\"); }",
        syntax: "package main\nfunc main() { x = = 2 }\n",
        not_json: "package main\nimport \"fmt\"\nfunc main() { fmt.Println(\"[1,\") }",
        throws: "package main\nfunc main() {\n  panic(\"went wrong\")\n}",
        knows_syntax: true,
    },
    Programs {
        language: "r",
        double: "n <- scan(text = gsub('[^0-9]+', ' ', paste(readLines(file('stdin')), collapse = ' ')), quiet = TRUE)\ncat('[', paste(format(n * 2, scientific = FALSE, trim = TRUE), collapse = ','), ']', sep = '')",
        endless: "while (TRUE) {}",
        memory: "x <- list(); while (TRUE) x[[length(x) + 1]] <- rep(1, 1e6)",
        recursion: Some("f <- function(n) f(n + 1) + 1; f(0)"),
        output_flood: "while (TRUE) cat(strrep('0', 1000))",
        log_flood: "for (i in 1:20000) cat('flood\\n', file = stderr()); cat(1)",
        syntax: "x <- 1\ny <- = 2\n",
        not_json: "cat('[1,')",
        throws: "f <- function() {\n  x <- 1\n  stop('went wrong')\n}\nf()",
        knows_syntax: true,
    },
];

/// The rows whose language is here. All but Java have to be: `scripts/runtimes.sh` installs them.
fn here() -> impl Iterator<Item = &'static Programs> {
    let installed: Vec<String> = full().languages.infos().map(|info| info.name).collect();
    for needed in ["bash", "python-native", "node", "perl", "php", "go", "r"] {
        assert!(installed.iter().any(|name| name == needed), "{needed} has to be installed: {installed:?}");
    }
    for name in &installed {
        assert!(TABLE.iter().any(|row| row.language == name), "{name} has no row");
    }
    TABLE.iter().filter(move |row| installed.iter().any(|name| name == row.language))
}

/// Enough for all of them to start, and to compile.
const LIMITS: CodeLimits =
    CodeLimits { wall_ms: 60_000, cpu_ms: 60_000, memory_bytes: 64 << 20, output_bytes: 1 << 20, log_bytes: 4_096 };

#[track_caller]
fn fails(row: &Programs, source: &str, limits: CodeLimits) -> CodeError {
    let error = full().run_with(&Run { limits, ..Run::new(row.language, source) });
    let error = error.expect_err(row.language);
    // Whatever happened, the next run is as good as the first.
    let next = full().run_with(&Run { limits: LIMITS, input: json!([1, 2]), ..Run::new(row.language, row.double) });
    assert_eq!(next.expect(row.language).output, json!([2, 4]), "{}", row.language);
    error
}

#[test]
fn runs_and_takes_a_large_input() {
    for row in here() {
        let numbers: Vec<u32> = (0..100_000).collect();
        let run = Run { limits: LIMITS, input: json!(numbers), ..Run::new(row.language, row.double) };
        let run = if row.language == "bash" { Run { input: json!(numbers[..1_000]), ..run } } else { run };
        let doubled: Vec<u32> =
            run.input.as_array().unwrap().iter().map(|n| u32::try_from(n.as_u64().unwrap() * 2).unwrap()).collect();
        let output = full().run_with(&run).unwrap_or_else(|error| panic!("{}: {error:?}", row.language));
        assert!(output.output == json!(doubled), "{}: not the doubled numbers", row.language);
        assert!(output.usage.wall_ms > 0.0 && output.usage.memory_peak_bytes > 0, "{:?}", output.usage);
        // The same without reading a byte of it.
        let output = full().run_with(&Run { limits: LIMITS, input: json!(numbers), ..Run::new(row.language, row.not_json) });
        assert_eq!(output.expect(row.language).output["stdout"].as_str().unwrap().trim(), "[1,");
    }
}

#[test]
fn an_endless_loop_ends_at_the_deadline_or_when_its_cpu_time_is_used_up() {
    for row in here() {
        let error = fails(row, row.endless, CodeLimits { wall_ms: 1_500, ..LIMITS });
        assert_eq!((error.code, error.message.as_str()), (CodeErrorCode::Timeout, "the code ran for more than 1500 ms"));
        let error = fails(row, row.endless, CodeLimits { cpu_ms: 1_500, ..LIMITS });
        assert_eq!((error.code, error.message.as_str()), (CodeErrorCode::Timeout, "the code used more than 1500 ms of CPU time"));
    }
}

#[test]
fn a_program_that_wants_all_memory_ends() {
    for row in here() {
        let error = fails(row, row.memory, LIMITS);
        assert_eq!(error.code, CodeErrorCode::Memory, "{}: {error:?}", row.language);
    }
}

#[test]
fn a_recursion_without_end_ends() {
    for (row, source) in here().filter_map(|row| Some((row, row.recursion?))) {
        let error = fails(row, source, LIMITS);
        assert!(matches!(error.code, CodeErrorCode::Exception | CodeErrorCode::Memory), "{}: {error:?}", row.language);
    }
}

#[test]
fn too_much_output_is_an_error_and_too_much_log_is_cut() {
    for row in here() {
        let error = fails(row, row.output_flood, LIMITS);
        assert_eq!(error.code, CodeErrorCode::OutputLimit, "{}: {error:?}", row.language);
        let output = full().run_with(&Run { limits: LIMITS, ..Run::new(row.language, row.log_flood) }).expect(row.language);
        assert!(output.logs_truncated, "{}", row.language);
        let bytes: usize = output.logs.iter().map(|line| line.text.len() + 1).sum();
        assert!(bytes <= LIMITS.log_bytes + 1, "{bytes}");
        assert_eq!((output.logs[0].text.as_str(), output.logs[0].level), ("flood", LogLevel::Warn));
    }
}

#[test]
fn an_error_of_syntax_has_its_line() {
    for row in here() {
        let error = fails(row, row.syntax, LIMITS);
        let expected = if row.knows_syntax { CodeErrorCode::Syntax } else { CodeErrorCode::Exception };
        assert_eq!(error.code, expected, "{}: {error:?}", row.language);
        // R names the line without the file.
        assert_eq!(error.line, (row.language != "r").then_some(2), "{}: {error:?}", row.language);
    }
}

#[test]
fn an_exception_has_its_message_and_its_line() {
    for row in here() {
        let error = fails(row, row.throws, LIMITS);
        assert_eq!(error.code, CodeErrorCode::Exception, "{}: {error:?}", row.language);
        assert!(error.message.contains("went wrong"), "{}: {error:?}", row.language);
        // A command that Bash ran knows nothing of lines, and R names none.
        let has_line = !["bash", "r"].contains(&row.language);
        assert_eq!(error.line, has_line.then_some(3), "{}: {error:?}", row.language);
        assert!(error.stack.is_some_and(|stack| stack.contains("went wrong")));
    }
}

#[test]
fn a_regular_expression_without_end_ends() {
    let python = "import re\nre.match('(a+)+$', 'a' * 40 + 'b')";
    let error = full().run_with(&Run { limits: CodeLimits { wall_ms: 500, ..LIMITS }, ..Run::new("python-native", python) });
    assert_eq!(error.unwrap_err().code, CodeErrorCode::Timeout);
}

#[test]
fn a_program_that_crashes_says_by_which_signal() {
    let error = full().run("bash", "kill -SEGV $$", Value::Null).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (CodeErrorCode::Exception, "the program was ended by SIGSEGV"));
}

/// A run and what becomes of it.
const DEEDS: [(&str, Result<u32, CodeErrorCode>); 8] = [
    ("echo 1", Ok(1)),
    ("read x; echo 2 > /tmp/x; cat /tmp/x", Ok(2)),
    ("exit 3", Err(CodeErrorCode::Exception)),
    ("kill -9 $$", Err(CodeErrorCode::Exception)),
    ("kill -9 -1; kill -9 1; sleep 5", Err(CodeErrorCode::Timeout)),
    ("while :; do echo 0123456789; done", Err(CodeErrorCode::OutputLimit)),
    ("(while :; do :; done) & (while :; do :; done) & wait", Err(CodeErrorCode::Timeout)),
    ("rm -rf /tmp /code /usr 2>/dev/null; ulimit -n 3 2>/dev/null; if", Err(CodeErrorCode::Syntax)),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_bad_run_never_changes_the_next(deeds in prop::collection::vec(0..DEEDS.len(), 1..6)) {
        for deed in deeds {
            let (source, expected) = DEEDS[deed];
            let limits = CodeLimits { wall_ms: 400, output_bytes: 10_000, ..LIMITS };
            let ran = full().run_with(&Run { limits, ..Run::new("bash", source) });
            match (ran, expected) {
                (Ok(output), Ok(expected)) => prop_assert_eq!(output.output, json!(expected)),
                (Err(error), Err(expected)) => prop_assert_eq!(error.code, expected, "{:?}", error),
                (ran, expected) => prop_assert!(false, "{}: {:?} instead of {:?}", source, ran, expected),
            }
        }
    }
}
