//! What code can and cannot do in Python and Ruby.

use std::time::Instant;

use serde_json::{Value, json};

use super::testing::{self, loaded as language};
use crate::{
    model::log::LogLevel,
    runtimes::{
        abuse::Abuse,
        code::{Code, CodeErrorCode, CodeInput, CodeLimits},
        grants::Grants,
        install::InstalledPython,
        languages::Language as _,
        sandbox::Sandbox,
        testing::{SLACK, Tested, World},
    },
};

const PYTHON: Tested = Tested("python");
const RUBY: Tested = Tested("ruby");

/// As [`Tested::check_fails`], with the column.
#[track_caller]
fn check_fails(tested: Tested, source: &str, code: CodeErrorCode, message: &str, place: (Option<u32>, Option<u32>)) {
    let error = tested.check_fails(source, code, message, place.0);
    assert_eq!(error.column, place.1, "{source}: {error:?}");
}

#[test]
fn code_returns_what_it_returns() {
    PYTHON.check("return input['n'] + 1", json!(21));
    PYTHON.check("def main(given):\n  return given['n']", json!(20));
    PYTHON.check("def main(given):\n  return 1\nreturn 2", json!(2));
    PYTHON.check("def main(given):\n  return 1\nif not input:\n  return 2", json!(1));
    PYTHON.check("async def main(given):\n  return 3", json!(3));
    PYTHON.check("count = 0\ndef main(given):\n  global count\n  count += 1\n  return count", json!(1));
    PYTHON.check("return '''two\n  lines'''", json!("two\n  lines"));
    PYTHON.check("from math import *\ndef main(given): return floor(pi)", json!(3));
    PYTHON.check("", Value::Null);
    PYTHON.check("return '\\ud83d, \\ud83d\\ude00'", json!("\u{fffd}, 😀"));
    PYTHON.check(
        "import datetime\nreturn [datetime.date(2026, 1, 31), (1, 2.5), {1: None}]",
        json!(["2026-01-31", [1, 2.5], { "1": null }]),
    );

    RUBY.check("input['n'] + 1", json!(21));
    RUBY.check("return input['n'] if input\n1", json!(20));
    RUBY.check("def main(given) = given['n']", json!(20));
    RUBY.check("def main(given) = 1\nreturn 2", json!(2));
    RUBY.check("class Two\n  def main = 1\nend\n2", json!(2));
    RUBY.check("", Value::Null);
    RUBY.check(
        "[:a, Time.at(0).utc, Date.new(2026, 1, 31), { 1 => nil }]",
        json!(["a", "1970-01-01T00:00:00Z", "2026-01-31", { "1": null }]),
    );
    RUBY.check("[1, 2].each.next + Fiber.new { 1 }.resume", json!(2));
}

#[test]
fn the_standard_library_is_there() {
    let source = "import csv, decimal, io, re, sqlite3, statistics, xml.etree.ElementTree as tree\n\
                  db = sqlite3.connect(':memory:')\n\
                  return [list(csv.reader(io.StringIO('a,b'))), str(decimal.Decimal('1.1') + 1), re.sub('b', 'c', 'ab'),\n\
                  \x20 db.execute('select 1 + 1').fetchone()[0], statistics.mean([1, 3]), tree.fromstring('<a>b</a>').text]";
    PYTHON.check(source, json!([[["a", "b"]], "2.1", "ac", 2, 2, "b"]));
    let source = "require 'csv'\n[CSV.parse('a,b'), YAML.load('a: 1'), Digest::SHA256.hexdigest('')[0, 4], 'ab'.sub('b', 'c')]";
    RUBY.check(source, json!([[["a", "b"]], { "a": 1 }, "e3b0", "ac"]));
}

#[test]
fn errors_name_the_line_of_the_user() {
    let exception = CodeErrorCode::Exception;
    check_fails(PYTHON, "x = 1\n\nreturn x / 0", exception, "ZeroDivisionError: division by zero", (Some(3), Some(8)));
    check_fails(PYTHON, "raise KeyError('é')", exception, "KeyError: 'é'", (Some(1), Some(1)));
    check_fails(PYTHON, "import sys\nsys.exit(3)", exception, "SystemExit: 3", (Some(2), Some(1)));
    check_fails(PYTHON, "import numpy", exception, "ModuleNotFoundError: No module named 'numpy'", (Some(1), Some(1)));
    check_fails(PYTHON, "return {1, 2}", exception, "TypeError: an object of type set is no JSON", (None, None));
    check_fails(PYTHON, "return float('nan')", exception, "ValueError: Out of range", (None, None));
    check_fails(PYTHON, "a = []\na.append(a)\nreturn a", exception, "ValueError: Circular reference", (None, None));
    check_fails(RUBY, "x = 1\n\nnil.foo", exception, "NoMethodError: undefined method 'foo' for nil", (Some(3), None));
    check_fails(RUBY, "raise 'é'", exception, "RuntimeError: é", (Some(1), None));
    check_fails(RUBY, "Object.new", exception, "TypeError: an object of type Object is no JSON", (None, None));
    check_fails(RUBY, "0.0 / 0", exception, "JSON::GeneratorError: NaN", (None, None));
    check_fails(RUBY, "def main(given)\n  raise 'in main'\nend", exception, "RuntimeError: in main", (Some(2), None));

    let error = PYTHON.run("def f(a):\n  return a['x']\ndef g():\n  return f({})\nreturn g()").unwrap_err();
    assert_eq!(error.stack.as_deref(), Some("at f (code.py:2:10)\nat g (code.py:4:10)\nat <module> (code.py:5:8)"));
    let error = RUBY.run("def f(a)\n  a.x\nend\ndef g = f(1)\ng").unwrap_err();
    assert_eq!(error.stack.as_deref(), Some("at f (code.rb:2)\nat g (code.rb:4)\nat <main> (code.rb:5)"));
}

#[test]
fn what_does_not_parse_is_refused_with_its_place() {
    let place_of = |name: &str, source: &str| {
        let error = language(name).check(&Code::parse(name, source).unwrap()).expect_err(source);
        assert_eq!(error.code, CodeErrorCode::Syntax, "{error:?}");
        (error.line, error.column)
    };
    assert_eq!(place_of("python", "x = 1\nreturn ("), (Some(2), Some(8)));
    assert_eq!(place_of("python", "if x:\nreturn 1"), (Some(2), Some(1)));
    assert_eq!(place_of("python", "return 1\nyield 2"), (Some(1), Some(1)));
    assert_eq!(place_of("python", "return await x"), (Some(1), Some(8)));
    assert_eq!(place_of("ruby", "x = 1\ny = 1 +"), (Some(2), Some(8)));
    assert_eq!(place_of("ruby", "}; puts 1; lambda {"), (Some(1), Some(1)));
    assert_eq!(place_of("ruby", "1\nbreak 2"), (Some(2), Some(1)));
    for (name, source) in [("python", "while True: pass\nreturn undefined_name"), ("ruby", "loop { }\nundefined_name")] {
        assert_eq!(language(name).check(&Code::parse(name, source).unwrap()), Ok(()), "nothing is run");
    }
}

#[test]
fn output_is_kept_line_by_line_also_before_a_failure() {
    let lines_of =
        |tested: Tested, source: &str| tested.logs(source).into_iter().map(|line| (line.level, line.text)).collect::<Vec<_>>();
    let expected = [(LogLevel::Info, "a b"), (LogLevel::Info, ""), (LogLevel::Error, "é"), (LogLevel::Info, "end")];
    let expected = expected.map(|(level, text)| (level, text.to_owned()));
    let source = "import sys\nprint('a', 'b')\nprint()\nprint('é', file=sys.stderr)\nprint('end', end='')\nraise ValueError";
    assert_eq!(lines_of(PYTHON, source), expected);
    assert_eq!(lines_of(RUBY, "print 'a '\nputs 'b', ''\nwarn 'é'\nprint 'end'\nraise 'x'"), expected);
}

#[test]
fn there_are_no_files_no_network_no_processes_and_no_environment() {
    for source in [
        "return open('/etc/passwd').read()",
        "import os\nreturn os.listdir('/')",
        "open('/tmp/x', 'w')",
        "import socket\nsocket.create_connection(('127.0.0.1', 22), 1)",
        "import socket\nsocket.socket().bind(('127.0.0.1', 0))",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1/')",
        "import subprocess\nsubprocess.run(['ls'])",
        "import threading\nthreading.Thread(target=print).start()",
        "import sys\nif sys.stdin.read() == '': raise EOFError('at its end')",
    ] {
        assert_eq!(PYTHON.run(source).expect_err(source).code, CodeErrorCode::Exception);
    }
    for source in [
        "File.read('/etc/passwd')",
        "Dir.children('/etc')",
        "File.write('/tmp/x', '')",
        "require 'socket'\nTCPSocket.new('127.0.0.1', 22)",
        "`ls`",
        "fork { }",
        "Thread.new { }",
        "require 'js'\nJS.eval('1')",
        "$stdin.read",
    ] {
        assert_eq!(RUBY.run(source).expect_err(source).code, CodeErrorCode::Exception, "{source}");
    }
    PYTHON.check("import os\nreturn dict(os.environ)", json!({}));
    RUBY.check("ENV.to_h", json!({}));
}

#[test]
fn a_granted_environment_is_seen_by_its_run_only() {
    let grants = Grants { env: [("TOKEN".to_owned(), "t".to_owned())].into(), ..Grants::default() };
    for (name, source) in [("python", "import os\nreturn os.environ.get('TOKEN')"), ("ruby", "ENV['TOKEN']")] {
        let code = Code::parse(name, source).unwrap();
        let language = language(name);
        let run = |grants| language.session(&code, CodeLimits::default(), grants).run(CodeInput::Value(&Value::Null));
        assert_eq!(run(&grants).unwrap().output, json!("t"), "{name}");
        assert_eq!(run(&Grants::default()).unwrap().output, Value::Null, "{name}");
    }
}

#[test]
fn a_code_node_has_its_items() {
    let world = World::new(json!({ "n": 1 }), json!({ "n": 2 }));
    let scope = world.scope();
    for (name, source) in
        [("python", "return [input, [item['json'] for item in items]]"), ("ruby", "[input, items.map { |item| item['json'] }]")]
    {
        let code = Code::parse(name, source).unwrap();
        let (language, grants) = (language(name), Grants::default());
        let mut session = language.session(&code, CodeLimits::default(), &grants);
        let all = json!([{ "n": 1 }, { "n": 2 }]);
        assert_eq!(session.run(CodeInput::Items(&scope)).unwrap().output, json!([all, all]));
        let second = session.run(CodeInput::Item(&scope)).unwrap();
        assert_eq!((second.output, second.usage.cold), (json!([{ "n": 2 }, all]), false));
    }
}

#[test]
fn chance_and_time_are_not_those_of_the_snapshot() {
    for (name, source) in [
        (
            "python",
            "import os, random, time, uuid\nreturn [random.random(), os.urandom(4).hex(), str(uuid.uuid4()), time.time()]",
        ),
        ("ruby", "[rand, SecureRandom.hex(4), Random.new.rand, Time.now.to_f]"),
    ] {
        let (first, second) = (Tested(name).run(source).unwrap().output, Tested(name).run(source).unwrap().output);
        for place in 0..4 {
            assert_ne!(first[place], second[place], "{name}: {place}");
        }
        let now = first[3].as_f64().unwrap();
        assert!((now - crate::clock::now_ms() as f64 / 1_000.0).abs() < 60.0, "{name}: {now}");
    }
}

const PYTHON_ABUSE: Abuse<'_> = Abuse {
    language: "python",
    endless: "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
    memory: "a = []\nwhile True: a.append('x' * 100_000 + str(len(a)))",
    recursion: "def f():\n  return f() + 1\nreturn f()",
    pattern: Some("import re\nreturn re.match(r'(a+)+$', 'a' * 60 + 'b')"),
    sleep: Some("import time\ntime.sleep(3600)"),
    output_flood: "return 'x' * 100_000",
    log_flood: "while True: print('flood')",
    huge_input: "return len(input)",
    holds_input: true,
    syntax_error: ("x = 1\ny = = 2", Some(2)),
    no_json: Some("return print"),
    fetches: Some("while True: fetch('http://127.0.0.1/')"),
    throws: ("def f():\n  raise ValueError('no')\nf()", "no", Some(2)),
    poisons: &[
        "import builtins, json\njson.dumps = None\nbuiltins.len = None\nbuiltins.leak = 1",
        "import sys\nsys.modules.clear()\nsys.stdout = None\nsys.setrecursionlimit(50)",
        "import gc\ngc.disable()\nfor thing in gc.get_objects():\n  if isinstance(thing, dict): thing.clear()",
        "import os\nos._exit(3)",
        "def f(): yield from f()\nlist(f())",
    ],
    healthy: "import builtins\nprint('fine')\nreturn [input + 1, 'dirty' if hasattr(builtins, 'leak') or len([1]) != 1 else 'clean']",
};

const RUBY_ABUSE: Abuse<'_> = Abuse {
    language: "ruby",
    endless: "begin\n  loop { }\nrescue Exception\n  retry\nensure\n  loop { }\nend",
    memory: "a = []\na << 'x' * 100_000 while true",
    recursion: "def f = f + 1\nf",
    pattern: Some("('a' * 60 + 'b') =~ /^(a|a)*\\1$/"),
    sleep: Some("sleep 3600"),
    output_flood: "'x' * 100_000",
    log_flood: "loop { puts 'flood' }",
    huge_input: "input.size",
    holds_input: true,
    syntax_error: ("x = 1\ny = = 2", Some(2)),
    no_json: Some("Object.new"),
    fetches: Some("loop { fetch('http://127.0.0.1/') }"),
    throws: ("def f\n  raise 'no'\nend\nf", "no", Some(2)),
    poisons: &[
        "class Integer\n  def +(other) = 0\nend\n$leak = 1",
        "module JSON\n  def self.generate(*) = raise('poisoned')\nend",
        "class Object\n  def to_json(*) = 'poisoned'\nend\n$stdout = nil\nObject.send(:remove_const, :JSON)",
        "Citadel = nil",
        "GC.disable\nObjectSpace.each_object(String) { |text| text.replace('') unless text.frozen? }",
        "exit!",
    ],
    healthy: "puts 'fine'\n[input + 1, $leak.nil? && 1 + 1 == 2 ? 'clean' : 'dirty']",
};

#[test]
fn abuse_of_python_ends_as_it_should() {
    PYTHON_ABUSE.check(&*language("python"));
}

#[test]
fn abuse_of_ruby_ends_as_it_should() {
    RUBY_ABUSE.check(&*language("ruby"));
}

#[test]
fn a_bad_run_of_python_never_affects_the_next() {
    PYTHON_ABUSE.check_sequences(&*language("python"));
}

#[test]
fn a_bad_run_of_ruby_never_affects_the_next() {
    RUBY_ABUSE.check_sequences(&*language("ruby"));
}

#[test]
fn whatever_waits_is_ended() {
    let limits = CodeLimits { wall_ms: 200, ..CodeLimits::default() };
    for (name, source) in [
        ("python", "import select, socket\nselect.select([socket.socket()], [], [], 3600)"),
        ("python", "import time\nwhile True: time.sleep(0.001)"),
        ("ruby", "sleep"),
        ("ruby", "IO.select(nil, nil, nil, 3600)"),
    ] {
        let started = Instant::now();
        let error = Tested(name).run_with(source, &Value::Null, limits).expect_err(source);
        assert!(started.elapsed() < SLACK, "{name}: {source}: {error:?} after {:?}", started.elapsed());
        // Where there are no sockets, it is told so at once.
        assert!(matches!(error.code, CodeErrorCode::Timeout | CodeErrorCode::Exception), "{name}: {source}: {error:?}");
    }
    PYTHON.check("import time\ntime.sleep(0.01)\nreturn 1", json!(1));
    RUBY.check("sleep 0.01\n1", json!(1));
}

#[test]
fn memory_counts_beside_the_interpreter() {
    let limits = CodeLimits { memory_bytes: 32 * 1024 * 1024, ..CodeLimits::default() };
    for (name, fits, too_much) in [
        ("python", "return len('x' * 20_000_000)", "return len('x' * 40_000_000)"),
        ("ruby", "('x' * 20_000_000).size", "('x' * 40_000_000).size"),
    ] {
        let output = Tested(name).run_with(fits, &Value::Null, limits).unwrap();
        assert_eq!(output.output, json!(20_000_000));
        assert!((1_000_000..32 * 1024 * 1024).contains(&output.usage.memory_peak_bytes), "{name}: {:?}", output.usage);
        assert_eq!(Tested(name).run_with(too_much, &Value::Null, limits).unwrap_err().code, CodeErrorCode::Memory, "{name}");
    }
}

#[test]
fn deep_recursion_of_the_interpreter_itself_is_an_exception() {
    for (name, source) in [
        ("python", "import json\nreturn json.loads('[' * 100_000)"),
        ("python", "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n): return f(n + 1) + 1\nreturn f(0)"),
        ("ruby", "def f(x) = [1].map { f(x) }\nf(1)"),
    ] {
        let error = Tested(name).run(source).expect_err(source);
        assert!(matches!(error.code, CodeErrorCode::Exception | CodeErrorCode::Memory), "{name}: {source}: {error:?}");
    }
}

#[test]
fn an_interpreter_that_ends_itself_is_an_exception() {
    check_fails(PYTHON, "import os\nos._exit(3)", CodeErrorCode::Exception, "the code ended its interpreter", (None, None));
    check_fails(RUBY, "exit!", CodeErrorCode::Exception, "the code ended its interpreter", (None, None));
}

#[test]
fn a_language_that_is_installed_while_the_process_runs_is_found() {
    language("python"); // Is compiled.
    let directory = tempfile::tempdir().unwrap();
    let python = InstalledPython::new(Sandbox::for_tests(), directory.path().to_owned());
    let (code, grants) = (Code::parse("python", "return 1").unwrap(), Grants::default());
    let run = || python.session(&code, CodeLimits::default(), &grants).run(CodeInput::Value(&Value::Null));
    let error = run().unwrap_err();
    assert_eq!(error.code, CodeErrorCode::Unavailable);
    assert_eq!(error.message, "Python is not installed: `citadel runtimes install python` installs it");
    assert_eq!(python.complaint(), Some(error.message.clone()));
    assert_eq!(python.info().notes, [error.message]);
    assert_eq!(python.check(&code).unwrap_err().code, CodeErrorCode::Unavailable);

    for part in ["python", "compiled"] {
        let (from, to) = (testing::directory().join(part), directory.path().join(part));
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    #[cfg(unix)]
    std::fs::set_permissions(directory.path().join("compiled"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    python.load().unwrap();
    assert_eq!(run().unwrap().output, json!(1));
    assert_eq!(python.complaint(), None);
}
