//! Where an agent lives.

use super::*;
use supervisor_config::{Agent, Volume, VolumeScope};

fn with(options: &str) -> String {
    bent(
        "work_dir = \"/srv/web\"\n",
        &format!("work_dir = \"/srv/web\"\n{options}\n"),
    )
}

fn agent(options: &str) -> Agent {
    good(&with(options)).projects[0].agent.clone()
}

#[test]
fn a_project_is_not_trusted_and_has_no_volume_unless_it_is_written() {
    let bare = agent("");
    assert_eq!(
        (bare.trust_project, bare.volume, bare.persona),
        (false, None, None)
    );
    let agent = agent(
        "trust_project = true\nvolume = \"me.v2\"\nvolume_scope = \"session\"\npersona = \"p/a.md\"\n\
         api_key = \"${TOKEN}\"",
    );
    assert!(agent.trust_project);
    let volume = Volume {
        name: "me.v2".into(),
        scope: VolumeScope::Session,
    };
    assert_eq!(agent.volume, Some(volume));
    assert_eq!(agent.persona.as_deref(), Some("p/a.md"));
}

#[test]
fn what_cannot_be_a_name_or_a_file_is_told() {
    let at = "projects[0].agent.options";
    let long = format!("append_system_prompt = \"{}\"", "x".repeat(31 << 10));
    for (options, severity, key, part) in [
        (
            "volume = \"../x\"",
            "error",
            "volume",
            "is no volume's name",
        ),
        (
            "volume = \".locks\"",
            "error",
            "volume",
            "is no volume's name",
        ),
        ("volume = \"a b\"", "error", "volume", "is no volume's name"),
        (
            "volume_scope = \"session\"",
            "warning",
            "volume_scope",
            "without a volume",
        ),
        (
            "persona = \"/etc/passwd\"",
            "error",
            "persona",
            "of the work dir",
        ),
        (
            "persona = \"a/../../b\"",
            "error",
            "persona",
            "of the work dir",
        ),
        (
            long.as_str(),
            "error",
            "append_system_prompt",
            "name that as persona",
        ),
    ] {
        let start = format!("7 {severity} {at}.{key}: ");
        expect(&with(options), &context(), &[(&start, part)]);
    }
    let start = format!("8 warning {at}.volume_scope: a login is kept in the volume");
    let scoped = "volume = \"v\"\nvolume_scope = \"session\"";
    expect(&with(scoped), &context(), &[(&start, "oauth_token")]);
    agent(&format!("{scoped}\noauth_token = \"${{TOKEN}}\""));
    let start = format!("8 warning {at}.env: CLAUDE_CONFIG_DIR has no effect");
    let env = "volume = \"v\"\nenv = { CLAUDE_CONFIG_DIR = \"/x\" }";
    expect(&with(env), &context(), &[(&start, "volume")]);
}
