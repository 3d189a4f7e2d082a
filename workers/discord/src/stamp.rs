//! Discord's times: ISO 8601, as in `2026-04-19T20:53:53.273000+00:00`. Pure.

/// Milliseconds since 1970; none for what is no such time, or before 1970.
pub(crate) fn ms(stamp: &str) -> Option<u64> {
    let (date, time) = stamp.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone_at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone_at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let known = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !known {
        return None;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let local = seconds * 1_000 + number(&digits)?;
    let offset = offset(zone)? * 60_000;
    if zone.starts_with('-') {
        Some(local + offset)
    } else {
        local.checked_sub(offset)
    }
}

fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.len() <= 4;
    let plain = plain && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Minutes from UTC, without the sign.
fn offset(zone: &str) -> Option<u64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    Some(number(hours)? * 60 + number(minutes)?)
}

/// Days from 1970 to a date of the Gregorian calendar: whole eras of 400 years, and years that
/// begin in March so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::ms;

    #[test]
    fn times_are_read() {
        for (stamp, expected) in [
            ("1970-01-01T00:00:00.000000+00:00", 0),
            ("2000-02-29T00:00:00+00:00", 951_782_400_000),
            ("2026-04-19T20:53:53.273000+00:00", 1_776_632_033_273),
            ("2026-04-19T20:53:53.2Z", 1_776_632_033_200),
            ("2026-04-19T22:53:53.273+02:00", 1_776_632_033_273),
            ("2026-04-19T15:23:53.273999-05:30", 1_776_632_033_273),
        ] {
            assert_eq!(ms(stamp), Some(expected), "{stamp}");
        }
    }

    #[test]
    fn nonsense_is_no_time() {
        for stamp in [
            "",
            "T",
            "2026-04-19",
            "2026-04-19T20:53:53",
            "2026-13-19T20:53:53Z",
            "2026-04-19T25:53:53Z",
            "1969-04-19T20:53:53Z",
            "2026-04-19T20:53:53.中Z",
            "x026-04-19T20:53:53Z",
            "2026-04-19T20:53Z",
            "99999999999999999999-04-19T20:53:53Z",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(ms(stamp), None, "{stamp}");
        }
    }
}
