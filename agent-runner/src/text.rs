//! Text cut to a number of bytes, never inside a character.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut() {
        for max in 0..6 {
            let (head, tail) = (head("aéé", max), tail("ééa", max));
            assert!(head.len() <= max && tail.len() <= max);
            assert!(head.len() + 1 >= max.min(5) && tail.len() + 1 >= max.min(5));
        }
    }
}
