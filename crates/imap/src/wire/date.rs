//! Dates as IMAP writes them: `date` (`1-Feb-1994`) for searching, `date-time`
//! (`" 1-Feb-1994 21:52:25 -0800"`) for INTERNALDATE (RFC 9051 §9).

use jiff::Timestamp;
use jiff::civil::Date;

use super::cursor::{Bad, Cursor, Parse};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const MALFORMED: Bad = Bad("A date is malformed");

/// RFC 9051 §9 `date`, with or without quotes.
pub fn date(cursor: &mut Cursor<'_>) -> Parse<Date> {
    let quoted = cursor.eat(b'"');
    let day = cursor.number().map_err(|_| MALFORMED)?;
    let date = month_and_year(cursor, day)?;
    if quoted {
        cursor.expect(b'"', MALFORMED.0)?;
    }
    Ok(date)
}

/// RFC 9051 §9 `date-time`, with its quotes.
pub fn date_time(cursor: &mut Cursor<'_>) -> Parse<Timestamp> {
    cursor.expect(b'"', MALFORMED.0)?;
    let _ = cursor.eat(b' '); // date-day-fixed: a space before a single digit
    let day = cursor.number().map_err(|_| MALFORMED)?;
    let date = month_and_year(cursor, day)?;
    cursor.expect(b' ', MALFORMED.0)?;
    let hour = two_digits(cursor)?;
    cursor.expect(b':', MALFORMED.0)?;
    let minute = two_digits(cursor)?;
    cursor.expect(b':', MALFORMED.0)?;
    let second = two_digits(cursor)?;
    cursor.expect(b' ', MALFORMED.0)?;
    let west = match cursor.peek() {
        Some(b'+') => false,
        Some(b'-') => true,
        _ => return Err(MALFORMED),
    };
    let _ = cursor.eat(b'+') || cursor.eat(b'-');
    let offset_minutes = i64::from(two_digits(cursor)?) * 60 + i64::from(two_digits(cursor)?);
    cursor.expect(b'"', MALFORMED.0)?;
    if hour > 23 || minute > 59 || second > 60 {
        return Err(MALFORMED);
    }
    let days = days_since_epoch(date);
    let local = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    let offset = offset_minutes * 60 * if west { -1 } else { 1 };
    Timestamp::from_second(local - offset).map_err(|_| MALFORMED)
}

fn two_digits(cursor: &mut Cursor<'_>) -> Parse<u8> {
    let mut value = 0;
    for _ in 0..2 {
        let digit = cursor.peek().filter(u8::is_ascii_digit).ok_or(MALFORMED)?;
        let _ = cursor.eat(digit);
        value = value * 10 + (digit - b'0');
    }
    Ok(value)
}

fn month_and_year(cursor: &mut Cursor<'_>, day: u32) -> Parse<Date> {
    cursor.expect(b'-', MALFORMED.0)?;
    let month = MONTHS.iter().position(|m| cursor.eat_word(m)).ok_or(MALFORMED)?;
    cursor.expect(b'-', MALFORMED.0)?;
    let year = cursor.number().map_err(|_| MALFORMED)?;
    civil(year, month, day).ok_or(MALFORMED)
}

fn civil(year: u32, month_index: usize, day: u32) -> Option<Date> {
    let year = i16::try_from(year).ok()?;
    let month = i8::try_from(month_index + 1).ok()?;
    Date::new(year, month, i8::try_from(day).ok()?).ok()
}

/// Days from 1970-01-01 to `date`.
pub fn days_since_epoch(date: Date) -> i64 {
    // Howard Hinnant's civil calendar arithmetic: exact for every year that `Date` can hold.
    let (y, m, d) = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The day in a header's Date field, without regard to its time and zone (RFC 9051 §6.4.4
/// SENTBEFORE): `[Tue, ]1 Jul 2003 …`. `None` when it does not begin like a date.
pub fn header_day(raw: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(raw.get(..raw.len().min(64))?).into_owned();
    let after_weekday = text.split_once(',').map_or(text.as_str(), |(_, rest)| rest);
    let mut words = after_weekday.split_ascii_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|m| month.eq_ignore_ascii_case(m))?;
    let year: u32 = words.next()?.parse().ok()?;
    // RFC 5322 §4.3: years of two and three digits.
    let year = match year {
        0..50 => year + 2000,
        50..1000 => year + 1900,
        _ => year,
    };
    civil(year, month, day).map(days_since_epoch)
}

/// The parts of a UTC moment for `date-time`: day, month name, year, hour, minute, second.
pub fn utc_parts(epoch_secs: i64) -> (i64, &'static str, i64, i64, i64, i64) {
    let days = epoch_secs.div_euclid(86_400);
    let second = epoch_secs.rem_euclid(86_400);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (day, MONTHS[(month - 1) as usize], year, second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(text: &str) -> Parse<i64> {
        date_time(&mut Cursor::new(text.as_bytes())).map(|t| t.as_second())
    }

    #[test]
    fn date_times() {
        // RFC 9051 §6.3.12's example and others; seconds from `date -u +%s`.
        assert_eq!(moment("\"17-Jul-1996 02:44:25 -0700\""), Ok(837_596_665));
        assert_eq!(moment("\" 1-Jan-1970 00:00:00 +0000\""), Ok(0));
        assert_eq!(moment("\"01-Jan-1970 01:30:00 +0130\""), Ok(0));
        assert_eq!(moment("\"31-Dec-1969 23:59:59 +0000\""), Ok(-1));
        for bad in [
            "\"30-Feb-1996 00:00:00 +0000\"",
            "\"17-Jul-1996 24:00:00 +0000\"",
            "\"17-Jul-1996 02:44:25\"",
            "17-Jul-1996",
            "\"17-Foo-1996 02:44:25 +0000\"",
            "\"17-Jul-99999 02:44:25 +0000\"",
        ] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn header_days() {
        let day = |text: &str| date(&mut Cursor::new(text.as_bytes())).map(days_since_epoch).ok();
        assert_eq!(header_day(b"Fri, 21 Nov 1997 23:55:06 -0600"), day("21-Nov-1997"));
        assert_eq!(header_day(b"21 Nov 97 09:55:06 GMT"), day("\"21-nov-1997\""));
        assert_eq!(header_day(b"yesterday"), None);
        assert_eq!(header_day(b""), None);
        assert_eq!(header_day("Fri, \u{fc}".as_bytes()), None);
    }

    proptest! {
        /// Against jiff's own calendar.
        #[test]
        fn calendar_agrees_with_jiff(secs in -200_000_000_000i64..200_000_000_000) {
            let zoned = Timestamp::from_second(secs).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let (day, month, year, hour, minute, second) = utc_parts(secs);
            prop_assert_eq!(day, i64::from(zoned.day()));
            prop_assert_eq!(month, MONTHS[zoned.month() as usize - 1]);
            prop_assert_eq!(year, i64::from(zoned.year()));
            prop_assert_eq!((hour, minute, second),
                (i64::from(zoned.hour()), i64::from(zoned.minute()), i64::from(zoned.second())));
            prop_assert_eq!(days_since_epoch(zoned.date()), secs.div_euclid(86_400));
        }
    }
}
