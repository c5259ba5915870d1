//! The table of types. A new one needs a reader of its fields: a node, or code with `grants.env`.

use super::{CredentialType, Field, Form, Probe};

const fn field(name: &'static str, description: &'static str) -> Field {
    Field { name, description, form: Form::Text, required: false, secret: false }
}

impl Field {
    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }
}

const fn plain(name: &'static str, title: &'static str, description: &'static str, fields: &'static [Field]) -> CredentialType {
    CredentialType { name, title, description, fields, alternatives: &[], is_open: false, probe: Probe::None }
}

const SSL_MODES: &[&str] = &["disable", "prefer", "require", "verify-full"];
const CLIENT_ID: Field = field("client_id", "The id that the service has given to this installation.").required();
const TOKEN_URL: Field = field("token_url", "Where tokens are asked for.").form(Form::HttpUrl).required();
const SCOPE: Field = field("scope", "Scopes with blanks between.");
const CLIENT_AUTH: Field =
    field("client_auth", "Where the client's secret is sent: in the header Authorization, or in the body.")
        .form(Form::Choice(&["basic", "body"]));

pub(super) const TYPES: &[CredentialType] = &[
    CredentialType {
        probe: Probe::Request,
        ..plain(
            "http_bearer",
            "Bearer token",
            "Sent as `Authorization: Bearer TOKEN`.",
            &[field("token", "The token.").required().secret()],
        )
    },
    CredentialType {
        probe: Probe::Request,
        ..plain(
            "http_basic",
            "Basic authentication",
            "Sent as `Authorization: Basic ...`.",
            &[field("username", "The user's name.").required(), field("password", "The password.").required().secret()],
        )
    },
    CredentialType {
        probe: Probe::Request,
        ..plain(
            "http_header",
            "Header",
            "Sent as a header of its own.",
            &[field("name", "The header's name.").required(), field("value", "The header's value.").required().secret()],
        )
    },
    CredentialType {
        probe: Probe::Request,
        ..plain(
            "http_query",
            "Query parameter",
            "Sent in the query of the URL.",
            &[field("name", "The parameter's name.").required(), field("value", "The parameter's value.").required().secret()],
        )
    },
    CredentialType {
        probe: Probe::Token,
        ..plain(
            "oauth2_client_credentials",
            "OAuth 2 as this installation",
            "Access tokens for the client itself (RFC 6749, section 4.4). They are fetched and renewed by themselves.",
            &[
                TOKEN_URL,
                CLIENT_ID,
                field("client_secret", "The client's secret.").required().secret(),
                SCOPE,
                field("audience", "The API that the token is for, where the service asks for it."),
                CLIENT_AUTH,
            ],
        )
    },
    CredentialType {
        probe: Probe::Token,
        ..plain(
            "oauth2_authorization_code",
            "OAuth 2 as a person",
            "Access tokens of a person who has agreed (RFC 6749, section 4.1, with PKCE). They are renewed by themselves.",
            &[
                field("authorize_url", "Where the person is asked.").form(Form::HttpUrl).required(),
                TOKEN_URL,
                CLIENT_ID,
                field("client_secret", "The client's secret; a public client has none.").secret(),
                SCOPE,
                field("authorize_params", "More parameters for the person's URL: `access_type=offline&prompt=consent`."),
                CLIENT_AUTH,
            ],
        )
    },
    CredentialType {
        alternatives: &[&["url"], &["host", "database", "user"]],
        probe: Probe::Query,
        ..plain(
            "postgres",
            "PostgreSQL",
            "A database for the node `sql`: a URL, or its parts.",
            &[
                field("url", "`postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require`.").secret(),
                field("host", "The server's name or address."),
                field("port", "The server's port; 5432 by default.").form(Form::Port),
                field("database", "The database."),
                field("user", "The user."),
                field("password", "The password.").secret(),
                field("sslmode", "Whether the connection is encrypted; `prefer` by default.").form(Form::Choice(SSL_MODES)),
            ],
        )
    },
    CredentialType {
        probe: Probe::Query,
        ..plain(
            "sqlite",
            "SQLite",
            "A file below `files.root` for the node `sql`.",
            &[field("url", "`sqlite://data/app.db`.").required()],
        )
    },
    plain(
        "api_key",
        "API key",
        "A key for code (`grants.env`) and for services that know keys only.",
        &[
            field("key", "The key.").required().secret(),
            field("base_url", "Where the service is.").form(Form::HttpUrl),
            field("organization", "The account at the service."),
        ],
    ),
    plain(
        "smtp",
        "SMTP",
        "A server that sends e-mail.",
        &[
            field("host", "The server's name or address.").required(),
            field("port", "The server's port; 587 by default.").form(Form::Port),
            field("username", "The user's name."),
            field("password", "The password.").secret(),
            field("security", "How the connection is encrypted; `starttls` by default.")
                .form(Form::Choice(&["starttls", "tls", "none"])),
        ],
    ),
    plain(
        "aws",
        "AWS",
        "Keys of an AWS account, or of a service with the same API.",
        &[
            field("access_key_id", "The id of the access key.").required(),
            field("secret_access_key", "The secret access key.").required().secret(),
            field("session_token", "The token of a session, for keys that end.").secret(),
            field("region", "The region: `eu-central-1`."),
            field("endpoint", "Where the service is, if it is not AWS.").form(Form::HttpUrl),
        ],
    ),
    plain(
        "imap",
        "IMAP",
        "A mailbox.",
        &[
            field("host", "The server's name or address.").required(),
            field("port", "The server's port; 993 by default.").form(Form::Port),
            field("username", "The user's name.").required(),
            field("password", "The password.").required().secret(),
            field("security", "How the connection is encrypted; `tls` by default.")
                .form(Form::Choice(&["starttls", "tls", "none"])),
        ],
    ),
    CredentialType {
        alternatives: &[&["url"], &["host", "database", "user"]],
        ..plain(
            "mysql",
            "MySQL",
            "A database for code: a URL, or its parts.",
            &[
                field("url", "`mysql://USER:PASSWORD@HOST:PORT/DATABASE`.").secret(),
                field("host", "The server's name or address."),
                field("port", "The server's port; 3306 by default.").form(Form::Port),
                field("database", "The database."),
                field("user", "The user."),
                field("password", "The password.").secret(),
            ],
        )
    },
    CredentialType {
        alternatives: &[&["url"], &["host"]],
        ..plain(
            "redis",
            "Redis",
            "A Redis for code: a URL, or its parts.",
            &[
                field("url", "`redis://USER:PASSWORD@HOST:PORT/0`.").secret(),
                field("host", "The server's name or address."),
                field("port", "The server's port; 6379 by default.").form(Form::Port),
                field("username", "The user's name."),
                field("password", "The password.").secret(),
            ],
        )
    },
    plain(
        "s3",
        "S3",
        "A bucket of S3, or of a service with the same API.",
        &[
            field("bucket", "The bucket.").required(),
            field("access_key_id", "The id of the access key.").required(),
            field("secret_access_key", "The secret access key.").required().secret(),
            field("region", "The region: `eu-central-1`."),
            field("endpoint", "Where the service is, if it is not AWS.").form(Form::HttpUrl),
        ],
    ),
    plain(
        "llm",
        "Language model provider",
        "A provider of language models.",
        &[
            field("provider", "What the provider speaks.").form(Form::Choice(&["openai", "anthropic", "compatible"])).required(),
            field("api_key", "The key.").required().secret(),
            field("base_url", "Where the provider is, if it is not the usual place.").form(Form::HttpUrl),
            field("organization", "The account at the provider."),
        ],
    ),
    plain(
        "ssh",
        "SSH key",
        "A private key.",
        &[
            field("username", "The user's name.").required(),
            field("private_key", "The key in the format of OpenSSH or PEM.").required().secret(),
            field("passphrase", "What the key is encrypted with.").secret(),
            field("host", "The server's name or address."),
            field("port", "The server's port; 22 by default.").form(Form::Port),
        ],
    ),
    CredentialType {
        is_open: true,
        ..plain("custom", "Custom", "Any fields, all of them secret, for code (`grants.env`).", &[])
    },
];
