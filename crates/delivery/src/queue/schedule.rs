//! When to try again.
//!
//! The steps of the default: a message that meets greylisting arrives within minutes, one that
//! meets a broken server does not burden it (RFC 5321 §4.5.4.1 wants at least 30 minutes as a rule
//! and more frequent tries in the first hours).

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::later;

/// How long to wait after each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// After the first attempt, the second, and so on; the last repeats. Never empty.
    pub waits: Vec<Duration>,
    /// Each wait is made longer by up to so many per cent, so that messages that were deferred
    /// together do not come back together.
    pub jitter_percent: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        let minutes = [5, 15, 30, 60, 120, 240];
        Schedule {
            waits: minutes.into_iter().map(|n| Duration::from_secs(n * 60)).collect(),
            jitter_percent: 10,
        }
    }
}

impl Schedule {
    /// When to try again after `attempts` attempts (at least one), with `random` for the jitter.
    pub fn next(&self, attempts: u32, now: Timestamp, random: u32) -> Timestamp {
        let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = match self.waits.get(index).or(self.waits.last()) {
            Some(&wait) => wait,
            None => Duration::from_secs(3600),
        };
        let most = wait.saturating_mul(self.jitter_percent) / 100;
        let jitter = most.mul_f64(f64::from(random) / f64::from(u32::MAX));
        later(now, wait.saturating_add(jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::until;
    use proptest::prelude::*;

    #[test]
    fn waits_grow_and_the_last_repeats() {
        let schedule = Schedule::default();
        let minutes = |attempts| {
            let next = schedule.next(attempts, Timestamp::UNIX_EPOCH, 0);
            until(Timestamp::UNIX_EPOCH, next).as_secs() / 60
        };
        let waits: Vec<u64> = (1..=8).map(minutes).collect();
        assert_eq!(waits, [5, 15, 30, 60, 120, 240, 240, 240]);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(attempts in 0..u32::MAX, random in any::<u32>()) {
            let schedule = Schedule::default();
            let base = schedule.next(attempts, Timestamp::UNIX_EPOCH, 0);
            let wait = until(Timestamp::UNIX_EPOCH, base);
            let next = until(Timestamp::UNIX_EPOCH, schedule.next(attempts, Timestamp::UNIX_EPOCH, random));
            prop_assert!(next >= wait && next <= wait + wait / 10 + Duration::from_millis(1));
        }
    }
}
