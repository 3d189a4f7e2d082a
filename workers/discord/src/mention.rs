//! Mentions in a text: the bot's own are taken out, the others become names. Pure.

use crate::snowflake::Id;

/// What `<@1>`, `<@!1>`, `<@&1>` and `<#1>` name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mention {
    User(Id),
    Role(Id),
    Channel(Id),
}

/// What to put in a mention's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instead {
    /// Nothing.
    Nothing,
    /// This.
    Text(String),
    /// The mention as it stands.
    Itself,
}

/// Every mention in the text, in order.
pub(crate) fn mentions(text: &str) -> impl Iterator<Item = Mention> + '_ {
    pieces(text).filter_map(|piece| match piece {
        Piece::Mention(mention, _) => Some(mention),
        Piece::Text(_) => None,
    })
}

/// The text with its mentions replaced and its ends trimmed. Where one is taken out, so is one of
/// two blanks around it.
pub(crate) fn replace(text: &str, instead: impl Fn(Mention) -> Instead) -> String {
    let mut out = String::with_capacity(text.len());
    let mut taken = false;
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => {
                let doubled = taken && (out.is_empty() || out.ends_with([' ', '\n']));
                out.push_str(if doubled {
                    text.strip_prefix(' ').unwrap_or(text)
                } else {
                    text
                });
                taken = false;
            }
            Piece::Mention(mention, itself) => match instead(mention) {
                Instead::Nothing => taken = true,
                Instead::Text(text) => out.push_str(&text),
                Instead::Itself => out.push_str(itself),
            },
        }
    }
    out.trim().to_owned()
}

enum Piece<'a> {
    Text(&'a str),
    Mention(Mention, &'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((mention, length)) = at_start(rest) {
            let (itself, after) = rest.split_at(length);
            rest = after;
            return Some(Piece::Mention(mention, itself));
        }
        // Up to the next `<` that begins a mention.
        let starts = rest.char_indices().skip(1).filter(|(_, c)| *c == '<');
        let end = starts
            .map(|(at, _)| at)
            .find(|at| rest.get(*at..).is_some_and(|rest| at_start(rest).is_some()));
        let (text, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(Piece::Text(text))
    })
}

/// The mention that the text begins with, and its length.
fn at_start(text: &str) -> Option<(Mention, usize)> {
    /// The longest id has 20 digits.
    const LONGEST: usize = 26;
    let end = text
        .as_bytes()
        .iter()
        .take(LONGEST)
        .position(|byte| *byte == b'>')?;
    let inside = text.get(1..end)?;
    if !text.starts_with('<') {
        return None;
    }
    let id = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    let mention = if let Some(digits) = inside.strip_prefix("@&") {
        Mention::Role(id(digits)?)
    } else if let Some(digits) = inside
        .strip_prefix("@!")
        .or_else(|| inside.strip_prefix('@'))
    {
        Mention::User(id(digits)?)
    } else {
        Mention::Channel(id(inside.strip_prefix('#')?)?)
    };
    Some((mention, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(mention: Mention) -> Instead {
        match mention {
            Mention::User(Id(1)) | Mention::Role(Id(2)) => Instead::Nothing,
            Mention::User(Id(3)) => Instead::Text("@Ann".into()),
            Mention::Channel(Id(4)) => Instead::Text("#general".into()),
            _ => Instead::Itself,
        }
    }

    #[test]
    fn the_bots_own_go_and_the_others_become_names() {
        for (text, expected) in [
            ("<@1> hello", "hello"),
            ("<@!1> hello", "hello"),
            ("<@&2> hello", "hello"),
            ("hello <@1>", "hello"),
            ("hey <@1> there", "hey there"),
            ("a<@1>b", "ab"),
            ("<@1>", ""),
            (" <@1>  <@&2> ", ""),
            ("<@1>\nline", "line"),
            ("one\n<@1> two", "one\ntwo"),
            ("<@1>, ask <@3> in <#4>", ", ask @Ann in #general"),
            ("<@99> <#98> <@&97>", "<@99> <#98> <@&97>"),
            ("a < b, <@x>, <@1", "a < b, <@x>, <@1"),
            ("<@+1> <@> <#>", "<@+1> <@> <#>"),
            ("<<@3>>", "<@Ann>"),
            ("<:emoji:1> <t:1>", "<:emoji:1> <t:1>"),
            (
                "<@111111111111111111111111111>",
                "<@111111111111111111111111111>",
            ),
            ("", ""),
        ] {
            assert_eq!(replace(text, names), expected, "{text:?}");
        }
        let found: Vec<_> = mentions("<@1> <#4> <@&2> <@x>").collect();
        assert_eq!(
            found,
            [
                Mention::User(Id(1)),
                Mention::Channel(Id(4)),
                Mention::Role(Id(2))
            ]
        );
    }

    proptest! {
        #[test]
        fn other_text_is_left_as_it_is(text in "[<>@#&!0-9a-z \n\\u{4e2d}\\u{1f600}]{0,60}") {
            prop_assert_eq!(replace(&text, |_| Instead::Itself), text.trim());
            replace(&text, names);
        }
    }
}
