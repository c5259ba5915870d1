//! The way of code to the network: through the one HTTP client, under the egress policy.

use std::{error::Error as _, time::Duration};

use tokio::runtime::Handle;

use crate::{
    auth::egress::{
        EgressClient, EgressError, EgressRequest, Method, Url,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
    runtimes::grants::{Fetch, FetchError, FetchRequest, FetchResponse},
};

/// Size of an answer's body that code may have, in bytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(super) struct Network {
    egress: EgressClient,
    runtime: Handle,
}

impl Network {
    /// Call it from the runtime that is to send the requests.
    pub(super) fn new(egress: EgressClient) -> Self {
        Self { egress, runtime: Handle::current() }
    }

    async fn send(&self, request: EgressRequest) -> Result<FetchResponse, EgressError> {
        let response = self.egress.send(request).await?;
        let (url, status) = (response.url().to_string(), response.status().as_u16());
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let headers = headers.collect();
        let body = response.read(BODY_BYTES_MAX).await?.to_vec();
        Ok(FetchResponse { url, status, headers, body })
    }
}

impl Fetch for Network {
    fn fetch(&self, request: FetchRequest, within: Duration) -> Result<FetchResponse, FetchError> {
        let request = to_egress(request, within).map_err(FetchError::Failed)?;
        // The calling thread is one that may block.
        self.runtime.block_on(self.send(request)).map_err(|error| match (&error, error.source()) {
            (EgressError::Denied(_), _) => FetchError::Denied(error.to_string()),
            (_, Some(source)) => FetchError::Failed(format!("{error}: {source}")),
            (_, None) => FetchError::Failed(error.to_string()),
        })
    }
}

fn to_egress(request: FetchRequest, timeout: Duration) -> Result<EgressRequest, String> {
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| format!("`{}` is no method", request.method))?;
    let url = Url::parse(&request.url).map_err(|error| format!("the URL cannot be read: {error}"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        let (parsed_name, mut parsed_value) = parsed.ok_or_else(|| format!("`{name}` is no header, or its value is none"))?;
        // Code may have been granted secrets: none of its headers follows a redirect to another origin.
        parsed_value.set_sensitive(true);
        headers.append(parsed_name, parsed_value);
    }
    let body = if request.body.is_empty() { None } else { Some(request.body.into()) };
    Ok(EgressRequest { method, url, headers, body, timeout, follow_redirects: true })
}
