//! The actors, one per file, and the services over the store that HTTP and the command line call. Parents supervise; handles
//! are the only way in.

pub mod accounts;
pub mod ask;
pub mod credentials;
pub mod metering;
pub mod observatory;
pub mod pool;
pub mod shard_keeper;
pub mod supervisor;
