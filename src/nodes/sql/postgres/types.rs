//! The types that have a JSON form, by their object ids, which are the same in every PostgreSQL. Pure.
//! Source: PostgreSQL, `src/include/catalog/pg_type.dat`.

use sqlx::postgres::{PgTypeInfo, PgTypeKind};

/// How a type's binary form is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    /// Its binary form is its text.
    Text,
    Json,
    Jsonb,
    Uuid,
    Bytea,
    Timestamptz,
    Timestamp,
    Date,
    Time,
    Void,
}

/// Why a value cannot cross over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConversionError {
    #[error("the type {name} has no JSON form here: cast it to text and back")]
    UnknownType { name: String },
    #[error("expected {expected}")]
    Unfit { expected: &'static str },
    #[error("the server sent a damaged {what}")]
    Damaged { what: &'static str },
}

impl Form {
    /// The form of a type that is none of the composed ones.
    pub(super) fn of_oid(oid: u32) -> Option<Self> {
        Some(match oid {
            16 => Self::Bool,
            17 => Self::Bytea,
            20 => Self::Int8,
            21 => Self::Int2,
            23 => Self::Int4,
            // "char", name, text, xml, unknown, bpchar, varchar
            18 | 19 | 25 | 142 | 705 | 1042 | 1043 => Self::Text,
            26 => Self::Oid,
            114 => Self::Json,
            700 => Self::Float4,
            701 => Self::Float8,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 => Self::Timestamp,
            1184 => Self::Timestamptz,
            1700 => Self::Numeric,
            2278 => Self::Void,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ => return None,
        })
    }
}

/// What a type is made of.
pub(super) enum Shape {
    Single(Form),
    /// Of elements with this form and object id.
    Array(Form, u32),
}

/// Looks a type up, through domains.
///
/// Errors: `UnknownType`.
pub(super) fn shape(type_info: &PgTypeInfo) -> Result<Shape, ConversionError> {
    match type_info.kind() {
        PgTypeKind::Array(element) => match shape(element)? {
            Shape::Single(form) => Ok(Shape::Array(form, oid(element)?)),
            Shape::Array(..) => Err(unknown(type_info)),
        },
        PgTypeKind::Domain(base) => shape(base),
        PgTypeKind::Enum(_) => Ok(Shape::Single(Form::Text)),
        PgTypeKind::Simple | PgTypeKind::Pseudo | PgTypeKind::Composite(_) | PgTypeKind::Range(_) => {
            Form::of_oid(oid(type_info)?).map(Shape::Single).ok_or_else(|| unknown(type_info))
        }
    }
}

fn oid(type_info: &PgTypeInfo) -> Result<u32, ConversionError> {
    type_info.oid().map(|oid| oid.0).ok_or_else(|| unknown(type_info))
}

fn unknown(type_info: &PgTypeInfo) -> ConversionError {
    ConversionError::UnknownType { name: type_info.to_string() }
}
