//! Names that are unique for ever, from chance that is passed in.

use uuid::Uuid;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a short id: 12 of 62 are 71 bits.
const SHORT: usize = 12;

/// A source of names.
pub struct Ids(fastrand::Rng);

impl Ids {
    /// The same seed gives the same names; only tests fix it.
    pub fn new(seed: u64) -> Ids {
        Ids(fastrand::Rng::with_seed(seed))
    }

    /// A short name of letters and digits.
    pub fn short(&mut self) -> String {
        (0..SHORT)
            .map(|_| char::from(ALPHABET[self.0.usize(..ALPHABET.len())]))
            .collect()
    }

    /// A random UUID.
    pub fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.0.u128(..).to_be_bytes())
            .into_uuid()
            .to_string()
    }
}

/// The UUID that agents dedup a turn's prompt by: depends on the turn alone, so that every attempt
/// sends the same.
pub fn prompt_id(turn: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, turn.as_bytes()).to_string()
}
