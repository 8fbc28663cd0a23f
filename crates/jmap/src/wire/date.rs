//! UTCDate and Date (RFC 8620 §1.4): RFC 3339, upper case, no fraction of zero.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// UTCDate, in whole seconds: `2014-10-30T06:12:00Z`.
pub fn utc(time: Timestamp) -> String {
    // Years beyond 9999 and before 0 have no form; a stored time can be one, by a client's wish.
    let civil = TimeZone::UTC.to_datetime(time);
    let year = civil.year().clamp(0, 9999);
    let (month, day) = (civil.month(), civil.day());
    let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
    fn fractions_are_read_and_not_written() {
        assert_eq!(utc(read_utc("2014-10-30T06:12:00.750Z").unwrap()), "2014-10-30T06:12:00Z");
        assert_eq!(utc("-009000-01-01T00:00:00Z".parse().unwrap()), "0000-01-01T00:00:00Z");
    }
}
