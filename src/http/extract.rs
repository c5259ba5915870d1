//! What handlers take: the caller, ids of the path, queries, headers, bodies. Each refuses with a problem that says what to do.

mod body;
mod caller;
mod definition;
mod headers;
mod origin;
mod path;
mod query;
mod trace;

pub(super) use self::{
    body::{Body, BodyTime, Json, is_json, media_type, read_fields, read_json, read_object, require_json},
    caller::{
        Authenticated, Caller, ClientAddress, Denied, May, MaybeCaller, OptionalBearer, OverTls, Via, no_workspace, presented,
        refuse_token, unauthenticated, wanted_workspace,
    },
    definition::{Definition, MaybeDefinition},
    headers::{IdempotencyKey, IfMatch, KEY_CHARS_MAX, LastEventId, OptionalIfMatch, PreferWait, REPLAYED, etag, read_key},
    origin::{RequestId, Unknown},
    path::Path,
    query::Query,
    trace::trace_of,
};
