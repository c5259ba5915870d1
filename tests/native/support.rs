//! Runs code in the native languages of this machine.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, Instant},
};

use citadel::{
    model::{ids::WorkspaceId, native_language::NativeLanguageSettings},
    runtimes::{
        code::{Code, CodeError, CodeInput, CodeLimits, CodeOutput, CodeRequest},
        grants::Grants,
        languages::Languages,
        native::{Isolation, Native, NativeSettings},
    },
};
use serde_json::Value;
use tempfile::TempDir;

/// Longest time that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// The native languages, in one of the two kinds of sandbox.
pub(crate) struct World {
    pub(crate) native: Native,
    pub(crate) languages: Languages,
    pub(crate) data_dir: TempDir,
}

static FULL: LazyLock<World> = LazyLock::new(|| World::new(|_| {}));
static REDUCED: LazyLock<World> = LazyLock::new(|| {
    World::new(|settings| {
        settings.allow_reduced = true;
        settings.without_namespaces = true;
    })
});

/// With namespaces: what the test's machine has to give.
pub(crate) fn full() -> &'static World {
    assert_eq!(FULL.native.report().isolation, Some(Isolation::Full), "{:?}", FULL.native.report());
    &FULL
}

/// Without.
pub(crate) fn reduced() -> &'static World {
    assert_eq!(REDUCED.native.report().isolation, Some(Isolation::Reduced), "{:?}", REDUCED.native.report());
    &REDUCED
}

impl World {
    pub(crate) fn new(change: impl FnOnce(&mut NativeSettings)) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let perl = NativeLanguageSettings {
            command: Some(["perl", "{source}"].map(str::to_owned).into()),
            file: Some("main.pl".to_owned()),
            ..NativeLanguageSettings::default()
        };
        let mut settings = NativeSettings {
            program: Some(PathBuf::from(env!("CARGO_BIN_EXE_citadel"))),
            allow_reduced: false,
            without_namespaces: false,
            uid: 64_917,
            slots_max: 4,
            warm_max: 8,
            disk_bytes: 16 << 20,
            cgroup: None,
            directory: data_dir.path().join("runtimes"),
            data_dir: data_dir.path().to_owned(),
            languages: [("perl".to_owned(), perl)].into(),
        };
        change(&mut settings);
        let native = Native::new(settings);
        let languages = Languages::new(native.languages());
        Self { native, languages, data_dir }
    }

    pub(crate) fn run_with(&self, run: &Run<'_>) -> Result<CodeOutput, CodeError> {
        let code = Code::parse(run.language, run.source).unwrap();
        let request = CodeRequest { code: &code, input: CodeInput::Value(&run.input), limits: run.limits, grants: &run.grants };
        self.languages.run(&request)
    }

    /// Runs it with default limits.
    pub(crate) fn run(&self, language: &str, source: &str, input: Value) -> Result<CodeOutput, CodeError> {
        self.run_with(&Run { input, ..Run::new(language, source) })
    }

    /// What Bash prints, whatever it is.
    pub(crate) fn bash(&self, source: &str) -> String {
        let source = format!("exec 2>&1\n{source}\ntrue");
        text_of(&self.run("bash", &source, Value::Null).unwrap())
    }

    /// What Python prints, whatever it is.
    pub(crate) fn python(&self, source: &str) -> String {
        text_of(&self.run("python-native", source, Value::Null).unwrap())
    }
}

/// One run.
pub(crate) struct Run<'a> {
    pub(crate) language: &'a str,
    pub(crate) source: &'a str,
    pub(crate) input: Value,
    pub(crate) limits: CodeLimits,
    pub(crate) grants: Grants,
}

impl<'a> Run<'a> {
    /// Of the first workspace.
    pub(crate) fn new(language: &'a str, source: &'a str) -> Self {
        let grants = Grants { workspace: Some(WorkspaceId::DEFAULT), ..Grants::default() };
        Self { language, source, input: Value::Null, limits: CodeLimits::default(), grants }
    }
}

fn text_of(output: &CodeOutput) -> String {
    match &output.output {
        Value::Object(object) => object["stdout"].as_str().unwrap().to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Processes of the whole machine whose command line holds these words. Other tests have other words.
pub(crate) fn processes_with(word: &str) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(word)
    };
    pids.filter(|pid| *pid != own).filter(has).collect()
}

/// Looks again until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Writes a file that only the engine should read.
pub(crate) fn secret_file(directory: &Path) -> PathBuf {
    let path = directory.join("secret.txt");
    std::fs::write(&path, "s3cret-of-the-engine").unwrap();
    path
}
