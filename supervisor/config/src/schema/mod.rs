//! Every key of config.toml, in tables: its name, its class, the kind of its value and a line of
//! documentation. The walk, the "did you mean", the user's page and the tests all read these tables,
//! so a key that is added here is known everywhere at once.
//!
//! Promises: plain data, no code that decides. Does not: say how keys depend on each other; that is
//! `build`'s.

mod platform;
mod project;
mod top;

pub(crate) use platform::{DISCORD, PLUGIN, WEIBO};
pub(crate) use project::{AGENT_OPTIONS, PROJECT, RESERVED_AGENTS};
pub(crate) use top::TOP;

/// What this program does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Works as in cc-connect.
    Same,
    /// Not a key of cc-connect.
    Ours,
    /// Accepted with a warning; this version does nothing with it.
    Later,
    /// Accepted with a warning that says why nothing will ever be done with it.
    Never,
}

impl Class {
    /// The word used in the user's page.
    #[cfg(test)]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Ours => "ours",
            Self::Later => "later",
            Self::Never => "never",
        }
    }
}

/// What a value may be.
pub(crate) enum Kind {
    Bool,
    /// A whole number within bounds, both allowed.
    Int {
        min: i64,
        max: i64,
    },
    /// A number within bounds, both allowed.
    Number {
        min: f64,
        max: f64,
    },
    Text,
    /// One of a few words: how it may be written (lower case, without `-` and `_`) and what it is.
    Choice(&'static [(&'static str, &'static str)]),
    /// One of a few words, or any other text: whether that means something is the agent's business.
    Mode(&'static [(&'static str, &'static str)]),
    /// An absolute path, or one below `~/`.
    Path,
    /// One path or a list of them.
    Paths,
    /// An address with one of these schemes.
    Url(&'static [&'static str]),
    /// An address that may hold a password, and is a secret then.
    SecretUrl(&'static [&'static str]),
    /// An id: a string without blanks, or a whole number.
    Id,
    /// Ids: a list, or one string with commas. `*` is an id here.
    Ids,
    /// A Discord id.
    Snowflake,
    /// Discord ids: a list, or one string with commas.
    Snowflakes {
        star: bool,
    },
    /// A list of strings.
    Texts,
    /// A command line: a string that is cut at blanks, or a list.
    Command,
    /// Names and values for the environment; the values are treated as secrets.
    Env,
    /// The same, and each of them is a secret whatever its name.
    Secrets,
    Secret,
    /// A JSON Schema: a table as it stands, or the file of one.
    Schema,
    /// Names of headers and their texts.
    Headers,
    Table(&'static Table),
    /// `[[x]]`.
    Tables(&'static Table),
    /// `[x.NAME]` with any name.
    Named(&'static Table),
    /// The table that the `type` beside it calls for.
    AgentOptions,
    PlatformOptions,
    /// Not looked at: the key has no effect.
    Any,
    /// A table, or one of a few words in its place, as in [`Kind::Choice`].
    TableOr(&'static Table, &'static [(&'static str, &'static str)]),
    /// A list of TCP ports.
    Ports,
}

/// One key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) kind: Kind,
    /// For same and ours: what it does. For later: what it will do. For never: why.
    pub(crate) doc: &'static str,
    /// Read and checked, but this version does nothing with it, nor with what stands in it: setting
    /// it is warned about. Its class stays what it is to be.
    pub(crate) idle: bool,
}

impl Key {
    const fn without_effect(self) -> Key {
        Key { idle: true, ..self }
    }
}

/// One table of config.toml.
pub(crate) struct Table {
    /// As it is written, such as `[[projects.platforms]]`.
    pub(crate) header: &'static str,
    /// Its keys, in the order of the user's page.
    pub(crate) keys: &'static [Key],
    /// Unknown keys are passed on to a plugin instead of refused.
    pub(crate) open: bool,
}

impl Table {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Every table, once, in the order of the user's page.
pub(crate) static ALL: &[&Table] = &[
    &TOP,
    &top::LOG,
    &top::DISPLAY,
    &top::STREAM_PREVIEW,
    &top::RATE_LIMIT,
    &top::OUTGOING_RATE_LIMIT,
    &top::OUTGOING_PLATFORM,
    &top::QUEUE,
    &top::INSTANT_REPLY,
    &top::COMMAND,
    &top::ALIAS,
    &top::SUPERVISION,
    &top::SPOOL,
    &PROJECT,
    &project::USERS,
    &project::ROLE,
    &project::AGENT,
    &project::TOOL,
    &project::TOOL_HTTP,
    &project::SANDBOX,
    &AGENT_OPTIONS,
    &platform::PLATFORM,
    &DISCORD,
    &WEIBO,
    &PLUGIN,
];

const fn same(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        class: Class::Same,
        kind,
        doc,
        idle: false,
    }
}

const fn ours(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        class: Class::Ours,
        kind,
        doc,
        idle: false,
    }
}

const fn later(name: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        class: Class::Later,
        kind: Kind::Any,
        doc,
        idle: false,
    }
}

const fn never(name: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        class: Class::Never,
        kind: Kind::Any,
        doc,
        idle: false,
    }
}

const fn table(header: &'static str, keys: &'static [Key]) -> Table {
    Table {
        header,
        keys,
        open: false,
    }
}

/// A year of minutes: more is a mistake, not a wish.
const MINUTES: Kind = Kind::Int {
    min: 0,
    max: 525_600,
};

const LANGUAGE: Kind = Kind::Choice(&[
    ("auto", "auto"),
    ("en", "en"),
    ("zh", "zh"),
    ("zhcn", "zh"),
    ("zhtw", "zh-TW"),
    ("ja", "ja"),
    ("es", "es"),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_twice_in_a_table_and_each_has_its_line() {
        for table in ALL {
            for (n, key) in table.keys.iter().enumerate() {
                assert!(!key.doc.is_empty(), "{} {}", table.header, key.name);
                let twice = table.keys[n + 1..]
                    .iter()
                    .any(|other| other.name == key.name);
                assert!(!twice, "{} {} stands twice", table.header, key.name);
            }
        }
    }

    #[test]
    fn every_table_that_a_key_leads_to_is_listed() {
        for table in ALL {
            for key in table.keys {
                if let Kind::Table(to) | Kind::TableOr(to, _) | Kind::Tables(to) | Kind::Named(to) =
                    key.kind
                {
                    let listed = ALL.iter().any(|known| std::ptr::eq(*known, to));
                    assert!(listed, "{} {}", table.header, key.name);
                }
            }
        }
    }

    #[test]
    fn choices_are_written_the_way_they_are_looked_up() {
        for key in ALL.iter().flat_map(|table| table.keys) {
            if let Kind::Choice(words) | Kind::Mode(words) = key.kind {
                for (written, _) in words {
                    assert!(!written.contains(|c: char| c.is_uppercase() || "-_ ".contains(c)));
                }
            }
        }
    }
}
