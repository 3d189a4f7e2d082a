//! Flow control: a receiver grants data frames, a sender spends them.
//!
//! A credit is one frame, whatever its size; frames are bounded, so memory is. Kinds that cost
//! none are told by [`crate::Body::costs_credit`].

use serde::{Deserialize, Serialize};

/// How many data frames a receiver lets a peer have under way.
pub const CREDIT_WINDOW: u32 = 64;

/// Either way: `frames` more data frames may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Credit {
    /// Added to what is left.
    pub frames: u32,
}

/// The sender's side.
#[derive(Debug, Default)]
pub struct Allowance(u32);

impl Allowance {
    /// Starts with what the other side granted at the handshake.
    pub fn new(frames: u32) -> Allowance {
        Allowance(frames)
    }

    /// Spends one frame; `false` = wait for a [`Credit`].
    #[must_use]
    pub fn spend(&mut self) -> bool {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }

    /// Whether a frame could be sent.
    pub fn any(&self) -> bool {
        self.0 > 0
    }

    /// Takes a grant; never overflows, whatever the peer says.
    pub fn grant(&mut self, credit: Credit) {
        self.0 = self.0.saturating_add(credit.frames);
    }
}

/// The receiver's side: counts what came and says when to grant more.
#[derive(Debug)]
pub struct Grant {
    outstanding: u32,
    used: u32,
}

/// The peer sent more than it was granted: close the link.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the peer sent more data frames than it was granted")]
pub struct Overdrawn;

impl Default for Grant {
    fn default() -> Grant {
        Grant {
            outstanding: CREDIT_WINDOW,
            used: 0,
        }
    }
}

impl Grant {
    /// A data frame came in.
    ///
    /// # Errors
    /// [`Overdrawn`] if none was left.
    pub fn received(&mut self) -> Result<(), Overdrawn> {
        self.outstanding = self.outstanding.checked_sub(1).ok_or(Overdrawn)?;
        Ok(())
    }

    /// A data frame has been dealt with; the credit to send back, in lots of half a window so that
    /// grants stay rare.
    #[must_use]
    pub fn finished(&mut self) -> Option<Credit> {
        self.used += 1;
        if self.used < CREDIT_WINDOW / 2 {
            return None;
        }
        let frames = std::mem::take(&mut self.used);
        self.outstanding += frames;
        Some(Credit { frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_was_granted_is_noticed() {
        let mut grant = Grant::default();
        for _ in 0..CREDIT_WINDOW {
            assert_eq!(grant.received(), Ok(()));
        }
        assert_eq!(grant.received(), Err(Overdrawn));
    }

    #[test]
    fn what_is_dealt_with_is_granted_anew_in_lots() {
        let (mut grant, mut allowance) = (Grant::default(), Allowance::new(CREDIT_WINDOW));
        let mut grants = 0;
        for _ in 0..10 * CREDIT_WINDOW {
            assert!(allowance.spend());
            assert_eq!(grant.received(), Ok(()));
            if let Some(credit) = grant.finished() {
                allowance.grant(credit);
                grants += 1;
            }
        }
        assert_eq!(grants, 20);
    }

    #[test]
    fn a_grant_never_overflows() {
        let mut allowance = Allowance::new(u32::MAX);
        allowance.grant(Credit { frames: u32::MAX });
        assert!(allowance.any() && allowance.spend());
    }
}
