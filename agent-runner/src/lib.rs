//! One project's agents.
