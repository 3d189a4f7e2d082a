//! The proof that a peer was started by the same monitor as the hub.
//!
//! The monitor makes a random secret a peer and gives it to the hub. Each spawn of the peer gets a
//! key derived from that secret and the spawn's generation, so the hub can check a key that it has
//! never been told, and a key that leaked from a dead process opens nothing: the hub takes no
//! generation older than the newest it has seen.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What a peer shows. Not printed by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkKey(#[serde(with = "serde_bytes")] pub Vec<u8>);

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkKey(…)")
    }
}

/// What the hub holds, one a peer.
#[derive(Clone)]
pub struct LinkSecret([u8; 32]);

impl std::fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSecret(…)")
    }
}

impl LinkSecret {
    /// Wraps 32 random bytes.
    pub fn new(random: [u8; 32]) -> LinkSecret {
        LinkSecret(random)
    }

    /// The key of the peer's spawn number `generation`.
    pub fn key(&self, peer: &str, generation: u64) -> LinkKey {
        LinkKey(self.mac(peer, generation).finalize().into_bytes().to_vec())
    }

    /// Whether `key` is that key; takes the same time whatever it is.
    pub fn proves(&self, peer: &str, generation: u64, key: &LinkKey) -> bool {
        self.mac(peer, generation).verify_slice(&key.0).is_ok()
    }

    fn mac(&self, peer: &str, generation: u64) -> Hmac<Sha256> {
        // The peer's name is last and of free length; everything before it is fixed.
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any key length");
        mac.update(b"bulkhead link 1");
        mac.update(&generation.to_be_bytes());
        mac.update(peer.as_bytes());
        mac
    }
}
