//! The real binary in a process of its own, which can be killed and started again on the same data.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use tempfile::TempDir;

use super::{
    Client, cache_dir,
    command::{Invocation, command},
    eventually,
};

/// The file of settings in the server's directory.
const SETTINGS_FILE: &str = "citadel.toml";

/// The binary with an environment that does not depend on the machine.
pub(crate) fn citadel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_citadel"));
    command.env_clear().env("CITADEL__CACHE_DIR", cache_dir()).env("CITADEL__LOG__FILTER", "warn");
    command
}

/// A server. It is killed when it is dropped.
pub(crate) struct ServerProcess {
    child: Child,
    base: String,
    /// What this start printed on standard output after its first line.
    printed: Arc<Mutex<String>>,
    launch: Launch,
    directory: TempDir,
}

/// How a server is started, also after its end.
#[derive(Clone)]
struct Launch {
    /// `serve` or `dev`.
    subcommand: &'static str,
    environment: Vec<(String, String)>,
    /// Whether the settings are in a file of the directory.
    has_file: bool,
}

impl ServerProcess {
    /// Starts a server on a new data directory.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more settings.
    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::launch(tempfile::tempdir().unwrap(), Launch { subcommand: "serve", environment, has_file: false })
    }

    /// Starts a server on a demonstration workspace; answers what `citadel db seed` said about it, too.
    pub(crate) fn start_seeded() -> (Self, serde_json::Value) {
        let directory = tempfile::tempdir().unwrap();
        let seed = || command(&["db", "seed", "-o", "json"]).env("CITADEL__DATA_DIR", directory.path().join("data"));
        let seeded = seed().run().json();
        seed().run().assert_failed(1, "is there already");
        (Self::launch(directory, Launch { subcommand: "serve", environment: Vec::new(), has_file: false }), seeded)
    }

    /// Starts a server for development.
    pub(crate) fn start_dev() -> Self {
        let launch = Launch { subcommand: "dev", environment: Vec::new(), has_file: false };
        Self::launch(tempfile::tempdir().unwrap(), launch)
    }

    /// Starts a server whose settings are in a file.
    pub(crate) fn start_with_file(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(SETTINGS_FILE), settings).unwrap();
        Self::launch(directory, Launch { subcommand: "serve", environment: Vec::new(), has_file: true })
    }

    /// Replaces the settings of [`Self::start_with_file`] and tells the server (SIGHUP).
    pub(crate) fn change_file(&self, settings: &str) {
        std::fs::write(self.directory.path().join(SETTINGS_FILE), settings).unwrap();
        self.signal("-HUP");
    }

    /// Kills the server as a power cut would (SIGKILL), and starts it again on the same data.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.restart()
    }

    /// Starts the server again on the same data after it has ended.
    pub(crate) fn restart(mut self) -> Self {
        self.child.wait().unwrap();
        let launch = self.launch.clone();
        // The directory moves on; what is dropped here is a process that has ended.
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::launch(directory, launch)
    }

    /// Asks the server to stop (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// The binary as a client of this server, with the owner's token.
    pub(crate) fn command(&self, arguments: &[&str]) -> Invocation {
        command(arguments).env("CITADEL__CLIENT__URL", &self.base).env("CITADEL__DATA_DIR", self.data_dir())
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    /// Sends a signal: `-HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the server has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the server has ended", async || self.child.try_wait().unwrap()).await
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client with the owner's token.
    pub(crate) fn client(&self) -> Client {
        let token = std::fs::read_to_string(self.data_dir().join("owner-token")).ok();
        Client::new(self.base.clone(), token.map(|token| token.trim().to_owned()))
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What this start has printed so far after its first line.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    fn launch(directory: TempDir, launch: Launch) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(directory.path().join("log")).unwrap();
        let mut command = citadel();
        command.args([launch.subcommand, "--random-ports", "--data-dir"]).arg(directory.path().join("data"));
        command.env("CITADEL__DRAIN__READINESS_GRACE", "0s");
        if launch.has_file {
            command.arg("--config").arg(directory.path().join(SETTINGS_FILE)).env_remove("CITADEL__LOG__FILTER");
        } else {
            command.env("CITADEL__EGRESS__ALLOW", r#"["127.0.0.1"]"#).envs(launch.environment.clone());
        }
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let Some(address) = first.trim_end().strip_prefix("http=") else {
            let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
            panic!("the server did not start: {first:?}\n{log}");
        };
        let base = format!("http://{address}");
        Self { child, base, printed: gather(lines), launch, directory }
    }
}

/// Reads a pipe to its end, so that the server never blocks on it; answers where the text is gathered.
fn gather(mut lines: BufReader<impl Read + Send + 'static>) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let gathered = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|size| size > 0) {
            gathered.lock().unwrap().push_str(&line);
            line.clear();
        }
    });
    text
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
