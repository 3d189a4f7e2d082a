//! A claude that obeys what was measured of the real one.

fn main() {}
