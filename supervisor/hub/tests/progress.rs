//! What the chat sees of a turn: while it runs, at its end, and when something dies in between.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use desk::*;
use hub::engine::Out;
use hub::plan::{Plan, Reply, Style};
use hub::texts::{Lang, Text, say};
use ipc_schema::*;

const WORKING: &str = "⏳ Working…";

fn en(text: Text<'_>) -> String {
    say(&text, Lang::En)
}

fn styled(style: Style) -> Plan {
    let mut plan = plan();
    plan.platforms.get_mut(WORKER).unwrap().progress = style;
    plan
}

fn can() -> Capabilities {
    Capabilities {
        edit: true,
        embeds: true,
        files: true,
        file_limit: 10 << 20,
        ..worker_can()
    }
}

/// A message as the platform has it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Message {
    id: String,
    text: String,
    silent: bool,
    card: Option<Card>,
    files: usize,
}

/// The channel, and the worker before it.
#[derive(Default)]
struct Channel {
    messages: Vec<Message>,
    /// Deliveries that the worker has not reported.
    waiting: Vec<Deliver>,
    lacks: Vec<Lack>,
    edits: usize,
}

impl Channel {
    /// Takes what the hub said; deliveries wait.
    fn take(&mut self, out: &[Out]) {
        for out in out {
            match &out.body {
                Body::Deliver(deliver) => self.waiting.push(deliver.clone()),
                Body::Revise(revise) => {
                    self.edits += 1;
                    let message = self.message(&revise.platform_id);
                    message.text.clone_from(&revise.text);
                    message.card.clone_from(&revise.card);
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, id: &str) -> &mut Message {
        self.messages
            .iter_mut()
            .find(|m| m.id == id)
            .expect("a message that was posted")
    }

    /// Posts the first delivery that waits.
    fn post_one(&mut self, desk: &mut Desk) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let deliver = self.waiting.remove(0);
        let id = match deliver.edits.as_str() {
            "" => deliver.key.clone(),
            id => id.to_owned(),
        };
        if deliver.edits.is_empty() {
            self.messages.push(Message {
                id: id.clone(),
                ..Message::default()
            });
        }
        let (silent, files) = (deliver.silent, deliver.files.len());
        let message = self.message(&id);
        message.text = deliver.text;
        message.card = deliver.card;
        (message.silent, message.files) = (silent, files);
        let done = Delivered {
            key: deliver.key,
            platform_id: id,
            lacks: self.lacks.clone(),
        };
        let out = desk.got(WORKER, Body::Delivered(done));
        self.take(&out);
        true
    }

    fn post_all(&mut self, desk: &mut Desk) {
        while self.post_one(desk) {}
    }

    fn texts(&self) -> Vec<&str> {
        self.messages.iter().map(|m| m.text.as_str()).collect()
    }
}

/// A desk, its channel, and a turn that runs.
struct Scene {
    desk: Desk,
    channel: Channel,
    at: TurnRef,
    n: u64,
}

impl Scene {
    fn new(plan: Plan) -> Scene {
        Scene::with(plan, can())
    }

    fn with(plan: Plan, can: Capabilities) -> Scene {
        let mut desk = Desk::linked_to(plan, can);
        let out = desk.says("e1", "go");
        let at = prompts(&out).remove(0).at;
        let mut scene = Scene {
            desk,
            channel: Channel::default(),
            at,
            n: 0,
        };
        scene.channel.take(&out);
        scene.tell(started(false));
        scene
    }

    /// The runner says something that it holds until it is kept.
    fn tell(&mut self, event: TurnEvent) {
        self.n += 1;
        let (at, n) = (self.at.clone(), self.n);
        let out = self.desk.update(&at, n, event);
        self.channel.take(&out);
    }

    /// It says something that may be lost.
    fn show(&mut self, event: TurnEvent) {
        let at = self.at.clone();
        let out = self.desk.update(&at, 0, event);
        self.channel.take(&out);
    }

    fn tool(&mut self, input: &str) {
        self.show(TurnEvent::Tool {
            name: "Bash".into(),
            input: input.into(),
        });
    }

    fn partial(&mut self, text: &str) {
        self.show(TurnEvent::Partial { text: text.into() });
    }

    fn wait(&mut self, ms: u64) {
        let out = self.desk.wait(ms);
        self.channel.take(&out);
    }

    fn post(&mut self) {
        self.channel.post_all(&mut self.desk);
    }

    fn end(&mut self, outcome: Outcome) {
        self.tell(ended(outcome));
        self.post();
    }

    /// The hub dies; both peers link again, the runner still runs the turn.
    fn kill_hub(&mut self) {
        self.desk.kill_hub();
        self.channel.waiting.clear();
        let out = self.desk.worker_up();
        self.channel.take(&out);
        let out = self.desk.runner_up(true, Standing::Running);
        self.channel.take(&out);
    }

    /// The runner dies, and starts the turn once more.
    fn kill_runner(&mut self) {
        let out = self.desk.runner_up(true, Standing::Unknown);
        self.at = prompts(&out).remove(0).at;
        self.channel.take(&out);
        self.n = 0;
        self.tell(started(false));
    }
}

#[test]
fn an_answer_at_once_is_the_only_message_in_every_style() {
    for style in [
        Style::Legacy,
        Style::Compact,
        Style::Card,
        Style::Bubble,
        Style::Off,
    ] {
        let mut scene = Scene::new(styled(style));
        scene.partial("Hel");
        scene.tell(block("a", "Hello."));
        scene.end(Outcome::Done);
        assert_eq!(scene.channel.texts(), ["Hello."], "{style:?}");
        assert!(!scene.channel.messages[0].silent);
        let turn = &scene.at.turn;
        assert_eq!(scene.desk.spool.progress(turn).unwrap(), None);
    }
}

#[test]
fn legacy_is_a_silent_message_a_step_and_the_last_block_is_the_answer() {
    let mut scene = Scene::new(styled(Style::Legacy));
    scene.show(thinking());
    scene.show(thinking());
    scene.post();
    scene.tool("ls -la");
    scene.post();
    scene.tell(block("a", "I **look**."));
    scene.tool("cat x");
    scene.post();
    scene.tell(block("b", "It is done."));
    scene.end(Outcome::Done);
    let expected = [
        "🤔 Thinking…",
        "🔧 Tool: Bash(ls -la)",
        "I **look**.",
        "🔧 Tool: Bash(cat x)",
        "It is done.",
    ];
    assert_eq!(scene.channel.texts(), expected);
    let silent: Vec<bool> = scene.channel.messages.iter().map(|m| m.silent).collect();
    assert_eq!(silent, [true, true, true, true, false]);
}

#[test]
fn many_steps_that_wait_join() {
    let mut scene = Scene::new(styled(Style::Legacy));
    for n in 0..300 {
        scene.tool(&format!("step {n}"));
    }
    let waiting = scene.desk.spool.waiting().unwrap().pending_chunks;
    assert!(waiting <= 8, "{waiting} wait");
    scene.tell(block("a", "Done."));
    scene.end(Outcome::Done);
    let texts = scene.channel.texts();
    assert!(texts.len() < 10 && texts.iter().all(|text| text.chars().count() <= 2000));
    assert_eq!(texts.first(), Some(&"🔧 Tool: Bash(step 0)"));
    assert_eq!(texts.last(), Some(&"Done."));
}

#[test]
fn compact_is_posted_revised_and_closed_and_the_answer_notifies() {
    let mut scene = Scene::new(styled(Style::Compact));
    scene.show(thinking());
    scene.post();
    scene.tool("ls");
    scene.wait(1500);
    assert_eq!(
        scene.channel.texts(),
        [format!("🤔 Thinking…\n🔧 Tool: Bash(ls)\n{WORKING}")]
    );
    scene.tell(block("a", "First I look."));
    scene.partial("Then I answer at some length");
    scene.wait(1500);
    assert!(scene.channel.texts()[0].contains("First I look.\n\nThen I answer"));
    scene.tell(block("b", "Then I answer at some length, and well."));
    scene.end(Outcome::Done);
    let closed = "🤔 Thinking…\n🔧 Tool: Bash(ls)\n\nFirst I look.\n✅ Done in 3 s";
    let answer = "Then I answer at some length, and well.";
    assert_eq!(scene.channel.texts(), [closed, answer]);
    let messages = &scene.channel.messages;
    assert!(messages[0].silent && !messages[1].silent);
    assert_eq!(scene.channel.edits, 2, "each at its time");
    let turn = &scene.at.turn;
    assert_eq!(
        scene.desk.spool.progress(turn).unwrap(),
        None,
        "nothing stays behind"
    );
    assert!(!scene.desk.spool.is_shown(turn, "a").unwrap());
}

#[test]
fn the_answer_does_not_wait_for_the_page_to_be_closed() {
    let mut scene = Scene::new(styled(Style::Compact));
    scene.tool("ls");
    scene.post();
    scene.tell(block("a", "Done."));
    scene.tell(ended(Outcome::Done));
    assert_eq!(scene.channel.waiting[0].text, "Done.");
    scene.post();
    assert_eq!(
        scene.channel.texts()[0],
        "🔧 Tool: Bash(ls)\n✅ Done in 0 s"
    );
}

#[test]
fn a_page_that_was_not_handed_out_yet_is_posted_in_its_last_form() {
    let mut scene = Scene::new(styled(Style::Compact));
    // Something else is on its way in the lane.
    scene.desk.says("e2", "and then?");
    let out = scene.desk.wait(QUEUED);
    scene.channel.take(&out);
    scene.tool("ls");
    scene.tell(block("a", "Done."));
    scene.end(Outcome::Done);
    let expected = [
        en(Text::Queued { ahead: 1 }),
        "🔧 Tool: Bash(ls)\n✅ Done in 3 s".into(),
        "Done.".into(),
    ];
    assert_eq!(scene.channel.texts(), expected);
}

#[test]
fn every_end_closes_the_page() {
    let fault = Fault::Agent { words: "no".into() };
    for (outcome, word) in [
        (Outcome::Stopped, "⏹️ Stopped after"),
        (Outcome::Failed { fault }, "❌ Failed after"),
        (
            Outcome::Failed {
                fault: Fault::CannotResume,
            },
            "⚠️ Interrupted after",
        ),
    ] {
        let mut scene = Scene::new(styled(Style::Compact));
        scene.tool("ls");
        scene.post();
        scene.tell(block("a", "So far."));
        scene.end(outcome);
        let texts = scene.channel.texts();
        assert!(texts[0].contains(word), "{texts:?}");
        let said = texts.iter().filter(|text| text.contains("So far.")).count();
        assert_eq!(said, 1, "{texts:?}");
    }
}

#[test]
fn a_card_is_shown_and_where_it_may_not_be_text_is_and_that_is_said_once() {
    let mut scene = Scene::new(styled(Style::Card));
    scene.channel.lacks = vec![Lack::Cards];
    scene.tool("ls");
    let first = scene.channel.waiting[0].clone();
    assert_eq!(first.card.unwrap().title, WORKING);
    assert_eq!(first.text, format!("🔧 Tool: Bash(ls)\n{WORKING}"));
    scene.post();
    scene.tool("pwd");
    scene.wait(1500);
    assert_eq!(scene.channel.messages[0].card, None, "text from now on");
    scene.tell(block("a", "Done."));
    scene.end(Outcome::Done);
    let notice = en(Text::Lacks(Lack::Cards));
    let texts = scene.channel.texts();
    assert_eq!(texts[1..], [notice.as_str(), "Done."]);

    let out = scene.desk.says("e2", "again");
    scene.at = prompts(&out).remove(0).at;
    scene.n = 0;
    scene.tell(started(false));
    scene.desk.now += 400 * 86_400_000;
    scene.tool("ls");
    scene.tell(block("a", "Done."));
    scene.end(Outcome::Done);
    let said = scene
        .channel
        .texts()
        .into_iter()
        .filter(|text| *text == notice);
    assert_eq!(said.count(), 1);
}

#[test]
fn a_platform_without_cards_or_without_edits_gets_what_it_can_show() {
    let plain = Capabilities {
        embeds: false,
        ..can()
    };
    let mut scene = Scene::with(styled(Style::Card), plain);
    scene.tool("ls");
    assert_eq!(scene.channel.waiting[0].card, None);
    let fixed = Capabilities {
        edit: false,
        ..can()
    };
    let mut scene = Scene::with(styled(Style::Compact), fixed);
    scene.tool("ls");
    scene.wait(8000);
    scene.post();
    let still = hub::texts::progress::still_working(Lang::En);
    assert_eq!(scene.channel.texts(), [still]);
}

#[test]
fn a_bubble_comes_after_eight_silent_seconds_and_once() {
    let still = hub::texts::progress::still_working(Lang::En);
    let mut scene = Scene::new(styled(Style::Bubble));
    scene.tool("ls");
    scene.wait(7999);
    assert_eq!(scene.channel.waiting.len(), 0);
    scene.wait(1);
    scene.post();
    assert_eq!(scene.channel.texts(), [still.as_str()]);
    scene.kill_hub();
    scene.wait(20_000);
    scene.kill_runner();
    scene.wait(20_000);
    scene.tell(block("a", "First."));
    scene.tell(block("b", "Last."));
    scene.end(Outcome::Done);
    assert_eq!(scene.channel.texts(), [still.as_str(), "First.\n\nLast."]);

    // Somebody who was told something does not wonder.
    let mut scene = Scene::new(styled(Style::Bubble));
    let out = scene.desk.says("e2", "more");
    scene.channel.take(&out);
    scene.wait(60_000);
    scene.post();
    assert_eq!(scene.channel.texts(), [en(Text::Queued { ahead: 1 })]);
}

#[test]
fn the_hub_that_takes_over_still_says_that_it_takes_long() {
    let mut scene = Scene::new(styled(Style::Bubble));
    scene.wait(5000);
    scene.kill_hub();
    scene.wait(8000);
    scene.post();
    let still = hub::texts::progress::still_working(Lang::En);
    assert_eq!(scene.channel.texts(), [still]);
}

#[test]
fn quiet_shows_nothing_and_loses_no_text() {
    let mut plan = styled(Style::Compact);
    plan.projects.get_mut("demo").unwrap().display.progress = false;
    let mut scene = Scene::new(plan);
    scene.show(thinking());
    scene.tell(block("a", "First."));
    scene.tool("ls");
    scene.tell(block("b", "Last."));
    scene.wait(60_000);
    scene.end(Outcome::Done);
    assert_eq!(scene.channel.texts(), ["First.\n\nLast."]);
}

#[test]
fn with_reply_all_each_block_is_a_message_as_soon_as_it_is_whole() {
    let mut plan = styled(Style::Compact);
    plan.platforms.get_mut(WORKER).unwrap().reply = Reply::All;
    let mut scene = Scene::new(plan);
    scene.tool("ls");
    scene.tell(block("a", "First."));
    scene.post();
    assert_eq!(scene.channel.texts()[1], "First.");
    scene.kill_hub();
    scene.kill_runner();
    scene.tell(block("a", "First."));
    scene.tell(block("b", "Last."));
    scene.end(Outcome::Done);
    assert_eq!(scene.channel.texts()[1..], ["First.", "Last."]);
    assert!(scene.channel.messages[1..].iter().all(|m| !m.silent));
    assert!(scene.channel.texts()[0].ends_with("✅ Done in 0 s"));
}

#[test]
fn a_block_in_pieces_is_one_text() {
    for style in [Style::Legacy, Style::Compact, Style::Off] {
        let mut scene = Scene::new(styled(style));
        let piece = |text: &str, more| TurnEvent::Text {
            block: "a".into(),
            text: text.into(),
            more,
        };
        scene.tell(piece("one ", true));
        scene.kill_hub();
        scene.tell(piece("two ", true));
        scene.tell(piece("three", false));
        scene.tell(block("b", "End."));
        scene.end(Outcome::Done);
        let all = scene.channel.texts().join("|");
        assert_eq!(all.matches("one two three").count(), 1, "{style:?}: {all}");
    }
}

#[test]
fn a_hub_that_died_goes_on_with_the_page_and_closes_it() {
    let mut scene = Scene::new(styled(Style::Compact));
    scene.show(thinking());
    scene.post();
    scene.tool("ls");
    scene.wait(1500);
    scene.tell(block("a", "First."));
    scene.kill_hub();
    scene.tell(block("b", "Second."));
    scene.kill_hub();
    scene.tool("pwd");
    scene.wait(1500);
    scene.tell(block("c", "Third."));
    scene.kill_hub();
    scene.end(Outcome::Done);
    let page = "🤔 Thinking…\n🔧 Tool: Bash(ls)\n\nFirst.\n\n🔧 Tool: Bash(pwd)\n\nSecond.\n✅ Done in 3 s";
    let texts = scene.channel.texts();
    assert_eq!(texts.len(), 2, "{texts:?}");
    let squeeze = |text: &str| {
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    assert_eq!(squeeze(texts[0]), squeeze(page));
    assert_eq!(texts[1], "Third.");
}

#[test]
fn an_attempt_that_is_made_again_says_nothing_twice() {
    for style in [Style::Legacy, Style::Compact, Style::Card] {
        let mut scene = Scene::new(styled(style));
        scene.tool("ls");
        scene.post();
        scene.tell(block("a", "First."));
        scene.tell(block("b", "Second."));
        scene.kill_runner();
        for (id, text) in [("a", "First."), ("b", "Second."), ("c", "Third.")] {
            scene.tell(block(id, text));
        }
        scene.wait(5000);
        scene.end(Outcome::Done);
        let all = scene.channel.texts().join("|");
        for text in ["First.", "Second.", "Third."] {
            assert_eq!(all.matches(text).count(), 1, "{style:?}: {all}");
        }
        assert!(all.ends_with("|Third."), "{style:?}: {all}");
        assert!(!all.contains(WORKING));
    }
}

#[test]
fn the_last_attempts_text_is_kept_and_what_was_half_said_is_not() {
    let mut scene = Scene::new(styled(Style::Compact));
    scene.tool("ls");
    scene.post();
    scene.kill_runner();
    scene.kill_runner();
    scene.tell(block("a", "So far."));
    scene.tell(TurnEvent::Text {
        block: "b".into(),
        text: "Half".into(),
        more: true,
    });
    let out = scene.desk.runner_up(true, Standing::Unknown);
    scene.channel.take(&out);
    scene.post();
    let texts = scene.channel.texts();
    assert_eq!(texts[1], en(Text::TooManyAttempts));
    assert!(
        texts[0].contains("So far.") && texts[0].contains("❌ Failed"),
        "{texts:?}"
    );
    assert!(!texts.concat().contains("Half"));
}

#[test]
fn a_long_text_goes_on_on_further_pages_whole() {
    let mut scene = Scene::new(styled(Style::Compact));
    scene.tool("ls");
    scene.post();
    let long: String = (0..900).map(|n| format!("word{n} ")).collect();
    scene.tell(block("a", &long));
    scene.tell(block("b", "Done."));
    scene.end(Outcome::Done);
    let texts = scene.channel.texts();
    assert!(texts.len() >= 4 && texts.iter().all(|text| text.chars().count() <= 2000));
    let all = texts.join(" ");
    for n in 0..900 {
        assert_eq!(
            all.matches(&format!("word{n} ")).count() + all.matches(&format!("word{n}\n")).count(),
            1,
            "word{n}"
        );
    }
    assert_eq!(all.matches("✅").count(), 1);
    assert!(!all.contains("⏳"), "{all}");
}

#[test]
fn progress_that_is_refused_for_good_is_dropped_and_the_answer_goes() {
    let mut scene = Scene::new(styled(Style::Compact));
    scene.tool("ls");
    let page = scene.channel.waiting.remove(0);
    let failed = DeliveryFailed {
        key: page.key,
        failure: Failure::Permanent,
        why: "no".into(),
    };
    let out = scene.desk.got(WORKER, Body::DeliveryFailed(failed));
    scene.channel.take(&out);
    scene.tell(block("a", "Done."));
    scene.end(Outcome::Done);
    assert_eq!(scene.channel.texts(), ["Done."]);
    assert_eq!(scene.desk.spool.waiting().unwrap().parked_chunks, 0);
}

#[test]
fn text_whose_page_was_refused_is_posted_anew() {
    let mut scene = Scene::new(styled(Style::Compact));
    scene.tool("ls");
    let page = scene.channel.waiting.remove(0);
    let failed = DeliveryFailed {
        key: page.key,
        failure: Failure::Permanent,
        why: "no".into(),
    };
    let out = scene.desk.got(WORKER, Body::DeliveryFailed(failed));
    scene.channel.take(&out);
    scene.tell(block("a", "Before."));
    scene.tell(block("b", "Done."));
    scene.end(Outcome::Done);
    let all = scene.channel.texts().join("|");
    assert!(all.contains("Before.") && all.contains("Done."), "{all}");
}

#[test]
fn who_heard_the_last_word_in_silence_is_told_that_it_was_the_last() {
    let mut scene = Scene::new(styled(Style::Legacy));
    scene.tell(block("a", "All of it."));
    scene.tool("rm x");
    scene.post();
    scene.end(Outcome::Done);
    let above = hub::texts::progress::said_above(Lang::En);
    assert_eq!(
        scene.channel.texts(),
        ["All of it.", "🔧 Tool: Bash(rm x)", &above]
    );
    let mut scene = Scene::new(styled(Style::Legacy));
    scene.tool("rm x");
    scene.end(Outcome::Done);
    assert_eq!(scene.channel.texts()[1], en(Text::EmptyAnswer));
}

#[test]
fn a_worker_that_comes_back_is_told_the_newest() {
    let mut scene = Scene::new(styled(Style::Compact));
    scene.tool("ls");
    scene.post();
    scene.tool("pwd");
    scene.wait(1500);
    let edits = scene.channel.edits;
    let out = scene.desk.worker_up();
    scene.channel.take(&out);
    scene.wait(1500);
    assert_eq!(scene.channel.edits, edits + 1);
}

#[test]
fn an_update_of_another_attempt_or_another_runner_shows_nothing() {
    let mut scene = Scene::new(styled(Style::Legacy));
    let old = scene.at.clone();
    scene.kill_runner();
    let step = thinking();
    let out = scene.desk.update(&old, 0, step.clone());
    assert_eq!(deliveries(&out).len(), 0);
    let body = Body::TurnUpdate(TurnUpdate {
        at: scene.at.clone(),
        n: 0,
        event: step,
    });
    let out = scene.desk.got(WORKER, body);
    assert_eq!(deliveries(&out).len(), 0);
    scene.end(Outcome::Done);
    let at = scene.at.clone();
    let out = scene.desk.update(&at, 0, thinking());
    assert_eq!(kinds(&out).len(), 0, "it is over");
}

#[test]
fn a_long_answer_goes_as_a_file_beside_its_beginning() {
    let long: String = (0..2000).map(|n| format!("word{n} ")).collect();
    let mut scene = Scene::new(styled(Style::Off));
    scene.tell(block("a", &long));
    scene.tell(ended(Outcome::Done));
    let first = scene.channel.waiting[0].clone();
    scene.post();
    assert_eq!(scene.channel.messages.len(), 1);
    let file = &first.files[0];
    assert_eq!(
        (file.name.as_str(), file.size),
        ("answer.md", long.len() as u64)
    );
    let (bytes, _) = scene
        .desk
        .spool
        .read_blob(&file.sha256, 0, 1 << 20)
        .unwrap()
        .unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        long,
        "as the agent wrote it"
    );
    let note = hub::texts::progress::whole_in_file(Lang::En);
    assert!(first.text.starts_with("word0 word1 ") && first.text.ends_with(&note));
    assert!(first.text.chars().count() <= 2000 && !first.silent);
}

#[test]
fn a_long_answer_stays_messages_where_files_are_not_to_be_had_or_few_are_enough() {
    let long: String = (0..2000).map(|n| format!("word{n} ")).collect();
    let refuses = Capabilities {
        file_limit: 100,
        ..can()
    };
    let mut many = styled(Style::Off);
    many.platforms.get_mut(WORKER).unwrap().max_reply_messages = Some(50);
    for (plan, can) in [(styled(Style::Off), refuses), (many, can())] {
        let mut scene = Scene::with(plan, can);
        scene.tell(block("a", &long));
        scene.end(Outcome::Done);
        let all = scene.channel.texts().join(" ");
        assert!(scene.channel.messages.len() > 5);
        assert_eq!(all.split_whitespace().count(), 2000);
    }
}

#[test]
fn an_answer_whose_file_may_not_be_posted_goes_on_as_messages() {
    let long: String = (0..2000).map(|n| format!("word{n} ")).collect();
    let mut scene = Scene::new(styled(Style::Off));
    scene.channel.lacks = vec![Lack::Files];
    scene.tell(block("a", &long));
    scene.end(Outcome::Done);
    let all = scene.channel.texts().join(" ");
    for n in 0..2000 {
        let word = format!("word{n}");
        let times = all
            .split_whitespace()
            .filter(|other| **other == word)
            .count();
        assert_eq!(times, 1, "{word}");
    }
    assert!(all.contains(&en(Text::Lacks(Lack::Files))));
}

#[test]
fn on_a_full_disk_progress_is_forgotten_and_the_answer_is_not() {
    for style in [Style::Legacy, Style::Compact] {
        let mut scene = Scene::new(styled(style));
        scene.tool("ls");
        scene.post();
        scene.desk.spool.limit_size(0).unwrap();
        for n in 0..2000 {
            scene.tool(&format!("step {n} {}", "x".repeat(400)));
            scene.wait(700);
        }
        scene.desk.spool.limit_size(1 << 30).unwrap();
        scene.tell(block("a", "First."));
        scene.tell(block("b", "Done."));
        scene.end(Outcome::Done);
        let all = scene.channel.texts().join("|");
        assert_eq!(all.matches("Done.").count(), 1, "{style:?}");
        assert_eq!(all.matches("First.").count(), 1, "{style:?}");
        assert!(!all.contains(WORKING), "{style:?}");
        assert!(scene.channel.messages.len() < 20, "{style:?}");
    }
}
