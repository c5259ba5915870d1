//! Where a request comes from, for the audit log.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};

use super::ClientAddress;
use crate::{
    actors::{
        accounts,
        audit::{Origin, Who},
    },
    model::ids::WorkspaceId,
};

/// The id of a request: the client's, or the one that the server gave it.
#[derive(Debug, Clone)]
pub(in crate::http) struct RequestId(pub(in crate::http) Arc<str>);

/// The origin of a request whose sender is not known, or not yet: nobody in particular, in the first workspace.
pub(in crate::http) struct Unknown(pub(in crate::http) Origin);

impl<S: Send + Sync> FromRequestParts<S> for Unknown {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(of_request(&parts.extensions)))
    }
}

/// The origin of a caller's request.
pub(super) fn of_caller(extensions: &Extensions, caller: &accounts::Caller) -> Origin {
    Origin {
        workspace: caller.workspace,
        who: caller.user.map_or(Who::Token(caller.token), Who::User),
        token: Some(caller.token),
        ..of_request(extensions)
    }
}

fn of_request(extensions: &Extensions) -> Origin {
    Origin {
        workspace: WorkspaceId::DEFAULT,
        who: Who::Anonymous,
        token: None,
        address: extensions.get::<ClientAddress>().map(|address| address.0.to_canonical()),
        request_id: extensions.get::<RequestId>().map(|id| Arc::clone(&id.0)),
    }
}
