//! Passwords, tokens, permissions, and what may be reached from here.

pub mod egress;
pub mod password;
pub mod permissions;
pub mod private_file;
pub mod token;
