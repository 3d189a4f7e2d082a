//! What the operator wrote, turned into a [`Jail`]: pure, given a look at the disk and what the
//! kernel has.
//!
//! Promises: what is asked for and cannot be had is a [`Lack`] in words, never less of a jail; no link
//! that an agent can write leads a grant elsewhere ([`places`]). What is granted beside, `opened` says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::disk::{Disk, Walk, walk};
use super::opened::Opened;
use super::options::{Mode, Network, Sandbox};
use super::{Access, Grant, Jail, LetIn, Limits, Net, Shape};

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
        "this kernel {}; the agent's sandbox needs interface {needs} (Linux {}) for {what}. Use a newer kernel; without tools_only also mode = \"bubblewrap\", or  sandbox = \"off\"  in [projects.agent] to run the agent without a sandbox",
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
        "this kernel filters no system calls (CONFIG_SECCOMP_FILTER), and the agent's sandbox needs that. Use another kernel; without tools_only also  sandbox = \"off\"  in [projects.agent] to run the agent without a sandbox"
    )]
    Seccomp,
    /// Namespaces are refused.
    #[error(
        "the sandbox's network = \"none\", which an agent with tools_only always has, needs user namespaces, and this system refuses them ({0}). Allow them (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns); without tools_only also network = \"ports\""
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

/// As [`shape`], for an agent that is `served`: by its model, or by the runner's tools. Where it has no
/// network, only namespaces of ours lead it there.
///
/// # Errors
/// What it lacks.
pub fn shape_for(served: bool, sandbox: &Sandbox, kernel: &Kernel) -> Result<Shape, Lack> {
    let shape = shape(sandbox, kernel)?;
    if served && sandbox.network == Network::None {
        way_in(shape, kernel)?;
    }
    Ok(shape)
}

/// Whether what serves on the loopback outside can be let in.
fn way_in(shape: Shape, kernel: &Kernel) -> Result<(), Lack> {
    match shape {
        Shape::Own => Ok(()),
        Shape::Bubblewrap => Err(Lack::Bubblewrap("none")),
        Shape::Shared => {
            let why = kernel.namespaces.as_ref().err();
            Err(Lack::Namespaces(why.cloned().unwrap_or_default()))
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
    let mut open = Opened::new(inmate, disk);
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

pub(super) fn lies_in(path: &Path, dirs: &[PathBuf]) -> bool {
    dirs.iter().any(|dir| path.starts_with(dir))
}

/// What an agent may write in whatever jail it comes to, its directory for temporary files left out.
pub fn writable(sandbox: &Sandbox, inmate: &Inmate<'_>, disk: &impl Disk) -> Vec<PathBuf> {
    let mut open = Opened::new(inmate, disk);
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
            way_in(shape, kernel)?;
            Ok(Net::Closed(Some(LetIn {
                ports: ports.into_iter().collect(),
                socket: inmate.socket.to_owned(),
            })))
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

#[cfg(test)]
#[path = "policy_tests.rs"]
pub(super) mod tests;
