//! The conformance suite: what every backend of `citadel::store::Store` has to do, run over each of them, and what only some
//! of them can get wrong. `CITADEL_TEST_POSTGRES_URL` names a PostgreSQL server; `make test` starts one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod accounts;
mod api_keys;
mod audit;
mod batches;
mod claims;
mod credentials;
mod executions;
mod fencing;
mod harness;
mod inbox;
mod invitations;
mod journal;
mod master_keys;
mod members;
mod opening;
mod partitions;
mod plans;
mod random;
mod retention;
mod roles;
mod samples;
mod schedules;
mod schema;
mod scratch;
mod sessions;
mod shards;
mod snapshots;
mod usage;
mod variables;
mod workflows;
mod workspaces;
