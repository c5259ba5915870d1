//! Interpreters that wait for work: started before it comes, with modules loaded. Each is in a sandbox of its own and waits for one
//! workspace ([`super::waiting`]). It serves the inputs of one node run, one forked process for each, and is thrown away with it; so
//! nothing of one node run is there in another. Python only.

use std::{
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{ChildStderr, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    plan::{Ended, Plan, ProcessLimits, Walls},
    process::{self, Finished, Launched, Outcome, Written},
    waiting::{Purpose, Room, Waiting},
};

/// What runs inside.
pub(super) const HOST: &str = include_str!("warm_host.py");
/// Its file.
pub(super) const HOST_FILE: &str = "warm_host.py";
/// How long an interpreter may take to load its modules.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Bytes of the head of a frame.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// One interpreter.
pub(super) struct Host {
    launched: Launched,
    channel: UnixStream,
    stderr: ChildStderr,
}

/// What a host is told once, before its first input.
#[derive(Debug, Serialize)]
pub(super) struct HostJob<'a> {
    pub(super) path: &'a str,
    pub(super) source: &'a str,
    pub(super) env: &'a [(String, String)],
    pub(super) output_bytes: usize,
    pub(super) reserved_bytes: u64,
}

/// The head of a frame of the host.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    ready: bool,
    exit_code: Option<i32>,
    signal: Option<i32>,
    #[serde(default)]
    is_too_large: bool,
    #[serde(default)]
    cpu_ms: f64,
    #[serde(default)]
    memory_peak_bytes: u64,
    bytes: usize,
}

/// What one input may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputLimits {
    pub(super) wall: Duration,
    pub(super) output_bytes: usize,
    pub(super) log_bytes: usize,
}

/// Starts interpreters in the background until `wanted` wait for this, as far as there is room. `program` is this program.
pub(super) fn refill(pool: &Arc<Waiting<Host>>, purpose: Purpose, wanted: usize, program: &Path, plan: Plan) {
    let Room { places, displaced } = pool.make_room(&purpose, wanted, Instant::now());
    if places == 0 {
        return;
    }
    let (program, weak, to_fill) = (program.to_owned(), Arc::downgrade(pool), purpose.clone());
    let started = std::thread::Builder::new().name("native-warm".to_owned()).spawn(move || {
        // Here, since the end of a process takes a moment.
        drop(displaced);
        for place in 0..places {
            let Some(pool) = weak.upgrade() else { return };
            match Host::start(&program, &plan) {
                Ok(host) => pool.put(&to_fill, host),
                Err(error) => {
                    tracing::warn!(%error, language = to_fill.language, "an interpreter that should wait for work did not start");
                    pool.give_up(&to_fill, places - place, Instant::now());
                    return;
                }
            }
        }
    });
    if let Err(error) = started {
        tracing::warn!(%error, "interpreters that wait for work cannot be started");
        pool.give_up(&purpose, places, Instant::now());
    }
}

impl Host {
    /// Starts an interpreter and waits until it is ready.
    pub(super) fn start(program: &Path, plan: &Plan) -> io::Result<Self> {
        let (channel, theirs) = UnixStream::pair()?;
        let mut launched = Launched::start(program, Stdio::from(OwnedFd::from(theirs)))?;
        launched.send(plan, &[], READY_WITHIN)?;
        let stderr = launched.child.stderr.take().ok_or_else(process::no_pipe)?;
        let mut host = Self { launched, channel, stderr };
        let limits = InputLimits { wall: READY_WITHIN, output_bytes: 0, log_bytes: HEAD_BYTES_MAX };
        let mut stderr = Written::default();
        match host.answer(Instant::now() + READY_WITHIN, limits, &mut stderr)? {
            Answer::Frame(head, _) if head.ready => Ok(host),
            _ => {
                let said = String::from_utf8_lossy(&stderr.tail).trim().to_owned();
                Err(io::Error::other(format!("it ended before it was ready: {said}")))
            }
        }
    }

    /// Tells it what to run, and the launcher what that may use from now on.
    pub(super) fn prepare(&mut self, job: &HostJob<'_>, limits: &ProcessLimits) -> io::Result<()> {
        self.launched.change_limits(limits)?;
        self.channel.set_write_timeout(Some(READY_WITHIN))?;
        self.send(&serde_json::to_value(job)?, &[])
    }

    /// Runs the job for one input. Errors: the host broke; it is of no use any more.
    pub(super) fn run(&mut self, input: &[u8], limits: InputLimits) -> io::Result<Finished> {
        let started = Instant::now();
        let deadline = started + limits.wall;
        self.channel.set_write_timeout(Some(limits.wall.max(Duration::from_millis(1))))?;
        self.send(&serde_json::json!({ "bytes": input.len() }), input)?;
        let mut stderr = Written::default();
        let answer = self.answer(deadline, limits, &mut stderr)?;
        // What it wrote before its answer is there by now.
        process::drain(&mut self.stderr, &mut stderr, limits.log_bytes)?;
        let (outcome, stdout) = match answer {
            Answer::Frame(head, _) if head.is_too_large => (Outcome::OutputLimit, Vec::new()),
            Answer::Frame(head, stdout) => (Outcome::Ended(ended(&head)), stdout),
            Answer::Late => (Outcome::WallTime, Vec::new()),
            Answer::Over(report) => (process::outcome_of(&report)?, Vec::new()),
        };
        Ok(Finished { outcome, stdout, stderr, wall: started.elapsed(), used: None })
    }

    fn send(&mut self, head: &serde_json::Value, data: &[u8]) -> io::Result<()> {
        let text = serde_json::to_vec(head)?;
        self.channel.write_all(&u32::try_from(text.len()).map_err(io::Error::other)?.to_le_bytes())?;
        self.channel.write_all(&text)?;
        self.channel.write_all(data)
    }

    /// Waits for a frame, reads standard error meanwhile.
    fn answer(&mut self, deadline: Instant, limits: InputLimits, stderr: &mut Written) -> io::Result<Answer> {
        let (mut frame, mut report, mut open) = (Vec::new(), Vec::new(), [true; 3]);
        let mut buffer = vec![0; process::CHUNK_BYTES];
        loop {
            if let Some((head, start)) = parse(&frame)? {
                if head.bytes > limits.output_bytes {
                    return Err(io::Error::other("the host answered with more than it may"));
                }
                if frame.len() == start + head.bytes {
                    return Ok(Answer::Frame(head, frame.split_off(start)));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Answer::Late);
            }
            if !open[2] {
                return Ok(Answer::Over(report));
            }
            let fds = [self.channel.as_fd(), self.stderr.as_fd(), self.launched.control.as_fd()];
            let ready = process::wait(fds, open, left)?;
            if ready[0] {
                let count = process::read_some(&mut self.channel, &mut buffer)?;
                open[0] = count > 0;
                frame.extend_from_slice(&buffer[..count]);
            }
            if ready[1] {
                let count = process::read_some(&mut self.stderr, &mut buffer)?;
                open[1] = count > 0;
                stderr.push(&buffer[..count], limits.log_bytes);
            }
            if ready[2] {
                let count = process::read_some(&mut self.launched.control, &mut buffer)?;
                open[2] = count > 0;
                report.extend_from_slice(&buffer[..count]);
            }
        }
    }
}

enum Answer {
    Frame(Head, Vec<u8>),
    Late,
    /// The sandbox has ended, with the launcher's report.
    Over(Vec<u8>),
}

/// The head of a frame and where it ends, once it is there.
fn parse(frame: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let Some((length, rest)) = frame.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(io::Error::other)?;
    if length > HEAD_BYTES_MAX {
        return Err(io::Error::other("the host answered with more than it may"));
    }
    match rest.get(..length) {
        Some(head) => Ok(Some((serde_json::from_slice(head)?, 4 + length))),
        None => Ok(None),
    }
}

fn ended(head: &Head) -> Ended {
    Ended {
        exit_code: head.exit_code,
        signal: head.signal,
        exceeded: None,
        cpu_ms: head.cpu_ms,
        memory_peak_bytes: head.memory_peak_bytes,
        walls: Walls::default(),
    }
}
