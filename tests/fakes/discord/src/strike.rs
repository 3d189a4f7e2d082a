//! Striking faults: the hands of `faults`.

use std::time::Duration;

use serde_json::json;

use crate::armed::Gate;
use crate::core::Core;
use crate::gateway::{Out, Voice};
use crate::{Act, FakeDiscord, Fault, GatewayFault, Id, Portal, RestAct, RestFault, Times};

/// The route of posting a message.
const MESSAGES: &str = "/channels/{channel.id}/messages";

/// Requests that are held until they are let go.
#[derive(Debug, Clone)]
pub struct Hold {
    fake: FakeDiscord,
    gate: Gate,
    /// Its number, as the control surface names it.
    pub id: u64,
}

impl Hold {
    /// Waits until a request has come to it, at most `deadline`. Says whether one has.
    pub async fn reached(&self, deadline: Duration) -> bool {
        let mut reached = self.gate.reached.subscribe();
        let came = reached.wait_for(|count| *count > 0);
        matches!(tokio::time::timeout(deadline, came).await, Ok(Ok(_)))
    }

    /// Lets go of what it holds and will hold no more.
    pub fn release(&self) {
        self.fake.shared.core().faults.release(self.id);
    }
}

impl FakeDiscord {
    /// Strikes or arms a fault; gives the hold if it is one.
    pub fn fault(&self, fault: Fault) -> Option<Hold> {
        let mut core = self.shared.core();
        let now = core.now();
        match fault {
            Fault::Gateway { what, times } => core.faults.arm_gateway(what, times, now),
            Fault::Now(act) => core.act(&act),
            Fault::Rest(fault) => {
                let id = core.faults.arm_rest(fault, now)?;
                let gate = core.faults.gate(id)?;
                return Some(Hold {
                    fake: self.clone(),
                    gate,
                    id,
                });
            }
            Fault::Portal(change) => core.portal(self.running.scene.bot, change),
            Fault::Clear => core.faults.clear(),
        }
        None
    }

    /// Arms a fault for the coming connections.
    pub fn gateway_fault(&self, what: GatewayFault, times: Times) {
        self.fault(Fault::Gateway { what, times });
    }

    /// Does something to every open connection.
    pub fn now(&self, act: Act) {
        self.fault(Fault::Now(act));
    }

    /// Changes something in the portal.
    pub fn portal(&self, change: Portal) {
        self.fault(Fault::Portal(change));
    }

    /// Arms a fault for the next request of a method and a route (a template or a path below the API base).
    pub fn rest_fault(&self, method: &str, route: &str, times: Times, what: RestAct) {
        self.fault(Fault::Rest(RestFault {
            method: Some(method.into()),
            route: Some(route.into()),
            skip: 0,
            times,
            what,
        }));
    }

    /// Arms a fault for every request.
    pub fn any_rest_fault(&self, times: Times, what: RestAct) {
        self.fault(Fault::Rest(RestFault {
            method: None,
            route: None,
            skip: 0,
            times,
            what,
        }));
    }

    /// Holds the response of a coming message post, after `skip` that pass: the message stands, its sender does not know.
    ///
    /// # Panics
    /// Never: this fault always is a hold.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a hold fault always gives its hold")]
    pub fn hold_post_response(&self, skip: u32) -> Hold {
        let fault = RestFault {
            method: Some("POST".into()),
            route: Some(MESSAGES.into()),
            skip,
            times: Times::Next(1),
            what: RestAct::HoldResponse,
        };
        self.fault(Fault::Rest(fault)).expect("a hold")
    }

    /// Holds a coming message post before it is done, after `skip` that pass.
    ///
    /// # Panics
    /// Never: this fault always is a hold.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a hold fault always gives its hold")]
    pub fn hold_post_request(&self, skip: u32) -> Hold {
        let fault = RestFault {
            method: Some("POST".into()),
            route: Some(MESSAGES.into()),
            skip,
            times: Times::Next(1),
            what: RestAct::HoldRequest,
        };
        self.fault(Fault::Rest(fault)).expect("a hold")
    }

    /// Loses the response of a coming message post, after `skip` that pass: the message stands, the connection is cut.
    pub fn lose_post_response(&self, skip: u32) {
        self.fault(Fault::Rest(RestFault {
            method: Some("POST".into()),
            route: Some(MESSAGES.into()),
            skip,
            times: Times::Next(1),
            what: RestAct::LoseResponse,
        }));
    }

    /// Lets go of a hold by its number; says whether there is one.
    #[must_use]
    pub fn release(&self, hold: u64) -> bool {
        self.shared.core().faults.release(hold)
    }

    /// All armed faults are off; what is held is released.
    pub fn clear_faults(&self) {
        self.fault(Fault::Clear);
    }
}

impl Core {
    fn act(&mut self, act: &Act) {
        match act {
            Act::RepeatLast => return self.repeat_last(),
            Act::RepeatMessage { message } => {
                return self.announce_message("MESSAGE_CREATE", *message);
            }
            Act::Event { name, body } => return self.everywhere(name, &body.to_string()),
            Act::MalformedEvent { name, body } => return self.everywhere(name, body),
            _ => {}
        }
        for link in self.open_links() {
            self.act_on(link, act);
        }
    }

    fn act_on(&mut self, link: u64, act: &Act) {
        match act {
            Act::AskHeartbeat => self.op(link, 1, &json!(null)),
            Act::Reconnect { mute } => {
                self.op(link, 7, &json!(null));
                if *mute {
                    self.set_voice(link, Voice::Mute);
                }
            }
            Act::InvalidSession { resumable } => {
                self.op(link, 9, &json!(resumable));
                let Some(session) = self.session_of(link) else {
                    return;
                };
                // The connection has no session any more: it may RESUME or IDENTIFY as it is, or on a new one.
                self.part(link, &session);
                if !resumable {
                    self.end_session(&session);
                }
            }
            Act::Close { code } => self.close_link(link, *code, "closed on request"),
            Act::Cut { reset } => self.cut_link(link, *reset),
            Act::Mute => self.set_voice(link, Voice::Mute),
            Act::NoAcks => self.set_voice(link, Voice::NoAcks),
            Act::Unmute => self.set_voice(link, Voice::Normal),
            Act::Text { frame } => self.send(link, Out::Text(frame.clone())),
            Act::Binary { bytes } => self.send(link, Out::Binary(vec![0xa5; *bytes])),
            Act::Oversize { bytes } => {
                let shell = r#"{"t":"FAKE_OVERSIZE","s":null,"op":0,"d":""}"#;
                let filling = "x".repeat(bytes.saturating_sub(shell.len()));
                let frame = format!(r#"{{"t":"FAKE_OVERSIZE","s":null,"op":0,"d":"{filling}"}}"#);
                self.send(link, Out::Text(frame));
            }
            Act::EndlessFragments { count, bytes } => {
                for index in 0..*count {
                    // Opcode text for the first, continuation for the rest, FIN never.
                    let opcode = u8::from(index == 0);
                    self.send(link, Out::Raw(raw_frame(opcode, &vec![b'x'; *bytes])));
                }
            }
            Act::Junk { bytes } => self.send(link, Out::Raw(vec![0xff; *bytes])),
            Act::RepeatLast
            | Act::RepeatMessage { .. }
            | Act::Event { .. }
            | Act::MalformedEvent { .. } => {}
        }
    }

    /// Takes a session off a link that stays open.
    fn part(&mut self, link: u64, session: &str) {
        let now = self.now();
        if let Some(link) = self.links.get_mut(&link) {
            link.session = None;
        }
        if let Some(session) = self.sessions.get_mut(session) {
            session.link = None;
            session.alone_since = Some(now);
        }
    }

    fn session_of(&self, link: u64) -> Option<String> {
        self.links.get(&link)?.session.clone()
    }

    fn set_voice(&mut self, link: u64, voice: Voice) {
        if let Some(link) = self.links.get_mut(&link) {
            link.voice = voice;
        }
    }

    /// A numbered dispatch to every session.
    fn everywhere(&mut self, name: &str, body: &str) {
        for session in self.sessions.keys().cloned().collect::<Vec<_>>() {
            self.dispatch_raw(&session, name, body);
        }
    }

    fn portal(&mut self, bot: Id, change: Portal) {
        let now = self.now();
        match change {
            Portal::VoidToken => return self.void_token(bot),
            Portal::GuildOutage { guild, out } => return self.guild_outage(guild, out),
            Portal::Deny {
                user,
                channel,
                bits,
            } => {
                if let Some(place) = self.world.channels.get_mut(&channel) {
                    place.denied.insert(user, bits);
                }
                return self.announce_channel("CHANNEL_UPDATE", channel);
            }
            Portal::ExpireAttachments => {
                self.files_void_until_s = self.files_void_until_s.max(now / 1000) + 1;
                return;
            }
            _ => {}
        }
        let total = self.options.identify_total;
        let Some(bot) = self.world.bots.get_mut(&bot) else {
            return;
        };
        match change {
            Portal::ContentIntent(on) => bot.application.content_intent = on,
            Portal::InteractionsEndpoint(url) => bot.application.interactions_endpoint_url = url,
            Portal::Team(members) => {
                bot.application.team = (!members.is_empty()).then_some(members)
            }
            Portal::RestoreToken => bot.token_valid = true,
            Portal::IdentifyBudget {
                remaining,
                reset_after_ms,
            } => {
                bot.budget = crate::world::Budget {
                    total,
                    remaining,
                    resets_at: now + reset_after_ms,
                };
            }
            Portal::VoidToken
            | Portal::GuildOutage { .. }
            | Portal::Deny { .. }
            | Portal::ExpireAttachments => {}
        }
    }

    fn guild_outage(&mut self, guild: Id, out: bool) {
        let Some(it) = self.world.guilds.get_mut(&guild) else {
            return;
        };
        it.unavailable = out;
        if out {
            self.tell_guild(
                guild,
                "GUILD_DELETE",
                &json!({ "id": guild, "unavailable": true }),
            );
        } else {
            self.announce_guild(guild);
        }
    }
}

/// A server's WebSocket frame without FIN, whole.
fn raw_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![opcode];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}
