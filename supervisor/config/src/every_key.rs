//! Every key lands in its class, the sample works, and the user's page names every key.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::schema::{ALL, Class, DISCORD, Key, Kind, PLUGIN, TOP, Table, WEIBO};
use crate::{Checked, Context, Place, SecretMode, Severity, check};

const EVERY_KEY: &str = include_str!("../tests/every_key.toml");

/// What the peer's keys are to be here, apart from the tables: `TABLE: KEYS`.
const SAME: &str = "
TOP: language data_dir attachment_send max_attachment_size_mb banned_words idle_timeout_mins max_turn_time_mins
[log]: level
[display]: mode thinking_messages thinking_max_len tool_messages tool_max_len history_max_len show_context_indicator reply_footer
[stream_preview]: enabled interval_ms min_delta_chars max_chars
[rate_limit]: max_messages window_secs
[outgoing_rate_limit]: max_per_second burst platforms
[queue]: max_depth
[instant_reply]: enabled content
[[commands]]: name description prompt
[[aliases]]: name command
[[projects]]: name admin_from disabled_commands reset_on_idle_mins agent_session_idle_timeout_mins inject_sender show_workdir_indicator run_as_user
[projects.users]: default_role
[projects.users.roles.NAME]: user_ids disabled_commands rate_limit
[projects.agent]: type
[projects.agent.options]: work_dir mode model cmd args reasoning_effort allowed_tools disallowed_tools system_prompt append_system_prompt max_context_tokens plugin_dir env timeout_mins auth_method
[[projects.platforms]]: type
[projects.platforms.options] of discord: token allow_from guild_id group_reply_all group_reply_all_guilds share_session_in_channel thread_isolation respond_to_at_everyone_and_here progress_style proxy proxy_username proxy_password
[projects.platforms.options] of weibo: app_id app_secret allow_from token_endpoint ws_endpoint name
";
const LATER: &str = "
TOP: cron hooks providers
[display]: hide_agent_footer
[[projects]]: heartbeat auto_compress mode base_dir run_as_env filter_external_sessions
[projects.agent]: provider_refs providers
[projects.agent.options]: router_url router_api_key provider
[projects.platforms.options] of discord: reply_hud
";
const NEVER: &str = "
TOP: shell shell_profile workspace_idle_timeout_mins webhook bridge management relay speech tts
[log]: provider_presets_url
[[commands]]: exec work_dir
[[projects]]: observe references skip_git workspace_init_allow_local_paths shell shell_profile
[projects.agent.options]: session pane window_per_session
";
const OURS: &str = "
TOP: supervision spool
[projects.agent]: sandbox workspace max_agents agents_memory_mb reserve_memory_mb tools tools_only send_file
[projects.agent.options]: auth api_key oauth_token base_url proxy trust_project volume volume_scope persona
[[projects.agent.tools]]: name description input command http secrets timeout_secs max_output_bytes
[projects.agent.tools.http]: url method headers
[projects.platforms.options] of discord: name allow_roles allow_channels allow_guilds reply api_base
";

fn context() -> Context {
    Context {
        env: Box::new(|name| match name {
            "TONGUE" => Some("Latin".to_owned()),
            _ => None,
        }),
        is_root: false,
        require_run_as_user: false,
        secrets: SecretMode::Placeholders,
        worker: Box::new(|kind| {
            ["discord", "weibo", "echo"]
                .contains(&kind)
                .then(|| PathBuf::from(format!("/usr/lib/bulkhead/{kind}-worker")))
        }),
        worker_dirs: Vec::new(),
        program: Box::new(|name| Some(PathBuf::from(name))),
        place: Box::new(|_| Place::Directory),
        credentials_dir: None,
        home: Some(PathBuf::from("/home/me")),
        own: Box::new(|_| Vec::new()),
        real: Box::new(Path::to_owned),
    }
}

fn options_of(kind: Option<&str>) -> &'static Table {
    match kind {
        Some("discord") => &DISCORD,
        Some("weibo") => &WEIBO,
        _ => &PLUGIN,
    }
}

/// Notes every known key that a table of a file has, by the header of its table.
fn keys_of(schema: &Table, table: &toml::Table, seen: &mut BTreeSet<(&'static str, &'static str)>) {
    for key in schema.keys {
        let Some(value) = table.get(key.name) else {
            continue;
        };
        let header = ALL
            .iter()
            .find(|known| std::ptr::eq(**known, schema))
            .unwrap()
            .header;
        seen.insert((header, key.name));
        match (&key.kind, value) {
            (Kind::Table(inner) | Kind::TableOr(inner, _), toml::Value::Table(table)) => {
                keys_of(inner, table, seen)
            }
            (Kind::Tables(inner), toml::Value::Array(tables)) => {
                for table in tables {
                    keys_of(inner, table.as_table().unwrap(), seen);
                }
            }
            (Kind::Named(inner), toml::Value::Table(tables)) => {
                for (_, table) in tables {
                    keys_of(inner, table.as_table().unwrap(), seen);
                }
            }
            (Kind::AgentOptions, toml::Value::Table(table)) => {
                keys_of(&crate::schema::AGENT_OPTIONS, table, seen);
            }
            (Kind::PlatformOptions, toml::Value::Table(options)) => {
                keys_of(
                    options_of(table.get("type").and_then(|t| t.as_str())),
                    options,
                    seen,
                );
            }
            _ => {}
        }
    }
}

#[test]
fn the_classes_are_those_of_the_reference() {
    for (class, lines) in [
        (Class::Same, SAME),
        (Class::Later, LATER),
        (Class::Never, NEVER),
        (Class::Ours, OURS),
    ] {
        for line in lines.trim().lines() {
            let (header, keys) = line.rsplit_once(": ").unwrap();
            let header = if header == "TOP" { TOP.header } else { header };
            let table = ALL
                .iter()
                .find(|table| table.header == header)
                .expect(header);
            for name in keys.split_whitespace() {
                let key = table
                    .key(name)
                    .unwrap_or_else(|| panic!("{header} lacks {name}"));
                assert_eq!(key.class, class, "{header} {name}");
            }
        }
    }
}

#[test]
fn the_file_of_every_key_has_every_key() {
    let file: toml::Table = EVERY_KEY.parse().unwrap();
    let mut seen = BTreeSet::new();
    keys_of(&TOP, &file, &mut seen);
    for table in ALL {
        for key in table.keys {
            assert!(
                seen.contains(&(table.header, key.name)),
                "{} {}",
                table.header,
                key.name
            );
        }
    }
}

#[test]
fn every_key_loads_and_lands_in_its_class() {
    let Checked { plan, problems } = check(EVERY_KEY, Path::new("every_key.toml"), &context());
    for problem in &problems {
        assert_eq!(problem.severity, Severity::Warning, "{problem}");
    }
    assert!(plan.is_some());
    let file = EVERY_KEY.parse().unwrap();
    let cases: [(&str, Which); 3] = [
        ("not in this version yet, it has no effect", |key| {
            key.class == Class::Later
        }),
        ("accepted, but it has no effect", |key| {
            key.class == Class::Never
        }),
        ("has no effect in this version", |key| key.idle),
    ];
    for (start, which) in cases {
        let told: BTreeSet<String> = problems
            .iter()
            .filter(|problem| problem.message.starts_with(start))
            .map(|problem| problem.key_path.clone())
            .collect();
        let mut expected = BTreeSet::new();
        collect(&TOP, &file, "", which, &mut expected);
        assert_eq!(told, expected, "{start}");
        let any = ALL.iter().flat_map(|table| table.keys).any(which);
        assert_eq!(!expected.is_empty(), any, "{start}");
    }
}

/// Picks keys.
type Which = fn(&Key) -> bool;

/// The paths of the picked keys that a file has.
fn collect(
    schema: &Table,
    table: &toml::Table,
    path: &str,
    which: Which,
    out: &mut BTreeSet<String>,
) {
    for key in schema.keys {
        let Some(value) = table.get(key.name) else {
            continue;
        };
        let path = if path.is_empty() {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        if which(key) {
            out.insert(path.clone());
        }
        match (&key.kind, value) {
            (Kind::Table(inner) | Kind::TableOr(inner, _), toml::Value::Table(table)) => {
                collect(inner, table, &path, which, out)
            }
            (Kind::Tables(inner), toml::Value::Array(tables)) => {
                for (n, table) in tables.iter().enumerate() {
                    collect(
                        inner,
                        table.as_table().unwrap(),
                        &format!("{path}[{n}]"),
                        which,
                        out,
                    );
                }
            }
            (Kind::AgentOptions, toml::Value::Table(table)) => {
                collect(&crate::schema::AGENT_OPTIONS, table, &path, which, out);
            }
            (Kind::PlatformOptions, toml::Value::Table(options)) => {
                let options_table = options_of(table.get("type").and_then(|t| t.as_str()));
                collect(options_table, options, &path, which, out);
            }
            _ => {}
        }
    }
}

#[test]
fn what_every_key_says_is_in_the_plan() {
    let plan = check(EVERY_KEY, Path::new("every_key.toml"), &context())
        .plan
        .unwrap();
    insta::assert_debug_snapshot!(plan);
}

#[test]
fn the_sample_loads_as_it_is_and_with_every_comment_taken_away() {
    let sample = include_str!("../../../docs/config.example.toml");
    let mut cx = context();
    cx.env = Box::new(|name| Some(format!("value-of-{name}")));
    cx.secrets = SecretMode::Resolve;
    let load = |text: &str| check(text, Path::new("config.example.toml"), &cx);
    let as_it_is = load(sample);
    assert_eq!(as_it_is.problems, []);
    assert_eq!(as_it_is.plan.as_ref().unwrap().projects.len(), 1);
    // `#key = …` is a key that is switched off; `# words` is a comment.
    let all: String = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
            _ => line,
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let Checked { plan, problems } = load(&all);
    for problem in problems {
        assert_eq!(problem.severity, Severity::Warning, "{problem}");
        assert!(problem.message.contains("has no effect"), "{problem}");
    }
    assert!(plan.is_some() && plan != as_it_is.plan);
}

/// What the user's page calls a table.
fn title(table: &Table) -> String {
    match table.header.split_once(" of ") {
        Some((header, of)) if header.starts_with('[') => format!("`{header}` of {of}"),
        _ if table.header.starts_with('[') => format!("`{}`", table.header),
        _ => "Top of the file".to_owned(),
    }
}

/// The keys of the user's page that this version does nothing with.
fn idle() -> String {
    let mut list = String::from("\n");
    for table in ALL {
        let keys = table.keys.iter().filter(|key| key.idle);
        let names: Vec<String> = keys.map(|key| format!("`{}`", key.name)).collect();
        if !names.is_empty() {
            let _ = writeln!(list, "- {}: {}", title(table), names.join(", "));
        }
    }
    if list.trim().is_empty() {
        list.push_str("- none\n");
    }
    list
}

/// The tables of the user's page.
fn page() -> String {
    let mut page = String::new();
    for table in ALL {
        let header = title(table);
        let _ = write!(
            page,
            "\n### {header}\n\n| key | class | what it does |\n|---|---|---|\n"
        );
        for key in table.keys {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} |",
                key.name,
                key.class.word(),
                key.doc.replace('|', "\\|")
            );
        }
    }
    page
}

#[test]
fn the_page_on_migrating_names_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/migrating.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut right = text.clone();
    for (name, part) in [("without effect", idle()), ("keys", page())] {
        let begin = format!("<!-- {name}: begin -->\n");
        let begin = right.find(&begin).expect("the begin mark") + begin.len();
        let end = right.find(&format!("\n<!-- {name}: end -->"));
        right.replace_range(begin..end.expect("the end mark"), &part);
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, right).unwrap();
        return;
    }
    assert_eq!(
        text, right,
        "write it anew: BLESS=1 cargo test -p supervisor-config"
    );
}
