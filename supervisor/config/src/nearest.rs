//! "Did you mean": what an unknown key was probably meant to be.
//!
//! Promises: a key that exists in another table is sent there; else the nearest key of this table by
//! edit distance; else the keys that there are.

use strsim::damerau_levenshtein;

use crate::schema::{self, Table};

/// More known keys than this are not listed.
const LISTED: usize = 8;

/// What to write instead of an unknown key, as the rest of a sentence.
pub(crate) fn hint(table: &Table, key: &str) -> String {
    let near = nearest(key, table.keys.iter().map(|known| known.name));
    if let Some((name, 0 | 1)) = near {
        return format!("did you mean `{name}`?");
    }
    let homes = homes(table, key);
    if !homes.is_empty() {
        return format!("it belongs to {}: move it there", homes.join(" or "));
    }
    if let Some((name, _)) = near {
        return format!("did you mean `{name}`?");
    }
    if table.keys.len() <= LISTED {
        let names: Vec<String> = table
            .keys
            .iter()
            .map(|key| format!("`{}`", key.name))
            .collect();
        return format!(
            "{} has {}; take the line out",
            table.header,
            names.join(", ")
        );
    }
    "nothing here has a name like it; take the line out".to_owned()
}

/// The nearest of some names, and how far it is; none if all are too far to be a slip.
pub(crate) fn nearest<'n>(
    word: &str,
    names: impl Iterator<Item = &'n str>,
) -> Option<(&'n str, usize)> {
    let plain = plain(word);
    let furthest = match plain.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    names
        .map(|name| (name, damerau_levenshtein(&plain, &self::plain(name))))
        .filter(|(_, distance)| *distance <= furthest)
        .min_by_key(|(_, distance)| *distance)
}

/// `allow-From` and `allowfrom` are the same slip for `allow_from`.
fn plain(name: &str) -> String {
    // Bounded: the distance takes time by the product of the lengths.
    name.chars()
        .take(64)
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Other tables with exactly this key, the closest ones to this table.
fn homes(table: &Table, key: &str) -> Vec<&'static str> {
    let near = |other: &Table| {
        let words = |header: &str| -> Vec<String> {
            header
                .trim_matches(['[', ']'])
                .split(['.', ']', ' '])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let (here, there) = (words(table.header), words(other.header));
        here.iter().zip(&there).take_while(|(a, b)| a == b).count()
    };
    let mut found: Vec<(usize, &'static str)> = schema::ALL
        .iter()
        .filter(|other| !std::ptr::eq(**other, table) && other.key(key).is_some())
        .map(|other| (near(other), other.header))
        .collect();
    let closest = found.iter().map(|(score, _)| *score).max().unwrap_or(0);
    found.retain(|(score, _)| *score == closest);
    found.truncate(3);
    found.into_iter().map(|(_, header)| header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{AGENT_OPTIONS, DISCORD, TOP};

    #[test]
    fn slips_find_their_key() {
        assert_eq!(hint(&DISCORD, "allow_form"), "did you mean `allow_from`?");
        assert_eq!(hint(&DISCORD, "Allow-From"), "did you mean `allow_from`?");
        assert_eq!(hint(&AGENT_OPTIONS, "workdir"), "did you mean `work_dir`?");
        assert_eq!(hint(&TOP, "lanugage"), "did you mean `language`?");
        assert_eq!(hint(&TOP, "project"), "did you mean `projects`?");
    }

    #[test]
    fn a_key_of_another_table_is_sent_there() {
        let project = TOP.key("projects").map(|key| &key.kind);
        let Some(schema::Kind::Tables(project)) = project else {
            panic!("no projects")
        };
        let hint_ = hint(project, "work_dir");
        assert!(hint_.contains("[projects.agent.options]"), "{hint_}");
        assert!(hint(&DISCORD, "admin_from").contains("[[projects]]"));
        assert!(hint(&TOP, "max_depth").contains("[queue]"));
        let token = hint(project, "token");
        assert!(token.contains("of discord"), "{token}");
    }

    #[test]
    fn a_small_table_says_what_it_has() {
        let Some(schema::Kind::Table(queue)) = TOP.key("queue").map(|key| &key.kind) else {
            panic!("no queue")
        };
        assert_eq!(
            hint(queue, "zzz"),
            "[queue] has `max_depth`; take the line out"
        );
    }

    #[test]
    fn far_words_are_no_slips() {
        assert_eq!(nearest("telegram", ["discord", "weibo"].into_iter()), None);
        assert_eq!(
            nearest("discrod", ["discord", "weibo"].into_iter()),
            Some(("discord", 1))
        );
    }
}
