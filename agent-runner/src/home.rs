//! What an agent finds where it lives: its volume, its persona, and its project's own words.
//!
//! A volume is a directory that outlives sessions: the configuration, history and memory of Claude
//! Code lie in its `.claude` (`CLAUDE_CONFIG_DIR`), and whatever the agent keeps beside that. It is
//! the project's, or each session has one of its own in it.
//!
//! Promises: nothing is read from outside of the volume and the work dir, whatever a link in them
//! says; what is read is bounded, and a text that was cut or is missing is told ([`Said::remarks`]).

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use uuid::Uuid;

use crate::beneath::{self, Dir};
use crate::options::{Options, VolumeScope};
use crate::text;

/// The project's own words.
const PROJECT_FILE: &str = "CLAUDE.md";
/// The most that is taken of them, bytes. All words together are one argument, and that has 128 KiB.
const PROJECT_BYTES: usize = 64 << 10;
/// The most that is taken of a persona, bytes.
const PERSONA_BYTES: usize = 24 << 10;
/// The configuration and memory of Claude Code, in a volume.
const CONFIG: &str = ".claude";
/// The variable that says where it is.
pub const CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
/// The variable that tells any agent where its volume is.
const VOLUME: &str = "BULKHEAD_VOLUME";
/// The volumes of sessions, in that of their project.
const SESSIONS: &str = "sessions";
/// Locks of volumes, beside them: what is in a volume is the agent's to remove.
const LOCKS: &str = ".locks";
const NOTHING: io::ErrorKind = io::ErrorKind::NotFound;
/// The longest name of a session that names its directory too.
const NAME: usize = 64;

/// What is said to an agent beside what the operator wrote into the options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// For its system prompt, in order.
    pub words: Vec<String>,
    /// What a person should know: a text is missing, or was cut.
    pub remarks: Vec<String>,
}

/// The volume of a session, if there are volumes. It may not be there yet.
pub fn volume(options: &Options, session: &str) -> Option<PathBuf> {
    let volume = options.volume.clone()?;
    Some(match options.volume_scope {
        VolumeScope::Project => volume,
        VolumeScope::Session => volume.join(SESSIONS).join(directory(session)),
    })
}

/// The name of a session's directory: its own where it can be one.
fn directory(session: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=NAME).contains(&session.len()) && session.chars().all(plain) {
        return session.to_owned();
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, session.as_bytes()).to_string()
}

/// Makes the volume of a session.
///
/// # Errors
/// In words.
pub fn make(options: &Options, session: &str) -> Result<(), String> {
    let Some(volume) = volume(options, session) else {
        return Ok(());
    };
    let made = in_project(options, &volume).and_then(|(root, below)| {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        // What is in there is an agent's: none is made beside it by a link.
        Dir::open(root)?.make(&below.join(CONFIG)).map(drop)
    });
    made.map_err(|error| format!("its volume {} cannot be made: {error}", volume.display()))
}

/// Removes the volume of a session, if it has one of its own. Best effort.
pub fn forget(options: &Options, session: &str) {
    if options.volume_scope != VolumeScope::Session {
        return;
    }
    let removed = volume(options, session).map(|volume| {
        let (root, below) = in_project(options, &volume)?;
        let (parent, name) = below.parent().zip(below.file_name()).ok_or(NOTHING)?;
        Dir::open(root)?.below(parent)?.remove_all(name)
    });
    if let Some(Err(error)) = removed {
        tracing::debug!(%error, "a volume is not removed");
    }
}

/// The project's volume, and where a session's is from there.
fn in_project<'a>(options: &'a Options, volume: &'a Path) -> io::Result<(&'a Path, &'a Path)> {
    let root = options.volume.as_deref().ok_or(NOTHING)?;
    Ok((root, volume.strip_prefix(root).map_err(io::Error::other)?))
}

/// Leads an agent to its volume.
pub fn furnish(options: &Options, session: &str, environment: &mut BTreeMap<String, String>) {
    if let Some(volume) = volume(options, session) {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        environment.insert(CONFIG_DIR.into(), text(&volume.join(CONFIG)));
        environment.insert(VOLUME.into(), text(&volume));
    }
}

/// Holds a volume against its removal, for as long as the file is.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] while it is being removed; else what the system says.
pub fn hold(options: &Options) -> io::Result<Option<File>> {
    let names = options.volume.as_ref();
    let Some((parent, name)) = names.and_then(|path| path.parent().zip(path.file_name())) else {
        return Ok(None);
    };
    let locks = parent.join(LOCKS);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&locks)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(locks.join(name))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What is said to the agent of a session.
pub fn said(options: &Options, session: &str) -> Said {
    let mut said = Said::default();
    if let Some(name) = &options.persona {
        persona(options, session, name, &mut said);
    }
    // Who is trusted reads it for itself, with all that it includes; who has nothing but tools is
    // for strangers, and they are not to ask it what stands there.
    if !options.trusts_project() && !options.tools_only {
        project(&options.work_dir, &mut said);
    }
    said
}

fn persona(options: &Options, session: &str, name: &str, said: &mut Said) {
    // That of the session goes before that of the project, and a volume's before the work dir's.
    let own = volume(options, session)
        .into_iter()
        .chain(options.volume.clone());
    let places = own.chain([options.work_dir.clone()]);
    for place in places {
        match read(&place, Path::new(name), PERSONA_BYTES) {
            Ok(None) => {}
            Ok(Some(text)) => {
                return said.take(&text, name, PERSONA_BYTES, |text| {
                    format!("Your persona, as the operator wrote it:\n\n{text}")
                });
            }
            Err(why) => return said.remarks.push(format!("the persona {name} {why}")),
        }
    }
    let where_ = match &options.volume {
        Some(_) => "neither in the volume nor in the work dir",
        None => "not in the work dir",
    };
    let remark = format!("the persona {name} is {where_}: the agent goes without");
    said.remarks.push(remark);
}

fn project(work_dir: &Path, said: &mut Said) {
    match read(work_dir, Path::new(PROJECT_FILE), PROJECT_BYTES) {
        Ok(None) => {}
        Ok(Some(text)) => said.take(&text, PROJECT_FILE, PROJECT_BYTES, |text| {
            format!(
                "Instructions of the project that you work in, from its {PROJECT_FILE}:\n\n{text}"
            )
        }),
        Err(why) => said
            .remarks
            .push(format!("the project's {PROJECT_FILE} {why}")),
    }
}

impl Said {
    fn take(&mut self, text: &str, name: &str, most: usize, words: impl FnOnce(&str) -> String) {
        if text.trim().is_empty() {
            return;
        }
        if text.len() <= most {
            return self.words.push(words(text.trim()));
        }
        let kib = most >> 10;
        let cut = format!(
            "{}\n\n[{name} is longer than {kib} KiB; the rest is missing here]",
            text::head(text, most).trim()
        );
        self.words.push(words(&cut));
        let remark = format!("{name} is longer than {kib} KiB: the agent sees only its beginning");
        self.remarks.push(remark);
    }
}

/// A file below `root`, up to one byte more than `most`; `None` = it is not there.
///
/// # Errors
/// In words that go after its name.
fn read(root: &Path, name: &Path, most: usize) -> Result<Option<String>, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let root = match Dir::open(root) {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let file = match root.within(name) {
        Ok(file) => file,
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::EXDEV) => {
            let root = root.path().display();
            return Err(format!("leads out of {root} and is not read"));
        }
        Err(errno) => return Err(cannot(errno.into())),
    };
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err("is no file".into());
    }
    let bytes = beneath::head(&file, most as u64 + 1).map_err(cannot)?;
    // No argument can hold a NUL.
    Ok(Some(String::from_utf8_lossy(&bytes).replace('\0', "")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    struct Place(tempfile::TempDir, Options);

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            work_dir: dir.path().join("work"),
            volume: Some(dir.path().join("volumes/v")),
            persona: Some("persona.md".into()),
            ..Options::default()
        };
        fs::create_dir(&options.work_dir).unwrap();
        make(&options, "s").unwrap();
        Place(dir, options)
    }

    impl Place {
        fn write(&self, path: &str, text: &str) {
            fs::write(self.0.path().join(path), text).unwrap();
        }

        fn said(&self) -> Said {
            said(&self.1, "s")
        }
    }

    #[test]
    fn a_persona_is_the_volumes_or_else_the_projects() {
        let mut place = place();
        assert!(place.said().remarks[0].contains("neither in the volume nor"));
        place.write("work/persona.md", "of the work dir");
        assert!(place.said().words[0].ends_with("of the work dir"));
        place.write("volumes/v/persona.md", "of the volume");
        assert!(place.said().words[0].ends_with("of the volume"));
        place.1.volume_scope = VolumeScope::Session;
        make(&place.1, "s").unwrap();
        assert!(place.said().words[0].ends_with("of the volume"));
        place.write("volumes/v/sessions/s/persona.md", "of the session");
        assert!(place.said().words[0].ends_with("of the session"));
        assert_eq!(place.said().remarks, [""; 0]);
    }

    // pitfall: --setting-sources user drops the project's CLAUDE.md: append it
    #[test]
    fn the_projects_words_are_appended_unless_it_is_trusted() {
        let mut place = place();
        place.1.persona = None;
        assert_eq!(place.said(), Said::default());
        place.write("work/CLAUDE.md", "be\0 kind\n");
        assert!(place.said().words[0].ends_with("CLAUDE.md:\n\nbe kind"));
        place.1.trust_project = true;
        assert_eq!(place.said(), Said::default());
        place.1.tools_only = true;
        assert_eq!(place.said(), Said::default());
    }

    #[test]
    fn what_is_too_long_is_cut_and_told() {
        let place = place();
        place.write("work/CLAUDE.md", &"ü".repeat(PROJECT_BYTES));
        place.write("work/persona.md", &"p".repeat(PERSONA_BYTES + 1));
        let said = place.said();
        let all: usize = said.words.iter().map(String::len).sum();
        assert!(all < PROJECT_BYTES + PERSONA_BYTES + 400, "{all}");
        assert_eq!(said.remarks.len(), 2);
        for (words, remark) in said.words.iter().zip(&said.remarks) {
            assert!(words.ends_with("the rest is missing here]"));
            assert!(remark.contains("longer than"), "{remark}");
        }
    }

    #[test]
    fn nothing_is_read_from_elsewhere() {
        let place = place();
        place.write("secret", "canary");
        let work = place.0.path().join("work");
        symlink(place.0.path().join("secret"), work.join("CLAUDE.md")).unwrap();
        symlink(place.0.path(), work.join("up")).unwrap();
        let mut options = place.1.clone();
        for name in ["../secret", "up/secret"] {
            options.persona = Some(name.into());
            options.volume = None;
            let said = said(&options, "s");
            assert_eq!(said.words, [""; 0], "{name}");
            assert_eq!(said.remarks.len(), 2);
            assert!(
                said.remarks.iter().all(|r| r.contains("leads out of")),
                "{said:?}"
            );
        }
        fs::remove_file(work.join("CLAUDE.md")).unwrap();
        fs::create_dir(work.join("docs")).unwrap();
        place.write("work/docs/agents.md", "within");
        symlink("docs/agents.md", work.join("CLAUDE.md")).unwrap();
        options.persona = None;
        assert!(said(&options, "s").words[0].ends_with("within"));
        fs::remove_file(work.join("CLAUDE.md")).unwrap();
        nix::unistd::mkfifo(&work.join("CLAUDE.md"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(said(&options, "s").remarks[0].contains("is no file"));
    }

    #[test]
    fn a_volume_is_made_and_removed_through_no_link() {
        let mut place = place();
        place.1.volume_scope = VolumeScope::Session;
        make(&place.1, "s").unwrap();
        let sessions = place.0.path().join("volumes/v/sessions");
        assert!(sessions.join("s/.claude").is_dir());
        forget(&place.1, "s");
        assert!(!sessions.join("s").exists());
        fs::remove_dir(&sessions).unwrap();
        fs::create_dir_all(place.0.path().join("outside/s")).unwrap();
        symlink("../../outside", &sessions).unwrap();
        assert!(make(&place.1, "t").unwrap_err().contains("symbolic link"));
        forget(&place.1, "s");
        let outside = fs::read_dir(place.0.path().join("outside")).unwrap();
        assert_eq!(outside.count(), 1);
        assert!(place.0.path().join("outside/s").exists());
    }

    #[test]
    fn a_volume_is_its_owners_and_held() {
        let place = place();
        let volume = place.1.volume.clone().unwrap();
        let mode = fs::metadata(&volume).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let mut environment = BTreeMap::from([(CONFIG_DIR.to_owned(), "/elsewhere".to_owned())]);
        furnish(&place.1, "s", &mut environment);
        let config = volume.join(CONFIG);
        assert_eq!(environment[CONFIG_DIR], config.to_str().unwrap());
        assert_eq!(environment[VOLUME], volume.to_str().unwrap());
        let _one = hold(&place.1).unwrap().unwrap();
        let _other = hold(&place.1).unwrap().unwrap();
        let lock = place.0.path().join("volumes/.locks/v");
        assert!(File::open(&lock).unwrap().try_lock().is_err());
        assert!(hold(&Options::default()).unwrap().is_none());
    }

    #[test]
    fn a_session_names_its_directory_only_if_it_can() {
        assert_eq!(directory("0f3c-1"), "0f3c-1");
        for bad in ["", "..", "a/b", ".", "ü", &"x".repeat(65)] {
            assert!(Uuid::try_parse(&directory(bad)).is_ok(), "{bad}");
        }
    }
}
