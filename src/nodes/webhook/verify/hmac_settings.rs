//! The settings of a webhook's check by a signature that no preset describes.

use serde::Deserialize;

use super::{
    params::POINTER,
    signature::{Algorithm, Encoding, Layout, Part, SignatureScheme, parse_parts},
};
use crate::{
    model::problem::Problem,
    nodes::{headers, params},
};

/// The fields of `verify` that only `hmac` has.
#[derive(Deserialize)]
pub(super) struct HmacParams {
    header: Option<String>,
    algorithm: Option<Algorithm>,
    encoding: Option<Encoding>,
    prefix: Option<String>,
    template: Option<String>,
    timestamp_header: Option<String>,
    id_header: Option<String>,
}

impl HmacParams {
    /// Each field's name, and whether it is set.
    pub(super) fn given(&self) -> [(&'static str, bool); 7] {
        [
            ("header", self.header.is_some()),
            ("algorithm", self.algorithm.is_some()),
            ("encoding", self.encoding.is_some()),
            ("prefix", self.prefix.is_some()),
            ("template", self.template.is_some()),
            ("timestamp_header", self.timestamp_header.is_some()),
            ("id_header", self.id_header.is_some()),
        ]
    }
}

/// A scheme without its key.
pub(super) struct HmacSettings {
    header: String,
    algorithm: Algorithm,
    encoding: Encoding,
    prefix: String,
    signed: Vec<Part>,
    timestamp_header: Option<String>,
    id_header: Option<String>,
}

impl HmacSettings {
    /// `None` if the header is missing or nothing useful is signed. Adds what is wrong to `problems`.
    pub(super) fn read(fields: HmacParams, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut lower = |name: &str, value: Option<String>| {
            let value = value?;
            if headers::check_name(&value).is_err() {
                problems.push(Problem::new(format!("{POINTER}/{name}"), "invalid_header", "is not the name of a header"));
            }
            Some(value.to_ascii_lowercase())
        };
        let header = lower("header", fields.header);
        let timestamp_header = lower("timestamp_header", fields.timestamp_header);
        let id_header = lower("id_header", fields.id_header);
        let Some(signed) = fields.template.as_deref().map_or(Some(vec![Part::Body]), parse_parts) else {
            problems.push(params::invalid(&format!("{POINTER}/template"), "`{body}` must be signed"));
            return None;
        };
        for (part, given, name) in [(Part::Timestamp, &timestamp_header, "timestamp_header"), (Part::Id, &id_header, "id_header")]
        {
            if signed.contains(&part) && given.is_none() {
                problems.push(Problem::new(POINTER, "missing_field", format!("the template needs `{name}`")));
            }
        }
        // An unsigned timestamp proves nothing: whoever repeats a request sets it anew.
        if timestamp_header.is_some() && !signed.contains(&Part::Timestamp) {
            problems.push(params::invalid(&format!("{POINTER}/timestamp_header"), "the template must sign `{timestamp}`"));
        }
        Some(Self {
            header: header?,
            algorithm: fields.algorithm.unwrap_or_default(),
            encoding: fields.encoding.unwrap_or_default(),
            prefix: fields.prefix.unwrap_or_default(),
            signed,
            timestamp_header,
            id_header,
        })
    }

    /// The scheme with its key.
    pub(super) fn scheme(&self, key: Vec<u8>) -> SignatureScheme {
        SignatureScheme {
            algorithm: self.algorithm,
            layout: Layout::Prefixed(self.prefix.clone()),
            encoding: self.encoding,
            signed: self.signed.clone(),
            timestamp_header: self.timestamp_header.clone(),
            id_header: self.id_header.clone(),
            ..SignatureScheme::plain(key, &self.header)
        }
    }
}
