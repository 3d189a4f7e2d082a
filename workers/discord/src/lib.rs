//! One Discord bot: the worker that carries messages between Discord and the hub.
//!
//! Promises:
//! - What was written to the bot reaches the hub once it can: events are acknowledged to Discord only
//!   when the hub has committed them, and a new session reads back what came in between.
//! - A chunk is posted once and in order, through lost answers, limits and restarts.
//! - Discord is never hammered, whatever it does, and the token is never lost to a storm of IDENTIFYs.
//! - What only a person can mend is said in words that name the place to click.
//!
//! It decides nothing that must survive it: that is the hub's.

mod access;
mod application;
mod attachments;
mod backfill;
mod bot;
mod commit;
mod doctor;
mod events;
mod floors;
mod form;
mod gateway;
mod heard;
mod inbound;
mod inbox;
mod intake;
mod interactions;
mod keep;
mod lanes;
mod lookup;
mod mention;
mod menu;
mod options;
mod outbound;
mod permissions;
mod portal;
mod post;
mod proxy;
mod rest;
mod run;
mod snowflake;
mod stamp;
mod start;
mod status;
mod take;
mod threads;
mod token_lock;
mod typing;
mod watermark;
mod world;

use ipc_schema::Capabilities;
use serde_json::Value;
use worker_kit::{Context, Doctor, OptionProblem, Platform, Stop};

pub use options::Options;

/// Discord as a platform.
#[derive(Debug)]
pub struct Discord;

impl Platform for Discord {
    const KIND: &'static str = "discord";
    const PROGRAM: &'static str = "discord-worker";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;

    fn check(options: &Value) -> Vec<OptionProblem> {
        options::check(options)
    }

    fn capabilities(options: Option<&Options>) -> Capabilities {
        Capabilities {
            text_limit: options.map_or(2000, Options::text_limit),
            dialect: "discord".into(),
            window: 1,
            typing: true,
            edit: true,
            embeds: true,
            buttons: true,
            threads: true,
            files: true,
            file_limit: post::LARGEST,
            ..Capabilities::default()
        }
    }

    async fn doctor(options: Options, doctor: &mut Doctor) {
        doctor::examine(&options, doctor).await;
    }

    async fn run(options: Options, context: Context) -> Result<(), Stop> {
        run::run(options, context).await
    }
}
