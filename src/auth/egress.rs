//! STUB
pub struct EgressClient;
