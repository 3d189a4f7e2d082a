//! Where the hub is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The value of `--link`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkAddress {
    /// `unix:PATH`, a Unix socket.
    Unix(PathBuf),
}

/// Not a link address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no link address; write unix:PATH, with the path of the hub's socket")]
pub struct BadAddress(String);

impl FromStr for LinkAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<LinkAddress, BadAddress> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(LinkAddress::Unix(path.into())),
            _ => Err(BadAddress(text.into())),
        }
    }
}

impl fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LinkAddress::Unix(path) = self;
        write!(f, "unix:{}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_says_what_is_wrong() {
        let address: LinkAddress = "unix:/run/x.sock".parse().unwrap();
        assert_eq!(address.to_string(), "unix:/run/x.sock");
        for wrong in ["", "unix:", "/run/x.sock", "tls://h:1"] {
            assert!(
                wrong
                    .parse::<LinkAddress>()
                    .unwrap_err()
                    .to_string()
                    .contains("unix:PATH")
            );
        }
    }
}
