//! What extractors take, as parameters: `params(WorkflowId, IfMatch)` in an annotation. An id is the path's `id`; a path with
//! several parameters is described by the handler's signature alone.

use serde_json::json;
use utoipa::{
    IntoParams,
    openapi::{
        Object, Ref, RefOr, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Schema, SchemaType},
    },
};

use crate::{
    http::extract::{IdempotencyKey, IfMatch, KEY_CHARS_MAX, LastEventId, OptionalIfMatch, PreferWait},
    model::ids::{BatchId, CredentialId, ExecutionId, ScheduleId, WorkflowId},
};

macro_rules! ids_in_paths {
    ($($id:ident)*) => {$(
        impl IntoParams for $id {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).required(Required::True);
                vec![id.schema(Some(Ref::from_schema_name(stringify!($id)))).build()]
            }
        }
    )*};
}

ids_in_paths! { WorkflowId ExecutionId BatchId ScheduleId CredentialId }

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = text().min_length(Some(1)).max_length(Some(KEY_CHARS_MAX)).pattern(Some("^[ -~]+$"));
        let description =
            "Makes the request safe to repeat: with the same key and body it does nothing more, and is answered as before.";
        vec![header("Idempotency-Key", Required::False, description, key)]
    }
}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![if_match(Required::True, "The `ETag` of the version that is changed, or `*` for whichever is the latest.")]
    }
}

impl IntoParams for OptionalIfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![if_match(Required::False, "Only if the latest version is the one with this `ETag`.")]
    }
}

impl IntoParams for PreferWait {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description =
            "`wait=N` waits up to N seconds for the end (RFC 7240), 300 at most. Other preferences are not followed.";
        vec![header("Prefer", Required::False, description, text().examples([json!("wait=1")]))]
    }
}

impl IntoParams for LastEventId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The `id` of the last event that the client has; goes before `after`.";
        vec![header("Last-Event-ID", Required::False, description, text().pattern(Some("^[0-9]{1,9}$")))]
    }
}

fn if_match(required: Required, description: &str) -> Parameter {
    let tag = text().pattern(Some(r#"^(\*|(W/)?"[^"]*")$"#)).examples([json!("\"1\""), json!("*")]);
    header("If-Match", required, description, tag)
}

fn header(name: &str, required: Required, description: &str, schema: ObjectBuilder) -> Parameter {
    let schema: RefOr<Schema> = Schema::Object(schema.build()).into();
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(required);
    parameter.description(Some(description)).schema(Some(schema)).build()
}

fn text() -> ObjectBuilder {
    Object::builder().schema_type(SchemaType::Type(Type::String))
}
