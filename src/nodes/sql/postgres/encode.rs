//! JSON as values of the type that the server expects, in its binary format. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use sqlx::{
    Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo},
};

use super::{
    numeric, times,
    types::{ConversionError, Form, Shape, shape},
};

/// An encoded value with its type.
#[derive(Debug)]
pub(super) struct Argument {
    type_info: PgTypeInfo,
    bytes: Option<Vec<u8>>,
}

impl Type<Postgres> for Argument {
    fn type_info() -> PgTypeInfo {
        // Every argument says its own type.
        <String as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Argument {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match &self.bytes {
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.type_info.clone())
    }
}

/// Encodes a value for a placeholder of this type. JSON's null is SQL's null, for `json` too.
///
/// Errors: `UnknownType`, `Unfit`.
pub(super) fn encode(type_info: &PgTypeInfo, value: &Value) -> Result<Argument, ConversionError> {
    let bytes = match (value, shape(type_info)?) {
        (Value::Null, _) => None,
        (value, Shape::Single(form)) => Some(encode_single(form, value)?),
        (Value::Array(values), Shape::Array(form, element)) => Some(encode_array(form, element, values)?),
        (_, Shape::Array(..)) => return Err(unfit("an array")),
    };
    Ok(Argument { type_info: type_info.clone(), bytes })
}

fn encode_single(form: Form, value: &Value) -> Result<Vec<u8>, ConversionError> {
    Ok(match form {
        Form::Bool => vec![u8::from(boolean(value)?)],
        Form::Int2 => i16::try_from(whole(value)?).map_err(|_| unfit("a whole number of 16 bits"))?.to_be_bytes().to_vec(),
        Form::Int4 => i32::try_from(whole(value)?).map_err(|_| unfit("a whole number of 32 bits"))?.to_be_bytes().to_vec(),
        Form::Int8 => whole(value)?.to_be_bytes().to_vec(),
        Form::Oid => u32::try_from(whole(value)?).map_err(|_| unfit("an object id"))?.to_be_bytes().to_vec(),
        Form::Float4 => text(value).parse::<f32>().map_err(|_| unfit("a number"))?.to_be_bytes().to_vec(),
        Form::Float8 => text(value).parse::<f64>().map_err(|_| unfit("a number"))?.to_be_bytes().to_vec(),
        Form::Numeric => numeric::encode(&text(value))?,
        Form::Text => text(value).into_bytes(),
        Form::Json => value.to_string().into_bytes(),
        Form::Jsonb => [b"\x01", value.to_string().as_bytes()].concat(),
        Form::Uuid => uuid::Uuid::parse_str(&text(value)).map_err(|_| unfit("a UUID"))?.into_bytes().to_vec(),
        Form::Bytea => BASE64_STANDARD.decode(text(value)).map_err(|_| unfit("bytes in base64"))?,
        Form::Timestamptz => times::parse_timestamptz(&text(value))?.to_be_bytes().to_vec(),
        Form::Timestamp => times::parse_timestamp(&text(value))?.to_be_bytes().to_vec(),
        Form::Date => times::parse_date(&text(value))?.to_be_bytes().to_vec(),
        Form::Time => times::parse_time(&text(value))?.to_be_bytes().to_vec(),
        Form::Void => return Err(unfit("nothing")),
    })
}

/// The counterpart of `decode_array`.
fn encode_array(form: Form, element: u32, values: &[Value]) -> Result<Vec<u8>, ConversionError> {
    let count = i32::try_from(values.len()).map_err(|_| unfit("a shorter array"))?;
    let has_null = i32::from(values.iter().any(Value::is_null));
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&1_i32.to_be_bytes());
    bytes.extend_from_slice(&has_null.to_be_bytes());
    bytes.extend_from_slice(&element.to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&1_i32.to_be_bytes());
    for value in values {
        if value.is_null() {
            bytes.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        }
        let encoded = encode_single(form, value)?;
        let length = i32::try_from(encoded.len()).map_err(|_| unfit("a shorter value"))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&encoded);
    }
    Ok(bytes)
}

fn boolean(value: &Value) -> Result<bool, ConversionError> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => Err(unfit("a boolean")),
    }
}

fn whole(value: &Value) -> Result<i64, ConversionError> {
    text(value).parse().map_err(|_| unfit("a whole number"))
}

/// A string as it is, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn unfit(expected: &'static str) -> ConversionError {
    ConversionError::Unfit { expected }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::nodes::sql::postgres::decode::decode_single;

    #[test]
    fn what_goes_in_comes_out() {
        for (form, value) in [
            (Form::Bool, json!(true)),
            (Form::Int2, json!(-3)),
            (Form::Int4, json!(70_000)),
            (Form::Int8, json!(i64::MIN)),
            (Form::Oid, json!(u32::MAX)),
            (Form::Float4, json!(0.1)),
            (Form::Float8, json!(1.5e300)),
            (Form::Numeric, json!("12.50")),
            (Form::Text, json!("ä")),
            (Form::Json, json!({ "a": [1] })),
            (Form::Jsonb, json!([null])),
            (Form::Uuid, json!("0190a0b0-0000-7000-8000-000000000001")),
            (Form::Bytea, json!("AP8=")),
            (Form::Timestamptz, json!("2024-05-06T07:08:09Z")),
            (Form::Timestamp, json!("2024-05-06T07:08:09")),
            (Form::Date, json!("2024-05-06")),
            (Form::Time, json!("07:08:09")),
        ] {
            assert_eq!(encode_single(form, &value).and_then(|bytes| decode_single(form, &bytes)), Ok(value), "{form:?}");
        }
    }

    #[test]
    fn reads_numbers_from_texts_and_texts_from_anything() {
        assert_eq!(encode_single(Form::Int4, &json!("7")), encode_single(Form::Int4, &json!(7)));
        assert_eq!(encode_single(Form::Numeric, &json!(1.5)), encode_single(Form::Numeric, &json!("1.5")));
        assert_eq!(encode_single(Form::Text, &json!({ "a": 1 })), Ok(br#"{"a":1}"#.to_vec()));
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for (form, value) in [
            (Form::Bool, json!(1)),
            (Form::Int2, json!(40_000)),
            (Form::Int4, json!(1.5)),
            (Form::Int8, json!("x")),
            (Form::Float8, json!("x")),
            (Form::Uuid, json!("x")),
            (Form::Bytea, json!("*")),
            (Form::Date, json!("x")),
        ] {
            assert!(matches!(encode_single(form, &value), Err(ConversionError::Unfit { .. })), "{form:?}");
        }
    }
}
