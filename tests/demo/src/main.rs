//! The product and its fakes, for a person to try.

fn main() {}
