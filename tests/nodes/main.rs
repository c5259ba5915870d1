//! Effect nodes against a real server: PostgreSQL. `CITADEL_TEST_POSTGRES_URL` names it; `make test` starts one.

mod bench;
mod postgres;
