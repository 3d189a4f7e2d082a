//! What a check may ask of the machine it runs on.
//!
//! Promises: the check reads nothing of its surroundings but through this struct, the config file's
//! own permission bits and, when secrets are resolved, the secret files that the config names. So a
//! test can put any machine around a config.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::secrets::SecretMode;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A directory.
    Directory,
    /// Something that is no directory.
    Other,
    /// Nothing.
    Missing,
    /// This process may not look.
    Hidden,
}

type Lookup<T> = Box<dyn Fn(&str) -> Option<T>>;
type OwnDirs = Box<dyn Fn(Option<&Path>) -> Vec<Own>>;

/// The surroundings of a check. Build one with [`Context::system`] and replace what differs.
pub struct Context {
    /// An environment variable's value.
    pub env: Lookup<String>,
    /// Whether the supervisor runs as root, and so could give each part a user of its own.
    pub is_root: bool,
    /// Whether, as root, a project without `run_as_user` is refused rather than warned about.
    pub require_run_as_user: bool,
    /// Whether secrets are read now or left as placeholders.
    pub secrets: SecretMode,
    /// Where the worker of a platform kind is installed: `discord` finds `discord-worker`.
    pub worker: Lookup<PathBuf>,
    /// The directories that `worker` looks in before those of PATH, to be named where it finds none.
    pub worker_dirs: Vec<PathBuf>,
    /// Where a program is: a bare name is looked for in PATH, a path stands for itself.
    pub program: Lookup<PathBuf>,
    /// What stands at a path.
    pub place: Box<dyn Fn(&Path) -> Place>,
    /// systemd's directory of credentials, where there is one.
    pub credentials_dir: Option<PathBuf>,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// Where Bulkhead keeps what is its own, given `data_dir`.
    pub own: OwnDirs,
    /// Where a path leads once its symbolic links are followed; one that leads nowhere stands for
    /// itself.
    pub real: Box<dyn Fn(&Path) -> PathBuf>,
}

/// A directory of Bulkhead's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The whole path. It need not be there.
    pub path: PathBuf,
    /// What is in it, to be said to a person.
    pub what: &'static str,
}

impl Context {
    /// The machine as it is, for a caller that says how secrets are treated, where workers are and
    /// what is Bulkhead's own.
    pub fn system(
        secrets: SecretMode,
        worker: impl Fn(&str) -> Option<PathBuf> + 'static,
        worker_dirs: Vec<PathBuf>,
        own: impl Fn(Option<&Path>) -> Vec<Own> + 'static,
    ) -> Self {
        Self {
            env: Box::new(|name| std::env::var(name).ok()),
            is_root: nix::unistd::geteuid().is_root(),
            require_run_as_user: false,
            secrets,
            worker: Box::new(worker),
            worker_dirs,
            program: Box::new(find_program),
            place: Box::new(place),
            credentials_dir: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            home: std::env::var_os("HOME")
                .map(PathBuf::from)
                .filter(|home| home.is_absolute()),
            own: Box::new(own),
            real: Box::new(real),
        }
    }

    /// Where `worker` looks, in words.
    pub(crate) fn looked_in(&self) -> String {
        let dirs = self.worker_dirs.iter().map(|dir| dir.display().to_string());
        dirs.chain(["PATH".to_owned()])
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// `~` and `~/…` with the home directory put in; anything else as it is.
    pub(crate) fn with_home(&self, path: &str) -> PathBuf {
        match (&self.home, path.strip_prefix('~')) {
            (Some(home), Some("")) => home.clone(),
            (Some(home), Some(rest)) if rest.starts_with('/') => home.join(&rest[1..]),
            _ => PathBuf::from(path),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("is_root", &self.is_root)
            .field("require_run_as_user", &self.require_run_as_user)
            .field("secrets", &self.secrets)
            .field("credentials_dir", &self.credentials_dir)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

fn place(path: &Path) -> Place {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Place::Directory,
        Ok(_) => Place::Other,
        Err(err) if err.kind() == std::io::ErrorKind::PermissionDenied => Place::Hidden,
        Err(_) => Place::Missing,
    }
}

/// Of what is not there yet, as much is followed as is.
fn real(path: &Path) -> PathBuf {
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (there.canonicalize(), path.strip_prefix(there)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}

fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(path) {
        Ok(meta) => meta.is_file() && meta.permissions().mode() & 0o111 != 0,
        // Not ours to look at: the user it will run as may well have it.
        Err(err) => err.kind() == std::io::ErrorKind::PermissionDenied,
    }
}
