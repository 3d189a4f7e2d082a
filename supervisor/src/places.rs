//! Where things are: the configuration, the state, the sockets, the other programs.
//!
//! As a service: `/etc/bulkhead`, `/var/lib/bulkhead`, `/run/bulkhead`. For a person: the XDG
//! directories.

use std::path::{Path, PathBuf};

use supervisor_config::{Context, Own, SecretMode};

use crate::Where;
use crate::tree::RUNNERS;
use crate::volume::VOLUMES;

/// The directories of one tree.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// What must survive.
    pub(crate) state_dir: PathBuf,
    /// Sockets.
    pub(crate) runtime_dir: PathBuf,
}

impl Places {
    /// As named, else the usual ones of whoever asks.
    pub(crate) fn new(state_dir: Option<PathBuf>, runtime_dir: Option<PathBuf>) -> Places {
        let usual = || match is_root() {
            true => "/var/lib/bulkhead".into(),
            false => xdg("XDG_STATE_HOME", ".local/state"),
        };
        // Does not depend on where the state is: whoever asks a running tree does not read its
        // configuration.
        let runtime_dir =
            runtime_dir.unwrap_or_else(|| match std::env::var_os("XDG_RUNTIME_DIR") {
                _ if is_root() => "/run/bulkhead".into(),
                Some(dir) => PathBuf::from(dir).join("bulkhead"),
                None => usual().join("run"),
            });
        let state_dir = state_dir.unwrap_or_else(usual);
        // The processes below may have another working directory.
        let whole = |dir: PathBuf| std::path::absolute(&dir).unwrap_or(dir);
        Places {
            state_dir: whole(state_dir),
            runtime_dir: whole(runtime_dir),
        }
    }

    /// What in them is nobody else's business.
    fn own(&self) -> Vec<Own> {
        let state = |below: &str, what| Own {
            path: self.state_dir.join(below),
            what,
        };
        let runtime_dir = Own {
            path: self.runtime_dir.clone(),
            what: "the sockets of Bulkhead",
        };
        vec![
            state("spool", "what was said in chats"),
            state(RUNNERS, "the runners' state"),
            state(VOLUMES, "the volumes"),
            runtime_dir,
        ]
    }
}

/// The configuration that is meant when none is named.
pub(crate) fn config(named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| {
        if is_root() {
            return "/etc/bulkhead/config.toml".into();
        }
        xdg("XDG_CONFIG_HOME", ".config").join("config.toml")
    })
}

/// A directory as people write it: below this user's home it begins with `~`.
pub(crate) fn short(dir: &Path) -> String {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.filter(|home| home.is_absolute() && home.parent().is_some());
    match home.and_then(|home| dir.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(below) if below.as_os_str().is_empty() => "~".to_owned(),
        Some(below) => format!("~/{}", below.display()),
        None => dir.display().to_string(),
    }
}

fn xdg(variable: &str, below_home: &str) -> PathBuf {
    let base = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    base.unwrap_or_else(|| home().join(below_home))
        .join("bulkhead")
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// This machine, as a check of the configuration looks at it, and the directories of a tree as they
/// were named.
pub(crate) fn surroundings(secrets: SecretMode, at: &Where) -> Context {
    let at = at.clone();
    Context::system(secrets, worker, near(), move |data_dir| {
        let state_dir = at.state_dir.clone().or_else(|| data_dir.map(Into::into));
        Places::new(state_dir, at.runtime_dir.clone()).own()
    })
}

/// The worker of a platform, if it is installed: `discord` finds `discord-worker`.
pub(crate) fn worker(kind: &str) -> Option<PathBuf> {
    program(&format!("{kind}-worker"))
}

/// One of our programs: in a directory of this release ([`near`]), or on PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    near()
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|path| is_program(path))
}

/// Where the programs of this release are: beside this one, or in a directory for programs that
/// people do not type. None if the system does not say where this one is.
pub(crate) fn near() -> Vec<PathBuf> {
    let me = std::env::current_exe().ok();
    let Some(here) = me.as_deref().and_then(Path::parent) else {
        return Vec::new();
    };
    let prefix = here.parent().unwrap_or(here);
    vec![
        here.to_owned(),
        prefix.join("libexec/bulkhead"),
        prefix.join("lib/bulkhead"),
    ]
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_depend_on_a_working_directory() {
        let places = Places::new(Some("state".into()), Some("run".into()));
        assert!(places.state_dir.is_absolute() && places.state_dir.ends_with("state"));
        assert!(places.runtime_dir.is_absolute() && places.runtime_dir.ends_with("run"));
    }
}
