//! Jails that are closed for real, around a shell or around this very program, which then tries
//! what it is not to be able to.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]
#![allow(
    unsafe_code,
    reason = "what is to be refused are raw system calls, which have no safe name"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use agent_runner::jail::kernel::System;
use agent_runner::jail::options::{Mode, Network, Sandbox};
use agent_runner::jail::passage::Passage;
use agent_runner::jail::policy::{self, Inmate, Kernel};
use agent_runner::jail::{Jail, Net, Shape};
use agent_runner::process::launch;
use nix::errno::Errno;
use nix::libc;

/// What this program tries when it is in a jail.
const VERB: &str = "BULKHEAD_TEST_INMATE";

/// A place with a work dir, a /tmp to be and what is none of the agent's business.
struct Place {
    dir: tempfile::TempDir,
    kernel: Kernel,
}

impl Place {
    fn new(shape: Shape) -> Place {
        // Not in /tmp, of which a jail has its own.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for part in ["work", "tmp", "home", "state"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        fs::write(dir.path().join("secret"), "canary").unwrap();
        let namespaces = match shape {
            Shape::Own => Ok(()),
            Shape::Shared | Shape::Bubblewrap => Err("not in this test".into()),
        };
        let landlock = 6;
        let kernel = Kernel {
            bubblewrap: Ok(()),
            landlock,
            namespaces,
            seccomp: true,
        };
        Place { dir, kernel }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn jail(&self, sandbox: &Sandbox, program: &Path, env: &BTreeMap<String, String>) -> Jail {
        let inmate = Inmate {
            program,
            work_dir: &self.at("work"),
            environment: env,
            claude: false,
            model_port: None,
            tools_port: None,
            read: &[],
            write: &[],
            owned: &[],
            state_dir: &self.at("state"),
            scratch: &self.at("tmp"),
            socket: &self.at("m"),
        };
        let decided = policy::decide(sandbox, &inmate, &self.kernel, &System);
        decided.unwrap().jail
    }

    fn env(&self) -> BTreeMap<String, String> {
        let home = self.at("home").to_str().unwrap().to_owned();
        [("PATH", "/usr/bin:/bin"), ("HOME", home.as_str())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn command(&self, jail: &Jail, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agent-runner"));
        command
            .arg(launch::FLAG)
            .arg(std::process::id().to_string())
            .arg(serde_json::to_string(jail).unwrap())
            .arg(program)
            .args(arguments)
            .env_clear()
            .envs(self.env())
            .current_dir(self.at("work"))
            .stdin(Stdio::null());
        command
    }

    /// What a shell script says in a jail.
    fn sh(&self, sandbox: &Sandbox, script: &str) -> Output {
        let sh = Path::new("/bin/sh");
        let jail = self.jail(sandbox, sh, &self.env());
        self.command(&jail, sh, &["-c", script]).output().unwrap()
    }

    /// What this program finds when it tries a verb in a jail: lines of `name=result`.
    fn tried(&self, sandbox: &Sandbox, verb: &str) -> BTreeMap<String, String> {
        let (jail, mut command) = self.trying(sandbox, verb, &self.env());
        drop(jail);
        results(&command.output().unwrap())
    }

    fn trying(
        &self,
        sandbox: &Sandbox,
        verb: &str,
        env: &BTreeMap<String, String>,
    ) -> (Jail, Command) {
        let me = std::env::current_exe().unwrap();
        let jail = self.jail(sandbox, &me, env);
        let mut command = self.command(&jail, &me, &["--exact", "inmate", "--nocapture"]);
        command.env(VERB, verb);
        (jail, command)
    }
}

fn results(said: &Output) -> BTreeMap<String, String> {
    let stdout = String::from_utf8_lossy(&said.stdout);
    let found: BTreeMap<String, String> = stdout
        .lines()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(name, result)| (name.to_owned(), result.to_owned()))
        .collect();
    assert!(found.contains_key("end"), "{said:?}");
    found
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

const BOTH: [Shape; 2] = [Shape::Own, Shape::Shared];

/// Does nothing, but in a jail.
#[test]
fn inmate() {
    let Ok(verb) = std::env::var(VERB) else {
        return;
    };
    let (verb, rest) = verb.split_once(' ').unwrap_or((&verb, ""));
    match verb {
        "calls" => calls(),
        "network" => network(rest.parse().unwrap()),
        "others" => others(rest),
        _ => panic!("no such verb"),
    }
    println!("\nend=");
}

fn say(name: &str, result: Result<(), Errno>) {
    match result {
        Ok(()) => println!("\n{name}=done"),
        Err(errno) => println!("\n{name}={errno:?}"),
    }
}

fn io(result: std::io::Result<()>) -> Result<(), Errno> {
    result.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn calls() {
    type Raw = (&'static str, i64, [i64; 4]);
    let user = i64::from(libc::CLONE_NEWUSER);
    let raw: [Raw; 12] = [
        ("ptrace", libc::SYS_ptrace, [0; 4]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0, 0]),
        ("io_uring", libc::SYS_io_uring_setup, [1, 0, 0, 0]),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, [0; 4]),
        ("userfaultfd", libc::SYS_userfaultfd, [0; 4]),
        ("keyctl", libc::SYS_keyctl, [0; 4]),
        ("bpf", libc::SYS_bpf, [0; 4]),
        ("kexec", libc::SYS_kexec_load, [0; 4]),
        ("mount", libc::SYS_mount, [0; 4]),
        ("unshare", libc::SYS_unshare, [user, 0, 0, 0]),
        ("clone", libc::SYS_clone, [user, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [0; 4]),
    ];
    for (name, number, [a, b, c, d]) in raw {
        // SAFETY: the filter refuses them before the kernel looks at an argument; should one pass,
        // null pointers make it fail by EFAULT, and a clone would be a plain fork.
        let result = unsafe { libc::syscall(number, a, b, c, d) };
        say(name, Errno::result(result).map(|_| ()));
    }
    let audit = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, 9) };
    say("audit", Errno::result(audit).map(|_| ()));
    let packet = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0) };
    say("packet", Errno::result(packet).map(|_| ()));
    say("thread", {
        std::thread::spawn(|| ()).join().unwrap();
        Ok(())
    });
    say("pair", io(UnixStream::pair().map(|_| ())));
    let unix = UnixListener::bind("mine.sock").map(|_| ());
    say("unix", io(unix));
}

fn network(port: u16) {
    say(
        "tcp",
        io(TcpStream::connect(("127.0.0.1", port)).map(|_| ())),
    );
    say(
        "udp",
        io(std::net::UdpSocket::bind(("127.0.0.1", 0)).map(|_| ())),
    );
    say(
        "listen",
        io(TcpListener::bind(("127.0.0.1", 0)).map(|_| ())),
    );
    let socket = |protocol| {
        // SAFETY: plain numbers.
        Errno::result(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, protocol) })
    };
    let listen = |fd| {
        // SAFETY: a descriptor and a number.
        Errno::result(unsafe { libc::listen(fd, 1) }).map(|_| ())
    };
    say("unbound", socket(0).and_then(listen));
    say("mptcp", socket(262).and_then(|fd| connect(fd, port)));
    say("sctp", socket(132).map(|_| ()));
    let to = address(port);
    let fast = socket(0).and_then(|fd| {
        // SAFETY: one byte that is there, and an address of the length that is told.
        let sent = unsafe {
            let to = (&raw const to).cast();
            libc::sendto(fd, b"x".as_ptr().cast(), 1, 0x2000_0000, to, 16)
        };
        Errno::result(sent).map(|_| ())
    });
    say("fast", fast);
    let fast_connect = socket(0).and_then(|fd| {
        let on = 1_i32;
        // SAFETY: a number, and its length.
        let set = unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, 30, (&raw const on).cast(), 4) };
        Errno::result(set)?;
        connect(fd, port)
    });
    say("fast_connect", fast_connect);
}

fn address(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes([127, 0, 0, 1]),
        },
        sin_zero: [0; 8],
    }
}

fn connect(fd: i32, port: u16) -> Result<(), Errno> {
    let to = address(port);
    // SAFETY: an address of the length that is told.
    let done = unsafe { libc::connect(fd, (&raw const to).cast(), 16) };
    Errno::result(done).map(|_| ())
}

/// `rest`: a process outside, a Unix socket by its path, another by its abstract name.
fn others(rest: &str) {
    let parts: Vec<&str> = rest.split(' ').collect();
    let pid: i32 = parts[0].parse().unwrap();
    let nothing = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
    say("signal", nothing);
    say(
        "environ",
        io(fs::read(format!("/proc/{pid}/environ")).map(|_| ())),
    );
    say(
        "cmdline",
        io(fs::read(format!("/proc/{pid}/cmdline")).map(|_| ())),
    );
    say("path", io(UnixStream::connect(parts[1]).map(|_| ())));
    let name = SocketAddr::from_abstract_name(parts[2]).unwrap();
    say("abstract", io(UnixStream::connect_addr(&name).map(|_| ())));
}

#[test]
fn files_are_open_where_they_are_granted_and_nowhere_else() {
    for shape in BOTH {
        let place = Place::new(shape);
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let script = format!(
            "cat {secret}; echo x > {secret}; touch {made}; cat {beside}; ls {dir}; cat /etc/shadow; \
             echo in > here && cat here; echo $TMPDIR; echo t > ${{TMPDIR:-/tmp}}/t && echo tmp; \
             head -c1 /dev/urandom > /dev/null && echo devices; \
             ln {secret} linked; ln -s {secret} there; cat there; cp here {made}",
            secret = place.at("secret").display(),
            made = place.at("made").display(),
            dir = place.dir.path().display(),
            beside = beside.display(),
        );
        let sandbox = Sandbox::default();
        let sh = Path::new("/bin/sh");
        let jail = place.jail(&sandbox, sh, &place.env());
        let mut command = place.command(&jail, sh, &["-c", &script]);
        command.envs(policy::environment(&jail));
        let said = command.output().unwrap();
        let stdout = words(&said.stdout);
        assert!(!stdout.contains("canary"), "{shape:?} {said:?}");
        assert!(!stdout.contains("[package]"), "{shape:?} {said:?}");
        assert!(!stdout.contains("root:"), "{shape:?} {said:?}");
        for done in ["in", "tmp", "devices"] {
            assert!(
                stdout.lines().any(|line| line == done),
                "{shape:?} {said:?}"
            );
        }
        assert_eq!(fs::read_to_string(place.at("secret")).unwrap(), "canary");
        assert!(!place.at("made").exists(), "{shape:?} {said:?}");
        assert!(place.at("work/here").exists(), "{shape:?} {said:?}");
        assert!(place.at("tmp/t").exists(), "its /tmp is its own");
    }
}

#[test]
fn a_link_that_is_laid_on_the_way_of_a_grant_ends_the_start() {
    for shape in BOTH {
        let place = Place::new(shape);
        fs::create_dir(place.at("work/data")).unwrap();
        let sandbox = Sandbox {
            read: vec![place.at("work/data")],
            ..Sandbox::default()
        };
        let sh = Path::new("/bin/sh");
        let jail = place.jail(&sandbox, sh, &place.env());
        let script = format!("echo in; cat {}", place.at("secret").display());
        let run = || place.command(&jail, sh, &["-c", &script]).output().unwrap();
        assert_eq!(words(&run().stdout), "in", "{shape:?}");
        fs::remove_dir(place.at("work/data")).unwrap();
        symlink(place.dir.path(), place.at("work/data")).unwrap();
        let said = run();
        assert_eq!(words(&said.stdout), "", "{shape:?}");
        let why = words(&said.stderr);
        assert!(why.starts_with(launch::UNJAILED.trim()), "{shape:?} {why}");
        assert!(why.contains("symbolic link"), "{shape:?} {why}");
    }
}

#[test]
fn what_the_operator_grants_is_open_as_far_as_they_say() {
    for shape in BOTH {
        let place = Place::new(shape);
        fs::create_dir(place.at("shared")).unwrap();
        fs::create_dir(place.at("read")).unwrap();
        fs::write(place.at("read/file"), "to be read").unwrap();
        let sandbox = Sandbox {
            read: vec![place.at("read")],
            write: vec![place.at("shared")],
            ..Sandbox::default()
        };
        let script = format!(
            "cat {read}/file; touch {read}/new; chmod 600 {read}/file; touch {write}/new",
            read = place.at("read").display(),
            write = place.at("shared").display(),
        );
        let said = place.sh(&sandbox, &script);
        assert!(words(&said.stdout).contains("to be read"), "{said:?}");
        assert!(place.at("shared/new").exists(), "{said:?}");
        assert!(!place.at("read/new").exists(), "{said:?}");
    }
}

#[test]
fn what_looks_into_others_or_changes_the_system_is_refused() {
    for shape in BOTH {
        let found = Place::new(shape).tried(&Sandbox::default(), "calls");
        for call in [
            "ptrace",
            "process_vm_readv",
            "io_uring",
            "pidfd_getfd",
            "userfaultfd",
            "keyctl",
            "bpf",
            "kexec",
            "mount",
            "unshare",
            "clone",
        ] {
            assert_eq!(found[call], "EPERM", "{call}");
        }
        assert_eq!(found["clone3"], "ENOSYS");
        assert_eq!(
            (&*found["audit"], &*found["packet"]),
            ("EPROTONOSUPPORT", "EAFNOSUPPORT")
        );
        assert_eq!((&*found["thread"], &*found["pair"]), ("done", "done"));
        let unix = if shape == Shape::Own {
            "done"
        } else {
            "EACCES"
        };
        assert_eq!(found["unix"], unix);
    }
}

#[test]
fn with_ports_only_those_are_reached_and_nothing_goes_round() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let open = listener.local_addr().unwrap().port();
    for shape in BOTH {
        let place = Place::new(shape);
        let sandbox = |ports| Sandbox {
            network: Network::Ports,
            ports,
            ..Sandbox::default()
        };
        let verb = format!("network {open}");
        let found = place.tried(&sandbox(vec![]), &verb);
        assert_eq!(found["tcp"], "EACCES");
        for way in ["mptcp", "sctp"] {
            assert_eq!(found[way], "EPROTONOSUPPORT", "{way}");
        }
        assert_eq!(
            (&*found["fast"], &*found["fast_connect"]),
            ("EOPNOTSUPP", "ENOPROTOOPT")
        );
        assert_eq!((&*found["udp"], &*found["listen"]), ("EACCES", "EACCES"));
        assert_eq!(found["unbound"], "EACCES", "it would be given a port");
        let found = place.tried(&sandbox(vec![open]), &verb);
        assert_eq!(found["tcp"], "done");
        assert_eq!(
            (&*found["mptcp"], &*found["udp"]),
            ("EPROTONOSUPPORT", "EACCES")
        );
    }
}

#[test]
fn with_no_network_nothing_is_reached() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let sandbox = Sandbox {
        network: Network::None,
        ..Sandbox::default()
    };
    for (shape, tcp) in [(Shape::Own, "ECONNREFUSED"), (Shape::Shared, "EACCES")] {
        let found = Place::new(shape).tried(&sandbox, &format!("network {port}"));
        assert_eq!(found["tcp"], tcp);
        assert_eq!(found["mptcp"], "EPROTONOSUPPORT");
        assert_ne!(found["fast"], "done");
        assert_ne!(found["fast_connect"], "done");
    }
}

#[tokio::test]
async fn with_no_network_the_model_is_reached_and_nothing_else() {
    let model = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = model.local_addr().unwrap().port();
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let other = other.local_addr().unwrap().port();
    let place = Place::new(Shape::Own);
    let mut env = place.env();
    env.insert(
        "ANTHROPIC_BASE_URL".into(),
        format!("http://127.0.0.1:{port}/v1"),
    );
    let sandbox = Sandbox {
        network: Network::None,
        ..Sandbox::default()
    };
    let (jail, mut command) = place.trying(&sandbox, &format!("network {port}"), &env);
    let Net::Closed(Some(way)) = &jail.net else {
        panic!("{jail:?}")
    };
    let serving = tokio::spawn(Passage::open(way).unwrap().serve());
    let said = tokio::task::spawn_blocking(move || command.output().unwrap());
    let (called, said) = tokio::join!(model.accept(), said);
    called.unwrap();
    let found = results(&said.unwrap());
    assert_eq!(
        (&*found["tcp"], &*found["mptcp"]),
        ("done", "EPROTONOSUPPORT")
    );
    // Its end is the end of the way.
    serving.await.unwrap();

    let (jail, mut command) = place.trying(&sandbox, &format!("network {other}"), &env);
    let Net::Closed(Some(way)) = &jail.net else {
        panic!("{jail:?}")
    };
    let serving = tokio::spawn(Passage::open(way).unwrap().serve());
    let said = tokio::task::spawn_blocking(move || command.output().unwrap());
    assert_eq!(results(&said.await.unwrap())["tcp"], "ECONNREFUSED");
    serving.await.unwrap();
}

#[test]
fn nobody_outside_is_reached_by_signal_proc_or_socket() {
    for shape in BOTH {
        let place = Place::new(shape);
        let path = place.at("outside.sock");
        let _by_path = UnixListener::bind(&path).unwrap();
        let name = format!("bulkhead-test-{}-{shape:?}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _by_name = UnixListener::bind_addr(&address).unwrap();
        // Somebody of the same user.
        let mut child = Command::new("sleep").arg("7311").spawn().unwrap();
        let verb = format!("others {} {} {name}", child.id(), path.display());
        let found = place.tried(&Sandbox::default(), &verb);
        child.kill().unwrap();
        child.wait().unwrap();
        for way in ["signal", "environ", "cmdline", "path", "abstract"] {
            assert_ne!(found[way], "done", "{shape:?} {way}");
        }
    }
}

#[test]
fn a_jail_that_cannot_be_closed_is_none_and_nothing_runs() {
    for shape in BOTH {
        let place = Place::new(shape);
        let sh = Path::new("/bin/sh");
        let mut jail = place.jail(&Sandbox::default(), sh, &place.env());
        // As on a kernel whose Landlock is older than what is demanded.
        jail.abi = 99;
        let said = place
            .command(&jail, sh, &["-c", "touch ran"])
            .output()
            .unwrap();
        assert_eq!(said.status.code(), Some(i32::from(launch::FAILURE)));
        assert!(
            words(&said.stderr).starts_with(launch::UNJAILED),
            "{said:?}"
        );
        assert!(
            words(&said.stderr).contains("needs interface 99"),
            "{said:?}"
        );
        assert!(!place.at("work/ran").exists());
    }
}

/// Ignored unless asked for, since not every system has it: `apt install bubblewrap`.
#[test]
#[ignore = "needs bubblewrap"]
fn bubblewrap_closes_the_same() {
    let place = Place::new(Shape::Bubblewrap);
    let sandbox = Sandbox {
        mode: Mode::Bubblewrap,
        ..Sandbox::default()
    };
    let script = format!(
        "cat {0}; echo x > {1}; echo in > here && cat here; tr '\\0' ' ' < /proc/1/environ; ls /; \
         grep Cap /proc/self/status; ls /proc/[0-9]*/comm | wc -l",
        place.at("secret").display(),
        place.at("made").display(),
    );
    let said = place.sh(&sandbox, &script);
    let stdout = words(&said.stdout);
    assert!(
        stdout.contains("in\n") && place.at("work/here").exists(),
        "{said:?}"
    );
    assert!(
        !stdout.contains("canary") && !place.at("made").exists(),
        "{said:?}"
    );
    assert!(stdout.contains("CapBnd:\t0000000000000000"), "{said:?}");
    // What the runner itself was started with has not come along.
    assert!(!stdout.contains("CARGO"), "{said:?}");
    let found = place.tried(&sandbox, "calls");
    for call in ["ptrace", "io_uring", "mount", "unshare"] {
        assert_eq!(found[call], "EPERM", "{call}");
    }
    assert_eq!(found["unix"], "EACCES");
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let none = Sandbox {
        network: Network::None,
        ..sandbox
    };
    let found = place.tried(&none, &format!("network {port}"));
    assert_eq!(found["tcp"], "ECONNREFUSED");
    assert_eq!(place.sh(&none, "exit 7").status.code(), Some(7));
}

#[test]
fn a_program_that_is_not_there_is_told_from_a_jail_that_is_not() {
    for shape in BOTH {
        let place = Place::new(shape);
        let nothing = place.at("work/nothing");
        let jail = place.jail(&Sandbox::default(), &nothing, &place.env());
        let said = place.command(&jail, &nothing, &[]).output().unwrap();
        assert_eq!(said.status.code(), Some(i32::from(launch::FAILURE)));
        assert!(words(&said.stderr).starts_with(launch::FAILED), "{said:?}");
    }
}

#[test]
fn an_agent_in_namespaces_ends_as_it_ends_and_takes_everything_along() {
    let place = Place::new(Shape::Own);
    let sandbox = Sandbox::default();
    assert_eq!(place.sh(&sandbox, "exit 7").status.code(), Some(7));
    assert_eq!(place.sh(&sandbox, "kill -9 $$").status.signal(), Some(9));
    // It ignores what it can, in a session of its own, and has lost its parent.
    let nap = format!("sleep 73{}", std::process::id());
    let left = format!("trap '' TERM; setsid {nap} & sleep 0; exit 0");
    assert_eq!(place.sh(&sandbox, &left).status.code(), Some(0));
    let living = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    assert!(!words(&living.stdout).lines().any(|line| line == nap));
    assert!(words(&place.sh(&sandbox, "echo $$").stdout) == "2");
}

#[test]
fn signals_reach_the_agent_through_the_processes_around_it() {
    let place = Place::new(Shape::Own);
    let sh = Path::new("/bin/sh");
    let jail = place.jail(&Sandbox::default(), sh, &place.env());
    let script = "trap 'echo got; exit 3' INT; echo up; while read x; do echo not; done";
    let mut child = place
        .command(&jail, sh, &["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "up");
    let outer = nix::unistd::Pid::from_raw(child.id().cast_signed());
    // What comes while the inner process is about to wait for signals is lost.
    let got = loop {
        nix::sys::signal::kill(outer, nix::sys::signal::Signal::SIGINT).unwrap();
        // Shells look at what they caught between two commands.
        let _ = stdin.write_all(b"\n");
        match said.next() {
            Some(Ok(line)) if line == "not" => {}
            other => break other.unwrap().unwrap(),
        }
    };
    assert_eq!(
        (got.as_str(), child.wait().unwrap().code()),
        ("got", Some(3))
    );
}

/// A script that shows a file of the shell's own in /proc: in the system's, its children have none.
fn shown(file: &str) -> String {
    format!("while read -r line; do echo \"$line\"; done </proc/self/{file}")
}

#[test]
fn limits_are_those_of_the_configuration() {
    for shape in BOTH {
        let sandbox = Sandbox {
            open_files: Some(64),
            memory_mb: Some(100),
            processes: Some(500),
            ..Sandbox::default()
        };
        let script = format!("ulimit -n; ulimit -c; ulimit -d; {}", shown("limits"));
        let said = words(&Place::new(shape).sh(&sandbox, &script).stdout);
        assert!(said.starts_with("64\n0\n102400\n"), "{said}");
        let processes = said.lines().find(|line| line.starts_with("Max processes"));
        // Soft and hard.
        let processes = processes.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        assert_eq!(processes.unwrap()[2..4], ["500", "500"], "{said}");
    }
}

#[test]
fn nobody_in_there_has_a_capability_or_gains_a_privilege() {
    for shape in BOTH {
        let place = Place::new(shape);
        let said = words(&place.sh(&Sandbox::default(), &shown("status")).stdout);
        let of = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
                .unwrap_or_else(|| panic!("{name} in {said}"))
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(of(set), "0000000000000000", "{shape:?} {set}");
        }
        assert_eq!((of("NoNewPrivs:"), of("Seccomp:")), ("1", "2"), "{shape:?}");
    }
}

#[test]
fn an_agent_has_a_session_and_a_process_group_of_its_own() {
    for shape in BOTH {
        let place = Place::new(shape);
        let sh = Path::new("/bin/sh");
        let jail = place.jail(&Sandbox::default(), sh, &place.env());
        let mut child = place
            .command(&jail, sh, &["-c", "echo up; read x"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdout
            .take()
            .unwrap()
            .read_exact(&mut [0; 3])
            .unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
        assert_eq!(nix::unistd::getsid(Some(pid)), Ok(pid), "{shape:?}");
        assert_eq!(nix::unistd::getpgid(Some(pid)), Ok(pid), "{shape:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
