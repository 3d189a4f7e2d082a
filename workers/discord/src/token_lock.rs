//! One process a token: two connections of one bot would hear everything twice.
//!
//! The lock is a name in Linux's abstract socket namespace, made from the token's hash. It needs no
//! directory and falls with the process. It holds on one machine, within one network namespace.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// How long a predecessor that is about to end is waited for.
const WAIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Held as long as it lives.
#[derive(Debug)]
pub(crate) struct TokenLock(#[expect(dead_code, reason = "its life is the lock")] UnixListener);

/// Takes the lock; waits a little for a process that has it.
///
/// # Errors
/// In words, if another process keeps it.
pub(crate) async fn take(token: &SecretString) -> Result<TokenLock, String> {
    let name = name(token);
    let waited = tokio::time::timeout(WAIT, async {
        loop {
            match bind(&name) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                other => return other,
            }
        }
    });
    match waited.await {
        Ok(Ok(listener)) => Ok(TokenLock(listener)),
        Ok(Err(error)) => Err(format!("cannot lock the bot token: {error}")),
        Err(_) => Err(
            "another process on this machine uses this bot token, and two would answer \
                       everything twice: end the other one (`ps` shows discord-worker), or give \
                       one of them a bot of its own"
                .into(),
        ),
    }
}

fn name(token: &SecretString) -> String {
    let hash = Sha256::digest(token.expose_secret().trim().as_bytes());
    let hex: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("bulkhead-discord-{hex}")
}

fn bind(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_process_waits_and_is_told() {
        let token: SecretString = format!("test {}", fastrand::u64(..)).into();
        let first = take(&token).await.unwrap();
        let refused = take(&token).await.unwrap_err();
        assert!(refused.contains("another process") && !refused.contains("test "));
        assert!(!name(&token).contains("test"));
        drop(first);
        take(&token).await.unwrap();
    }
}
