//! Effect nodes against a real server: PostgreSQL. `CITADEL_TEST_POSTGRES_URL` names it; `make test` starts one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod bench;
mod postgres;
