//! What every cut promises, over texts made of everything that makes cutting hard.

use std::collections::HashSet;

use proptest::prelude::*;
use render::{Chunks, Limit, chunk};
use unicode_segmentation::UnicodeSegmentation;

/// Marks in the texts below are short enough for limits from here on to hold them.
const ROOM_FOR_FENCES: usize = 30;
/// No grapheme in the texts below is longer, marks of a fence around it included.
const ROOM_FOR_GRAPHEMES: usize = 120;

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec("[a-zA-Z]{1,9}[,.!?]{0,1}", 1..25).prop_map(|w| w.join(" ")),
        2 => "[一-龥]{1,12}[，。！？；]{1}([一-龥]{1,20}。){0,6}",
        1 => "[a-z]{30,200}",
        1 => "[\u{0}-\u{10ffff}]{1,40}",
        1 => prop::collection::vec(
            prop::sample::select(vec![
                "👩‍👩‍👧‍👦", "🇩🇪", "🇨🇳🇫🇷🇯🇵", "❤️", "👍🏽", "é", "e\u{301}\u{323}", "각", "क्षि", "\u{600}7",
                "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
                " \u{301}", "\u{600} ",
            ]),
            1..30
        )
        .prop_map(|graphemes| graphemes.concat()),
        1 => prop::sample::select(vec![
            "`let x = 1; let y = 2`", "``a ` b``", "[the page](https://example.org/a_b?c=d)",
            "**bold words here**", "`open", "a ``` b ``` c", "```x` y", "~~~ gone ~~~ and ~~~ back", "> quoted",
            "# A heading", "1. First of all", "  - nested item", "\t* tab item", "x ```rust", "\u{200b}```",
        ])
        .prop_map(str::to_owned),
    ]
}

fn whitespace() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["\n", "\n\n", "\r\n", "\r\n\r\n", " "]).prop_map(str::to_owned),
        1 => "[ \t\n\r\u{a0}\u{3000}\u{200b}\u{feff}\u{200d}\u{fe0f}\u{2060}]{1,12}",
        1 => "( {1,90}|\n{1,90}|\u{200b}{1,90}|\u{2800}{1,90})",
        1 => Just(String::new()),
    ]
}

fn fence() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        6 => "[ ]{0,12}[a-z(){};=]{1,9}( [a-z(){};=]{1,9}){0,6}",
        1 => "[ \t]{0,60}",
        1 => "[a-z]{40,160}",
        1 => "[ ]{0,3}(```|~~~|``|`)[a-z` ]{0,9}",
    ];
    (
        prop::sample::select(vec!["```", "````", "`````", "~~~", "~~~~~"]),
        prop::sample::select(vec!["", "rust", "markdown", " c++ "]),
        0..4_usize,
        prop::collection::vec(line, 0..30),
        prop::sample::select(vec!["", "", "`", "~", "  ", "no"]),
        prop::sample::select(vec!["\n", "\r\n"]),
    )
        .prop_map(|(ticks, info, indent, lines, end, newline)| {
            let indent = " ".repeat(indent);
            let mut all = vec![format!("{indent}{ticks}{info}")];
            all.extend(lines);
            if end != "no" {
                let more = if ticks.starts_with(end) { end } else { "" };
                all.push(format!("{indent}{ticks}{more}"));
            }
            all.join(newline)
        })
}

fn table() -> impl Strategy<Value = String> {
    prop::collection::vec("\\| [a-z]{1,12} \\| [a-z ]{1,20} \\|", 1..12)
        .prop_map(|rows| format!("| head | more |\n|---|--:|\n{}", rows.join("\n")))
}

fn text() -> impl Strategy<Value = String> {
    let block = prop_oneof![5 => words(), 2 => fence(), 1 => table()];
    (
        whitespace(),
        prop::collection::vec((block, whitespace()), 0..16),
    )
        .prop_map(|(lead, blocks)| {
            blocks
                .into_iter()
                .fold(lead, |text, (block, gap)| text + &block + &gap)
        })
}

fn limits() -> impl Strategy<Value = usize> {
    prop_oneof![1 => 1..30_usize, 4 => 30..60_usize, 3 => 60..300_usize, 1 => Just(2000_usize)]
}

fn shows_nothing(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
    })
}

fn is_trimmed(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{180e}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// The fence that `text` leaves open: its character and length.
fn open_fence(text: &str) -> Option<(char, usize)> {
    let mut open: Option<(char, usize)> = None;
    for line in text.split('\n') {
        let line = line.trim_matches(is_trimmed);
        let Some(tick) = line.chars().next().filter(|c| "`~".contains(*c)) else {
            continue;
        };
        let len = line.chars().take_while(|c| *c == tick).count();
        let rest = &line[len..];
        match open {
            None if len >= 3 && (tick == '~' || !rest.contains('`')) => open = Some((tick, len)),
            Some((t, n)) if t == tick && len >= n && rest.is_empty() => open = None,
            _ => {}
        }
    }
    open
}

/// Whether `body` begins with a table, or with a fence that it also ends, by itself or as the last.
fn begins_with_block(body: &str, last: bool) -> bool {
    let mut lines = body.split('\n');
    let first = lines.next().unwrap_or("");
    if open_fence(first).is_some() {
        let mut so_far = first.to_owned();
        return last
            || lines.any(|line| {
                so_far = format!("{so_far}\n{line}");
                open_fence(&so_far).is_none()
            });
    }
    first.contains('|') && lines.next().is_some_and(|rule| rule.contains("---"))
}

/// Whether something like a fence's mark leaves no good place to cut: a run of ticks so long that the
/// limit cannot hold it twice, a line that begins like a mark and takes half a chunk, ticks behind a
/// gap of a quarter. Cut there, they may read as another mark.
fn has_awkward_marks(text: &str, max: usize) -> bool {
    text.split('\n').any(|line| {
        let line = line.trim_start_matches(is_trimmed);
        let long = line
            .split(|c| c != '`')
            .chain(line.split(|c| c != '~'))
            .map(str::len)
            .max();
        let gap = line
            .match_indices("```")
            .chain(line.match_indices("~~~"))
            .map(|(at, _)| {
                line[..at]
                    .chars()
                    .rev()
                    .take_while(|c| is_trimmed(*c))
                    .count()
            })
            .max();
        long.is_some_and(|long| long * 4 + 4 > max)
            || gap.is_some_and(|gap| gap * 4 >= max)
            || line.starts_with(['`', '~']) && line.chars().count() * 2 >= max
    })
}

fn laws(text: &str, max: usize) -> Result<Chunks, TestCaseError> {
    let cut = chunk(text, Limit::messages(max));
    prop_assert_eq!(cut.source(), text);
    prop_assert!(shows_nothing(&cut.prefix));
    prop_assert_eq!(cut.chunks.is_empty(), shows_nothing(text));
    for chunk in &cut.chunks {
        let len = chunk.text.chars().count();
        prop_assert!(len <= max, "{} > {}: {:?}", len, max, chunk.text);
        prop_assert!(!shows_nothing(&chunk.text) && !shows_nothing(chunk.body()));
        prop_assert_eq!(chunk.text.trim_matches(is_trimmed), &chunk.text);
        prop_assert!(
            shows_nothing(&chunk.separator),
            "dropped {:?}",
            chunk.separator
        );
        prop_assert_eq!(
            &format!("{}{}{}", chunk.head, chunk.body(), chunk.tail),
            &chunk.text
        );
        prop_assert_eq!(chunk.head.is_empty(), !chunk.head.ends_with('\n'));
        prop_assert_eq!(chunk.tail.is_empty(), !chunk.tail.starts_with('\n'));
        if max >= ROOM_FOR_FENCES && !has_awkward_marks(text, max) {
            prop_assert_eq!(open_fence(&chunk.text), None, "unbalanced {:?}", chunk.text);
        }
    }
    Ok(cut)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, failure_persistence: None, ..Default::default() })]

    #[test]
    fn chunks_keep_limit_text_and_fences(text in text(), max in limits()) {
        laws(&text, max)?;
    }

    #[test]
    fn noise_keeps_the_laws_but_balance(text in "[`~ \n\ta|\\-\u{200b}\u{200d}好🇩]{0,400}", max in 1..23_usize) {
        laws(&text, max)?;
    }

    #[test]
    fn chunks_are_half_full_or_made_room_for_a_block(text in text(), max in ROOM_FOR_GRAPHEMES..400) {
        let cut = laws(&text, max)?;
        for (at, pair) in cut.chunks.windows(2).enumerate() {
            let filled = pair[0].text.chars().count() + pair[0].separator.chars().count();
            let last = at + 2 == cut.chunks.len();
            prop_assert!(
                filled * 2 >= max
                    || begins_with_block(pair[1].body(), last)
                    || has_awkward_marks(&text, max - 40)
                    // A gap whose last blank carries an accent is no gap.
                    || text.contains(" \u{301}"),
                "{} of {}: {:?} then {:?}", filled, max, pair[0], pair[1]
            );
        }
    }

    #[test]
    fn no_cut_goes_through_a_grapheme(text in text(), max in ROOM_FOR_GRAPHEMES..400) {
        let bounds: HashSet<usize> =
            text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
        let cut = laws(&text, max)?;
        let mut at = cut.prefix.len();
        for chunk in &cut.chunks {
            let end = at + chunk.body().len();
            let next = end + chunk.separator.len();
            // A mark that sits on trimmed whitespace loses its seat; nothing else is ever parted.
            prop_assert!(bounds.contains(&end) || text[end..].starts_with(is_trimmed));
            prop_assert!(bounds.contains(&next) || text[..next].ends_with(is_trimmed));
            at = next;
        }
    }

    #[test]
    fn joined_chunks_are_the_text(text in text(), max in limits()) {
        let cut = chunk(&text, Limit::joined(max));
        prop_assert_eq!(cut.source(), &text[..]);
        for (at, chunk) in cut.chunks.iter().enumerate() {
            prop_assert!(chunk.head.is_empty() && chunk.tail.is_empty());
            prop_assert!(chunk.text.chars().count() <= max && !shows_nothing(&chunk.text));
            let full = chunk.text.chars().count() == max;
            prop_assert!(full || chunk.separator.is_empty() || at + 1 == cut.chunks.len());
        }
    }
}
