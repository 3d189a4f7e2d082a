//! The file as text: TOML mistakes, the order of problems, files that cannot be read.

use std::path::Path;

use supervisor_config::check_file;

use crate::{GOOD, WEIBO, bent, context, expect, good, run, told};

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_fine() {
    let text = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    assert_eq!(good(&text), good(GOOD));
    let bad = format!(
        "\u{feff}lanugage = \"en\"\r\n{}",
        GOOD.replace('\n', "\r\n")
    );
    let problems = run(&bad, &context()).problems;
    assert_eq!((problems[0].line, problems[0].column), (1, 1));
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_file() {
    let text = r#"lanugage = "en"
[queue]
max_depth = "many"
[[projects]]
name = "web"
token = "x"
[projects.agent]
type = "claudcode"
[projects.agent.options]
work_dir = "web"
mode = "bypass"
[[projects.platforms]]
type = "discord"
[projects.platforms.options]
allow_form = "*"
"#;
    expect(
        text,
        &context(),
        &[
            ("1 error lanugage: ", "did you mean `language`?"),
            (
                "3 error queue.max_depth: ",
                "must be a whole number, and this is a text in quotes",
            ),
            (
                "6 error projects[0].token: ",
                "belongs to [projects.platforms.options] of discord",
            ),
            (
                "8 error projects[0].agent.type: ",
                "did you mean \"claudecode\"?",
            ),
            (
                "10 error projects[0].agent.options.work_dir: ",
                "whole path",
            ),
            (
                "11 error projects[0].agent.options.mode: ",
                "\"bypass\" is none of \"default\"",
            ),
            (
                "14 error projects[0].platforms[0].options.token: ",
                "is missing",
            ),
            (
                "15 error projects[0].platforms[0].options.allow_form: ",
                "`allow_from`?",
            ),
        ],
    );
}

#[test]
fn a_problem_prints_as_editors_read_it() {
    let problems = run(&bent("name", "nmae"), &context()).problems;
    let first = problems[1].to_string();
    assert!(
        first.starts_with("config.toml:2:1: error: projects[0].nmae: there is no key"),
        "{first}"
    );
}

#[test]
fn broken_toml_is_told_in_words_line_by_line_and_without_its_text() {
    let text = "token = MTk4.hunter2\n[a]\nx = \"hunter2\n[a]\nflag = yes\nb = “hunter2”\nfoo\n";
    expect(
        text,
        &context(),
        &[
            ("1 error : not TOML: ", "needs quotes"),
            ("3 error : not TOML: ", "closing \" is missing"),
            ("4 error : not TOML: ", "stands twice"),
            ("5 error : not TOML: ", "true or false"),
            ("6 error : not TOML: ", "typographic"),
            ("7 error : not TOML: ", "no = and no value"),
        ],
    );
    let path = "path = \"C:\\me\"\nx = [1,\n";
    expect(
        path,
        &context(),
        &[("1 error", "write \\\\"), ("2 error", "no closing ]")],
    );
    assert!(!told(text, &context()).join("").contains("hunter2"));
}

#[test]
fn brackets_of_the_wrong_number_are_told() {
    expect(
        &bent("[[projects]]", "[projects]")
            .replace("[[projects.platforms]]", "[projects.platforms]"),
        &context(),
        &[("1 error projects: ", "write [[projects]] with two pairs")],
    );
    expect(
        &bent("[projects.agent]", "[[projects.agent]]"),
        &context(),
        &[("3 error projects[0].agent: ", "write it with one pair")],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let first = |path: &Path| {
        let checked = check_file(path, &context());
        assert!(checked.plan.is_none());
        let problem = &checked.problems[0];
        (problem.line, problem.message.clone())
    };
    assert!(first(&dir.path().join("none")).1.contains("bulkhead init"));
    assert!(first(dir.path()).1.contains("is a directory"));
    let file = dir.path().join("c");
    std::fs::write(&file, b"a = 1\nb = \"\xff\"\n").unwrap();
    let (line, message) = first(&file);
    assert!(line == 2 && message.contains("UTF-8"), "{line} {message}");
    std::fs::write(&file, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert!(first(&file).1.contains("1 MiB"));
}

proptest::proptest! {
    /// Whatever the text, a check ends with problems in order, and none of them shows a secret.
    #[test]
    fn any_damage_is_survived(cut in 0usize..400, junk in "[\\PC\n\"\\[\\]={}$]{0,12}") {
        let text = format!("{GOOD}{WEIBO}").replace("abc", "hunter2").replace("s3cret", "hunter2");
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let text = format!("{}{junk}{}", &text[..at], &text[at..]);
        let checked = run(&text, &context());
        proptest::prop_assert!(checked.problems.is_sorted_by_key(|p| p.line));
        for problem in &checked.problems {
            proptest::prop_assert!(!problem.message.contains("hunter2"), "{}", problem);
        }
        let shown = format!("{:?}", checked.plan);
        proptest::prop_assert!(!shown.contains("hunter2"));
    }
}
