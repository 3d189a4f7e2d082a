//! `agent-runner PROJECT --link unix:PATH`: one project's agents. `--help` says more.

fn main() -> std::process::ExitCode {
    agent_runner::main()
}
