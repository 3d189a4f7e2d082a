//! A conversation on both platforms in which every process is killed, and the count of it.
//!
//! Promises: each kill strikes in the middle of a turn: the agent is held there, or, where it is a
//! real one, has just begun. What is not answered in time is counted as lost, not waited for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use fake_claude::Point;
use fake_discord::{GatewayFault, Id, Times};

use crate::news::{News, row};
use crate::scene::{BACK, Place, Scene};
use crate::tally::{Tally, answers};

const BOTH: [Place; 2] = [Place::Discord, Place::Weibo];
/// What is asked for, each once; no text of the product has any of them.
const WORDS: [&str; 14] = [
    "anchor", "beacon", "capstan", "dinghy", "ensign", "fathom", "galley", "halyard", "jetty",
    "lantern", "mizzen", "oakum", "pennant", "quay",
];

/// How long an answer may take.
const SOON: Duration = Duration::from_secs(20);
/// The same of a real agent.
const PATIENCE: Duration = Duration::from_secs(180);

/// One message.
struct Asked {
    prompt: String,
    /// On Discord.
    message: Option<Id>,
}

struct Play<'a> {
    scene: &'a Scene,
    news: News,
    words: VecDeque<&'static str>,
    on_weibo: Vec<String>,
    agents_again: u64,
}

/// Plays it; whether every message was answered once.
pub(crate) async fn play(scene: &Scene, break_dedup: bool) -> Result<bool> {
    let began = Instant::now();
    let mut play = Play {
        scene,
        news: News::of(scene),
        words: WORDS.into(),
        on_weibo: Vec::new(),
        agents_again: 0,
    };
    let greeting = play.ask(&BOTH)?;
    play.answered(&greeting).await;
    play.strike("hub", &BOTH).await?;
    play.strike("discord-main", &[Place::Discord]).await?;
    play.strike("weibo-main", &[Place::Weibo]).await?;
    play.strike("runner-demo", &BOTH).await?;
    play.strike("agent", &[Place::Discord]).await?;
    play.strike_after_post(break_dedup).await?;
    // Answers come in order: what is said twice stands before the answers to these.
    let last = play.ask(&BOTH)?;
    play.answered(&last).await;
    scene.settled(play.patience()).await?;
    play.news.print();

    println!("\n{}\n", scene.table().await?);
    let restarts = scene.restarts().await? + play.agents_again;
    let tally = Tally::of(scene, &play.on_weibo, restarts);
    println!("{tally}");
    println!("({:.1} s)", began.elapsed().as_secs_f32());
    if !tally.agrees() && !break_dedup {
        eprintln!("What happened stands in the log:\n{}", scene.log(400));
    }
    Ok(tally.agrees())
}

impl Play<'_> {
    fn patience(&self) -> Duration {
        match self.scene.claude {
            Some(_) => SOON,
            None => PATIENCE,
        }
    }

    /// Says something on each of these.
    fn ask(&mut self, places: &[Place]) -> Result<Vec<Asked>> {
        let mut asked = Vec::new();
        for place in places {
            let Some(word) = self.words.pop_front() else {
                bail!("the script has more messages than words");
            };
            let prompt = match place {
                Place::Discord => format!("Please answer with this one word: {word}"),
                Place::Weibo => format!("请只回答这一个词: {word}"),
            };
            println!("{}", row(place, "you", &prompt));
            let message = self.scene.say(*place, &prompt)?;
            if *place == Place::Weibo {
                self.on_weibo.push(prompt.clone());
            }
            asked.push(Asked { prompt, message });
        }
        Ok(asked)
    }

    /// Waits for the answers, and says which does not come.
    async fn answered(&mut self, asked: &[Asked]) {
        let patience = self.patience();
        for one in asked {
            if !self.answer(one, patience).await {
                println!("no answer within {patience:?} to: {}", one.prompt);
            }
            self.news.print();
        }
    }

    async fn answer(&self, asked: &Asked, patience: Duration) -> bool {
        let (discord, weibo) = (&self.scene.discord, &self.scene.weibo);
        if let Some(message) = asked.message {
            let channel = discord.dm_channel(discord.scene().owner);
            let fits = |line: &fake_discord::Line| answers(&asked.prompt, &line.text);
            return discord
                .wait_line(channel, message, fits, patience)
                .await
                .is_ok();
        }
        let deadline = Instant::now() + patience;
        loop {
            let seen = weibo.shown().next();
            let bubbles = weibo.bubbles(weibo.account().owner);
            if bubbles
                .iter()
                .any(|bubble| bubble.done && answers(&asked.prompt, &bubble.text))
            {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !weibo.shown().wait_past(seen, left).await {
                return false;
            }
        }
    }

    /// Asks, and kills a process while the agent is in the middle of its answers.
    async fn strike(&mut self, victim: &str, places: &[Place]) -> Result<()> {
        println!();
        if victim == "weibo-main" {
            self.scene.confirmed(SOON).await?;
        }
        let begun = self.scene.tree.log.next();
        if let Some(claude) = &self.scene.claude {
            places
                .iter()
                .for_each(|_| claude.hold_next(Point::FirstDelta));
        }
        let asked = self.ask(places)?;
        match &self.scene.claude {
            Some(claude) => {
                for one in &asked {
                    claude
                        .held_where(|stand| stand.prompt.contains(&one.prompt), SOON)
                        .await?;
                }
            }
            None => {
                let turns = asked.len();
                self.scene
                    .logged(begun, "a turn begins", turns, PATIENCE)
                    .await?;
            }
        }
        self.kill(victim, "in the middle of the turn").await?;
        if let Some(claude) = &self.scene.claude {
            claude.release_all();
        }
        self.answered(&asked).await;
        Ok(())
    }

    /// Kills the Discord worker when its message stands and it does not know that.
    async fn strike_after_post(&mut self, break_dedup: bool) -> Result<()> {
        println!();
        let hold = self.scene.discord.hold_post_response(0);
        let asked = self.ask(&[Place::Discord])?;
        if !hold.reached(self.patience()).await {
            bail!("the answer was never posted");
        }
        self.news.print();
        if break_dedup {
            println!("The fake Discord forgets nonces and the session: this will stand twice.");
            let discord = &self.scene.discord;
            discord.set(|options| options.nonce_window_ms = 0);
            let what = GatewayFault::RefuseResume { resumable: false };
            discord.gateway_fault(what, Times::Next(1));
        }
        self.kill("discord-main", "after its POST, before the response")
            .await?;
        hold.release();
        self.answered(&asked).await;
        println!();
        Ok(())
    }

    async fn kill(&mut self, victim: &str, when: &str) -> Result<()> {
        let (began, pids) = self.struck(victim).await?;
        let named: Vec<String> = pids.iter().map(i32::to_string).collect();
        let pid = named.join(" ");
        println!("{}", row("kill -9", victim, &format!("pid {pid}, {when}")));
        let back = match victim {
            "agent" => self.agent_back(&pids).await,
            _ => {
                for before in &pids {
                    self.scene.back(victim, *before).await?;
                }
                true
            }
        };
        let ms = began.elapsed().as_millis();
        let words = match back {
            true => format!("after {ms} ms"),
            false => "its turn had ended, so there is no need of it".to_owned(),
        };
        println!("{}", row("back", victim, &words));
        Ok(())
    }

    /// Kills it, as soon as it is there: an agent is started for its turn. When, and the pids.
    async fn struck(&self, victim: &str) -> Result<(Instant, Vec<i32>)> {
        let deadline = Instant::now() + BACK;
        loop {
            let (seen, now) = (self.scene.tree.log.next(), Instant::now());
            let pids = self.scene.kill(victim).await?;
            if !pids.is_empty() {
                return Ok((now, pids));
            }
            if now >= deadline {
                bail!("{victim} does not run");
            }
            self.scene.moved(seen).await;
        }
    }

    /// Whether the runner starts an agent again: it does for a turn that was cut off.
    async fn agent_back(&mut self, before: &[i32]) -> bool {
        let deadline = Instant::now() + BACK;
        while Instant::now() < deadline {
            let seen = self.scene.tree.log.next();
            let agents = self.scene.agents().await;
            if agents.iter().any(|agent| !before.contains(agent)) {
                self.agents_again += 1;
                return true;
            }
            self.scene.moved(seen).await;
        }
        false
    }
}
