//! What the bot says on either platform, as it is seen there.

use std::collections::HashMap;
use std::time::Duration;

use fake_discord::Seen;
use fake_kit::Ledger;
use fake_weibo::Shown;

use crate::scene::{Place, Scene};

/// Long; whoever waits, waits again.
const LONG: Duration = Duration::from_secs(3600);

/// Reads both ledgers on from where it was.
pub(crate) struct News {
    seen: Ledger<Seen>,
    shown: Ledger<Shown>,
    at: (u64, u64),
    /// Messages on Weibo that are not finished, by their ids.
    growing: HashMap<String, String>,
}

impl News {
    pub(crate) fn of(scene: &Scene) -> News {
        News {
            seen: scene.discord.seen().clone(),
            shown: scene.weibo.shown().clone(),
            at: (0, 0),
            growing: HashMap::new(),
        }
    }

    /// Waits until there may be something.
    pub(crate) async fn come(&self) {
        tokio::select! {
            _ = self.seen.wait_past(self.at.0, LONG) => {}
            _ = self.shown.wait_past(self.at.1, LONG) => {}
        }
    }

    /// What the bot said since the last call.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in self.seen.since(self.at.0) {
            self.at.0 = entry.index + 1;
            match entry.what {
                Seen::Posted(line) if line.from_bot => {
                    lines.push(row(Place::Discord, "bot", &line.text));
                }
                Seen::Edited(line) if line.from_bot => {
                    lines.push(row(
                        Place::Discord,
                        "bot",
                        &format!("{} (edited)", line.text),
                    ));
                }
                _ => {}
            }
        }
        for entry in self.shown.since(self.at.1) {
            self.at.1 = entry.index + 1;
            let Shown {
                message_id,
                text,
                done,
                ..
            } = entry.what;
            let message = self.growing.entry(message_id.clone()).or_default();
            message.push_str(&text);
            if done {
                lines.push(row(Place::Weibo, "bot", message));
                self.growing.remove(&message_id);
            }
        }
        lines
    }

    /// Prints what the bot said since the last call; whether that was anything.
    pub(crate) fn print(&mut self) -> bool {
        let lines = self.take();
        lines.iter().for_each(|line| println!("{line}"));
        !lines.is_empty()
    }
}

/// One thing that was said or done, in columns.
pub(crate) fn row(first: impl std::fmt::Display, second: &str, text: &str) -> String {
    let text = text.trim_end().replace('\n', &format!("\n{:22}", ""));
    format!("{first:<8} {second:<12} {text}")
}
