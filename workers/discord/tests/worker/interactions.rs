//! Buttons, lists and menu commands, and what is held while they go on.

use fake_discord::{Act, File, Id, RestAct, Say, Seen, Times, Wire};
use fake_hub::chunk;
use ipc_schema::{
    Access, Act as Did, Body, Card, CommandOption, CommandSpec, Control, Deliver, Inbound, Revise,
    SelectOption, Tone,
};
use serde_json::{Value, json};

use crate::stage::{SOON, Stage};

const MESSAGES: &str = "/channels/{channel.id}/messages";

fn to(key: &str, address: Id, text: &str) -> Deliver {
    chunk(key, key, 0, 1, &address.to_string(), text)
}

/// A question with two buttons.
fn question(key: &str, address: Id) -> Deliver {
    let button = |value: &str, tone| Control::Button {
        value: value.into(),
        label: value.into(),
        tone,
    };
    Deliver {
        question: "q-1".into(),
        controls: vec![button("allow", Tone::Good), button("deny", Tone::Bad)],
        ..to(key, address, "May I?")
    }
}

/// Posts a question; the message.
async fn asks(stage: &Stage, key: &str, address: Id) -> Id {
    stage.deliver(question(key, address));
    stage.delivered(key).await.parse().unwrap()
}

/// What became of an interaction, as the person saw it: the type of the first answer, or none.
async fn acknowledged(stage: &Stage, interaction: Id) -> Option<u64> {
    let over = |seen: &Seen| match seen {
        Seen::Answered {
            interaction: it, ..
        }
        | Seen::Failed {
            interaction: it, ..
        } => *it == interaction,
        _ => false,
    };
    match stage.discord.wait_seen(over, SOON).await.unwrap().what {
        Seen::Answered { callback, .. } => Some(callback),
        _ => None,
    }
}

fn menu() -> Vec<CommandSpec> {
    let spec = |name: &str, private| CommandSpec {
        name: name.into(),
        about: format!("about {name}"),
        about_zh: String::new(),
        options: Vec::new(),
        private,
    };
    let count = CommandOption {
        name: "count".into(),
        about: "How many".into(),
        number: true,
        ..CommandOption::default()
    };
    let history = CommandSpec {
        options: vec![count],
        ..spec("history", true)
    };
    vec![history, spec("new", false)]
}

/// A worker whose menu is registered.
async fn with_menu(stage: &Stage) -> crate::stage::Worker {
    stage.hub.rule(|rules| rules.commands = menu());
    let worker = stage.up(json!({})).await;
    stage.said("the slash menu is registered").await;
    worker
}

async fn did(stage: &Stage, wanted: impl Fn(&Inbound) -> bool) -> Inbound {
    let pick = |body: &Body| match body {
        Body::Inbound(it) if wanted(it) => Some(it.clone()),
        _ => None,
    };
    stage.hub.wait(pick).await.unwrap()
}

fn puts(stage: &Stage) -> usize {
    let route = "/applications/{application.id}/commands";
    stage.discord.requests("PUT", route).len()
}

#[tokio::test]
async fn what_is_pressed_reaches_the_hub_and_its_answer_only_whoever_pressed() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let message = asks(&stage, "q-0", scene.general).await;
    let click = stage.discord.click(scene.owner, message, "q:q-1:deny");
    let click = click.unwrap();
    assert_eq!(acknowledged(&stage, click).await, Some(6));
    let it = did(&stage, |it| it.event_id == click.to_string()).await;
    let (question, values) = ("q-1".to_owned(), vec!["deny".to_owned()]);
    assert_eq!(it.act, Did::Pressed { question, values });
    assert_eq!((it.access, it.sender.owner), (Access::Granted, true));
    // A stranger's is told as such; who may decide is the hub's to say.
    let other = stage.discord.click(scene.bob, message, "q:q-1:allow");
    let other = other.unwrap().to_string();
    let it = did(&stage, |it| it.event_id == other).await;
    assert_eq!(it.access, Access::Refused);
    stage.deliver(Deliver {
        answers: other,
        private: true,
        ..to("no-0", scene.general, "not yours")
    });
    let refusal: Id = stage.delivered("no-0").await.parse().unwrap();
    let lines = stage.discord.transcript(scene.general);
    let line = lines.iter().find(|line| line.message == refusal).unwrap();
    assert_eq!(line.only_for, Some(scene.bob));
    // The question is decided: the change takes the buttons away.
    stage.deliver(Deliver {
        edits: message.to_string(),
        ..to("done-0", scene.general, "Denied.")
    });
    stage.delivered("done-0").await;
    let lines = stage.discord.transcript(scene.general);
    let line = lines.iter().find(|line| line.message == message).unwrap();
    assert_eq!((line.text.as_str(), line.components.len()), ("Denied.", 0));
}

#[tokio::test]
async fn several_are_chosen_from_a_list() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let option = |n: usize| SelectOption {
        value: n.to_string(),
        label: format!("choice {n}"),
        about: String::new(),
    };
    stage.deliver(Deliver {
        question: "q-2".into(),
        controls: vec![Control::Select {
            options: (0..7).map(option).collect(),
            most: 7,
            hint: "Choose".into(),
        }],
        ..to("q-0", scene.general, "Which?")
    });
    let message: Id = stage.delivered("q-0").await.parse().unwrap();
    let chosen = stage
        .discord
        .choose(scene.owner, message, "q:q-2:", &["1", "6"]);
    let chosen = chosen.unwrap().to_string();
    let it = did(&stage, |it| it.event_id == chosen).await;
    let values = vec!["1".to_owned(), "6".to_owned()];
    let question = "q-2".to_owned();
    assert_eq!(it.act, Did::Pressed { question, values });
}

#[tokio::test]
async fn a_command_is_answered_where_it_was_chosen() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = with_menu(&stage).await;
    let options = json!([{"name": "count", "value": 3}]);
    let command = stage
        .discord
        .command(scene.owner, scene.general, "history", options)
        .unwrap();
    assert_eq!(acknowledged(&stage, command).await, Some(5));
    let it = did(&stage, |it| it.event_id == command.to_string()).await;
    assert_eq!((it.act, it.text.as_str()), (Did::Command, "/history 3"));
    for (index, text) in ["one", "two"].into_iter().enumerate() {
        let key = format!("h-{index}");
        let address = scene.general.to_string();
        stage.deliver(Deliver {
            answers: command.to_string(),
            private: true,
            ..chunk(&key, "h", index as u32, 2, &address, text)
        });
    }
    stage.delivered("h-1").await;
    let lines = stage.discord.transcript(scene.general);
    let shown: Vec<_> = lines
        .iter()
        .map(|line| (line.text.as_str(), line.only_for, line.loading))
        .collect();
    let owner = Some(scene.owner);
    assert_eq!(shown, [("one", owner, false), ("two", owner, false)]);
}

#[tokio::test]
async fn a_further_answer_whose_response_is_lost_stands_once() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = with_menu(&stage).await;
    let command = stage
        .discord
        .command(scene.owner, scene.general, "new", json!([]))
        .unwrap();
    did(&stage, |it| it.event_id == command.to_string()).await;
    // The gateway does not show it either.
    stage.discord.now(Act::Mute);
    stage.discord.lose_post_response(0);
    for (key, text) in [("n-0", "first"), ("m-0", "further")] {
        stage.deliver(Deliver {
            answers: command.to_string(),
            ..to(key, scene.general, text)
        });
        stage.delivered(key).await;
    }
    let lines = stage.discord.transcript(scene.general);
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["first", "further"]);
    assert_eq!(stage.posts().len(), 2, "it was tried again");
}

#[tokio::test]
async fn nobody_can_tell_whether_a_private_answer_stands() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let message = asks(&stage, "q-0", scene.general).await;
    let click = stage.discord.click(scene.owner, message, "q:q-1:deny");
    let click = click.unwrap();
    did(&stage, |it| it.event_id == click.to_string()).await;
    stage.discord.rest_fault(
        "POST",
        "/webhooks/{application.id}/{interaction.token}",
        Times::Next(1),
        RestAct::LoseResponse,
    );
    stage.deliver(Deliver {
        answers: click.to_string(),
        private: true,
        ..to("p-0", scene.general, "for you")
    });
    let failed = stage.failed("p-0").await;
    assert_eq!(failed.failure, ipc_schema::Failure::Ambiguous);
    let private = |line: &fake_discord::Line| line.only_for == Some(scene.owner);
    let lines = stage.discord.transcript(scene.general);
    assert_eq!(lines.iter().filter(|line| private(line)).count(), 1);
}

#[tokio::test]
async fn case_11_mentions_none() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = with_menu(&stage).await;
    let text = format!("@everyone @here <@{}> <@&{}>", scene.alice, scene.role);
    let asked = stage.mention(scene.owner, scene.general, "hello");
    // A message, with what it refers to; a file; a card; a question.
    stage.deliver(Deliver {
        reply_to: asked.to_string(),
        ..to("a-0", scene.general, &text)
    });
    let first = stage.delivered("a-0").await;
    stage.deliver(Deliver {
        files: vec![stage.hub.keep_file("a.txt", "text/plain", b"@everyone")],
        ..to("b-0", scene.general, &text)
    });
    stage.deliver(Deliver {
        card: Some(Card {
            title: text.clone(),
            text: text.clone(),
            ..Card::default()
        }),
        ..to("c-0", scene.general, &text)
    });
    stage.delivered("c-0").await;
    let message = asks(&stage, "q-0", scene.general).await;
    // Changes: one that must be, one that shows progress.
    stage.deliver(Deliver {
        edits: first.clone(),
        ..to("d-0", scene.general, &text)
    });
    stage.delivered("d-0").await;
    stage.hub.say(Body::Revise(Revise {
        address: scene.general.to_string(),
        platform_id: first.clone(),
        text: format!("{text} revised"),
        card: None,
    }));
    let revised =
        |seen: &Seen| matches!(seen, Seen::Edited(line) if line.text.ends_with("revised"));
    stage.discord.wait_seen(revised, SOON).await.unwrap();
    // Answers to a command and to a click.
    let command = stage
        .discord
        .command(scene.owner, scene.general, "new", json!([]))
        .unwrap();
    let click = stage.discord.click(scene.owner, message, "q:q-1:allow");
    for (key, of, private) in [("e-0", command, false), ("f-0", click.unwrap(), true)] {
        did(&stage, |it| it.event_id == of.to_string()).await;
        stage.deliver(Deliver {
            answers: of.to_string(),
            private,
            ..to(key, scene.general, &text)
        });
        stage.delivered(key).await;
    }
    let writes: Vec<(String, Value)> = stage.discord.wire().filter_map(|wire| match wire {
        Wire::Request {
            method,
            route,
            body,
            ..
        } if (method == "POST" || method == "PATCH") && !body.is_null() => {
            Some((format!("{method} {route}"), body.clone()))
        }
        _ => None,
    });
    let nobody = json!({"parse": [], "replied_user": false});
    for (route, body) in &writes {
        // The callback to a click shows nothing at all.
        let shown = if route.ends_with("/callback") {
            &body["data"]
        } else {
            body
        };
        if !shown.is_null() {
            assert_eq!(shown["allowed_mentions"], nobody, "{route}: {body}");
        }
    }
    let mut routes: Vec<&str> = writes.iter().map(|(route, _)| route.as_str()).collect();
    routes.sort_unstable();
    routes.dedup();
    assert_eq!(
        routes,
        [
            "PATCH /channels/{channel.id}/messages/{message.id}",
            "PATCH /webhooks/{application.id}/{interaction.token}/messages/{message.id}",
            "POST /channels/{channel.id}/messages",
            "POST /interactions/{interaction.id}/{interaction.token}/callback",
            "POST /webhooks/{application.id}/{interaction.token}",
        ],
        "every way to write was gone"
    );
    for line in stage.discord.transcript(scene.general) {
        let ours = line.author == scene.bot;
        assert!(!ours || line.pings.is_empty() && !line.everyone, "{line:?}");
    }
}

#[tokio::test]
async fn case_15_ack_under_load() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let message = asks(&stage, "q-0", scene.general).await;
    // Everything waits: for limits, for a large file on the wire, for a hub that does not answer.
    stage.hub.rule(|rules| rules.accept = false);
    let held = stage.discord.hold_post_request(0);
    let large = stage.hub.keep_file("large.bin", "", &vec![7; 8 << 20]);
    stage.deliver(Deliver {
        files: vec![large],
        ..to("large-0", scene.random, "")
    });
    assert!(held.reached(SOON).await);
    for n in 0..40 {
        let channel = stage.discord.add_channel(scene.guild, &format!("c{n}"));
        for m in 0..8 {
            stage.deliver(to(&format!("l{n}-{m}"), channel, "load"));
        }
    }
    for n in 0..500 {
        let noise = format!("noise {n}");
        stage.discord.user_says(scene.alice, scene.random, &noise);
        stage.mention(scene.owner, scene.random, &noise);
    }
    let click = stage.discord.click(scene.owner, message, "q:q-1:allow");
    assert_eq!(acknowledged(&stage, click.unwrap()).await, Some(6));
    let posted = stage.posts().len();
    assert!(posted < 320, "{posted}: there was no load left to get past");
    held.release();
}

#[tokio::test]
async fn case_19_global_429() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = with_menu(&stage).await;
    let message = asks(&stage, "q-0", scene.general).await;
    // Longer than the test: nothing that is held gets through while it looks.
    let global = RestAct::GlobalLimit { retry_after: 60.0 };
    stage
        .discord
        .rest_fault("POST", MESSAGES, Times::Next(1), global);
    stage.deliver(to("r-0", scene.general, "held"));
    stage.said("Discord limits all requests").await;
    let since = stage.discord.wire().next();
    stage.deliver(to("s-0", scene.random, "held too"));
    let click = stage.discord.click(scene.owner, message, "q:q-1:allow");
    assert_eq!(acknowledged(&stage, click.unwrap()).await, Some(6));
    let command = stage
        .discord
        .command(scene.owner, scene.random, "new", json!([]))
        .unwrap();
    assert_eq!(acknowledged(&stage, command).await, Some(5));
    did(&stage, |it| it.event_id == command.to_string()).await;
    let elsewhere = stage.discord.dm_channel(scene.owner);
    stage.deliver(Deliver {
        answers: command.to_string(),
        ..to("t-0", elsewhere, "an answer by the interaction's own token")
    });
    stage.delivered("t-0").await;
    let routes: Vec<String> = stage
        .discord
        .wire()
        .since(since)
        .into_iter()
        .filter_map(|entry| match entry.what {
            Wire::Request { route, .. } => Some(route),
            _ => None,
        })
        .collect();
    let outside =
        |route: &String| route.starts_with("/interactions/") || route.starts_with("/webhooks/");
    assert!(routes.iter().all(outside), "{routes:?}");
    assert_eq!(routes.len(), 3, "two callbacks and an answer: {routes:?}");
}

#[tokio::test]
async fn case_41_commands_unchanged() {
    let stage = Stage::new().await;
    let worker = with_menu(&stage).await;
    stage.settled().await;
    assert_eq!(puts(&stage), 1);
    worker.kill().await;
    // The same menu again, with the session and without it.
    for forgotten in [false, true] {
        if forgotten {
            stage.hub.set_cursor("gateway", b"");
        }
        let since = stage.said.next();
        let worker = stage.up(json!({})).await;
        stage.said_since(since, "the slash menu is as it was").await;
        worker.kill().await;
    }
    assert_eq!(puts(&stage), 1, "no PUT where nothing has changed");
    stage.hub.rule(|rules| {
        rules.commands.pop();
    });
    let since = stage.said.next();
    let _worker = stage.up(json!({})).await;
    stage
        .said_since(since, "the slash menu is registered")
        .await;
    assert_eq!(puts(&stage), 2);
    assert_eq!(stage.discord.commands(None).len(), 1);
}

#[tokio::test]
async fn a_menu_that_moves_leaves_nothing_behind() {
    let stage = Stage::new().await;
    let guild = stage.discord.scene().guild;
    stage.hub.rule(|rules| rules.commands = menu());
    let counts = || {
        let count = |scope| stage.discord.commands(scope).len();
        (count(None), count(Some(guild)))
    };
    let here = json!({"guild_id": guild.to_string()});
    for (options, expected) in [(json!({}), (2, 0)), (here, (0, 2)), (json!({}), (2, 0))] {
        let since = stage.said.next();
        let worker = stage.up(options).await;
        stage
            .said_since(since, "the slash menu is registered")
            .await;
        assert_eq!(counts(), expected);
        // It is kept where it stands now.
        stage.settled().await;
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_menu_that_cannot_be_registered_is_said_and_costs_nothing_else() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let refused = RestAct::Error {
        status: 403,
        code: 50001,
        message: "Missing Access".into(),
    };
    let route = "/applications/{application.id}/commands";
    stage
        .discord
        .rest_fault("PUT", route, Times::Always, refused);
    stage.hub.rule(|rules| rules.commands = menu());
    let _worker = stage.up(json!({})).await;
    stage.said("`bulkhead invite` prints the right link").await;
    stage.discord.dm(scene.owner, "/history 3");
    stage.heard("/history 3").await;
}

#[tokio::test]
async fn a_click_that_discord_sends_twice_is_one_event() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let message = asks(&stage, "q-0", scene.general).await;
    let click = stage.discord.click(scene.owner, message, "q:q-1:allow");
    let click = click.unwrap().to_string();
    did(&stage, |it| it.event_id == click).await;
    stage.settled().await;
    stage.discord.now(Act::RepeatLast);
    let say = Say {
        files: vec![File::default()],
        ..Say::text("next")
    };
    let dm = stage.discord.dm_channel(scene.owner);
    stage.discord.says(scene.owner, dm, say).unwrap();
    stage.heard("next").await;
    let clicks = |seen: &fake_hub::Seen| seen.inbound().is_some_and(|it| it.event_id == click);
    assert_eq!(stage.hub.ledger().count(clicks), 1);
    let failed = |seen: &Seen| matches!(seen, Seen::Failed { .. });
    assert_eq!(stage.discord.seen().count(failed), 0);
}
