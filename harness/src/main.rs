//! `ves-harness`: makes load for log collectors and measures them.

fn main() {}
