//! One Discord bot, as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker_kit::main_with::<discord_worker::Discord>()
}
