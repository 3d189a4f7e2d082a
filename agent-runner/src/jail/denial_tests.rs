use std::path::PathBuf;

use serde_json::json;

use super::super::{Grant, Limits};
use super::*;

/// `/there` may be read and changed, `/foreign` is there and closed to the user.
struct Around;

impl Disk for Around {
    fn link(&self, _: &Path) -> Option<PathBuf> {
        None
    }
    fn head(&self, _: &Path) -> Vec<u8> {
        Vec::new()
    }
    fn exists(&self, path: &Path) -> bool {
        !path.ends_with("absent")
    }
}

impl Outside for Around {
    fn reads(&self, path: &Path) -> bool {
        !path.starts_with("/foreign")
    }
    fn writes(&self, path: &Path) -> bool {
        path.starts_with("/there") || path.starts_with("/read")
    }
}

fn jail(net: Net) -> Jail {
    Jail {
        shape: Shape::Own,
        abi: 6,
        grants: vec![
            Grant::new("/read", Access::Read),
            Grant::new("/work", Access::Write),
        ],
        owned: Vec::new(),
        scratch: "/state/tmp".into(),
        empty: Vec::new(),
        net,
        unix_sockets: true,
        limits: Limits::default(),
    }
}

fn told(line: &Value, net: Net) -> Vec<String> {
    let judge = Judge::new(&jail(net), Path::new("/state"), &Around);
    let refusals = judge.told(&line.to_string(), &Around).into_iter();
    refusals.map(|refusal| refusal.setting()).collect()
}

fn line(texts: &[&str]) -> Value {
    let texts: Vec<Value> = texts
        .iter()
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    json!({"type": "user", "message": {"content": [
        {"type": "tool_result", "content": texts}
    ]}})
}

fn said_in(net: Net, text: &str) -> Vec<String> {
    told(&line(&[text]), net)
}

fn said(text: &str) -> Vec<String> {
    said_in(Net::Full, text)
}

#[test]
fn what_tools_say_of_a_closed_path_is_confirmed() {
    for (text, expected) in [
        ("cat: /there/a: Permission denied", r#"read = ["/there/a"]"#),
        (
            "cat: /there/a: No such file or directory",
            r#"read = ["/there/a"]"#,
        ),
        (
            "touch: cannot touch '/there/absent': No such file or directory",
            r#"write = ["/there/absent"]"#,
        ),
        (
            "Error: EACCES: permission denied, open '/there/b.txt'",
            r#"read = ["/there/b.txt"]"#,
        ),
        (
            "mkdir: cannot create directory ‘/read/x’: Permission denied",
            r#"write = ["/read/x"]"#,
        ),
        (
            "bash: line 1: /there/x: Permission denied",
            r#"read = ["/there/x"]"#,
        ),
    ] {
        assert_eq!(said(text), [expected], "{text}");
    }
    let two =
        "ls: cannot open directory '/there': Permission denied\ncat: /there/a: Permission denied";
    assert_eq!(
        said(two),
        [r#"read = ["/there"]"#, r#"read = ["/there/a"]"#]
    );
}

#[test]
fn what_would_fail_anyhow_is_not_laid_at_the_jails_door() {
    for text in [
        // Nothing is said of a refusal, or of no path.
        "/there/a is a file",
        "Permission denied",
        "cat: a: Permission denied",
        // It is open.
        "cat: /work/absent: No such file or directory",
        "cat: /read/absent: No such file or directory",
        // It is closed to the user as well, or not there.
        "cat: /foreign/a: Permission denied",
        "cat: /nowhere/absent: No such file or directory",
        // The agent's own /tmp, and what is the runner's own.
        "cat: /tmp/absent: No such file or directory",
        "cat: /state/runner.lock: Permission denied",
    ] {
        assert_eq!(said(text), Vec::<String>::new(), "{text}");
    }
    let many: String = (0..100)
        .map(|n| format!("cat: /there/{n}: Permission denied\n"))
        .collect();
    assert_eq!(said(&many).len(), PATHS);
}

#[test]
fn agents_over_acp_are_read_as_well() {
    let update = |kind: &str, update: Value| {
        let mut update = update;
        update["sessionUpdate"] = kind.into();
        json!({"jsonrpc": "2.0", "method": "session/update", "params": {"update": update}})
    };
    let said = "cat: /there/a: Permission denied";
    let content = json!({"content": [
        {"type": "content", "content": {"type": "text", "text": said}}
    ]});
    let raw = json!({"rawOutput": {"output": said, "metadata": {"exit": 1}}});
    for said in [&content, &raw] {
        let told = told(&update("tool_call_update", said.clone()), Net::Full);
        assert_eq!(told, [r#"read = ["/there/a"]"#], "{said}");
    }
    // What the agent says itself is no tool's word.
    assert!(told(&update("agent_message_chunk", content), Net::Full).is_empty());
}

#[test]
fn a_port_that_is_closed_is_named() {
    let ports = || Net::Ports(vec![53, 443]);
    for text in [
        "curl: (7) Failed to connect to h.example port 8443 after 0 ms: Couldn't connect to server",
        "curl: (7) Failed to connect to h.example port 8443 after 0 ms: Could not connect to server",
        "ssh: connect to host h.example port 8443: Permission denied",
        "Error: connect EACCES 192.0.2.1:8443",
        "Connecting to h.example|192.0.2.1|:8443... failed: Permission denied.",
    ] {
        assert_eq!(said_in(ports(), text), ["ports = [8443]"], "{text}");
        assert!(said(text).is_empty(), "everything is open: {text}");
    }
    for text in [
        "curl: (7) Failed to connect to h.example port 443 after 9 ms: Couldn't connect to server",
        "connect to h.example port 8443: Connection refused",
        "Permission denied: a.rs:12",
        "connect: Permission denied",
    ] {
        assert!(said_in(ports(), text).is_empty(), "{text}");
    }
}

#[test]
fn without_a_network_whatever_is_out_there_is_refused() {
    for text in [
        "curl: (6) Could not resolve host: h.example",
        "connect: Network is unreachable",
        "getaddrinfo EAI_AGAIN h.example",
        "curl: (7) Failed to connect to 192.0.2.1 port 80 after 0 ms: Couldn't connect to server",
    ] {
        let told = said_in(Net::Closed(None), text);
        assert_eq!(told, [r#"network = "full""#], "{text}");
    }
    let own = "curl: (7) Failed to connect to 127.0.0.1 port 80: Couldn't connect to server";
    assert!(said_in(Net::Closed(None), own).is_empty());
}

/// Counts the looks.
#[derive(Default)]
struct Counted(std::cell::Cell<usize>);

impl Counted {
    fn look(&self) {
        self.0.set(self.0.get() + 1);
    }
}

impl Disk for Counted {
    fn link(&self, _: &Path) -> Option<PathBuf> {
        self.look();
        None
    }
    fn head(&self, _: &Path) -> Vec<u8> {
        Vec::new()
    }
    fn exists(&self, _: &Path) -> bool {
        self.look();
        false
    }
}

impl Outside for Counted {
    fn reads(&self, _: &Path) -> bool {
        self.look();
        false
    }
    fn writes(&self, _: &Path) -> bool {
        self.look();
        false
    }
}

#[test]
fn however_much_an_agent_says_little_is_looked_up() {
    let disk = Counted::default();
    let judge = Judge::new(&jail(Net::Full), Path::new("/state"), &disk);
    let at_first = disk.0.take();
    assert_eq!(at_first, 2, "where the jail's paths lead is asked once");
    let denials = |n: usize| -> String { (0..n).map(|n| format!("/x{n} eperm\n")).collect() };
    let text = denials(1000);
    judge.told(&line(&[&text, &text]).to_string(), &disk);
    assert!((1..=4 * PATHS).contains(&disk.0.take()));
    judge.told(&line(&[&denials(LINE_BYTES / 8)]).to_string(), &disk);
    assert_eq!(disk.0.take(), 0, "nobody prints so much to be helped");
    // What is beyond is not read, wherever it stands.
    let long = "x".repeat(LOOKED_AT);
    judge.told(&line(&[&long, "/x eperm"]).to_string(), &disk);
    assert_eq!(disk.0.take(), 0);
}
