//! One Weibo account in a process of its own; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker_kit::main_with::<weibo_worker::Weibo>()
}
