//! Tools of the operator's: what is right, and each mistake with its key.

use supervisor_config::{Secret, SecretMode, SecretSource, ToolDoes};

use crate::{GOOD, bent, context, expect, good, run, told};

fn with(tool: &str) -> String {
    format!("{GOOD}[[projects.agent.tools]]\n{tool}")
}

const AT: &str = "projects[0].agent.tools[0]";

#[test]
fn a_tool_is_a_program_or_an_address_and_the_rest_has_defaults() {
    let plan = good(&with(
        "name = \"a\"\ndescription = \"d\"\ncommand = \"~/bin/a --json\"\nsecrets = { K = \"${TOKEN}\" }",
    ));
    let tool = &plan.projects[0].agent.tools[0];
    let ToolDoes::Command(command) = &tool.does else {
        panic!("{tool:?}")
    };
    assert_eq!(command[..], ["/home/me/bin/a", "--json"]);
    assert_eq!(tool.secrets["K"], Secret::Resolved("env-token".into()));
    assert_eq!((tool.timeout_secs, tool.max_output_bytes), (60, 65536));
    assert!(!format!("{plan:?}").contains("env-token"));
    let told = tool.runner_options().unwrap();
    assert_eq!(told["secrets"]["K"], "env-token");
    assert!(told["input"].is_null() && told["http"].is_null());

    let mut cx = context();
    cx.secrets = SecretMode::Placeholders;
    let plan = run(&with(
        "name = \"b\"\ndescription = \"d\"\nhttp = { url = \"https://x/{K}\", method = \"Get\", headers = { a-b = \"c\" } }\n\
         secrets = { K = { credential = \"k\" } }\ninput = { type = \"object\", properties = { file = { type = \"string\", pattern = \"${x}$\" } } }",
    ), &cx)
    .plan
    .unwrap();
    let told = plan.projects[0].agent.tools[0].runner_options();
    assert_eq!(
        told.unwrap_err(),
        ("K", &SecretSource::Credential("k".into()))
    );
}

#[test]
fn a_schema_may_stand_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("input.json");
    let text = with(&format!(
        "name = \"a\"\ndescription = \"d\"\ncommand = [\"a\"]\ninput = {{ file = \"{}\" }}",
        path.display()
    ));
    let at = format!("15 error {AT}.input: ");
    expect(&text, &context(), &[(&at, "cannot read")]);
    std::fs::write(&path, "{").unwrap();
    expect(&text, &context(), &[(&at, "is no JSON")]);
    std::fs::write(&path, "{\"type\": \"string\"}").unwrap();
    expect(&text, &context(), &[(&at, "describes an object")]);
    std::fs::write(&path, "{\"type\": \"object\", \"x\": 1}").unwrap();
    let plan = good(&text);
    let tool = &plan.projects[0].agent.tools[0];
    assert_eq!(tool.input.as_ref().unwrap()["x"], 1);
    // Who may not read it says so, and goes on.
    std::fs::remove_file(&path).unwrap();
    let mut cx = context();
    cx.secrets = SecretMode::Placeholders;
    let told = run(&text, &cx);
    assert!(told.plan.is_some());
}

#[test]
fn every_mistake_is_told_with_its_key() {
    let (name, d, c) = ("name = \"a\"", "description = \"d\"", "command = [\"a\"]");
    for (tool, key, part) in [
        (format!("{d}\n{c}"), "name", "is missing"),
        (format!("name = \"a b\"\n{d}\n{c}"), "name", "letters"),
        (format!("name = \"send_file\"\n{d}\n{c}"), "name", "already"),
        (format!("{name}\n{c}"), "description", "is missing"),
        (format!("{name}\n{d}"), "command", "is missing"),
        (
            format!("{name}\n{d}\n{c}\nhttp = {{ url = \"https://x\" }}"),
            "http",
            "take one",
        ),
        (
            format!("{name}\n{d}\ncommand = [\"./a\"]"),
            "command",
            "whole path",
        ),
        (
            format!("{name}\n{d}\ncommand = [\"/srv/web/a\"]"),
            "command",
            "lies in work_dir",
        ),
        (
            format!("{name}\n{d}\nhttp = {{ method = \"GET\" }}"),
            "http.url",
            "is missing",
        ),
        (
            format!("{name}\n{d}\nhttp = {{ url = \"ftp://x\" }}"),
            "http.url",
            "begins with",
        ),
        (
            format!("{name}\n{d}\nhttp = {{ url = \"https://x\", method = \"FETCH\" }}"),
            "http.method",
            "none of",
        ),
        (
            format!(
                "{name}\n{d}\nhttp = {{ url = \"https://x\", headers = {{ \"a b\" = \"c\" }} }}"
            ),
            "http.headers.a b",
            "name of a header",
        ),
        (
            format!("{name}\n{d}\n{c}\ninput = {{ type = \"string\" }}"),
            "input",
            "describes an object",
        ),
        (
            format!("{name}\n{d}\n{c}\ninput = \"object\""),
            "input",
            "must be a table",
        ),
        (
            format!("{name}\n{d}\n{c}\nsecrets = {{ \"a-b\" = \"c\" }}"),
            "secrets.a-b",
            "letters",
        ),
        (
            format!("{name}\n{d}\n{c}\ntimeout_secs = 0"),
            "timeout_secs",
            "between",
        ),
        (
            format!("{name}\n{d}\n{c}\nmax_output_bytes = 9999999"),
            "max_output_bytes",
            "between",
        ),
        (
            format!("{name}\n{d}\n{c}\ntiemout_secs = 9"),
            "tiemout_secs",
            "timeout_secs",
        ),
    ] {
        let told = run(&with(&tool), &context()).problems;
        let path = format!("{AT}.{key}");
        assert!(
            told.len() == 1 && told[0].key_path == path && told[0].message.contains(part),
            "{tool}: {told:#?}"
        );
    }
    let twice = format!("{name}\n{d}\n{c}\n");
    let twice = format!("{}[[projects.agent.tools]]\n{twice}", with(&twice));
    expect(
        &twice,
        &context(),
        &[("16 error projects[0].agent.tools[1].name: ", "two tools")],
    );
}

#[test]
fn what_cannot_be_meant_is_a_warning() {
    let mut cx = context();
    cx.program = Box::new(|name| (name != "gone").then(|| name.into()));
    let gone = with("name = \"a\"\ndescription = \"d\"\ncommand = [\"gone\"]");
    let at = format!("14 warning {AT}.command: ");
    expect(&gone, &cx, &[(&at, "not found")]);
    let unknown = with("name = \"a\"\ndescription = \"d\"\nhttp = { url = \"https://x/{KEY}\" }");
    let at = format!("14 warning {AT}.http.url: ");
    expect(
        &unknown,
        &context(),
        &[(&at, "none of this tool's secrets")],
    );
    let command = bent("claudecode", "command").replace("work_dir", "cmd = \"x\"\nwork_dir");
    let command = format!(
        "{command}[[projects.agent.tools]]\nname = \"a\"\ndescription = \"d\"\ncommand = [\"a\"]"
    );
    let told = run(&command, &context()).problems;
    assert!(told[0].message.contains("no way to call them"), "{told:#?}");
    let over_acp = command.replace("\"command\"", "\"opencode\"");
    assert_eq!(run(&over_acp, &context()).problems, []);
}

#[test]
fn an_agent_that_has_nothing_but_tools_is_given_nothing_else() {
    let only = |more: &str| {
        let text = bent(
            "type = \"claudecode\"",
            "type = \"claudecode\"\ntools_only = true",
        );
        text.replace(
            "work_dir",
            &format!("{more}\napi_key = \"k\"\nauth = \"key\"\nwork_dir"),
        )
    };
    let plan = good(&only(""));
    let agent = &plan.projects[0].agent;
    assert!(agent.tools_only);
    // It has no network, without a word of it.
    let network = |agent: &supervisor_config::Agent| agent.sandbox.clone().unwrap().network;
    assert_eq!(network(agent).as_deref(), Some("none"));
    let written = format!("{}[projects.agent.sandbox]\nnetwork = \"none\"\n", only(""));
    assert_eq!(
        network(&good(&written).projects[0].agent).as_deref(),
        Some("none")
    );
    for (key, value) in [
        ("network", "full"),
        ("network", "ports"),
        ("mode", "bubblewrap"),
    ] {
        let text = format!(
            "{}[projects.agent.sandbox]\n{key} = \"{value}\"\n",
            only("")
        );
        let at = format!(" error projects[0].agent.sandbox.{key}: does not go with tools_only");
        let told = told(&text, &context());
        assert!(told.len() == 1 && told[0].contains(&at), "{told:#?}");
    }
    let off = only("").replace("tools_only = true", "tools_only = true\nsandbox = \"off\"");
    let told = told(&off, &context());
    assert!(
        told[0].contains("nothing keeps the agent from the network"),
        "{told:#?}"
    );
    let login = only("")
        .replace("auth = \"key\"\n", "")
        .replace("api_key = \"k\"\n", "");
    expect(
        &login,
        &context(),
        &[(
            "5 error projects[0].agent.tools_only: needs auth",
            "the runner",
        )],
    );
    let sends = |text: &str| good(text).projects[0].agent.send_file;
    assert!(!sends(&only("")));
    let written = only("").replace("tools_only = true", "tools_only = true\nsend_file = true");
    assert!(sends(&written));
    assert!(sends(&only("").replace("tools_only = true", "")));
    for (more, key) in [
        ("args = [\"--x\"]", "args"),
        ("cmd = \"claude --x\"", "cmd"),
        ("plugin_dir = \"/p\"", "plugin_dir"),
        ("allowed_tools = [\"Bash\"]", "allowed_tools"),
    ] {
        let at = format!("7 error projects[0].agent.options.{key}: ");
        expect(&only(more), &context(), &[(&at, "tools_only")]);
    }
    let command = only("cmd = \"x\"")
        .replace("claudecode", "command")
        .replace("auth = \"key\"\n", "")
        .replace("api_key = \"k\"\n", "");
    expect(
        &command,
        &context(),
        &[("5 error projects[0].agent.tools_only: ", "claudecode")],
    );
    let acp = login.replace("\"claudecode\"", "\"codex\"");
    expect(
        &acp,
        &context(),
        &[("5 error projects[0].agent.tools_only: ", "over ACP")],
    );
}
