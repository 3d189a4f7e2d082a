//! What one `fdatasync` costs where the trees' state is kept: in a temporary directory.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::report::Times;

/// Appends 4 KiB and syncs, so many times.
pub(crate) fn fdatasync(rounds: usize) -> Result<Times> {
    let mut file = tempfile::tempfile().context("no temporary file")?;
    let page = [0x5a; 4096];
    let mut times = Times::default();
    for _ in 0..rounds {
        file.write_all(&page)?;
        let begun = Instant::now();
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(times)
}
