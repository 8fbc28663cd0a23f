//! The line before a message: `From SENDER Thu Nov 26 20:30:47 2026`, with or without a zone.

use jiff::Timestamp;
use jiff::civil::DateTime;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// A longer line is none.
const LINE_OCTETS_MAX: usize = 1_000;

/// When the message came, if this is such a line; a line of a body that begins with `From ` and has no
/// date is not one. Times without a zone are taken as UTC.
pub fn received_at(line: &[u8]) -> Option<Timestamp> {
    if !line.starts_with(b"From ") || line.len() > LINE_OCTETS_MAX {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    // From the end: a sender may be called anything.
    (2..words.len()).rev().find_map(|at| date(&words[at..]))
}

/// `Nov 26 20:30:47 2026`, `Nov 26 20:30:47 +0000 2026`, `Nov 26 20:30 2026 -0800`, …
fn date(words: &[&str]) -> Option<Timestamp> {
    let [month, day, time, rest @ ..] = words else { return None };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let mut clock = time.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute) = (clock.next()??, clock.next()??);
    let second = clock.next().unwrap_or(Some(0))?.min(59);
    let (mut year, mut offset_secs) = (None, 0);
    for word in rest.iter().take(2) {
        match zone(word) {
            Some(secs) => offset_secs = secs,
            None => {
                year =
                    year.or_else(|| word.parse::<i16>().ok().filter(|y| (1970..=9999).contains(y)))
            }
        }
    }
    let month = i8::try_from(month + 1).ok()?;
    let civil = DateTime::new(year?, month, day.parse().ok()?, hour, minute, second, 0).ok()?;
    let utc = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    Timestamp::from_second(utc.as_second() - offset_secs).ok()
}

/// `+0130`: seconds east.
fn zone(word: &str) -> Option<i64> {
    let (sign, digits) = match word.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number: i64 = digits.parse().ok().filter(|_| digits.len() == 4)?;
    Some(sign * (number / 100 * 3_600 + number % 100 * 60))
}

/// The line for a message, with its line end.
pub fn write(received_at: Timestamp) -> String {
    received_at.strftime("From MAILER-DAEMON %a %b %e %H:%M:%S %Y\n").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_many_programs() {
        let at = |line: &str| received_at(line.as_bytes()).map(|at| at.as_second());
        let expected = Some(1_795_725_047);
        assert_eq!(at("From a@b Thu Nov 26 20:30:47 2026\n"), expected);
        assert_eq!(at("From - Thu Nov 26 20:30:47 2026\r\n"), expected);
        assert_eq!(at("From 17@xxx Thu Nov 26 20:30:47 +0000 2026"), expected);
        assert_eq!(at("From a b c Thu Nov 26 12:30:47 2026 -0800"), expected);
        assert_eq!(at("From a@b Thu Nov 26 20:30 2026"), Some(1_795_725_047 - 47));
        for not in
            ["From here to there", "From May 5 on", "Fromage", "From x Nov 26 25:00:00 2026", ""]
        {
            assert_eq!(at(not), None, "{not}");
        }
        let written = write(Timestamp::from_second(1_795_725_047).unwrap());
        assert_eq!(at(&written), expected);
    }
}
