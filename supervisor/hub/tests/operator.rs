//! What the operator's wishes change in what the hub does: roles, a word at once, a pace, `/help`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use std::collections::BTreeMap;

use desk::*;
use hub::engine::Event;
use hub::plan::{Pace, Plan, PromptCommand, Rate, Role, Users};
use hub::texts::{Lang, Text, say};
use ipc_schema::Capabilities;

fn en(text: Text<'_>) -> String {
    say(&text, Lang::En)
}

/// The plan, changed.
fn with(change: impl FnOnce(&mut Plan)) -> Desk {
    let mut plan = plan();
    change(&mut plan);
    Desk::linked_with(plan)
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| text.to_string()).collect()
}

fn command(name: &str, description: &str) -> PromptCommand {
    PromptCommand {
        name: name.into(),
        description: description.into(),
        prompt: format!("Please {name}."),
    }
}

/// Boss is a chief; everybody else is a guest.
fn roles(chief: Role, guest: Role) -> Users {
    let chief = Role {
        user_ids: texts(&["Boss"]),
        ..chief
    };
    Users {
        default_role: Some("guest".into()),
        roles: BTreeMap::from([("chief".into(), chief), ("guest".into(), guest)]),
    }
}

#[test]
fn a_role_takes_commands_away_beside_those_of_the_project() {
    let mut desk = with(|plan| {
        plan.commands = vec![command("review", "")];
        let project = plan.projects.get_mut("demo").unwrap();
        project.disabled_commands = texts(&["status"]);
        let guest = Role {
            disabled_commands: texts(&["new", "review"]),
            ..Role::default()
        };
        project.users = roles(Role::default(), guest);
    });
    for (n, (user, name, off)) in [
        ("ann", "new", true),
        ("ann", "review", true),
        ("ann", "status", true),
        ("ann", "stop", false),
        ("boss", "new", false),
        ("boss", "review", false),
        ("boss", "status", true),
    ]
    .into_iter()
    .enumerate()
    {
        let out = desk.got(WORKER, inbound(&n.to_string(), user, &format!("/{name}")));
        assert_eq!(prompts(&out).len(), usize::from(name == "review" && !off));
        let refused = desk.post_all(out) == [en(Text::CommandDisabled { name })];
        assert_eq!(refused, off, "{user} /{name}");
    }
}

#[test]
fn nobody_is_pointed_at_a_command_that_is_off() {
    let mut desk = with(|plan| {
        let project = plan.projects.get_mut("demo").unwrap();
        project.disabled_commands = texts(&["*"]);
    });
    let out = desk.says("e1", "/stp");
    assert_eq!(prompts(&out).remove(0).text, "/stp");
    let out = desk.got(WORKER, inbound("e2", "bob", " "));
    let off = Text::CommandDisabled { name: "help" };
    assert_eq!(desk.post_all(out), [en(off)]);
}

#[test]
fn a_role_has_a_rate_of_its_own() {
    let rate = |max_messages| Rate {
        max_messages,
        window_secs: 10,
    };
    let mut desk = with(|plan| {
        plan.rate = rate(1);
        let own = |max_messages| Role {
            rate: Some(rate(max_messages)),
            ..Role::default()
        };
        plan.projects.get_mut("demo").unwrap().users = Users {
            default_role: None,
            ..roles(own(0), own(2))
        };
        let users = &mut plan.projects.get_mut("demo").unwrap().users;
        users.roles.get_mut("guest").unwrap().user_ids = texts(&["ann"]);
    });
    for (user, taken) in [("boss", 5), ("ann", 2), ("bob", 1)] {
        for n in 0..5 {
            let out = desk.got(WORKER, inbound(&format!("{user}{n}"), user, "hi"));
            let told = desk.post_all(out);
            let refused = told == [en(Text::RateLimited { secs: 10 })];
            assert_eq!(refused, n == taken, "{user} {n}: {told:?}");
            // Who goes on all the same has just read it.
            assert_eq!(told.is_empty(), n != taken, "{user} {n}: {told:?}");
        }
    }
}

#[test]
fn a_word_at_once_where_nothing_is_ahead() {
    for (written, said) in [
        ("**On it!**", "**On it!**".to_owned()),
        (" ", en(Text::InstantReply)),
    ] {
        let mut desk = with(|plan| plan.instant_reply = Some(written.into()));
        let out = desk.says("e1", "one");
        let prompt = prompts(&out).remove(0);
        assert_eq!(desk.post_all(out), [said.as_str()]);
        desk.says("e2", "two");
        let out = desk.wait(QUEUED);
        assert_eq!(desk.post_all(out), [en(Text::Queued { ahead: 1 })]);
        let out = desk.says("e2", "two");
        assert_eq!(desk.post_all(out).len(), 0, "an event that is known");
        let out = desk.says("e3", "/status");
        assert_eq!(desk.post_all(out).len(), 1, "a command is no turn");
        let out = desk.answer(&prompt.at, "done");
        assert_eq!(
            desk.post_all(out),
            ["done"],
            "the second one was told already"
        );
    }
}

#[test]
fn a_word_at_once_goes_before_the_answer() {
    let mut desk = with(|plan| plan.instant_reply = Some(String::new()));
    let mut out = desk.says("e1", "one");
    let at = prompts(&out).remove(0).at;
    out.extend(desk.answer(&at, "done"));
    assert_eq!(
        desk.post_all(out),
        [en(Text::InstantReply), "done".to_owned()]
    );
}

fn paced(max_per_second: f64, burst: u32) -> Desk {
    with(|plan| {
        plan.platforms.get_mut(WORKER).unwrap().pace = Some(Pace {
            max_per_second,
            burst,
        });
    })
}

/// Milliseconds until the hub wakes by itself.
fn wakes_in(desk: &Desk) -> Option<u64> {
    desk.engine.next_wake().map(|due| due - desk.now)
}

#[test]
fn messages_go_out_at_the_pace_of_the_account_and_in_order() {
    let mut desk = paced(0.5, 2);
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let long: String = (0..900).map(|n| format!("word{n} ")).collect();
    let out = desk.answer(&at, &long);
    let count = deliveries(&out)[0].count as usize;
    assert!(count >= 4, "{count}");
    let mut said = desk.post_all(out);
    assert_eq!(said.len(), 2, "the burst");
    for _ in 2..count {
        assert_eq!(wakes_in(&desk), Some(2000));
        assert!(deliveries(&desk.wait(1999)).is_empty());
        let out = desk.wait(1);
        said.extend(desk.post_all(out));
    }
    assert_eq!(said.join(" "), long.trim_end());
    let out = desk.wait(60_000);
    assert!(deliveries(&out).is_empty());
}

#[test]
fn a_worker_that_takes_many_at_once_gets_them_at_the_pace_all_the_same() {
    let mut desk = paced(1.0, 2);
    desk.batch(vec![Event::Up {
        peer: WORKER.into(),
        capabilities: Capabilities {
            window: 8,
            ..worker_can()
        },
    }]);
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let mut handed = deliveries(&desk.answer(&at, &"word ".repeat(1500)));
    assert_eq!(handed.len(), 2);
    // The next one of the lane waits behind them, and takes no token before them.
    handed.extend(deliveries(
        &desk.got(WORKER, inbound("e2", "ann", "/status")),
    ));
    for _ in 0..3 {
        let out = deliveries(&desk.wait(1000));
        assert_eq!(out.len(), 1);
        handed.extend(out);
    }
    let order: Vec<(u32, u32)> = handed.iter().map(|d| (d.index, d.count)).collect();
    assert_eq!(order, [(0, 4), (1, 4), (2, 4), (3, 4), (0, 1)]);
}

#[test]
fn lanes_of_one_account_take_turns() {
    let mut desk = paced(1.0, 1);
    let mut said = Vec::new();
    // Later in the alphabet waits no longer for it.
    for user in ["zoe", "ann"] {
        let out = desk.got(WORKER, inbound(user, user, "go"));
        let at = prompts(&out).remove(0).at;
        let text = format!("{user} ").repeat(1200);
        let out = desk.answer(&at, &text);
        said.extend(desk.post_all(out));
    }
    for _ in 0..3 {
        let out = desk.wait(1000);
        said.extend(desk.post_all(out));
    }
    let who: Vec<&str> = said.iter().map(|text| &text[..3]).collect();
    assert_eq!(who, ["zoe", "zoe", "ann", "zoe"]);
}

#[test]
fn what_a_lost_link_left_goes_out_at_the_pace_too() {
    let mut desk = paced(1.0, 1);
    for user in ["ann", "bob", "cat"] {
        let out = desk.got(WORKER, inbound(user, user, "go"));
        let at = prompts(&out).remove(0).at;
        desk.answer(&at, "done");
    }
    desk.batch(vec![Event::Down {
        peer: WORKER.into(),
    }]);
    assert!(deliveries(&desk.wait(60_000)).is_empty());
    let mut handed = deliveries(&desk.worker_up());
    assert_eq!(handed.len(), 1);
    for _ in 0..2 {
        handed.extend(deliveries(&desk.wait(1000)));
    }
    let to: Vec<&str> = handed.iter().map(|d| d.address.as_str()).collect();
    assert_eq!(to, ["to-ann", "to-bob", "to-cat"]);
}

#[test]
fn a_pace_is_forgotten_with_the_hub_and_nothing_else_is() {
    let mut desk = paced(0.001, 1);
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let out = desk.answer(&at, &"word ".repeat(600));
    assert_eq!(desk.post_all(out).len(), 1);
    desk.kill_hub();
    let out = desk.worker_up();
    assert_eq!(desk.post_all(out).len(), 1);
}

#[test]
fn help_lists_what_this_person_may_use() {
    let mut desk = with(|plan| {
        plan.commands = vec![
            command("review", "look a file over"),
            command("new", "out of reach behind ours"),
            command("deploy", ""),
        ];
        let project = plan.projects.get_mut("demo").unwrap();
        project.disabled_commands = texts(&["whoami"]);
        let guest = Role {
            disabled_commands: texts(&["new", "deploy"]),
            ..Role::default()
        };
        project.users = roles(Role::default(), guest);
    });
    let review = ("review", "look a file over");
    let guest = Text::Help {
        built_in: &[
            "list", "switch", "stop", "status", "history", "mode", "model", "help",
        ],
        own: &[review],
    };
    let out = desk.says("e1", "/help");
    assert_eq!(desk.post_all(out), [en(guest)]);
    let chief = Text::Help {
        built_in: &[
            "new", "list", "switch", "stop", "status", "history", "mode", "model", "help",
        ],
        own: &[review, ("deploy", "")],
    };
    let out = desk.got(WORKER, inbound("e2", "boss", "/help"));
    assert_eq!(desk.post_all(out), [en(chief)]);
}
