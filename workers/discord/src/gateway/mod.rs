//! The gateway: a thin shell around [`session`], which decides everything that is not a message.
//!
//! Reads, writes, waits, connects. It never waits for the hub or for REST while a connection
//! stands, so that heartbeats go out whatever else is slow.

pub(crate) mod budget;
pub(crate) mod close;
mod dial;
mod dispatch;
mod frame;
mod limits;
pub(crate) mod moves;
mod phase;
pub(crate) mod probe;
mod reach;
mod session;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::{debug, info, warn};
use worker_kit::Stop;

use crate::bot::{Bot, Command};
use crate::events::Ready;
use crate::inbox::Item;
use crate::options::{Options, Timing};
use crate::{portal, rest};
use close::Fatal;
use dial::Socket;
use frame::Frame;
use moves::{Action, Event, Resumable};
use session::{CLOSE_RESUMABLE, Session};

/// GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES.
const INTENTS: u64 = 1 << 0 | 1 << 9 | 1 << 12;
/// MESSAGE_CONTENT, privileged.
const CONTENT: u64 = 1 << 15;
/// How long a frame may take to be written.
const SEND: Duration = Duration::from_secs(10);
/// How long a peer may take to answer our close frame.
const FAREWELL: Duration = Duration::from_secs(2);

type Dialed = Result<Box<Socket>, String>;
type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Link {
    None,
    Dialing(Task<Dialed>),
    Open(Box<Socket>),
    /// A frame could not be written.
    Broken,
}

/// What happened around the session.
enum Happened {
    Dialed(Dialed),
    Read(Option<Result<Message, tungstenite::Error>>),
    Budget(Event),
    Deadline,
    Command(Command),
}

/// The gateway of one bot.
pub(crate) struct Gateway {
    bot: Arc<Bot>,
    instance: String,
    token: SecretString,
    timing: Timing,
    session: Session,
    link: Link,
    asking: Option<Task<Event>>,
    commands: mpsc::Receiver<Command>,
    /// An IDENTIFY is committed as spent and not used yet.
    reserved: Arc<AtomicBool>,
    /// Whether the content intent is asked for.
    content: bool,
    rng: fastrand::Rng,
}

impl Gateway {
    pub(crate) fn new(
        bot: Arc<Bot>,
        instance: String,
        options: &Options,
        commands: mpsc::Receiver<Command>,
        content: bool,
        rng: fastrand::Rng,
    ) -> Gateway {
        let timing = options.timing.clone();
        let stored = bot.keep().session();
        Gateway {
            session: begin(stored, &timing),
            bot,
            instance,
            token: options.token.expose_secret().trim().into(),
            timing,
            link: Link::None,
            asking: None,
            commands,
            reserved: Arc::default(),
            content,
            rng,
        }
    }

    /// Runs until only a person can mend what is wrong. Dropping it in mid-wait loses nothing; call
    /// [`Gateway::leave`] then.
    pub(crate) async fn run(&mut self) -> Stop {
        loop {
            let event = match self.happened().await {
                Happened::Deadline => Event::Tick,
                Happened::Dialed(Ok(socket)) => {
                    self.link = Link::Open(socket);
                    Event::Opened
                }
                Happened::Dialed(Err(why)) => {
                    warn!("no connection to Discord's gateway: {why}");
                    self.link = Link::None;
                    Event::NotOpened(why)
                }
                Happened::Budget(event) => {
                    self.asking = None;
                    event
                }
                Happened::Command(Command::Replay) => Event::Replay,
                Happened::Command(Command::ContentAllowed) if self.content => continue,
                Happened::Command(Command::ContentAllowed) => {
                    self.content = true;
                    Event::Renew
                }
                Happened::Read(read) => match self.read(read) {
                    Some(event) => event,
                    None => continue,
                },
            };
            if let Err(fatal) = self.step(event).await {
                match self.mendable(fatal).await {
                    Some(stop) => return stop,
                    None => self.session = begin(None, &self.timing),
                }
            }
        }
    }

    async fn happened(&mut self) -> Happened {
        let deadline = self.session.deadline();
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let link = async {
            match &mut self.link {
                Link::None => std::future::pending().await,
                Link::Dialing(dialing) => Happened::Dialed(dialing.await),
                Link::Open(socket) => Happened::Read(socket.next().await),
                Link::Broken => Happened::Read(None),
            }
        };
        let asking = async {
            match &mut self.asking {
                Some(asking) => asking.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The deadlines first: a flood must not hold up a heartbeat.
            biased;
            () = due => Happened::Deadline,
            event = asking => Happened::Budget(event),
            Some(command) = self.commands.recv() => Happened::Command(command),
            happened = link => happened,
        }
    }

    /// What a frame means to the session. Events are taken on the way.
    fn read(&mut self, read: Option<Result<Message, tungstenite::Error>>) -> Option<Event> {
        let text = match read {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| u16::from(frame.code));
                debug!(code, "Discord closed the connection");
                return Some(Event::Closed(code));
            }
            Some(Ok(Message::Binary(bytes))) => {
                warn!("skipped a binary frame of {} bytes", bytes.len());
                return Some(Event::Heard);
            }
            Some(Ok(_)) => return Some(Event::Heard),
            Some(Err(error)) => {
                debug!("the gateway connection broke: {error}");
                return Some(Event::Closed(None));
            }
            None => return Some(Event::Closed(None)),
        };
        let event = match frame::read(text.as_str()) {
            Ok(Frame::Hello { interval }) => Event::Hello(interval),
            Ok(Frame::BeatNow) => Event::BeatNow,
            Ok(Frame::Reconnect) => Event::Reconnect,
            Ok(Frame::Invalid { resumable }) => Event::Invalid { resumable },
            Ok(Frame::Ack) => Event::Heard,
            Ok(Frame::Other(op)) => {
                debug!(op, "skipped an op that means nothing here");
                Event::Heard
            }
            Err(junk) => {
                warn!(
                    seq = junk.seq,
                    "skipped {} bytes that are no event",
                    text.len()
                );
                if let Some(seq) = junk.seq.filter(|_| self.session.takes_events()) {
                    dispatch::junk(&self.bot, seq);
                }
                Event::Heard
            }
            // A session that has not begun has no events.
            Ok(Frame::Dispatch { .. }) if !self.session.takes_events() => Event::Heard,
            Ok(Frame::Dispatch { seq, name, data }) => match &*name {
                "READY" => self.ready(seq, data),
                "RESUMED" => {
                    dispatch::dispatch(&self.bot, seq, &name, data);
                    Event::Resumed
                }
                name => {
                    dispatch::dispatch(&self.bot, seq, name, data);
                    Event::Heard
                }
            },
        };
        Some(event)
    }

    fn ready(&mut self, seq: u64, data: &str) -> Event {
        let Ok(ready) = serde_json::from_str::<Ready>(data) else {
            warn!("a READY that is not as documented; it is tried again");
            return Event::Heard;
        };
        let url = dial::address(&ready.resume_gateway_url, self.bot.rest.is_encrypted());
        // Without an address of its own the session is resumed at the base address.
        let url = url.map_or_else(|_| String::new(), |_| ready.resume_gateway_url);
        let session = Resumable {
            session: ready.session_id,
            url,
        };
        self.bot
            .world()
            .ready(ready.guilds.iter().map(|guild| guild.id));
        self.bot.keep().ready(session.clone(), seq);
        self.bot.urgent.notify_one();
        self.bot.inbox.push(Item::ReadBack);
        Event::Ready(session)
    }

    async fn step(&mut self, event: Event) -> Result<(), Fatal> {
        let chance = self.rng.f64();
        let actions = self.session.on(event, Instant::now(), chance);
        for action in actions {
            match action {
                Action::AskBudget => {
                    let (bot, reserved) = (Arc::clone(&self.bot), Arc::clone(&self.reserved));
                    let window = self.timing.identify_ms;
                    self.asking = Some(Box::pin(reach::ask_budget(bot, reserved, window)));
                }
                Action::Connect(host) => {
                    let dialing = reach::connect(Arc::clone(&self.bot), host);
                    self.link = Link::Dialing(Box::pin(dialing));
                }
                Action::Beat => {
                    let seq = self.bot.keep().beat_seq();
                    self.send(Some(frame::heartbeat(seq))).await;
                }
                Action::Identify => {
                    self.reserved.store(false, Relaxed);
                    let intents = if self.content {
                        INTENTS | CONTENT
                    } else {
                        INTENTS
                    };
                    self.send(frame::identify(self.token.expose_secret(), intents))
                        .await;
                }
                Action::Resume(session) => {
                    let seq = {
                        let mut keep = self.bot.keep();
                        keep.mark.replay();
                        keep.mark.value()
                    };
                    debug!(seq, "resuming the session");
                    self.send(frame::resume(self.token.expose_secret(), &session, seq))
                        .await;
                }
                Action::Close(code) => self.farewell(code),
                Action::Drop => self.link = Link::None,
                Action::Down(why) => {
                    info!("not connected to Discord: {why}; trying again");
                    self.bot
                        .status
                        .connection(format!("not connected: {why}; trying again"));
                }
                Action::Up { resumed } => self.up(resumed),
                Action::Stop(fatal) => return Err(fatal),
            }
        }
        Ok(())
    }

    fn up(&self, resumed: bool) {
        info!(bot = %self.bot.name, "discord: connected");
        debug!(resumed, "the session stands");
        let guilds = self.bot.world().guilds();
        self.bot.connected(guilds);
        if resumed && self.bot.keep().owes() {
            self.bot.inbox.push(Item::ReadBack);
        }
    }

    /// A frame that cannot be written within its time ends the connection; the reader sees that.
    async fn send(&mut self, frame: Option<String>) {
        let Some(frame) = frame else {
            warn!("a frame that is larger than Discord takes was not sent; is the token whole?");
            return;
        };
        if let Link::Open(socket) = &mut self.link {
            let sent = tokio::time::timeout(SEND, socket.send(Message::text(frame))).await;
            if !matches!(sent, Ok(Ok(()))) {
                debug!("a frame could not be written");
                self.link = Link::Broken;
            }
        }
    }

    /// Closes in the background; the TCP connection goes after 2 s, whatever the peer does.
    fn farewell(&mut self, code: u16) {
        if let Link::Open(socket) = std::mem::replace(&mut self.link, Link::None) {
            tokio::spawn(reach::close(*socket, code));
        }
    }

    /// Leaves the gateway so that the session can be resumed.
    pub(crate) async fn leave(&mut self) {
        if let Link::Open(socket) = std::mem::replace(&mut self.link, Link::None) {
            reach::close(*socket, CLOSE_RESUMABLE).await;
        }
    }

    /// What only a person can mend ends the worker, unless it goes on with less.
    async fn mendable(&mut self, fatal: Fatal) -> Option<Stop> {
        let words = portal::fatal(fatal, self.bot.application, &self.instance);
        match fatal {
            Fatal::Token => return Some(Stop::Credentials(words)),
            Fatal::Intents if self.content => {}
            _ => return Some(Stop::Config(words)),
        }
        match self.bot.rest.application().await {
            Ok(application) if !application.content_intent() => {
                self.content = false;
                crate::start::probe_content(&self.bot, &self.timing);
                None
            }
            Err(rest::NoAnswer::Unauthorized) => Some(Stop::Credentials(portal::bad_token())),
            _ => Some(Stop::Config(words)),
        }
    }
}

fn begin(stored: Option<Resumable>, timing: &Timing) -> Session {
    let shortest = Duration::from_millis(timing.reconnect_ms);
    Session::new(
        stored,
        shortest,
        Duration::from_millis(timing.hello_ms),
        Instant::now(),
    )
}
