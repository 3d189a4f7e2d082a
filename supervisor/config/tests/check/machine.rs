//! The machine around a config: directories, programs, workers, root.

use std::path::{Path, PathBuf};

use supervisor_config::{AgentKind, Place, Sandbox, Secret, Workspace, check};

use crate::{GOOD, WEIBO, bent, context, expect, good, run};

#[test]
fn the_machine_around_a_project_is_looked_at() {
    for (dir, start, part) in [
        ("/missing", "6 error", "mkdir -p /missing"),
        ("/file", "6 error", "is not a directory"),
        ("/hidden", "6 warning", "not checked"),
        ("srv", "6 error", "whole path"),
        ("", "6 error", "is empty"),
    ] {
        expect(&bent("/srv/web", dir), &context(), &[(start, part)]);
    }
    let plan = good(&bent("/srv/web", "~/web"));
    assert_eq!(plan.projects[0].agent.work_dir, Path::new("/home/me/web"));

    let mut bare = context();
    bare.program = Box::new(|_| None);
    expect(
        GOOD,
        &bare,
        &[("5 warning", "npm install -g @anthropic-ai/claude-code")],
    );
    bare.worker = Box::new(|_| None);
    expect(
        GOOD,
        &bare,
        &[
            ("5 warning", "npm"),
            ("8 error", "needs the program `discord-worker`"),
        ],
    );
    // Where it was looked for, and where to get it.
    let (project, _) = GOOD.split_once("[[projects.platforms]]").unwrap();
    let weibo = format!("{project}{WEIBO}");
    for part in ["in none of /w, PATH", "cargo install --path workers/weibo"] {
        expect(&weibo, &bare, &[("5 warning", "npm"), ("8 error", part)]);
    }
}

#[test]
fn an_agent_is_let_into_nothing_of_bulkheads_own() {
    let at = |file: &str, text: &str| {
        let checked = check(text, Path::new(file), &context());
        let told: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
        told.join("\n")
    };
    let config = "/home/me/.config/bulkhead/config.toml";
    let work_dir = |dir: &str| bent("/srv/web", dir);
    let sandbox = |lines: &str| {
        let table = format!("sandbox = {{ {lines} }}\n[projects.agent.options]");
        bent("[projects.agent.options]", &table)
    };
    let secret = bent("\"abc\"", "{ file = \"/srv/web/token\" }");
    for (text, key, words) in [
        (
            work_dir("/home/me"),
            "work_dir",
            "/home/me holds this config",
        ),
        (work_dir("/link"), "work_dir", "/link holds this config"),
        (work_dir("/"), "work_dir", "holds this config"),
        (
            work_dir("/home/me/.local"),
            "work_dir",
            "holds what was said in chats, /home/me/.local/state/bulkhead/spool",
        ),
        (
            work_dir("/run/user/1/bulkhead/w"),
            "work_dir",
            "lies in /run/user/1/bulkhead, and the agent could read the sockets",
        ),
        (
            sandbox("read = [\"/usr\", \"/home/me/.config\"]"),
            "sandbox.read",
            "/home/me/.config holds this config",
        ),
        (
            sandbox("write = \"/run/user\""),
            "sandbox.write",
            "/run/user holds the sockets",
        ),
        (
            work_dir("/srv/web\"\nplugin_dir = \"/home/me/.config/bulkhead"),
            "plugin_dir",
            "holds this config",
        ),
        (
            secret,
            "work_dir",
            "holds a secret of this config, /srv/web/token",
        ),
        // Wherever the config itself puts them.
        (
            format!("data_dir = \"/srv/web/state\"\n{GOOD}"),
            "work_dir",
            "/srv/web/state/spool",
        ),
        (
            format!("{GOOD}[spool]\ndir = \"/srv/web/said\"\n"),
            "work_dir",
            "/srv/web holds the spool, /srv/web/said",
        ),
    ] {
        let told = at(config, &text);
        let line = |told: &str| told.contains(&format!("{key}: ")) && told.contains(words);
        assert!(
            told.lines().any(line),
            "{key} … {words}\nin {told}\nof {text}"
        );
    }
    // Beside them is well; and who has no sandbox is let in anyway.
    let off = "sandbox = \"off\"\n[projects.agent.options]";
    let off = work_dir("/home/me").replacen("[projects.agent.options]", off, 1);
    for text in [
        work_dir("/home/me/project"),
        work_dir("/home/me/.config/bulkhead/project"),
        work_dir("/home/me/.local/state/bulkhead/project"),
        off,
    ] {
        assert_eq!(at(config, &text), "", "{text}");
    }
}

#[test]
fn worktrees_need_a_repository() {
    let worktree = bent("\"claudecode\"", "\"claudecode\"\nworkspace = \"worktree\"");
    let mut cx = context();
    assert_eq!(
        good(&worktree).projects[0].agent.workspace,
        Workspace::Worktree
    );
    // Anywhere above will do.
    cx.place = Box::new(
        |path| match path.ends_with(".git") && path != Path::new("/srv/.git") {
            true => Place::Missing,
            false => Place::Directory,
        },
    );
    expect(&worktree, &cx, &[]);
    cx.place = Box::new(|path| match path.ends_with(".git") {
        true => Place::Missing,
        false => Place::Directory,
    });
    expect(
        &worktree,
        &cx,
        &[(
            "5 error projects[0].agent.workspace: ",
            "git -C /srv/web init",
        )],
    );
    expect(GOOD, &cx, &[]);
}

#[test]
fn agents_that_are_not_there_yet_are_told_apart() {
    // Alone, a project that is left out leaves nothing to run; its options are nobody's business.
    for (kind, part) in [
        ("cursor", "no preset for the agent `cursor`"),
        ("tmux", "into a terminal"),
    ] {
        let text =
            bent("\"claudecode\"", &format!("\"{kind}\"")).replace("work_dir", "cursor_home");
        expect(
            &text,
            &context(),
            &[
                ("1 error projects: ", "no project is left"),
                ("4 warning", part),
            ],
        );
        let two = format!("{text}{}", GOOD.replace("web", "b"));
        assert_eq!(run(&two, &context()).plan.unwrap().projects.len(), 1);
    }
    let sandbox = bent(
        "[projects.agent.options]",
        "sandbox = \"on\"\n[projects.agent.options]",
    );
    expect(
        &sandbox,
        &context(),
        &[("5 error projects[0].agent.sandbox: ", "none of \"off\"")],
    );
}

#[test]
fn an_agent_is_in_a_sandbox_unless_off_is_written() {
    let sandbox = |lines: &str| {
        let text = bent(
            "[projects.agent.options]",
            &format!("{lines}\n[projects.agent.options]"),
        );
        run(&text, &context()).plan.unwrap().projects[0]
            .agent
            .sandbox
            .clone()
    };
    assert_eq!(sandbox(""), Some(Sandbox::default()));
    assert_eq!(sandbox("sandbox = \"off\""), None);
    let some = sandbox("sandbox = { network = \"ports\", ports = [443], read = \"/opt/x\" }");
    let some = some.unwrap();
    assert_eq!((some.ports, some.read), (vec![443], vec!["/opt/x".into()]));
    for (lines, at, words) in [
        (
            "sandbox = { ports = [443] }",
            "ports",
            "network = \"ports\"",
        ),
        (
            "sandbox = { network = \"ports\", ports = [0] }",
            "ports",
            "no port",
        ),
        (
            "sandbox = { presets = [\"pyton\"] }",
            "presets",
            "did you mean \"python\"",
        ),
        ("sandbox = { read = [\"x\"] }", "read", "whole path"),
        ("sandbox = { mode = \"off\" }", "mode", "none of"),
    ] {
        let text = bent(
            "[projects.agent.options]",
            &format!("{lines}\n[projects.agent.options]"),
        );
        let at = format!("5 error projects[0].agent.sandbox.{at}: ");
        expect(&text, &context(), &[(&at, words)]);
    }
}

#[test]
fn agents_over_acp_have_a_command_line_of_their_own_or_of_their_preset() {
    let agent = |kind: &str, options: &str| {
        let text = bent("\"claudecode\"", &format!("\"{kind}\""));
        let text = text.replace("work_dir", &format!("{options}\nwork_dir"));
        good(&text).projects.remove(0).agent
    };
    let line = |kind: &str, options: &str| {
        let agent = agent(kind, options);
        assert_eq!(agent.kind, AgentKind::Acp);
        format!("{} {}", agent.cmd, agent.args.join(" "))
    };
    assert_eq!(line("acp", "cmd = \"x -y\"\nargs = [\"z\"]"), "x -y z");
    assert_eq!(line("gemini", "args = [\"-d\"]"), "gemini --acp -d");
    assert_eq!(line("gemini", "cmd = \"/opt/g\""), "/opt/g --acp");
    assert_eq!(line("codex", "").trim_end(), "codex-acp");
    assert_eq!(line("opencode", ""), "opencode acp");
    let bare = bent("\"claudecode\"", "\"acp\"");
    expect(&bare, &context(), &[("5 error", "cmd: is missing")]);

    let own = agent("codex", "mode = \"read-only\"\nauth_method = \"api-key\"");
    assert_eq!(own.mode_name(), "read-only");
    assert_eq!(own.auth_method.as_deref(), Some("api-key"));
    assert_eq!(
        agent("gemini", "mode = \"YOLO\"").mode_name(),
        "bypassPermissions"
    );
    assert_eq!(agent("gemini", "").mode_name(), "default");
    let odd = bent("work_dir", "mode = \"build\"\nwork_dir");
    expect(
        &odd,
        &context(),
        &[("6 error", "\"build\" is none of \"default\"")],
    );
    let deaf = bent("\"claudecode\"", "\"opencode\"")
        .replace("work_dir", "disallowed_tools = [\"Bash\"]\nwork_dir");
    expect(
        &deaf,
        &context(),
        &[("6 warning", "no effect on an agent over ACP")],
    );
    let keyed = |kind: &str| {
        bent("\"claudecode\"", &format!("\"{kind}\""))
            .replace("work_dir", "api_key = \"k\"\nwork_dir")
    };
    for (kind, key) in [("codex", "OPENAI_API_KEY"), ("gemini", "GEMINI_API_KEY")] {
        expect(
            &keyed(kind),
            &context(),
            &[("6 warning projects[0].agent.options.api_key: ", key)],
        );
    }
    expect(&keyed("opencode"), &context(), &[]);
    let mut missing = context();
    missing.program = Box::new(|_| None);
    let text = bent("\"claudecode\"", "\"opencode\"");
    expect(
        &text,
        &missing,
        &[("5 warning", "npm install -g opencode-ai")],
    );
}

#[test]
fn platforms_without_a_worker_are_left_out() {
    let telegram = "[[projects.platforms]]\ntype = \"telegram\"\n[projects.platforms.options]\nany = \"${X}\"\n";
    let text = format!("{GOOD}{telegram}");
    expect(
        &text,
        &context(),
        &[(
            "12 warning projects[0].platforms[1].type: ",
            "`telegram-worker`",
        )],
    );
    assert_eq!(
        run(&text, &context()).plan.unwrap().projects[0]
            .platforms
            .len(),
        1
    );

    let alone = text.replace("type = \"discord\"", "type = \"feishu\"");
    expect(
        &alone,
        &context(),
        &[
            ("1 error projects: ", "no project is left"),
            ("1 warning projects[0]: ", "left out"),
            ("8 warning", "`feishu` is not in this version"),
            ("12 warning", "`telegram` is not"),
        ],
    );
    expect(
        &bent("\"discord\"", "\"discrod\""),
        &context(),
        &[("8 error", "did you mean \"discord\"?")],
    );
    expect(
        &bent("\"discord\"", "\"../evil\""),
        &context(),
        &[("8 error", "small letters")],
    );
}

#[test]
fn a_plugin_gets_its_options_as_they_are() {
    let mut cx = context();
    cx.worker = Box::new(|kind| Some(PathBuf::from(format!("/w/{kind}-worker"))));
    let text = bent("\"discord\"", "\"irc\"")
        + "host = \"${BASE}\"\nport = 6667\nreply = \"all\"\nmode = [1, { x = 2.5 }]\nkey = { file = \"/nowhere\" }\n";
    expect(
        &text,
        &cx,
        &[(
            "15 error projects[0].platforms[0].options.key: ",
            "no such file",
        )],
    );
    let text = text.replace("key = { file = \"/nowhere\" }\n", "");
    let plan = run(&text, &cx).plan.unwrap();
    let platform = &plan.projects[0].platforms[0];
    assert_eq!(platform.process_name(), "irc-main");
    let options = serde_json::json!({"host": "/srv", "port": 6667, "mode": [1, {"x": 2.5}]});
    assert_eq!(serde_json::Value::Object(platform.options.clone()), options);
    assert_eq!(platform.secrets["token"], Secret::Resolved("abc".into()));
}

#[test]
fn a_command_agent_is_any_program() {
    let text = bent("\"claudecode\"", "\"command\"");
    expect(
        &text,
        &context(),
        &[("5 error projects[0].agent.options.cmd: ", "is missing")],
    );
    let plan = good(&text.replace(
        "work_dir",
        "cmd = \"./bot.sh --loud\"\nargs = [\"a b\"]\ntimeout_mins = 5\nwork_dir",
    ));
    let agent = &plan.projects[0].agent;
    assert_eq!(
        (agent.kind, agent.cmd.as_str()),
        (AgentKind::Command, "/srv/web/./bot.sh")
    );
    assert_eq!(agent.args, ["--loud", "a b"]);
    assert_eq!(agent.timeout_mins, Some(5));
    let text = text.replace("work_dir", "cmd = [\"a b\"]\nmodel = \"x\"\nwork_dir");
    expect(
        &text,
        &context(),
        &[("7 warning", "no effect on an agent of type `command`")],
    );
    assert_eq!(
        run(&text, &context()).plan.unwrap().projects[0].agent.cmd,
        "a b"
    );
}

#[test]
fn root_is_warned_or_refused() {
    let mut cx = context();
    cx.is_root = true;
    expect(
        GOOD,
        &cx,
        &[("1 warning projects[0].run_as_user: ", "no run_as_user")],
    );
    cx.require_run_as_user = true;
    expect(
        GOOD,
        &cx,
        &[("1 error projects[0].run_as_user: ", "no run_as_user")],
    );
    let with = |user: &str| {
        bent(
            "name = \"web\"",
            &format!("name = \"web\"\nrun_as_user = \"{user}\""),
        )
    };
    let idle = ("3 warning", "no effect in this version");
    expect(&with("coder"), &cx, &[idle]);
    expect(&with("root"), &cx, &[("3 error", "must not be root"), idle]);
    expect(&with("a b"), &cx, &[("3 error", "no user's name"), idle]);
    let yolo = with("coder").replace("work_dir", "mode = \"yolo\"\nwork_dir");
    expect(&yolo, &cx, &[idle, ("7 warning", "IS_SANDBOX")]);
}

#[test]
fn an_open_door_is_pointed_out() {
    let text = bent("work_dir", "mode = \"bypassPermissions\"\nwork_dir") + "allow_from = \"*\"\n";
    expect(
        &text,
        &context(),
        &[("12 warning", "whoever finds this bot")],
    );
    let weibo = format!(
        "{GOOD}{WEIBO}ws_endpoint = \"ws://example.org/ws\"\ntoken_endpoint = \"http://127.0.0.1:1/t\"\n"
    );
    expect(&weibo, &context(), &[("16 warning", "wss://")]);
}
