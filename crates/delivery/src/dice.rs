//! Randomness, passed in: journey ids, jitter, the order of equals.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use waxwing_message::JourneyId;

/// A cryptographic random generator that many may use at once.
#[derive(Debug)]
pub struct Dice(Mutex<StdRng>);

impl Dice {
    /// Seeded by the operating system.
    pub fn new() -> Dice {
        Dice(Mutex::new(StdRng::from_rng(&mut rand::rng())))
    }

    /// The same throws for the same seed: for tests.
    pub fn seeded(seed: u64) -> Dice {
        Dice(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A generator of its own for one task.
    pub fn split(&self) -> StdRng {
        StdRng::from_rng(&mut *self.lock())
    }

    /// A new journey's id.
    pub fn journey_id(&self, now: Timestamp) -> JourneyId {
        JourneyId::new(now, self.lock().random())
    }

    /// Sixteen octets.
    pub fn sixteen(&self) -> [u8; 16] {
        self.lock().random()
    }

    /// Eighteen octets, for a SCRAM nonce.
    pub fn eighteen(&self) -> [u8; 18] {
        self.lock().random()
    }

    /// Any number.
    pub fn number(&self) -> u32 {
        self.lock().random()
    }

    fn lock(&self) -> MutexGuard<'_, StdRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Dice {
    fn default() -> Self {
        Dice::new()
    }
}
