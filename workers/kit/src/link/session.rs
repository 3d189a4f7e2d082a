//! What an envelope means on one connection. Pure.

use ipc_schema::{Body, Envelope, Grant, Hello, Nack, Refuse, SCHEMA, SCHEMA_MIN, Welcome, agree};

use super::LinkConfig;
use super::LinkEvent;
use super::outgoing::Outgoing;
use super::relink::Ended;

/// The first envelope on a connection.
pub(crate) fn hello(config: &LinkConfig) -> Envelope {
    let hello = Hello {
        schema_min: SCHEMA_MIN,
        schema_max: SCHEMA,
        software: config.software.clone(),
        peer_kind: config.kind.clone(),
        instance: config.instance.clone(),
        generation: config.generation,
        capabilities: config.capabilities.clone(),
        link_key: config.link_key.clone(),
    };
    Envelope {
        id: 1,
        trace: String::new(),
        body: Body::Hello(hello),
    }
}

/// One connection, after its Hello was sent.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) up: bool,
}

impl Session {
    /// Takes one envelope: an event for the layer above, if it is one, or the end of the link.
    pub(crate) fn received(
        &mut self,
        envelope: Envelope,
        out: &mut Outgoing,
        grant: &mut Grant,
    ) -> Result<Option<LinkEvent>, Ended> {
        if !self.up {
            return self.greeted(envelope, out, grant);
        }
        if envelope.body.costs_credit() {
            grant
                .received()
                .map_err(|overdrawn| Ended::Fell(overdrawn.to_string()))?;
        }
        match envelope.body {
            Body::Credit(credit) => {
                out.grant(credit);
                Ok(None)
            }
            Body::Nack(nack) => {
                let ticket = out.ticket(nack.id);
                Ok(Some(LinkEvent::Nacked {
                    ticket,
                    why: nack.why,
                }))
            }
            Body::Unknown => {
                let why = "this version does not know that kind".into();
                // A queue of nacks so long that it is full means a hub that does not read: let it be.
                let _ = out.push(
                    Body::Nack(Nack {
                        id: envelope.id,
                        why,
                    }),
                    &envelope.trace,
                );
                Ok(None)
            }
            Body::Refuse(Refuse { code, hint }) => Err(Ended::Refused(code, hint)),
            Body::Hello(_) | Body::Welcome(_) => {
                Err(Ended::Fell("the hub greeted twice on one link".into()))
            }
            _ => Ok(Some(LinkEvent::Got(envelope))),
        }
    }

    fn greeted(
        &mut self,
        envelope: Envelope,
        out: &mut Outgoing,
        grant: &mut Grant,
    ) -> Result<Option<LinkEvent>, Ended> {
        match envelope.body {
            Body::Welcome(welcome) if agree(welcome.schema, welcome.schema).is_some() => {
                self.up = true;
                out.open(welcome.credit);
                *grant = Grant::default();
                Ok(Some(LinkEvent::Up(welcome)))
            }
            Body::Welcome(Welcome { schema, .. }) => {
                let hint = format!("the hub welcomed with schema {schema}, which was not offered");
                Err(Ended::Refused(ipc_schema::RefuseCode::Schema, hint))
            }
            Body::Refuse(Refuse { code, hint }) => Err(Ended::Refused(code, hint)),
            _ => Err(Ended::Fell("the hub's first words were no welcome".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use ipc_schema::{CREDIT_WINDOW, Credit, Deliver, RefuseCode};

    use super::*;

    fn envelope(id: u64, body: Body) -> Envelope {
        Envelope {
            id,
            trace: "t".into(),
            body,
        }
    }

    fn welcome(schema: u32) -> Envelope {
        envelope(
            1,
            Body::Welcome(Welcome {
                schema,
                credit: 2,
                ..Welcome::default()
            }),
        )
    }

    fn deliver() -> Envelope {
        let deliver = Deliver {
            key: "k".into(),
            count: 1,
            ..Deliver::default()
        };
        envelope(7, Body::Deliver(deliver))
    }

    #[test]
    fn only_a_welcome_opens_the_link() {
        let (mut out, mut grant) = (Outgoing::default(), Grant::default());
        let fell = Session::default().received(deliver(), &mut out, &mut grant);
        assert!(matches!(fell, Err(Ended::Fell(_))));
        let refused = Session::default().received(welcome(SCHEMA + 1), &mut out, &mut grant);
        assert!(matches!(
            refused,
            Err(Ended::Refused(RefuseCode::Schema, _))
        ));
        assert!(!out.is_open());
        let mut session = Session::default();
        let up = session.received(welcome(SCHEMA), &mut out, &mut grant);
        assert!(matches!(up, Ok(Some(LinkEvent::Up(_)))) && out.is_open());
        assert!(
            session
                .received(welcome(SCHEMA), &mut out, &mut grant)
                .is_err()
        );
    }

    #[test]
    fn a_hub_that_overdraws_its_credit_is_dropped() {
        let (mut out, mut grant) = (Outgoing::default(), Grant::default());
        let mut session = Session::default();
        session
            .received(welcome(SCHEMA), &mut out, &mut grant)
            .unwrap();
        for _ in 0..CREDIT_WINDOW {
            session.received(deliver(), &mut out, &mut grant).unwrap();
        }
        assert!(matches!(
            session.received(deliver(), &mut out, &mut grant),
            Err(Ended::Fell(_))
        ));
    }

    #[test]
    fn unknown_kinds_are_nacked_and_nobody_else_hears_of_them() {
        let (mut out, mut grant) = (Outgoing::default(), Grant::default());
        let mut session = Session::default();
        session
            .received(welcome(SCHEMA), &mut out, &mut grant)
            .unwrap();
        let nothing = session.received(envelope(9, Body::Unknown), &mut out, &mut grant);
        assert_eq!(nothing, Ok(None));
        let (_, sent) = out.pop().unwrap();
        assert!(matches!(sent.body, Body::Nack(Nack { id: 9, .. })));
        let credit = envelope(10, Body::Credit(Credit { frames: 1 }));
        assert_eq!(session.received(credit, &mut out, &mut grant), Ok(None));
    }
}
