//! Variables, files, credentials, and that no secret is shown.

use std::path::Path;

use supervisor_config::{Secret, SecretMode, SecretSource, Severity, check_file};

use crate::{GOOD, bent, close, context, expect, good, run};

#[test]
fn variables_expand_in_every_text_and_a_missing_one_is_named() {
    let text = bent("/srv/web", "${BASE}/${BASE}").replace("\"abc\"", "\"${TOKEN}\"");
    let plan = good(&text);
    assert_eq!(plan.projects[0].agent.work_dir, Path::new("/srv//srv"));
    assert_eq!(
        plan.projects[0].platforms[0].secrets["token"],
        Secret::Resolved("env-token".into())
    );

    let text = bent("/srv/web", "${NOWHERE}").replace("\"abc\"", "\"x${NO_TOKEN}\"");
    expect(
        &text,
        &context(),
        &[
            (
                "6 error projects[0].agent.options.work_dir: ",
                "NOWHERE is not set",
            ),
            (
                "10 error projects[0].platforms[0].options.token: ",
                "NO_TOKEN is not set",
            ),
        ],
    );
    expect(
        &bent("\"abc\"", "\"${EMPTY}\""),
        &context(),
        &[(
            "10 error projects[0].platforms[0].options.token: ",
            "set, but empty",
        )],
    );
    // What has no effect is not looked at, so what it lacks is no error.
    let ignored = format!("[webhook]\ntoken = \"${{NOWHERE}}\"\n{GOOD}");
    expect(
        &ignored,
        &context(),
        &[("1 warning webhook: ", "no effect")],
    );
}

#[test]
fn placeholders_read_no_secret() {
    let mut cx = context();
    cx.secrets = SecretMode::Placeholders;
    cx.env = Box::new(|name| panic!("{name} was read"));
    let text = bent("\"abc\"", "\"${TOKEN}\"");
    let text = format!(
        "{text}proxy_password = {{ credential = \"pw\" }}\nproxy = {{ file = \"/nowhere\" }}\n"
    );
    let checked = run(&text, &cx);
    assert_eq!(checked.problems, []);
    let plan = checked.plan.unwrap();
    let platform = &plan.projects[0].platforms[0];
    let source = SecretSource::Env("${TOKEN}".to_owned());
    assert_eq!(platform.secrets["token"], Secret::Unresolved(source));
    let (name, source) = platform.worker_options().err().unwrap();
    assert_eq!(
        (name, source),
        ("proxy", &SecretSource::File("/nowhere".into()))
    );

    // Other texts are needed for the check itself; here the service may know more than we do.
    cx.env = Box::new(|_| None);
    let text = text.replace("/srv/web", "${BASE}");
    expect(
        &text,
        &cx,
        &[(
            "6 warning projects[0].agent.options.work_dir: ",
            "BASE is not set here",
        )],
    );
}

#[test]
fn secrets_come_from_files_and_credentials() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bot"), "from-file\n").unwrap();
    std::fs::write(dir.path().join("empty"), "\n").unwrap();
    close(&dir.path().join("bot"));
    let mut cx = context();
    cx.credentials_dir = Some(dir.path().to_owned());

    for source in [
        format!("{{ file = \"{}/bot\" }}", dir.path().display()),
        "{ credential = \"bot\" }".to_owned(),
    ] {
        let checked = run(&bent("\"abc\"", &source), &cx);
        assert_eq!(checked.problems, []);
        let plan = checked.plan.unwrap();
        let options = plan.projects[0].platforms[0].worker_options().unwrap();
        assert_eq!(
            secrecy::ExposeSecret::expose_secret(&options),
            r#"{"token":"from-file"}"#
        );
        assert!(!format!("{plan:?}").contains("from-file"));
    }
    let path = "10 error projects[0].platforms[0].options.token";
    for (source, part) in [
        ("{ credential = \"empty\" }", "is empty"),
        ("{ credential = \"none\" }", "no such file"),
        ("{ credential = \"../bot\" }", "not a path"),
        ("{ file = \"bot\" }", "whole path"),
        ("{ fiel = \"/bot\" }", "{ file = "),
        ("{ file = \"/a\", credential = \"b\" }", "{ file = "),
        ("\"\"", "is empty"),
        ("\"Bot abc\"", "without `Bot `"),
        ("\"a b\"", "blanks"),
        ("7", "a text in quotes, { file = "),
    ] {
        expect(&bent("\"abc\"", source), &cx, &[(path, part)]);
    }
    expect(
        &bent("\"abc\"", "{ credential = \"bot\" }"),
        &context(),
        &[(path, "LoadCredential=bot:")],
    );
}

#[test]
fn a_password_in_a_proxy_is_a_secret() {
    let plan = good(&format!("{GOOD}proxy = \"socks5://me:pw@10.0.0.1:1080\"\n"));
    let platform = &plan.projects[0].platforms[0];
    assert!(platform.secrets.contains_key("proxy") && platform.options.is_empty());
    expect(
        &format!("{GOOD}proxy = \"gopher://me:hunter2@h\"\napi_base = \"http://me:hunter2@h\"\n"),
        &context(),
        &[("11 error", "begins with"), ("12 error", "no password")],
    );
}

#[test]
fn an_open_config_with_a_secret_in_it_is_warned_about() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    let warned = |text: &str, mode: u32| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let problems = check_file(&file, &context()).problems;
        problems.iter().any(|p| {
            p.severity == Severity::Warning
                && p.message.contains(&format!("chmod 600 {}", file.display()))
        })
    };
    assert!(warned(GOOD, 0o644) && warned(GOOD, 0o640));
    assert!(!warned(GOOD, 0o600));
    assert!(
        !warned(&bent("\"abc\"", "\"${TOKEN}\""), 0o644),
        "no secret is in it"
    );
    let provider = bent("\"abc\"", "\"${TOKEN}\"") + "[[providers]]\napi_key = \"sk-1\"\n";
    assert!(
        warned(&provider, 0o644),
        "a secret that nothing uses is one all the same"
    );
}
