//! When the report of a finished day leaves: not at midnight, and not when everybody else's does.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use waxwing_store::ReportKind;

/// What was accepted before midnight has been counted by then.
const MARGIN_SECS: i64 = 30 * 60;
/// Reports are spread over so long (RFC 8460 §4.1: "after some delay, perhaps several hours").
const SPREAD_SECS: u64 = 4 * 3_600;
/// What could not be sent is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(4 * 3_600);
/// A whole day.
pub(super) const DAY_SECS: i64 = 86_400;

/// The first second of a day, counted from 1970.
pub(super) fn begin_of(day: i64) -> Timestamp {
    Timestamp::from_second(day.saturating_mul(DAY_SECS)).unwrap_or(Timestamp::MAX)
}

/// The last second of a day.
pub(super) fn end_of(day: i64) -> Timestamp {
    let last = day.saturating_mul(DAY_SECS).saturating_add(DAY_SECS - 1);
    Timestamp::from_second(last).unwrap_or(Timestamp::MAX)
}

/// When the report about a day is to leave. It depends on who reports too, so that a domain does not
/// hear from everybody at once.
pub(super) fn moment(host_name: &str, domain: &str, day: i64) -> Timestamp {
    let hash = blake3::hash(format!("{host_name}\n{domain}").as_bytes());
    let octets = hash.as_bytes();
    let number = u64::from_le_bytes(octets[..8].try_into().expect("a hash has 32 octets"));
    let into = i64::try_from(number % SPREAD_SECS).unwrap_or(0);
    let wait = SignedDuration::from_secs(1 + MARGIN_SECS + into);
    end_of(day).saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// What was tried in vain, and when: so that nobody's DNS is asked every few minutes for days.
#[derive(Default)]
pub(super) struct Tried(HashMap<(ReportKind, String, i64), Instant>);

impl Tried {
    /// Whether it may be tried now; notes that it is.
    pub fn may(&mut self, kind: ReportKind, domain: &str, day: i64, now: Instant) -> bool {
        let waited = |at: &Instant| now.saturating_duration_since(*at) >= AGAIN_AFTER;
        self.0.retain(|_, at| !waited(at));
        let key = (kind, domain.to_owned(), day);
        match self.0.contains_key(&key) {
            true => false,
            false => {
                self.0.insert(key, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_spread_over_hours_after_midnight() {
        let day = 20_000;
        let midnight = end_of(day).as_second() + 1;
        let moments: Vec<i64> = (0..500)
            .map(|n| moment("mx.wax.test", &format!("d{n}.example"), day).as_second() - midnight)
            .collect();
        assert!(moments.iter().all(|at| (1_800..=1_800 + 4 * 3_600).contains(at)));
        let (first, last) = (moments.iter().min().unwrap(), moments.iter().max().unwrap());
        assert!(last - first > 3 * 3_600, "{first} to {last}");
        // Another reporter has another moment.
        let another = moment("mx.wing.test", "d1.example", day).as_second() - midnight;
        assert_ne!(moments[1], another);
    }

    #[test]
    fn days_begin_and_end_at_midnight_utc() {
        assert_eq!(begin_of(20_454).to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(end_of(20_454).to_string(), "2026-01-01T23:59:59Z");
    }

    #[test]
    fn what_was_tried_waits() {
        let (mut tried, now) = (Tried::default(), Instant::now());
        assert!(tried.may(ReportKind::Tls, "a", 1, now));
        assert!(!tried.may(ReportKind::Tls, "a", 1, now + AGAIN_AFTER / 2));
        assert!(tried.may(ReportKind::Dmarc, "a", 1, now));
        assert!(tried.may(ReportKind::Tls, "a", 1, now + AGAIN_AFTER));
    }
}
