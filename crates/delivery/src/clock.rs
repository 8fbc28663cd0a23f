//! Time, passed in: so that days of retries and minutes of silence pass in a test at once.

use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// What tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;
    /// Time that never goes back, for timeouts.
    fn instant(&self) -> Instant;
    /// Waits until then.
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send;

    /// Waits for so long.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        // `Instant` overflows only beyond any wait that is meant.
        let at = self.instant().checked_add(duration);
        async move {
            match at {
                Some(at) => self.sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// The system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep_until(at.into()).await;
    }
}

/// `base + duration`, at the end of time when that is later.
pub fn later(base: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    base.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// How long from `from` to `to`; zero when that has passed.
pub fn until(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
pub struct VirtualClock {
    epoch: Timestamp,
    start: Instant,
    elapsed: watch::Sender<Duration>,
    /// Deadlines that somebody waits for, each with a number to be found again by.
    sleepers: Mutex<(u64, Vec<(u64, Instant)>)>,
    sleepers_changed: watch::Sender<u64>,
}

impl VirtualClock {
    /// Stands at `epoch`.
    pub fn new(epoch: Timestamp) -> VirtualClock {
        VirtualClock {
            epoch,
            start: Instant::now(),
            elapsed: watch::Sender::new(Duration::ZERO),
            sleepers: Mutex::default(),
            sleepers_changed: watch::Sender::new(0),
        }
    }

    /// Goes on by so much; those who waited for less are woken.
    pub fn advance(&self, by: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }

    /// Goes on to that moment, unless it has passed.
    pub fn advance_to(&self, to: Timestamp) {
        self.advance(until(self.now(), to));
    }

    /// Waits until somebody sleeps who has at most so long to go, and gives how long the earliest
    /// still has.
    pub async fn somebody_sleeps(&self, at_most: Duration) -> Duration {
        let mut changed = self.sleepers_changed.subscribe();
        loop {
            if let Some(left) = self.earliest(at_most) {
                return left;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How long the earliest sleeper has to go, if that is at most so long.
    pub fn earliest(&self, at_most: Duration) -> Option<Duration> {
        let now = self.instant();
        let sleepers = lock(&self.sleepers);
        let left = sleepers.1.iter().filter_map(|&(_, at)| at.checked_duration_since(now));
        left.filter(|left| !left.is_zero() && *left <= at_most).min()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Takes a sleeper off the list when it wakes or is dropped.
struct Sleeper<'c> {
    clock: &'c VirtualClock,
    number: u64,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        lock(&self.clock.sleepers).1.retain(|&(number, _)| number != self.number);
        self.clock.sleepers_changed.send_modify(|changes| *changes += 1);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        later(self.epoch, *self.elapsed.borrow())
    }

    fn instant(&self) -> Instant {
        self.start + *self.elapsed.borrow()
    }

    async fn sleep_until(&self, at: Instant) {
        let mut elapsed = self.elapsed.subscribe();
        let number = {
            let mut sleepers = lock(&self.sleepers);
            sleepers.0 += 1;
            let number = sleepers.0;
            sleepers.1.push((number, at));
            number
        };
        let _sleeper = Sleeper { clock: self, number };
        self.sleepers_changed.send_modify(|changes| *changes += 1);
        // The sender lives as long as `self`.
        let _ = elapsed.wait_for(|&elapsed| self.start + elapsed >= at).await;
    }
}

impl<C: Clock> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn instant(&self) -> Instant {
        (**self).instant()
    }

    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + Send {
        (**self).sleep_until(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_virtual_clock_wakes_sleepers_in_time_and_not_before() {
        let clock = VirtualClock::new(Timestamp::UNIX_EPOCH);
        let sleep = clock.sleep(Duration::from_secs(60));
        tokio::pin!(sleep);
        let both = async {
            let minute = Duration::from_secs(60);
            assert_eq!(clock.somebody_sleeps(minute).await, minute);
            clock.advance(Duration::from_secs(59));
            assert_eq!(clock.somebody_sleeps(minute).await, Duration::from_secs(1));
            clock.advance(Duration::from_secs(1));
        };
        tokio::join!(sleep, both);
        assert_eq!(clock.now(), later(Timestamp::UNIX_EPOCH, Duration::from_secs(60)));
    }

    #[test]
    fn time_arithmetic_ends_at_the_end_of_time() {
        assert_eq!(later(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(later(Timestamp::UNIX_EPOCH, Duration::MAX), Timestamp::MAX);
        assert_eq!(until(Timestamp::MAX, Timestamp::UNIX_EPOCH), Duration::ZERO);
    }
}
