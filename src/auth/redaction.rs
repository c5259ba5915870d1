//! Takes secrets out of what must not show them: the results of nodes that were given a credential, and the server's log. A secret
//! is found as it is, and as requests and JSON write it. Short ones are not looked for: they would be found everywhere.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use dashmap::DashMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[secret]";
/// Characters of the shortest secret that is looked for.
pub const SECRET_CHARS_MIN: usize = 6;
/// Credentials whose secrets the log is searched for; those that were learned first are forgotten first.
pub const KNOWN_MAX: usize = 1_000;
/// Bytes of a compiled pattern: far more than the secrets of one credential take.
const PATTERN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Redactors by the hash of their secrets.
static SHARED: LazyLock<DashMap<[u8; 32], Redactor>> = LazyLock::new(DashMap::new);

/// Finds certain secrets in texts. Cheap to clone; has no `Debug` on purpose.
#[derive(Clone, Default)]
pub struct Redactor(Option<Arc<Regex>>);

impl Redactor {
    /// Will find these secrets.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            add_forms(secret.as_ref(), &mut forms);
        }
        // The longest first: a secret may begin with another.
        let mut forms: Vec<String> = forms.iter().map(|form| regex::escape(form)).collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        if forms.is_empty() {
            return Self(None);
        }
        let pattern = Zeroizing::new(forms.join("|"));
        let built = RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build();
        Self(Some(Arc::new(built.expect("escaped texts are a pattern, and credentials have few bytes"))))
    }

    /// As [`new`](Self::new), but made once for the same secrets: compiling takes longer than many a node run. What is kept of them
    /// is their hash and the compiled pattern.
    pub fn shared<S: AsRef<str>>(secrets: &[S]) -> Self {
        let mut hash = Sha256::new();
        for secret in secrets {
            hash.update(secret.as_ref().len().to_le_bytes());
            hash.update(secret.as_ref());
        }
        let key: [u8; 32] = hash.finalize().into();
        if let Some(known) = SHARED.get(&key) {
            return known.clone();
        }
        let redactor = Self::new(secrets);
        if SHARED.len() >= KNOWN_MAX {
            SHARED.clear();
        }
        SHARED.insert(key, redactor.clone());
        redactor
    }

    /// Whether it is the same one, or both find nothing.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Whether there is nothing to find.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// A text without the secrets.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.0 {
            Some(pattern) => pattern.replace_all(text, REDACTED),
            None => Cow::Borrowed(text),
        }
    }

    /// Takes the secrets out of a text.
    pub fn redact(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.text(text) {
            *text = redacted;
        }
    }

    /// Takes the secrets out of every text of a value, the names of fields among them.
    pub fn redact_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.redact(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.redact_value(value)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|value| self.redact_value(value));
                if fields.keys().any(|name| self.finds(name)) {
                    let named = std::mem::take(fields);
                    *fields = named.into_iter().map(|(name, value)| (self.text(&name).into_owned(), value)).collect();
                }
            }
            Value::Null | Value::Bool(_) => {}
            // A secret of digits may come back as a number.
            Value::Number(number) => {
                if self.finds(&number.to_string()) {
                    *value = Value::from(REDACTED);
                }
            }
        }
    }

    /// Whether a text has a secret in it.
    pub fn finds(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|pattern| pattern.is_match(text))
    }

    /// Whether a value has a secret in it.
    pub fn finds_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.finds(text),
            Value::Array(values) => values.iter().any(|value| self.finds_in(value)),
            Value::Object(fields) => fields.iter().any(|(name, value)| self.finds(name) || self.finds_in(value)),
            Value::Number(number) => self.finds(&number.to_string()),
            Value::Null | Value::Bool(_) => false,
        }
    }
}

/// The ways in which a secret is written.
fn add_forms(secret: &str, forms: &mut BTreeSet<String>) {
    if secret.chars().count() < SECRET_CHARS_MIN {
        return;
    }
    let json = Value::from(secret).to_string();
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let form = form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
    // URLs leave some marks as they are.
    let url: String = form.replace('+', "%20");
    forms.extend([
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        percent.to_ascii_lowercase(),
        percent,
        form.to_ascii_lowercase(),
        form,
        url,
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ]);
}

/// The secrets that this process has handed out, for its log.
pub struct KnownSecrets {
    /// By the name of their owner, with its place in the order of learning.
    by_owner: Mutex<BTreeMap<String, (u64, Redactor)>>,
    current: ArcSwap<Vec<Redactor>>,
}

/// The secrets that the log of this process must not show: one list, since there is one log.
pub static KNOWN_SECRETS: LazyLock<KnownSecrets> =
    LazyLock::new(|| KnownSecrets { by_owner: Mutex::default(), current: ArcSwap::default() });

impl KnownSecrets {
    /// Will keep these secrets out of the log, in the place of those that `owner` had before.
    pub fn learn(&self, owner: &str, redactor: &Redactor) {
        let mut by_owner = self.by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        if by_owner.get(owner).is_some_and(|(_, known)| known.is_same(redactor)) {
            return;
        }
        let count = by_owner.values().map(|(count, _)| count + 1).max().unwrap_or_default();
        by_owner.insert(owner.to_owned(), (count, redactor.clone()));
        if by_owner.len() > KNOWN_MAX
            && let Some(oldest) = by_owner.iter().min_by_key(|(_, (count, _))| *count).map(|(owner, _)| owner.clone())
        {
            by_owner.remove(&oldest);
        }
        self.current.store(Arc::new(by_owner.values().map(|(_, redactor)| redactor.clone()).collect()));
    }

    /// A text without them.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut redacted = Cow::Borrowed(text);
        for redactor in self.current.load().iter() {
            if let Cow::Owned(shorter) = redactor.text(&redacted) {
                redacted = Cow::Owned(shorter);
            }
        }
        redacted
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(secret: &str, text: &str, expected: &str) {
        assert_eq!(Redactor::new([secret]).text(text), expected);
    }

    #[test]
    fn finds_a_secret_in_every_form_of_it() {
        check("hunter2", "the password is hunter2.", "the password is [secret].");
        check("a\"b\\c\nd", "{\"x\":\"a\\\"b\\\\c\\nd\"}", "{\"x\":\"[secret]\"}");
        check(
            "p@ss w/rd",
            "https://u:p%40ss%20w%2Frd@h/?q=p%40ss+w%2Frd&l=p%40ss%20w%2frd",
            "https://u:[secret]@h/?q=[secret]&l=[secret]",
        );
        check("user:hunter2", "Basic dXNlcjpodW50ZXIy", "Basic [secret]");
        check("user:hunter22", "Basic dXNlcjpodW50ZXIyMg==", "Basic [secret]");
        check("???>>>~~~", "Pz8_Pj4-fn5- and Pz8/Pj4+fn5+", "[secret] and [secret]");
        check("a.c+d$", "abc+d$ a.c+d$", "abc+d$ [secret]");
    }

    #[test]
    fn takes_the_longest_of_several() {
        let redactor = Redactor::new(["secret-1", "secret-12"]);
        assert_eq!(redactor.text("secret-12 secret-1"), "[secret] [secret]");
    }

    #[test]
    fn the_same_secrets_share_a_redactor() {
        let (first, second) = (Redactor::shared(&["shared-1", "shared-2"]), Redactor::shared(&["shared-1", "shared-2"]));
        assert!(Arc::ptr_eq(first.0.as_ref().unwrap(), second.0.as_ref().unwrap()));
        let other = Redactor::shared(&["shared-1shared", "-2"]);
        assert_eq!(other.text("shared-1 shared-1shared"), "shared-1 [secret]");
    }

    #[test]
    fn short_secrets_obey_and_violate_the_limit() {
        let (long, short) = ("x".repeat(SECRET_CHARS_MIN), "x".repeat(SECRET_CHARS_MIN - 1));
        check(&long, &long, REDACTED);
        assert!(Redactor::new([&short]).is_idle());
        assert!(Redactor::new(["", "äöüäö"]).is_idle());
    }

    #[test]
    fn looks_everywhere_in_a_value() {
        let redactor = Redactor::new(["hunter2", "123456"]);
        let mut value = json!({ "a": ["x hunter2", 1, null, { "hunter2": true }], "pin": 123_456, "n": 12_345 });
        assert!(redactor.finds_in(&value));
        redactor.redact_value(&mut value);
        assert_eq!(value, json!({ "a": ["x [secret]", 1, null, { "[secret]": true }], "pin": "[secret]", "n": 12_345 }));
        assert!(!redactor.finds_in(&value));
    }

    #[test]
    fn the_log_forgets_the_oldest_owner_only() {
        let known = KnownSecrets { by_owner: Mutex::default(), current: ArcSwap::default() };
        for number in 0..KNOWN_MAX {
            known.learn(&format!("owner {number}"), &Redactor::new([format!("secret-of-{number}!")]));
        }
        known.learn("owner 0", &Redactor::new(["renewed-secret"]));
        assert_eq!(known.text("secret-of-0! secret-of-1! renewed-secret"), "secret-of-0! [secret] [secret]");
        known.learn("one more", &Redactor::new(["the-last-secret"]));
        assert_eq!(
            known.text("secret-of-1! secret-of-2! renewed-secret the-last-secret"),
            "secret-of-1! [secret] [secret] [secret]"
        );
    }
}
