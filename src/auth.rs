//! Passwords, tokens, permissions, secrets at rest, and what may be reached from here.

pub mod access_token;
pub mod egress;
pub mod keyring;
pub mod network;
pub mod oidc;
pub mod password;
pub mod permissions;
pub mod private_file;
pub mod redaction;
pub mod refresh_token;
pub mod sealed;
pub mod token;
