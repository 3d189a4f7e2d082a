//! Secrets: where one comes from, how it is read, and that nothing shows it.
//!
//! Promises: `Debug` of a [`Secret`] prints its source, never its value; no error text holds one.
//! Files are read with a bound, and one trailing newline (which every editor adds) is taken off.
//! Does not: watch for change; a reload reads again.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

/// The longest secret that is read from a file, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// Whether a check reads secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretMode {
    /// Environment, files and credentials that hold secrets are not touched; the plan carries their
    /// sources. For a check without privilege. A variable in another text that is not set is a
    /// warning then, and the plan, which is good to look at only, has that text empty.
    Placeholders,
    /// Every secret is read, and one that can't be is an error.
    Resolve,
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A text with `${VAR}` in it, as it stands in the config.
    Env(String),
    /// `{ file = "…" }`.
    File(PathBuf),
    /// `{ credential = "…" }`: a name in systemd's credentials directory.
    Credential(String),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(_) => f.write_str("an environment variable"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Credential(name) => write!(f, "the credential {name}"),
        }
    }
}

/// A secret of the config. Two are equal if their values are or, unread, their sources.
#[derive(Clone)]
pub enum Secret {
    /// Its value.
    Resolved(SecretString),
    /// Not read: the check ran with [`SecretMode::Placeholders`].
    Unresolved(SecretSource),
}

impl Secret {
    /// The value, or the source of one that was not read.
    ///
    /// # Errors
    /// The source, where the plan was made with [`SecretMode::Placeholders`].
    pub fn value(&self) -> Result<&SecretString, &SecretSource> {
        match self {
            Self::Resolved(value) => Ok(value),
            Self::Unresolved(source) => Err(source),
        }
    }

    /// The value to look at, where there is one.
    pub(crate) fn exposed(&self) -> Option<&str> {
        self.value().ok().map(ExposeSecret::expose_secret)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Resolved(a), Self::Resolved(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Unresolved(a), Self::Unresolved(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolved(_) => f.write_str("Secret(…)"),
            Self::Unresolved(SecretSource::Env(_)) => f.write_str("Secret(from the environment)"),
            Self::Unresolved(source) => write!(f, "Secret(from {source})"),
        }
    }
}

/// Whether a key's name says that its value is a secret. Only for keys that the schema doesn't know.
pub(crate) fn looks_secret(key: &str) -> bool {
    const SAYS_SECRET: [&str; 8] = [
        "token",
        "secret",
        "password",
        "passwd",
        "api_key",
        "apikey",
        "access_key",
        "private_key",
    ];
    const SAYS_PLACE: [&str; 6] = ["_endpoint", "_url", "_file", "_path", "_env", "_name"];
    let key = key.to_ascii_lowercase().replace('-', "_");
    SAYS_SECRET.iter().any(|part| key.contains(part))
        && !SAYS_PLACE.iter().any(|end| key.ends_with(end))
}

/// A secret read from a file.
pub(crate) struct SecretFile {
    pub(crate) value: SecretString,
    /// Every user of the machine can read it.
    pub(crate) world_readable: bool,
}

/// Reads a secret file; the error says what is wrong and what to do, without the content.
pub(crate) fn read(path: &Path) -> Result<SecretFile, String> {
    let shown = path.display();
    let cannot = |err: std::io::Error| {
        let what = match err.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            _ => err.to_string(),
        };
        format!("cannot read the secret from {shown}: {what}")
    };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    let meta = std::fs::metadata(path).map_err(cannot)?;
    if !meta.is_file() {
        return Err(format!(
            "{shown} is not a file; put the secret alone into a file"
        ));
    }
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path)
        .map_err(cannot)?
        .take(MAX_SECRET + 1);
    file.read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err(format!(
            "{shown} is larger than 64 KiB: that is no secret; is it the right file?"
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("{shown} is not UTF-8 text; is it the right file?"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(format!("{shown} is empty; put the secret into it"));
    }
    Ok(SecretFile {
        value: text.into(),
        world_readable: meta.permissions().mode() & 0o004 != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_trimmed_of_one_newline_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let put = |text: &[u8]| {
            let path = dir.path().join("s");
            std::fs::write(&path, text).unwrap();
            read(&path).map(|read| read.value.expose_secret().to_owned())
        };
        assert_eq!(put(b"abc\n").unwrap(), "abc");
        assert_eq!(put(b"abc\r\n").unwrap(), "abc");
        assert_eq!(put(b"abc\n\n").unwrap(), "abc\n");
        assert_eq!(put(b" abc ").unwrap(), " abc ");
        assert!(put(b"\n").unwrap_err().contains("is empty"));
        assert!(put(b"").unwrap_err().contains("is empty"));
        assert!(put(&vec![b'x'; 70_000]).unwrap_err().contains("64 KiB"));
        let err = put(b"hunter2\xff").unwrap_err();
        assert!(err.contains("UTF-8") && !err.contains("hunter2"), "{err}");
        assert!(
            read(&dir.path().join("none"))
                .err()
                .unwrap()
                .contains("no such file")
        );
        assert!(read(dir.path()).err().unwrap().contains("not a file"));
    }

    #[test]
    fn debug_never_shows_a_value() {
        let secret = Secret::Resolved("hunter2".into());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let unread = Secret::Unresolved(SecretSource::Env("x-${VAR}".into()));
        assert!(!format!("{unread:?}").contains("x-"));
    }

    #[test]
    fn names_that_say_secret() {
        for name in [
            "token",
            "APP_SECRET",
            "api-key",
            "proxy_password",
            "ANTHROPIC_AUTH_TOKEN",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["token_endpoint", "port", "allow_from", "token_file"] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
