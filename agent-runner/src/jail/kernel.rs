//! What the kernel has for a jail: asked, not guessed from its version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{AccessFlags, access};

use super::denial::Outside;
use super::disk::Disk;
use super::options::{Mode, Sandbox};
use super::policy::Kernel;
use super::{Access, Grant, Jail, Limits, Net, Shape, bubblewrap, fence, policy, presets, seccomp};
use crate::beneath;
use crate::process::launch;

/// What of a file's beginning is looked at.
const HEAD_BYTES: u64 = 4096;

/// The file tree as it is.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Disk for System {
    fn link(&self, path: &Path) -> Option<PathBuf> {
        std::fs::read_link(path).ok()
    }

    fn head(&self, path: &Path) -> Vec<u8> {
        // What cannot be read is no script either.
        let file = beneath::regular(path).and_then(|file| beneath::head(&file, HEAD_BYTES));
        file.unwrap_or_default()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

impl Outside for System {
    fn reads(&self, path: &Path) -> bool {
        access(path, AccessFlags::R_OK).is_ok()
    }

    fn writes(&self, path: &Path) -> bool {
        let dir = if path.exists() {
            Some(path)
        } else {
            path.parent()
        };
        dir.is_some_and(|dir| access(dir, AccessFlags::W_OK).is_ok())
    }
}

/// Looks at what this way to build a jail needs. Namespaces and bubblewrap are tried out, by a jail
/// with nothing but a shell in it: distributions forbid them in several ways. Blocks for some
/// milliseconds. `scratch` is a directory of ours.
pub fn look(mode: Mode, scratch: &Path) -> Kernel {
    let not = || Err("not tried".to_owned());
    let landlock = fence::supported();
    let jail = |shape| Jail {
        shape,
        abi: landlock,
        grants: [
            (presets::SYSTEM, Access::Read),
            (presets::DEVICES, Access::Device),
        ]
        .iter()
        .flat_map(|(paths, access)| paths.iter().map(|path| Grant::new(*path, *access)))
        .collect(),
        owned: Vec::new(),
        scratch: scratch.to_owned(),
        empty: Vec::new(),
        net: Net::Full,
        unix_sockets: true,
        limits: Limits::default(),
    };
    let mut kernel = Kernel {
        bubblewrap: not(),
        landlock,
        namespaces: not(),
        seccomp: seccomp::supported(),
    };
    match mode {
        Mode::Landlock if landlock > 0 => kernel.namespaces = try_out(&jail(Shape::Own)),
        Mode::Bubblewrap if bubblewrap::installed().is_none() => {
            kernel.bubblewrap = Err("it is not installed".into());
        }
        Mode::Bubblewrap => kernel.bubblewrap = try_out(&jail(Shape::Bubblewrap)),
        Mode::Landlock | Mode::Off => {}
    }
    kernel
}

/// What this system lacks for the sandbox of an agent, `served` or not ([`policy::shape_for`]), in
/// words: why it cannot be closed, or how it is less than it could be. Nothing = nothing. Blocks and
/// uses `scratch` as [`look`] does.
pub fn lacks(served: bool, sandbox: &Sandbox, scratch: &Path) -> Vec<String> {
    if sandbox.mode == Mode::Off {
        return Vec::new();
    }
    let kernel = look(sandbox.mode, scratch);
    match (
        policy::shape_for(served, sandbox, &kernel),
        kernel.namespaces,
    ) {
        (Err(lack), _) => vec![lack.to_string()],
        (Ok(Shape::Shared), Err(why)) => vec![without_namespaces(&why)],
        (Ok(_), _) => Vec::new(),
    }
}

/// What a jail without namespaces is less, and what would mend it.
pub fn without_namespaces(why: &str) -> String {
    format!(
        "it has no namespaces of its own ({why}). It holds all the same; with user namespaces (sysctl \
         user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns) the agent could use \
         Unix sockets and /proc, and Claude Code could do with network = \"none\""
    )
}

fn try_out(jail: &Jail) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let jail = serde_json::to_string(jail).map_err(|error| words(&error))?;
    let said = Command::new("/proc/self/exe")
        .arg(launch::FLAG)
        .args([&std::process::id().to_string(), &jail])
        .args(["/bin/sh", "-c", "exit 0"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| words(&error))?;
    if said.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&said.stderr);
    let line = stderr.lines().next().unwrap_or("it fails without a word");
    let why = line.trim_start_matches(launch::UNJAILED);
    Err(crate::text::head(why, 200).to_owned())
}
