//! Values of the server as JSON, from its binary format. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Number, Value};
use sqlx::{
    ValueRef,
    postgres::{PgValueFormat, PgValueRef},
};

use super::{
    numeric, times,
    types::{ConversionError, Form, Shape, shape},
};

/// A value that is not null.
///
/// Errors: `UnknownType`, `Damaged`.
pub(super) fn decode(value: &PgValueRef<'_>) -> Result<Value, ConversionError> {
    let bytes = value.as_bytes().map_err(|_| damaged("value"))?;
    if value.format() == PgValueFormat::Text {
        return text(bytes);
    }
    match shape(&value.type_info())? {
        Shape::Single(form) => decode_single(form, bytes),
        Shape::Array(form, _) => decode_array(form, bytes),
    }
}

/// One value of a form.
pub(super) fn decode_single(form: Form, bytes: &[u8]) -> Result<Value, ConversionError> {
    Ok(match form {
        Form::Bool => Value::Bool(array::<1>(bytes)?[0] != 0),
        Form::Int2 => Value::from(i16::from_be_bytes(array(bytes)?)),
        Form::Int4 => Value::from(i32::from_be_bytes(array(bytes)?)),
        Form::Int8 => Value::from(i64::from_be_bytes(array(bytes)?)),
        Form::Oid => Value::from(u32::from_be_bytes(array(bytes)?)),
        Form::Float4 => float4(f32::from_be_bytes(array(bytes)?)),
        Form::Float8 => float8(f64::from_be_bytes(array(bytes)?)),
        Form::Numeric => Value::String(numeric::decode(bytes)?),
        Form::Text => text(bytes)?,
        Form::Json => serde_json::from_slice(bytes).map_err(|_| damaged("json"))?,
        // One byte of version goes first.
        Form::Jsonb => serde_json::from_slice(bytes.get(1..).unwrap_or_default()).map_err(|_| damaged("jsonb"))?,
        Form::Uuid => Value::String(uuid::Uuid::from_bytes(array(bytes)?).to_string()),
        Form::Bytea => Value::String(BASE64_STANDARD.encode(bytes)),
        Form::Timestamptz => Value::String(times::timestamptz(i64::from_be_bytes(array(bytes)?))?),
        Form::Timestamp => Value::String(times::timestamp(i64::from_be_bytes(array(bytes)?))?),
        Form::Date => Value::String(times::date(i32::from_be_bytes(array(bytes)?))?),
        Form::Time => Value::String(times::time(i64::from_be_bytes(array(bytes)?))?),
        Form::Void => Value::Null,
    })
}

/// An array of one dimension: dimensions, a flag for nulls, the element's type, length and lower bound, then each element behind its
/// length.
fn decode_array(form: Form, bytes: &[u8]) -> Result<Value, ConversionError> {
    let mut rest = bytes;
    let mut next = || take::<4>(&mut rest).map(i32::from_be_bytes);
    let (dimensions, _nulls, _element) = (next()?, next()?, next()?);
    if dimensions == 0 {
        return Ok(Value::Array(Vec::new()));
    }
    let (count, _lower) = (next()?, next()?);
    if dimensions != 1 {
        return Err(ConversionError::UnknownType { name: "array of several dimensions".to_owned() });
    }
    let mut values = Vec::new();
    for _ in 0..count {
        let length = i32::from_be_bytes(take::<4>(&mut rest)?);
        let Ok(length) = usize::try_from(length) else {
            values.push(Value::Null);
            continue;
        };
        let (element, behind) = rest.split_at_checked(length).ok_or(damaged("array"))?;
        values.push(decode_single(form, element)?);
        rest = behind;
    }
    Ok(Value::Array(values))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ConversionError> {
    let (head, behind) = rest.split_first_chunk::<N>().ok_or(damaged("array"))?;
    *rest = behind;
    Ok(*head)
}

/// The shortest text that reads back as the same 32 bits: 0.1, not 0.10000000149011612.
fn float4(number: f32) -> Value {
    number.to_string().parse().map_or_else(|_| float8(f64::from(number)), float8)
}

/// JSON has neither infinity nor NaN: they become texts.
fn float8(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
}

fn text(bytes: &[u8]) -> Result<Value, ConversionError> {
    std::str::from_utf8(bytes).map(|text| Value::String(text.to_owned())).map_err(|_| damaged("text"))
}

pub(super) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ConversionError> {
    bytes.try_into().map_err(|_| damaged("value"))
}

fn damaged(what: &'static str) -> ConversionError {
    ConversionError::Damaged { what }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(form: Form, bytes: &[u8], expected: Value) {
        assert_eq!(decode_single(form, bytes), Ok(expected));
    }

    #[test]
    fn decodes_each_form() {
        check(Form::Bool, &[1], json!(true));
        check(Form::Int2, &[0xff, 0xfe], json!(-2));
        check(Form::Int8, &i64::MAX.to_be_bytes(), json!(i64::MAX));
        check(Form::Float4, &0.1_f32.to_be_bytes(), json!(0.1));
        check(Form::Float8, &f64::NEG_INFINITY.to_be_bytes(), json!("-inf"));
        check(Form::Text, "ä".as_bytes(), json!("ä"));
        check(Form::Jsonb, b"\x01{\"a\":1}", json!({ "a": 1 }));
        check(Form::Uuid, &[0; 16], json!("00000000-0000-0000-0000-000000000000"));
        check(Form::Bytea, &[0, 0xff], json!("AP8="));
        check(Form::Void, &[], Value::Null);
    }

    #[test]
    fn decodes_arrays_with_nulls() {
        let mut bytes = Vec::new();
        for number in [1, 1, 23, 2, 1, 4, 7, -1] {
            bytes.extend_from_slice(&i32::to_be_bytes(number));
        }
        assert_eq!(decode_array(Form::Int4, &bytes), Ok(json!([7, null])));
        assert_eq!(decode_array(Form::Int4, &[0; 12]), Ok(json!([])));
    }

    #[test]
    fn reports_damage_instead_of_panicking() {
        for form in [Form::Bool, Form::Int4, Form::Jsonb, Form::Uuid, Form::Numeric, Form::Timestamptz, Form::Date, Form::Time] {
            assert!(matches!(decode_single(form, &[]), Err(ConversionError::Damaged { .. })), "{form:?}");
        }
        assert!(decode_array(Form::Int4, &[0, 0, 0, 1]).is_err());
    }
}
