//! How often strangers may make the store keep something. An IPv6 /64 counts as one address, as everywhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::serve::listen::network_of;

const WITHIN: Duration = Duration::from_secs(3_600);
/// Addresses that are counted at one time; others have to wait until some are forgotten.
const COUNTED_MAX: usize = 10_000;

/// So many in an hour from one address.
pub struct Limit {
    most: u32,
    counts: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

impl Limit {
    pub fn new(most: u32) -> Limit {
        Limit { most, counts: Mutex::default() }
    }

    /// Counts one; whether it may be.
    pub fn allows(&self, peer: IpAddr, now: Instant) -> bool {
        let old = |since: Instant| now.saturating_duration_since(since) >= WITHIN;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTED_MAX {
            counts.retain(|_, (_, since)| !old(*since));
        }
        if counts.len() >= COUNTED_MAX {
            return false;
        }
        let (count, since) = counts.entry(network_of(peer)).or_insert((0, now));
        if old(*since) {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        *count <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_later_it_begins_anew() {
        let (limit, now) = (Limit::new(3), Instant::now());
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for _ in 0..3 {
            assert!(limit.allows(one, now));
        }
        assert!(!limit.allows(one, now) && limit.allows(other, now));
        assert!(!limit.allows(one, now + WITHIN - Duration::from_secs(1)));
        assert!(limit.allows(one, now + WITHIN));
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let (limit, now) = (Limit::new(3), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for n in 0..3 {
            assert!(limit.allows(address(&format!("2001:db8:1:2::{n}")), now));
        }
        assert!(!limit.allows(address("2001:db8:1:2:ffff::1"), now));
        assert!(limit.allows(address("2001:db8:1:3::1"), now));
    }

    #[test]
    fn addresses_are_bounded() {
        let (limit, now) = (Limit::new(1), Instant::now());
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..10_000 {
            assert!(limit.allows(address(n), now));
        }
        assert!(!limit.allows(address(10_000), now));
        assert!(limit.allows(address(10_000), now + WITHIN));
        assert_eq!(limit.counts.lock().unwrap().len(), 1);
    }
}
