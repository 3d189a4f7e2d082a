//! `--doctor`: each thing that can be wrong is provoked, and told with what to do.

use std::process::Stdio;
use std::time::Duration;

use fake_discord::permissions::{EMBED_LINKS, SEND_MESSAGES, VIEW_CHANNEL};
use fake_discord::{FakeDiscord, GatewayFault, Part, Portal, RestAct, Times, Wire};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::stage::SOON;

/// What an examination said.
struct Examined {
    code: Option<i32>,
    lines: Vec<Value>,
}

impl Examined {
    fn of(&self, check: &str) -> &Value {
        let found = self.lines.iter().find(|line| line["check"] == check);
        found.unwrap_or_else(|| panic!("nothing of {check} in {:#?}", self.lines))
    }

    fn fact(&self, name: &str) -> &str {
        let found = self.lines.iter().find(|line| line["fact"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {:#?}", self.lines));
        found["value"].as_str().unwrap()
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.lines.iter().filter(|line| line["verdict"] == "fail");
        failed.map(|line| line["check"].as_str().unwrap()).collect()
    }

    /// This failed and nothing else, with these words in what it says or advises.
    fn only(&self, check: &str, words: &[&str]) {
        assert_eq!(self.code, Some(0), "it could examine");
        assert_eq!(self.failed(), [check], "{:#?}", self.lines);
        let told = self.lines.iter().find(|line| line["verdict"] == "fail");
        let told = told.unwrap().to_string();
        for word in words {
            assert!(told.contains(word), "{word} is missing in {told}");
        }
    }
}

async fn examine(discord: &FakeDiscord, more: Value, arguments: &[&str]) -> Examined {
    examine_where(discord, more, arguments, &[]).await
}

/// The same, with this in its environment.
async fn examine_where(
    discord: &FakeDiscord,
    more: Value,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Examined {
    let mut options = json!({
        "token": discord.token(),
        "api_base": discord.api_base(),
        "timing": {"hello_ms": 300},
    });
    options
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let mut child = Command::new(env!("CARGO_BIN_EXE_discord-worker"))
        .arg("--doctor")
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(options.to_string().as_bytes())
        .await
        .unwrap();
    drop(stdin);
    let output = tokio::time::timeout(SOON * 3, child.wait_with_output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let logged = String::from_utf8(output.stderr).unwrap();
    let token = options["token"].as_str().unwrap();
    assert!(
        !said.contains(token) && !logged.contains(token),
        "{said}\n{logged}"
    );
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    Examined {
        code: output.status.code(),
        lines: said.lines().map(read).collect(),
    }
}

#[tokio::test]
async fn a_bot_that_is_well_is_named_and_left_alone() {
    let discord = FakeDiscord::start().await;
    let scene = discord.scene();
    let found = examine(&discord, json!({}), &[]).await;
    assert_eq!((found.code, found.failed()), (Some(0), vec![]));
    for check in [
        "clock",
        "token",
        "intent",
        "gateway",
        "sessions",
        "servers",
        "permissions",
    ] {
        assert_eq!(found.of(check)["verdict"], "ok", "{:#?}", found.of(check));
    }
    assert_eq!(found.fact("bot_name"), "Bulkhead");
    assert_eq!(found.fact("application_id"), scene.application.to_string());
    assert_eq!(found.fact("owner"), format!("owner ({})", scene.owner));
    assert!(
        found
            .fact("invite_url")
            .contains(&format!("client_id={}&", scene.application))
    );
    let wire = discord.wire();
    assert_eq!(wire.count(|wire| matches!(wire, Wire::Connected { .. })), 1);
    assert_eq!(wire.count(|wire| matches!(wire, Wire::Identify { .. })), 0);
    let wrote = |wire: &Wire| matches!(wire, Wire::Request { method, .. } if method != "GET");
    assert_eq!(wire.count(wrote), 0);
}

#[tokio::test]
async fn a_bad_token() {
    let discord = FakeDiscord::start().await;
    let found = examine(&discord, json!({"token": "canary.canary.canary"}), &[]).await;
    found.only("token", &["refuses", "Reset Token"]);
    let asked = |wire: &Wire| matches!(wire, Wire::Response { status: 401, .. });
    assert!(
        discord.wire().count(asked) <= 2,
        "a refused token is not tried on"
    );
}

#[tokio::test]
async fn nobody_answers() {
    let discord = FakeDiscord::start().await;
    discord.outage(Part::Main).await;
    examine(&discord, json!({}), &[])
        .await
        .only("reach", &["no connection", "firewall"]);
}

#[tokio::test]
async fn the_machine_has_no_certificates() {
    let discord = FakeDiscord::start().await;
    let encrypted = json!({"api_base": "https://127.0.0.1:1"});
    let none = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/nowhere")];
    let found = examine_where(&discord, encrypted, &[], &none).await;
    found.only("reach", &["install ca-certificates"]);
}

#[tokio::test]
async fn the_proxy_is_down() {
    let discord = FakeDiscord::start().await;
    let proxy = json!({"proxy": "http://me:canary@127.0.0.1:1"});
    let found = examine(&discord, proxy, &[]).await;
    let words = ["the proxy does not connect: Connection refused", "`proxy`"];
    found.only("reach", &words);
    let said = format!("{:?}", found.lines);
    assert!(!said.contains("canary"), "{said}");
}

#[tokio::test]
async fn the_content_intent_is_off() {
    let discord = FakeDiscord::start().await;
    discord.portal(Portal::ContentIntent(false));
    let page = format!("/{}/bot", discord.scene().application);
    let found = examine(&discord, json!({}), &[]).await;
    found.only("intent", &["only mentions", &page]);
}

#[tokio::test]
async fn interactions_go_to_a_web_server() {
    let discord = FakeDiscord::start().await;
    let address = Some("https://bot.example/x".to_owned());
    discord.portal(Portal::InteractionsEndpoint(address));
    let found = examine(&discord, json!({}), &[]).await;
    found.only(
        "interactions",
        &["Interactions Endpoint URL", "/information"],
    );
}

#[tokio::test]
async fn the_gateway_is_down_silent_or_shut() {
    for (fault, words) in [
        (GatewayFault::RefuseUpgrade { status: 503 }, "503"),
        (GatewayFault::NoHello, "says nothing"),
        (GatewayFault::AcceptClose { code: Some(4000) }, "4000"),
        (GatewayFault::AcceptClose { code: None }, "gateway"),
    ] {
        let discord = FakeDiscord::start().await;
        discord.gateway_fault(fault, Times::Always);
        let found = examine(&discord, json!({}), &[]).await;
        found.only("gateway", &[words, "network"]);
    }
}

#[tokio::test]
async fn no_session_is_left() {
    let discord = FakeDiscord::start().await;
    discord.portal(Portal::IdentifyBudget {
        remaining: 0,
        reset_after_ms: 3_600_000,
    });
    let found = examine(&discord, json!({}), &[]).await;
    found.only("sessions", &["used up", "loop"]);
}

#[tokio::test]
async fn a_permission_is_missing_in_a_served_channel() {
    let discord = FakeDiscord::start().await;
    let scene = discord.scene();
    let served = json!({"allow_channels": [scene.general.to_string()]});
    discord.deny(scene.bot, scene.random, SEND_MESSAGES);
    let found = examine(&discord, served.clone(), &[]).await;
    assert_eq!(
        found.failed(),
        [""; 0],
        "another channel is none of its business"
    );
    discord.deny(scene.bot, scene.general, SEND_MESSAGES | EMBED_LINKS);
    let found = examine(&discord, served.clone(), &[]).await;
    found.only(
        "permissions",
        &[
            "#general (Harbour)",
            "lacks Send Messages",
            "Embed Links",
            "the role Bulkhead",
        ],
    );
    discord.deny(scene.bot, scene.general, VIEW_CHANNEL);
    let found = examine(&discord, served, &[]).await;
    found.only(
        "permissions",
        &["lacks View Channels", &scene.general.to_string()],
    );
}

#[tokio::test]
async fn a_thread_is_judged_by_its_channel() {
    let discord = FakeDiscord::start().await;
    let scene = discord.scene();
    let thread = discord
        .make_thread(scene.owner, scene.general, None, "talk")
        .unwrap();
    let served = json!({"allow_channels": [thread.to_string()]});
    let found = examine(&discord, served.clone(), &[]).await;
    assert_eq!(found.failed(), [""; 0]);
    discord.deny(scene.bot, scene.general, 1 << 38);
    let found = examine(&discord, served, &[]).await;
    found.only("permissions", &["#talk", "Send Messages in Threads"]);
}

#[tokio::test]
async fn a_channel_that_is_not_there() {
    let discord = FakeDiscord::start().await;
    let found = examine(&discord, json!({"allow_channels": ["12345"]}), &[]).await;
    found.only("permissions", &["no channel 12345", "Copy Channel ID"]);
}

#[tokio::test]
async fn a_listed_channel_is_in_a_server_that_is_left_out() {
    let discord = FakeDiscord::start().await;
    let scene = discord.scene();
    let other = discord.add_guild("Other", scene.owner);
    discord.join(other, scene.bot);
    let more = json!({
        "allow_channels": [scene.general.to_string()],
        "allow_guilds": [other.to_string()],
    });
    let found = examine(&discord, more, &[]).await;
    found.only("permissions", &["#general", "not in `allow_guilds`"]);
}

#[tokio::test]
async fn without_a_list_a_server_fails_only_if_no_channel_is_of_use() {
    let discord = FakeDiscord::start().await;
    let scene = discord.scene();
    discord.deny(scene.bot, scene.general, SEND_MESSAGES);
    let found = examine(&discord, json!({}), &[]).await;
    assert_eq!(found.failed(), [""; 0]);
    let told = found.of("permissions");
    assert_eq!(told["verdict"], "warn");
    assert!(
        told.to_string().contains("#general lacks Send Messages"),
        "{told}"
    );
    discord.deny(scene.bot, scene.random, SEND_MESSAGES);
    let found = examine(&discord, json!({}), &[]).await;
    found.only("permissions", &["#general", "#random"]);
}

#[tokio::test]
async fn in_no_server_or_not_in_the_one_that_is_listed() {
    let discord = FakeDiscord::start().await;
    let scene = discord.scene();
    let seat = discord.add_bot("Newcomer", scene.owner);
    let found = examine(&discord, json!({"token": seat.token}), &[]).await;
    let link = format!("client_id={}", seat.application);
    found.only("servers", &["in no server", &link]);
    assert_eq!(found.fact("servers"), "0");
    let found = examine(&discord, json!({"allow_guilds": ["12345"]}), &[]).await;
    found.only("servers", &["server 12345", "allow_guilds"]);
}

#[tokio::test]
async fn the_clock_is_wrong() {
    let discord = FakeDiscord::start().await;
    discord.advance(Duration::from_secs(3600));
    let found = examine(&discord, json!({}), &[]).await;
    found.only("clock", &["behind Discord", "timedatectl"]);
}

#[tokio::test]
async fn a_silent_discord_is_given_up_in_time() {
    let discord = FakeDiscord::start().await;
    discord.any_rest_fault(Times::Always, RestAct::Hang);
    let found = examine(&discord, json!({}), &[]).await;
    found.only("reach", &["no answer within 15 s"]);
}

#[tokio::test]
async fn offline_nothing_is_asked_and_bad_options_are_told() {
    let discord = FakeDiscord::start().await;
    let found = examine(&discord, json!({}), &["--offline"]).await;
    assert_eq!((found.code, found.lines.len()), (Some(0), 0));
    assert_eq!(
        discord
            .wire()
            .count(|wire| matches!(wire, Wire::Request { .. })),
        0
    );
    let found = examine(&discord, json!({"alow_from": "1"}), &[]).await;
    assert_eq!(found.code, Some(78));
    assert!(found.of("options").to_string().contains("allow_from"));
}
