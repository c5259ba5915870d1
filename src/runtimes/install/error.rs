//! Why a language could not be installed or does not work.

use std::{io, path::Path, path::PathBuf};

use super::{catalogue::Installable, client::PIP};
use crate::runtimes::code::CodeError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("{} is not installed", .0.title())]
    Absent(Installable),
    #[error("{} was installed by another version of Citadel", .0.title())]
    Outdated(Installable),
    /// There is no package for this system.
    #[error("{package} has no file for {} on {}", std::env::consts::OS, std::env::consts::ARCH)]
    NoPackage { package: String },
    /// A program that is needed is not here.
    #[error("cannot run {program}, which {purpose}")]
    NoProgram {
        program: &'static str,
        purpose: &'static str,
        #[source]
        source: io::Error,
    },
    /// A program failed; `output` is the end of what it wrote.
    #[error("cannot {purpose}: {program} ended with {status}{output}")]
    Program { program: &'static str, purpose: String, status: String, output: String },
    /// Not what was reviewed, or not what was installed.
    #[error("{} has the SHA-256 {found}, not {expected}", .path.display())]
    Checksum { path: PathBuf, expected: String, found: String },
    #[error("cannot {attempt} {}", .path.display())]
    Files {
        attempt: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The snapshot could not be made.
    #[error("cannot boot {}", .language.title())]
    Boot {
        language: Installable,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot run {}", .language.title())]
    Run {
        language: Installable,
        #[source]
        source: CodeError,
    },
    /// A program gave something else than it has to.
    #[error("{} answers a test program with {answer}", .language.title())]
    Answer { language: Installable, answer: String },
}

impl InstallError {
    /// For `map_err`: what was attempted, with which file.
    pub(super) fn files(attempt: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Files { attempt, path, source }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Absent(Installable::Python) => Some("`citadel runtimes install python` installs it"),
            Self::Absent(Installable::Ruby) => Some("`citadel runtimes install ruby` installs it"),
            Self::Outdated(Installable::Python) => Some("`citadel runtimes install python` brings it up to date"),
            Self::Outdated(Installable::Ruby) => Some("`citadel runtimes install ruby` brings it up to date"),
            Self::NoProgram { program: "npm", .. } => Some("install npm (on Debian: apt-get install npm)"),
            Self::NoProgram { program: "python3" | PIP, .. } => {
                Some("install Python 3 with pip (on Debian: apt-get install python3-pip)")
            }
            Self::NoProgram { .. } => Some("install it and try again"),
            Self::Program { program: "npm" | PIP, .. } => {
                Some("a proxy or a mirror is what the client's own settings say; what was fetched once is not fetched again")
            }
            Self::Checksum { .. } => Some("remove the language and install it again"),
            Self::NoPackage { .. } => Some("install it on a supported machine, and copy its directory"),
            Self::Program { .. } | Self::Files { .. } | Self::Boot { .. } | Self::Run { .. } | Self::Answer { .. } => None,
        }
    }
}
