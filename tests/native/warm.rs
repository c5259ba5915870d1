//! Interpreters that wait for work: faster, and as fresh as others.

use citadel::{
    clock,
    model::{ids::WorkspaceId, native_language::NativeLanguageSettings},
    runtimes::{
        code::{Code, CodeErrorCode, CodeInput, CodeLimits, CodeOutput},
        grants::Grants,
    },
};
use serde_json::{Value, json};

use crate::support::{Run, World, eventually, processes_with};

fn world(marker: &str) -> World {
    world_with(marker, "decimal", 8)
}

/// A language of that name, whose interpreters have one more module loaded: it tells them from those of other tests.
fn world_with(marker: &str, module: &str, warm_max: usize) -> World {
    let warm = NativeLanguageSettings {
        extends: Some("python-native".to_owned()),
        warm: 2,
        preload: vec!["json".to_owned(), module.to_owned()],
        env: [("MARKER".to_owned(), marker.to_owned())].into(),
        ..NativeLanguageSettings::default()
    };
    let world = World::new(|settings| {
        settings.warm_max = warm_max;
        settings.languages.insert(marker.to_owned(), warm);
    });
    world.native.warm_up(WorkspaceId::DEFAULT);
    world
}

/// What a run of a workspace had to do: whether it made its sandbox, or was served by an interpreter that has waited.
fn is_cold(world: &World, language: &str, workspace: WorkspaceId) -> bool {
    let mut run = Run::new(language, "print(1)");
    run.grants.workspace = Some(workspace);
    world.run_with(&run).unwrap().usage.cold
}

/// Interpreters take a moment to start: runs until one has waited.
#[track_caller]
fn warm_run(world: &World, run: impl Fn() -> CodeOutput) -> CodeOutput {
    assert!(world.native.report().problems.is_empty(), "{:?}", world.native.report());
    let mut found = None;
    eventually("an interpreter waits", || {
        found = Some(run()).filter(|output| !output.usage.cold);
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn the_items_of_a_session_run_in_one_interpreter_and_know_nothing_of_each_other() {
    let world = world("warm-items");
    let source = "import decimal, json, os, random, sys\n\
                  n = json.load(sys.stdin)\n\
                  kept = getattr(decimal, 'kept', None)\n\
                  decimal.kept = n\n\
                  open('/tmp/kept', 'a').write('x')\n\
                  print(json.dumps({'double': n * 2, 'kept': kept, 'random': random.random(), 'granted': os.environ['GRANTED']}))\n\
                  print('logged', n, file=sys.stderr)\n";
    let run = || {
        let mut run = Run { input: json!(1), ..Run::new("warm-items", source) };
        run.grants.env.insert("GRANTED".to_owned(), "a".to_owned());
        world.run_with(&run).unwrap()
    };
    let first = warm_run(&world, run);
    assert_eq!((&first.output["double"], &first.output["granted"]), (&json!(2), &json!("a")));
    eventually("another one waits", || !run().usage.cold);

    let code = Code::parse("warm-items", source).unwrap();
    let workspace = Some(WorkspaceId::DEFAULT);
    let grants = Grants { workspace, env: [("GRANTED".to_owned(), "b".to_owned())].into(), ..Grants::default() };
    let mut session = world.languages.get("warm-items").unwrap().session(&code, CodeLimits::default(), &grants);
    let ran: Vec<CodeOutput> = (0..5).map(|n| session.run(CodeInput::Value(&json!(n))).unwrap()).collect();
    for (n, output) in ran.iter().enumerate() {
        let values = (&output.output["double"], &output.output["kept"], &output.output["granted"]);
        assert_eq!(values, (&json!(n * 2), &Value::Null, &json!("b")));
        assert_eq!(output.logs.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), [format!("logged {n}")]);
    }
    let mut drawn: Vec<String> = ran.iter().map(|output| output.output["random"].to_string()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 5, "chance is new in every one");
}

#[test]
fn limits_and_failures_are_those_of_any_run() {
    let world = world("warm-limits");
    warm_run(&world, || world.run("warm-limits", "print(1)", Value::Null).unwrap());
    let limits = CodeLimits { wall_ms: 2_000, memory_bytes: 32 << 20, output_bytes: 1_000, ..CodeLimits::default() };
    let fails = |source: &str, limits: CodeLimits| {
        let error = world.run_with(&Run { limits, ..Run::new("warm-limits", source) }).unwrap_err();
        assert_eq!(world.run("warm-limits", "print(1)", Value::Null).unwrap().output, json!(1));
        // So that the next one is warm too.
        eventually("another one waits", || !world.run("warm-limits", "print(1)", Value::Null).unwrap().usage.cold);
        error
    };
    assert_eq!(fails("while True: pass", limits).code, CodeErrorCode::Timeout);
    assert_eq!(fails("while True: pass", CodeLimits { cpu_ms: 200, wall_ms: 20_000, ..limits }).code, CodeErrorCode::Timeout);
    assert_eq!(fails("x = []\nwhile True: x.append(bytearray(1 << 20))", limits).code, CodeErrorCode::Memory);
    assert_eq!(fails("print('x' * 2000)", limits).code, CodeErrorCode::OutputLimit);
    assert_eq!(fails("while True: print('x' * 2000)", limits).code, CodeErrorCode::OutputLimit);
    let error = fails("def f():\n    raise ValueError('went wrong')\n\nf()", limits);
    assert_eq!((error.code, error.line), (CodeErrorCode::Exception, Some(2)), "{error:?}");
    assert_eq!(error.message, "the program exited with 1: ValueError: went wrong");
    let error = fails("x = 1\nx = = 2", limits);
    assert_eq!((error.code, error.line), (CodeErrorCode::Syntax, Some(2)), "{error:?}");
    assert_eq!(fails("import sys\nsys.exit(3)", limits).message, "the program exited with 3");
    // It may end the interpreter, which is its own.
    fails("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nimport time\ntime.sleep(5)", limits);
    assert_eq!(fails("open('/etc/passwd')", limits).code, CodeErrorCode::Exception);
}

#[test]
fn what_a_run_leaves_behind_counts() {
    let world = world_with("warm-orphans", "colorsys", 8);
    let source = "import os, time\n\
                  if os.fork() == 0:\n\
                  \x20   os.setsid()\n\
                  \x20   while time.process_time() < 0.4: pass\n\
                  \x20   time.sleep(60)\n\
                  time.sleep(2)\n\
                  print(1)\n";
    let output = warm_run(&world, || world.run("warm-orphans", source, Value::Null).unwrap());
    assert_eq!(output.output, json!(1));
    assert!(output.usage.cpu_ms >= 300.0, "{:?}", output.usage);
}

#[test]
fn an_input_that_nobody_reads_is_no_failure() {
    let world = world_with("warm-unread", "stringprep", 8);
    warm_run(&world, || world.run("warm-unread", "print(1)", Value::Null).unwrap());
    eventually("another one waits", || !is_cold(&world, "warm-unread", WorkspaceId::DEFAULT));
    let code = Code::parse("warm-unread", "print(1)").unwrap();
    let grants = Grants { workspace: Some(WorkspaceId::DEFAULT), ..Grants::default() };
    let mut session = world.languages.get("warm-unread").unwrap().session(&code, CodeLimits::default(), &grants);
    // More than a pipe holds: some of it is still to be written when the program ends.
    let large = json!("x".repeat(1 << 20));
    for _ in 0..5 {
        let output = session.run(CodeInput::Value(&large)).unwrap();
        assert_eq!(output.output, json!(1));
    }
}

#[test]
fn nothing_of_an_item_outlives_it_and_no_interpreter_its_world() {
    let world = world("warm-ends");
    warm_run(&world, || world.run("warm-ends", "print(1)", Value::Null).unwrap());
    let source = "import subprocess\nsubprocess.Popen(['sleep', '75319'], start_new_session=True)\nprint(1)";
    let code = Code::parse("warm-ends", source).unwrap();
    let grants = Grants { workspace: Some(WorkspaceId::DEFAULT), ..Grants::default() };
    let mut session = world.languages.get("warm-ends").unwrap().session(&code, CodeLimits::default(), &grants);
    for n in 0..3 {
        assert_eq!(session.run(CodeInput::Value(&json!(n))).unwrap().output, json!(1));
        eventually("what it left is gone", || processes_with("sleep 75319").is_empty());
    }
    drop(session);
    drop(world);
}

#[test]
fn an_interpreter_waits_for_one_workspace_and_serves_no_other() {
    let world = world_with("warm-apart", "colorsys", 8);
    let waiting = || processes_with("warm_host.py json colorsys").len();
    eventually("two wait for the first workspace", || waiting() >= 2 && !is_cold(&world, "warm-apart", WorkspaceId::DEFAULT));
    let other = WorkspaceId::from_uuid(clock::new_uuid());
    assert!(is_cold(&world, "warm-apart", other), "those that wait are not its own");
    eventually("its own wait", || !is_cold(&world, "warm-apart", other));
    // Of nobody: nothing that waits is for it.
    let code = Code::parse("warm-apart", "print(1)").unwrap();
    let grants = Grants::default();
    let mut session = world.languages.get("warm-apart").unwrap().session(&code, CodeLimits::default(), &grants);
    assert!(session.run(CodeInput::Value(&Value::Null)).unwrap().usage.cold);
}

#[test]
fn waiting_interpreters_obeyed_and_violated() {
    let world = world_with("warm-bound", "cmd", 0);
    assert!(is_cold(&world, "warm-bound", WorkspaceId::DEFAULT), "none may wait");
    drop(world);
    let world = world_with("warm-bound", "cmd", 3);
    let waiting = || processes_with("warm_host.py json cmd").len();
    eventually("two wait", || waiting() == 2);
    let others: Vec<WorkspaceId> = (0..3).map(|_| WorkspaceId::from_uuid(clock::new_uuid())).collect();
    for other in &others {
        assert!(is_cold(&world, "warm-bound", *other));
        eventually("there are as many as may be", || waiting() == 3);
    }
    // The first workspace had two and has given one away; the last found nobody who has more than one.
    eventually("the second workspace has one", || !is_cold(&world, "warm-bound", others[0]));
    assert!(is_cold(&world, "warm-bound", others[2]));
    assert!(waiting() <= 3);
    drop(world);
    eventually("none outlives its world", || waiting() == 0);
}
