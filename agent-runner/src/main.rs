//! One project's agents.

fn main() {}
