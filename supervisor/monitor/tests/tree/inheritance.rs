//! What a process is given, and what not.

use std::os::unix::net::UnixStream;

use monitor::Role::{Hub, Worker};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{Stage, row};

pub(crate) fn exactly_what_is_named() {
    let mut hub = row("h", Hub, "inheritance ready wait");
    hub.links = vec!["a".to_owned(), "b".to_owned()];
    hub.watchdog_ms = Some(1_000_000);
    let mut stage = Stage::new(&[hub]);
    stage.wait(&["h: descriptors [0, 1, 2, 3, 4, 5, 6] link.a:link.b:config:alive"]);
    stage.wait(&["h: config token=hunter2;generation=1"]);
    stage.wait(&["h: sealed true"]);
    stage.wait(&["h: pids true true"]);
    stage.wait(&["h: watchdog 2000000000"]);
    let environment = stage.wait(&["h: environment"]);
    for name in [
        "GIVEN",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "NOTIFY_SOCKET",
        "PATH",
        "WATCHDOG_USEC",
    ] {
        assert!(
            environment.split(' ').any(|one| one == name),
            "{name} is missing: {environment}"
        );
    }
    assert!(!environment.contains("TOKEN"), "{environment}");
    let ignored = stage.wait(&["h: SigIgn:"]);
    let ignored = u64::from_str_radix(ignored.rsplit_once('\t').unwrap().1, 16).unwrap();
    // Bits 31 and 32 are the C library's own signals, which nobody else can set. SIGPIPE, bit 12,
    // is ignored by the child's own runtime. Nothing was handed down.
    assert_eq!(ignored & !(0b11 << 31), 1 << 12, "{ignored:x}");
    stage.wait(&["h: SigBlk:\t0000000000000000"]);
    stage.wait(&["h: Umask:\t0077"]);
    stage.wait(&["h: Max core file size 0 0"]);
    stage.wait(&["h: own session true"]);
    stage.wait(&["h: parent's death Some(SIGTERM)"]);
    stage.wait(&["bulkhead is running"]);
    stage.signal(Signal::SIGTERM);
    stage.wait_for_the_end();
    assert!(
        !stage.has(&["hunter2"]),
        "no log line holds what went through"
    );
}

pub(crate) fn links_outlive_the_hub() {
    let mut hub = row("h", Hub, "ready wait");
    hub.links = vec!["w".to_owned()];
    let mut stage = Stage::new(&[hub, row("w", Worker, "ready wait")]);
    stage.wait(&["bulkhead is running"]);
    let link = stage.dir.path().join("run/links/w.sock");
    let before = std::fs::metadata(&link).unwrap();
    kill(
        Pid::from_raw(stage.process("h").pid.unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    stage.wait(&["died: killed by SIGKILL", "\"h\""]);
    UnixStream::connect(&link).expect("the backlog takes who comes while the hub is down");
    stage.until("the next hub", |status| status.processes[0].generation == 2);
    use std::os::unix::fs::MetadataExt;
    assert_eq!(
        before.ino(),
        std::fs::metadata(&link).unwrap().ino(),
        "it is the same socket"
    );
    assert_eq!(
        stage.process("w").generation,
        1,
        "a worker lives through it"
    );
}
