//! The HTTP control surface.
//!
//! ```text
//! GET  /control/health
//! GET  /control/world                     users, bots with tokens, guilds, channels
//! GET  /control/ledger?since=&wait_ms=    what people saw, by long poll
//! GET  /control/wire?since=&wait_ms=      what bots did, by long poll
//! GET  /control/transcript?channel=ID     what a channel shows now
//! POST /control/say      {"user","channel","text","reply_to"?,"quiet"?,"files"?:[{"name","content_type"?,"base64"}]}
//! POST /control/dm       {"user","text"}
//! POST /control/edit     {"user","message","text"}
//! POST /control/delete   {"user","message"}
//! POST /control/click    {"user","message","custom_id"}
//! POST /control/choose   {"user","message","custom_id","values":[]}
//! POST /control/command  {"user","channel","name","options"?:[]}
//! POST /control/react    {"user","message","emoji","on"?:true}
//! POST /control/thread   {"user","channel","message"?,"name"}
//! POST /control/wait_reply {"channel","after","wait_ms"?:10000}
//! POST /control/user     {"name","guild"?}
//! POST /control/channel  {"guild","name"}
//! POST /control/fault    a fault, as below; answers {"hold": N} if it is one
//! POST /control/release  {"hold": N}
//! POST /control/options  options to change, as `{"rate_limits": false}`
//! POST /control/advance  {"ms": N}
//! POST /control/outage   {"part": "main"|"resume"|"cdn", "on": true}
//! ```
//!
//! A fault is one of `{"gateway": {"what": W, "times": T}}`, `{"now": A}`, `{"rest": {"method"?, "route"?, "skip"?, "times"?, "what": R}}`,
//! `{"portal": P}` or `"clear"`, for example:
//!
//! ```text
//! {"gateway": {"what": "no_hello", "times": {"next": 2}}}
//! {"gateway": {"what": {"refuse_resume": {}}, "times": "always"}}
//! {"now": {"reconnect": {"mute": true}}}          {"now": {"close": {"code": 4009}}}      {"now": {"cut": {}}}
//! {"rest": {"method": "POST", "route": "/channels/{channel.id}/messages", "what": "lose_response"}}
//! {"rest": {"times": {"for_ms": 60000}, "what": {"cloudflare": {}}}}
//! {"portal": {"content_intent": false}}           {"portal": "void_token"}
//! ```
//!
//! Every name is that of [`crate::Fault`] and its parts, in snake case. Ids may be strings or numbers.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fake_kit::control::{Asked, Refusal, ledger, router as common};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{FakeDiscord, Fault, File, Id, Options, Part, Refused, Say};

type Answer = Result<Json<Value>, Refusal>;

/// The routes of the control surface of a fake.
pub fn router(fake: FakeDiscord) -> Router {
    common("fake-discord")
        .route(
            "/control/world",
            get(|State(fake): State<FakeDiscord>| async move { Json(fake.world()) }),
        )
        .route("/control/ledger", ledger(fake.seen().clone()))
        .route("/control/wire", ledger(fake.wire().clone()))
        .route("/control/transcript", get(transcript))
        .route("/control/say", post(say))
        .route("/control/dm", post(dm))
        .route("/control/edit", post(edit))
        .route("/control/delete", post(delete))
        .route("/control/click", post(click))
        .route("/control/choose", post(choose))
        .route("/control/command", post(command))
        .route("/control/react", post(react))
        .route("/control/thread", post(thread))
        .route("/control/wait_reply", post(wait_reply))
        .route("/control/user", post(user))
        .route("/control/channel", post(channel))
        .route("/control/fault", post(fault))
        .route("/control/release", post(release))
        .route("/control/options", post(options))
        .route("/control/advance", post(advance))
        .route("/control/outage", post(outage))
        .with_state(fake)
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoUser(_) | Refused::NoChannel(_) | Refused::NoMessage(_) => {
                Self::missing(refused)
            }
            _ => Self::wrong(refused),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    channel: Id,
}

async fn transcript(State(fake): State<FakeDiscord>, Query(at): Query<Place>) -> Json<Value> {
    Json(json!(fake.transcript(at.channel)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAsked {
    name: String,
    #[serde(default)]
    content_type: Option<String>,
    base64: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SayAsked {
    user: Id,
    channel: Id,
    #[serde(default)]
    text: String,
    #[serde(default)]
    reply_to: Option<Id>,
    #[serde(default)]
    quiet: bool,
    #[serde(default)]
    files: Vec<FileAsked>,
}

async fn say(State(fake): State<FakeDiscord>, Asked(asked): Asked<SayAsked>) -> Answer {
    let mut files = Vec::new();
    for file in asked.files {
        let data = STANDARD.decode(&file.base64).map_err(Refusal::wrong)?;
        files.push(File {
            name: file.name,
            content_type: file.content_type,
            data,
        });
    }
    let say = Say {
        text: asked.text,
        reply_to: asked.reply_to,
        quiet: asked.quiet,
        files,
    };
    Ok(Json(
        json!({ "message": fake.says(asked.user, asked.channel, say)? }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DmAsked {
    user: Id,
    text: String,
}

async fn dm(State(fake): State<FakeDiscord>, Asked(asked): Asked<DmAsked>) -> Answer {
    let channel = fake.dm_channel(asked.user);
    let message = fake.says(asked.user, channel, Say::text(asked.text))?;
    Ok(Json(json!({ "channel": channel, "message": message })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditAsked {
    user: Id,
    message: Id,
    text: String,
}

async fn edit(State(fake): State<FakeDiscord>, Asked(asked): Asked<EditAsked>) -> Answer {
    fake.edit(asked.user, asked.message, &asked.text)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteAsked {
    user: Id,
    message: Id,
}

async fn delete(State(fake): State<FakeDiscord>, Asked(asked): Asked<DeleteAsked>) -> Answer {
    fake.delete(asked.user, asked.message)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentAsked {
    user: Id,
    message: Id,
    custom_id: String,
    #[serde(default)]
    values: Vec<String>,
}

async fn click(State(fake): State<FakeDiscord>, Asked(asked): Asked<ComponentAsked>) -> Answer {
    let id = fake.click(asked.user, asked.message, &asked.custom_id)?;
    Ok(Json(json!({ "interaction": id })))
}

async fn choose(State(fake): State<FakeDiscord>, Asked(asked): Asked<ComponentAsked>) -> Answer {
    let values: Vec<&str> = asked.values.iter().map(String::as_str).collect();
    let id = fake.choose(asked.user, asked.message, &asked.custom_id, &values)?;
    Ok(Json(json!({ "interaction": id })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandAsked {
    user: Id,
    channel: Id,
    name: String,
    #[serde(default)]
    options: Vec<Value>,
}

async fn command(State(fake): State<FakeDiscord>, Asked(asked): Asked<CommandAsked>) -> Answer {
    let id = fake.command(
        asked.user,
        asked.channel,
        &asked.name,
        Value::Array(asked.options),
    )?;
    Ok(Json(json!({ "interaction": id })))
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReactAsked {
    user: Id,
    message: Id,
    emoji: String,
    #[serde(default = "yes")]
    on: bool,
}

async fn react(State(fake): State<FakeDiscord>, Asked(asked): Asked<ReactAsked>) -> Answer {
    fake.react(asked.user, asked.message, &asked.emoji, asked.on)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThreadAsked {
    user: Id,
    channel: Id,
    #[serde(default)]
    message: Option<Id>,
    name: String,
}

async fn thread(State(fake): State<FakeDiscord>, Asked(asked): Asked<ThreadAsked>) -> Answer {
    let id = fake.make_thread(asked.user, asked.channel, asked.message, &asked.name)?;
    Ok(Json(json!({ "thread": id })))
}

fn ten_seconds() -> u64 {
    10_000
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitAsked {
    channel: Id,
    after: Id,
    #[serde(default = "ten_seconds")]
    wait_ms: u64,
}

async fn wait_reply(State(fake): State<FakeDiscord>, Asked(asked): Asked<WaitAsked>) -> Answer {
    let deadline = Duration::from_millis(asked.wait_ms);
    let line = fake.wait_reply(asked.channel, asked.after, deadline).await;
    line.map(|line| Json(json!(line))).map_err(Refusal::late)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserAsked {
    name: String,
    #[serde(default)]
    guild: Option<Id>,
}

async fn user(State(fake): State<FakeDiscord>, Asked(asked): Asked<UserAsked>) -> Answer {
    let user = fake.add_user(&asked.name);
    if let Some(guild) = asked.guild {
        fake.join(guild, user);
    }
    Ok(Json(json!({ "user": user })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelAsked {
    guild: Id,
    name: String,
}

async fn channel(State(fake): State<FakeDiscord>, Asked(asked): Asked<ChannelAsked>) -> Answer {
    Ok(Json(
        json!({ "channel": fake.add_channel(asked.guild, &asked.name) }),
    ))
}

async fn fault(State(fake): State<FakeDiscord>, Asked(fault): Asked<Fault>) -> Answer {
    let hold = fake.fault(fault);
    Ok(Json(hold.map_or_else(
        || json!({}),
        |hold| json!({ "hold": hold.id }),
    )))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseAsked {
    hold: u64,
}

async fn release(State(fake): State<FakeDiscord>, Asked(asked): Asked<ReleaseAsked>) -> Answer {
    if fake.release(asked.hold) {
        Ok(Json(json!({})))
    } else {
        Err(Refusal::missing(format!("there is no hold {}", asked.hold)))
    }
}

async fn options(State(fake): State<FakeDiscord>, Asked(asked): Asked<Value>) -> Answer {
    let Value::Object(asked) = asked else {
        return Err(Refusal::wrong(
            "options are an object, such as {\"rate_limits\": false}",
        ));
    };
    // Those that are not named stay as they are.
    let mut merged = serde_json::to_value(fake.options()).map_err(Refusal::wrong)?;
    for (key, value) in asked {
        merged[key] = value;
    }
    let merged: Options = serde_json::from_value(merged).map_err(Refusal::wrong)?;
    fake.set(|options| *options = merged.clone());
    Ok(Json(json!(merged)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdvanceAsked {
    ms: u64,
}

async fn advance(State(fake): State<FakeDiscord>, Asked(asked): Asked<AdvanceAsked>) -> Answer {
    fake.advance(Duration::from_millis(asked.ms));
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageAsked {
    part: Part,
    on: bool,
}

async fn outage(State(fake): State<FakeDiscord>, Asked(asked): Asked<OutageAsked>) -> Answer {
    if asked.on {
        fake.outage(asked.part).await;
    } else {
        fake.restore(asked.part).await.map_err(Refusal::wrong)?;
    }
    Ok(Json(json!({})))
}
