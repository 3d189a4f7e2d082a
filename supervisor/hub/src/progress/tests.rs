//! What is shown of turns, case by case and over many.

use proptest::prelude::*;

use super::*;
use crate::texts::Lang;

fn show(style: Style) -> Show {
    Show {
        style,
        thinking: true,
        thinking_max: Some(20),
        tools: true,
        tool_max: None,
        preview: Some(2000),
        min_delta: 5,
        interval: 1000,
        limit: 200,
        dialect: Dialect::Discord,
        lang: Lang::En,
    }
}

fn tool(input: &str) -> Seen<'_> {
    let name = "Bash";
    Seen::Tool { name, input }
}

/// Does the acts as the hub would: pages get names, blocks that are shown stand.
struct Player {
    progress: Progress,
    /// What each page reads, as last told; whether for good.
    pages: Vec<(String, bool)>,
    steps: Vec<String>,
    revised: usize,
    texts: std::collections::BTreeMap<String, String>,
    earlier: Vec<String>,
}

impl Player {
    fn new(show: Show) -> Player {
        Player {
            progress: Progress::new(show, 0),
            pages: Vec::new(),
            steps: Vec::new(),
            revised: 0,
            texts: Default::default(),
            earlier: Vec::new(),
        }
    }

    fn play(&mut self, acts: Vec<Act>, now: u64) {
        let mut todo = std::collections::VecDeque::from(acts);
        while let Some(act) = todo.pop_front() {
            match act {
                Act::Step(line) => self.steps.push(line),
                Act::Page(view) => {
                    if let Some(last) = self.pages.last_mut() {
                        last.1 = true;
                    }
                    self.pages.push((view.text, false));
                    self.progress.opened(&format!("p{}", self.pages.len()));
                }
                Act::Freeze(view) => *self.pages.last_mut().unwrap() = (view.text, true),
                Act::Revise(view) => {
                    self.revised += 1;
                    *self.pages.last_mut().unwrap() = (view.text, false);
                }
                Act::Earlier(id) => {
                    let text = self.texts[&id].clone();
                    if self.progress.style() == Style::Legacy {
                        self.steps.push(text.clone());
                    }
                    self.earlier.push(id.clone());
                    let more = self.progress.earlier(&id, &text, now);
                    more.into_iter().rev().for_each(|act| todo.push_front(act));
                }
            }
        }
    }

    fn seen(&mut self, seen: Seen<'_>, now: u64) {
        let acts = self.progress.seen(seen, now);
        self.play(acts, now);
    }

    fn block(&mut self, id: &str, text: &str, now: u64) {
        self.texts.insert(id.into(), text.into());
        let acts = self.progress.block(id, text, false, now);
        self.play(acts, now);
    }

    fn landed(&mut self, now: u64) {
        let acts = self.progress.landed(now);
        self.play(acts, now);
    }

    fn tick(&mut self, now: u64) {
        let acts = self.progress.tick(now);
        self.play(acts, now);
    }

    fn end(&mut self, over: TurnState, now: u64) {
        let texts: Vec<String> = self.texts.values().cloned().collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let acts = self.progress.end(over, &texts, now);
        self.play(acts, now);
    }

    fn page(&self) -> &str {
        &self.pages.last().unwrap().0
    }
}

#[test]
fn an_answer_that_comes_at_once_shows_nothing() {
    for style in [Style::Legacy, Style::Compact, Style::Card] {
        let mut player = Player::new(show(style));
        player.seen(Seen::Partial("Hello th"), 100);
        player.block("b", "Hello there", 200);
        player.end(TurnState::Ended, 201);
        assert_eq!(
            (player.pages.len(), player.steps.len()),
            (0, 0),
            "{style:?}"
        );
    }
}

#[test]
fn legacy_says_each_step_and_each_block_that_was_not_the_last() {
    let mut player = Player::new(show(Style::Legacy));
    for _ in 0..3 {
        player.seen(Seen::Thinking(""), 1);
    }
    player.seen(tool("ls -la"), 2);
    player.block("a", "I look.", 3);
    player.seen(Seen::Partial("I lo"), 3);
    assert_eq!(player.earlier.len(), 0, "that is a part of it");
    player.seen(Seen::Partial("It is"), 4);
    player.seen(Seen::Thinking(""), 5);
    player.block("b", "It is done.", 6);
    player.end(TurnState::Ended, 7);
    let expected = [
        "🤔 Thinking…",
        "🔧 Tool: Bash(ls -la)",
        "I look.",
        "🤔 Thinking…",
    ];
    assert_eq!(player.steps, expected);
    assert_eq!(player.progress.held(), Some("b"));
}

#[test]
fn a_thought_takes_the_place_of_thinking_as_far_as_it_may_be_shown() {
    let thought = "First *look*, then\nleap: it is not far";
    let mut player = Player::new(show(Style::Compact));
    player.seen(Seen::Thinking(""), 0);
    player.seen(Seen::Thinking(thought), 1);
    player.seen(Seen::Thinking("  "), 2);
    player.landed(3);
    player.tick(2000);
    let shown = "🤔 First \\*look\\*, then l…\n⏳ Working…";
    assert_eq!(player.page(), shown);
    // The next one stands beside it, with or without a word before.
    player.seen(Seen::Thinking("Now leap"), 2100);
    player.tick(4000);
    let all = "🤔 First \\*look\\*, then l…\n🤔 Now leap\n⏳ Working…";
    assert_eq!(player.page(), all);
    let mut player = Player::new(show(Style::Legacy));
    player.seen(Seen::Thinking(""), 0);
    player.seen(Seen::Thinking(thought), 1);
    let steps = ["🤔 Thinking…", "🤔 First \\*look\\*, then l…"];
    assert_eq!(player.steps, steps);
    let quiet = Show {
        thinking: false,
        ..show(Style::Legacy)
    };
    let mut player = Player::new(quiet);
    player.seen(Seen::Thinking(thought), 1);
    assert_eq!(player.steps.len(), 0);
}

#[test]
fn compact_is_one_message_that_is_changed_and_closed() {
    let mut player = Player::new(show(Style::Compact));
    player.seen(Seen::Thinking(""), 0);
    assert_eq!(player.page(), "🤔 Thinking…\n⏳ Working…");
    player.seen(tool("ls"), 100);
    assert_eq!(player.revised, 0, "it does not stand yet");
    player.landed(200);
    assert_eq!(player.revised, 0, "too early");
    assert_eq!(player.progress.wake(), Some(1000));
    player.tick(1000);
    player.seen(Seen::Partial("I found"), 1500);
    player.tick(2000);
    assert_eq!(
        player.page(),
        "🤔 Thinking…\n🔧 Tool: Bash(ls)\n\nI found\n⏳ Working…"
    );
    player.seen(tool("cat x"), 2500);
    player.block("a", "I found it.", 2600);
    player.seen(Seen::Partial("The end"), 2700);
    player.block("b", "The end is near.", 2800);
    player.end(TurnState::Ended, 12_000);
    assert_eq!(
        player.page(),
        "🤔 Thinking…\n🔧 Tool: Bash(ls)\n\nI found it.\n\n🔧 Tool: Bash(cat x)\n✅ Done in 12 s"
    );
    assert_eq!((player.pages.len(), player.revised), (1, 2));
}

#[test]
fn a_card_says_the_same() {
    let mut progress = Progress::new(show(Style::Card), 0);
    let acts = progress.seen(tool("ls"), 3000);
    let [Act::Page(view)] = acts.as_slice() else {
        panic!("{acts:?}")
    };
    let card = view.card.clone().unwrap();
    assert_eq!(card.title, "⏳ Working…");
    assert_eq!(
        (card.text.as_str(), card.footer.as_str()),
        ("🔧 Tool: Bash(ls)", "3 s")
    );
    progress.kept_mut().plain = true;
    let acts = progress.seen(tool("pwd"), 9000);
    let [Act::Page(view)] = acts.as_slice() else {
        panic!("{acts:?}")
    };
    assert_eq!(view.card, None);
}

#[test]
fn text_alone_opens_a_page_once_it_takes_long() {
    let mut player = Player::new(show(Style::Compact));
    player.seen(Seen::Partial("Once upon"), 5000);
    assert_eq!(player.progress.wake(), Some(6000));
    player.seen(Seen::Partial("Once upon a time"), 5900);
    assert!(player.pages.is_empty());
    player.tick(6000);
    assert_eq!(player.page(), "Once upon a time\n⏳ Working…");
    let mut quiet = Player::new(Show {
        preview: None,
        ..show(Style::Compact)
    });
    quiet.seen(Seen::Partial("Once upon"), 0);
    quiet.tick(60_000);
    assert!(quiet.pages.is_empty());
}

#[test]
fn a_little_more_text_is_not_worth_a_change() {
    let mut player = Player::new(show(Style::Compact));
    player.seen(tool("x"), 0);
    player.landed(1);
    player.seen(Seen::Partial("abcd"), 2000);
    assert_eq!(player.revised, 0);
    player.seen(Seen::Partial("abcde"), 2001);
    assert_eq!(player.revised, 1);
}

#[test]
fn a_text_whose_front_was_cut_is_still_the_same() {
    let long: String = (0..300).map(|n| format!("word {n} ")).collect();
    let mut player = Player::new(show(Style::Compact));
    player.seen(tool("x"), 0);
    player.seen(Seen::Partial(&long[..1200]), 10);
    player.seen(Seen::Partial(&long[600..1300]), 20);
    player.seen(Seen::Partial(&long[700..1400]), 30);
    let partials = |item: &&Item| matches!(item, Item::Partial(_));
    let items = &player.progress.kept.items;
    assert_eq!(items.iter().filter(partials).count(), 1);
    player.block("b", &long, 40);
    let items = &player.progress.kept.items;
    assert_eq!(items.iter().filter(partials).count(), 0);
}

#[test]
fn what_was_seen_of_a_stopped_turn_stays() {
    let mut player = Player::new(show(Style::Compact));
    player.seen(tool("x"), 0);
    player.landed(1);
    player.seen(Seen::Partial("I was about to"), 2000);
    player.end(TurnState::Stopped, 3000);
    assert_eq!(
        player.page(),
        "🔧 Tool: Bash(x)\n\nI was about to\n⏹️ Stopped after 3 s"
    );
}

#[test]
fn it_goes_on_after_a_crash_and_shows_no_block_twice() {
    let mut player = Player::new(show(Style::Compact));
    player.seen(tool("x"), 0);
    player.block("a", "First.", 10);
    player.block("b", "Second.", 20);
    let kept = serde_json::to_string(&player.progress.kept()).unwrap();
    let kept: Kept = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept, player.progress.kept());
    player.progress = Progress::resume(show(Style::Legacy), kept, true);
    assert_eq!(player.progress.style(), Style::Compact, "as it began");
    player.progress.again();
    let acts = player.progress.block("a", "First.", true, 3000);
    player.play(acts, 3000);
    player.block("b", "Second.", 3010);
    player.block("c", "Third.", 3020);
    player.end(TurnState::Ended, 4000);
    assert_eq!(
        player.page(),
        "🔧 Tool: Bash(x)\n\nFirst.\n\nSecond.\n✅ Done in 4 s"
    );
}

#[test]
fn tools_and_thinking_are_shown_as_the_operator_wants() {
    let quiet = Show {
        thinking: false,
        tools: false,
        ..show(Style::Legacy)
    };
    let mut player = Player::new(quiet);
    player.seen(Seen::Thinking(""), 0);
    player.seen(tool("x"), 0);
    assert_eq!(player.steps.len(), 0);
    let mut short = Player::new(Show {
        tool_max: Some(4),
        ..show(Style::Legacy)
    });
    short.seen(tool("123456\n7"), 0);
    short.seen(Seen::Note("*waits*"), 0);
    assert_eq!(short.steps, ["🔧 Tool: Bash(1234…)", "ℹ️ \\*waits\\*"]);
}

#[derive(Debug, Clone)]
enum Do {
    Think,
    Tool(String),
    Partial(usize),
    Block,
    Land,
    Time(u16),
    Crash,
}

fn any_do() -> impl Strategy<Value = Do> {
    prop_oneof![
        2 => Just(Do::Think),
        4 => "[a-z*_` ]{0,90}".prop_map(Do::Tool),
        4 => (1usize..400).prop_map(Do::Partial),
        4 => Just(Do::Block),
        3 => Just(Do::Land),
        3 => (0u16..1500).prop_map(Do::Time),
        1 => Just(Do::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: no page is too long or blank, all are closed, every earlier block stands on
    /// them once, whole and in order, and changes keep their interval.
    #[test]
    fn every_earlier_block_stands_once_and_every_page_is_closed(
        texts in prop::collection::vec("[a-z]{1,12}( [a-z]{1,12}|\n\n[a-z]{1,9}){0,60}", 1..8),
        doing in prop::collection::vec(any_do(), 0..60),
        card in any::<bool>(),
    ) {
        let style = if card { Style::Card } else { Style::Compact };
        let mut player = Player::new(show(style));
        let (mut now, mut next, mut landed) = (0, 0, 0);
        let mut changes: Vec<u64> = Vec::new();
        for what in doing {
            let before = player.revised;
            match what {
                Do::Think => player.seen(Seen::Thinking(""), now),
                Do::Tool(input) => player.seen(tool(&input), now),
                Do::Partial(most) => {
                    let Some(text) = texts.get(next) else { continue };
                    let text: String = text.chars().take(most).collect();
                    player.seen(Seen::Partial(&text), now);
                }
                Do::Block => {
                    let Some(text) = texts.get(next) else { continue };
                    player.block(&format!("{next}"), text, now);
                    next += 1;
                }
                Do::Land if player.pages.len() > landed => {
                    landed = player.pages.len();
                    player.landed(now);
                }
                Do::Land => {}
                Do::Time(ms) => {
                    now += u64::from(ms);
                    player.tick(now);
                }
                Do::Crash => {
                    let held = player.progress.held().map(str::to_owned);
                    let kept = player.progress.kept();
                    player.progress = Progress::resume(show(style), kept, landed == player.pages.len());
                    changes.clear();
                    if let Some(held) = held {
                        let text = player.texts[&held].clone();
                        player.block(&held, &text, now);
                    }
                }
            }
            prop_assert!(player.revised <= before + 1);
            if player.revised > before {
                prop_assert!(changes.last().is_none_or(|last| last + 1000 <= now), "{changes:?} {now}");
                changes.push(now);
            }
            for (page, _) in &player.pages {
                prop_assert!(page.chars().count() <= 200 && !page.trim().is_empty(), "{page:?}");
            }
        }
        player.end(TurnState::Ended, now);
        let all: Vec<&str> = player.pages.iter().map(|(page, _)| page.as_str()).collect();
        prop_assert!(player.pages.iter().all(|(_, closed)| *closed), "{all:?}");
        let working = words::standing(None, 0, Lang::En);
        prop_assert!(all.iter().all(|page| !page.contains(&working)), "{all:?}");
        // Without spaces and breaks, which parting may change.
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        let all = squeeze(&all.concat());
        let mut from = 0;
        let last = next.saturating_sub(1);
        prop_assert_eq!(player.earlier.len(), last, "the last block is the answer");
        for text in &texts[..last] {
            let at = all[from..].find(&squeeze(text));
            prop_assert!(at.is_some(), "{text:?} is not in {all:?} from {from}");
            from += at.unwrap_or(0) + squeeze(text).len();
        }
    }
}
