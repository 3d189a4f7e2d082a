//! What the operator writes reaches the hub.

use std::path::{Path, PathBuf};

use supervisor_config::{Context, Place, SecretMode, check};

use super::*;

/// The hub's plan of a configuration; `change` stands at its top.
fn hub_told(change: &str) -> told::Plan {
    let places = Places {
        state_dir: "/nowhere".into(),
        runtime_dir: "/nowhere".into(),
    };
    hub_plan(&plan(change, ""), &places, BTreeMap::new())
}

/// A plan; `change` stands at the top of its configuration, `agent` among the agent's options.
fn plan(change: &str, agent: &str) -> Plan {
    let text = format!(
        "{change}\n[[projects]]\nname = \"demo\"\n[projects.agent]\ntype = \"claudecode\"\n\
         [projects.agent.options]\nwork_dir = \"/srv\"\n{agent}\n\
         [projects.users.roles.chief]\nuser_ids = [\"1\"]\ndisabled_commands = [\"/New\"]\n\
         rate_limit = {{ max_messages = 7, window_secs = 8 }}\n\
         [projects.users.roles.member]\nuser_ids = [\"*\"]\n\
         [[projects.platforms]]\ntype = \"discord\"\n[projects.platforms.options]\ntoken = \"x\"\n\
         [[projects.platforms]]\ntype = \"weibo\"\n[projects.platforms.options]\napp_id = \"1\"\n\
         app_secret = \"x\"\n"
    );
    let context = Context {
        env: Box::new(|_| None),
        is_root: false,
        require_run_as_user: false,
        secrets: SecretMode::Placeholders,
        worker: Box::new(|kind| Some(PathBuf::from(kind))),
        worker_dirs: Vec::new(),
        program: Box::new(|name| Some(PathBuf::from(name))),
        place: Box::new(|_| Place::Directory),
        credentials_dir: None,
        home: None,
        own: Box::new(|_| Vec::new()),
        real: Box::new(Path::to_owned),
    };
    let checked = check(&text, Path::new("/nowhere/config.toml"), &context);
    checked
        .plan
        .unwrap_or_else(|| panic!("{:?}", checked.problems))
}

#[test]
fn a_key_reaches_the_runner_and_the_hub_hears_only_that_there_is_one() {
    let told = |agent: &str| {
        let plan = plan("", agent);
        let state = Path::new("/nowhere");
        let runner = runner_options(&plan, &plan.projects[0], state).unwrap();
        let places = Places {
            state_dir: state.into(),
            runtime_dir: state.into(),
        };
        let hub = hub_plan(&plan, &places, BTreeMap::new());
        let hub_text = serde_json::to_string(&hub).unwrap();
        assert!(!hub_text.contains("canary"), "{hub_text}");
        (runner, hub.projects["demo"].login)
    };
    let (runner, login) = told("api_key = \"canary\"\nproxy = \"http://me:canary@p:1\"");
    assert_eq!(runner["api_key"], "canary");
    assert_eq!(runner["proxy"], "http://me:canary@p:1");
    assert_eq!((runner.get("base_url"), login), (None, told::Login::Key));
    let (runner, login) = told("oauth_token = \"canary\"");
    assert_eq!(runner["oauth_token"], "canary");
    assert_eq!((runner.get("api_key"), login), (None, told::Login::Token));
    let (runner, login) = told("");
    assert_eq!(
        (runner.get("oauth_token"), login),
        (None, told::Login::Stored)
    );
}

#[test]
fn a_login_loads_nothing_that_the_agent_may_write() {
    let line = |agent: &str, state: &str| {
        let plan = plan("", agent);
        login_command(&plan.projects[0], Path::new(state))
    };
    let moved = "mkdir -p ~/.claude && mv -T $d/.credentials.json ~/.claude/.credentials.json)";
    let usual = line("", "/state");
    assert!(usual.contains("CLAUDE_CONFIG_DIR=$d "), "{usual}");
    assert!(
        usual.contains(" --setting-sources \"\" auth login && "),
        "{usual}"
    );
    assert!(usual.ends_with(moved), "{usual}");
    let volume = line("volume = \"v\"", "/my state");
    let to = "mv -T $d/.credentials.json '/my state/volumes/v/.claude'/.credentials.json)";
    assert!(volume.ends_with(to), "{volume}");
    assert!(!volume.contains("CLAUDE_CONFIG_DIR='"), "{volume}");
}

#[test]
fn roles_reach_the_hub() {
    let told = hub_told("");
    let users = &told.projects["demo"].users;
    assert_eq!(users.default_role.as_deref(), Some("member"));
    assert_eq!(users.roles["member"].user_ids, ["*"]);
    let chief = told::Role {
        user_ids: vec!["1".into()],
        disabled_commands: vec!["new".into()],
        rate: Some(told::Rate {
            max_messages: 7,
            window_secs: 8,
        }),
    };
    assert_eq!(users.roles["chief"], chief);
}

#[test]
fn a_word_at_once_is_the_operators_the_catalogues_or_none() {
    for (written, expected) in [
        ("", None),
        ("[instant_reply]\ncontent = \"hi\"", None),
        ("[instant_reply]\nenabled = true", Some("")),
        (
            "[instant_reply]\nenabled = true\ncontent = \"hi\"",
            Some("hi"),
        ),
    ] {
        assert_eq!(hub_told(written).instant_reply.as_deref(), expected);
    }
}

#[test]
fn each_account_has_the_pace_of_its_platform() {
    let paces = |written| {
        let told = hub_told(written);
        ["discord-main", "weibo-main"].map(|name| {
            let pace = told.platforms[name].pace?;
            Some((pace.max_per_second, pace.burst))
        })
    };
    assert_eq!(paces(""), [None, None]);
    let own = "[outgoing_rate_limit]\nmax_per_second = 2.5\nplatforms.weibo.max_per_second = 0";
    assert_eq!(paces(own), [Some((2.5, 3)), None]);
    let own = "[outgoing_rate_limit.platforms.weibo]\nmax_per_second = 1\nburst = 4";
    assert_eq!(paces(own), [None, Some((1.0, 4))]);
}
