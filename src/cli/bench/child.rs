//! Servers in processes of their own: the real one and the one that answers a constant. A process is killed when its value is
//! dropped, so that none outlives the benchmark, however that ends.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStdout,
};

use super::{connection::Connection, machine::Process, message::render};
use crate::cli::Failure;

/// Longest time from the start of a process to its readiness: the first start of a debug build compiles the sandbox slowly.
const READY_MAX: Duration = Duration::from_secs(180);
/// How long a server may take to stop when asked to.
const STOP_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Bytes of a failed server's log that are shown, from its end.
const LOG_BYTES_SHOWN: usize = 2_000;
/// What the line begins with that names the address.
const ADDRESS_PREFIX: &str = "http=";

/// What a server works with. Its environment holds nothing else, so that it is the same on every machine.
pub(super) struct ServerSettings {
    pub(super) data_dir: PathBuf,
    /// Compiled sandboxes are kept here.
    pub(super) cache_dir: PathBuf,
    pub(super) store_url: String,
    /// What it logs, into a file of the temporary directory.
    pub(super) log_filter: String,
    /// Files that `--config` names.
    pub(super) config_files: Vec<PathBuf>,
}

/// A process that is killed, and waited for, when this is dropped.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It may have ended by itself.
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            tracing::debug!(cause = %error, "cannot kill a server");
        }
    }
}

/// A running process that takes requests.
pub(super) struct ServerProcess {
    child: KilledOnDrop,
    address: SocketAddr,
    /// Kept open: what the server prints goes nowhere, but it goes.
    _printed: BufReader<ChildStdout>,
}

impl ServerProcess {
    /// Starts the real server and waits until it is ready. Answers it with the time that this took.
    ///
    /// Errors: it ended or was not ready in time; its log says why.
    pub(super) async fn start(settings: &ServerSettings) -> Result<(Self, Duration), Failure> {
        let mut command = this_binary()?;
        for file in &settings.config_files {
            command.arg("--config").arg(file);
        }
        command.args(["serve", "--random-ports", "--data-dir"]).arg(&settings.data_dir).envs([
            ("CITADEL__STORE__URL", settings.store_url.as_str()),
            ("CITADEL__LOG__FILTER", settings.log_filter.as_str()),
            ("CITADEL__LOG__FORMAT", "json"),
            ("CITADEL__LIMITS__ENABLED", "false"),
            ("CITADEL__EGRESS__ALLOW", r#"["127.0.0.1"]"#),
            ("CITADEL__DRAIN__READINESS_GRACE", "0s"),
            ("CITADEL__DRAIN__TIMEOUT", "10s"),
        ]);
        command.env("CITADEL__CACHE_DIR", &settings.cache_dir);
        let log = settings.data_dir.with_extension("log");
        let began = Instant::now();
        let server = Self::spawn(command, &log).await?;
        server.until_ready(began, &log).await?;
        Ok((server, began.elapsed()))
    }

    /// Starts the server that answers a constant.
    ///
    /// Errors: it ended; its log says why.
    pub(super) async fn start_constant(directory: &Path) -> Result<Self, Failure> {
        let mut command = this_binary()?;
        command.args(["bench", "--serve-constant"]);
        Self::spawn(command, &directory.join("constant.log")).await
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process, for a look at what it uses.
    pub(super) fn process(&self) -> Process {
        Process::of(self.child.0.id())
    }

    /// Asks the server to stop, and kills it if it does not.
    pub(super) async fn stop(mut self) {
        // There is no safe call of our own for it; where the program is missing, the drop below kills.
        let asked = Command::new("kill").arg("-TERM").arg(self.child.0.id().to_string()).stderr(Stdio::null()).status();
        if !asked.is_ok_and(|status| status.success()) {
            return;
        }
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline && matches!(self.child.0.try_wait(), Ok(None)) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Starts a process and reads the address that it prints first.
    async fn spawn(mut command: Command, log: &Path) -> Result<Self, Failure> {
        let stderr = File::create(log).map_err(|error| cannot("make the server's log", &error))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        // A Ctrl-C in the terminal is for us: we stop the server.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = KilledOnDrop(command.spawn().map_err(|error| cannot("start the server", &error))?);
        let stdout = child.0.stdout.take().ok_or_else(|| did_not_start(log))?;
        let mut printed =
            BufReader::new(ChildStdout::from_std(stdout).map_err(|error| cannot("read the server's output", &error))?);
        let mut line = String::new();
        let read = tokio::time::timeout(READY_MAX, printed.read_line(&mut line)).await;
        let address = line.trim_end().strip_prefix(ADDRESS_PREFIX).and_then(|address| address.parse().ok());
        match (read, address) {
            (Ok(Ok(_)), Some(address)) => Ok(Self { child, address, _printed: printed }),
            (Ok(_) | Err(_), _) => Err(did_not_start(log)),
        }
    }

    async fn until_ready(&self, began: Instant, log: &Path) -> Result<(), Failure> {
        let request = render("GET", "/readyz", &[], "");
        while began.elapsed() < READY_MAX {
            let mut connection = Connection::open(self.address).await.map_err(|_| did_not_start(log))?;
            if connection.ask(&request).await.map_err(|_| did_not_start(log))?.status == 200 {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(did_not_start(log))
    }
}

/// This program, with an environment that does not depend on the caller's.
fn this_binary() -> Result<Command, Failure> {
    let path = std::env::current_exe().map_err(|error| cannot("find this program's file", &error))?;
    let mut command = Command::new(path);
    command.env_clear();
    Ok(command)
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    Failure::error(format!("cannot {what}: {error}"))
}

/// The failure of a server that was not ready in time, with the end of its log.
fn did_not_start(log: &Path) -> Failure {
    let text = std::fs::read(log).unwrap_or_default();
    let shown = &text[text.len().saturating_sub(LOG_BYTES_SHOWN)..];
    Failure::error(format!("the server did not start: {}", String::from_utf8_lossy(shown).trim()))
        .with_hint("`citadel serve` with the same --config and store shows more")
}
