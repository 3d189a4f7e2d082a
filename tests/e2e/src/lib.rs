//! The real process tree against the fakes.
