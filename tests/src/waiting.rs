//! Waiting for an event: a condition that is asked again and again until it holds or its time is
//! over. Nothing here sleeps for a fixed time and hopes.

use std::time::{Duration, Instant};

/// Time enough for anything that should take a moment, on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Asks `condition` until it gives something. Fails after `within`, naming `what`.
#[track_caller]
pub fn eventually<T>(within: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < within, "waited {within:?} in vain for {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Asks until `condition` is true.
#[track_caller]
pub fn until(within: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    eventually(within, what, || condition().then_some(()));
}
