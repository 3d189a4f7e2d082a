//! What each dialect makes of an agent's Markdown.

use proptest::prelude::*;
use render::{Dialect, render};

#[track_caller]
fn expect(source: &str, discord: &str, plain: &str) {
    assert_eq!(render(source, Dialect::Discord), discord, "Discord");
    assert_eq!(render(source, Dialect::Plain), plain, "Plain");
}

/// One of everything, as an agent would write it.
const ANSWER: &str = "\
# Result

The **build** is _green_ now, see [the log](https://ci.example.org/a_b/42) and [main.rs](src/main.rs).
It took `cargo build --release` 42 s, 2 * 3 * 7; ~~no~~ one warning in `__init__`: __init__.py, snake_case_name.

#### Details

* first
  + nested
1. one
2. two

| Crate | Size | Notes |
|:------|-----:|-------|
| `hub` | 12 | **big** |
| render | 3 | 很小 |

```rust
fn main() {
    println!(\"**not bold**\");
}
```

> quoted *words*

![a chart](https://example.org/c.png)

Done.
";

#[test]
fn an_answer_on_discord() {
    insta::assert_snapshot!(render(ANSWER, Dialect::Discord));
}

#[test]
fn an_answer_in_plain_text() {
    insta::assert_snapshot!(render(ANSWER, Dialect::Plain));
}

#[test]
fn dialects_have_names() {
    assert_eq!(Dialect::from_name("discord"), Dialect::Discord);
    assert_eq!(Dialect::from_name("plain"), Dialect::Plain);
    assert_eq!(Dialect::from_name("semaphore"), Dialect::Plain);
}

#[test]
fn words_stay_as_they_are() {
    for text in [
        "",
        "\n",
        "Just words.",
        "  two  \n\n\n spaces ",
        "好。好！",
        "a < b && c > d",
        "¯\\(ツ)/¯",
    ] {
        expect(text, text, &text.replace("\\(", "("));
    }
    expect("a\r\nb\r\n", "a\nb\n", "a\nb\n");
}

#[test]
fn emphasis_goes_only_where_it_is_meant() {
    for (source, plain) in [
        (
            "**bold** and *it* and __too__ and _it_",
            "bold and it and __too__ and it",
        ),
        ("***both*** and ~~gone~~", "both and gone"),
        ("**重要：**说明*一下*", "重要：说明一下"),
        ("**a `*` b**", "a `*` b"),
        ("__two words__ but __name__", "two words but __name__"),
        (
            "2 * 3 * 4, a*b*c, snake_case_name",
            "2 * 3 * 4, a*b*c, snake_case_name",
        ),
        ("*.rs and src/**/*.rs", "*.rs and src/**/*.rs"),
        ("f(*args, **kwargs)", "f(*args, **kwargs)"),
        ("\\*literal\\*", "*literal*"),
        ("**unclosed", "**unclosed"),
        ("https://e.org/a_b_c*", "https://e.org/a_b_c*"),
    ] {
        expect(source, source, plain);
    }
}

#[test]
fn links_stay_copyable() {
    expect(
        "[a](https://e.org/(x)_y)",
        "[a](https://e.org/(x)_y)",
        "a (https://e.org/(x)_y)",
    );
    expect(
        "[https://e.org](https://e.org)",
        "[https://e.org](https://e.org)",
        "https://e.org",
    );
    expect("<https://e.org>", "<https://e.org>", "https://e.org");
    expect(
        "[**a**](https://e.org \"b\")",
        "[**a**](https://e.org \"b\")",
        "a (https://e.org \"b\")",
    );
    expect(
        "[lib.rs](src/lib.rs#L4)",
        "lib.rs (src/lib.rs#L4)",
        "lib.rs (src/lib.rs#L4)",
    );
    expect(
        "![](https://e.org/a.png)",
        "https://e.org/a.png",
        "https://e.org/a.png",
    );
    expect(
        "![a](https://e.org/a.png)",
        "[a](https://e.org/a.png)",
        "a (https://e.org/a.png)",
    );
    expect(
        "list[0](see there) and [x]",
        "list[0](see there) and [x]",
        "list[0](see there) and [x]",
    );
    expect("`[a](b)`", "`[a](b)`", "`[a](b)`");
}

#[test]
fn discord_hides_and_quotes_nothing_by_accident() {
    expect(
        "a || b || c, `a || b`",
        "a \\|\\| b \\|\\| c, `a || b`",
        "a || b || c, `a || b`",
    );
    expect(">>> print(1)", "\\>>> print(1)", ">>> print(1)");
}

#[test]
fn headings() {
    expect("### Three ###", "### Three ###", "Three");
    expect("##### Five **b**", "**Five b**", "Five b");
    expect("#nothing", "#nothing", "#nothing");
}

#[test]
fn fences_of_every_kind() {
    expect("~~~sh\nls\n~~~", "```sh\nls\n```", "ls");
    expect(
        "````md\n```\na\n```\n````",
        "```md\n``\u{200b}`\na\n``\u{200b}`\n```",
        "```\na\n```",
    );
    expect(
        "x\n```\n  a\n```\ny",
        "x\n```\n  a\n```\ny",
        "x\n\n  a\n\ny",
    );
    expect(
        "- a\n  ```\n  b\n    c\n  ```\n- d",
        "- a\n```\nb\n  c\n```\n- d",
        "- a\n\nb\n  c\n\n- d",
    );
    expect(
        "1. ```sh\n   ls\n   ```\n2. x",
        "1.\n```sh\nls\n```\n2. x",
        "1.\n\nls\n\n2. x",
    );
    expect("> ```\n> a\n> ```\n> b", "```\na\n```\n> b", "a\n\n> b");
    expect(
        "```py\n\"\"\"\n    ```\n    x\n    ```\n\"\"\"\n```",
        "```py\n\"\"\"\n    ``\u{200b}`\n    x\n    ``\u{200b}`\n\"\"\"\n```",
        "\"\"\"\n    ```\n    x\n    ```\n\"\"\"",
    );
    expect(
        "```rust src/a.rs\nb\n```",
        "```rust src/a.rs\nb\n```",
        "rust src/a.rs\nb",
    );
    expect("```\nleft open", "```\nleft open\n```", "left open");
}

#[test]
fn indented_code_is_code_outside_of_lists() {
    expect(
        "a:\n\n    b *c* d\n\n    e\n\nf",
        "a:\n\n```\nb *c* d\n\ne\n```\n\nf",
        "a:\n\nb *c* d\n\ne\n\nf",
    );
    expect("- a\n\n    *b*", "- a\n\n    *b*", "- a\n\n    b");
    expect("a\n    *b*", "a\n    *b*", "a\n    b");
}

#[test]
fn tables() {
    expect(
        "| a | b |\n|---|:-:|\n| 1 `|` | 很 |\n| 2 \\| 3 |\nend",
        "```\na     | b\n------+---\n1 `|` | 很\n2 | 3 |\n```\nend",
        "- a: 1 `|`\n  b: 很\n- a: 2 | 3\n\nend",
    );
    let wide = "w".repeat(80);
    expect(
        &format!("| a | **b** |\n|---|---|\n| `x` | {wide} |"),
        &format!("- **a**: `x`\n  **b**: {wide}"),
        &format!("- a: `x`\n  b: {wide}"),
    );
    expect(
        "a | b\nnot a table",
        "a | b\nnot a table",
        "a | b\nnot a table",
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// No letter, digit or ideograph of an answer is ever lost, whatever surrounds it.
    #[test]
    fn every_word_survives(text in "[a-c1-2好🎉`~*_|#>\\[\\]()!<\\-+:. \t\n\\\\]{0,300}") {
        let count = |text: &str, word: char| text.chars().filter(|c| *c == word).count();
        for dialect in [Dialect::Discord, Dialect::Plain] {
            // Plain text names no language of a fence.
            if dialect == Dialect::Plain && (text.contains("```") || text.contains("~~~")) {
                continue;
            }
            let out = render(&text, dialect);
            for word in ['a', 'b', 'c', '1', '2', '好', '🎉'] {
                prop_assert!(count(&out, word) >= count(&text, word), "{:?}: {:?}", dialect, out);
            }
        }
    }

    #[test]
    fn any_text_can_be_rendered(text in "\\PC{0,200}|[\u{0}-\u{10ffff}`*_\\[\\](\n]{0,100}") {
        render(&text, Dialect::Discord);
        render(&text, Dialect::Plain);
    }
}
