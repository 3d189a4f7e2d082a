//! What a reload changes: old and new processes compared by name and fingerprint.
//!
//! Pure. Whoever has the same fingerprint is not touched, whatever state it is in.

use std::collections::BTreeMap;

/// The names of a reload's new list, by what becomes of them, and those that are no longer in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) gone: Vec<String>,
    pub(crate) kept: usize,
}

/// Compares two lists of (name, fingerprint). Names must be unique within each.
pub(crate) fn compare<'a>(
    old: impl Iterator<Item = (&'a str, &'a str)>,
    new: impl Iterator<Item = (&'a str, &'a str)>,
) -> Changes {
    let mut old: BTreeMap<&str, &str> = old.collect();
    let mut changes = Changes::default();
    for (name, fingerprint) in new {
        match old.remove(name) {
            None => changes.added.push(name.to_owned()),
            Some(before) if before != fingerprint => changes.changed.push(name.to_owned()),
            Some(_) => changes.kept += 1,
        }
    }
    changes.gone = old.into_keys().map(str::to_owned).collect();
    changes
}

impl Changes {
    /// One sentence for the operator.
    pub(crate) fn words(&self) -> String {
        let parts: Vec<String> = [
            ("starts", &self.added),
            ("restarts", &self.changed),
            ("drains for good", &self.gone),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
        .collect();
        match parts.is_empty() {
            true => format!("nothing changed; {} untouched", self.kept),
            false => format!("{}; {} untouched", parts.join("; "), self.kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_touched() {
        let old = [("hub", "1"), ("discord", "1"), ("weibo", "1")];
        let new = [("hub", "1"), ("discord", "2"), ("runner", "1")];
        let changes = compare(old.into_iter(), new.into_iter());
        assert_eq!(changes.added, ["runner"]);
        assert_eq!(changes.changed, ["discord"]);
        assert_eq!(changes.gone, ["weibo"]);
        assert_eq!(
            changes.words(),
            "starts: runner; restarts: discord; drains for good: weibo; 1 untouched"
        );
        let same = compare(old.into_iter(), old.into_iter());
        assert_eq!(same.words(), "nothing changed; 3 untouched");
    }
}
