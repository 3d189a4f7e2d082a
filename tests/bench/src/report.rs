//! Figures and how they are printed.
//!
//! Promises: percentiles by nearest rank, so that each is a value that was measured.

use std::fmt;
use std::time::Duration;

/// Many measurements of one thing, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    values: Vec<f64>,
}

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.values.push(time.as_secs_f64() * 1000.0);
    }

    /// The value that so many hundredths of all do not pass; 0 of none.
    fn rank(&self, hundredths: usize) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(0.0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.rank(50)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, p99, max] = [0, 99, 100].map(|it| self.rank(it));
        let median = self.median();
        let n = self.values.len();
        write!(
            f,
            "{min:.2} / {median:.2} / {p99:.2} / {max:.2} ms  (n = {n})"
        )
    }
}

/// The first lines of every run.
pub(crate) fn heading(disk: &Times) {
    let build = if cfg!(debug_assertions) {
        "DEBUG BUILD: figures mean nothing"
    } else {
        "release build"
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{build}, {cores} cores, fdatasync p50 {:.3} ms",
        disk.median()
    );
    println!("times: min / median / p99 / max");
    figure("the disk: 4 KiB appended and fdatasync", disk);
}

/// The head of a subject.
pub(crate) fn subject(name: &str) {
    println!("\n{name}");
}

/// One figure.
pub(crate) fn figure(what: &str, value: impl fmt::Display) {
    println!("  {what:<76} {value}");
}

#[cfg(test)]
mod tests {
    use super::Times;
    use std::time::Duration;

    fn times(ms: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        ms.into_iter()
            .for_each(|ms| times.push(Duration::from_millis(ms)));
        times
    }

    #[test]
    fn each_rank_is_a_measured_value() {
        let hundred = times((1..=100).rev());
        let ranks = [0, 50, 99, 100].map(|it| hundred.rank(it));
        assert_eq!(ranks, [1.0, 50.0, 99.0, 100.0]);
        let three = times([30, 10, 20]);
        assert_eq!(
            three.to_string(),
            "10.00 / 20.00 / 30.00 / 30.00 ms  (n = 3)"
        );
    }

    #[test]
    fn nothing_measured_is_no_panic() {
        assert_eq!(
            times([]).to_string(),
            "0.00 / 0.00 / 0.00 / 0.00 ms  (n = 0)"
        );
    }
}
