//! The parameters of a code node.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::WALL_MS_MAX;
use crate::{
    model::limits::{DEFINITION_BYTES_MAX, LOG_BYTES_MAX, OUTPUT_BYTES_MAX},
    nodes::params::{
        Param,
        schema::{LITERAL, choice, object},
    },
    runtimes::{
        code::{CodeLimits, JAVASCRIPT},
        sandbox::MEMORY_BYTES_MAX,
    },
};

/// Variables that one node may grant.
pub const ENV_COUNT_MAX: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Params {
    #[serde(default = "default_language")]
    pub(super) language: String,
    #[serde(default)]
    pub(super) code: Option<String>,
    /// Instead of `code`.
    #[serde(default)]
    pub(super) program: Option<Param>,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    pub(super) limits: CodeLimits,
    #[serde(default)]
    pub(super) grants: Grants,
}

/// How often the code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    #[default]
    All,
    Each,
}

/// What the code may reach outside of the sandbox.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Grants {
    pub(super) env: BTreeMap<String, Granted>,
    pub(super) network: bool,
}

/// The value of a granted variable.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Granted {
    /// A field of the node's credential.
    Credential {
        credential: String,
    },
    Value(Param),
}

fn default_language() -> String {
    JAVASCRIPT.to_owned()
}

/// JSON Schema of `params`.
pub(super) fn schema() -> Value {
    let limit = |description: &str, maximum: u64, default: u64| json!({ "description": description, "type": "integer", "minimum": 1, "maximum": maximum, "default": default });
    let default = CodeLimits::default();
    object(
        &[],
        json!({
            "language": {
                "description": "The language of the code, by its name in `GET /api/v1/runtimes`.",
                "type": "string", "minLength": 1, "maxLength": 64, "default": JAVASCRIPT, (LITERAL): true,
            },
            "code": {
                "description": "A function body that may `return` at top level, or that defines `main(input)`. `input` is the list of the \
                                items' `json`, or one item's in mode `each`; `items` are the items themselves. JavaScript and TypeScript \
                                have the variables of expressions too; WebAssembly is a binary in base64 that reads `input` as JSON on \
                                stdin and writes its output as JSON on stdout. A returned object is one item, an array is items, nothing \
                                is no item, anything else becomes `{ value }`.",
                "type": "string", "minLength": 1, "maxLength": DEFINITION_BYTES_MAX,
            },
            "program": {
                "description": "WebAssembly that is too large for a definition, instead of `code`: where it is in the blob store, as the \
                                binary data of an item says it (`{{ $binary.data }}`, of the first item). It is looked at when the node runs.",
                "type": "object",
                "properties": {
                    "hash": { "description": "SHA-256 of the binary, in lowercase hex.", "type": "string", "pattern": "^[0-9a-f]{64}$" },
                    "size_bytes": { "description": "Of no consequence.", "type": "integer", "minimum": 0 },
                    "media_type": { "description": "Of no consequence.", "type": "string" },
                    "file_name": { "description": "Of no consequence.", "type": "string" },
                },
                "required": ["hash"],
                "additionalProperties": false,
            },
            "mode": choice("Once for all items, or once for each.", &["all", "each"]),
            "limits": {
                "description": "What the run may use, in mode `each` for all items together.",
                "type": "object",
                "properties": {
                    "wall_ms": limit("Milliseconds of wall time.", WALL_MS_MAX, default.wall_ms),
                    "cpu_ms": limit("Milliseconds of CPU time.", WALL_MS_MAX, default.cpu_ms),
                    "memory_bytes": limit("Bytes of memory.", MEMORY_BYTES_MAX as u64, default.memory_bytes as u64),
                    "output_bytes": limit("Bytes of output as JSON.", OUTPUT_BYTES_MAX as u64, default.output_bytes as u64),
                    "log_bytes": limit("Bytes of console output; more is dropped.", LOG_BYTES_MAX as u64, default.log_bytes as u64),
                },
                "additionalProperties": false,
                (LITERAL): true,
            },
            "grants": {
                "description": "What the code may reach outside of the sandbox; nothing by default.",
                "type": "object",
                "properties": {
                    "env": {
                        "description": "Variables by their name, which the code finds in its environment (`env` in JavaScript): a text, or a \
                                        field of the node's credential as `{ credential: field }`.",
                        "type": "object",
                        "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$" },
                        "maxProperties": ENV_COUNT_MAX,
                        "additionalProperties": {
                            "anyOf": [
                                { "type": "string" },
                                {
                                    "type": "object",
                                    "properties": { "credential": { "type": "string", "minLength": 1, (LITERAL): true } },
                                    "required": ["credential"],
                                    "additionalProperties": false,
                                },
                            ],
                        },
                    },
                    "network": {
                        "description": "Whether the code may send HTTP requests with `fetch`, to what the egress policy allows. Such a node \
                                        is not repeated after a crash unless it says so.",
                        "type": "boolean", "default": false, (LITERAL): true,
                    },
                },
                "additionalProperties": false,
            },
        }),
    )
}
