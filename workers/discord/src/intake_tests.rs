use serde_json::{Value, json};

use super::*;

const ME: u64 = 7;

/// A server 100 with channel 103, somebody's thread 104 and our own thread 105 in it.
pub(crate) fn world() -> World {
    let mut world = World::new(Id(ME));
    let guild = json!({"id": "100",
        "roles": [{"id": "101", "name": "Bulkhead", "tags": {"bot_id": "7"}}, {"id": "102", "name": "crew"}],
        "channels": [{"id": "103", "name": "general", "type": 0}],
        "threads": [{"id": "104", "name": "t", "type": 11, "parent_id": "103", "owner_id": "1"},
            {"id": "105", "name": "o", "type": 11, "parent_id": "103", "owner_id": "7"}]});
    world.guild(serde_json::from_value(guild).unwrap());
    world
}

/// Ann's "hello" in channel 103, changed by `extra`.
pub(crate) fn message(extra: Value) -> Message {
    let mut json = json!({"id": "175928847299117063", "channel_id": "103", "guild_id": "100", "content": "hello",
        "author": {"id": "1", "username": "ann", "global_name": "Ann"}, "member": {"nick": "", "roles": ["102"]}});
    json.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

fn to(extra: Value, habits: &Habits) -> Addressed {
    addressed(&message(extra), &world(), habits, false)
}

#[test]
fn who_is_spoken_to() {
    let me = json!([{"id": "7", "username": "bulkhead"}]);
    for (extra, expected) in [
        (json!({}), Addressed::No),
        (json!({"guild_id": null}), Addressed::Directly),
        (json!({"mentions": me}), Addressed::Directly),
        (json!({"mentions": me, "type": 19}), Addressed::Directly),
        (json!({"mentions": me, "type": 7}), Addressed::No),
        (json!({"mentions": [{"id": "8"}]}), Addressed::No),
        (json!({"mention_roles": ["101"]}), Addressed::Directly),
        (json!({"mention_roles": ["102"]}), Addressed::No),
        (
            json!({"mention_roles": ["901"], "guild_id": "900"}),
            Addressed::Perhaps,
        ),
        (json!({"mention_everyone": true}), Addressed::No),
        // The text alone names us (a code block, a quote): Discord says that it is no mention.
        (json!({"content": "<@7> hello"}), Addressed::No),
        (
            json!({"mentions": me, "author": {"id": "2", "bot": true}}),
            Addressed::No,
        ),
        (
            json!({"mentions": me, "author": {"id": "7"}}),
            Addressed::No,
        ),
        (json!({"mentions": me, "webhook_id": "5"}), Addressed::No),
        (
            json!({"guild_id": null, "author": {"id": "643945264868098049", "system": true}}),
            Addressed::No,
        ),
    ] {
        assert_eq!(to(extra.clone(), &Habits::default()), expected, "{extra}");
    }
}

#[test]
fn what_the_habits_add() {
    let all = Habits {
        reply_all: true,
        ..Habits::default()
    };
    let in_guilds = |everyone: bool, guild: u64| Habits {
        reply_all_guilds: Some(People {
            everyone,
            ids: [Id(guild)].into(),
        }),
        ..Habits::default()
    };
    let but_there = Habits {
        reply_all: true,
        ..in_guilds(false, 200)
    };
    let loud = Habits {
        everyone_counts: true,
        ..Habits::default()
    };
    let at_all = json!({"mention_everyone": true});
    for (habits, extra, expected) in [
        (&all, json!({}), Addressed::InPassing),
        (&all, json!({"content": ""}), Addressed::No),
        (
            &all,
            json!({"content": "", "attachments": [{}]}),
            Addressed::InPassing,
        ),
        // Forwarded with nothing said to it.
        (
            &all,
            json!({"content": "", "message_snapshots": [{"message": {"content": "far"}}]}),
            Addressed::InPassing,
        ),
        (
            &all,
            json!({"content": "", "message_snapshots": [{"message": {"content": ""}}]}),
            Addressed::No,
        ),
        (
            &all,
            json!({"mentions": [{"id": "7"}]}),
            Addressed::Directly,
        ),
        (&in_guilds(false, 100), json!({}), Addressed::InPassing),
        (&in_guilds(false, 200), json!({}), Addressed::No),
        (&in_guilds(true, 200), json!({}), Addressed::InPassing),
        (&but_there, json!({}), Addressed::No),
        (&loud, at_all.clone(), Addressed::Directly),
        (&loud, json!({}), Addressed::No),
    ] {
        assert_eq!(to(extra.clone(), habits), expected, "{extra} {habits:?}");
    }
}

#[test]
fn follow_ups_in_a_thread_need_no_mention_if_it_is_ours() {
    let habits = Habits {
        threads: true,
        ..Habits::default()
    };
    let own = json!({"channel_id": "105"});
    let others = json!({"channel_id": "104"});
    let unknown = json!({"channel_id": "106"});
    assert_eq!(to(own.clone(), &habits), Addressed::InPassing);
    assert_eq!(to(others.clone(), &habits), Addressed::No);
    assert_eq!(to(unknown, &habits), Addressed::Perhaps);
    assert_eq!(to(json!({}), &habits), Addressed::No, "a channel");
    let mut halfway = world();
    let half = json!({"id": "107", "type": 11, "parent_id": "103"});
    halfway.channel(serde_json::from_value(half).unwrap());
    let there = message(json!({"channel_id": "107"}));
    assert_eq!(
        addressed(&there, &halfway, &habits, false),
        Addressed::Perhaps,
        "nobody said who opened it"
    );
    let adopted = addressed(&message(others), &world(), &habits, true);
    assert_eq!(adopted, Addressed::InPassing);
    let empty = json!({"channel_id": "105", "content": ""});
    assert_eq!(
        to(empty, &habits),
        Addressed::No,
        "without the content intent"
    );
    assert_eq!(to(own, &Habits::default()), Addressed::No);
}

#[test]
fn conversations() {
    let share = Habits {
        share_in_channel: true,
        ..Habits::default()
    };
    let threads = Habits {
        threads: true,
        ..Habits::default()
    };
    let both = Habits {
        threads: true,
        ..share.clone()
    };
    let guild = Some(Id(100));
    for (habits, guild, channel, expected, shared) in [
        (&Habits::default(), None, 55, "dm:1", false),
        (&share, None, 55, "dm:1", false),
        (&both, None, 55, "dm:1", false),
        (&Habits::default(), guild, 103, "channel:103:1", false),
        (&share, guild, 103, "channel:103", true),
        (&Habits::default(), guild, 104, "channel:104:1", false),
        (&share, guild, 104, "channel:104", true),
        (&threads, guild, 103, "channel:103:1", false),
        (&both, guild, 103, "channel:103", true),
        (&threads, guild, 104, "thread:104", true),
        (&both, guild, 105, "thread:105", true),
    ] {
        let home = Home::of(guild, Id(channel), Id(1), &world(), habits);
        assert_eq!(home.conversation, expected);
        assert_eq!((home.shared, home.direct), (shared, guild.is_none()));
        assert_eq!(home.channel, Id(channel));
    }
}

#[test]
fn a_thread_is_judged_with_its_parent_and_unknown_channels_are_found() {
    let thread = message(json!({"channel_id": "104", "content": "<#103> <#500> <#501>"}));
    let expected = Place::Guild {
        guild: Id(100),
        channel: Id(104),
        parent: Some(Id(103)),
    };
    assert_eq!(place(&thread, &world()), expected);
    assert_eq!(
        unknown_channels(&thread, &world()),
        [Id(500), Id(501)].into()
    );
}
