//! `date` and `currentdate` (RFC 5260 §4, §5).

use jiff::Timestamp;
use jiff::tz::Offset;
use waxwing_message::parse::date as mail_date;

use super::select::{INDEX, Selection, expand_all};
use crate::sieve::Fault;
use crate::sieve::check::{Bound, Checker, Tag, Takes, Test};
use crate::sieve::matching::{self, Keys, Matcher};
use crate::sieve::parser::Node;
use crate::sieve::run::{Halt, Run};
use crate::sieve::text::Text;

const ZONE: &[Tag] =
    &[Tag { name: "zone", takes: Takes::String, extension: "date", group: "zone" }];
const ORIGINAL_ZONE: &[Tag] =
    &[Tag { name: "originalzone", takes: Takes::Nothing, extension: "date", group: "zone" }];

/// RFC 5260 §4.2.
const PARTS: [&str; 13] = [
    "year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "iso8601",
    "std11", "zone", "weekday",
];

enum Zone {
    /// The owner's.
    Local,
    /// The one the field has.
    Original,
    Given(Text),
}

struct Date {
    /// `None` for `currentdate`.
    field: Option<(Text, Selection)>,
    zone: Zone,
    part: Text,
    keys: Keys,
}

/// `date`.
pub(crate) fn date(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS, ZONE, ORIGINAL_ZONE, INDEX])?;
    let selection = Selection::new(&bound, checker)?;
    let field = bound.next_text("the name of a header field", checker)?;
    compile(bound_rest(&mut bound, checker)?, Some((field, selection)))
}

/// `currentdate`.
pub(crate) fn currentdate(node: &Node, checker: &mut Checker<'_>) -> Result<Box<dyn Test>, Fault> {
    let mut bound = checker.bind(node, &[matching::TAGS, ZONE])?;
    compile(bound_rest(&mut bound, checker)?, None)
}

type Rest = (Zone, Text, Keys);

fn compile(rest: Rest, field: Option<(Text, Selection)>) -> Result<Box<dyn Test>, Fault> {
    let (zone, part, keys) = rest;
    Ok(Box::new(Date { field, zone, part, keys }))
}

fn bound_rest(bound: &mut Bound<'_>, checker: &mut Checker<'_>) -> Result<Rest, Fault> {
    let matcher = Matcher::new(bound, checker)?;
    let zone = match bound.text_of("zone", checker)? {
        Some(text) => {
            if text.constant().is_some_and(|zone| parse_zone(zone).is_none()) {
                return Err(bound.at.fault("a zone is written as \"+0200\" or \"-0530\""));
            }
            Zone::Given(text)
        }
        None if bound.flag("originalzone") => Zone::Original,
        None => Zone::Local,
    };
    let part = bound.next_text("a part of a date, such as \"weekday\"", checker)?;
    let known = |name: &&str| PARTS.iter().any(|part| part.eq_ignore_ascii_case(name));
    if let Some(name) = part.constant().filter(|name| !known(name)) {
        return Err(bound
            .at
            .fault(format!("\"{name}\" is no part of a date: take one of {}", PARTS.join(", "))));
    }
    let keys = matcher.keys(bound, "what to look for", checker)?;
    bound.done()?;
    Ok((zone, part, keys))
}

impl Test for Date {
    fn holds(&self, run: &mut Run<'_>) -> Result<bool, Halt> {
        let part = self.part.expand(run)?.to_ascii_lowercase();
        let local = run.context.zone;
        let given = match &self.zone {
            Zone::Given(text) => {
                let zone = text.expand(run)?;
                Some(parse_zone(&zone).ok_or_else(|| {
                    run.value_error(format!("\"{zone}\" is no zone: write it as \"+0200\""))
                })?)
            }
            _ => None,
        };
        let Some((field, selection)) = &self.field else {
            let value = date_part(run.context.now, given.unwrap_or(local), &part);
            return self.keys.any(&value.into_iter().collect::<Vec<_>>(), run);
        };
        let names = expand_all(std::slice::from_ref(field), run)?;
        let mut values = Vec::new();
        for value in selection.values(&names, run)? {
            // RFC 5260 §4: in Received the date stands after the last semicolon.
            let after = memchr::memrchr(b';', &value).map_or(0, |at| at + 1);
            let Some(at) = mail_date::parse(&value[after..]) else { continue };
            let zone = match self.zone {
                Zone::Original => zone_of(&value[after..]).unwrap_or(Offset::UTC),
                _ => given.unwrap_or(local),
            };
            values.extend(date_part(at, zone, &part));
        }
        self.keys.any(&values, run)
    }
}

/// `+hhmm`: RFC 5260 §4.1.
fn parse_zone(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok()
}

/// The zone a date is written with.
fn zone_of(value: &[u8]) -> Option<Offset> {
    let text = String::from_utf8_lossy(value);
    let numeric = text.split(|c: char| c.is_whitespace() || c == '(').find_map(parse_zone);
    // RFC 5322 §4.3.
    numeric.or_else(|| {
        text.split_whitespace().find_map(|word| {
            let hours = match word.to_ascii_uppercase().as_str() {
                "EDT" => -4,
                "EST" | "CDT" => -5,
                "CST" | "MDT" => -6,
                "MST" | "PDT" => -7,
                "PST" => -8,
                _ => return None,
            };
            Offset::from_hours(hours).ok()
        })
    })
}

/// RFC 5260 §4.2.
fn date_part(at: Timestamp, zone: Offset, part: &str) -> Option<String> {
    let civil = zone.to_datetime(at);
    let minutes = zone.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let (zone_hours, zone_minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    let (year, month, day) = (civil.year(), civil.month(), civil.day());
    let date = format!("{year:04}-{month:02}-{day:02}");
    let time = format!("{:02}:{:02}:{:02}", civil.hour(), civil.minute(), civil.second());
    Some(match part {
        "year" => format!("{year:04}"),
        "month" => format!("{month:02}"),
        "day" => format!("{day:02}"),
        "date" => date,
        // The modified Julian day: 40587 is 1 January 1970.
        "julian" => {
            let local = at.as_second() + i64::from(zone.seconds());
            (local.div_euclid(24 * 60 * 60) + 40_587).to_string()
        }
        "hour" => format!("{:02}", civil.hour()),
        "minute" => format!("{:02}", civil.minute()),
        "second" => format!("{:02}", civil.second()),
        "time" => time,
        // As Pigeonhole writes it: UTC is `Z`, which RFC 3339 §4.2 allows.
        "iso8601" if minutes == 0 => format!("{date}T{time}Z"),
        "iso8601" => format!("{date}T{time}{sign}{zone_hours:02}:{zone_minutes:02}"),
        // Two digits for the day, so that it can be compared.
        "std11" => match mail_date::format_with_offset(at, zone).split_once(", ") {
            Some((weekday, rest)) if day < 10 => format!("{weekday}, 0{rest}"),
            Some((weekday, rest)) => format!("{weekday}, {rest}"),
            None => return None,
        },
        "zone" => format!("{sign}{zone_hours:02}{zone_minutes:02}"),
        "weekday" => civil.weekday().to_sunday_zero_offset().to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_date() {
        let at: Timestamp = "2007-01-22T23:30:05Z".parse().unwrap();
        let part = |zone: &str, part: &str| date_part(at, parse_zone(zone).unwrap(), part).unwrap();
        assert_eq!(part("+0100", "iso8601"), "2007-01-23T00:30:05+01:00");
        assert_eq!(part("-0330", "std11"), "Mon, 22 Jan 2007 20:00:05 -0330");
        assert_eq!(part("+0000", "iso8601"), "2007-01-22T23:30:05Z");
        assert_eq!(part("+0000", "weekday"), "1");
        assert_eq!(part("-0500", "zone"), "-0500");
        // MJD 54122 is 22 January 2007.
        assert_eq!(part("+0000", "julian"), "54122");
        assert_eq!(part("+0100", "julian"), "54123");
    }

    #[test]
    fn zones() {
        assert_eq!(zone_of(b" Mon, 22 Jan 2007 10:00:00 -0330 (NST)").unwrap().seconds(), -12_600);
        assert_eq!(zone_of(b"Mon, 22 Jan 2007 10:00:00 EST").unwrap().seconds(), -18_000);
        for bad in ["0100", "+1", "+2400", "+0160", "", "é"] {
            assert!(parse_zone(bad).is_none(), "{bad}");
        }
    }
}
