//! One Discord bot.

fn main() {}
