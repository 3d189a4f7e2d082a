//! A person at the keyboard.

use std::io::Write as _;
use std::thread;

use anyhow::Result;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::news::{News, row};
use crate::scene::{BACK, Place, Scene};

const HELP: &str = "\
What you type is said to the agent; answers appear as they come. Beside that:

  discord, weibo         be on the other platform (d TEXT, w TEXT: this once only)
  kill NAME              kill -9: hub, discord-main, weibo-main, runner-demo, agent
  ps, log                the table of processes; the last lines of the log
  help, quit             these lines; the end (also Ctrl-D)

In the chat: /help, /new, /stop, /status. A question of the agent is answered with its number.";

const FAKE: &str = "\
This agent echoes, unless it is told otherwise (\\n is a line break):

  #chars 6000            a long answer, in chunks
  #tool Bash date        a tool that asks for permission first
  #hold first-delta\\n#say Done.     stops in the middle until you type `release`; kill something

  release                lets what is held go on";

/// What a line at the keyboard means.
#[derive(Debug, PartialEq, Eq)]
enum Wish<'a> {
    Nothing,
    Say(Option<Place>, &'a str),
    Be(Place),
    Kill(&'a str),
    Table,
    Log,
    Help,
    Release,
    Quit,
}

fn read(line: &str) -> Wish<'_> {
    let line = line.trim();
    match line {
        "" => return Wish::Nothing,
        "discord" => return Wish::Be(Place::Discord),
        "weibo" => return Wish::Be(Place::Weibo),
        "ps" => return Wish::Table,
        "log" => return Wish::Log,
        "help" => return Wish::Help,
        "release" => return Wish::Release,
        "quit" | "exit" => return Wish::Quit,
        "kill" => return Wish::Kill(""),
        _ => {}
    }
    match line.split_once(' ') {
        Some(("d", text)) => Wish::Say(Some(Place::Discord), text.trim()),
        Some(("w", text)) => Wish::Say(Some(Place::Weibo), text.trim()),
        Some(("kill", name)) if !name.trim().contains(' ') => Wish::Kill(name.trim()),
        _ => Wish::Say(None, line),
    }
}

/// A process that was killed and is waited for.
struct Away {
    name: String,
    pid: i32,
    since: Instant,
}

struct Talk<'a> {
    scene: &'a Scene,
    place: Place,
    away: Vec<Away>,
}

/// Lets a person talk until they have enough.
pub(crate) async fn talk(scene: &Scene) -> Result<()> {
    let mut talk = Talk {
        scene,
        place: Place::Discord,
        away: Vec::new(),
    };
    println!(
        "\nEverything is up, in {}.\n",
        scene.tree.directory().display()
    );
    talk.help();
    println!("\n{}\n", scene.table().await?);
    let mut news = News::of(scene);
    let mut keyboard = keyboard();
    let mut looked = 0;
    talk.prompt();
    loop {
        tokio::select! {
            line = keyboard.recv() => {
                let Some(line) = line else { break };
                if !talk.act(&line).await? {
                    break;
                }
                talk.prompt();
            }
            () = news.come() => {
                let lines = news.take();
                if !lines.is_empty() {
                    println!("\r{}", lines.join("\n"));
                    talk.prompt();
                }
            }
            () = scene.moved(looked), if !talk.away.is_empty() => {
                looked = scene.tree.log.next();
                talk.look().await;
            }
        }
    }
    Ok(())
}

impl Talk<'_> {
    fn help(&self) {
        println!("{HELP}");
        if self.scene.claude.is_some() {
            println!("\n{FAKE}");
        } else {
            let work_dir = self.scene.tree.work_dir();
            println!(
                "\nThe agent is your Claude Code, in {}.",
                work_dir.display()
            );
        }
    }

    fn prompt(&self) {
        print!("{}> ", self.place);
        let _ = std::io::stdout().flush(); // a prompt that is not seen is not missed
    }

    /// Does what the line says; whether to go on.
    async fn act(&mut self, line: &str) -> Result<bool> {
        match read(line) {
            Wish::Nothing => {}
            Wish::Quit => return Ok(false),
            Wish::Help => self.help(),
            Wish::Be(place) => self.place = place,
            Wish::Log => println!("{}", self.scene.log(20)),
            Wish::Table => println!("{}\n", self.scene.table().await?),
            Wish::Release => match &self.scene.claude {
                Some(claude) => println!("Turns that go on: {}.", claude.release_all()),
                None => println!("Only the demo's own agent can be held."),
            },
            Wish::Kill(name) => self.kill(name).await?,
            Wish::Say(place, text) => {
                let text = text.replace("\\n", "\n");
                if let Err(refused) = self.scene.say(place.unwrap_or(self.place), &text) {
                    println!("{refused}");
                }
            }
        }
        Ok(true)
    }

    async fn kill(&mut self, name: &str) -> Result<()> {
        if name == "monitor" || name == "bulkhead" {
            println!(
                "The monitor starts the others again, and nothing here would start it again; as a \
                 service its init system does. Everything else ends with it."
            );
            return Ok(());
        }
        let names = self.scene.names().await?;
        let fitting = |whole: &&String| !name.is_empty() && whole.starts_with(name);
        let Some(name) = names.iter().find(fitting) else {
            println!(
                "There is no process {name:?}; there are {}.",
                names.join(", ")
            );
            return Ok(());
        };
        let pids = self.scene.kill(name).await?;
        for pid in &pids {
            println!("{}", row("kill -9", name, &format!("pid {pid}")));
        }
        match pids.as_slice() {
            [] if name == "agent" => println!("No agent runs; the first message starts one."),
            [] => println!("{name} does not run just now; see ps."),
            _ if name == "agent" => println!(
                "The runner starts it again: now, if it was in the middle of a turn, else for the \
                 next message."
            ),
            [pid, ..] => self.away.push(Away {
                name: name.clone(),
                pid: *pid,
                since: Instant::now(),
            }),
        }
        Ok(())
    }

    /// Shows the table once a process that was killed is back.
    async fn look(&mut self) {
        let mut back = Vec::new();
        let mut still = Vec::new();
        for away in self.away.drain(..) {
            let after = away.since.elapsed();
            if self
                .scene
                .is_back(&away.name, away.pid)
                .await
                .unwrap_or(false)
            {
                let ms = format!("after {} ms", after.as_millis());
                back.push(row("back", &away.name, &ms));
            } else if after > BACK {
                back.push(format!("{} is not back; see ps and log.", away.name));
            } else {
                still.push(away);
            }
        }
        self.away = still;
        if !back.is_empty() {
            let table = self.scene.table().await;
            let table = table.unwrap_or_else(|error| format!("{error:#}"));
            println!("\r{}\n\n{table}\n", back.join("\n"));
            self.prompt();
        }
    }
}

/// What is typed, line by line, until the end of input.
fn keyboard() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(16);
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if typed.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_wish_or_is_said() {
        for (line, wish) in [
            ("  ", Wish::Nothing),
            ("hello there", Wish::Say(None, "hello there")),
            ("discord", Wish::Be(Place::Discord)),
            ("w  你好 ", Wish::Say(Some(Place::Weibo), "你好")),
            ("d kill hub", Wish::Say(Some(Place::Discord), "kill hub")),
            ("kill hub", Wish::Kill("hub")),
            (
                "kill the lights, please",
                Wish::Say(None, "kill the lights, please"),
            ),
            ("kill", Wish::Kill("")),
            ("ps", Wish::Table),
            ("psst", Wish::Say(None, "psst")),
            ("/status", Wish::Say(None, "/status")),
            ("quit", Wish::Quit),
        ] {
            assert_eq!(read(line), wish, "{line:?}");
        }
    }
}
