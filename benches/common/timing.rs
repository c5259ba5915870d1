//! What the benchmarks of languages share: percentiles, runs on all cores, and the same work in a process of its own.

use std::{
    hint::black_box,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use citadel::runtimes::{
    code::{Code, CodeInput, CodeLimits, CodeRequest},
    grants::Grants,
    languages::Languages,
};
use serde_json::Value;

/// How long all cores run.
const THROUGHPUT_TIME: Duration = Duration::from_secs(2);
const PROCESSES: usize = 20;

/// One fresh run.
fn run(languages: &Languages, code: &Code, input: &Value, grants: &Grants) -> Value {
    let request = CodeRequest { code, input: CodeInput::Value(input), limits: CodeLimits::default(), grants };
    languages.run(&request).unwrap().output
}

/// Percentiles of fresh runs of one code on this thread. A source is parsed once: when its workflow is saved.
pub(crate) fn fresh_runs(languages: &Languages, (language, what): (&str, &str), source: &str, input: &Value, runs: usize) {
    let (code, grants) = (Code::parse(language, source).unwrap(), Grants::default());
    percentiles(&format!("{language}: fresh run, {what}"), runs, || {
        black_box(run(languages, &code, input, &grants));
    });
}

/// How many fresh runs of one code all cores do in a second.
pub(crate) fn throughput(languages: &Languages, language: &str, source: &str, input: &Value) {
    let (code, grants) = (Code::parse(language, source).unwrap(), Grants::default());
    let cores = thread::available_parallelism().unwrap().get();
    let started = Instant::now();
    let work = || {
        let mut runs = 0_u32;
        while started.elapsed() < THROUGHPUT_TIME {
            black_box(run(languages, &code, input, &grants));
            runs += 1;
        }
        runs
    };
    let runs: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let per_second = f64::from(runs) / started.elapsed().as_secs_f64();
    println!("{language}: {per_second:.0} fresh runs/s on {cores} cores");
}

/// Percentiles of something on this thread.
pub(crate) fn percentiles(name: &str, runs: usize, mut run: impl FnMut()) {
    for _ in 0..runs / 20 {
        run();
    }
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let started = Instant::now();
            run();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| times[(runs - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("{name:<40} p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms", at(50), at(99), at(100));
}

/// The same with the interpreter of this machine, where there is one: a process for each run.
pub(crate) fn processes(program: &str, arguments: &[&str]) {
    let run = || Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match run() {
        Ok(status) if status.success() => percentiles(&format!("a process: {program}"), PROCESSES, || {
            run().unwrap();
        }),
        Ok(_) | Err(_) => println!("a process: {program} does not run here"),
    }
}
