//! The modes of an agent by the names that people use for them.

/// Other names of some modes, as the field knows them.
const ALIASES: &[(&str, &str)] = &[
    ("edit", "acceptEdits"),
    ("yolo", "bypassPermissions"),
    ("auto-edit", "acceptEdits"),
];

/// The mode that somebody means, if the agent has it.
pub fn named<'a>(wanted: &str, modes: &[&'a str]) -> Option<&'a str> {
    let known = |name: &str| {
        let mut modes = modes.iter();
        modes.find(|mode| mode.eq_ignore_ascii_case(name)).copied()
    };
    let alias = || {
        let (_, mode) = ALIASES
            .iter()
            .find(|(alias, _)| alias.eq_ignore_ascii_case(wanted))?;
        known(mode)
    };
    known(wanted).or_else(alias)
}

/// Whether the agent asks nobody in it.
pub fn asks_nobody(mode: &str) -> bool {
    mode == "bypassPermissions"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_go_by_their_names_and_by_others() {
        let modes = ["default", "acceptEdits", "bypassPermissions"];
        for (wanted, expected) in [
            ("default", Some("default")),
            ("ACCEPTEDITS", Some("acceptEdits")),
            ("edit", Some("acceptEdits")),
            ("Yolo", Some("bypassPermissions")),
            ("plan", None),
            ("", None),
        ] {
            assert_eq!(named(wanted, &modes), expected, "{wanted}");
        }
        assert_eq!(named("yolo", &["default"]), None);
        assert!(asks_nobody("bypassPermissions") && !asks_nobody("acceptEdits"));
    }
}
