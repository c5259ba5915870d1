//! The parameter `verify` of a webhook: which check, with which secrets. Secrets are literals or expressions over `$env` and `$vars`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    TOLERANCE_MS_DEFAULT, Verifier,
    hmac_settings::{HmacParams, HmacSettings},
    signature::SignatureScheme,
};
use crate::{
    model::{
        duration::DurationMs,
        error::{NodeError, codes},
        item::Outputs,
        problem::Problem,
    },
    nodes::{
        context::expect_string,
        params::{
            self, Param,
            schema::{FORMAT_DURATION, LITERAL},
        },
    },
    runtimes::{
        javascript::GuestSession,
        scope::{RunData, Scope},
    },
};

pub(super) const POINTER: &str = "/params/verify";
const STANDARD_WEBHOOKS_PREFIX: &str = "whsec_";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Github,
    Stripe,
    Slack,
    Shopify,
    StandardWebhooks,
    Hmac,
    Basic,
    Bearer,
}

const KINDS: [&str; 8] = ["github", "stripe", "slack", "shopify", "standard-webhooks", "hmac", "basic", "bearer"];

/// `verify` as it is written.
#[derive(Deserialize)]
pub struct VerifyParams {
    #[serde(rename = "type")]
    kind: Kind,
    secret: Option<Param>,
    username: Option<Param>,
    password: Option<Param>,
    #[serde(flatten)]
    hmac: HmacParams,
    tolerance: Option<DurationMs>,
}

/// A check whose secrets are still to be evaluated.
pub struct Verification {
    secrets: Secrets,
    tolerance_ms: u64,
}

enum Secrets {
    Signature { secret: Param, preset: Preset },
    Basic { username: Param, password: Param },
    Bearer { secret: Param },
}

enum Preset {
    Github,
    Stripe,
    Slack,
    Shopify,
    StandardWebhooks,
    Hmac(HmacSettings),
}

/// The schema of `verify`.
pub fn schema() -> Value {
    let literal = |description: &str| json!({ "description": description, "type": "string", "minLength": 1, (LITERAL): true });
    let secret = |description: &str| json!({ "description": description, "type": "string", "minLength": 1 });
    json!({
        "description": "How a request proves where it comes from; without it anybody may call. Checked on the body's bytes.",
        "type": "object", "required": ["type"], "additionalProperties": false,
        "properties": {
            "type": { "description": "A vendor's scheme, `hmac` for any other signature, or a fixed credential.", "enum": KINDS, (LITERAL): true },
            "secret": secret("The signing secret, or the token of `bearer`: a literal, or an expression such as `{{ $env.SECRET }}`."),
            "username": secret("For `basic`."),
            "password": secret("For `basic`."),
            "header": literal("For `hmac`: the header of the signature."),
            "algorithm": { "description": "For `hmac`.", "enum": ["sha256", "sha384", "sha512"], "default": "sha256", (LITERAL): true },
            "encoding": { "description": "For `hmac`.", "enum": ["hex", "base64"], "default": "hex", (LITERAL): true },
            "prefix": literal("For `hmac`: text in front of the signature, such as `sha256=`."),
            "template": literal("For `hmac`: what is signed, from `{body}`, `{timestamp}` and `{id}`; `{body}` where none is set."),
            "timestamp_header": literal("For `hmac`: the header of the timestamp, in Unix seconds."),
            "id_header": literal("For `hmac`: the header of the delivery's id, by which a repeated delivery is known."),
            "tolerance": {
                "description": "How far a timestamp may be off.", "type": "string", "format": FORMAT_DURATION, "default": "5m", (LITERAL): true,
            },
        },
    })
}

impl VerifyParams {
    /// Checks that the fields fit the type.
    ///
    /// Errors: a field is missing, belongs to another type, or is not what it should be.
    pub fn compile(self) -> Result<Verification, Vec<Problem>> {
        let mut problems = self.misplaced();
        let tolerance_ms = self.tolerance.map_or(TOLERANCE_MS_DEFAULT, |tolerance| tolerance.0);
        let secrets = match self.kind {
            Kind::Basic => self.username.zip(self.password).map(|(username, password)| Secrets::Basic { username, password }),
            Kind::Bearer => self.secret.map(|secret| Secrets::Bearer { secret }),
            Kind::Github => signature(self.secret, Preset::Github),
            Kind::Stripe => signature(self.secret, Preset::Stripe),
            Kind::Slack => signature(self.secret, Preset::Slack),
            Kind::Shopify => signature(self.secret, Preset::Shopify),
            Kind::StandardWebhooks => signature(self.secret, Preset::StandardWebhooks),
            Kind::Hmac => {
                let settings = HmacSettings::read(self.hmac, &mut problems);
                settings.and_then(|settings| signature(self.secret, Preset::Hmac(settings)))
            }
        };
        match secrets {
            Some(secrets) if problems.is_empty() => Ok(Verification { secrets, tolerance_ms }),
            Some(_) => Err(problems),
            None => {
                let needed = match self.kind {
                    Kind::Basic => "`username` and `password` are needed",
                    Kind::Hmac => "`secret` and `header` are needed",
                    Kind::Github | Kind::Stripe | Kind::Slack | Kind::Shopify | Kind::StandardWebhooks | Kind::Bearer => {
                        "`secret` is needed"
                    }
                };
                if problems.is_empty() {
                    problems.push(Problem::new(POINTER, "missing_field", needed));
                }
                Err(problems)
            }
        }
    }

    /// Fields that the type does not use: a check that is not made must not look as if it were.
    fn misplaced(&self) -> Vec<Problem> {
        let is_basic = self.kind == Kind::Basic;
        let fields = [
            ("secret", self.secret.is_some(), !is_basic),
            ("username", self.username.is_some(), is_basic),
            ("password", self.password.is_some(), is_basic),
        ];
        let of_hmac = self.hmac.given().into_iter().map(|(name, is_given)| (name, is_given, self.kind == Kind::Hmac));
        let misplaced = fields.into_iter().chain(of_hmac).filter(|(_, is_given, is_used)| *is_given && !is_used);
        misplaced.map(|(name, ..)| params::invalid(&format!("{POINTER}/{name}"), "not used by this type")).collect()
    }
}

fn signature(secret: Option<Param>, preset: Preset) -> Option<Secrets> {
    secret.map(|secret| Secrets::Signature { secret, preset })
}

impl Verification {
    /// Evaluates the secrets against what needs no item: `$env`, `$vars`, `$workflow`.
    ///
    /// Errors: `invalid_parameter` if a secret is not a text, or empty: an unset variable must not open the door;
    /// as `Template::evaluate`.
    pub fn resolve(&self, data: &RunData, now_ms: u64, guest: &mut GuestSession) -> Result<Verifier, NodeError> {
        let outputs = Outputs::default();
        let scope = Scope { item: None, item_index: 0, items: &[], run_index: 0, outputs: &outputs, data, now_ms };
        let mut text = |param: &Param, name: &str| {
            let value = param.evaluate(&scope, guest).map_err(|error| error.into_node_error(0))?;
            match expect_string(value, name)? {
                empty if empty.is_empty() => {
                    Err(NodeError::permanent(codes::INVALID_PARAMETER, format!("`{name}` of the verification is empty")))
                }
                secret => Ok(secret),
            }
        };
        Ok(match &self.secrets {
            Secrets::Basic { username, password } => Verifier::basic(&text(username, "username")?, &text(password, "password")?),
            Secrets::Bearer { secret } => Verifier::bearer(&text(secret, "secret")?),
            Secrets::Signature { secret, preset } => {
                let scheme = preset.scheme(text(secret, "secret")?)?;
                Verifier::Signature(SignatureScheme { tolerance_ms: self.tolerance_ms, ..scheme })
            }
        })
    }
}

impl Preset {
    fn scheme(&self, secret: String) -> Result<SignatureScheme, NodeError> {
        Ok(match self {
            Self::Github => SignatureScheme::github(secret.into_bytes()),
            Self::Stripe => SignatureScheme::stripe(secret.into_bytes()),
            Self::Slack => SignatureScheme::slack(secret.into_bytes()),
            Self::Shopify => SignatureScheme::shopify(secret.into_bytes()),
            Self::StandardWebhooks => {
                let encoded = secret.strip_prefix(STANDARD_WEBHOOKS_PREFIX).unwrap_or(&secret);
                let key = STANDARD.decode(encoded).map_err(|_| {
                    NodeError::permanent(codes::INVALID_PARAMETER, "`secret` must be `whsec_` and the key in base64")
                })?;
                SignatureScheme::standard_webhooks(key)
            }
            Self::Hmac(settings) => settings.scheme(secret.into_bytes()),
        })
    }
}
