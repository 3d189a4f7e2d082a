//! `[projects.agent.sandbox]`, as the monitor hands it over.
//!
//! Without any of it there is a sandbox: only `off`, written out, leaves it away.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use worker_kit::options::{Kind, OptionProblem, check_keys};

use super::presets::Preset;

/// How the jail is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Landlock and a filter of system calls, in namespaces of its own where the system lets.
    #[default]
    Landlock,
    /// The program bubblewrap.
    Bubblewrap,
    /// Not at all.
    Off,
}

/// What of the network is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// All of it.
    #[default]
    Full,
    /// TCP to some ports.
    Ports,
    /// The model on this machine's loopback, and else nothing.
    None,
}

impl Network {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Network::Full => "full",
            Network::Ports => "ports",
            Network::None => "none",
        }
    }
}

/// What the operator wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// How it is built.
    pub mode: Mode,
    /// The network.
    pub network: Network,
    /// With [`Network::Ports`]: which, beside that of the model.
    pub ports: Vec<u16>,
    /// What more may be read and run; whole paths.
    pub read: Vec<PathBuf>,
    /// What more may be written; whole paths.
    pub write: Vec<PathBuf>,
    /// What programs of a kind need.
    pub presets: Vec<Preset>,
    /// The data of each process at most, MiB.
    pub memory_mb: Option<u64>,
    /// Processes and threads at most.
    pub processes: Option<u64>,
    /// Open files of each process at most.
    pub open_files: Option<u64>,
}

impl Sandbox {
    /// There is none.
    pub fn off() -> Sandbox {
        Sandbox {
            mode: Mode::Off,
            ..Sandbox::default()
        }
    }
}

/// The word `off`, or a table.
///
/// # Errors
/// If it is neither.
pub fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Sandbox, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Word(Word),
        Table(Sandbox),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Off,
    }
    Ok(match Written::deserialize(from)? {
        Written::Word(Word::Off) => Sandbox::off(),
        Written::Table(sandbox) => sandbox,
    })
}

const KEYS: [(&str, Kind); 9] = [
    ("mode", Kind::Text),
    ("network", Kind::Text),
    ("ports", Kind::Table(&[])),
    ("read", Kind::Texts),
    ("write", Kind::Texts),
    ("presets", Kind::Texts),
    ("memory_mb", Kind::Number(64, 1 << 24)),
    ("processes", Kind::Number(8, 1 << 22)),
    ("open_files", Kind::Number(64, 1 << 20)),
];

/// Every problem of it, with keys below `sandbox`.
pub fn check(sandbox: &Value) -> Vec<OptionProblem> {
    if sandbox == "off" {
        return Vec::new();
    }
    let mut known = sandbox.clone();
    let Value::Object(fields) = &mut known else {
        let words = "is \"off\" or a table";
        return vec![OptionProblem::new("sandbox", words)];
    };
    // Numbers in a list are no kind of the table of keys.
    let ports = fields.remove("ports").unwrap_or_default();
    let mut problems: Vec<OptionProblem> = check_keys(&known, &KEYS)
        .into_iter()
        .map(|wrong| OptionProblem::new(format!("sandbox.{}", wrong.key), wrong.problem))
        .collect();
    let port = |port: &Value| {
        port.as_u64()
            .is_some_and(|port| (1..=65535).contains(&port))
    };
    if !ports.is_null() && !ports.as_array().is_some_and(|all| all.iter().all(port)) {
        let words = "is a list of ports, 1 to 65535";
        problems.push(OptionProblem::new("sandbox.ports", words));
    }
    let words = |key: &str| -> Vec<&str> {
        let all = known[key].as_array().map(Vec::as_slice);
        all.unwrap_or_default()
            .iter()
            .filter_map(Value::as_str)
            .collect()
    };
    let one_of = |key: &str, all: &[&str]| {
        known[key]
            .as_str()
            .is_some_and(|word| !all.contains(&word))
            .then(|| {
                let words = format!("is one of {}", all.join(", "));
                OptionProblem::new(format!("sandbox.{key}"), words)
            })
    };
    problems.extend(one_of("mode", &["landlock", "bubblewrap"]));
    problems.extend(one_of("network", &["full", "ports", "none"]));
    if words("presets")
        .iter()
        .any(|name| Preset::named(name).is_none())
    {
        let words = format!("are among {}", Preset::ALL.map(Preset::name).join(", "));
        problems.push(OptionProblem::new("sandbox.presets", words));
    }
    for key in ["read", "write"] {
        if words(key).iter().any(|path| !path.starts_with('/')) {
            let words = "are whole paths, from / on";
            problems.push(OptionProblem::new(format!("sandbox.{key}"), words));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        #[serde(default, deserialize_with = "read")]
        sandbox: Sandbox,
    }

    #[test]
    fn there_is_a_sandbox_unless_off_is_written() {
        let of = |value: Value| serde_json::from_value::<Holder>(value).unwrap().sandbox;
        assert_eq!(of(json!({})).mode, Mode::Landlock);
        assert_eq!(of(json!({"sandbox": {}})).mode, Mode::Landlock);
        assert_eq!(of(json!({"sandbox": "off"})).mode, Mode::Off);
        let some = of(json!({"sandbox": {"mode": "bubblewrap", "presets": ["git"], "ports": [1]}}));
        assert_eq!(
            (some.mode, some.presets),
            (Mode::Bubblewrap, vec![Preset::Git])
        );
        assert!(serde_json::from_value::<Holder>(json!({"sandbox": "on"})).is_err());
    }

    #[test]
    fn every_problem_is_told_with_its_key() {
        assert!(check(&json!("off")).is_empty() && check(&json!({})).is_empty());
        let told: Vec<String> = check(&json!({
            "mode": "off", "network": "lan", "ports": [0], "read": ["x"], "write": ["w"],
            "presets": ["go"], "memory_mb": 1, "modus": 1,
        }))
        .iter()
        .map(ToString::to_string)
        .collect();
        let told = told.join("\n");
        for key in [
            "mode",
            "network",
            "ports",
            "read",
            "write",
            "presets",
            "memory_mb",
            "modus",
        ] {
            assert!(
                told.contains(&format!("sandbox.{key}:")),
                "{key} in\n{told}"
            );
        }
        assert_eq!(check(&json!("on")).len(), 1);
    }
}
