//! What a spawn is given: its configuration.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use ipc_schema::LinkKey;
use serde::Deserialize;
use serde_json::Value;

use super::Stop;

/// The largest configuration, in bytes.
const LARGEST: u64 = 1 << 20;

/// What the `config` descriptor (or `--config-file`) holds, as one JSON object.
///
/// Options hold secrets: nothing here has a `Debug` that shows them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spawned {
    /// Which of its kind.
    pub instance: String,
    /// Counts the spawns of this peer.
    #[serde(default)]
    pub generation: u64,
    /// The key that goes with the generation, 64 hex digits.
    #[serde(deserialize_with = "key")]
    pub link_key: LinkKey,
    /// The peer's own options, secrets included.
    #[serde(default)]
    pub options: Value,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[serde(default = "info")]
    pub log_level: String,
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Spawned({} generation {})",
            self.instance, self.generation
        )
    }
}

fn info() -> String {
    "info".into()
}

fn key<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<LinkKey, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes: Option<Vec<u8>> = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect();
    match bytes {
        Some(bytes) if bytes.len() == 32 => Ok(LinkKey(bytes)),
        _ => Err(serde::de::Error::custom("a link key has 64 hex digits")),
    }
}

impl Spawned {
    /// Reads it from the file that was named, else from the inherited descriptor.
    pub(crate) fn read(
        named: Option<&Path>,
        inherited: &mut HashMap<String, File>,
    ) -> Result<Spawned, Stop> {
        let file = match named {
            Some(path) => File::open(path).map_err(|error| {
                Stop::Config(format!(
                    "cannot read the configuration {}: {error}",
                    path.display()
                ))
            })?,
            None => inherited.remove("config").ok_or_else(|| {
                Stop::Config(
                    "there is no configuration: bulkhead hands it over on an inherited descriptor \
                     named `config`; by hand, name a file with --config-file"
                        .into(),
                )
            })?,
        };
        let mut text = String::new();
        let read = file.take(LARGEST + 1).read_to_string(&mut text);
        read.map_err(|error| Stop::Config(format!("cannot read the configuration: {error}")))?;
        if text.len() as u64 > LARGEST {
            return Err(Stop::Config(format!(
                "the configuration is over {LARGEST} bytes"
            )));
        }
        Spawned::parse(&text)
    }

    fn parse(text: &str) -> Result<Spawned, Stop> {
        // serde's own words may quote a value, which may be a secret: only the place is told.
        serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Stop::Config(format!(
                "the configuration is no JSON object with `instance`, `generation`, `link_key` \
                 (64 hex digits), `options` and `log_level` (line {line}, column {column})"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_configuration_and_quotes_nothing_of_a_bad_one() {
        let key = "ab".repeat(32);
        let good = format!(
            r#"{{"instance":"main","generation":3,"link_key":"{key}","options":{{"token":"canary"}}}}"#
        );
        let spawned = Spawned::parse(&good).unwrap();
        assert_eq!(
            (spawned.generation, spawned.link_key.0.clone()),
            (3, vec![0xab; 32])
        );
        assert!(!format!("{spawned:?}").contains("canary"));
        for bad in [
            good.replace("ab", "zz"),
            good.replace(&key, "abc"),
            good.replace("\"main\"", "{\"canary\":1}"),
            good.replace("generation", "canary"),
            String::new(),
        ] {
            let stop = Spawned::parse(&bad).unwrap_err();
            assert_eq!(stop.code(), 78);
            assert!(!stop.to_string().contains("canary"), "{stop}");
        }
    }
}
