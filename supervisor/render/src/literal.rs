//! Foreign words as they are, inside a line of ours.

use crate::Dialect;
use crate::blank::is_blank;

/// `text` on one line, shown character for character: nothing in it is taken for markup. Runs of
/// whitespace become one space, characters that show nothing go.
pub fn literal(text: &str, dialect: Dialect) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let word: String = word.chars().filter(|c| !is_blank(*c)).collect();
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        match dialect {
            Dialect::Discord => escape(&word, &mut line),
            Dialect::Plain => line.push_str(&word),
        }
    }
    line
}

fn escape(word: &str, line: &mut String) {
    let mut before = ' ';
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        let inside = before.is_alphanumeric() && chars.peek().is_some_and(|c| c.is_alphanumeric());
        if matches!(c, '\\' | '*' | '~' | '`' | '|' | '<' | '[') || (c == '_' && !inside) {
            line.push('\\');
        }
        line.push(c);
        before = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_shown_and_a_line_stays_a_line() {
        let shown = |text| literal(text, Dialect::Discord);
        assert_eq!(shown("ls -la"), "ls -la");
        assert_eq!(shown("rm *.o\n && ls `pwd`"), "rm \\*.o && ls \\`pwd\\`");
        assert_eq!(shown("snake_case __init__"), "snake_case \\_\\_init\\_\\_");
        assert_eq!(shown("<@1> [a](b) a\u{200b}b"), "\\<@1> \\[a](b) ab");
        assert_eq!(literal(" *a*\n_b_ ", Dialect::Plain), "*a* _b_");
    }
}
