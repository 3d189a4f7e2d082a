//! The configuration that is written: its text, and the file.
//!
//! Promises: what is written is read back first and means exactly what was answered; the file is there
//! whole or not at all, for its owner alone; one that is there is replaced only by [`Told::Replace`].

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use secrecy::{ExposeSecret as _, SecretString};
use supervisor_config::{SecretMode, Severity, check};

use crate::Where;
use crate::places;

/// What was answered.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) discord: Option<Discord>,
    pub(crate) weibo: Option<Weibo>,
    pub(crate) project: String,
    pub(crate) work_dir: PathBuf,
    /// The agent's program, if it is not the one in PATH.
    pub(crate) cmd: Option<String>,
}

pub(crate) struct Discord {
    pub(crate) token: SecretString,
    /// The only way there, if there is one. May hold a password.
    pub(crate) proxy: Option<SecretString>,
    pub(crate) api_base: Option<String>,
}

pub(crate) struct Weibo {
    pub(crate) app_id: String,
    pub(crate) app_secret: SecretString,
    pub(crate) token_endpoint: Option<String>,
    pub(crate) ws_endpoint: Option<String>,
}

/// The file's text.
pub(crate) fn text(answers: &Answers) -> Result<SecretString> {
    let work_dir = answers.work_dir.to_str();
    let work_dir =
        work_dir.context("the directory's name is no text that a configuration can hold")?;
    let mut text = String::from(
        "# Written by `bulkhead init`. docs/config.example.toml shows what else can stand here; check \
         what you change with `bulkhead check`.\n\n",
    );
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    add("[[projects]]");
    add(&format!("name = {}", quoted(&answers.project)));
    add("\n[projects.agent]\ntype = \"claudecode\"");
    add("\n[projects.agent.options]");
    add(&format!("work_dir = {}", quoted(work_dir)));
    if let Some(cmd) = &answers.cmd {
        // A list: a text would be taken apart at its blanks.
        add(&format!("cmd = [{}]", quoted(cmd)));
    }
    let mut platform = |kind: &str, options: &[(&str, Option<&str>)]| {
        let _ = write!(
            text,
            "\n[[projects.platforms]]\ntype = {}\n\n[projects.platforms.options]\n",
            quoted(kind)
        );
        for (key, value) in options {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
        }
    };
    if let Some(discord) = &answers.discord {
        let options = [
            ("token", Some(discord.token.expose_secret())),
            (
                "proxy",
                discord.proxy.as_ref().map(|proxy| proxy.expose_secret()),
            ),
            ("api_base", discord.api_base.as_deref()),
        ];
        platform("discord", &options);
    }
    if let Some(weibo) = &answers.weibo {
        let options = [
            ("app_id", Some(weibo.app_id.as_str())),
            ("app_secret", Some(weibo.app_secret.expose_secret())),
            ("token_endpoint", weibo.token_endpoint.as_deref()),
            ("ws_endpoint", weibo.ws_endpoint.as_deref()),
        ];
        platform("weibo", &options);
    }
    Ok(text.into())
}

/// A TOML text that means exactly this, a `${` in it included.
fn quoted(value: &str) -> String {
    toml::Value::String(value.replace("${", "$${")).to_string()
}

/// Reads the text as `bulkhead run` will; what is to be looked at.
///
/// # Errors
/// It is not as it should be, or means something else than what was answered.
pub(crate) fn proven(text: &SecretString, file: &Path, answers: &Answers) -> Result<Vec<String>> {
    let context = places::surroundings(SecretMode::Resolve, &Where::default());
    let checked = check(text.expose_secret(), file, &context);
    let words = |severity: Severity| -> Vec<String> {
        let such = checked.problems.iter().filter(|it| it.severity == severity);
        such.map(|it| format!("{}: {}", it.key_path, it.message))
            .collect()
    };
    let Some(plan) = &checked.plan else {
        bail!(
            "the answers make no good configuration: {}",
            words(Severity::Error).join("; ")
        );
    };
    let project = plan
        .projects
        .first()
        .context("the configuration holds no project")?;
    let given = |kind: &str, key: &str| {
        let platform = project
            .platforms
            .iter()
            .find(|platform| platform.kind == kind)?;
        let secret = platform.secrets.get(key)?.value().ok()?;
        Some(secret.expose_secret().to_owned())
    };
    let is = |kind: &str, key: &str, wanted: Option<&SecretString>| {
        given(kind, key).as_deref() == wanted.map(|secret| secret.expose_secret().trim())
    };
    let discord = answers.discord.as_ref().map(|it| &it.token);
    let proxy = answers.discord.as_ref().and_then(|it| it.proxy.as_ref());
    let weibo = answers.weibo.as_ref().map(|it| &it.app_secret);
    if !is("discord", "token", discord)
        || !is("discord", "proxy", proxy)
        || !is("weibo", "app_secret", weibo)
        || project.agent.work_dir != answers.work_dir
        || project.name != answers.project
    {
        bail!(
            "the answers cannot be written so that they mean the same when they are read; please report it"
        );
    }
    Ok(words(Severity::Warning))
}

/// Whether a file that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The person said so.
    Replace,
    /// Nobody did.
    Keep,
}

/// Writes the file.
///
/// # Errors
/// In words; there is no half of it then.
pub(crate) fn write(file: &Path, text: &SecretString, told: Told) -> Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the directory {}", dir.display()))?;
    let name = file
        .file_name()
        .context("the configuration needs a file's name")?;
    let new = dir.join(format!(".{}.{}", name.display(), std::process::id()));
    let written = fill(&new, text).and_then(|()| place(&new, file, told));
    if written.is_err() {
        // It holds secrets and is of no use.
        let _ = fs::remove_file(&new);
    }
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there meanwhile; nothing was changed", file.display())
        }
        written => written.with_context(|| format!("cannot write {}", file.display())),
    }
}

fn fill(new: &Path, text: &SecretString) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    file.write_all(text.expose_secret().as_bytes())?;
    file.sync_all()
}

fn place(new: &Path, file: &Path, told: Told) -> io::Result<()> {
    match told {
        Told::Replace => fs::rename(new, file)?,
        Told::Keep => renameat2(AT_FDCWD, new, AT_FDCWD, file, RenameFlags::RENAME_NOREPLACE)?,
    }
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use supervisor_config::Context;

    use super::*;

    fn answers(dir: &Path, token: &str, secret: &str) -> Answers {
        Answers {
            discord: Some(Discord {
                token: token.to_owned().into(),
                proxy: Some("http://me:p%24${x}@proxy.example:1".to_owned().into()),
                api_base: None,
            }),
            weibo: Some(Weibo {
                app_id: "123".into(),
                app_secret: secret.to_owned().into(),
                token_endpoint: None,
                ws_endpoint: Some("wss://w.example/ws".into()),
            }),
            project: "demo".into(),
            work_dir: dir.to_owned(),
            cmd: Some("/bin/true".into()),
        }
    }

    #[test]
    fn whatever_a_secret_looks_like_it_is_read_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        for secret in [
            "plain",
            r#"se"cret&=\+"#,
            "${HOME}",
            "$${HOME}",
            "a${b",
            "'''",
            "\"\"\"",
            "tab\there",
            "# no comment",
            "微博",
            "\u{7f}\u{1}",
        ] {
            let answers = answers(dir.path(), "a.b.c", secret);
            let text = text(&answers).unwrap();
            // Without workers installed the platforms are errors of their own.
            let parsed: toml::Table = text.expose_secret().parse().unwrap();
            let platforms = parsed["projects"][0]["platforms"].as_array().unwrap();
            assert_eq!(platforms.len(), 2);
            assert!(platforms[0]["options"].get("api_base").is_none());
            let worker = |_: &str| Some("/bin/true".into());
            let mut context =
                Context::system(SecretMode::Resolve, worker, Vec::new(), |_| Vec::new());
            context.is_root = false;
            let checked = check(text.expose_secret(), Path::new("/c"), &context);
            let plan = checked
                .plan
                .unwrap_or_else(|| panic!("{:?}", checked.problems));
            let project = &plan.projects[0];
            let read = project.platforms[1].secrets["app_secret"].value().unwrap();
            assert_eq!(read.expose_secret(), secret);
            let read = project.platforms[0].secrets["proxy"].value().unwrap();
            assert_eq!(read.expose_secret(), "http://me:p%24${x}@proxy.example:1");
            assert_eq!(project.agent.work_dir, dir.path());
            assert_eq!(project.agent.cmd, "/bin/true");
        }
    }

    #[test]
    fn a_file_is_written_whole_for_its_owner_and_replaced_only_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/config.toml");
        write(&file, &"one".into(), Told::Keep).unwrap();
        let meta = fs::metadata(&file).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        let kept = write(&file, &"two".into(), Told::Keep)
            .unwrap_err()
            .to_string();
        assert!(kept.contains("nothing was changed"), "{kept}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        write(&file, &"two".into(), Told::Replace).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        let left = fs::read_dir(file.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside it");
        assert!(write(Path::new("/proc/x/config.toml"), &"x".into(), Told::Keep).is_err());
    }
}
