//! Each limit of a native run as a pair: obeyed and violated.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use citadel::runtimes::{
    code::{Code, CodeErrorCode, CodeInput, CodeLimits},
    grants::Grants,
};
use serde_json::{Value, json};

use crate::support::{Run, World, full, processes_with, reduced};

fn with(limits: CodeLimits, language: &str, source: &str) -> Result<Value, CodeErrorCode> {
    let ran = full().run_with(&Run { limits, ..Run::new(language, source) });
    ran.map(|output| output.output).map_err(|error| error.code)
}

#[test]
fn wall_time_obeyed_and_violated() {
    let limits = CodeLimits { wall_ms: 2_000, ..CodeLimits::default() };
    assert_eq!(with(limits, "bash", "sleep 0.1; echo 1"), Ok(json!(1)));
    let started = Instant::now();
    assert_eq!(with(CodeLimits { wall_ms: 200, ..limits }, "bash", "sleep 5; echo 1"), Err(CodeErrorCode::Timeout));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn cpu_time_of_all_processes_together_obeyed_and_violated() {
    let source = "for i in 1 2 3; do (for ((n = 0; n < 20000; n++)); do :; done) & done; wait; echo 1";
    let limits = CodeLimits { cpu_ms: 20_000, ..CodeLimits::default() };
    assert_eq!(with(limits, "bash", source), Ok(json!(1)));
    let source = "for i in 1 2 3; do (while :; do :; done) & done; wait; echo 1";
    assert_eq!(with(CodeLimits { cpu_ms: 300, ..limits }, "bash", source), Err(CodeErrorCode::Timeout));
    // What a run has used is known, also where it is ended at the deadline.
    let limits = CodeLimits { wall_ms: 1_000, ..limits };
    let usage = full().run_with(&Run { limits, ..Run::new("bash", source) }).unwrap_err().usage.unwrap();
    assert!(usage.wall_ms >= 1_000.0 && usage.cpu_ms > 0.0 && usage.memory_peak_bytes > 0, "{usage:?}");
}

#[test]
fn memory_of_all_processes_together_obeyed_and_violated() {
    let source = |processes: u32| {
        format!(
            "import os, time\n\
             for i in range({processes}):\n\
             \x20   if os.fork() == 0:\n\
             \x20       x = bytearray(os.urandom(1 << 20)) * 24\n\
             \x20       time.sleep(0.3)\n\
             \x20       os._exit(0)\n\
             for i in range({processes}): os.wait()\n\
             print(1)"
        )
    };
    let limits = CodeLimits { memory_bytes: 64 << 20, ..CodeLimits::default() };
    assert_eq!(with(limits, "python-native", &source(2)), Ok(json!(1)));
    // No single one of them has too much.
    assert_eq!(with(limits, "python-native", &source(8)), Err(CodeErrorCode::Memory));
}

#[test]
fn what_sockets_hold_obeyed_and_violated() {
    let source = |processes: u32, pairs: u32| {
        format!(
            "import os, socket, time\n\
             for i in range({processes}):\n\
             \x20   if os.fork() == 0:\n\
             \x20       kept = [socket.socketpair() for _ in range({pairs})]\n\
             \x20       for one, other in kept:\n\
             \x20           one.setblocking(False)\n\
             \x20           try:\n\
             \x20               while True: one.send(b'x' * 4096)\n\
             \x20           except BlockingIOError: pass\n\
             \x20       time.sleep(0.3)\n\
             \x20       os._exit(0)\n\
             for i in range({processes}): os.wait()\n\
             print(1)"
        )
    };
    let limits = CodeLimits { memory_bytes: 64 << 20, ..CodeLimits::default() };
    assert_eq!(with(limits, "python-native", &source(2, 20)), Ok(json!(1)));
    assert_eq!(with(limits, "python-native", &source(6, 60)), Err(CodeErrorCode::Memory));
}

#[test]
fn output_and_log_obeyed_and_violated() {
    let limits = CodeLimits { output_bytes: 100, log_bytes: 100, ..CodeLimits::default() };
    assert!(with(limits, "bash", "printf '%0100d'").is_ok());
    assert_eq!(with(limits, "bash", "printf '%0101d'"), Err(CodeErrorCode::OutputLimit));
    let logged = |bytes: u32| {
        let source = format!("printf '%0{bytes}d' >&2");
        full().run_with(&Run { limits, ..Run::new("bash", &source) }).unwrap().logs_truncated
    };
    assert_eq!([logged(100), logged(101)], [false, true]);
}

#[test]
fn disk_obeyed_and_violated() {
    // 16 MiB, and as many files as they have blocks.
    assert_eq!(full().bash("head -c 15000000 /dev/zero > /tmp/x && echo fits"), "fits\n");
    let said = full().bash("head -c 17000000 /dev/zero > /tmp/x && echo fits");
    assert!(!said.contains("fits"), "{said}");
    // In several files, each of which is small enough.
    let said = full().bash("for i in 1 2 3; do head -c 6000000 /dev/zero > /tmp/$i || echo full; done");
    assert!(said.contains("full"), "{said}");
    let said = full().python(
        "try:\n  for i in range(5000): open(f'/tmp/{i}', 'w')\n  print('fits')\nexcept OSError as e:\n  print(e.errno, i > 4000)",
    );
    assert_eq!(said, "28 True\n");
    let said = full().bash("head -c 3000000 /dev/zero > /dev/shm/x && ls -A /tmp");
    assert_eq!(said, "x\n", "shared memory is in there too");
}

#[test]
fn tasks_obeyed_and_violated() {
    let source = |count: u32| {
        format!(
            "import threading, time\n\
             started = 0\n\
             try:\n\
             \x20   for i in range({count}):\n\
             \x20       threading.Thread(target=time.sleep, args=(0.3,)).start()\n\
             \x20       started += 1\n\
             except RuntimeError:\n\
             \x20   pass\n\
             print(started)"
        )
    };
    assert_eq!(full().python(&source(40)), "40");
    let started: u32 = full().python(&source(200)).trim().parse().unwrap();
    assert!((40..64).contains(&started), "{started}");
    // There the system counts the tasks of other runs too; the launcher counts those of this one.
    match reduced().run("python-native", &source(200), Value::Null) {
        Ok(output) => assert!(output.output.as_u64().is_some_and(|started| started < 64), "{output:?}"),
        Err(error) => assert_eq!(error.message, "the code has more than 64 processes and threads"),
    }
}

#[test]
fn the_items_of_a_session_share_its_time() {
    let (code, grants) = (Code::parse("bash", "sleep 0.7; cat").unwrap(), Grants::default());
    let language = full().languages.get("bash").unwrap();
    let limits = CodeLimits { wall_ms: 3_000, ..CodeLimits::default() };
    let mut session = language.session(&code, limits, &grants);
    let mut run = |n: u32| session.run(CodeInput::Value(&json!(n)));
    assert_eq!(run(1).unwrap().output, json!(1));
    let failed = (2..6).find_map(|n| run(n).err()).expect("its time is over by now");
    assert_eq!((failed.code, failed.message.as_str()), (CodeErrorCode::Timeout, "the code ran for more than 3000 ms"));
    // What broke is replaced.
    assert_eq!(run(9).unwrap().output, json!(9));
}

#[test]
fn places_obeyed_and_violated() {
    let world = World::new(|settings| settings.slots_max = 2);
    let (most, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                assert_eq!(world.run("bash", "sleep 0.0135; echo 1", Value::Null).unwrap().output, json!(1));
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        while done.load(Ordering::Relaxed) < 40 {
            most.fetch_max(processes_with("sleep 0.0135").len(), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    assert!((1..=2).contains(&most.load(Ordering::Relaxed)), "{most:?}");
    std::thread::scope(|scope| {
        let long = [(); 2].map(|()| scope.spawn(|| world.run("bash", "sleep 1.0246; echo 1", Value::Null)));
        crate::support::eventually("both run", || processes_with("sleep 1.0246").len() == 2);
        let limits = CodeLimits { wall_ms: 100, ..CodeLimits::default() };
        let error = world.run_with(&Run { limits, ..Run::new("bash", "echo 1") }).unwrap_err();
        assert_eq!(error.code, CodeErrorCode::Unavailable);
        assert!(long.into_iter().all(|run| run.join().unwrap().is_ok()));
    });
}
