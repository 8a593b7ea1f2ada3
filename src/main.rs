//! operator-engine.
fn main() {}
