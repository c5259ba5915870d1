//! Times fresh runs in the installed languages: `scripts/runtimes.sh && cargo bench --bench languages`.
//!
//! Prints percentiles of an empty run and of a 10-item transform on one thread, beside a process of Python, and how many transforms
//! all cores run a second, each in a fresh interpreter.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends when something is wrong")]

#[path = "common/timing.rs"]
mod timing;

use std::{path::Path, sync::Arc, time::Instant};

use citadel::runtimes::{
    install::{InstalledPython, InstalledRuby},
    languages::{Language, Languages},
    sandbox::{Sandbox, SandboxConfig},
};
use serde_json::{Value, json};

use self::timing::{fresh_runs, processes, throughput};

const RUNS: usize = 500;

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
    processes("python3", &["-c", "import json; print(json.dumps([n * 2 for n in [1, 2, 3]]))"]);
    processes("ruby", &["-rjson", "-e", "puts JSON.generate([1, 2, 3].map { |n| n * 2 })"]);
    let languages = Languages::new([Arc::new(python) as Arc<dyn Language>, Arc::new(ruby)]);
    let items: Vec<Value> = (0..10).map(|id| json!({ "id": id, "price": 1.5 * f64::from(id), "count": id + 1 })).collect();
    let input = Value::from(items);
    for (name, source) in PROGRAMS {
        fresh_runs(&languages, (name, "nothing"), "", &Value::Null, RUNS);
        fresh_runs(&languages, (name, "10 small items"), source, &input, RUNS);
        throughput(&languages, name, source, &input);
    }
}
