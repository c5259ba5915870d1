//! The sandbox: whether compiled code is kept, and whether the embedded guest runs on this machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use serde_json::{Value, json};

use super::{Finding, shown_bytes};
use crate::runtimes::{
    code::{Code, CodeInput, CodeLimits, CodeRequest, JAVASCRIPT},
    grants::Grants,
    javascript::JavaScript,
    languages::{Language, Languages},
    sandbox::{Sandbox, SandboxConfig},
};

/// A program whose answer shows that the guest works.
const PROGRAM: &str = "return [1, 2, 3].map(n => n * 2)";

/// What is kept of compiled sandboxes.
pub(super) fn cache(directory: &Path) -> Finding {
    let kept = match std::fs::read_dir(directory) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()?.metadata().ok()).filter(std::fs::Metadata::is_file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::good("cache", format!("{} is made at the first start", directory.display()));
        }
        Err(error) => {
            let hint = "choose another cache_dir, or give this one to the user of the server";
            return Finding::problem("cache", format!("cannot read {}: {error}", directory.display()), hint);
        }
    };
    let size_bytes = kept.map(|file| file.len()).sum();
    Finding::good("cache", format!("{} has {}", directory.display(), shown_bytes(size_bytes)))
}

/// Whether the embedded guest runs.
pub(super) async fn guest(cache_dir: PathBuf) -> Finding {
    const HINT: &str = "the cache must belong to the server's user alone (mode 0700); WebAssembly needs x86-64 or ARM64";
    let started = Instant::now();
    let ran = tokio::task::spawn_blocking(move || run_guest(&cache_dir)).await.map_err(anyhow::Error::from);
    match ran.and_then(|ran| ran) {
        Ok(()) => Finding::good("guest", format!("JavaScript runs; it took {} ms to start", started.elapsed().as_millis())),
        Err(error) => Finding::problem("guest", format!("JavaScript does not run: {error:#}"), HINT),
    }
}

fn run_guest(cache_dir: &Path) -> anyhow::Result<()> {
    // A cache that is not there yet is not made: doctors change nothing.
    let spare = if cache_dir.is_dir() { None } else { Some(tempfile::tempdir()?) };
    let cache_dir = spare.as_ref().map_or(cache_dir, |spare| spare.path()).to_owned();
    let javascript = JavaScript::new(Sandbox::new(&SandboxConfig { cache_dir, instances_max: 1 })?)?;
    let languages = Languages::new([Arc::new(javascript) as Arc<dyn Language>]);
    let (code, grants) = (Code::parse(JAVASCRIPT, PROGRAM)?, Grants::default());
    let input = CodeInput::Value(&Value::Null);
    let request = CodeRequest { code: &code, input, limits: CodeLimits::default(), grants: &grants };
    let answer = languages.run(&request).map_err(|error| anyhow::anyhow!("{}", error.into_node_error()))?.output;
    anyhow::ensure!(answer == json!([2, 4, 6]), "it answered {answer}");
    Ok(())
}
