//! Paths of webhooks below `/hooks/`: fixed segments and `{named}` ones. Pure.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer};

/// Segments of one path.
const SEGMENTS_MAX: usize = 16;
/// Characters of one path.
const PATH_CHARS_MAX: usize = 200;

/// A webhook's path. **Shape**: `orders/{id}/lines`, with or without a slash in front.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HookPath {
    segments: Vec<Segment>,
}

/// Ordered so that a fixed segment sorts before a named one: the more specific path is tried first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Fixed(String),
    Named(String),
}

/// Why a text is not a webhook's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a path such as `orders` or `orders/{{id}}`: up to {SEGMENTS_MAX} segments of letters, digits, `-`, `_`, `.` and `~`"
)]
pub struct InvalidHookPath;

impl FromStr for HookPath {
    type Err = InvalidHookPath;

    fn from_str(text: &str) -> Result<Self, InvalidHookPath> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.len() > PATH_CHARS_MAX {
            return Err(InvalidHookPath);
        }
        let segments: Vec<Segment> = text.split('/').map(parse_segment).collect::<Result<_, _>>()?;
        let mut names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        names.sort_unstable();
        let is_ambiguous = names.windows(2).any(|pair| pair[0] == pair[1]);
        if segments.len() > SEGMENTS_MAX || is_ambiguous { Err(InvalidHookPath) } else { Ok(Self { segments }) }
    }
}

fn parse_segment(text: &str) -> Result<Segment, InvalidHookPath> {
    let is_word = |word: &str, more: &[u8]| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || more.contains(&byte))
    };
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) if is_word(name, b"") => Ok(Segment::Named(name.to_owned())),
        // `.` and `..` alone would be resolved away by clients and proxies.
        None if is_word(text, b"-.~") && text != "." && text != ".." => Ok(Segment::Fixed(text.to_owned())),
        Some(_) | None => Err(InvalidHookPath),
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Fixed(_) => None,
        }
    }
}

impl HookPath {
    /// The named segments' values, if the path of a request fits; its segments are percent-decoded by the caller.
    pub fn capture<'r>(&self, request: impl IntoIterator<Item = &'r str>) -> Option<BTreeMap<String, String>> {
        let mut request = request.into_iter();
        let mut captured = BTreeMap::new();
        for segment in &self.segments {
            let given = request.next()?;
            match segment {
                Segment::Fixed(text) if text == given => {}
                Segment::Named(name) if !given.is_empty() => {
                    captured.insert(name.clone(), given.to_owned());
                }
                Segment::Fixed(_) | Segment::Named(_) => return None,
            }
        }
        if request.next().is_none() { Some(captured) } else { None }
    }

    /// Whether no segment is named, so that the path's text finds it.
    pub fn is_fixed(&self) -> bool {
        self.segments.iter().all(|segment| segment.name().is_none())
    }

    /// The path with the names left out: two webhooks with one method must not share it.
    pub fn pattern(&self) -> String {
        let shown = self.segments.iter().map(|segment| match segment {
            Segment::Fixed(text) => text.as_str(),
            Segment::Named(_) => "{}",
        });
        shown.collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for HookPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            match segment {
                Segment::Fixed(text) => f.write_str(text)?,
                Segment::Named(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for HookPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> HookPath {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(text: &str, request: &str, expected: Option<&[(&str, &str)]>) {
        let expected =
            expected.map(|pairs| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        assert_eq!(path(text).capture(request.split('/')), expected, "{text} on {request}");
    }

    #[test]
    fn captures_named_segments() {
        check("orders", "orders", Some(&[]));
        check("/orders/{id}/lines", "orders/7/lines", Some(&[("id", "7")]));
        check("orders/{id}", "orders", None);
        check("orders/{id}", "orders/", None);
        check("orders/{id}", "orders/7/8", None);
        check("orders", "Orders", None);
    }

    #[test]
    fn refuses_what_is_no_path() {
        let many = vec!["a"; SEGMENTS_MAX + 1].join("/");
        let long = "a".repeat(PATH_CHARS_MAX + 1);
        for text in ["", "/", "a//b", "a/", "a b", "{}", "{a", "x{a}", "{a}/{a}", "../a", "a/./b", "ä", &many, &long] {
            assert_eq!(text.parse::<HookPath>(), Err(InvalidHookPath), "{text}");
        }
    }

    #[test]
    fn tries_the_fixed_path_first_and_knows_its_double() {
        let mut paths = [path("orders/{id}"), path("orders/new")];
        paths.sort();
        assert_eq!(paths.map(|path| path.to_string()), ["orders/new", "orders/{id}"]);
        assert_eq!(path("orders/{id}").pattern(), path("orders/{key}").pattern());
        assert!(path("orders/new").is_fixed() && !path("orders/{id}").is_fixed());
    }
}
