//! JavaScript values over borrowed JSON, and the conversions between their types.

use serde_json::{Number, Value};

use super::{names::BuiltIn, number, text::Text};

/// A value. Arrays and objects are always those of the scope: the expressions that are evaluated here make none.
#[derive(Debug, Clone)]
pub(super) enum Js<'a> {
    Undefined,
    Null,
    Bool(bool),
    Number {
        value: f64,
        /// What it was read from. A number that is only passed on keeps its digits, even beyond 2^53.
        origin: Option<&'a Number>,
    },
    Text(Text<'a>),
    /// An array or an object.
    Json(&'a Value),
    /// A function of a prototype. Has no members here: `lower` sees to it.
    BuiltIn(BuiltIn<'a>),
}

/// Why an expression has no value here or in the guest alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("TypeError: {0}")]
    Type(String),
    /// A sentence that names what is not there.
    #[error("{0}")]
    Missing(String),
    #[error("the expression makes more than {bytes_max} bytes of text")]
    TooMuchWork { bytes_max: usize },
    #[error("the result has more than {bytes_max} bytes")]
    OutputTooLarge { bytes_max: usize },
}

/// A value that is no array and no object.
pub(super) type Primitive<'a> = Js<'a>;

impl<'a> From<f64> for Js<'a> {
    fn from(value: f64) -> Self {
        Self::Number { value, origin: None }
    }
}

impl<'a> From<&'a Value> for Js<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number { value: number.as_f64().unwrap_or(f64::NAN), origin: Some(number) },
            Value::String(text) => Self::Text(Text::from(text.as_str())),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }
}

impl<'a> Js<'a> {
    pub(super) fn count(number: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "no list and no text has 2^53 elements")]
        let value = number as f64;
        Self::from(value)
    }

    pub(super) fn is_nullish(&self) -> bool {
        matches!(self, Self::Undefined | Self::Null)
    }

    /// `ToBoolean(value)`.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Undefined | Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number { value, .. } => *value != 0.0 && !value.is_nan(),
            Self::Text(text) => !text.is_empty(),
            Self::Json(_) | Self::BuiltIn(_) => true,
        }
    }

    /// `typeof value`.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Null | Self::Json(_) => "object",
            Self::Bool(_) => "boolean",
            Self::Number { .. } => "number",
            Self::Text(_) => "string",
            Self::BuiltIn(_) => "function",
        }
    }

    /// `ToPrimitive(value)`. The hint makes no difference: neither arrays nor plain objects have a primitive `valueOf`.
    pub(super) fn into_primitive(self) -> Result<Primitive<'a>, Failure> {
        match self {
            Self::Json(value) => {
                let mut text = String::new();
                write_object_text(&mut text, value)?;
                Ok(Self::Text(text.into()))
            }
            Self::BuiltIn(function) => Ok(Self::Text(function.source().into())),
            primitive => Ok(primitive),
        }
    }

    /// `ToNumber(value)`.
    pub(super) fn to_number(&self) -> Result<f64, Failure> {
        Ok(match self {
            Self::Undefined => f64::NAN,
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Number { value, .. } => *value,
            Self::Text(text) => text.to_number(),
            Self::Json(_) | Self::BuiltIn(_) => self.clone().into_primitive()?.to_number()?,
        })
    }

    /// `ToString(value)`.
    pub(super) fn into_text(self) -> Result<Text<'a>, Failure> {
        Ok(match self {
            Self::Undefined => "undefined".into(),
            Self::Null => "null".into(),
            Self::Bool(value) => bool_text(value).into(),
            Self::Number { value, .. } => number::to_text(value).into(),
            Self::Text(text) => text,
            Self::Json(_) | Self::BuiltIn(_) => self.into_primitive()?.into_text()?,
        })
    }

    /// `left === right`.
    pub(super) fn strictly_equals(&self, other: &Js<'_>) -> bool {
        match (self, other) {
            (Self::Undefined, Js::Undefined) | (Self::Null, Js::Null) => true,
            (Self::Bool(left), Js::Bool(right)) => left == right,
            (Self::Number { value: left, .. }, Js::Number { value: right, .. }) => left == right,
            (Self::Text(left), Js::Text(right)) => left.equals(right),
            (Self::Json(left), Js::Json(right)) => std::ptr::eq(*left, *right),
            (Self::BuiltIn(left), Js::BuiltIn(right)) => left == right,
            _ => false,
        }
    }

    /// `left == right`. Source: ECMA-262, 7.2.13.
    pub(super) fn loosely_equals(&self, other: &Js<'_>) -> Result<bool, Failure> {
        Ok(match (self, other) {
            (left, right) if left.is_nullish() || right.is_nullish() => left.is_nullish() && right.is_nullish(),
            (Self::Json(_) | Self::BuiltIn(_), Js::Json(_) | Js::BuiltIn(_)) => self.strictly_equals(other),
            (Self::Json(_) | Self::BuiltIn(_), _) => self.clone().into_primitive()?.loosely_equals(other)?,
            (_, Js::Json(_) | Js::BuiltIn(_)) => self.loosely_equals(&other.clone().into_primitive()?)?,
            (Self::Text(left), Js::Text(right)) => left.equals(right),
            (left, right) => left.to_number()? == right.to_number()?,
        })
    }

    /// What `includes` of an array compares by: as `===`, but NaN equals itself.
    pub(super) fn is_same_value_zero(&self, other: &Js<'_>) -> bool {
        match (self, other) {
            (Self::Number { value: left, .. }, Js::Number { value: right, .. }) if left.is_nan() => right.is_nan(),
            _ => self.strictly_equals(other),
        }
    }
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// What `toString` of an array or an object gives.
fn write_object_text(text: &mut String, value: &Value) -> Result<(), Failure> {
    match value {
        Value::Array(elements) => write_joined(text, elements, ","),
        // A property of that name hides the method, and JSON holds no functions.
        Value::Object(object) if object.contains_key("toString") => {
            Err(Failure::Type("cannot convert object to primitive".to_owned()))
        }
        _ => {
            text.push_str("[object Object]");
            Ok(())
        }
    }
}

/// What `elements.join(separator)` gives.
pub(super) fn write_joined(text: &mut String, elements: &[Value], separator: &str) -> Result<(), Failure> {
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        match element {
            Value::Null => {}
            Value::Bool(value) => text.push_str(bool_text(*value)),
            Value::Number(number) => number::write(text, number.as_f64().unwrap_or(f64::NAN)),
            Value::String(string) => text.push_str(string),
            Value::Array(_) | Value::Object(_) => write_object_text(text, element)?,
        }
    }
    Ok(())
}
