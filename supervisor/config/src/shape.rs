//! The shapes of single values: numbers, ids, addresses. Pure.

use toml::de::DeValue;

pub(crate) fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

pub(crate) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        // Every whole number that a config asks for is far below the 2^53 that a float holds.
        other => whole(other).map(|number| number as f64),
    }
}

pub(crate) fn check_id(id: &str, snowflake: bool) -> Result<(), String> {
    if snowflake {
        let digits = (1..=20).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
        return match id.parse::<u64>() {
            Ok(number) if digits && number > 0 => Ok(()),
            _ => Err("a Discord id is a long number: switch on Settings > Advanced > Developer Mode in Discord, then right-click the user, role, channel or server and copy its id".to_owned()),
        };
    }
    if id.len() > 128 || id.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(
            "an id has no blanks and at most 128 characters; several ids are separated by commas"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether this is an address with one of the schemes and a host. Never repeats the address, which
/// may hold a password.
pub(crate) fn check_url(url: &str, schemes: &[&str]) -> Result<(), String> {
    let known: Vec<String> = schemes
        .iter()
        .map(|scheme| format!("{scheme}://"))
        .collect();
    let known = known.join(" or ");
    let bad = || {
        Err(format!(
            "must be an address that begins with {known} and names a host"
        ))
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return bad();
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = host.rsplit('@').next().unwrap_or("");
    let blank = url.contains(|c: char| c.is_whitespace() || c.is_control());
    if !schemes.contains(&scheme) || host.is_empty() || host.starts_with(':') || blank {
        return bad();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_addresses() {
        assert!(check_id("123456789012345678", true).is_ok());
        for bad in ["alice", "0", "<@1>", "-1", "123456789012345678901", ""] {
            assert!(check_id(bad, true).is_err(), "{bad}");
        }
        assert!(check_id("U-12", false).is_ok() && check_id("a b", false).is_err());
        assert!(check_url("https://x/y", &["https"]).is_ok());
        assert!(check_url("http://u:p@h:1", &["http"]).is_ok());
        for bad in [
            "x",
            "https://",
            "https:///y",
            "ftp://x",
            "https://a b",
            "https://:80",
        ] {
            assert!(check_url(bad, &["https"]).is_err(), "{bad}");
        }
    }
}
