//! An agent's output: lines with a bound, and the end of stderr.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A longer line is passed over.
pub const LINE_BYTES: usize = 16 << 20;
/// What is kept of stderr.
pub const TAIL_BYTES: usize = 2048;
/// A buffer that a long line has made larger than this is given back.
const KEPT_BYTES: usize = 1 << 20;
const CHUNK: usize = 64 << 10;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A line, without its end; bytes that are no UTF-8 are replaced.
    Line(String),
    /// A line that was too long was passed over.
    Overlong,
}

/// Cuts a stream into lines.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    /// Read, and not given out; searched for an end up to `searched`.
    bytes: Vec<u8>,
    searched: usize,
    /// The longest line, bytes.
    most: usize,
    /// In the midst of a line that is too long.
    skips: bool,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of up to [`LINE_BYTES`] from there.
    pub fn new(from: R) -> Lines<R> {
        Lines::bounded(from, LINE_BYTES)
    }

    /// Reads lines of up to `most` bytes from there.
    pub fn bounded(from: R, most: usize) -> Lines<R> {
        Lines {
            from,
            most,
            bytes: Vec::new(),
            searched: 0,
            skips: false,
            ended: false,
        }
    }

    /// From here on lines may have up to `most` bytes.
    pub fn set_bound(&mut self, most: usize) {
        self.most = most;
    }

    /// The next line; `None` at the end. Safe to drop in mid-wait.
    ///
    /// # Errors
    /// What reading gives.
    pub async fn next(&mut self) -> io::Result<Option<Read>> {
        loop {
            let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                let line = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
                self.bytes.drain(..=end);
                self.searched = 0;
                if self.bytes.capacity() > KEPT_BYTES && self.bytes.len() < CHUNK {
                    self.bytes.shrink_to(CHUNK);
                }
                return Ok(Some(match std::mem::take(&mut self.skips) {
                    true => Read::Overlong,
                    false => Read::Line(line),
                }));
            }
            self.searched = self.bytes.len();
            if self.searched > self.most {
                self.skips = true;
            }
            if self.skips {
                self.bytes = Vec::new();
                self.searched = 0;
            }
            if self.ended {
                let rest = std::mem::take(&mut self.bytes);
                self.searched = 0;
                return Ok(match (std::mem::take(&mut self.skips), rest.is_empty()) {
                    (true, _) => Some(Read::Overlong),
                    (false, true) => None,
                    // The last line need not be ended.
                    (false, false) => Some(Read::Line(String::from_utf8_lossy(&rest).into_owned())),
                });
            }
            self.bytes.reserve(CHUNK);
            self.ended = self.from.read_buf(&mut self.bytes).await? == 0;
        }
    }
}

/// Adds to `tail` and keeps the last [`TAIL_BYTES`] of it.
pub fn keep_tail(tail: &mut Vec<u8>, more: &[u8]) {
    tail.extend_from_slice(more);
    let over = tail.len().saturating_sub(TAIL_BYTES);
    tail.drain(..over);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(bytes: &[u8]) -> Vec<Read> {
        let mut lines = Lines::new(bytes);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn line(text: &str) -> Read {
        Read::Line(text.into())
    }

    #[tokio::test]
    async fn lines_come_whole() {
        assert_eq!(
            all(b"a\n\nbc\n\xff").await,
            [line("a"), line(""), line("bc"), line("\u{fffd}")]
        );
        assert_eq!(all(b"").await, []);
    }

    // pitfall: lines of 16 MB and more
    #[tokio::test]
    async fn a_line_without_end_is_passed_over_and_not_kept() {
        let mut bytes = vec![b'x'; LINE_BYTES * 2];
        bytes.extend(b"\nnext\n");
        assert_eq!(all(&bytes).await, [Read::Overlong, line("next")]);
        let endless = vec![b'x'; LINE_BYTES * 2];
        let mut lines = Lines::new(&endless[..]);
        assert_eq!(lines.next().await.unwrap(), Some(Read::Overlong));
        assert!(lines.bytes.capacity() < LINE_BYTES);
        assert_eq!(lines.next().await.unwrap(), None);
    }

    #[test]
    fn the_end_of_stderr_is_kept() {
        let mut kept = Vec::new();
        for _ in 0..10 {
            keep_tail(&mut kept, &[b'x'; TAIL_BYTES]);
        }
        keep_tail(&mut kept, b"end");
        assert_eq!(kept.len(), TAIL_BYTES);
        assert!(kept.ends_with(b"end"));
    }
}
