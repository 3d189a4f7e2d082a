//! `--doctor`: everything that the account depends on, examined for real.
//!
//! Promises: while a process of the account is connected, no second connection is made: Weibo would
//! send it what people write. Nothing is written to anybody.

use std::time::{Duration, Instant, SystemTime};

use reqwest::header::DATE;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use worker_kit::doctor::clock;
use worker_kit::{Doctor, Finding};

use crate::connect::{self, Dial, Io};
use crate::frame::{self, Frame};
use crate::heard::Heard;
use crate::options::Options;
use crate::refusal::{About, Refusal};
use crate::token::{Token, TokenError};
use crate::veil::Veil;

const NETWORK: &str = "look at this machine's network, name server and firewall: it must reach \
                       open-im.api.weibo.com, port 443";
const CREDENTIALS: &str = "send 连接龙虾 to @微博龙虾助手 in the Weibo app (重置凭证 if you were given some before): \
                           it answers with `app_id` and `app_secret`";
/// How long the peer may take to close.
const FAREWELL: Duration = Duration::from_secs(2);
/// Events of the one connection.
const EVENTS: usize = 16;

/// Examines, and says what it finds.
pub(crate) async fn examine(options: Options, doctor: &mut Doctor) {
    doctor.hide(&options.app_secret);
    if options.shows_token() {
        doctor.find(Finding::warn(
            "encryption",
            "an endpoint without TLS: whoever is on the way can read the secret or the token",
            "write https:// in `token_endpoint` and wss:// in `ws_endpoint`",
        ));
    }
    if doctor.manner().offline {
        return;
    }
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let timing = options.timing();
    let client = match connect::client(timing.request) {
        Ok(client) => client,
        Err(_) => {
            let says = "the machine has no certificates to check Weibo's by";
            return doctor.find(Finding::fail("reach", says, "install ca-certificates"));
        }
    };
    // Asked without the credentials: any answer has a date.
    if let Ok(answer) = client.get(&options.token_endpoint).send().await {
        let date = answer
            .headers()
            .get(DATE)
            .and_then(|date| date.to_str().ok());
        let agrees = clock("Weibo", date, SystemTime::now());
        agrees.into_iter().for_each(|found| doctor.find(found));
    }
    let mut veil = Veil::new(&options.app_secret);
    let fetched = connect::fetch_token(
        &client,
        &options.token_endpoint,
        &options.app_id,
        &options.app_secret,
        &veil,
    );
    let token = match fetched.await {
        Ok(token) => token,
        Err(why) => return doctor.find(no_token(&why)),
    };
    doctor.hide(&token.value);
    veil.add(&token.value);
    doctor.find(granted(&token));
    if let Some(uid) = &token.uid {
        doctor.fact("uid", uid);
    } else if options.allow_from.is_empty() {
        doctor.find(Finding::warn(
            "owner",
            "Weibo does not name the account's owner, so without a list nobody may write",
            "set `allow_from` in config.toml to your own uid",
        ));
    }
    if doctor.manner().running {
        let says = "not tried: a worker of this account runs, and a second connection could take \
                    messages from it; `bulkhead status` says how it is connected";
        return doctor.find(Finding::ok("connection", says));
    }
    let found = connection(&options, token, timing.request, veil).await;
    doctor.find(found);
}

fn no_token(why: &TokenError) -> Finding {
    match why {
        TokenError::Credentials(words) => {
            let says = format!("Weibo refuses app_id and app_secret: {words}");
            Finding::fail("token", says, CREDENTIALS)
        }
        TokenError::Transient(words) => {
            let says = format!("Weibo gives no token: {words}");
            Finding::fail("reach", says, NETWORK)
        }
    }
}

fn granted(token: &Token) -> Finding {
    let whose = token.uid.as_deref().unwrap_or("unknown");
    let minutes = token.lifetime.as_secs() / 60;
    let says = format!("Weibo gives one: owner uid {whose}, good for {minutes} minutes");
    Finding::ok("token", says)
}

/// One connection, up to the answer to a ping.
async fn connection(options: &Options, token: Token, timeout: Duration, veil: Veil) -> Finding {
    let (io, events) = mpsc::channel(EVENTS);
    let dial = Dial {
        number: 0,
        endpoint: options.ws_endpoint.clone(),
        app_id: options.app_id.clone(),
        token: token.value,
        timeout,
        heard: Heard::new(Instant::now()),
        veil: veil.clone(),
    };
    let talk = tokio::spawn(connect::converse(dial, io));
    let mut line = Line {
        events,
        veil,
        writer: None,
        messages: 0,
    };
    let alive = tokio::time::timeout(timeout * 2, line.alive()).await;
    if alive.is_ok() {
        // Whether it says goodbye does not matter to what was seen.
        let _ = tokio::time::timeout(FAREWELL, line.leave()).await;
    }
    talk.abort();
    match alive {
        Ok(Ok(())) if line.messages == 0 => Finding::ok("connection", "stands, and answers"),
        Ok(Ok(())) => {
            let says = format!(
                "stands, and answers; {} message(s) that came in that moment are not answered",
                line.messages
            );
            Finding::warn("connection", says, "ask whoever wrote to write again")
        }
        Ok(Err(refusal)) => refused(&refusal),
        Err(_) => refused(&Refusal::connection(
            "the connection stands, but a ping is not answered",
        )),
    }
}

/// The connection.
struct Line {
    events: mpsc::Receiver<Io>,
    veil: Veil,
    writer: Option<mpsc::Sender<Message>>,
    /// What people wrote meanwhile.
    messages: usize,
}

impl Line {
    /// Returns at a sign of life that came after a ping.
    async fn alive(&mut self) -> Result<(), Refusal> {
        loop {
            match self.next().await? {
                Io::Connected(_, to) => {
                    self.writer = Some(to);
                    self.write(Message::text(frame::PING));
                }
                Io::Pong(_) => return Ok(()),
                Io::Text(_, text) if frame::read(&text, &self.veil) == Frame::Pong => return Ok(()),
                _ => {}
            }
        }
    }

    /// Closes, and returns when the connection is over.
    async fn leave(&mut self) {
        self.write(Message::Close(None));
        while self.next().await.is_ok() {}
    }

    async fn next(&mut self) -> Result<Io, Refusal> {
        let over = || Refusal::broken("closed");
        match self.events.recv().await.ok_or_else(over)? {
            Io::Ended(_, refusal) => Err(refusal),
            event => {
                if let Io::Text(_, text) = &event
                    && matches!(frame::read(text, &self.veil), Frame::Message(_))
                {
                    self.messages += 1;
                }
                Ok(event)
            }
        }
    }

    fn write(&self, message: Message) {
        // It has room for more than this; and its end is told by an event.
        let _ = self.writer.as_ref().map(|to| to.try_send(message));
    }
}

fn refused(refusal: &Refusal) -> Finding {
    if refusal.about == About::Token {
        let advice =
            format!("try again; if it stays so, the credentials are no good: {CREDENTIALS}");
        Finding::fail("connection", refusal.words.clone(), advice)
    } else {
        let advice = format!("try again; if it stays so, {NETWORK}");
        Finding::fail("connection", refusal.words.clone(), advice)
    }
}
