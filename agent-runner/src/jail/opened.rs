//! What a jail opens: the system, the agent's own places, what presets and the operator grant, and the
//! agent's program.
//!
//! Promises: the program is open without being named, and nothing beside it that happens to lie near;
//! the first line of a program that an agent can write opens nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::disk::{Disk, hops, walk};
use super::options::Sandbox;
use super::policy::{Inmate, lies_in, written};
use super::presets::{self, Open, Place, Preset};
use super::repository::{self, Trust};
use super::{Access, Grant, Shape};

/// What is open so far.
pub(super) struct Opened<'a, D> {
    inmate: &'a Inmate<'a>,
    disk: &'a D,
    pub(super) all: BTreeMap<PathBuf, Access>,
    /// Directories to be made first.
    pub(super) make: BTreeSet<PathBuf>,
    /// The agent can change its own program, so nothing is opened by what that says.
    pub(super) own_program: bool,
}

impl<'a, D: Disk> Opened<'a, D> {
    /// Nothing.
    pub(super) fn new(inmate: &'a Inmate<'a>, disk: &'a D) -> Self {
        Opened {
            inmate,
            disk,
            all: BTreeMap::new(),
            make: BTreeSet::new(),
            own_program: false,
        }
    }

    pub(super) fn open(&mut self, path: &Path, access: Access) {
        let so_far = self.all.entry(path.to_owned()).or_insert(access);
        *so_far = access.max(*so_far);
    }

    fn each(&mut self, paths: &[PathBuf], access: Access) {
        for path in paths {
            self.open(path, access);
        }
    }

    pub(super) fn system(&mut self, shape: Shape) {
        for path in presets::SYSTEM {
            self.open(Path::new(path), Access::Read);
        }
        for path in presets::DEVICES {
            self.open(Path::new(path), Access::Device);
        }
        if shape == Shape::Shared {
            for path in presets::PROC {
                self.open(Path::new(path), Access::Read);
            }
        }
    }

    pub(super) fn wanted(&mut self, sandbox: &Sandbox) {
        for preset in &sandbox.presets {
            self.preset(*preset);
        }
        self.each(&sandbox.read, Access::Read);
        self.each(&sandbox.write, Access::Write);
    }

    pub(super) fn variable(&self, name: &str) -> Option<PathBuf> {
        let value = self.inmate.environment.get(name)?;
        Some(PathBuf::from(value)).filter(|path| path.is_absolute())
    }

    pub(super) fn agent(&mut self) {
        self.open(self.inmate.work_dir, Access::Write);
        self.each(self.inmate.read, Access::Read);
        self.each(self.inmate.write, Access::Write);
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"] {
            if let Some(path) = self.variable(name) {
                self.open(&path, Access::Read);
            }
        }
        if self.inmate.claude {
            let home = self.variable("HOME");
            let usual = home.as_ref().map(|home| home.join(".claude"));
            if let Some(dir) = self.variable("CLAUDE_CONFIG_DIR").or(usual) {
                self.open(&dir, Access::Write);
                self.make.insert(dir);
            }
            if let Some(home) = home {
                self.open(&home.join(".claude.json"), Access::Write);
            }
        }
    }

    fn preset(&mut self, preset: Preset) {
        for place in preset.places() {
            let Some(path) = self.place(place) else {
                continue;
            };
            let access = match place.open {
                Open::Read => Access::Read,
                Open::Write | Open::Made => Access::Write,
            };
            self.open(&path, access);
            if place.open == Open::Made {
                self.make.insert(path);
            }
        }
        if preset == Preset::Git
            && let Some(common) = self.git_common()
        {
            self.open(&common, Access::Write);
        }
    }

    fn place(&self, place: &Place) -> Option<PathBuf> {
        let Some(below) = place.path.strip_prefix("~/") else {
            return Some(place.path.into());
        };
        if let Some(moved) = place.variable.and_then(|name| self.variable(name)) {
            // `~/.cargo/bin` under CARGO_HOME is its `bin`.
            let parts: Vec<&str> = below.split('/').collect();
            let rest = match parts.first() {
                Some(&".cargo") => parts.get(1..).unwrap_or_default().join("/"),
                _ => String::new(),
            };
            return Some(moved.join(rest));
        }
        Some(self.variable("HOME")?.join(below))
    }

    /// Where the repository of a linked working tree is.
    fn git_common(&self) -> Option<PathBuf> {
        let state = self.inmate.state_dir.to_owned();
        let not_above: Vec<PathBuf> = self.variable("HOME").into_iter().chain([state]).collect();
        let mut nowhere_in = self.inmate.owned.to_owned();
        nowhere_in.extend([self.inmate.work_dir, self.inmate.state_dir].map(Path::to_owned));
        let trust = Trust {
            nowhere_in: &nowhere_in,
            not_above: &not_above,
        };
        repository::of_linked(self.inmate.work_dir, trust, self.disk)
    }

    /// The agent's program, with what it is a part of, and who interprets it.
    pub(super) fn program(&mut self) {
        self.executable(self.inmate.program, 2);
    }

    fn executable(&mut self, program: &Path, depth: usize) {
        let written = self.written();
        let walked = walk(program, self.disk);
        let is_led = walked.links.iter().any(|(link, _)| lies_in(link, &written));
        if !is_led {
            self.open(program, Access::Read);
        }
        if is_led || lies_in(&walked.real, &written) {
            self.own_program = true;
            return;
        }
        let mut real = program.to_owned();
        // Every step on the way counts: a program may look around where it was called.
        for hop in hops(program, self.disk) {
            if let Some(root) = self.root(&hop) {
                self.open(&root, Access::Read);
            }
            real = hop;
        }
        if depth == 0 {
            return;
        }
        let head = self.disk.head(&real);
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let Some(words) = line.strip_prefix(b"#!") else {
            return;
        };
        let words = String::from_utf8_lossy(words);
        let mut words = words.split_ascii_whitespace();
        let Some(interpreter) = words.next().map(PathBuf::from) else {
            return;
        };
        let is_env = interpreter.file_name().is_some_and(|name| name == "env");
        self.executable(&interpreter, depth - 1);
        if is_env
            && let Some(name) = words.find(|word| !word.starts_with('-') && !word.contains('='))
            // What PATH is for; anything else is no program that is looked for.
            && !name.contains('/')
            && let Some(path) = self.inmate.environment.get("PATH")
        {
            let found = std::env::split_paths(path)
                .map(|dir| dir.join(name))
                .find(|file| file.is_absolute() && self.disk.exists(file));
            if let Some(found) = found {
                self.executable(&found, depth - 1);
            }
        }
    }

    fn written(&self) -> Vec<PathBuf> {
        let all = self.all.iter();
        let grants: Vec<Grant> = all
            .map(|(path, access)| Grant::new(path, *access))
            .collect();
        written(&grants, self.inmate.owned, self.disk)
    }

    /// What a program is a part of: its package, its prefix, or its directory. None where that
    /// would open what is somebody's.
    fn root(&self, program: &Path) -> Option<PathBuf> {
        let system = presets::SYSTEM.iter().any(|dir| program.starts_with(dir));
        if system {
            return None;
        }
        let mut package = PathBuf::new();
        for part in program.components() {
            package.push(part);
            if part.as_os_str() == "node_modules" {
                return self.may_open(&package).then_some(package);
            }
        }
        let dir = program.parent()?;
        let prefix = dir.parent().filter(|prefix| {
            dir.file_name().is_some_and(|name| name == "bin")
                && prefix.file_name().is_none_or(|name| name != ".local")
                && self.disk.exists(&prefix.join("lib"))
                && self.may_open(prefix)
        });
        let dir = Some(dir).filter(|dir| self.may_open(dir));
        prefix.or(dir).map(Path::to_owned)
    }

    fn may_open(&self, dir: &Path) -> bool {
        const SHARED: [&str; 8] = [
            "/tmp", "/home", "/root", "/var", "/opt", "/srv", "/etc", "/run",
        ];
        let home = self.variable("HOME");
        let kept = [Some(self.inmate.state_dir.to_owned()), home];
        let above = kept.iter().flatten().any(|kept| kept.starts_with(dir));
        !above && dir != Path::new("/") && !SHARED.iter().any(|shared| dir == Path::new(shared))
    }
}
