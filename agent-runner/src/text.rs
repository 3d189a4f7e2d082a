//! Text cut to a number of bytes, never inside a character, and quoted for a shell.

/// The beginning, of at most `max` bytes.
pub(crate) fn head(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The end, of at most `max` bytes.
pub(crate) fn tail(text: &str, max: usize) -> &str {
    let mut start = text.len().saturating_sub(max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// A path or a program as a shell reads it, in a line that a person is to run.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(quoted("/usr/bin/claude-2.1_x"), "/usr/bin/claude-2.1_x");
        assert_eq!(quoted("/my dir/$(x)"), "'/my dir/$(x)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn no_character_is_cut() {
        for max in 0..6 {
            let (head, tail) = (head("aéé", max), tail("ééa", max));
            assert!(head.len() <= max && tail.len() <= max);
            assert!(head.len() + 1 >= max.min(5) && tail.len() + 1 >= max.min(5));
        }
    }
}
