//! The fake `claude` as a program. See the library for what it obeys.

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let code = match fake_claude::run().await {
        Ok(code) => code,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "fake-claude: {error}"); // nowhere else to say it
            1
        }
    };
    // At once: a thread still reads stdin, and whoever holds its other end may keep it open.
    std::process::exit(code)
}
