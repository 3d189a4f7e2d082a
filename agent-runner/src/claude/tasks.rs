//! Work that goes on beside the conversation: subagents, and commands in the background. What the
//! lines `system/task_*` say of it, and what of that is shown.
//!
//! Promises: each task is told when it begins in the background and when it ends, and in between
//! what it does, as far as no line of its own has told it; what is remembered is bounded. Pure.
//!
//! The shapes are those of Claude Code 2.1.329. Of the four lines only the first names what the task
//! is for, so that is remembered; the `description` of `task_progress` is what it does just now
//! ("Running tests"). A subagent that the conversation waits for has the line of its tool already, and
//! its own tools have theirs. The CLI's own housekeeping (`ambient`, `skip_transcript`) is nobody's
//! business.

use std::collections::VecDeque;

use ipc_schema::TurnEvent;
use serde::Deserialize;

use super::words;

/// How many tasks are remembered; the oldest is forgotten for another.
const TASKS: usize = 64;

/// Which of the lines it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It begins.
    #[default]
    TaskStarted,
    /// It has done something.
    TaskProgress,
    /// Something about it has changed.
    TaskUpdated,
    /// It is over; may be said again of one that was taken up anew.
    TaskNotification,
}

/// `system/task_*`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Task {
    /// Which line.
    #[serde(rename = "subtype")]
    pub stage: Stage,
    /// Names the task in this process.
    pub task_id: String,
    /// The call of a tool that began it.
    pub tool_use_id: String,
    /// `local_agent`, `local_bash`, …
    pub task_type: String,
    /// The kind of subagent, if it is one.
    pub subagent_type: String,
    /// The workflow's name, if it is one.
    pub workflow_name: String,
    /// What it is for; of a progress, what it does.
    pub description: String,
    /// Whether anybody waits for it; absent = not said.
    pub is_backgrounded: Option<bool>,
    /// Not to be shown among what the agent does.
    pub skip_transcript: bool,
    /// The CLI's own housekeeping.
    pub ambient: bool,
    /// How it stands, or how it ended; of a subagent that is done, its report.
    pub summary: String,
    /// `completed`, `failed` or `stopped`, at the end.
    pub status: String,
    /// What has changed.
    pub patch: Patch,
}

/// What has changed of a task.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Patch {
    /// Nobody waits for it any more.
    pub is_backgrounded: bool,
}

/// The tasks of one process.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    known: VecDeque<Known>,
}

#[derive(Debug)]
struct Known {
    id: String,
    call: String,
    /// Who does it.
    who: String,
    /// What for.
    what: String,
    hidden: bool,
    /// Lines of its own tell what it does.
    speaks: bool,
}

impl Tasks {
    /// A line came from the subagent that this call has begun.
    pub(super) fn spoke(&mut self, call: &str) {
        for known in self.known.iter_mut().filter(|known| known.call == call) {
            known.speaks = true;
        }
    }

    /// The CLI said something of a task; what is to be shown.
    pub(super) fn hear(&mut self, task: Task) -> Option<TurnEvent> {
        let known = match self.known.iter().position(|known| known.id == task.task_id) {
            Some(at) => &mut self.known[at],
            None => self.note(&task),
        };
        known.hidden |= task.ambient || task.skip_transcript;
        if known.hidden {
            return None;
        }
        let said = match task.stage {
            // The line of the tool that waits for it stands there already.
            Stage::TaskStarted => match task.is_backgrounded {
                Some(false) => return None,
                _ => "started in the background".into(),
            },
            Stage::TaskUpdated if task.patch.is_backgrounded => "goes on in the background".into(),
            Stage::TaskUpdated => return None,
            Stage::TaskProgress if !task.summary.is_empty() => task.summary,
            Stage::TaskProgress if !known.speaks && !task.description.is_empty() => {
                task.description
            }
            Stage::TaskProgress => return None,
            Stage::TaskNotification => match task.status.as_str() {
                // Its report is for the agent.
                "completed" => "done".into(),
                status if task.summary.is_empty() => status.to_owned(),
                // A whole sentence: `Background command "tests" failed with exit code 1`.
                _ if task.summary.contains(&known.what) => {
                    return Some(words::task_note(&known.who, "", &task.summary));
                }
                status => format!("{status}: {}", task.summary),
            },
        };
        Some(words::task_note(&known.who, &known.what, &said))
    }

    fn note(&mut self, task: &Task) -> &mut Known {
        if self.known.len() == TASKS {
            self.known.pop_front();
        }
        let who = match (
            task.task_type.as_str(),
            &task.subagent_type,
            &task.workflow_name,
        ) {
            ("local_bash", _, _) => "Bash",
            (_, who, _) if !who.is_empty() => who,
            (_, _, who) if !who.is_empty() => who,
            _ => "Task",
        };
        let known = Known {
            id: task.task_id.clone(),
            call: task.tool_use_id.clone(),
            who: words::short(who),
            what: words::short(&task.description),
            hidden: false,
            speaks: false,
        };
        self.known.push_back(known);
        let last = self.known.len() - 1;
        &mut self.known[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(tasks: &mut Tasks, subtype: &str, id: &str, more: Value) -> Option<String> {
        let mut line = json!({"type": "system", "subtype": subtype, "task_id": id});
        line.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        match tasks.hear(serde_json::from_value(line).unwrap())? {
            TurnEvent::Tool { name, input } => Some(format!("{name}: {input}")),
            other => panic!("{other:?}"),
        }
    }

    fn agent(more: Value) -> Value {
        let mut agent = json!({"task_type": "local_agent", "subagent_type": "Explore",
            "description": "look\naround", "tool_use_id": "call"});
        agent
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        agent
    }

    // pitfall: system/task_*: subagents and background Bash
    #[test]
    fn work_in_the_background_is_told_from_its_start_to_its_end() {
        let mut tasks = Tasks::default();
        let mut says = |subtype: &str, more| told(&mut tasks, subtype, "a", more);
        assert_eq!(
            says("task_started", agent(json!({"is_backgrounded": true}))).unwrap(),
            "Explore: look around: started in the background"
        );
        let grep = json!({"description": "Searching for x", "last_tool_name": "Grep"});
        assert_eq!(
            says("task_progress", grep).unwrap(),
            "Explore: look around: Searching for x"
        );
        let reads = json!({"description": "Reading a.md", "summary": "reads the docs"});
        assert_eq!(
            says("task_progress", reads).unwrap(),
            "Explore: look around: reads the docs"
        );
        assert_eq!(
            says("task_updated", json!({"patch": {"status": "completed"}})),
            None
        );
        assert_eq!(
            says(
                "task_notification",
                json!({"status": "completed", "summary": "a report"})
            )
            .unwrap(),
            "Explore: look around: done"
        );

        let bash =
            json!({"task_type": "local_bash", "description": "test", "is_backgrounded": true});
        told(&mut tasks, "task_started", "b", bash);
        let words = "Background command \"test\" failed with exit code 1";
        let failed = json!({"status": "failed", "summary": words});
        assert_eq!(
            told(&mut tasks, "task_notification", "b", failed).unwrap(),
            format!("Bash: {words}")
        );
    }

    #[test]
    fn what_its_own_lines_tell_is_not_told_twice() {
        let mut tasks = Tasks::default();
        let mut says = |subtype: &str, more| told(&mut tasks, subtype, "a", more);
        assert_eq!(
            says("task_started", agent(json!({"is_backgrounded": false}))),
            None
        );
        let moved = json!({"patch": {"is_backgrounded": true}});
        assert_eq!(
            says("task_updated", moved).unwrap(),
            "Explore: look around: goes on in the background"
        );
        tasks.spoke("call");
        let grep = json!({"description": "Searching for x"});
        assert_eq!(told(&mut tasks, "task_progress", "a", grep), None);
    }

    #[test]
    fn housekeeping_is_not_shown_and_no_more_is_remembered_than_is_needed() {
        let mut tasks = Tasks::default();
        told(
            &mut tasks,
            "task_started",
            "own",
            json!({"ambient": true, "description": "x"}),
        );
        let done = json!({"status": "completed"});
        assert_eq!(
            told(&mut tasks, "task_notification", "own", done.clone()),
            None
        );
        for n in 0..2 * TASKS {
            told(
                &mut tasks,
                "task_started",
                &n.to_string(),
                json!({"description": "x"}),
            );
        }
        assert_eq!(tasks.known.len(), TASKS);
        // One of which nothing is known any more.
        assert_eq!(
            told(&mut tasks, "task_notification", "0", done).unwrap(),
            "Task: done"
        );
    }
}
