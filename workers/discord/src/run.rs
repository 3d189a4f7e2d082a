//! From the options to a bot that runs, and the drain.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tracing::{info, warn};
use worker_kit::{Context, Hub, Life, RecentIds, Stop};

use crate::attachments::Files;
use crate::bot::Bot;
use crate::gateway::Gateway;
use crate::keep::{FLOORS, GATEWAY, Keep};
use crate::options::Options;
use crate::rest::Rest;
use crate::status::Status;
use crate::world::World;
use crate::{commit, inbox, menu, outbound, portal, start, token_lock};

/// How long the drain waits for posts on the wire and for the hub.
const POSTS: Duration = Duration::from_secs(4);
/// Accepted messages that are told from new ones without asking the hub.
const RECENT: usize = 4096;
const SETTLE: Duration = Duration::from_secs(2);

/// Runs the bot until the drain is done or only a person can mend what is wrong.
pub(crate) async fn run(options: Options, context: Context) -> Result<(), Stop> {
    let Context {
        instance,
        hub,
        life,
        rng,
    } = context;
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let status = Status::new(life.clone());
    let starting = async {
        let lock = token_lock::take(&options.token)
            .await
            .map_err(|why| Stop::Failed(anyhow!(why)))?;
        let rest = Rest::new(&options).map_err(Stop::Config)?;
        status.connection("waits for the hub");
        hub.linked().await;
        status.connection("asks Discord who it is");
        let (application, me) = start::who_am_i(&rest, &status).await?;
        Ok::<_, Stop>((lock, rest, application, me))
    };
    let (_lock, rest, application, me) = tokio::select! {
        started = starting => started?,
        () = life.draining() => return Ok(()),
    };

    let (commands, asked) = mpsc::channel(8);
    let (gateway, floors) = (hub.cursor(GATEWAY), hub.cursor(FLOORS));
    let bot = Arc::new(Bot {
        me: me.id,
        name: me.username.clone(),
        application: application.id,
        menu_guild: options.menu_guild(),
        owners: application.owners(),
        rules: options.rules(),
        habits: options.habits(),
        rest,
        hub,
        life: life.clone(),
        status,
        world: Mutex::new(World::new(me.id)),
        keep: Mutex::new(Keep::read(gateway.as_deref(), floors.as_deref())),
        dirty: Notify::new(),
        urgent: Notify::new(),
        inbox: inbox::Inbox::default(),
        refusals: Mutex::default(),
        echoes: Mutex::default(),
        answerable: Mutex::default(),
        cardless: Mutex::default(),
        accepted: Mutex::new(RecentIds::new(RECENT)),
        heard: Mutex::default(),
        files: Files::new(&options),
        writable: Mutex::default(),
        gateway_url: Mutex::default(),
        guilds_told: application.approximate_guild_count,
        commands,
    });
    let content = application.content_intent();
    if !content {
        start::probe_content(&bot, &options.timing);
    }
    if application.interactions_endpoint_url.is_some() {
        warn!("{}", portal::interactions_endpoint(application.id));
    }
    if bot.owners.is_empty() {
        warn!("Discord names no owner of the application; without allow_from nobody may write");
    }
    bot.status.connection("connects");
    let gateway = Gateway::new(Arc::clone(&bot), instance, &options, asked, content, rng);
    live(&bot, gateway).await
}

async fn live(bot: &Arc<Bot>, mut gateway: Gateway) -> Result<(), Stop> {
    let mut tasks = JoinSet::new();
    tasks.spawn(inbox::run(Arc::clone(bot)));
    tasks.spawn(outbound::run(Arc::clone(bot)));
    tasks.spawn(commit::run(Arc::clone(bot)));
    tasks.spawn(menu::run(Arc::clone(bot)));
    let ended = tokio::select! {
        stop = gateway.run() => Err(stop),
        () = bot.rest.refused() => Err(Stop::Credentials(portal::bad_token())),
        () = bot.life.draining() => Ok(()),
    };
    // No new work is taken; what waits is handed out, or sent by Discord, again.
    tasks.shutdown().await;
    if let Err(Stop::Credentials(_)) = &ended {
        bot.rest.refuse();
    }
    drain(bot, gateway, &bot.life, &bot.hub).await;
    ended
}

async fn drain(bot: &Bot, mut gateway: Gateway, life: &Life, hub: &Hub) {
    if life.is_draining() {
        bot.status.connection("ends");
    }
    let left = gateway.leave();
    let posts = tokio::time::timeout(POSTS, bot.rest.idle());
    let (_, idle) = tokio::join!(left, posts);
    if idle.is_err() {
        warn!("a post was not answered in time; it is looked for after the next start");
    }
    let settled = tokio::time::timeout(SETTLE, async {
        commit::finally(bot).await;
        hub.settled().await;
    });
    if settled.await.is_err() {
        info!(
            "the hub has not kept everything yet; what is missing comes again after the next start"
        );
    }
}
