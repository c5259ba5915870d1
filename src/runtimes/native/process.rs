//! Runs one native process through the launcher and collects what it writes, up to limits and to its deadline. Blocks the thread.

use std::{
    io::{self, Read, Write as _},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::{
    launcher::ARGUMENT,
    plan::{Ended, Plan, ProcessLimits, Report},
};

/// How long the launcher may take to end everything; after it, it is ended itself, and the kernel ends the rest with it.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Bytes read at once.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// How long its report may take where it was ended itself.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(200);
/// Pause between two looks whether the launcher has ended.
const LOOK_AGAIN: Duration = Duration::from_micros(200);
/// Bytes of reports.
const REPORT_BYTES_MAX: usize = 64 * 1024;
/// What is kept of the end of standard error: the reason of a failure is there, however much came before.
pub(super) const TAIL_BYTES: usize = 4 * 1024;

/// What runs.
pub(super) struct Job<'a> {
    pub(super) plan: &'a Plan,
    pub(super) input: &'a [u8],
    pub(super) wall: Duration,
    /// More output ends the run.
    pub(super) stdout_bytes_max: usize,
    /// More is dropped.
    pub(super) stderr_bytes_max: usize,
}

/// How it went. What was written before a failure is there too.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Written,
    pub(super) wall: Duration,
    /// What it had used when it was ended for a reason that the launcher does not know.
    pub(super) used: Option<Ended>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Ended(Ended),
    /// The sandbox could not be made.
    Refused {
        attempt: String,
        detail: String,
    },
    /// The deadline has passed.
    WallTime,
    /// It wrote too much to standard output.
    OutputLimit,
}

impl Outcome {
    fn into_ended(self) -> Option<Ended> {
        match self {
            Self::Ended(ended) => Some(ended),
            Self::Refused { .. } | Self::WallTime | Self::OutputLimit => None,
        }
    }
}

/// What was written to standard error.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    pub(super) tail: Vec<u8>,
    pub(super) truncated: bool,
}

impl Written {
    pub(super) fn push(&mut self, bytes: &[u8], bytes_max: usize) {
        let room = bytes_max.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.truncated |= room < bytes.len();
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }
}

/// Runs a job; `program` is this program. Errors: the launcher could not be started, or broke.
pub(super) fn run(program: &Path, job: &Job<'_>) -> io::Result<Finished> {
    let started = Instant::now();
    let mut launcher = Launched::start(program, Stdio::piped())?;
    let sent = launcher.send(job.plan, job.input, job.wall);
    let mut stdout = launcher.child.stdout.take().ok_or_else(no_pipe)?;
    let mut stderr = launcher.child.stderr.take().ok_or_else(no_pipe)?;
    let mut collected = Collected { stdout: Vec::new(), stderr: Written::default(), report: Vec::new() };
    let mut stop = None;
    if let Err(error) = sent {
        // It may have said why before it ended; where it has not, this is the reason.
        stop =
            (error.kind() == io::ErrorKind::TimedOut || error.kind() == io::ErrorKind::WouldBlock).then_some(Outcome::WallTime);
    }
    let (mut open, mut buffer) = ([true; 3], vec![0; CHUNK_BYTES]);
    while stop.is_none() && open.contains(&true) {
        let left = job.wall.saturating_sub(started.elapsed());
        if left.is_zero() {
            stop = Some(Outcome::WallTime);
            break;
        }
        let fds = [stdout.as_fd(), stderr.as_fd(), launcher.control.as_fd()];
        let ready = wait(fds, open, left)?;
        if ready[0] {
            let count = read_some(&mut stdout, &mut buffer)?;
            open[0] = count > 0;
            collected.stdout.extend_from_slice(&buffer[..count]);
            if collected.stdout.len() > job.stdout_bytes_max {
                stop = Some(Outcome::OutputLimit);
            }
        }
        if ready[1] {
            let count = read_some(&mut stderr, &mut buffer)?;
            open[1] = count > 0;
            collected.stderr.push(&buffer[..count], job.stderr_bytes_max);
        }
        if ready[2] {
            let count = read_some(&mut launcher.control, &mut buffer)?;
            open[2] = count > 0 && collected.report.len() < REPORT_BYTES_MAX;
            collected.report.extend_from_slice(&buffer[..count]);
        }
    }
    launcher.end()?;
    let wall = started.elapsed();
    let (outcome, used) = match stop {
        Some(outcome) => {
            collected.report.extend(launcher.last_words());
            (outcome, outcome_of(&collected.report).ok().and_then(Outcome::into_ended))
        }
        None => (outcome_of(&collected.report)?, None),
    };
    Ok(Finished { outcome, stdout: collected.stdout, stderr: collected.stderr, wall, used })
}

struct Collected {
    stdout: Vec<u8>,
    stderr: Written,
    report: Vec<u8>,
}

/// A launcher that was started. Dropping it ends it, and all that it looks after.
pub(super) struct Launched {
    pub(super) child: Child,
    pub(super) control: UnixStream,
}

impl Launched {
    pub(super) fn start(program: &Path, stdout: Stdio) -> io::Result<Self> {
        let (control, theirs) = UnixStream::pair()?;
        let child = Command::new(program)
            .arg(ARGUMENT)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(stdout)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Self { child, control })
    }

    /// Hands over what to run.
    pub(super) fn send(&mut self, plan: &Plan, input: &[u8], within: Duration) -> io::Result<()> {
        self.control.set_write_timeout(Some(within.max(Duration::from_millis(1))))?;
        self.message(plan)?;
        self.control.write_all(input)
    }

    /// Gives what has waited the limits of its work.
    pub(super) fn change_limits(&mut self, limits: &ProcessLimits) -> io::Result<()> {
        self.message(limits)
    }

    fn message(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(value)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.control.write_all(&length.to_le_bytes())?;
        self.control.write_all(&text)
    }

    /// Ends whatever still runs.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + END_WITHIN;
        // The end of the socket is the word to end. Who has ended already does not mind.
        let _ = self.control.shutdown(std::net::Shutdown::Write);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// What the launcher has reported since. For after [`Self::end`].
    fn last_words(&mut self) -> Vec<u8> {
        let mut words = Vec::new();
        // Only figures are lost with them.
        let _ = self.control.set_read_timeout(Some(LAST_WORDS_WITHIN));
        let _ = (&self.control).take(REPORT_BYTES_MAX as u64).read_to_end(&mut words);
        words
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "a native process could not be ended");
        }
    }
}

/// Which of the open descriptors have something, or their end.
pub(super) fn wait(fds: [BorrowedFd<'_>; 3], open: [bool; 3], left: Duration) -> io::Result<[bool; 3]> {
    let mut waiting: Vec<PollFd<'_>> =
        fds.into_iter().zip(open).filter(|(_, is_open)| *is_open).map(|(fd, _)| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Rounded up, so that the last wait is not none.
    let left = left + Duration::from_millis(1);
    match poll(&mut waiting, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut answers = waiting.iter().map(|fd| fd.any().unwrap_or(true));
    Ok(open.map(|is_open| is_open && answers.next().unwrap_or(false)))
}

/// Reads what is there, and waits for nothing.
pub(super) fn drain(from: &mut (impl Read + AsFd), into: &mut Written, bytes_max: usize) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let mut waiting = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::ZERO) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match read_some(from, &mut buffer)? {
            0 => return Ok(()),
            count => into.push(&buffer[..count], bytes_max),
        }
    }
}

/// Bytes that are there; 0 at the end.
pub(super) fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The other end of a socket is gone: for a reader that is its end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(0),
            read => return read,
        }
    }
}

pub(super) fn outcome_of(report: &[u8]) -> io::Result<Outcome> {
    match serde_json::from_slice(report) {
        Ok(Report::Ended(ended)) => Ok(Outcome::Ended(ended)),
        Ok(Report::Refused { attempt, detail }) => Ok(Outcome::Refused { attempt, detail }),
        Err(_) => Err(io::Error::other("the launcher ended without a report")),
    }
}

pub(super) fn no_pipe() -> io::Error {
    io::Error::other("the launcher was started without a pipe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_beginning_and_the_end_of_standard_error() {
        let mut written = Written::default();
        for byte in 0..=9_u8 {
            written.push(&[byte; 1_000], 2_500);
        }
        assert_eq!((written.bytes.len(), written.truncated), (2_500, true));
        assert_eq!((written.tail.len(), written.tail.first(), written.tail.last()), (TAIL_BYTES, Some(&5), Some(&9)));
        written.push(&[7; 10_000], 2_500);
        assert_eq!(written.tail, [7; TAIL_BYTES]);
    }

    #[test]
    fn reads_reports() {
        let refused = outcome_of(br#"{"kind":"refused","attempt":"a","detail":"b"}"#).unwrap();
        assert_eq!(refused, Outcome::Refused { attempt: "a".to_owned(), detail: "b".to_owned() });
        assert!(outcome_of(b"").is_err());
    }
}
