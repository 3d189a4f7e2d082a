//! The jail of each agent that a runner starts: decided anew for every start, since what is on the
//! disk changes, and prepared on the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipc_schema::{Fault, Trouble};

use crate::jail::kernel::{self, System};
use crate::jail::options::{Mode, Network, Sandbox};
use crate::jail::passage::Passage;
use crate::jail::policy::{self, Inmate, Kernel, Lack};
use crate::jail::{Jail, Net};
use crate::options::{AgentKind, Options};
use crate::process::scratch::{self, make};
use crate::workspace::Beside;

/// How the runner jails its agents.
#[derive(Debug, Clone)]
pub struct Cage {
    sandbox: Arc<Sandbox>,
    kernel: Kernel,
    claude: bool,
    plugins: Vec<PathBuf>,
    /// Directories of the agent's own below its home.
    homes: Vec<String>,
    /// Where agents of the project write, this one or others.
    owned: Vec<PathBuf>,
    state_dir: PathBuf,
    /// Where the agents' directories for temporary files are.
    scratches: PathBuf,
}

/// Ports of 127.0.0.1 on which the runner serves an agent: they must be in its reach, whatever else is
/// not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    /// The way to its model.
    pub model: Option<u16>,
    /// The tools.
    pub tools: Option<u16>,
}

/// A jail that is ready for one start.
#[derive(Debug)]
pub struct Ready {
    /// The jail.
    pub jail: Jail,
    /// It, as the launcher reads it.
    pub told: String,
    /// The way to what the runner serves, if it needs one.
    pub passage: Option<Passage>,
}

impl Cage {
    /// Looks at what the kernel has. Blocks for some milliseconds. None = there is to be no jail.
    /// `scratches` is made, for the agents' directories for temporary files.
    ///
    /// # Errors
    /// What is missing, in words for the operator.
    pub fn new(options: &Options, scratches: &Path) -> Result<Option<Cage>, String> {
        let sandbox = options.confinement();
        if sandbox.mode == Mode::Off {
            return Ok(None);
        }
        make(scratches).map_err(|error| {
            format!(
                "cannot make {} for the agents' sandbox: {error}",
                scratches.display()
            )
        })?;
        let kernel = kernel::look(sandbox.mode, scratches);
        let served = options.kind.is_served();
        policy::shape_for(served, &sandbox, &kernel).map_err(|lack| lack.to_string())?;
        Ok(Some(Cage {
            sandbox: Arc::new(sandbox),
            kernel,
            claude: options.kind == AgentKind::ClaudeCode,
            plugins: options.plugin_dirs.iter().map(PathBuf::from).collect(),
            homes: options.home_dirs.clone(),
            owned: [Some(&options.work_dir), options.volume.as_ref()]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            state_dir: options.state_dir.clone(),
            scratches: scratches.to_owned(),
        }))
    }

    /// The same for git, which the runner itself calls: without a network, limits or anything that
    /// only agents need.
    pub fn for_git(&self) -> Cage {
        let sandbox = Sandbox {
            mode: self.sandbox.mode,
            network: Network::None,
            read: self.sandbox.read.clone(),
            write: self.sandbox.write.clone(),
            ..Sandbox::default()
        };
        Cage {
            sandbox: Arc::new(sandbox),
            claude: false,
            plugins: Vec::new(),
            homes: Vec::new(),
            ..self.clone()
        }
    }

    /// In few words, for `status`.
    pub fn describe(&self) -> &'static str {
        match (self.sandbox.mode, &self.kernel.namespaces) {
            (Mode::Bubblewrap, _) => "bubblewrap",
            (_, Ok(())) => "landlock, namespaces",
            (_, Err(_)) => "landlock, no namespaces",
        }
    }

    /// What of the network is left, for `status`.
    pub fn network(&self) -> &'static str {
        self.sandbox.network.name()
    }

    /// Why there are no namespaces, if there are none.
    pub fn no_namespaces(&self) -> Option<&str> {
        let landlock = self.sandbox.mode == Mode::Landlock;
        let why = self.kernel.namespaces.as_ref().err().filter(|_| landlock);
        why.map(String::as_str)
    }

    /// A jail for one start of `program`, with an empty /tmp of its own, for the caller to remove when
    /// the agent is gone; its socket is named after `mark`. What it changes in the environment is
    /// changed.
    ///
    /// # Errors
    /// A fault in words for the person who sent the message.
    pub fn prepare(
        &self,
        program: &Path,
        work_dir: &Path,
        environment: &mut BTreeMap<String, String>,
        mark: &str,
        served: Served,
        beside: &Beside,
    ) -> Result<Ready, Fault> {
        let fault = |detail: String| Fault::Runner {
            at: Trouble::Sandbox,
            detail,
        };
        let name = mark.rsplit('/').next().unwrap_or(mark);
        let scratch = scratch::new(&self.scratches);
        let short: String = name.chars().take(8).collect();
        let socket = self.scratches.join(format!("{short}.way"));
        let home = environment.get("HOME").map(PathBuf::from);
        let below = |home: PathBuf| self.homes.iter().map(move |dir| home.join(dir));
        let homes: Vec<PathBuf> = home.into_iter().flat_map(below).collect();
        for dir in &homes {
            if let Err(error) = make(dir) {
                tracing::warn!(dir = %dir.display(), %error, "a directory for the agent cannot be made");
            }
        }
        let read = [self.plugins.as_slice(), &beside.read].concat();
        let write = [homes.as_slice(), &beside.write].concat();
        let inmate = Inmate {
            program,
            work_dir,
            environment,
            claude: self.claude,
            model_port: served.model,
            tools_port: served.tools,
            read: &read,
            write: &write,
            owned: &self.owned,
            state_dir: &self.state_dir,
            scratch: &scratch,
            socket: &socket,
        };
        let decided = policy::decide(&self.sandbox, &inmate, &self.kernel, &System);
        let decided = decided.map_err(|lack: Lack| fault(lack.to_string()))?;
        let (jail, dirs) = (decided.jail, decided.make);
        if decided.own_program {
            tracing::warn!(
                program = %program.display(),
                "the agent can change its own program, so nothing was opened for what interprets \
                 it; grant that with `read` in [projects.agent.sandbox] if it does not start"
            );
        }
        make(&scratch).map_err(|error| fault(format!("{}: {error}", scratch.display())))?;
        for dir in dirs {
            if let Err(error) = make(&dir) {
                tracing::warn!(dir = %dir.display(), %error, "a directory for the agent cannot be made");
            }
        }
        let passage = match &jail.net {
            Net::Closed(Some(let_in)) => {
                let passage = Passage::open(let_in);
                Some(passage.map_err(|error| fault(format!("{}: {error}", socket.display())))?)
            }
            _ => None,
        };
        let told = serde_json::to_string(&jail).map_err(|error| fault(error.to_string()))?;
        for (name, value) in policy::environment(&jail) {
            environment.insert(name.to_owned(), value);
        }
        Ok(Ready {
            jail,
            told,
            passage,
        })
    }
}
