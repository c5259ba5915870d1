//! Times fresh runs in the installed languages: `scripts/runtimes.sh && cargo bench --bench languages`.
//!
//! Prints percentiles of an empty run and of a 10-item transform on one thread, and how many transforms all cores run a second, each
//! in a fresh interpreter.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends when something is wrong")]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use citadel::runtimes::{
    code::{Code, CodeInput, CodeLimits, CodeRequest},
    grants::Grants,
    install::{InstalledPython, InstalledRuby},
    languages::{Language, Languages},
    sandbox::{Sandbox, SandboxConfig},
};
use serde_json::{Value, json};

const WARM_UP_RUNS: usize = 20;
const RUNS: usize = 500;
/// How long all cores run.
const THROUGHPUT_TIME: Duration = Duration::from_secs(2);

const PROGRAMS: [(&str, &str); 2] = [
    ("python", "return [{'id': item['id'], 'total': item['price'] * item['count']} for item in input]"),
    ("ruby", "input.map { |item| { id: item['id'], total: item['price'] * item['count'] } }"),
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cache_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages-bench");
    let sandbox = Sandbox::new(&SandboxConfig { cache_dir, instances_max: 64 }).unwrap();
    let python = InstalledPython::new(Arc::clone(&sandbox), root.join(".tools/runtimes"));
    let ruby = InstalledRuby::new(sandbox, root.join(".tools/runtimes"));
    let started = Instant::now();
    python.load().unwrap();
    let python_loaded = started.elapsed();
    ruby.load().unwrap();
    let ruby_loaded = started.elapsed() - python_loaded;
    println!("loaded: python in {} ms, ruby in {} ms", python_loaded.as_millis(), ruby_loaded.as_millis());
    let languages = Languages::new([Arc::new(python) as Arc<dyn Language>, Arc::new(ruby)]);
    let items: Vec<Value> = (0..10).map(|id| json!({ "id": id, "price": 1.5 * f64::from(id), "count": id + 1 })).collect();
    let input = Value::from(items);
    for (name, source) in PROGRAMS {
        percentiles(&languages, name, "empty", "", &Value::Null);
        percentiles(&languages, name, "10-item transform", source, &input);
        throughput(&languages, name, source, &input);
    }
}

fn run(languages: &Languages, name: &str, source: &str, input: &Value) {
    let (code, grants) = (Code::parse(name, source).unwrap(), Grants::default());
    let request = CodeRequest { code: &code, input: CodeInput::Value(input), limits: CodeLimits::default(), grants: &grants };
    black_box(languages.run(&request).unwrap());
}

fn percentiles(languages: &Languages, name: &str, what: &str, source: &str, input: &Value) {
    for _ in 0..WARM_UP_RUNS {
        run(languages, name, source, input);
    }
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            run(languages, name, source, input);
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("{name}: fresh run, {what}: p50 {:.3} ms, p99 {:.3} ms", at(50), at(99));
}

fn throughput(languages: &Languages, name: &str, source: &str, input: &Value) {
    let cores = thread::available_parallelism().unwrap().get();
    let started = Instant::now();
    let runs: usize = thread::scope(|scope| {
        let work = || {
            let mut runs = 0;
            while started.elapsed() < THROUGHPUT_TIME {
                run(languages, name, source, input);
                runs += 1;
            }
            runs
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let per_second = f64::from(u32::try_from(runs).unwrap()) / started.elapsed().as_secs_f64();
    println!("{name}: {per_second:.0} fresh runs/s on {cores} cores");
}
