//! A birth: what a new process inherits, and the spawn.
//!
//! A process gets exactly this: descriptors 0 (`/dev/null`), 1 and 2 (the monitor's), and from 3 on
//! its listeners, `config` and `alive`, named in `LISTEN_FDNAMES`; an environment that is an allow
//! list plus what its spec says. Every descriptor is its own open file where two processes could
//! otherwise meet (a pipe and a memory file a birth).
//!
//! The secret bytes of `config` go from the spec's callback into a sealed memory file and nowhere
//! else; the monitor's end of that file is closed before this returns.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Pid, pipe2};
use secrecy::ExposeSecret;

use crate::launch::FIRST_FD;
use crate::spec::{ProcessSpec, SecretBytes};

/// What the monitor keeps of a birth.
pub(crate) struct Birth {
    /// The process. It stays this one's until `deaths` reaps it.
    pub(crate) pid: Pid,
    /// The write end of `alive`. It is never written to; that it closes is the message.
    pub(crate) alive: OwnedFd,
}

/// Starts one generation of a process.
pub(crate) fn spawn(
    launcher: &(PathBuf, Vec<OsString>),
    spec: &ProcessSpec,
    generation: u64,
    notify: &Path,
) -> io::Result<Birth> {
    let (hears, alive) = pipe2(OFlag::O_CLOEXEC)?;
    let mut descriptors = Vec::with_capacity(spec.listeners.len() + 2);
    for (name, listener) in &spec.listeners {
        descriptors.push((name.as_str(), listener.try_clone()?));
    }
    descriptors.push(("config", sealed(&(spec.config)(generation))?));
    descriptors.push(("alive", hears));

    let names: Vec<&str> = descriptors.iter().map(|(name, _)| *name).collect();
    let mut command = Command::new(&launcher.0);
    command
        .args(&launcher.1)
        .arg(nix::unistd::getpid().to_string())
        .arg(&spec.program)
        .args(&spec.args)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| is_allowed(name)))
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .env("NOTIFY_SOCKET", notify)
        .env("LISTEN_FDS", names.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .stdin(Stdio::null());
    if let Some(beat) = spec.watchdog {
        command.env(
            "WATCHDOG_USEC",
            beat.saturating_mul(2).as_micros().to_string(),
        );
    }
    let mappings = descriptors
        .into_iter()
        .zip(FIRST_FD..)
        .map(|((_, parent_fd), child_fd)| FdMapping {
            parent_fd,
            child_fd,
        })
        .collect();
    command.fd_mappings(mappings).map_err(io::Error::other)?;

    // Dropping a `Child` neither kills nor reaps it: its pid is all that is kept.
    let pid = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
    Ok(Birth {
        pid: Pid::from_raw(pid),
        alive,
    })
}

/// A memory file that holds these bytes, is read from its start and can never change.
fn sealed(bytes: &SecretBytes) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("config", flags)?);
    file.write_all(bytes.expose_secret())?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// What a process may see of the monitor's environment: where things are, who it is, how to speak
/// and whom to trust. Anything else could hold a secret of somebody else's.
pub fn is_allowed(name: &OsStr) -> bool {
    const NAMES: [&[u8]; 11] = [
        b"PATH",
        b"HOME",
        b"LANG",
        b"LANGUAGE",
        b"TZ",
        b"USER",
        b"LOGNAME",
        b"TMPDIR",
        b"SSL_CERT_FILE",
        b"SSL_CERT_DIR",
        b"RUST_BACKTRACE",
    ];
    let name = name.as_bytes();
    NAMES.contains(&name) || name.starts_with(b"LC_") || name.starts_with(b"XDG_")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_environment_is_an_allow_list() {
        for name in ["PATH", "LC_ALL", "XDG_RUNTIME_DIR", "SSL_CERT_DIR", "TZ"] {
            assert!(is_allowed(OsStr::new(name)), "{name}");
        }
        for name in [
            "DISCORD_TOKEN",
            "ANTHROPIC_API_KEY",
            "LD_PRELOAD",
            "NOTIFY_SOCKET",
            "PATHS",
        ] {
            assert!(!is_allowed(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_sealed_file_is_read_from_its_start_and_never_changes() {
        let mut file = File::from(sealed(&b"token = 1".to_vec().into()).unwrap());
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "token = 1");
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
    }
}
