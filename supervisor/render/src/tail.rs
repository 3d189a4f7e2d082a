//! The end of a text that is still being written, for a message that shows it as it grows.

use unicode_segmentation::UnicodeSegmentation;

use crate::outline::{Kind, Outline};

/// What stands where the beginning was taken away.
const MARK: &str = "…\n";

/// The last lines of rendered `text`, at most `max_chars` code points of it, fences balanced. Lossy:
/// what was taken away is told by a `…`. A text that fits is given back as it is.
pub fn tail(text: &str, max_chars: usize) -> String {
    let total = text.chars().count();
    if total <= max_chars {
        return text.to_owned();
    }
    let outline = Outline::of(text, usize::MAX, true);
    let mut best = String::new();
    for line in outline.lines.iter().rev() {
        let open = line.fence.filter(|_| line.kind != Kind::Open);
        let head = open.map(|id| outline.fences[id].head(max_chars));
        // A closing mark alone would open a fence.
        if line.is_blank() || line.kind == Kind::Close {
            continue;
        }
        let rest = &text[line.start.byte..];
        let whole = format!("{MARK}{}{rest}", head.unwrap_or_default());
        if whole.chars().count() > max_chars {
            break;
        }
        best = whole;
    }
    if best.chars().count() * 2 >= max_chars {
        return best;
    }
    // Long lines: inside one, where it is no code.
    let room = max_chars.saturating_sub(MARK.chars().count());
    let from = total - room.min(total);
    let at = text
        .char_indices()
        .nth(from)
        .map_or(text.len(), |(at, _)| at);
    let line = outline
        .lines
        .iter()
        .rev()
        .find(|line| line.start.byte <= at);
    if room == 0 || line.is_none_or(|line| line.fence.is_some()) {
        return best;
    }
    let cut = text
        .grapheme_indices(true)
        .map(|(at, _)| at)
        .find(|start| *start >= at);
    let rest = &text[cut.unwrap_or(text.len())..];
    if rest.trim().is_empty() {
        return best;
    }
    format!("{MARK}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(tail("one\ntwo", 7), "one\ntwo");
    }

    #[test]
    fn lines_go_from_the_front() {
        assert_eq!(tail("first line\nsecond\nthird", 16), "…\nsecond\nthird");
    }

    #[test]
    fn a_long_line_is_cut_where_no_grapheme_is() {
        assert_eq!(tail(&"word ".repeat(9), 12), "…\nword word ");
        assert_eq!(tail(&"🇩🇪".repeat(20), 7), "…\n🇩🇪🇩🇪");
    }

    #[test]
    fn a_fence_is_opened_again() {
        let code = format!("text\n```rs\n{}```", "let x;\n".repeat(9));
        assert_eq!(tail(&code, 36), "…\n```rs\nlet x;\nlet x;\nlet x;\n```");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn never_longer_and_always_the_end(
            lines in prop::collection::vec("[a-z 一👩‍👩‍👧]{0,30}|```rs|```", 0..20), max in 0usize..80,
        ) {
            let text = crate::render(&lines.join("\n"), crate::Dialect::Discord);
            let end = tail(&text, max);
            prop_assert!(end.chars().count() <= max, "{end:?}");
            let last = end.trim_end().lines().last().unwrap_or_default();
            prop_assert!(text.trim_end().ends_with(last.trim_start_matches('…')), "{end:?} of {text:?}");
            let marks = end.lines().filter(|line| line.starts_with("```")).count();
            prop_assert_eq!(marks % 2, 0, "{:?} of {:?}", end, text);
        }
    }
}
