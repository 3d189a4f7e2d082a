//! From the agent's first word to the conversation: what it can do, its login, and the conversation that
//! is gone on with or begun. A part of the [`Protocol`]. Pure.

use std::time::Instant;

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{
    Error, ErrorCode, InitializeResponse, LoadSessionRequest, NewSessionRequest,
    ResumeSessionRequest,
};
use ipc_schema::Fault;
use serde_json::{Value, json};

use super::protocol::{Act, Protocol, Stage};
use super::setup::{Offer, Opened};
use super::words;

impl Protocol {
    pub(super) fn greeted(&mut self, said: &str, now: Instant) -> Vec<Act> {
        let Ok(said) = serde_json::from_str::<InitializeResponse>(said) else {
            let words = "its answer to `initialize` is not that of an ACP agent".into();
            return self.cannot(Fault::Agent { words });
        };
        self.offer = Offer::of(&said);
        if said.protocol_version != ProtocolVersion::V1 {
            let words = format!(
                "it speaks version {} of ACP and not version 1: another release of it may do",
                said.protocol_version
            );
            return self.cannot(Fault::Agent { words });
        }
        self.opens(false, now)
    }

    /// Asks for the conversation.
    pub(super) fn opens(&mut self, logged_in: bool, now: Instant) -> Vec<Act> {
        let cwd = self.beginning.cwd.clone();
        let old = self.beginning.conversation.clone();
        let (old, lost) = match old {
            Some(old) if self.can_resume() => (Some(old), None),
            Some(_) => {
                let why = "this agent keeps no conversation beyond its process".to_owned();
                (None, Some(why))
            }
            None => (None, None),
        };
        self.stage = Stage::Opens {
            old: old.is_some(),
            logged_in,
            lost,
        };
        let servers = self.beginning.servers.clone();
        let act = match old {
            // Without a replay, where that can be had.
            Some(old) if self.offer.resume => self.request(
                "session/resume",
                // Some want the list even if there is nothing in it.
                &with_servers(&ResumeSessionRequest::new(old, cwd).mcp_servers(servers)),
                now,
            ),
            Some(old) => {
                let load = LoadSessionRequest::new(old, cwd).mcp_servers(servers);
                self.request("session/load", &load, now)
            }
            None => self.begins(now),
        };
        vec![act]
    }

    /// Asks for a new conversation.
    pub(super) fn begins(&mut self, now: Instant) -> Act {
        let beginning = &self.beginning;
        let new = NewSessionRequest::new(beginning.cwd.clone());
        let new = new.mcp_servers(beginning.servers.clone());
        self.request("session/new", &new, now)
    }

    pub(super) fn opened(
        &mut self,
        result: Result<&str, Error>,
        old: bool,
        logged_in: bool,
        lost: Option<String>,
        now: Instant,
    ) -> Vec<Act> {
        let opened = match result {
            Ok(said) => serde_json::from_str::<Opened>(said).unwrap_or_default(),
            Err(error) if error.code == ErrorCode::AuthRequired && !logged_in => {
                let Some(login) = self.beginning.login.clone() else {
                    return self.cannot(words::failed(&error, &self.offer));
                };
                self.stage = Stage::LogsIn;
                return vec![self.request("authenticate", &json!({"methodId": login}), now)];
            }
            // It does not have it any more: told, and a new one is begun.
            Err(error) if old && error.code == ErrorCode::ResourceNotFound => {
                self.stage = Stage::Opens {
                    old: false,
                    logged_in,
                    lost: Some("the agent no longer has it".into()),
                };
                return vec![self.begins(now)];
            }
            Err(error) => {
                let mut fault = words::failed(&error, &self.offer);
                if let (Fault::Agent { words }, true) = (&mut fault, old) {
                    *words = format!(
                        "it cannot go on with this conversation: {words}. If it stays so, /new \
                         begins another"
                    );
                }
                return self.cannot(fault);
            }
        };
        let session = match (&self.beginning.conversation, old) {
            (Some(old), true) => Some(old.clone()),
            _ => opened.session_id.clone().filter(|id| !id.is_empty()),
        };
        let Some(session) = session else {
            let words = "its answer to `session/new` names no session".into();
            return self.cannot(Fault::Agent { words });
        };
        self.session.clone_from(&session);
        self.knobs = opened.knobs();
        self.stage = Stage::Open;
        vec![Act::Opened(session, lost)]
    }
}

/// With an empty list of servers, which the crate leaves out.
fn with_servers(request: &ResumeSessionRequest) -> Value {
    let mut request = serde_json::to_value(request).unwrap_or_default();
    if let Value::Object(fields) = &mut request {
        fields.entry("mcpServers").or_insert_with(|| json!([]));
    }
    request
}
