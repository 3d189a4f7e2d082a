//! Values: kinds, ranges, ids, defaults, and what is required.

use std::path::Path;

use supervisor_config::{Mode, Secret};

use crate::{GOOD, bent, context, expect, good, run};

#[test]
fn a_short_config_gets_every_default() {
    let plan = good(GOOD);
    assert_eq!(plan.queue.max_depth, 50);
    assert_eq!(
        (plan.rate_limit.max_messages, plan.rate_limit.window_secs),
        (20, 60)
    );
    assert_eq!(
        (plan.idle_timeout_mins, plan.max_turn_time_mins),
        (Some(120), None)
    );
    assert_eq!(plan.outgoing_rate_limit.pace("discord"), None);
    let project = &plan.projects[0];
    assert_eq!(project.process_name(), "runner-web");
    assert_eq!(project.reset_on_idle_mins, Some(30));
    assert_eq!((project.inject_sender, project.style_hint), (None, true));
    assert_eq!(
        (project.agent.cmd.as_str(), project.agent.mode),
        ("claude", Mode::Default)
    );
    let platform = &project.platforms[0];
    assert_eq!(platform.process_name(), "discord-main");
    assert_eq!(platform.program, Path::new("/w/discord-worker"));
    assert!(platform.options.is_empty());
    assert_eq!(platform.secrets["token"], Secret::Resolved("abc".into()));
}

#[test]
fn values_of_the_wrong_kind_say_what_is_right() {
    let text = format!(
        "[stream_preview]\nenabled = \"true\"\ninterval_ms = 1.5\nmin_delta_chars = -1\nmax_chars = 99999999999999999999\n[instant_reply]\ncontent = 5\n{GOOD}allow_from = [\"me\", 1]\ngroup_reply_all = 1\nallow_roles = \"*\"\nproxy = \"nonsense\"\n"
    );
    expect(
        &text,
        &context(),
        &[
            ("2 error stream_preview.enabled", "take the quotes away"),
            (
                "3 error stream_preview.interval_ms",
                "must be a whole number, and this is a number",
            ),
            (
                "4 error stream_preview.min_delta_chars",
                "between 0 and 1000000",
            ),
            ("5 error stream_preview.max_chars", "between 0 and 1000000"),
            ("7 error instant_reply.content", "put it in quotes"),
            (
                "18 error projects[0].platforms[0].options.allow_from",
                "Developer Mode",
            ),
            (
                "19 error projects[0].platforms[0].options.group_reply_all",
                "true or false",
            ),
            (
                "20 error projects[0].platforms[0].options.allow_roles",
                "leave the key out",
            ),
            (
                "21 error projects[0].platforms[0].options.proxy",
                "begins with http://",
            ),
        ],
    );
}

#[test]
fn ids_may_be_numbers_texts_with_commas_or_lists() {
    for written in [
        "\"100000000000000001, 100000000000000002\"",
        "\"100000000000000001，100000000000000002,\"",
        "[100000000000000001, \"100000000000000002\"]",
        "[\"100000000000000001,100000000000000002\", 100000000000000001]",
    ] {
        let text = format!("{GOOD}allow_from = {written}\nguild_id = 100000000000000003\n");
        let plan = run(&text, &context()).plan.unwrap();
        let options = &plan.projects[0].platforms[0].options;
        let expected = serde_json::json!(["100000000000000001", "100000000000000002"]);
        assert_eq!(options["allow_from"], expected, "{written}");
        assert_eq!(options["guild_id"], "100000000000000003");
    }
    let empty = good(&format!(
        "{GOOD}allow_from = \"\"\nguild_id = \"\"\nproxy = \"\"\n"
    ));
    assert!(
        empty.projects[0].platforms[0].options.is_empty(),
        "empty means not set"
    );
}

#[test]
fn what_is_required_is_asked_for() {
    expect(
        "",
        &context(),
        &[("1 error projects: ", "there is no project")],
    );
    expect(
        "[[projects]]\n",
        &context(),
        &[
            ("1 error projects[0].name: ", "is missing"),
            ("1 error projects[0].platforms: ", "is missing"),
            ("1 error projects[0].agent: ", "is missing"),
        ],
    );
    expect(
        "[[projects]]\nname = \"\"\n[projects.agent]\n[[projects.platforms]]\n[[projects.platforms]]\ntype = \"weibo\"\n",
        &context(),
        &[
            ("2 error projects[0].name: ", "is empty"),
            ("3 error projects[0].agent.type: ", "is missing"),
            ("4 error projects[0].platforms[0].type: ", "is missing"),
            ("5 error projects[0].platforms[1].options: ", "is missing"),
            (
                "5 error projects[0].platforms[1].options.app_id: ",
                "is missing",
            ),
            (
                "5 error projects[0].platforms[1].options.app_secret: ",
                "is missing",
            ),
        ],
    );
    let commands = format!("[[commands]]\nname = \"a b\"\n[[aliases]]\nname = \"x\"\n{GOOD}");
    expect(
        &commands,
        &context(),
        &[
            ("1 error commands[0].prompt: ", "is missing"),
            ("2 error commands[0].name: ", "one word"),
            ("3 error aliases[0].command: ", "is missing"),
        ],
    );
}

#[test]
fn a_shell_command_of_the_peer_is_left_out() {
    let text = format!("[[commands]]\nname = \"push\"\nexec = \"git push\"\n{GOOD}");
    expect(
        &text,
        &context(),
        &[("3 warning commands[0].exec: ", "no effect")],
    );
    assert_eq!(run(&text, &context()).plan.unwrap().commands, []);
}

#[test]
fn roles_are_checked_against_each_other() {
    let users = "[projects.users]\ndefault_role = \"gust\"\n[projects.users.roles.a]\nuser_ids = [\"1\", \"*\"]\n[projects.users.roles.b]\nuser_ids = [1, \"*\"]\n[projects.users.roles.c]\n";
    expect(
        &bent("[projects.agent]", &format!("{users}[projects.agent]")),
        &context(),
        &[
            (
                "4 error projects[0].users.default_role: ",
                "there are: a, b, c",
            ),
            (
                "8 error projects[0].users.roles.b.user_ids: ",
                "already has the role `a`",
            ),
            (
                "8 error projects[0].users.roles.b.user_ids: ",
                "everyone else",
            ),
            ("9 error projects[0].users.roles.c.user_ids: ", "is missing"),
        ],
    );
    let none = bent("[projects.agent]", "[projects.users]\n[projects.agent]");
    expect(
        &none,
        &context(),
        &[("3 error projects[0].users: ", "has no roles")],
    );
}

#[test]
fn a_plan_differs_exactly_if_the_config_does() {
    assert_eq!(good(GOOD), good(&format!("# a comment\n{GOOD}")));
    assert_ne!(good(GOOD), good(&bent("abc", "abd")));
}
