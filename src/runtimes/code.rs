//! The contract of a code run. STUB FOR PARALLEL WORK
