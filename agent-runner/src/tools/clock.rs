//! The tool `current_time`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// The time in words: date, weekday, clock, offset and zone.
///
/// # Errors
/// There is no such zone, in words.
pub fn tell(now: Timestamp, input: &Value) -> Result<String, String> {
    let zone = match input["timezone"].as_str() {
        None | Some("") => TimeZone::system(),
        Some(name) => TimeZone::get(name).map_err(|_| {
            let name = crate::text::head(name, 64);
            format!("there is no time zone {name}: use an IANA name such as Asia/Shanghai")
        })?,
    };
    let there = now.to_zoned(zone);
    Ok(there
        .strftime("%Y-%m-%d %H:%M:%S, %A, UTC%:z (%Q)")
        .to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_time_is_told_in_any_zone() {
        let now: Timestamp = "2026-11-24T22:30:00Z".parse().unwrap();
        assert_eq!(
            tell(now, &json!({"timezone": "Asia/Shanghai"})).unwrap(),
            "2026-11-25 06:30:00, Wednesday, UTC+08:00 (Asia/Shanghai)"
        );
        assert!(tell(now, &json!({})).unwrap().contains("UTC"));
        assert!(
            tell(now, &json!({"timezone": "Mars/Olympus"}))
                .unwrap_err()
                .contains("Mars")
        );
    }
}
