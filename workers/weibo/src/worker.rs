//! The loop that ties the pure parts to the network and the hub.

mod inbound;
mod outbound;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, info, warn};
use worker_kit::{Backoff, Context, Hub, Life, Stop};

use crate::access::{Allow, Refusals};
use crate::connect::{self, Dial, Io};
use crate::dedup::Dedup;
use crate::frame::{self, Frame, SendMessage};
use crate::heard::Heard;
use crate::intake::Intake;
use crate::options::Options;
use crate::outbox::Outbox;
use crate::refusal::{About, Refusal};
use crate::session::{Action, Session, Timing};
use crate::veil::Veil;

use self::outbound::Sent;

/// Events from the network that wait for the loop; a picture is 14 MB, so few.
const EVENTS: usize = 4;
/// Notices that wait for the loop.
const NOTICES: usize = 64;
/// Between two lines in the log about frames that mean nothing, and between two notices to one
/// person that too much comes, or too large.
const SELDOM: Duration = Duration::from_secs(60);
/// How long an end waits for what Weibo had sent before it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The connection that stands, or is being made.
struct Connection {
    number: u64,
    writer: Option<mpsc::Sender<Message>>,
    heard: Arc<Heard>,
    /// Ends with this.
    _task: JoinSet<()>,
}

struct Worker {
    options: Options,
    timing: Timing,
    allow: Allow,
    client: reqwest::Client,
    hub: Hub,
    life: Life,
    rng: fastrand::Rng,
    veil: Veil,
    session: Session,
    outbox: Outbox,
    intake: Intake,
    refusals: Refusals,
    dedup: Dedup,
    io: mpsc::Sender<Io>,
    connections: u64,
    connection: Option<Connection>,
    fetches: JoinSet<()>,
    /// The file that is being sent.
    sending: JoinSet<Sent>,
    file_backoff: Backoff,
    /// Ends of messages from before the connection.
    closing: Vec<SendMessage>,
    junk: (Option<Instant>, u64),
    told_busy: (Option<Instant>, HashSet<String>),
    /// Somebody is to hear that a message was too large; not before this.
    told_large: (bool, Option<Instant>),
}

/// Runs until drained.
pub(crate) async fn run(options: Options, context: Context) -> Result<(), Stop> {
    let Context {
        instance: _,
        hub,
        life,
        mut rng,
    } = context;
    // An error means that one is installed already, which will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if options.shows_token() {
        warn!("an endpoint without TLS: whoever is on the way can read the secret or the token");
    }
    let timing = options.timing();
    let client = connect::client(timing.request).context("TLS cannot be set up")?;
    let (io, mut events) = mpsc::channel(EVENTS);
    let (notices, mut told) = mpsc::channel(NOTICES);
    let mut worker = Worker {
        allow: options.allow(),
        veil: Veil::new(&options.app_secret),
        intake: Intake::start(hub.clone(), notices),
        session: Session::new(timing.clone(), rng.fork(), Instant::now()),
        outbox: Outbox::default(),
        refusals: Refusals::default(),
        dedup: Dedup::default(),
        connections: 0,
        connection: None,
        fetches: JoinSet::new(),
        sending: JoinSet::new(),
        file_backoff: timing.file_backoff(),
        closing: Vec::new(),
        junk: (None, 0),
        told_busy: (None, HashSet::new()),
        told_large: (false, None),
        options,
        timing,
        client,
        hub,
        life,
        rng,
        io,
    };
    worker.life.status("starting");
    while !worker.life.is_draining() || worker.has_in_hand() {
        worker.step();
        let due = worker.due();
        let (hub, life) = (worker.hub.clone(), worker.life.clone());
        tokio::select! {
            work = hub.next() => {
                worker.work(work);
                // A reply goes as a window: what came together is written together, and one ping
                // behind it is about all of it.
                while let Some(work) = hub.try_next() {
                    worker.work(work);
                }
            }
            event = events.recv() => event.into_iter().for_each(|event| worker.event(event)),
            notice = told.recv() => notice.into_iter().for_each(|notice| worker.notice(notice)),
            Some(sent) = worker.sending.join_next() => worker.sent(sent.ok()),
            () = life.draining(), if !life.is_draining() => {}
            () = tokio::time::sleep_until(due.into()) => {}
        }
    }
    worker.end(events).await;
    Ok(())
}

impl Worker {
    /// Does what is due and writes what can be written.
    fn step(&mut self) {
        let now = Instant::now();
        if let Some(connection) = &self.connection {
            self.session.heard(connection.heard.last());
        }
        self.perform(now);
        let Some(pings) = self.session.pings() else {
            return;
        };
        let frames = self.frames(pings, now);
        if !frames.is_empty() {
            for frame in frames {
                self.write(Message::text(frame.to_text()));
            }
            // The ping goes behind what was just written, so its pong is about all of it.
            self.session.doubts();
            self.perform(now);
        }
        self.send_file(now);
    }

    fn perform(&mut self, now: Instant) {
        loop {
            let actions = self.session.act(now);
            if actions.is_empty() {
                return;
            }
            actions.into_iter().for_each(|action| self.act(action, now));
        }
    }

    fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::FetchToken => {
                let (client, io) = (self.client.clone(), self.io.clone());
                let endpoint = self.options.token_endpoint.clone();
                let (id, secret) = (self.options.app_id.clone(), self.options.app_secret.clone());
                let veil = self.veil.clone();
                while self.fetches.try_join_next().is_some() {}
                self.fetches.spawn(async move {
                    let token = connect::fetch_token(&client, &endpoint, &id, &secret, &veil).await;
                    let _ = io.send(Io::Token(token)).await; // nobody listens: we are ending
                });
            }
            Action::Connect(token) => {
                self.connections += 1;
                let heard = Heard::new(now);
                let dial = Dial {
                    number: self.connections,
                    endpoint: self.options.ws_endpoint.clone(),
                    app_id: self.options.app_id.clone(),
                    token,
                    timeout: self.timing.request,
                    heard: Arc::clone(&heard),
                    veil: self.veil.clone(),
                };
                let mut task = JoinSet::new();
                task.spawn(connect::converse(dial, self.io.clone()));
                self.connection = Some(Connection {
                    number: self.connections,
                    writer: None,
                    heard,
                    _task: task,
                });
            }
            Action::Ping => self.write(Message::text(frame::PING)),
            Action::Pong => self.write(Message::text(frame::PONG)),
            Action::Close => {
                self.connection = None;
                // What an earlier drop left to be closed is still to be.
                self.closing.extend(self.outbox.dropped());
            }
            Action::Status { words, loud } => {
                self.life.status(&words);
                if loud {
                    warn!("weibo: {words}");
                }
            }
        }
    }

    fn write(&mut self, message: Message) {
        let writer = self
            .connection
            .as_ref()
            .and_then(|connection| connection.writer.as_ref())
            .filter(|_| self.session.is_open());
        // One that takes nothing because it has ended says why in a moment, and that counts.
        if let Some(Err(TrySendError::Full(_))) = writer.map(|writer| writer.try_send(message)) {
            let refusal = Refusal::connection("the connection takes no more");
            self.session.not_connected(refusal, Instant::now());
        }
    }

    /// When there is something to do even if nothing happens.
    fn due(&self) -> Instant {
        let now = Instant::now();
        let open = self.session.is_open();
        let idle = open.then(|| self.outbox.idle_since()).flatten();
        let idle = idle.map(|since| since + self.timing.bubble);
        let file = open.then(|| self.outbox.next_file_at()).flatten();
        let session = self.session.next_at(now);
        let due = session.into_iter().chain(idle).chain(file).min();
        due.unwrap_or(now + Duration::from_secs(60))
    }

    fn event(&mut self, event: Io) {
        let now = Instant::now();
        let current = self.connection.as_ref().map(|connection| connection.number);
        match event {
            Io::Token(token) => {
                if let Ok(token) = &token {
                    self.veil.add(&token.value);
                }
                self.session.token(token, now);
            }
            Io::Connected(number, writer) if current == Some(number) => {
                if let Some(connection) = &mut self.connection {
                    connection.writer = Some(writer);
                }
                self.session.connected(now);
                info!(
                    "weibo: connected uid={}",
                    self.session.uid().unwrap_or("unknown")
                );
                self.tell_too_large(now);
            }
            Io::Text(number, text) if current == Some(number) => self.text(&text, now),
            Io::Pong(number) if current == Some(number) => self.pong(now),
            Io::Ended(number, refusal) if current == Some(number) => {
                self.told_large.0 |= refusal.about == About::Size;
                self.session.not_connected(refusal, now);
            }
            _ => {} // of a connection that was given up already
        }
    }

    fn text(&mut self, text: &str, now: Instant) {
        match frame::read(text, &self.veil) {
            Frame::Pong => self.pong(now),
            Frame::Ping => self.session.pinged(),
            Frame::Message(payload) => self.message(payload, text.len(), now),
            Frame::Error(words) => warn!("weibo reports an error: {words}"),
            Frame::Noted(kind) => debug!("weibo: {kind}"),
            Frame::Junk(words) => self.skipped(&words, now),
        }
    }

    /// Logs what means nothing, but not every time.
    fn skipped(&mut self, words: &str, now: Instant) {
        let (next, count) = &mut self.junk;
        *count += 1;
        if next.is_none_or(|next| now >= next) {
            warn!("skipped a frame from weibo: {words} ({count} since the last such line)");
            self.junk = (Some(now + SELDOM), 0);
        }
    }

    /// Takes in what Weibo had sent, hands back what was not written, and says goodbye.
    async fn end(mut self, mut events: mpsc::Receiver<Io>) {
        self.life.status("ending");
        if self.session.is_open() {
            self.write(Message::Close(None));
        }
        let last_words = async {
            while self.session.is_open()
                && let Some(event) = events.recv().await
            {
                self.event(event);
            }
        };
        // Late ones are lost like those of a kill.
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        self.hand_back();
        let Worker {
            hub,
            intake,
            connection,
            ..
        } = self;
        intake.ended().await;
        hub.settled().await;
        drop(connection);
    }
}

/// The time of day, milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day, UTC.
fn clock() -> String {
    let seconds = unix_ms() / 1000;
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}
