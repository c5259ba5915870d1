//! JavaScript strings: sequences of UTF-16 code units. Nearly all are UTF-8 here; only a string with half of a surrogate pair, which
//! indexing can make (`"😀"[0]`), is kept as code units.

use std::{borrow::Cow, cmp::Ordering, rc::Rc};

use super::number;

/// A string.
#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Utf8(Cow<'a, str>),
    /// Has at least one code unit that is half of a pair without its other half.
    Utf16(Rc<[u16]>),
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Utf8(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Utf8(Cow::Owned(text))
    }
}

impl<'a> Text<'a> {
    fn from_units(units: Vec<u16>) -> Self {
        match String::from_utf16(&units) {
            Ok(text) => Self::from(text),
            Err(_) => Self::Utf16(units.into()),
        }
    }

    fn units(&self) -> Vec<u16> {
        match self {
            Self::Utf8(text) => text.encode_utf16().collect(),
            Self::Utf16(units) => units.to_vec(),
        }
    }

    /// The string as it leaves JavaScript: halves of pairs become U+FFFD.
    pub(super) fn into_string(self) -> String {
        self.into_cow().into_owned()
    }

    pub(super) fn into_cow(self) -> Cow<'a, str> {
        match self {
            Self::Utf8(text) => text,
            Self::Utf16(units) => Cow::Owned(String::from_utf16_lossy(&units)),
        }
    }

    /// Roughly how many bytes it takes.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Utf8(text) => text.len(),
            Self::Utf16(units) => 2 * units.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.size_bytes() == 0
    }

    /// `text.length`: code units.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Utf8(text) if text.is_ascii() => text.len(),
            Self::Utf8(text) => text.encode_utf16().count(),
            Self::Utf16(units) => units.len(),
        }
    }

    /// `text[index]`.
    pub(super) fn at(&self, index: usize) -> Option<Self> {
        let unit = match self {
            Self::Utf8(text) if text.is_ascii() => return text.get(index..=index).map(|character| character.to_owned().into()),
            Self::Utf8(text) => text.encode_utf16().nth(index)?,
            Self::Utf16(units) => *units.get(index)?,
        };
        Some(Self::from_units(vec![unit]))
    }

    /// `text + other`.
    pub(super) fn concat(self, other: &Text<'_>) -> Self {
        match (self, other) {
            (Self::Utf8(text), Text::Utf8(other)) => {
                let mut joined = text.into_owned();
                joined.push_str(other);
                Self::from(joined)
            }
            // Two halves may meet and be a pair.
            (text, other) => Self::from_units([text.units(), other.units()].concat()),
        }
    }

    pub(super) fn to_number(&self) -> f64 {
        match self {
            Self::Utf8(text) => number::from_text(text),
            Self::Utf16(_) => f64::NAN,
        }
    }

    pub(super) fn equals(&self, other: &Text<'_>) -> bool {
        match (self, other) {
            (Self::Utf8(text), Text::Utf8(other)) => text == other,
            (Self::Utf16(units), Text::Utf16(other)) => units == other,
            (Self::Utf8(_), Text::Utf16(_)) | (Self::Utf16(_), Text::Utf8(_)) => false,
        }
    }

    /// The order of `<`: by code units, which is not the order of UTF-8 beyond U+D7FF.
    pub(super) fn compare(&self, other: &Text<'_>) -> Ordering {
        match (self, other) {
            (Self::Utf8(text), Text::Utf8(other)) if text.is_ascii() || other.is_ascii() => text.cmp(other),
            _ => self.units().cmp(&other.units()),
        }
    }

    pub(super) fn contains(&self, part: &Text<'_>) -> bool {
        match (self, part) {
            (Self::Utf8(text), Text::Utf8(part)) => text.contains(&**part),
            _ if part.is_empty() => true,
            _ => self.units().windows(part.length()).any(|window| window == part.units()),
        }
    }

    pub(super) fn starts_with(&self, part: &Text<'_>) -> bool {
        match (self, part) {
            (Self::Utf8(text), Text::Utf8(part)) => text.starts_with(&**part),
            _ => self.units().starts_with(&part.units()),
        }
    }

    pub(super) fn ends_with(&self, part: &Text<'_>) -> bool {
        match (self, part) {
            (Self::Utf8(text), Text::Utf8(part)) => text.ends_with(&**part),
            _ => self.units().ends_with(&part.units()),
        }
    }

    /// Applies a function that works character by character, or looks at whole characters around one.
    pub(super) fn map(self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Utf8(text) => change(&text).into(),
            Self::Utf16(units) => {
                let mut changed = Vec::new();
                let mut whole = String::new();
                for unit in char::decode_utf16(units.iter().copied()) {
                    match unit {
                        Ok(character) => whole.push(character),
                        Err(half) => {
                            changed.extend(change(&std::mem::take(&mut whole)).encode_utf16());
                            changed.push(half.unpaired_surrogate());
                        }
                    }
                }
                changed.extend(change(&whole).encode_utf16());
                Self::from_units(changed)
            }
        }
    }

    /// `text.trim()`, at one end or both.
    pub(super) fn trim(self, start: bool, end: bool) -> Self {
        match self {
            Self::Utf8(text) => {
                let mut kept = &*text;
                if start {
                    kept = kept.trim_start_matches(number::is_white_space);
                }
                if end {
                    kept = kept.trim_end_matches(number::is_white_space);
                }
                Self::from(kept.to_owned())
            }
            Self::Utf16(units) => {
                let is_space = |unit: &u16| char::from_u32(u32::from(*unit)).is_some_and(number::is_white_space);
                let first = if start { units.iter().position(|unit| !is_space(unit)).unwrap_or(units.len()) } else { 0 };
                let last =
                    if end { units.iter().rposition(|unit| !is_space(unit)).map_or(first, |at| at + 1) } else { units.len() };
                Self::from_units(units[first..last].to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_a_pair_are_units_and_meet_again() {
        let text = Text::from("a😀");
        assert_eq!(text.length(), 3);
        let (high, low) = (text.at(1).unwrap(), text.at(2).unwrap());
        assert_eq!((high.length(), high.clone().into_string()), (1, "\u{fffd}".to_owned()));
        assert!(!high.equals(&low));
        assert_eq!(high.concat(&low).into_string(), "😀");
        assert!(text.at(3).is_none());
    }

    #[test]
    fn compares_by_code_units() {
        assert_eq!(Text::from("\u{ff5e}").compare(&Text::from("😀")), Ordering::Greater);
        assert_eq!(Text::from("a").compare(&Text::from("b")), Ordering::Less);
    }

    #[test]
    fn trims_what_javascript_calls_white_space() {
        assert_eq!(Text::from("\u{feff} x\u{85}\n").trim(true, true).into_string(), "x\u{85}");
        assert_eq!(Text::from(" x ").trim(false, true).into_string(), " x");
    }
}
