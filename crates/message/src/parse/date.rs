//! Dates (RFC 5322 §3.3, and §4.3 for the old forms), read and written.
//!
//! Reading takes the day of the week as decoration, allows comments anywhere, two-digit years,
//! named zones, missing seconds and zones, and the order of C's `asctime`. A zone that says nothing
//! is UTC. An impossible date (a 32nd, a 25th hour) is no date.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::content::skip_cfws;

/// Reads a date. `None` when there is none to read.
pub fn parse(value: &[u8]) -> Option<Timestamp> {
    parse_with_offset(value).map(|(at, _)| at)
}

/// The same, with the offset that the writer's clock had; UTC where none is told, or none that a
/// clock can have.
pub fn parse_with_offset(value: &[u8]) -> Option<(Timestamp, Offset)> {
    let plain = without_comments(value);
    let mut read = Reading::default();
    plain.split(|b| matches!(b, b' ' | b',')).for_each(|word| read.word(word));
    let offset = Offset::from_seconds(read.zone_minutes.unwrap_or(0) * 60).unwrap_or(Offset::UTC);
    Some((read.timestamp()?, offset))
}

/// Comments and white space become single spaces, and none around a colon (RFC 5322 §4.3 allows
/// `09(comment):   55  :  06`).
fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while at < value.len() {
        let next = skip_cfws(value, at);
        if next > at {
            if !matches!(out.last(), Some(b' ' | b':')) {
                out.push(b' ');
            }
            at = next;
            continue;
        }
        if value[at] == b':' && out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(value[at]);
        at += 1;
    }
    out
}

/// Writes a date as RFC 5322 §3.3 wants it, in UTC.
pub fn format(at: Timestamp) -> String {
    format_with_offset(at, Offset::UTC)
}

/// Writes a date with a zone of its own. Years outside 1–9999 cannot occur in a [`Timestamp`] of
/// mail; negative ones would be written as the year 0.
pub fn format_with_offset(at: Timestamp, offset: Offset) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let civil = offset.to_datetime(at);
    let weekday = DAYS[civil.weekday().to_monday_zero_offset() as usize];
    let month = MONTHS[civil.month() as usize - 1];
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let (zone_hours, zone_minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    format!(
        "{weekday}, {} {month} {:04} {:02}:{:02}:{:02} {sign}{zone_hours:02}{zone_minutes:02}",
        civil.day(),
        civil.year().max(0),
        civil.hour(),
        civil.minute(),
        civil.second(),
    )
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What has been understood so far.
#[derive(Default)]
struct Reading {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    time: Option<(i8, i8, i8)>,
    zone_minutes: Option<i32>,
}

impl Reading {
    fn word(&mut self, word: &[u8]) {
        if word.is_empty() {
            return;
        }
        if self.time.is_none() && word.contains(&b':') {
            self.time_of_day(word);
        } else if self.time.is_some() && matches!(word[0], b'+' | b'-') {
            self.zone_minutes = self.zone_minutes.or(numeric_zone(word));
        } else if word.contains(&b'-') && word[0].is_ascii_digit() {
            // `21-Nov-1997`, as IMAP and older programs write it.
            word.split(|&b| b == b'-').for_each(|piece| self.word(piece));
        } else if word[0].is_ascii_digit() {
            self.number(word);
        } else if self.month.is_none() && month(word).is_some() {
            self.month = month(word);
        } else if self.time.is_some() && self.zone_minutes.is_none() {
            self.zone_minutes = named_zone(word);
        }
    }

    fn number(&mut self, word: &[u8]) {
        let Some(value) = digits(word) else { return };
        match (self.day, self.year) {
            (None, _) if word.len() <= 2 => self.day = Some(value as i8),
            (_, None) => {
                // RFC 5322 §4.3: 00–49 are this century, 50–99 and three digits count from 1900.
                self.year = match word.len() {
                    1 | 2 if value < 50 => Some(value as i16 + 2000),
                    1..=3 => Some(value as i16 + 1900),
                    _ => i16::try_from(value).ok(),
                }
            }
            _ => {}
        }
    }

    fn time_of_day(&mut self, word: &[u8]) {
        let zone = word.iter().position(|b| matches!(b, b'+' | b'-')).unwrap_or(word.len());
        let (word, zone) = word.split_at(zone);
        if !zone.is_empty() {
            self.zone_minutes = numeric_zone(zone);
        }
        let mut pieces = word.split(|&b| b == b':').map(digits);
        let (Some(Some(hour)), Some(Some(minute))) = (pieces.next(), pieces.next()) else { return };
        let second = match pieces.next() {
            None => 0,
            Some(Some(second)) => second,
            Some(None) => return,
        };
        // A leap second (RFC 5322 §3.3) has no name of its own in a timestamp.
        let second = if second == 60 { 59 } else { second };
        if hour < 24 && minute < 60 && second < 60 {
            self.time = Some((hour as i8, minute as i8, second as i8));
        }
    }

    fn timestamp(&self) -> Option<Timestamp> {
        let (hour, minute, second) = self.time?;
        let date =
            DateTime::new(self.year?, self.month?, self.day?, hour, minute, second, 0).ok()?;
        let utc = Offset::UTC.to_timestamp(date).ok()?;
        let zone_secs = i64::from(self.zone_minutes.unwrap_or(0)) * 60;
        Timestamp::from_second(utc.as_second() - zone_secs).ok()
    }
}

/// At most nine digits and nothing else.
fn digits(word: &[u8]) -> Option<u32> {
    let ok = (1..=9).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    ok.then(|| word.iter().fold(0, |value, b| value * 10 + u32::from(b - b'0')))
}

fn month(word: &[u8]) -> Option<i8> {
    let name = word.get(..3)?;
    let ok = word.iter().all(|b| b.is_ascii_alphabetic() || *b == b'.');
    let i = MONTHS.iter().position(|m| name.eq_ignore_ascii_case(m.as_bytes()))?;
    ok.then_some(i as i8 + 1)
}

fn numeric_zone(word: &[u8]) -> Option<i32> {
    let sign = if word[0] == b'-' { -1 } else { 1 };
    let run = word[1..].iter().copied().take_while(|b| b.is_ascii_digit() || *b == b':');
    let hhmm: Vec<u8> = run.filter(|b| *b != b':').take(10).collect();
    let value = digits(&hhmm)? as i32;
    // `+02` says hours; RFC 5322 §3.3 wants four digits.
    let (hours, minutes) = if hhmm.len() <= 2 { (value, 0) } else { (value / 100, value % 100) };
    (hours < 100 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// RFC 5322 §4.3. Military letters and unknown names mean nothing sure: UTC.
fn named_zone(word: &[u8]) -> Option<i32> {
    // `EST5EDT` begins with the name that counts.
    let letters = word.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(word.len());
    let hours = match word[..letters].to_ascii_uppercase().as_slice() {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        b"UT" | b"GMT" | b"UTC" | b"Z" => 0,
        _ => return None,
    };
    Some(hours * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(value: &str) -> Option<i64> {
        parse(value.as_bytes()).map(|t| t.as_second())
    }

    #[test]
    fn the_dates_of_rfc_5322_appendix_a() {
        assert_eq!(secs("Fri, 21 Nov 1997 09:55:06 -0600"), Some(880_127_706));
        assert_eq!(secs("21 Nov 97 09:55:06 GMT"), Some(880_106_106));
        assert_eq!(
            secs(
                "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)"
            ),
            Some(-27_723_480)
        );
        assert_eq!(secs("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600"), Some(880_127_706));
    }

    #[test]
    fn other_spellings() {
        let want = Some(1_057_049_557);
        assert_eq!(secs("Tue, 1 Jul 2003 10:52:37 +0200"), Some(1_057_049_557));
        assert_eq!(secs("Tue Jul  1 08:52:37 2003"), want);
        assert_eq!(secs("1-Jul-2003 08:52:37 +00:00"), want);
        assert_eq!(secs("Tuesday, 1 July 103 08:52:37 Z"), want);
        assert_eq!(secs("Tue, 1 Jul 2003 04:52:37 EDT"), want);
    }

    #[test]
    fn no_date() {
        for value in ["", "yesterday", "32 Jan 2003 10:00:00", "1 Jan 2003 25:00:00", "1 Jan 2003"]
        {
            assert_eq!(secs(value), None, "{value}");
        }
    }

    #[test]
    fn written_dates_are_read_back() {
        let at = Timestamp::from_second(880_127_706).unwrap();
        assert_eq!(format(at), "Fri, 21 Nov 1997 15:55:06 +0000");
        let offset = Offset::from_seconds(-(3 * 3600 + 1800)).unwrap();
        assert_eq!(format_with_offset(at, offset), "Fri, 21 Nov 1997 12:25:06 -0330");
        let written = format_with_offset(at, offset);
        assert_eq!(parse_with_offset(written.as_bytes()), Some((at, offset)));
    }
}
