//! UTCDate and Date (RFC 8620 §1.4): RFC 3339, upper case, no fraction of zero.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// UTCDate, in whole seconds: `2014-10-30T06:12:00Z`.
pub fn utc(time: Timestamp) -> String {
    // Years beyond 9999 and before 0 have no form; a stored time can be one, by a client's wish.
    let civil = TimeZone::UTC.to_datetime(time);
    let year = civil.year().clamp(0, 9999);
    let (month, day) = (civil.month(), civil.day());
    let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Date, in whole seconds, as a clock with that offset shows it: `2014-10-30T14:12:00+08:00`.
pub fn with_offset(time: Timestamp, offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    if minutes == 0 {
        return utc(time);
    }
    let sign = if minutes < 0 { '-' } else { '+' };
    let shown = time.checked_add(jiff::SignedDuration::from_mins(minutes.into())).unwrap_or(time);
    let local = utc(shown);
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    format!("{}{sign}{hours:02}:{minutes:02}", local.trim_end_matches('Z'))
}

/// Reads a Date, with or without a fraction, with its offset; `None`: it is not one.
pub fn read_with_offset(text: &str) -> Option<(Timestamp, Offset)> {
    if let Some(time) = read_utc(text) {
        return Some((time, Offset::UTC));
    }
    let start = text.len().checked_sub("+08:00".len())?;
    let (local, offset) = (text.get(..start)?, text.get(start..)?);
    let sign = match offset.as_bytes() {
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            if *sign == b'-' {
                -1
            } else {
                1
            }
        }
        _ => return None,
    };
    let two = |digits: &str| -> Option<i32> {
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (hours, minutes) = (two(&offset[1..3])?, two(&offset[4..])?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = sign * (hours * 3600 + minutes * 60);
    let time = read_utc(&format!("{local}Z"))?;
    let time = time.checked_sub(jiff::SignedDuration::from_secs(seconds.into())).ok()?;
    Some((time, Offset::from_seconds(seconds).ok()?))
}

/// Reads a UTCDate, with or without a fraction; `None`: it is not one.
pub fn read_utc(text: &str) -> Option<Timestamp> {
    let normal = text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    normal.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        // RFC 8620 §1.4.
        let time = read_utc("2014-10-30T06:12:00Z").unwrap();
        assert_eq!(time, "2014-10-30T14:12:00+08:00".parse().unwrap());
        assert_eq!(utc(time), "2014-10-30T06:12:00Z");
        for no in
            ["2014-10-30T14:12:00+08:00", "2014-10-30t06:12:00Z", "2014-10-30T06:12:00z", "", "Z"]
        {
            assert_eq!(read_utc(no), None, "{no}");
        }
    }

    #[test]
    fn offsets() {
        // RFC 8620 §1.4.
        let (time, offset) = read_with_offset("2014-10-30T14:12:00+08:00").unwrap();
        assert_eq!(utc(time), "2014-10-30T06:12:00Z");
        assert_eq!(with_offset(time, offset), "2014-10-30T14:12:00+08:00");
        let utc = read_with_offset("2014-10-30T06:12:00.5Z").unwrap();
        assert_eq!(with_offset(utc.0, utc.1), "2014-10-30T06:12:00Z");
        let west = read_with_offset("1969-12-31T23:00:00-03:30").unwrap();
        assert_eq!(with_offset(west.0, west.1), "1969-12-31T23:00:00-03:30");
        for no in [
            "2014-10-30T14:12:00+0800",
            "2014-10-30 14:12:00+08:00",
            "2014-10-30T14:12:00+24:00",
            "+08:00",
            "é",
            "2014-10-30T14:12:00++8:00",
        ] {
            assert_eq!(read_with_offset(no), None, "{no}");
        }
    }

    #[test]
    fn fractions_are_read_and_not_written() {
        assert_eq!(utc(read_utc("2014-10-30T06:12:00.750Z").unwrap()), "2014-10-30T06:12:00Z");
        assert_eq!(utc("-009000-01-01T00:00:00Z".parse().unwrap()), "0000-01-01T00:00:00Z");
    }
}
