//! `${VAR}` in a text, and `$${` for the characters themselves. Pure.

/// Whether this can be the name of an environment variable.
pub(crate) fn is_env_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.len() <= 256
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The next `${NAME}` or `$${` in a text: its place, its end and the name.
fn next_variable(text: &str) -> Option<(usize, usize, Option<&str>)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find("${")?;
        if at > 0 && text.as_bytes().get(at - 1) == Some(&b'$') {
            return Some((at - 1, at + 2, None));
        }
        let name = &text[at + 2..];
        match name.find('}') {
            Some(end) if is_env_name(&name[..end]) => {
                return Some((at, at + 2 + end + 1, Some(&name[..end])));
            }
            // Not a variable: the characters stand for themselves.
            _ => from = at + 2,
        }
    }
}

/// Whether a text takes anything from the environment.
pub(crate) fn has_variable(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, end, name)) = next_variable(rest) {
        if name.is_some() {
            return true;
        }
        rest = &rest[end..];
    }
    false
}

/// Puts variables in; also the names of those that aren't set, each once.
pub(crate) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> (String, Vec<String>) {
    let mut out = String::with_capacity(text.len());
    let mut missing: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((at, end, name)) = next_variable(rest) {
        out.push_str(&rest[..at]);
        match name {
            None => out.push_str("${"),
            Some(name) => match env(name) {
                Some(value) => out.push_str(&value),
                None if missing.iter().any(|known| known == name) => {}
                None => missing.push(name.to_owned()),
            },
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    (out, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "A" => Some("1".to_owned()),
            "LOOP" => Some("${A}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_expand_anywhere_and_once() {
        let text = |text| expand(text, &env).0;
        assert_eq!(text("x${A}y${A}"), "x1y1");
        assert_eq!(text("${LOOP}"), "${A}", "a value is not expanded again");
        assert_eq!(
            text("$${A} ${not a name} ${ $A"),
            "${A} ${not a name} ${ $A"
        );
        assert_eq!(expand("${B}${B}${C}", &env).1, ["B", "C"]);
        assert!(has_variable("$${A}${A}") && !has_variable("$${A}"));
    }

    proptest::proptest! {
        #[test]
        fn expanding_never_panics(text in "[$ {}A-Bé]{0,40}") {
            let (out, missing) = expand(&text, &env);
            if missing.is_empty() && !text.contains('$') {
                proptest::prop_assert_eq!(out, text);
            }
        }
    }
}
