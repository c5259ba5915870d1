//! The actors, one per file, and the services over the store that HTTP and the command line call. Parents supervise; handles
//! are the only way in.

pub mod accounts;
pub mod ask;
pub mod audit;
pub mod batch_runner;
pub mod blob_access;
pub mod children;
pub mod code_budget;
pub mod code_runs;
pub mod credentials;
pub mod engine;
pub mod execution;
pub mod execution_supervisor;
pub mod executions;
pub mod followers;
pub mod journal_lane;
pub mod live;
pub mod metering;
pub mod monitor;
pub mod node_run;
pub mod observatory;
pub mod places;
pub mod pool;
pub mod quotas;
pub mod scheduler;
pub mod schedules;
pub mod shard_keeper;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod timekeeper;
pub mod trial;
pub mod variables;
pub mod workflows;
