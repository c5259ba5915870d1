//! `citadel code`: runs code on a server, without a workflow.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    input::read_input,
    output::{note, printable},
    remote::{Remote, RemoteArguments},
};
use crate::{
    config::{Flags, Loaded},
    model::{duration::DurationMs, limits::INPUT_BYTES_MAX},
};

#[derive(Debug, Args)]
pub(super) struct CodeArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: CodeCommand,
}

#[derive(Debug, Subcommand)]
enum CodeCommand {
    /// Runs a file of code once in a fresh sandbox of the server: its output to standard output, its log to standard error; exit
    /// code 3 if it fails.
    Run {
        /// The code: a file in UTF-8, or a WebAssembly binary.
        file: PathBuf,
        /// One of GET /api/v1/runtimes; where it is not said, what the file's extension means.
        #[arg(long, value_name = "LANGUAGE")]
        lang: Option<String>,
        /// What the code finds as `input`: a JSON file, `-` for standard input, or JSON itself.
        #[arg(short = 'i', long, value_name = "INPUT", allow_hyphen_values = true)]
        input: Option<String>,
        /// How long it may take, such as `5s`.
        #[arg(long, value_name = "DURATION")]
        wall: Option<DurationMs>,
    },
}

impl CodeArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(super) async fn code(arguments: CodeArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    let CodeCommand::Run { file, lang, input, wall } = arguments.command;
    let language = match lang {
        Some(language) => language,
        None => language_of(&file).ok_or_else(|| {
            Failure::usage(format!("the extension of {} does not tell the language", file.display()))
                .with_hint("name it with --lang; GET /api/v1/runtimes lists the languages of the server")
        })?,
    };
    let mut request = json!({ "language": language, "code": source_of(&file, &language)? });
    if let Some(input) = input {
        request["input"] = read_input(&input)?;
    }
    if let Some(wall) = wall {
        request["limits"] = json!({ "wall_ms": wall.0 });
    }
    let ran = remote.client.post(&["runtimes", "execute"], &request).await?;
    show(&remote, &ran, &file)
}

/// The language that an extension means.
fn language_of(file: &Path) -> Option<String> {
    let language = match file.extension()?.to_str()? {
        "js" | "mjs" => "javascript",
        "ts" | "mts" => "typescript",
        "py" => "python",
        "rb" => "ruby",
        "lua" => "lua",
        "wasm" => "wasm",
        "sh" => "bash",
        "php" => "php",
        "go" => "go",
        "java" => "java",
        "r" | "R" => "r",
        _ => return None,
    };
    Some(language.to_owned())
}

/// The text of a file; a WebAssembly binary as base64.
fn source_of(file: &Path, language: &str) -> Result<String, Failure> {
    use base64::Engine as _;
    let cannot_read = |cause: &dyn std::fmt::Display| Failure::error(format!("cannot read {}: {cause}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| cannot_read(&error).with_hint("FILE is the path of a file of code"))?;
    if language == "wasm" {
        return Ok(base64::prelude::BASE64_STANDARD.encode(bytes));
    }
    if bytes.len() > INPUT_BYTES_MAX {
        return Err(cannot_read(&format_args!("it has {} bytes, more than {INPUT_BYTES_MAX}", bytes.len())));
    }
    String::from_utf8(bytes).map_err(|_| cannot_read(&"it is no text in UTF-8"))
}

/// Standard output of the command is that of the code where the code is for people, and the whole answer otherwise.
fn show(remote: &Remote, ran: &Value, file: &Path) -> Result<ExitCode, Failure> {
    let text = |name: &str| ran[name].as_str().unwrap_or_default().to_owned();
    if remote.output.is_table() {
        for line in text("stdout").lines().chain(text("stderr").lines()) {
            note(format_args!("{}", printable(line)));
        }
    }
    let error = &ran["error"];
    if error.is_null() {
        remote.output.show(ran, || format!("{:#}", ran["output"]))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !remote.output.is_table() {
        remote.output.show(ran, String::new)?;
    }
    let place = |name: &str| error[name].as_u64().map(|at| format!(":{at}")).unwrap_or_default();
    let at = format!("{}{}{}", file.display(), place("line"), place("column"));
    let code = error["code"].as_str().unwrap_or_default();
    let message = error["message"].as_str().unwrap_or_default();
    Err(Failure::run_failed(format!("{at}: {message} ({code})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_language_by_the_extension() {
        let told = ["a.js", "b.ts", "c.py", "d.rb", "e.lua", "f.wasm", "g.txt", "h"].map(|name| language_of(Path::new(name)));
        let expected = ["javascript", "typescript", "python", "ruby", "lua", "wasm"].map(|name| Some(name.to_owned()));
        assert_eq!((&told[..6], &told[6..]), (&expected[..], &[None, None][..]));
    }

    #[test]
    fn code_bytes_obeyed_and_violated() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("code.js");
        std::fs::write(&file, vec![b' '; INPUT_BYTES_MAX]).unwrap();
        assert_eq!(source_of(&file, "javascript").unwrap().len(), INPUT_BYTES_MAX);
        std::fs::write(&file, vec![b' '; INPUT_BYTES_MAX + 1]).unwrap();
        assert!(source_of(&file, "javascript").is_err());
        std::fs::write(&file, [0, 0xff]).unwrap();
        assert_eq!(source_of(&file, "wasm").unwrap(), "AP8=");
        assert!(source_of(&file, "lua").is_err());
    }
}
