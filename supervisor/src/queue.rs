//! `bulkhead queue`, `sessions` and `workspace`: what an operator asks of the hub.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use hub::control::{Answer, Ask};

use crate::places::Places;
use crate::status::print;

fn ask(places: &Places, ask: &Ask) -> Result<Answer> {
    let answer = hub::control::ask(&places.runtime_dir, ask).with_context(|| {
        format!(
            "the hub does not answer at {}; `bulkhead status` shows whether it runs",
            places.runtime_dir.display()
        )
    })?;
    match answer {
        Answer::Error { why } => bail!("the hub refused: {why}"),
        answer => Ok(answer),
    }
}

/// Lists parked replies.
pub(crate) fn list(places: &Places, json: bool) -> Result<ExitCode> {
    let answer = ask(places, &Ask::Parked)?;
    let Answer::Parked { replies } = &answer else {
        bail!("the hub answered something else")
    };
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&answer)?));
    } else if replies.is_empty() {
        print("nothing is parked\n");
    } else {
        for reply in replies {
            print(&format!(
                "{}  {} to {}: {} chunk(s) not posted: {}\n",
                reply.reply, reply.instance, reply.address, reply.chunks, reply.why
            ));
        }
        print("\nMend the cause, then: bulkhead queue retry ID\n");
    }
    Ok(ExitCode::SUCCESS)
}

/// Tries a parked reply again.
pub(crate) fn retry(places: &Places, reply: String) -> Result<ExitCode> {
    let answer = ask(
        places,
        &Ask::Requeue {
            reply: reply.clone(),
        },
    )?;
    match answer {
        Answer::Requeued { chunks: 0 } => {
            bail!("no reply {reply} is parked; `bulkhead queue list` shows those that are")
        }
        Answer::Requeued { chunks } => {
            print(&format!("{chunks} chunk(s) are on their way again\n"));
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("the hub answered something else"),
    }
}

/// Lists the sessions last used.
pub(crate) fn sessions(places: &Places, json: bool) -> Result<ExitCode> {
    let answer = ask(places, &Ask::Sessions)?;
    let Answer::Sessions { sessions } = &answer else {
        bail!("the hub answered something else")
    };
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&answer)?));
    } else if sessions.is_empty() {
        print("there are no sessions yet\n");
    } else {
        for session in sessions {
            print(&format!(
                "{}  {}  {} {}  agent session {}\n",
                session.id,
                session.project,
                session.instance,
                session.conversation,
                session.agent_session
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists the worktrees of sessions.
pub(crate) fn workspaces(places: &Places, json: bool) -> Result<ExitCode> {
    let answer = ask(places, &Ask::Workspaces)?;
    let Answer::Workspaces { worktrees } = &answer else {
        bail!("the hub answered something else")
    };
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&answer)?));
    } else if worktrees.is_empty() {
        print("no session has a directory of its own\n");
    } else {
        for tree in worktrees {
            let state = match tree.kept {
                true => format!(
                    "closed and kept: {} files not committed, {} commits on no other branch",
                    tree.changes, tree.commits
                ),
                false => "open".to_owned(),
            };
            print(&format!(
                "{}  {}  {}  {}\n    {state}\n",
                tree.session, tree.project, tree.branch, tree.path
            ));
        }
        if let Some(tree) = worktrees.iter().find(|tree| tree.kept) {
            print(&format!(
                "\nA kept one goes by itself once its session is closed again with nothing left in it, or by \
                 hand: git -C {} worktree remove {}\n",
                tree.path, tree.path
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
