//! Buttons, lists and menu commands.
//!
//! Promises: what somebody pressed or chose is acknowledged at once, before the hub is asked, past
//! every queue and without the bot's token; it reaches the hub as every event does. The answer that
//! Discord waits for, and whatever only one person is to see, goes by the interaction's own token
//! while that is good; all else is an ordinary message, which a nonce keeps from standing twice.
//! Tokens are kept in memory alone.
//!
//! Who may decide what is the hub's to say.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_schema::{Access, Act, Deliver, Failure, Inbound, Sender};
use secrecy::SecretString;
use tracing::{debug, warn};
use worker_kit::hub::Offer;

use crate::access::{Person, Place, Verdict};
use crate::bot::{Bot, lock};
use crate::events::{Interaction, User};
use crate::form;
use crate::intake::Home;
use crate::post::{Message, Outcome, posted};
use crate::rest::Once;
use crate::rest::refusal;
use crate::rest::writes::{self, Ack};
use crate::snowflake::Id;
use crate::take;

/// How long a token is good; Discord says fifteen minutes.
const GOOD: Duration = Duration::from_secs(14 * 60);
/// The most that are remembered.
const MOST: usize = 1024;
/// Tries of an acknowledgement, within the three seconds that Discord waits.
const ACKS: u32 = 2;
/// Tries of an answer.
const ANSWERS: u32 = 4;
/// The longest wait for a limit.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest text of a command, in characters.
const TEXT: usize = 4_000;

/// Interactions that can be answered, the oldest first to be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Answerable {
    known: HashMap<String, Open>,
    order: VecDeque<String>,
}

#[derive(Debug, Clone)]
struct Open {
    token: SecretString,
    since: Instant,
    /// A command whose deferred answer has not come yet.
    deferred: bool,
}

impl Answerable {
    fn note(&mut self, id: Id, token: SecretString, deferred: bool, now: Instant) {
        let open = Open {
            token,
            since: now,
            deferred,
        };
        if self.known.insert(id.to_string(), open).is_some() {
            return;
        }
        self.order.push_back(id.to_string());
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn open(&self, id: &str, now: Instant) -> Option<Open> {
        let open = self.known.get(id)?;
        (now - open.since < GOOD).then(|| open.clone())
    }

    /// Its deferred answer has come.
    fn answered(&mut self, id: &str) {
        if let Some(open) = self.known.get_mut(id) {
            open.deferred = false;
        }
    }
}

/// What it asks for, if it is one of ours.
fn act(interaction: &Interaction) -> Option<Act> {
    let data = &interaction.data;
    match interaction.kind {
        2 if !data.name.is_empty() => Some(Act::Command),
        3 => {
            let (question, value) = form::pressed(&data.custom_id)?;
            let values = match value {
                "" => data.values.clone(),
                value => vec![value.to_owned()],
            };
            Some(Act::Pressed {
                question: question.to_owned(),
                values,
            })
        }
        _ => None,
    }
}

/// The text form of a command.
fn text(interaction: &Interaction) -> String {
    let mut text = format!("/{}", interaction.data.name);
    for given in &interaction.data.options {
        let value = match &given.value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => continue,
            other => other.to_string(),
        };
        text.push(' ');
        text.push_str(&value);
    }
    text.chars().take(TEXT).collect()
}

/// Acknowledges it, beside everything else; false if it is none of ours.
pub(crate) fn acknowledge(bot: &Arc<Bot>, interaction: &Interaction) -> bool {
    let ack = match act(interaction) {
        None => return false,
        Some(Act::Command) => {
            let name = &interaction.data.name;
            let specs = bot.hub.commands();
            let spec = specs.iter().find(|spec| spec.name == *name);
            let private = spec.is_none_or(|spec| spec.private);
            Ack::Command { private }
        }
        Some(_) => Ack::Pressed,
    };
    let (id, token) = (interaction.id, interaction.token.clone());
    let deferred = matches!(ack, Ack::Command { .. });
    lock(&bot.answerable).note(id, token.clone(), deferred, Instant::now());
    let bot = Arc::clone(bot);
    tokio::spawn(async move {
        let call = writes::callback(id, ack);
        // Cloudflare counts whatever comes from a banned address.
        if bot.rest.address_held().is_some() {
            return warn!("Cloudflare holds this machine's address: an interaction fails");
        }
        for _ in 0..ACKS {
            match bot.rest.once_hook(&call, &token, &[]).await {
                Once::Done(_) => return,
                // 40060: it is acknowledged, by an earlier try or before a restart.
                Once::Refused(refused) if refused.code == 40060 => return,
                Once::Refused(refused) => {
                    debug!(code = refused.code, "an interaction is not acknowledged");
                    return;
                }
                Once::Limited | Once::Unauthorized | Once::Trouble { .. } => {}
            }
        }
        warn!("an interaction could not be acknowledged in time");
    });
    true
}

/// Offers it to the hub.
pub(crate) async fn offer(bot: &Bot, interaction: Interaction) -> Offer {
    let inbound = inbound(bot, &interaction).await;
    let trace = format!("discord-{}", interaction.id);
    bot.hub.offer(inbound, &trace).await
}

async fn inbound(bot: &Bot, interaction: &Interaction) -> Inbound {
    let (guild, channel) = (interaction.guild_id, interaction.channel_id);
    if let Some(mut known) = interaction.channel.clone()
        && known.id == channel
    {
        known.guild_id = guild;
        bot.world().channel(known);
    } else if guild.is_some() {
        take::learn(bot, channel).await;
    }
    let nobody = User::default();
    let (user, roles, nick) = match (&interaction.member, &interaction.user) {
        (Some(member), _) => (&member.user, &member.roles[..], member.nick.as_str()),
        (None, Some(user)) => (user, &[][..], ""),
        (None, None) => (&nobody, &[][..], ""),
    };
    let place = match guild {
        None => Place::Direct,
        Some(guild) => Place::Guild {
            guild,
            channel,
            parent: bot.world().known_channel(channel).and_then(|it| it.parent),
        },
    };
    let person = Person { id: user.id, roles };
    let access = match bot.rules.judge(place, person, &bot.owners) {
        Verdict::Granted => Access::Granted,
        Verdict::Refused | Verdict::Elsewhere => Access::Refused,
    };
    let home = Home::of(guild, channel, user.id, &bot.world(), &bot.habits);
    let name = if nick.is_empty() { user.name() } else { nick };
    let act = act(interaction).unwrap_or(Act::Unknown);
    let granted = access == Access::Granted;
    Inbound {
        event_id: interaction.id.to_string(),
        conversation: home.conversation,
        address: channel.to_string(),
        direct: home.direct,
        shared: home.shared,
        sender: Sender {
            id: user.id.to_string(),
            name: name.chars().filter(|c| !c.is_control()).take(100).collect(),
            owner: bot.owners.contains(&user.id),
        },
        access,
        text: match act {
            Act::Command if granted => text(interaction),
            _ => String::new(),
        },
        sent_at_ms: interaction.id.at_ms(),
        act,
        ..Inbound::default()
    }
}

/// Answers an interaction by its token; `None` if that need not be or can no longer be done, and the
/// chunk is to be posted as any other.
pub(crate) async fn answer(bot: &Bot, deliver: &Deliver, message: &Message<'_>) -> Option<Outcome> {
    let open = lock(&bot.answerable).open(&deliver.answers, Instant::now())?;
    let id: Id = deliver.answers.parse().ok()?;
    let call = if open.deferred {
        writes::original(bot.application, id, message.body())
    } else if deliver.private {
        // Without a nonce, and never found in a channel's history.
        if deliver.age_ms > 0 {
            return Some(ambiguous());
        }
        writes::follow_up(bot.application, id, message.body(), deliver.silent)
    } else {
        return None;
    };
    for _ in 0..ANSWERS {
        if bot.rest.place(&call.key, PATIENCE).await.is_err() {
            return None;
        }
        match bot.rest.once_hook(&call, &open.token, &message.files).await {
            Once::Done(body) => {
                lock(&bot.answerable).answered(&deliver.answers);
                let id = posted(&body).map(|id| id.to_string());
                return Some(Outcome::done(id.unwrap_or_default()));
            }
            Once::Refused(refused) => {
                debug!(
                    code = refused.code,
                    over = refusal::is_over(&refused),
                    "an interaction cannot be answered"
                );
                return None;
            }
            // A second one would stand beside it.
            Once::Trouble { sent: true, .. } if !open.deferred => return Some(ambiguous()),
            Once::Unauthorized => return None,
            Once::Limited | Once::Trouble { .. } => {}
        }
    }
    None
}

fn ambiguous() -> Outcome {
    let why = "it may stand already, and Discord shows nobody but its reader whether it does";
    Outcome::Failed(Failure::Ambiguous, why.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn interaction(kind: u8, data: Value) -> Interaction {
        serde_json::from_value(json!({
            "id": "5", "type": kind, "token": "canary", "data": data, "channel_id": "7",
            "member": {"user": {"id": "1", "username": "ann"}, "roles": ["9"]}, "guild_id": "3",
        }))
        .unwrap()
    }

    #[test]
    fn what_was_pressed_or_chosen_is_read() {
        let button = interaction(3, json!({"custom_id": "q:1-2:allow"}));
        let pressed = |values: &[&str]| {
            Some(Act::Pressed {
                question: "1-2".into(),
                values: values.iter().map(|value| value.to_string()).collect(),
            })
        };
        assert_eq!(act(&button), pressed(&["allow"]));
        let list = interaction(3, json!({"custom_id": "q:1-2:", "values": ["0", "3"]}));
        assert_eq!(act(&list), pressed(&["0", "3"]));
        let strange = interaction(3, json!({"custom_id": "other"}));
        assert_eq!(act(&strange), None);
        assert_eq!(act(&interaction(5, json!({"custom_id": "q:1:x"}))), None);
        let options = json!([{"name": "count", "value": 3}, {"name": "x", "value": "a b"}]);
        let command = interaction(2, json!({"name": "history", "options": options}));
        assert_eq!(act(&command), Some(Act::Command));
        assert_eq!(text(&command), "/history 3 a b");
    }

    #[test]
    fn a_token_is_forgotten_and_never_shown() {
        let mut answerable = Answerable::default();
        let now = Instant::now();
        let one = interaction(2, json!({"name": "new"}));
        answerable.note(one.id, one.token.clone(), true, now);
        assert!(answerable.open("5", now).unwrap().deferred);
        answerable.answered("5");
        assert!(!answerable.open("5", now).unwrap().deferred);
        assert!(answerable.open("5", now + GOOD).is_none());
        assert!(!format!("{answerable:?} {one:?}").contains("canary"));
        for n in 0..5000 {
            answerable.note(Id(n), one.token.clone(), false, now);
        }
        assert_eq!(
            (answerable.known.len(), answerable.order.len()),
            (MOST, MOST)
        );
    }
}
