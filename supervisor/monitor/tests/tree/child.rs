//! A child process that does what its arguments say: `NAME VERB...`, each verb once, in order.
//!
//! What it prints goes to the test, as `NAME: words`.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use nix::sys::prctl;
use nix::unistd::{getpid, getsid, setsid};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) fn run(args: Vec<String>) {
    let (name, verbs) = args.split_first().unwrap();
    // Before anything of its own is open.
    if verbs.iter().any(|verb| verb == "inheritance") {
        inheritance(name);
    }
    // Before anything is said: who hears that this child is ready may send SIGTERM at once.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let entered = runtime.enter();
    let mut terminate = Some(signal(SignalKind::terminate()).unwrap());
    drop(entered);
    let mut wait = |term, alone| wait(name, &runtime, terminate.take().unwrap(), term, alone);
    for verb in verbs {
        let (verb, value) = verb.split_once('=').unwrap_or((verb, ""));
        match verb {
            "inheritance" => {}
            "ready" => notify("READY=1"),
            "status" => notify(&format!("STATUS={value}")),
            "stopping" => notify("STOPPING=1"),
            // Ends like this until the generation is reached.
            "exit-before" => {
                let (generation, code) = value.split_once(',').unwrap();
                if own_generation() < generation.parse().unwrap() {
                    std::process::exit(code.parse().unwrap());
                }
            }
            "exit" => std::process::exit(value.parse().unwrap()),
            "signal" => {
                let pid = getpid().to_string();
                Command::new("kill")
                    .args([&format!("-{value}"), &pid])
                    .status()
                    .unwrap();
            }
            // Beats, counted aloud, for ever or this often.
            "beat" => {
                let (ms, times) = value.split_once(',').unwrap_or((value, ""));
                let pause = Duration::from_millis(ms.parse().unwrap());
                let times = times.parse().unwrap_or(usize::MAX);
                let name = name.clone();
                std::thread::spawn(move || {
                    for n in 1..=times {
                        notify("WATCHDOG=1");
                        println!("{name}: beat {n}");
                        std::thread::sleep(pause);
                    }
                });
            }
            // A grandchild: in this session, or in one of its own.
            "spawn" => spawn(name, &["deaf"]),
            "spawn-apart" => spawn(name, &["apart", "deaf"]),
            // A grandchild that leaves a great-grandchild behind and ends.
            "spawn-job" => spawn(name, &["spawn", "exit=0"]),
            "apart" => drop(setsid().unwrap()),
            // How it ends: by SIGTERM or the monitor's end; by one of them; by neither.
            "wait" => wait(true, true),
            "until-term" => wait(true, false),
            "until-alone" => wait(false, true),
            "deaf" => wait(false, false),
            _ => panic!("what is {verb}?"),
        }
    }
}

fn notify(text: &str) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.set_nonblocking(true).unwrap();
    // A full socket or a dead monitor is nothing to die of.
    let _ = socket.send_to(text.as_bytes(), std::env::var("NOTIFY_SOCKET").unwrap());
}

/// Starts a grandchild and returns when it is deaf, or has ended.
fn spawn(name: &str, verbs: &[&str]) {
    let (mut hears, tells) = std::io::pipe().unwrap();
    let program = std::env::current_exe().unwrap();
    let child = format!("{name}-child");
    let mut command = Command::new(program);
    command.arg("child").arg(child).args(verbs).stdin(tells);
    drop(command.spawn().unwrap());
    drop(command);
    let _ = hears.read_exact(&mut [0]);
}

fn descriptor(wanted: &str) -> String {
    let names = std::env::var("LISTEN_FDNAMES").unwrap();
    let at = names.split(':').position(|name| name == wanted).unwrap();
    format!("/proc/self/fd/{}", at + 3)
}

fn config() -> String {
    fs::read_to_string(descriptor("config")).unwrap()
}

fn own_generation() -> u64 {
    config()
        .split_once("generation=")
        .unwrap()
        .1
        .parse()
        .unwrap()
}

/// Ends the process when one of the two happens that it listens for. No test takes two minutes:
/// whoever is still here then was forgotten.
fn wait(name: &str, runtime: &Runtime, mut terminate: Signal, term: bool, alone: bool) {
    if alone {
        let path = descriptor("alive");
        std::thread::spawn(move || {
            fs::File::open(path)
                .unwrap()
                .read_to_end(&mut Vec::new())
                .unwrap();
            std::process::exit(0);
        });
    }
    runtime.block_on(async {
        if !term && !alone {
            println!("{name}: deaf pid={} ", getpid());
            // Tells whoever spawned it, if it was not the monitor.
            let _ = fs::OpenOptions::new()
                .write(true)
                .open("/proc/self/fd/0")
                .and_then(|mut stdin| std::io::Write::write_all(&mut stdin, b"."));
        }
        let forgotten = tokio::time::sleep(Duration::from_secs(120));
        tokio::pin!(forgotten);
        loop {
            tokio::select! {
                _ = terminate.recv() => if term { std::process::exit(0) },
                () = &mut forgotten => std::process::exit(0),
            }
        }
    });
}

/// Prints everything this process was given.
fn inheritance(name: &str) {
    let mut open: Vec<i32> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    open.sort_unstable();
    open.pop(); // the list's own
    println!(
        "{name}: descriptors {open:?} {}",
        std::env::var("LISTEN_FDNAMES").unwrap()
    );
    println!("{name}: config {}", config());
    let writes = fs::OpenOptions::new()
        .append(true)
        .open(descriptor("config"));
    let sealed = writes
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"x"))
        .is_err();
    println!("{name}: sealed {sealed}");

    let own = getpid().to_string();
    let is_own = |key| std::env::var(key).is_ok_and(|pid| pid == own);
    println!(
        "{name}: pids {} {}",
        is_own("LISTEN_PID"),
        is_own("WATCHDOG_PID")
    );
    let mut environment: Vec<String> = std::env::vars().map(|(key, _)| key).collect();
    environment.sort();
    println!("{name}: environment {}", environment.join(" "));
    println!(
        "{name}: watchdog {}",
        std::env::var("WATCHDOG_USEC").unwrap()
    );

    let status = fs::read_to_string("/proc/self/status").unwrap();
    for key in ["SigIgn", "SigBlk", "Umask"] {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        println!("{name}: {line}");
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core"))
        .unwrap();
    println!(
        "{name}: {}",
        core.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    println!("{name}: own session {}", getsid(None).unwrap() == getpid());
    println!(
        "{name}: parent's death {:?}",
        prctl::get_pdeathsig().unwrap()
    );
}
