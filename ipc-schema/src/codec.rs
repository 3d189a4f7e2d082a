//! Frames: a big-endian `u32` length, then that many bytes of one MessagePack map.
//!
//! [`Decoder`] is fed whatever the socket gave and yields whole envelopes. It holds at most one
//! frame and what was fed beside it, and never allocates for a length that it has not checked.

use serde::Deserialize as _;

use crate::Envelope;

/// The largest payload of a frame, in bytes, without the length itself.
pub const MAX_FRAME: usize = 256 * 1024;

const LENGTH: usize = 4;

/// Why bytes are not a frame. After any of these the stream is out of step: close the link.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The declared length is over [`MAX_FRAME`].
    #[error("a frame of {0} bytes is over the limit of {MAX_FRAME}")]
    TooLong(usize),
    /// A frame of length 0.
    #[error("an empty frame")]
    Empty,
    /// The payload is not an envelope.
    ///
    /// Only a category: the codec's own words would quote what somebody wrote.
    #[error("not an envelope: {0}")]
    Malformed(&'static str),
    /// Bytes are left over behind the envelope.
    #[error("{0} bytes behind the envelope")]
    Trailing(usize),
    /// The envelope cannot be written; only its maker can be at fault.
    #[error("cannot be written: {0}")]
    Unwritable(#[from] rmp_serde::encode::Error),
}

/// Writes one envelope as a frame, its length included.
///
/// # Errors
/// [`FrameError::TooLong`] if it does not fit; [`FrameError::Unwritable`] never in practice.
pub fn encode(envelope: &Envelope) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; LENGTH];
    rmp_serde::encode::write_named(&mut frame, envelope)?;
    let length = frame.len() - LENGTH;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    // Fits: MAX_FRAME is far below u32::MAX.
    frame[..LENGTH].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame)
}

/// Cuts a stream of bytes into envelopes.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How much of `bytes` has been given out; compacted when more is fed.
    taken: usize,
}

impl Decoder {
    /// Adds what was read from the stream.
    pub fn feed(&mut self, more: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// The next whole envelope, or `None` until more is fed.
    ///
    /// # Errors
    /// Any [`FrameError`]; the decoder is of no further use then.
    #[expect(
        clippy::should_implement_trait,
        reason = "an error ends it, and a wait does not"
    )]
    pub fn next(&mut self) -> Result<Option<Envelope>, FrameError> {
        let rest = &self.bytes[self.taken..];
        let Some((head, rest)) = rest.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        match length {
            0 => return Err(FrameError::Empty),
            1..=MAX_FRAME => {}
            _ => return Err(FrameError::TooLong(length)),
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let envelope = decode(payload)?;
        self.taken += LENGTH + length;
        Ok(Some(envelope))
    }

    /// Whether a frame has begun and not ended: an end of the stream here cuts it in half.
    pub fn in_mid_frame(&self) -> bool {
        self.taken < self.bytes.len()
    }
}

fn decode(payload: &[u8]) -> Result<Envelope, FrameError> {
    let mut rest = payload;
    let envelope = Envelope::deserialize(&mut rmp_serde::Deserializer::new(&mut rest))
        .map_err(|error| FrameError::Malformed(category(&error)))?;
    match rest.len() {
        0 => Ok(envelope),
        left => Err(FrameError::Trailing(left)),
    }
}

/// What is wrong with a payload, without a word of what is in it.
fn category(error: &rmp_serde::decode::Error) -> &'static str {
    use rmp_serde::decode::Error;
    match error {
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => "it is cut short",
        Error::TypeMismatch(_) | Error::OutOfRange | Error::LengthMismatch(_) => {
            "a value is of another type or size than its field"
        }
        Error::Utf8Error(_) => "a text is not UTF-8",
        Error::DepthLimitExceeded => "it is nested too deeply",
        _ => "a field is missing or not of its kind",
    }
}
