//! The loop that ties the pure parts to the network and the hub.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use ipc_schema::{Access, Deliver, Failure};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, info, warn};
use worker_kit::{Context, Hub, Life, RecentIds, Stop, Work};

use crate::access::{Allow, Refusals};
use crate::connect::{self, Io};
use crate::frame::{self, Frame, SendMessage};
use crate::intake::{Intake, Notice};
use crate::message;
use crate::options::Options;
use crate::outbox::{Chunk, Outbox};
use crate::session::{Action, Refusal, Session, Timing};

/// Message ids that are remembered here; the hub remembers more, and across restarts.
const RECENT: usize = 10_000;
/// Events from the network that wait for the loop; a picture is 14 MB, so few.
const EVENTS: usize = 4;
/// Notices that wait for the loop.
const NOTICES: usize = 64;
/// When a chunk that was handed back at the end may be handed out again.
const HANDED_BACK: Failure = Failure::Retry(1_000);
/// Between two lines in the log about frames that mean nothing, and between two notices to one
/// person that too much comes.
const SELDOM: Duration = Duration::from_secs(60);
/// People who are told within that time that too much comes.
const MOST_TOLD: usize = 100;

/// Told to whoever wrote a message for which there is no room.
const BUSY: &str = "消息太多，这一条没有收下，请稍后再发。\n\
    Too many messages at once: this one was not taken, please send it again later.";

/// The connection that stands, or is being made.
struct Connection {
    number: u64,
    writer: Option<mpsc::Sender<Message>>,
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
    session: Session,
    outbox: Outbox,
    intake: Intake,
    refusals: Refusals,
    recent: RecentIds,
    io: mpsc::Sender<Io>,
    connections: u64,
    connection: Option<Connection>,
    fetches: JoinSet<()>,
    /// Ends of messages from before the connection.
    closing: Vec<SendMessage>,
    junk: (Option<Instant>, u64),
    told_busy: (Option<Instant>, HashSet<String>),
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
        intake: Intake::start(hub.clone(), notices),
        session: Session::new(timing.clone(), rng.fork(), Instant::now()),
        outbox: Outbox::default(),
        refusals: Refusals::default(),
        recent: RecentIds::new(RECENT),
        connections: 0,
        connection: None,
        fetches: JoinSet::new(),
        closing: Vec::new(),
        junk: (None, 0),
        told_busy: (None, HashSet::new()),
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
            work = hub.next() => worker.work(work),
            event = events.recv() => event.into_iter().for_each(|event| worker.event(event)),
            notice = told.recv() => notice.into_iter().for_each(|notice| worker.notice(notice)),
            () = life.draining(), if !life.is_draining() => {}
            () = tokio::time::sleep_until(due.into()) => {}
        }
    }
    worker.end().await;
    Ok(())
}

impl Worker {
    /// Does what is due and writes what can be written.
    fn step(&mut self) {
        let now = Instant::now();
        self.perform(now);
        let Some(pings) = self.session.pings() else {
            return;
        };
        let mut frames = std::mem::take(&mut self.closing);
        frames.extend(self.outbox.close_idle(now, self.timing.bubble));
        let rng = &mut self.rng;
        frames.extend(self.outbox.write(pings, || message_id(rng)));
        if frames.is_empty() {
            return;
        }
        for frame in frames {
            self.write(Message::text(frame.to_text()));
        }
        // The ping goes behind what was just written, so its pong is about all of it.
        self.session.doubts();
        self.perform(now);
    }

    fn perform(&mut self, now: Instant) {
        loop {
            let actions = self.session.act(now);
            if actions.is_empty() {
                return;
            }
            actions.into_iter().for_each(|action| self.act(action));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::FetchToken => {
                let (client, io) = (self.client.clone(), self.io.clone());
                let endpoint = self.options.token_endpoint.clone();
                let (id, secret) = (self.options.app_id.clone(), self.options.app_secret.clone());
                while self.fetches.try_join_next().is_some() {}
                self.fetches.spawn(async move {
                    let token = connect::fetch_token(&client, &endpoint, &id, &secret).await;
                    let _ = io.send(Io::Token(token)).await; // nobody listens: we are ending
                });
            }
            Action::Connect(token) => {
                self.connections += 1;
                let (endpoint, id) = (
                    self.options.ws_endpoint.clone(),
                    self.options.app_id.clone(),
                );
                let mut task = JoinSet::new();
                let (number, timeout) = (self.connections, self.timing.request);
                task.spawn(connect::converse(
                    number,
                    endpoint,
                    id,
                    token,
                    timeout,
                    self.io.clone(),
                ));
                self.connection = Some(Connection {
                    number,
                    writer: None,
                    _task: task,
                });
            }
            Action::Ping => self.write(Message::text(frame::PING)),
            Action::Pong => self.write(Message::text(frame::PONG)),
            Action::Close => {
                self.connection = None;
                self.closing = self.outbox.dropped();
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
        if writer.is_some_and(|writer| writer.try_send(message).is_err()) {
            let words = "the connection takes no more".into();
            self.session.not_connected(
                Refusal {
                    words,
                    token: false,
                },
                Instant::now(),
            );
        }
    }

    /// When there is something to do even if nothing happens.
    fn due(&self) -> Instant {
        let now = Instant::now();
        let idle = self
            .session
            .is_open()
            .then(|| self.outbox.idle_since())
            .flatten();
        let idle = idle.map(|since| since + self.timing.bubble);
        let due = self.session.next_at(now).into_iter().chain(idle).min();
        due.unwrap_or(now + Duration::from_secs(60))
    }

    fn event(&mut self, event: Io) {
        let now = Instant::now();
        let current = self.connection.as_ref().map(|connection| connection.number);
        match event {
            Io::Token(token) => self.session.token(token, now),
            Io::Connected(number, writer) if current == Some(number) => {
                if let Some(connection) = &mut self.connection {
                    connection.writer = Some(writer);
                }
                self.session.connected(now);
                info!(
                    "weibo: connected uid={}",
                    self.session.uid().unwrap_or("unknown")
                );
            }
            Io::Text(number, text) if current == Some(number) => self.text(&text, now),
            Io::Pong(number) if current == Some(number) => self.pong(now),
            Io::Ended(number, refusal) if current == Some(number) => {
                self.session.not_connected(refusal, now);
            }
            _ => {} // of a connection that was given up already
        }
    }

    fn text(&mut self, text: &str, now: Instant) {
        match frame::read(text) {
            Frame::Pong => self.pong(now),
            Frame::Ping => self.session.pinged(),
            Frame::Message(payload) => self.message(payload, text.len(), now),
            Frame::Error(words) => warn!("weibo reports an error: {words}"),
            Frame::Noted(kind) => debug!("weibo: {kind}"),
            Frame::Junk(words) => self.skipped(&words, now),
        }
    }

    fn pong(&mut self, now: Instant) {
        if let Some(ping) = self.session.pong() {
            for (key, message_id) in self.outbox.confirmed(ping, now) {
                self.hub.delivered(&key, &message_id);
            }
        }
        let uid = self.session.uid().unwrap_or("unknown");
        self.life.status(&format!(
            "connected as uid {uid}, last sign of life at {} UTC",
            clock()
        ));
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

    fn message(&mut self, payload: Value, bytes: usize, now: Instant) {
        // Also while draining: what the socket gave is nobody else's, and the hub is still there.
        let Some(from) = message::sender(&payload) else {
            return self.skipped("a message that does not say who wrote it", now);
        };
        let id = message::id(&payload);
        // Before the dedup, so that strangers cannot push others' ids out of it.
        let access = if self.allow.allows(&from, self.session.uid()) {
            Access::Granted
        } else if self.refusals.tell(&from, now) {
            Access::Refused
        } else {
            return;
        };
        if access == Access::Granted && self.recent.contains(&id) {
            debug!(event = id, "a repeat");
            return;
        }
        let Ok(room) = self.intake.room(bytes) else {
            return self.busy(from, now);
        };
        if access == Access::Granted {
            self.recent.insert(&id);
        }
        let trace = format!("weibo-{:016x}", self.rng.u64(..));
        room.take(payload, from, id, access, trace);
    }

    fn busy(&mut self, from: String, now: Instant) {
        let (until, told) = &mut self.told_busy;
        if until.is_none_or(|until| now >= until) {
            warn!(
                "more messages than can be held while the hub does not take them; some were refused"
            );
            *until = Some(now + SELDOM);
            told.clear();
        }
        if told.len() < MOST_TOLD && told.insert(from.clone()) {
            self.notice((from, BUSY));
        }
    }

    /// Tells a person something that is no reply of the hub's. Not repeated: it is only courtesy.
    fn notice(&mut self, (to_user_id, text): Notice) {
        let message_id = message_id(&mut self.rng);
        let text = text.into();
        let frame = SendMessage {
            to_user_id,
            text,
            message_id,
            chunk_id: 0,
            done: true,
        };
        self.write(Message::text(frame.to_text()));
    }

    fn work(&mut self, work: Work) {
        let Work::Deliver { deliver, trace } = work else {
            return; // Weibo shows no typing
        };
        if self.life.is_draining() {
            return self
                .hub
                .failed(&deliver.key, HANDED_BACK, "the worker is ending");
        }
        let Deliver {
            key,
            reply,
            index,
            count,
            address,
            text,
            ..
        } = deliver;
        debug!(key, trace, "a chunk to send");
        let last = index.saturating_add(1) >= count;
        self.outbox.push(
            &address,
            Chunk {
                key,
                reply,
                last,
                text,
            },
        );
    }

    /// Whether a drain is to wait: something may still be written, or be confirmed.
    fn has_in_hand(&self) -> bool {
        self.session.is_open() && !self.outbox.is_empty()
    }

    /// Hands back what was not written and says goodbye.
    async fn end(mut self) {
        for key in self.outbox.hand_back() {
            self.hub.failed(&key, HANDED_BACK, "the worker is ending");
        }
        self.life.status("ending");
        if self.session.is_open() {
            self.write(Message::Close(None));
        }
        let Worker {
            hub,
            intake,
            connection,
            ..
        } = self;
        drop(intake);
        hub.settled().await;
        drop(connection);
    }
}

fn message_id(rng: &mut fastrand::Rng) -> String {
    let ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    format!("msg_{ms}_{:08x}", rng.u32(..))
}

/// The time of day, UTC.
fn clock() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}
