//! Who has to wait before another guess: a pure function of guesses and time.
//!
//! Guesses are counted in three kinds of places:
//!
//! | place | guesses that are free | judges |
//! |---|---|---|
//! | an address (IPv6: its /64) | 10 | everybody who is not known there |
//! | an account | 100 | the same |
//! | both together | 20 | who logged in well from that address of late, and nobody else |
//!
//! So one address that guesses is soon slow whatever names it tries, a thousand addresses that guess
//! at one account are slow together, and its owner at home notices nothing of either.
//!
//! After the free ones each guess doubles the wait, from a second to a quarter of an hour. One guess
//! is forgotten every ten minutes. The same wrong secret again is no new guess: a telephone that has an
//! old password shuts nobody out.
//!
//! A guess counts from the moment it begins to be looked at: those that come at once are not more than
//! those that come one after another. Where the free ones are all being looked at, the next waits for one
//! of them to end.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

/// One guess is forgotten in this time.
pub(super) const FORGET_SECS: i64 = 600;
const WAIT_LONGEST: Duration = Duration::from_secs(15 * 60);
/// Places that are remembered; those with the fewest guesses go first.
const PLACES_MAX: usize = 16_384;
/// Wrong secrets that are recognised again, per place.
const REMEMBERED_GUESSES: usize = 4;

/// Hash of where a guess is counted.
pub(super) type PlaceId = [u8; 16];

/// Guesses that cost nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Address,
    Account,
    Known,
}

impl Kind {
    fn free(self) -> u32 {
        match self {
            Kind::Address => 10,
            Kind::Account => 100,
            Kind::Known => 20,
        }
    }
}

/// Whether a place may make another guess; what comes later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Now,
    /// When one of those that are being looked at has ended.
    Busy,
    /// Not until then.
    After(Duration),
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    guesses: u32,
    last_ms: i64,
    recent: [u64; REMEMBERED_GUESSES],
    /// Guesses that are being looked at.
    open: u32,
}

impl Place {
    /// What is left of its guesses.
    fn left(&self, now_ms: i64) -> u32 {
        let forgotten = now_ms.saturating_sub(self.last_ms).max(0) / (FORGET_SECS * 1_000);
        self.guesses.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

/// The guesses of late.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    places: HashMap<PlaceId, Place>,
}

impl Throttle {
    /// Whether that place may make a guess.
    pub(super) fn turn(&self, place: &PlaceId, kind: Kind, now: Timestamp) -> Turn {
        let Some(found) = self.places.get(place) else { return Turn::Now };
        let left = found.left(now.as_millisecond());
        let Some(over) = left.checked_sub(kind.free()) else {
            let open = left.saturating_add(found.open);
            return if open < kind.free() { Turn::Now } else { Turn::Busy };
        };
        let wait = Duration::from_secs(1 << over.min(16)).min(WAIT_LONGEST);
        let waited = now.as_millisecond().saturating_sub(found.last_ms);
        let waited = Duration::from_millis(u64::try_from(waited).unwrap_or_default());
        match wait.checked_sub(waited).filter(|wait| !wait.is_zero()) {
            Some(wait) => Turn::After(wait),
            None if found.open > 0 => Turn::Busy,
            None => Turn::Now,
        }
    }

    /// A guess begins to be looked at; [`Throttle::end`] follows.
    pub(super) fn begin(&mut self, place: PlaceId, now: Timestamp) {
        self.make_room(now);
        let place = self.places.entry(place).or_default();
        place.open = place.open.saturating_add(1);
    }

    /// It is known what came of it: [`Throttle::failed`] says so if it was wrong.
    pub(super) fn end(&mut self, place: &PlaceId) {
        if let Some(found) = self.places.get_mut(place) {
            found.open = found.open.saturating_sub(1);
            if found.open == 0 && found.guesses == 0 {
                self.places.remove(place);
            }
        }
    }

    /// One wrong guess; `false` when that place has made the very same of late.
    pub(super) fn failed(&mut self, place: PlaceId, guess: Option<u64>, now: Timestamp) -> bool {
        self.make_room(now);
        let now_ms = now.as_millisecond();
        let place = self.places.entry(place).or_default();
        if let Some(guess) = guess {
            if place.recent.contains(&guess) {
                return false;
            }
            place.recent.rotate_right(1);
            place.recent[0] = guess;
        }
        place.guesses = place.left(now_ms).saturating_add(1);
        place.last_ms = now_ms;
        true
    }

    /// A right one: its place begins anew.
    pub(super) fn forgive(&mut self, place: &PlaceId) {
        if let Some(found) = self.places.get_mut(place) {
            *found = Place { open: found.open, ..Place::default() };
            if found.open == 0 {
                self.places.remove(place);
            }
        }
    }

    /// What other nodes have counted; they tell the second.
    pub(super) fn learn(&mut self, place: PlaceId, guesses: u32, last_at: i64, now: Timestamp) {
        self.make_room(now);
        let place = self.places.entry(place).or_default();
        let last_ms = last_at.saturating_mul(1_000);
        if guesses > place.left(last_ms) {
            place.guesses = guesses;
            place.last_ms = place.last_ms.max(last_ms);
        }
    }

    /// Forgets what is forgotten, then half of the rest, those with few guesses first.
    fn make_room(&mut self, now: Timestamp) {
        if self.places.len() < PLACES_MAX {
            return;
        }
        let now_ms = now.as_millisecond();
        let weight = |place: &Place| place.left(now_ms).saturating_add(place.open);
        self.places.retain(|_, place| weight(place) > 0);
        if self.places.len() < PLACES_MAX {
            return;
        }
        let mut counts: Vec<u32> = self.places.values().map(weight).collect();
        let (_, &mut median, _) = counts.select_nth_unstable(PLACES_MAX / 2);
        let mut spare = PLACES_MAX / 2;
        self.places.retain(|_, place| {
            let few = weight(place) <= median && spare > 0;
            spare -= usize::from(few);
            !few
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + secs).unwrap()
    }

    #[test]
    fn waits_begin_after_the_free_guesses_and_double() {
        let (mut throttle, place) = (Throttle::default(), [1; 16]);
        for guess in 1..10 {
            throttle.failed(place, Some(guess), at(0));
            assert_eq!(throttle.turn(&place, Kind::Address, at(0)), Turn::Now);
        }
        for (guess, secs) in [(10, 1), (11, 2), (12, 4), (13, 8)] {
            throttle.failed(place, Some(guess), at(0));
            let wait = Turn::After(Duration::from_secs(secs));
            assert_eq!(throttle.turn(&place, Kind::Address, at(0)), wait);
        }
        assert_eq!(
            throttle.turn(&place, Kind::Address, at(7)),
            Turn::After(Duration::from_secs(1))
        );
        assert_eq!(throttle.turn(&place, Kind::Address, at(8)), Turn::Now);
        assert_eq!(throttle.turn(&place, Kind::Account, at(0)), Turn::Now, "another allowance");
        for guess in 100..200 {
            throttle.failed(place, Some(guess), at(0));
        }
        assert_eq!(throttle.turn(&place, Kind::Address, at(0)), Turn::After(WAIT_LONGEST));
        assert_eq!(throttle.turn(&place, Kind::Address, at(FORGET_SECS * 110)), Turn::Now);
    }

    #[test]
    fn guesses_at_once_are_not_more_than_one_after_another() {
        let (mut throttle, place) = (Throttle::default(), [1; 16]);
        let turn = |throttle: &Throttle, secs| throttle.turn(&place, Kind::Address, at(secs));
        for _ in 0..10 {
            assert_eq!(turn(&throttle, 0), Turn::Now);
            throttle.begin(place, at(0));
        }
        assert_eq!(turn(&throttle, 0), Turn::Busy);
        // One was right: its place is free again. Nine were wrong, and so is the next.
        throttle.end(&place);
        assert_eq!(turn(&throttle, 0), Turn::Now);
        for guess in 1..10 {
            throttle.end(&place);
            throttle.failed(place, Some(guess), at(0));
        }
        throttle.begin(place, at(0));
        throttle.end(&place);
        throttle.failed(place, Some(10), at(0));
        assert_eq!(turn(&throttle, 0), Turn::After(Duration::from_secs(1)));
        // Who has waited makes one, not all that were held back.
        throttle.begin(place, at(1));
        assert_eq!(turn(&throttle, 1), Turn::Busy);
        throttle.forgive(&place);
        throttle.end(&place);
        assert!(throttle.places.is_empty());
    }

    #[test]
    fn the_same_secret_again_is_no_new_guess() {
        let (mut throttle, place) = (Throttle::default(), [1; 16]);
        assert!(throttle.failed(place, Some(7), at(0)));
        for second in 0..1_000 {
            assert!(!throttle.failed(place, Some(7), at(second)));
        }
        assert_eq!(throttle.turn(&place, Kind::Address, at(1_000)), Turn::Now);
        // What cannot be compared counts each time.
        assert!(throttle.failed(place, None, at(0)) && throttle.failed(place, None, at(0)));
    }

    #[test]
    fn places_are_bounded_and_the_worst_stay() {
        let (mut throttle, worst) = (Throttle::default(), [255; 16]);
        for guess in 0..50 {
            throttle.failed(worst, Some(guess + 1), at(0));
        }
        for n in 0..100_000_u128 {
            throttle.failed(n.to_le_bytes(), None, at(1));
            assert!(throttle.places.len() <= PLACES_MAX);
        }
        assert!(matches!(throttle.turn(&worst, Kind::Address, at(1)), Turn::After(_)));
    }

    #[test]
    fn other_nodes_guesses_count_as_ones_own() {
        let (mut throttle, place) = (Throttle::default(), [1; 16]);
        throttle.failed(place, None, at(0));
        throttle.learn(place, 12, at(1).as_second(), at(2));
        assert_eq!(
            throttle.turn(&place, Kind::Address, at(2)),
            Turn::After(Duration::from_secs(3))
        );
        // Told again, it is the same.
        throttle.learn(place, 12, at(1).as_second(), at(2));
        assert_eq!(
            throttle.turn(&place, Kind::Address, at(2)),
            Turn::After(Duration::from_secs(3))
        );
        throttle.forgive(&place);
        assert_eq!(throttle.turn(&place, Kind::Address, at(2)), Turn::Now);
    }
}
