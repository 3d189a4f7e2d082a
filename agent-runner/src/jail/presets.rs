//! The tables: what every agent sees of the system, and what programs of a kind need beside it.
//!
//! A path that is not there is passed over. `docs/sandbox.md` lists the same.

use serde::Deserialize;

/// What every agent may read and run.
pub const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/run/current-system/sw",
    // Of /etc what tells of names, languages, trust and libraries; nothing that may hold a secret.
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/default/locale",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/rpc",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
    // How many processors there are, and how many of them are ours.
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Devices.
pub const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// What of the system's own /proc is nobody's: for a jail that has none of its own.
pub const PROC: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys",
    "/proc/uptime",
    "/proc/version",
];

/// A place that a preset opens. `~` is the agent's home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub path: &'static str,
    /// A variable of the agent's environment that says it otherwise; `path` is below it then, from
    /// its second part on.
    pub variable: Option<&'static str>,
    /// How far.
    pub open: Open,
}

/// How far a preset opens a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// To read and to run.
    Read,
    /// To write as well.
    Write,
    /// To write, and made if it is not there: a cache that would be made in the home.
    Made,
}

const fn read(path: &'static str) -> Place {
    Place {
        path,
        variable: None,
        open: Open::Read,
    }
}

const fn made(path: &'static str) -> Place {
    Place {
        path,
        variable: None,
        open: Open::Made,
    }
}

impl Place {
    const fn under(mut self, variable: &'static str) -> Place {
        self.variable = Some(variable);
        self
    }
}

/// What programs of a kind need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Git, but for keys and passwords.
    Git,
    /// rustup's toolchains and cargo's caches.
    Rust,
    /// Node under the usual version choosers, and the caches of npm, pnpm and yarn.
    Node,
    /// Python under the usual version choosers, and the caches of pip and uv.
    Python,
}

impl Preset {
    /// Every one.
    pub const ALL: [Preset; 4] = [Preset::Git, Preset::Rust, Preset::Node, Preset::Python];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Git => "git",
            Preset::Rust => "rust",
            Preset::Node => "node",
            Preset::Python => "python",
        }
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Preset> {
        Preset::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What it opens.
    pub fn places(self) -> &'static [Place] {
        const GIT: &[Place] = &[
            read("/etc/gitconfig"),
            read("~/.gitconfig"),
            read("~/.config/git/config"),
            read("~/.config/git/ignore"),
            read("~/.config/git/attributes"),
        ];
        const RUST: &[Place] = &[
            read("~/.rustup").under("RUSTUP_HOME"),
            read("~/.cargo/bin").under("CARGO_HOME"),
            read("~/.cargo/env").under("CARGO_HOME"),
            read("~/.cargo/config").under("CARGO_HOME"),
            read("~/.cargo/config.toml").under("CARGO_HOME"),
            made("~/.cargo/registry").under("CARGO_HOME"),
            made("~/.cargo/git").under("CARGO_HOME"),
        ];
        const NODE: &[Place] = &[
            read("~/.nvm").under("NVM_DIR"),
            read("~/.volta").under("VOLTA_HOME"),
            read("~/.local/share/fnm"),
            read("~/.local/share/mise"),
            read("~/.asdf"),
            read("~/.bun/bin"),
            made("~/.npm"),
            made("~/.cache/node"),
            made("~/.cache/node-gyp"),
            made("~/.cache/yarn"),
            made("~/.cache/pnpm"),
            made("~/.local/share/pnpm").under("PNPM_HOME"),
        ];
        const PYTHON: &[Place] = &[
            read("~/.pyenv").under("PYENV_ROOT"),
            read("~/.local/share/uv"),
            read("~/.local/share/mise"),
            read("~/.asdf"),
            made("~/.cache/pip").under("PIP_CACHE_DIR"),
            made("~/.cache/uv").under("UV_CACHE_DIR"),
            made("~/.cache/pypoetry"),
        ];
        match self {
            Preset::Git => GIT,
            Preset::Rust => RUST,
            Preset::Node => NODE,
            Preset::Python => PYTHON,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_preset_is_in_the_manual() {
        let manual = include_str!("../../../docs/sandbox.md");
        for preset in Preset::ALL {
            let start = format!("| `{}` |", preset.name());
            let mut rows = manual.lines().filter(|line| line.starts_with(&start));
            let row = rows.next().unwrap_or_default();
            let cells: Vec<&str> = row.split('|').collect();
            for place in preset.places() {
                // Of several in one directory the later are named without it.
                let last = place.path.rsplit('/').next().unwrap_or_default();
                let told = |cell: &&str| {
                    cell.contains(&format!("`{}`", place.path))
                        || cell.contains(&format!("`{last}`"))
                };
                let cell = match place.open {
                    Open::Read => cells.get(2),
                    Open::Write | Open::Made => cells.get(3),
                };
                assert!(cell.is_some_and(told), "{place:?} is not in {row}");
            }
            let variables = preset.places().iter().filter_map(|place| place.variable);
            for variable in variables {
                assert!(manual.contains(&format!("`{variable}`")), "{variable}");
            }
        }
    }
}
