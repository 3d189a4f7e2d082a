//! What a TOML parser says, in words for people.
//!
//! Promises: a line with several complaints is told once, with the first; the text of the line is
//! never repeated, since it may hold a token.

use toml::Spanned;
use toml::de::{DeTable, Error};

use crate::problems::Problems;

/// Parses, or reports everything that keeps the text from being TOML.
pub(crate) fn parse<'t>(
    text: &'t str,
    problems: &mut Problems<'_>,
) -> Option<Spanned<DeTable<'t>>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(table);
    }
    let mut errors: Vec<(usize, &Error)> = errors
        .iter()
        .map(|err| (err.span().map_or(0, |span| span.start), err))
        .collect();
    errors.sort_by_key(|(at, _)| *at);
    let mut last_line = 0;
    for (at, err) in errors {
        let line = problems.line(at);
        if line != last_line {
            last_line = line;
            problems.error(
                at,
                "",
                format!("not TOML: {}", in_words(err.message(), text, at)),
            );
        }
    }
    None
}

fn in_words(message: &str, text: &str, at: usize) -> String {
    let smart_quote = text
        .get(at..)
        .is_some_and(|rest| rest.starts_with(['“', '”', '‘', '’', '«', '「']));
    // The first words of the parser's message, and what to do about it.
    const WORDS: &[(&str, &str)] = &[
        (
            "string values must be quoted",
            "a text needs quotes: write key = \"text\"",
        ),
        (
            "invalid basic string",
            "a quoted text ends on its line: a closing \" is missing, or a character that must not stand there was pasted",
        ),
        (
            "invalid literal string",
            "a quoted text ends on its line: a closing ' is missing, or a character that must not stand there was pasted",
        ),
        (
            "invalid multi-line",
            "a text that began with three quotes doesn't end: three more are missing",
        ),
        (
            "missing escaped value",
            "a \\ inside \"…\" needs a second one: write \\\\, or put the text into '…'",
        ),
        (
            "too few unicode value digits",
            "a \\ inside \"…\" needs a second one: write \\\\, or put the text into '…'",
        ),
        (
            "duplicate key",
            "this key or table stands twice: keep one of them",
        ),
        (
            "cannot extend value",
            "this name already has a value above, so it can't be a table as well",
        ),
        (
            "key with no value",
            "there is no = and no value after this name; is it a comment without its #?",
        ),
        ("missing value", "there is no value after the ="),
        (
            "invalid value",
            "this is no value: texts need quotes, lists [ ], and yes or no is true or false",
        ),
        ("invalid boolean", "yes or no is written true or false"),
        ("unclosed array table", "the header's ]] are missing"),
        ("unclosed table", "the header's ] is missing"),
        ("unclosed array", "a list has no closing ]"),
        ("unclosed inline table", "a { has no closing }"),
        (
            "missing comma between array",
            "a comma is missing between two items of a list, or its closing ]",
        ),
        ("unexpected `=` in array", "the list above has no closing ]"),
        (
            "unexpected leading zero",
            "a number must not begin with 0; if it is an id, put it in quotes",
        ),
        (
            "unexpected key or value",
            "nothing but a comment may follow here; is a line break missing?",
        ),
        (
            "unquoted keys cannot be empty",
            "there is no name before the =",
        ),
        (
            "invalid unquoted key",
            "a name has letters, digits, - and _ only; another one needs quotes",
        ),
        (
            "carriage return",
            "a line ends with a lone carriage return: save the file with Unix or Windows line ends",
        ),
    ];
    if smart_quote {
        return "these are typographic quotes: type plain \" instead".to_owned();
    }
    // Only its first word is looked at, and none of it is shown.
    let word = text
        .get(at..)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or("");
    if ["yes", "no", "on", "off", "True", "False", "TRUE", "FALSE"].contains(&word) {
        return "yes or no is written true or false".to_owned();
    }
    match WORDS.iter().find(|(start, _)| message.starts_with(start)) {
        Some((_, words)) => (*words).to_owned(),
        None => message.to_owned(),
    }
}
