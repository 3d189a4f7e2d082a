//! An ACP agent, examined: it is greeted, and given a turn of one line as every turn has it, mode and
//! model included. Offline it is only greeted.

use std::path::Path;
use std::time::{Duration, Instant};

use ipc_schema::Fault;
use tokio::sync::mpsc;
use worker_kit::{Doctor, Finding};

use super::{Agent, PROMPT, leave, user, words};
use crate::acp::protocol::{Act, Beginning, Over, Protocol, Wanted};
use crate::claude::fault;
use crate::process::pump::{Framing, Hold, Order};
use crate::session::Event;

/// How long all of it may take.
const TALK: Duration = Duration::from_secs(110);
/// How long a question would wait: nobody is there to answer.
const NO_ANSWER: Duration = Duration::from_secs(1);

/// Examines, and says what it finds.
pub(super) async fn examine(agent: &Agent, program: &Path, offline: bool, doctor: &mut Doctor) {
    let shown = program.display();
    let mut name = None;
    let ended = match agent.begin(&agent.options.args, Framing::Lines) {
        Ok((hold, mut events)) => {
            let talk = talk(agent, offline, &hold, &mut events, &mut name);
            let ended = tokio::time::timeout(TALK, talk).await;
            leave(hold, events).await;
            ended.unwrap_or_else(|_| {
                let words = format!("no answer within {} s", TALK.as_secs());
                Err(Fault::Agent { words })
            })
        }
        Err(fault) => Err(fault),
    };
    let Some(name) = name else {
        let why = ended.as_ref().err().map_or_else(String::new, words);
        let line = [&[shown.to_string()], agent.options.args.as_slice()].concat();
        let says = format!("{shown} does not speak ACP: {why}");
        let advice = format!(
            "type  {}  in a terminal to see what it says: it must wait for JSON on its input. \
             docs/agents.md has the command lines of known agents",
            line.join(" ")
        );
        return doctor.find(Finding::fail("cli", says, advice));
    };
    if !name.is_empty() {
        doctor.fact("version", &name);
    }
    doctor.find(Finding::ok("cli", format!("{shown}: speaks ACP, {name}")));
    if !offline {
        doctor.find(judge(agent, &ended));
    }
}

fn judge(agent: &Agent, ended: &Result<(), Fault>) -> Finding {
    let (program, who) = (agent.options.program(), user());
    match ended {
        Ok(()) => Finding::ok("login", "it answers a turn of one line"),
        Err(Fault::LoggedOut { words }) => Finding::fail(
            "login",
            format!("it is not logged in: {words}"),
            format!(
                "log it in as {who}, in the way that it offers (docs/agents.md has the known ones), or \
                 give it its key in env of [projects.agent.options]"
            ),
        ),
        Err(other) => Finding::fail(
            "login",
            format!("a turn of one line fails: {}", words(other)),
            format!("see that  {program}  works in a terminal as {who}"),
        ),
    }
}

/// Talks to it until it has answered, or has said who it is if that is enough. `name` is set once
/// that is known.
async fn talk(
    agent: &Agent,
    offline: bool,
    hold: &Hold,
    events: &mut mpsc::Receiver<(u64, Event)>,
    name: &mut Option<String>,
) -> Result<(), Fault> {
    let options = &agent.options;
    let beginning = Beginning {
        cwd: agent.work_dir.clone(),
        conversation: None,
        login: options.auth_method.clone(),
        servers: Vec::new(),
    };
    let nonce = agent.claim.mark.clone();
    let mut protocol = Protocol::new(nonce, beginning, NO_ANSWER);
    let mut acts = protocol.open(Instant::now());
    loop {
        if name.is_none() && protocol.has_spoken() {
            *name = Some(protocol.name().to_owned());
            if offline {
                return Ok(());
            }
        }
        let mut more = Vec::new();
        for act in acts.drain(..) {
            match act {
                Act::Write(line) => hold.order(Order::Write(format!("{line}\n").into_bytes())),
                Act::Opened(..) => {
                    let wanted = Wanted {
                        mode: options.mode.clone().unwrap_or_default(),
                        model: options.model.clone().unwrap_or_default(),
                    };
                    more.extend(protocol.prompt(PROMPT, &[], &wanted, Instant::now()));
                }
                Act::Cannot(fault) | Act::Over(Over::Failed(fault)) => return Err(fault),
                Act::Over(_) => return Ok(()),
                _ => {}
            }
        }
        if !more.is_empty() {
            acts = more;
            continue;
        }
        let event = match protocol.deadline() {
            Some(at) => match tokio::time::timeout_at(at.into(), events.recv()).await {
                Ok(event) => event,
                Err(_) => {
                    acts = protocol.tick(Instant::now());
                    continue;
                }
            },
            None => events.recv().await,
        };
        match event {
            Some((_, Event::Line(line))) => {
                acts = protocol.line(&line, Instant::now()).unwrap_or_default();
            }
            Some((_, Event::Exited(exit))) => {
                let words = fault::clip(&exit.describe("it"));
                return Err(match fault::is_logged_out(&words) {
                    true => Fault::LoggedOut { words },
                    false => Fault::Agent { words },
                });
            }
            Some((_, Event::NotLaunched(fault))) => return Err(fault),
            Some(_) => {}
            None => {
                let words = "it is gone".into();
                return Err(Fault::Agent { words });
            }
        }
    }
}
