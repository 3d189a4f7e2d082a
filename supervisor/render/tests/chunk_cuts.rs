//! Each kind of cut by example, and the hard cases by name.

use render::{Chunk, Limit, chunk};

fn cut(text: &str, max: usize) -> Vec<Chunk> {
    let cut = chunk(text, Limit::messages(max));
    assert_eq!(cut.source(), text);
    for chunk in &cut.chunks {
        assert!(
            chunk.text.chars().count() <= max,
            "too long: {:?}",
            chunk.text
        );
    }
    cut.chunks
}

#[track_caller]
fn expect(text: &str, max: usize, chunks: &[&str]) {
    let found: Vec<String> = cut(text, max).into_iter().map(|chunk| chunk.text).collect();
    assert_eq!(found, chunks);
}

#[test]
fn short_text_is_one_chunk() {
    expect("hello", 20, &["hello"]);
    expect("", 20, &[]);
    expect(" \n\t\u{200b}\u{feff}\u{2800} \r\n", 20, &[]);
}

#[test]
fn the_ends_of_the_text_are_recorded() {
    let cut = chunk("\n  hello \n\n", Limit::messages(20));
    assert_eq!((cut.prefix.as_str(), cut.chunks.len()), ("\n  ", 1));
    assert_eq!(
        (
            cut.chunks[0].text.as_str(),
            cut.chunks[0].separator.as_str()
        ),
        ("hello", " \n\n")
    );
}

#[test]
fn a_paragraph_goes_before_a_later_line() {
    expect(
        "one two three\n\nfour\nfive six",
        22,
        &["one two three", "four\nfive six"],
    );
}

#[test]
fn a_line_goes_before_a_later_sentence() {
    expect(
        "one two three\nfour. Five six seven",
        22,
        &["one two three", "four. Five six seven"],
    );
}

#[test]
fn a_sentence_goes_before_a_later_word() {
    expect(
        "One two three. Four five six",
        22,
        &["One two three.", "Four five six"],
    );
    expect(
        "He said “yes.” Then he left us",
        22,
        &["He said “yes.”", "Then he left us"],
    );
}

#[test]
fn the_number_of_an_item_is_not_a_sentence() {
    expect("12. Abcdefgh ijkl mnop", 14, &["12. Abcdefgh", "ijkl mnop"]);
}

#[test]
fn a_word_goes_before_a_later_grapheme() {
    expect(
        "one two three four five sixseven",
        22,
        &["one two three four", "five sixseven"],
    );
}

#[test]
fn text_without_spaces_is_cut_between_sentences() {
    expect(
        "今天天气很好。我们去公园散步吧！好不好？",
        10,
        &["今天天气很好。", "我们去公园散步吧！", "好不好？"],
    );
}

#[test]
fn punctuation_stays_with_its_word() {
    expect(
        "一二三四五六七八九，十百千万",
        9,
        &["一二三四五六七八", "九，十百千万"],
    );
    expect(
        "一二三四五六七（八九十）百千",
        8,
        &["一二三四五六七", "（八九十）百千"],
    );
}

#[test]
fn words_of_another_script_stay_whole() {
    expect(
        "我们使用的语言是Rust编程",
        10,
        &["我们使用的语言是", "Rust编程"],
    );
}

#[test]
fn a_word_longer_than_a_chunk_is_cut_anywhere() {
    let word = "x".repeat(10_000);
    let chunks = cut(&word, 2000);
    assert_eq!(chunks.len(), 5);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.text.len() == 2000 && chunk.separator.is_empty())
    );
}

#[test]
fn graphemes_stay_whole() {
    let family = "👩‍👩‍👧‍👦"; // seven code points
    expect(
        &family.repeat(4),
        20,
        &[&family.repeat(2), &family.repeat(2)],
    );
    expect(&"🇩🇪".repeat(7), 5, &["🇩🇪🇩🇪", "🇩🇪🇩🇪", "🇩🇪🇩🇪", "🇩🇪"]);
    expect(
        &"e\u{301}".repeat(5),
        5,
        &["e\u{301}e\u{301}", "e\u{301}e\u{301}", "e\u{301}"],
    );
    expect("❤️❤️❤️", 5, &["❤️❤️", "❤️"]);
}

#[test]
fn a_grapheme_longer_than_a_chunk_is_cut_all_the_same() {
    let monster = format!("a{}", "\u{301}".repeat(50));
    let chunks = cut(&monster, 20);
    assert_eq!(
        chunks
            .iter()
            .map(|chunk| chunk.text.chars().count())
            .collect::<Vec<_>>(),
        [20, 20, 11]
    );
    // Joiners alone show nothing: they are kept in the record, not posted.
    assert_eq!(cut(&format!("a{}", "\u{200d}".repeat(50)), 20).len(), 1);
}

#[test]
fn whitespace_at_a_cut_is_recorded_whole() {
    let gap = " ".repeat(3000);
    let chunks = cut(&format!("{}{gap}end", "a".repeat(100)), 2000);
    assert_eq!(chunks.len(), 2);
    assert_eq!(
        (chunks[0].separator.as_str(), chunks[1].text.as_str()),
        (gap.as_str(), "end")
    );
}

#[test]
fn windows_line_ends_are_line_ends() {
    let chunks = cut("one two three\r\n\r\nfour five six", 20);
    assert_eq!(chunks[0].text, "one two three");
    assert_eq!(chunks[0].separator, "\r\n\r\n");
    expect(
        "```\r\nlet a = 1;\r\nlet b = 2;\r\n```",
        24,
        &["```\r\nlet a = 1;\n```", "```\nlet b = 2;\r\n```"],
    );
}

#[test]
fn an_indented_line_does_not_begin_a_chunk_if_another_can() {
    expect(
        "- number one\n- number two\n- three\n  - four\n  - five",
        46,
        &["- number one\n- number two", "- three\n  - four\n  - five"],
    );
}

#[test]
fn a_heading_is_not_left_behind() {
    expect(
        "Some words first.\n\n## Title\n\nAnd some more words here.",
        32,
        &[
            "Some words first.",
            "## Title\n\nAnd some more words",
            "here.",
        ],
    );
}

#[test]
fn inline_code_and_links_stay_whole() {
    expect(
        "Now please run `cargo test --all` now",
        26,
        &["Now please run", "`cargo test --all` now"],
    );
    expect(
        "Please look at the page [the page](https://e.org) now",
        40,
        &["Please look at the page", "[the page](https://e.org) now"],
    );
}

#[test]
fn a_fence_is_closed_and_reopened() {
    let code = "```rust\nlet one = 1;\n    let two = 2;\nlet three = 3;\n```";
    let chunks = cut(code, 42);
    assert_eq!(
        chunks[0].text,
        "```rust\nlet one = 1;\n    let two = 2;\n```"
    );
    assert_eq!(chunks[1].text, "```rust\nlet three = 3;\n```");
    assert_eq!(
        (chunks[0].tail.as_str(), chunks[1].head.as_str()),
        ("\n```", "```rust\n")
    );
    assert_eq!(chunks[0].separator, "\n");
}

#[test]
fn a_reopened_fence_protects_indentation() {
    expect(
        "```py\nif one_is_one:\n    return two_of_them\n```",
        34,
        &[
            "```py\nif one_is_one:\n```",
            "```py\n    return two_of_them\n```",
        ],
    );
}

#[test]
fn code_is_cut_at_blank_lines_first() {
    expect(
        "```\nfn a() {}\n\nfn b() {}\nfn c() {}\nfn d() {}\n```",
        30,
        &[
            "```\nfn a() {}\n```",
            "```\nfn b() {}\nfn c() {}\n```",
            "```\nfn d() {}\n```",
        ],
    );
}

#[test]
fn a_fence_moves_whole() {
    expect(
        "Words before it.\n\n```\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```\n",
        44,
        &[
            "Words before it.",
            "```\nlet a = 1;\nlet b = 2;\nlet c = 3;\n```",
        ],
    );
}

#[test]
fn a_crumb_before_a_fence_is_not_worth_a_message() {
    let code = format!("```\n{}```", "let a = 1;\n".repeat(8));
    let chunks = cut(&format!("So:\n{code}"), 96);
    assert!(
        chunks[0].text.starts_with("So:\n```\nlet"),
        "{:?}",
        chunks[0].text
    );
}

#[test]
fn a_table_moves_whole() {
    expect(
        "Words before it.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nafter",
        44,
        &[
            "Words before it.",
            "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |",
            "after",
        ],
    );
}

#[test]
fn longer_fences_hold_shorter_ones() {
    expect(
        "````md\n```rust\nlet a = 1;\n```\nmore of the same\n````",
        44,
        &[
            "````md\n```rust\nlet a = 1;\n```\n````",
            "````md\nmore of the same\n````",
        ],
    );
}

#[test]
fn tildes_indentation_and_info_survive() {
    expect(
        "   ~~~c++\nint a = 1;\nint b = 2;\n   ~~~",
        26,
        &["~~~c++\nint a = 1;\n~~~", "~~~c++\nint b = 2;\n   ~~~"],
    );
}

#[test]
fn a_long_info_string_is_not_repeated() {
    let chunks = cut("```rust,ignore\nlet a = 1;\nlet b = 2;\n```", 32);
    assert_eq!(chunks[1].text, "```\nlet b = 2;\n```");
}

#[test]
fn a_fence_left_open_is_closed_in_every_chunk() {
    let chunks = cut("```\nlet a = 1;\nlet b = 2;", 20);
    assert_eq!(chunks[0].text, "```\nlet a = 1;\n```");
    assert_eq!(chunks[1].text, "```\nlet b = 2;\n```");
    assert_eq!(chunks[1].tail, "\n```");
}

#[test]
fn a_line_of_code_longer_than_a_chunk_is_cut() {
    expect(
        "```\naaaa bbbb cccc dddd eeee\n```",
        24,
        &["```\naaaa bbbb cccc\n```", "```\ndddd eeee\n```"],
    );
}

#[test]
fn a_cut_makes_no_fence_of_ticks_in_a_line() {
    for max in 8..40 {
        for chunk in cut("some words and ```rust of it, ~~~ then more", max) {
            assert!(
                !chunk.text.starts_with("```") && !chunk.text.starts_with("~~~"),
                "{max}: {}",
                chunk.text
            );
        }
    }
}

#[test]
fn a_line_that_only_looks_like_a_fence_does_not_become_one() {
    // It is none because of its last backtick; a cut before that would take the reason away.
    expect(
        "```aaa bbb. Ccc ddd` eee",
        20,
        &["```aaa bbb. Ccc ddd`", "eee"],
    );
}

#[test]
fn an_info_string_of_ticks_stays_one() {
    expect(
        "~~~ ~~~\nint a = 1;\nint b = 2;\n~~~",
        26,
        &["~~~ ~~~\nint a = 1;\n~~~", "~~~ ~~~\nint b = 2;\n~~~"],
    );
}

#[test]
fn a_limit_too_small_for_fences_leaves_them_as_text() {
    for max in 1..16 {
        let chunks = cut("```rust\nlet a = 1;\n```", max);
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.head.is_empty() && chunk.tail.is_empty())
                || max >= 13
        );
    }
    assert_eq!(chunk("ab", Limit::messages(0)).chunks.len(), 2);
}

#[test]
fn joined_chunks_keep_what_parts_them() {
    let text = "one two three\n\nfour five six\n```\ncode\n```";
    let chunks = chunk(text, Limit::joined(20)).chunks;
    assert_eq!(chunks[0].text, "one two three\n\n");
    assert_eq!(
        chunks
            .iter()
            .map(|chunk| chunk.text.as_str())
            .collect::<String>(),
        text
    );
}
