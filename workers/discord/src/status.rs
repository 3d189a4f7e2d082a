//! The line that `bulkhead status` shows for the bot.

use std::sync::Mutex;

use worker_kit::Life;

use crate::bot::lock;

#[derive(Debug, Default)]
struct Parts {
    connection: String,
    warning: String,
}

/// How things stand: the connection, and what a person should do.
#[derive(Debug)]
pub(crate) struct Status {
    life: Life,
    parts: Mutex<Parts>,
}

impl Status {
    pub(crate) fn new(life: Life) -> Status {
        Status {
            life,
            parts: Mutex::default(),
        }
    }

    /// How the connection stands.
    pub(crate) fn connection(&self, words: impl Into<String>) {
        lock(&self.parts).connection = words.into();
        self.say();
    }

    /// What a person should do; empty for nothing.
    pub(crate) fn warning(&self, words: impl Into<String>) {
        lock(&self.parts).warning = words.into();
        self.say();
    }

    fn say(&self) {
        let line = {
            let parts = lock(&self.parts);
            match (parts.connection.is_empty(), parts.warning.is_empty()) {
                (_, true) => parts.connection.clone(),
                (true, false) => parts.warning.clone(),
                (false, false) => format!("{}; {}", parts.connection, parts.warning),
            }
        };
        self.life.status(&line);
    }
}
