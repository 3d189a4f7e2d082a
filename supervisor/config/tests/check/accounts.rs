//! Names, and that no two accounts share one identity.

use supervisor_config::SecretMode;

use crate::{GOOD, WEIBO, bent, close, context, expect, good, told};

#[test]
fn names_are_unique_and_fit_for_files_and_processes() {
    let twice = format!("{GOOD}{}", GOOD.replace("abc", "def").replace("web", "WEB"));
    expect(
        &twice,
        &context(),
        &[("12 error projects[1].name: ", "the other one in line 2")],
    );
    for (name, better) in [
        ("my app", "my-app"),
        ("../x", "x"),
        ("微博", "my-project"),
        ("-v", "v"),
    ] {
        let told = told(&bent("\"web\"", &format!("\"{name}\"")), &context());
        assert!(told[0].contains(&format!("write \"{better}\"")), "{told:?}");
    }
}

#[test]
fn accounts_are_named_after_main_their_project_or_their_own_name() {
    let three = format!(
        "{GOOD}{}{}",
        GOOD.replace("abc", "def").replace("web", "Second_One"),
        GOOD.replace("abc", "ghi")
            .replace("web", "third")
            .replace("type = \"discord\"", "type = \"discord\"\nname = \"ops\""),
    );
    let plan = good(&three);
    let names: Vec<_> = plan
        .projects
        .iter()
        .map(|p| p.platforms[0].process_name())
        .collect();
    assert_eq!(names, ["discord-main", "discord-second-one", "discord-ops"]);

    expect(
        &format!("{GOOD}name = \"Ops\"\n"),
        &context(),
        &[(
            "11 error projects[0].platforms[0].options.name: ",
            "write \"ops\"",
        )],
    );
    let clash = format!(
        "{GOOD}{}name = \"main\"\n",
        GOOD.replace("abc", "def").replace("web", "b")
    );
    expect(
        &clash,
        &context(),
        &[(
            "21 error projects[1].platforms[0].options.name: ",
            "the other one in line 8",
        )],
    );
    // A Weibo account of cc-connect could have any name.
    let weibo = format!("{GOOD}{WEIBO}name = \"My Lobster\"\n");
    expect(
        &weibo,
        &context(),
        &[(
            "16 warning projects[0].platforms[1].options.name: ",
            "`my-lobster` is used",
        )],
    );
}

#[test]
fn two_bots_on_one_token_are_found_wherever_it_is_kept() {
    let second = |token: &str| {
        format!(
            "{GOOD}{}",
            GOOD.replace("\"abc\"", token).replace("\"web\"", "\"b\"")
        )
    };
    let same = &[(
        "20 error projects[1].platforms[0].options.token: ",
        "token of line 10",
    )];
    expect(&second("\"abc\""), &context(), same);
    assert!(
        !told(&second("\"abc\""), &context())
            .join("")
            .contains("abc"),
        "the token is not shown"
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t");
    std::fs::write(&file, "abc\n").unwrap();
    close(&file);
    expect(
        &second(&format!("{{ file = \"{}\" }}", file.display())),
        &context(),
        same,
    );

    let mut unread = context();
    unread.secrets = SecretMode::Placeholders;
    let twice = second("\"${TOKEN}\"").replace("\"abc\"", "\"${TOKEN}\"");
    expect(&twice, &unread, same);
    good(&second("\"other\""));
}

#[test]
fn two_weibo_accounts_of_one_app_are_found() {
    let text = format!("{GOOD}{WEIBO}{}name = \"b\"\n", WEIBO.replace("\"7\"", "7"));
    expect(
        &text,
        &context(),
        &[(
            "19 error projects[0].platforms[2].options.app_id: ",
            "account of line 14",
        )],
    );
}
