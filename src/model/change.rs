//! What a request says about a field that it may leave out.

use serde::{Deserialize, Deserializer};

/// What becomes of a field. Of a body it has to be `#[serde(default)]`: left out, the field is kept, and null is a value as any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    To(T),
}

impl<T> Change<T> {
    /// What the field becomes that has this value now.
    pub fn over(self, present: T) -> T {
        match self {
            Self::Keep => present,
            Self::To(value) => value,
        }
    }

    /// What it is to be, if it is to be another one.
    pub const fn to(&self) -> Option<&T> {
        match self {
            Self::Keep => None,
            Self::To(value) => Some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::To)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        field: Change<Option<u32>>,
    }

    #[test]
    fn left_out_is_kept_and_null_is_a_value() {
        let read = |text: &str| serde_json::from_str::<Body>(text).unwrap().field;
        assert_eq!(read("{}"), Change::Keep);
        assert_eq!((read("{}").over(Some(2)), read("{}").to()), (Some(2), None));
        assert_eq!((Change::To(None).over(Some(2)), Change::To(3).to()), (None, Some(&3)));
        assert_eq!(read(r#"{ "field": null }"#), Change::To(None));
        assert_eq!(read(r#"{ "field": 1 }"#), Change::To(Some(1)));
    }
}
