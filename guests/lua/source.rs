//! Empty: cargo wants a target before it fetches the dependencies of a manifest.
