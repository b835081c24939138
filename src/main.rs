//! The `ves` program.

fn main() {}
