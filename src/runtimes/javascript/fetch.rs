//! `fetch` of JavaScript: the guest's request goes to whatever the node run was granted, and comes back as JSON.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use wasmtime::{Caller, Error, Extern, Linker, Result};

use crate::runtimes::{
    code::{CodeError, CodeErrorCode},
    grants::{Fetch, FetchError, FetchRequest, FetchResponse},
    sandbox::{
        imports::{self, memory_of},
        state::HostState,
    },
};

/// Requests that one instance may send.
pub const FETCHES_MAX: u32 = 100;

/// What an instance has on the host's side besides what every language has.
#[derive(Clone, Default)]
pub(super) struct Host {
    network: Option<Arc<dyn Fetch>>,
    fetches: u32,
    /// What was refused last.
    denied: Option<String>,
}

impl Host {
    pub(super) fn new(network: Option<Arc<dyn Fetch>>) -> Self {
        Self { network, fetches: 0, denied: None }
    }

    /// Code that did not catch a refusal fails with that, and not with an error of its own.
    pub(super) fn explain(&self, error: CodeError) -> CodeError {
        let is_refusal = self.denied.as_ref().is_some_and(|denied| error.message.ends_with(denied.as_str()));
        let code = if is_refusal && error.code == CodeErrorCode::Exception { CodeErrorCode::Denied } else { error.code };
        CodeError { code, ..error }
    }
}

/// A request as the guest writes it.
#[derive(Deserialize)]
struct Request {
    url: String,
    method: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    base64: Option<String>,
}

/// An answer as the guest reads it.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Response { url: String, status: u16, headers: Vec<(String, String)>, text: String, base64: String },
    Failure { error: String },
}

/// Everything that the guest imports.
pub(super) fn define(linker: &mut Linker<HostState<Host>>) -> Result<()> {
    imports::define(linker)?;
    linker.func_wrap(
        "citadel",
        "fetch",
        |mut caller: Caller<'_, HostState<Host>>, request: u32, length: u32| -> Result<i32> {
            let memory = memory_of(&mut caller)?;
            let (data, state) = memory.data_and_store_mut(&mut caller);
            let request =
                imports::slice(data, request, length).ok_or_else(|| Error::msg("a request outside of the guest's memory"))?;
            let answer = answer(request, state);
            let answer = serde_json::to_vec(&answer).expect("an answer is text and numbers");
            write_answer(&mut caller, &answer)
        },
    )?;
    Ok(())
}

fn answer(request: &[u8], state: &mut HostState<Host>) -> Answer {
    match send(request, state) {
        Ok(FetchResponse { url, status, headers, body }) => {
            let (text, base64) = (String::from_utf8_lossy(&body).into_owned(), BASE64_STANDARD.encode(&body));
            Answer::Response { url, status, headers, text, base64 }
        }
        Err(error) => {
            if let FetchError::Denied(denied) = &error {
                state.guest.denied = Some(denied.clone());
            }
            Answer::Failure { error: error.to_string() }
        }
    }
}

fn send(request: &[u8], state: &mut HostState<Host>) -> std::result::Result<FetchResponse, FetchError> {
    let network = state.guest.network.clone().ok_or_else(|| FetchError::Denied("the network was not granted".to_owned()))?;
    if state.guest.fetches == FETCHES_MAX {
        return Err(FetchError::Failed(format!("more than {FETCHES_MAX} requests")));
    }
    state.guest.fetches += 1;
    network.fetch(read(request).map_err(FetchError::Failed)?, state.deadline.wall_left())
}

/// Errors: a sentence for the code.
fn read(request: &[u8]) -> std::result::Result<FetchRequest, String> {
    let Request { url, method, headers, text, base64 } =
        serde_json::from_slice(request).map_err(|error| format!("the request cannot be read: {error}"))?;
    let body = match base64 {
        Some(base64) => BASE64_STANDARD.decode(base64).map_err(|error| format!("the body cannot be read: {error}"))?,
        None => text.unwrap_or_default().into_bytes(),
    };
    Ok(FetchRequest { method, url, headers, body })
}

/// Writes an answer to where the guest wants it, and returns its length; -1 if the guest has no memory for it.
fn write_answer(caller: &mut Caller<'_, HostState<Host>>, answer: &[u8]) -> Result<i32> {
    let reserve = caller.get_export("reserve").and_then(Extern::into_func);
    let reserve = reserve.ok_or_else(|| Error::msg("the guest reserves nothing"))?.typed::<u32, u32>(&*caller)?;
    let (Ok(length), Ok(signed_length)) = (u32::try_from(answer.len()), i32::try_from(answer.len())) else { return Ok(-1) };
    let address = reserve.call(&mut *caller, length)?;
    if address == 0 {
        return Ok(-1);
    }
    let memory = memory_of(caller)?;
    memory.write(&mut *caller, usize::try_from(address)?, answer)?;
    Ok(signed_length)
}
