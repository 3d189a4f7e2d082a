//! What the operator wrote, turned into a [`Jail`]: pure, given a look at the disk and what the
//! kernel has.
//!
//! Promises: what is asked for and cannot be had is a [`Lack`] in words, never less of a jail; the
//! agent's own program is granted without being named, and nothing beside it that happens to lie
//! near; nothing that an agent can write leads a grant elsewhere, be it a link ([`places`]) or the
//! first line of its own program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::options::{Mode, Network, Sandbox};
use super::presets::{self, Open, Place, Preset};
use super::repository::{self, Trust};
use super::{Access, Grant, Jail, LetIn, Limits, Net, Shape};

/// A look at the file tree.
pub trait Disk {
    /// What a symbolic link says; none = it is no link, or nothing.
    fn link(&self, path: &Path) -> Option<PathBuf>;
    /// The first bytes of a file; empty = there is none.
    fn head(&self, path: &Path) -> Vec<u8>;
    /// Whether there is anything.
    fn exists(&self, path: &Path) -> bool;
}

/// What the kernel, and the system on it, have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Whether bubblewrap works here; else why not.
    pub bubblewrap: Result<(), String>,
    /// Landlock, by number of its interface; 0 = none.
    pub landlock: u8,
    /// Whether a process of ours gets namespaces of its own; else why not.
    pub namespaces: Result<(), String>,
    /// Whether it filters system calls.
    pub seccomp: bool,
}

/// The agent that is to be jailed.
#[derive(Debug, Clone, Copy)]
pub struct Inmate<'a> {
    /// Its program: a whole path, symbolic links included.
    pub program: &'a Path,
    /// Its working directory.
    pub work_dir: &'a Path,
    /// Its environment.
    pub environment: &'a BTreeMap<String, String>,
    /// It is Claude Code.
    pub claude: bool,
    /// The port of the runner's own way to the model on 127.0.0.1, if it has one.
    pub model_port: Option<u16>,
    /// The port of the runner's tools on 127.0.0.1, if it is offered any there.
    pub tools_port: Option<u16>,
    /// What it must read beside: plugins.
    pub read: &'a [PathBuf],
    /// What it must write beside: a volume.
    pub write: &'a [PathBuf],
    /// Where agents of its project may have written before, whatever this one may: the project's
    /// work dir and volume.
    pub owned: &'a [PathBuf],
    /// The runner's state: never to be opened by the way.
    pub state_dir: &'a Path,
    /// Its own directory for temporary files.
    pub scratch: &'a Path,
    /// Where the runner waits for a listener.
    pub socket: &'a Path,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The jail.
    pub jail: Jail,
    /// Directories to be made first, if they are not there.
    pub make: Vec<PathBuf>,
    /// The agent can change its own program, so nothing was opened by what that says.
    pub own_program: bool,
}

/// Why there is no such jail here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// Landlock is missing or too old.
    #[error(
        "this kernel {}; the agent's sandbox needs interface {needs} (Linux {}) for {what}. Use a newer kernel, or mode = \"bubblewrap\", or write  sandbox = \"off\"  into [projects.agent] to run the agent without a sandbox",
        its_landlock(*.has), linux(*.needs)
    )]
    Landlock {
        /// What the kernel has.
        has: u8,
        /// What is needed.
        needs: u8,
        /// For what.
        what: &'static str,
    },
    /// It filters no system calls.
    #[error(
        "this kernel filters no system calls (CONFIG_SECCOMP_FILTER), and the agent's sandbox needs that. Use another kernel, or write  sandbox = \"off\"  into [projects.agent] to run the agent without a sandbox"
    )]
    Seccomp,
    /// Namespaces are refused.
    #[error(
        "the sandbox's network = \"none\" needs user namespaces, and this system refuses them ({0}). Allow them (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns), or use network = \"ports\""
    )]
    Namespaces(String),
    /// What bubblewrap cannot do.
    #[error(
        "the sandbox's mode = \"bubblewrap\" cannot do network = \"{0}\" for this agent: use \"full\", or mode = \"landlock\""
    )]
    Bubblewrap(&'static str),
    /// It is not installed, or does not work here.
    #[error(
        "the sandbox's mode = \"bubblewrap\" needs the program bwrap, and {0}. Install it (apt install bubblewrap), or use mode = \"landlock\""
    )]
    NoBubblewrap(String),
    /// No network, and the model is out there.
    #[error(
        "the sandbox's network = \"none\" leaves the agent nothing but a model on 127.0.0.1, and its model is elsewhere. Use network = \"ports\" with ports = [443], or let the runner's own proxy hold the model key"
    )]
    Model,
    /// A grant that leads wherever an agent wants.
    #[error(transparent)]
    Planted(#[from] Planted),
}

/// A grant leads through a symbolic link that an agent may have laid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} is to be opened for the agent, and {link} on the way to it is a symbolic link that lies where an agent may write: it could lead anywhere. Look who laid it. If it should not be there, remove it; else name in `read` or `write` of [projects.agent.sandbox] what it leads to, or let the agent write less around it",
    path = .path.display(), link = .link.display()
)]
pub struct Planted {
    /// What was granted.
    pub path: PathBuf,
    /// The link.
    pub link: PathBuf,
}

fn its_landlock(interface: u8) -> String {
    match interface {
        0 => "has no Landlock, or it is switched off (boot with lsm=landlock,…)".into(),
        n => format!("has Landlock's interface {n}"),
    }
}

fn linux(interface: u8) -> &'static str {
    match interface {
        0..=3 => "6.2",
        4 => "6.7",
        5 => "6.10",
        _ => "6.12",
    }
}

/// What of a jail this kernel can close, before an agent is known.
///
/// # Errors
/// What it lacks.
pub fn shape(sandbox: &Sandbox, kernel: &Kernel) -> Result<Shape, Lack> {
    if !kernel.seccomp {
        return Err(Lack::Seccomp);
    }
    if sandbox.mode == Mode::Bubblewrap {
        if sandbox.network == Network::Ports {
            return Err(Lack::Bubblewrap("ports"));
        }
        let works = kernel.bubblewrap.clone();
        return works
            .map(|()| Shape::Bubblewrap)
            .map_err(Lack::NoBubblewrap);
    }
    let needs = |needs: u8, what: &'static str| match kernel.landlock >= needs {
        true => Ok(()),
        false => Err(Lack::Landlock {
            has: kernel.landlock,
            needs,
            what,
        }),
    };
    needs(3, "files")?;
    if sandbox.network == Network::Ports {
        needs(4, "network = \"ports\"")?;
    }
    match &kernel.namespaces {
        Ok(()) => Ok(Shape::Own),
        Err(_) => {
            needs(6, "signals, since user namespaces are refused here")?;
            Ok(Shape::Shared)
        }
    }
}

/// Decides.
///
/// # Errors
/// What the kernel lacks, or why there can be no such jail.
pub fn decide(
    sandbox: &Sandbox,
    inmate: &Inmate<'_>,
    kernel: &Kernel,
    disk: &impl Disk,
) -> Result<Decided, Lack> {
    let shape = shape(sandbox, kernel)?;
    let net = net(sandbox, inmate, shape, kernel)?;
    let mut open = Opened {
        inmate,
        disk,
        all: BTreeMap::new(),
        make: BTreeSet::new(),
        own_program: false,
    };
    open.system(shape);
    open.agent();
    open.wanted(sandbox);
    if shape == Shape::Shared {
        open.open(inmate.scratch, Access::Write);
    }
    // Last: what it says counts only if it lies where no agent writes.
    open.program();
    let all = open.all.iter();
    let grants: Vec<Grant> = all
        .map(|(path, access)| Grant::new(path, *access))
        .collect();
    let mut owned = inmate.owned.to_owned();
    owned.push(inmate.work_dir.to_owned());
    places(&grants, &written(&grants, &owned, disk), disk)?;
    let empty = open.variable("HOME").into_iter().collect();
    // Abstract sockets have no path: where neither Landlock nor a network of its own keeps them
    // apart, there are none at all.
    let scoped = shape != Shape::Bubblewrap && kernel.landlock >= 6;
    let apart = scoped || matches!(net, Net::Closed(_));
    Ok(Decided {
        jail: Jail {
            shape,
            abi: kernel.landlock.min(super::fence::NEWEST),
            grants,
            owned,
            scratch: inmate.scratch.to_owned(),
            empty,
            net,
            unix_sockets: shape != Shape::Shared && apart,
            limits: Limits {
                data: sandbox.memory_mb.map(|mib| mib.saturating_mul(1 << 20)),
                processes: sandbox.processes,
                files: sandbox.open_files,
            },
        },
        make: open.make.into_iter().collect(),
        own_program: open.own_program,
    })
}

/// Where agents may write, without links: what is granted that far, and what is `owned` anyway.
pub fn written(grants: &[Grant], owned: &[PathBuf], disk: &impl Disk) -> Vec<PathBuf> {
    let granted = grants
        .iter()
        .filter(|grant| grant.access == Access::Write)
        .map(|grant| &grant.path);
    granted
        .chain(owned)
        .map(|path| walk(path, disk).real)
        .collect()
}

/// Where grants lead.
///
/// # Errors
/// The first one with a link on its way that lies in what is `written`.
pub fn places(
    grants: &[Grant],
    written: &[PathBuf],
    disk: &impl Disk,
) -> Result<Vec<(Walk, Access)>, Planted> {
    let mut places = Vec::with_capacity(grants.len());
    for grant in grants {
        let walk = walk(&grant.path, disk);
        if let Some((link, _)) = walk.links.iter().find(|(link, _)| lies_in(link, written)) {
            return Err(Planted {
                path: grant.path.clone(),
                link: link.clone(),
            });
        }
        places.push((walk, grant.access));
    }
    Ok(places)
}

fn lies_in(path: &Path, dirs: &[PathBuf]) -> bool {
    dirs.iter().any(|dir| path.starts_with(dir))
}

/// What an agent may write in whatever jail it comes to, its directory for temporary files left out.
pub fn writable(sandbox: &Sandbox, inmate: &Inmate<'_>, disk: &impl Disk) -> Vec<PathBuf> {
    let mut open = Opened {
        inmate,
        disk,
        all: BTreeMap::new(),
        make: BTreeSet::new(),
        own_program: false,
    };
    open.agent();
    open.wanted(sandbox);
    let all = open.all.into_iter();
    all.filter_map(|(path, access)| (access == Access::Write).then_some(path))
        .collect()
}

/// What the jail changes in the agent's environment.
pub fn environment(jail: &Jail) -> Vec<(&'static str, String)> {
    let tmp = match jail.shape {
        Shape::Own | Shape::Bubblewrap => "/tmp".to_owned(),
        Shape::Shared => jail.scratch.to_string_lossy().into_owned(),
    };
    let mut changed = vec![("CLAUDE_CODE_TMPDIR", tmp.clone()), ("TMPDIR", tmp)];
    if let Net::Ports(_) = jail.net {
        // Names are asked for over TCP: there are no datagrams.
        changed.push(("RES_OPTIONS", "use-vc".into()));
    }
    changed
}

fn net(sandbox: &Sandbox, inmate: &Inmate<'_>, shape: Shape, kernel: &Kernel) -> Result<Net, Lack> {
    let base = inmate.environment.get("ANTHROPIC_BASE_URL");
    let model = match (inmate.model_port, base) {
        (Some(port), _) => Some((true, port)),
        (None, Some(base)) => address(base),
        (None, None) => inmate.claude.then_some((false, 443)),
    };
    match sandbox.network {
        Network::Full => Ok(Net::Full),
        Network::Ports => {
            let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
            let proxies = proxies
                .iter()
                .filter_map(|name| inmate.environment.get(*name));
            let also = proxies.filter_map(|proxy| address(proxy)).chain(model);
            let mut ports: BTreeSet<u16> = sandbox.ports.iter().copied().collect();
            ports.extend(also.map(|(_, port)| port).chain(inmate.tools_port));
            // Names.
            ports.insert(53);
            Ok(Net::Ports(ports.into_iter().collect()))
        }
        Network::None => {
            if let Some((false, _)) = model
                && shape != Shape::Bubblewrap
            {
                return Err(Lack::Model);
            }
            let model = model.map(|(_, port)| port);
            let ports: BTreeSet<u16> = model.into_iter().chain(inmate.tools_port).collect();
            if ports.is_empty() {
                return Ok(Net::Closed(None));
            }
            match (shape, &kernel.namespaces) {
                (Shape::Own, _) => Ok(Net::Closed(Some(LetIn {
                    ports: ports.into_iter().collect(),
                    socket: inmate.socket.to_owned(),
                }))),
                (Shape::Bubblewrap, _) => Err(Lack::Bubblewrap("none")),
                (Shape::Shared, why) => {
                    let why = why.as_ref().err().cloned().unwrap_or_default();
                    Err(Lack::Namespaces(why))
                }
            }
        }
    }
}

/// Whether an address is this machine's loopback, and its port.
fn address(url: &str) -> Option<(bool, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let place = authority.rsplit('@').next()?;
    let usual = if scheme == "https" { 443 } else { 80 };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (place, usual),
    };
    Some((host == "127.0.0.1" || host == "localhost", port))
}

/// What is open so far.
struct Opened<'a, D> {
    inmate: &'a Inmate<'a>,
    disk: &'a D,
    all: BTreeMap<PathBuf, Access>,
    make: BTreeSet<PathBuf>,
    own_program: bool,
}

impl<D: Disk> Opened<'_, D> {
    fn open(&mut self, path: &Path, access: Access) {
        let so_far = self.all.entry(path.to_owned()).or_insert(access);
        *so_far = access.max(*so_far);
    }

    fn each(&mut self, paths: &[PathBuf], access: Access) {
        for path in paths {
            self.open(path, access);
        }
    }

    fn system(&mut self, shape: Shape) {
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

    fn wanted(&mut self, sandbox: &Sandbox) {
        for preset in &sandbox.presets {
            self.preset(*preset);
        }
        self.each(&sandbox.read, Access::Read);
        self.each(&sandbox.write, Access::Write);
    }

    fn variable(&self, name: &str) -> Option<PathBuf> {
        let value = self.inmate.environment.get(name)?;
        Some(PathBuf::from(value)).filter(|path| path.is_absolute())
    }

    fn agent(&mut self) {
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
    fn program(&mut self) {
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

/// The most symbolic links that are followed, as the kernel does.
const LINKS: usize = 40;

/// A path, and what it leads to link by link; directories on the way are made real.
fn hops(path: &Path, disk: &impl Disk) -> Vec<PathBuf> {
    let mut hops = Vec::new();
    let mut next = path.to_owned();
    for _ in 0..LINKS {
        let (dir, name) = (next.parent(), next.file_name());
        let (Some(dir), Some(name)) = (dir, name) else {
            break;
        };
        let here = walk(dir, disk).real.join(name);
        hops.push(here.clone());
        let Some(to) = disk.link(&here) else { break };
        next = here.parent().unwrap_or(Path::new("/")).join(to);
    }
    hops
}

/// Where a path leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// The links that were met, in order: where, and what they say.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// The end, without any link.
    pub real: PathBuf,
}

/// Walks a whole path.
pub fn walk(path: &Path, disk: &impl Disk) -> Walk {
    use std::path::Component;
    let mut walk = Walk {
        links: Vec::new(),
        real: "/".into(),
    };
    let parts = |path: &Path| -> Vec<PathBuf> {
        let plain = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
        let mut plain: Vec<PathBuf> = plain.collect();
        plain.reverse();
        plain
    };
    let mut rest = parts(path);
    while let Some(part) = rest.pop() {
        if part == Path::new("..") {
            walk.real.pop();
            continue;
        }
        let here = walk.real.join(part);
        match disk.link(&here) {
            Some(to) if walk.links.len() < LINKS => {
                if to.is_absolute() {
                    walk.real = "/".into();
                }
                rest.extend(parts(&to));
                walk.links.push((here, to));
            }
            _ => walk.real = here,
        }
    }
    walk
}

#[cfg(test)]
#[path = "policy_tests.rs"]
pub(super) mod tests;
