//! What has gone wrong elsewhere when an answer was cut to Discord's messages.

use render::{Chunks, Dialect, Limit, chunk, render};
use unicode_segmentation::UnicodeSegmentation as _;

/// Discord's limit, in code points.
const LIMIT: usize = 2000;

fn cut(text: &str) -> Chunks {
    let cut = chunk(text, Limit::messages(LIMIT));
    for chunk in &cut.chunks {
        let length = chunk.text.chars().count();
        assert!(length <= LIMIT, "{length}");
    }
    assert_eq!(cut.source(), text, "nothing is lost");
    cut
}

/// Lines of nothing but a fence's marks, in the order in which they come.
fn marks(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("```"))
        .collect()
}

#[test]
fn case_26_split_fence() {
    // A block that is cut wherever a line happens to end: with each length of line, the closing
    // mark comes at another distance from the limit.
    for length in 1..120 {
        let line = format!("{}\n", "x".repeat(length));
        let code = line.repeat(5000 / length);
        let text = format!("Here:\n\n```rust\n{code}```\n\nand that was it.");
        let text = render(&text, Dialect::Discord);
        let cut = cut(text.trim());
        assert!(cut.chunks.len() > 2);
        let mut bodies = String::new();
        for chunk in &cut.chunks {
            let marks = marks(&chunk.text);
            assert!(marks.len().is_multiple_of(2), "balanced: {marks:?}");
            for pair in marks.chunks(2) {
                assert_eq!(pair, ["```rust", "```"], "reopened as it was");
            }
            let lines = chunk.text.lines();
            bodies.extend(lines.filter(|line| !line.starts_with("```") && line.starts_with('x')));
        }
        assert_eq!(
            bodies.len(),
            (5000 / length) * length,
            "every character of code"
        );
    }
}

#[test]
fn case_27_split_unicode() {
    let pieces = [
        "👨‍👩‍👧‍👦",                       // joined by ZWJ
        "🏳️‍🌈",                       // with a variation selector
        "👍🏽",                       // with a skin tone
        "🇩🇪",                       // two regional indicators
        "e\u{301}",                 // a combining accent
        "각",                       // Hangul, composed
        "\u{1112}\u{1161}\u{11ab}", // and of its parts
        "नि",                       // a spacing mark
        "中",
        "𠮷", // beyond the basic plane
        "a",
    ];
    for shift in 0..pieces.len() {
        let all: String = (0..1500)
            .map(|n| pieces[(n * 7 + shift) % pieces.len()])
            .collect();
        let cut = cut(&all);
        assert!(cut.chunks.len() > 1);
        let whole: Vec<&str> = all.graphemes(true).collect();
        let parts: Vec<&str> = cut
            .chunks
            .iter()
            .flat_map(|chunk| chunk.body().graphemes(true))
            .collect();
        assert_eq!(parts, whole, "no grapheme is broken");
        let joined: String = cut.chunks.iter().map(|chunk| chunk.body()).collect();
        assert_eq!(joined, all);
    }
}
