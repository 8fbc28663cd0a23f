//! What is remembered of hosts: how many connections each may have, which wait for another message,
//! and which could not be reached a moment ago.
//!
//! A host that cannot be reached is left alone for a minute, then two, at most four, and never longer
//! than the first wait of the schedule, so that a deferred message always finds out for itself; long
//! enough that a thousand messages do not each wait for the same timeout.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Connection, Demand};
use crate::policy::Policy;
use crate::route::Host;

const FIRST_REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(240);
/// Above so many hosts, those of which nothing is known any more are forgotten.
const REMEMBERED_HOSTS: usize = 10_000;

/// A host by what makes its connections alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    port: u16,
    /// What was demanded when they were opened: they serve messages that demand the same.
    demand: Demand,
}

impl Key {
    fn new(host: &Host, demand: &Demand) -> Key {
        Key { name: host.name.clone(), port: host.port, demand: demand.clone() }
    }
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// The memory, shared by all deliveries.
pub struct Hosts {
    state: Mutex<State>,
    per_host: usize,
    keep_for: Duration,
    messages_per_connection: u32,
    longest_rest: Duration,
}

#[derive(Default)]
struct State {
    slots: HashMap<(String, u16), Arc<Semaphore>>,
    idle: HashMap<Key, Vec<Idle>>,
    resting: HashMap<SocketAddr, Rest>,
}

struct Rest {
    until: Instant,
    next: Duration,
    why: String,
}

impl Hosts {
    /// Empty, with the policy's limits.
    pub fn new(policy: &Policy) -> Hosts {
        let first_wait = policy.schedule.waits.first().copied().unwrap_or(LONGEST_REST);
        Hosts {
            longest_rest: LONGEST_REST.min(first_wait),
            state: Mutex::default(),
            per_host: policy.max_connections_per_host.max(1),
            keep_for: policy.keep_connection_for,
            messages_per_connection: policy.max_messages_per_connection.max(1),
        }
    }

    /// Waits until another connection to that host may be used. Held while it is.
    pub async fn slot(&self, host: &Host) -> OwnedSemaphorePermit {
        let slots = {
            let mut state = self.lock();
            if state.slots.len() > REMEMBERED_HOSTS {
                let per_host = self.per_host;
                state.slots.retain(|_, slots| slots.available_permits() < per_host);
            }
            let key = (host.name.clone(), host.port);
            let new = || Arc::new(Semaphore::new(self.per_host));
            state.slots.entry(key).or_insert_with(new).clone()
        };
        slots.acquire_owned().await.expect("the semaphore is never closed")
    }

    /// A connection that waits for another message, if there is one.
    pub fn take_idle(&self, host: &Host, demand: &Demand, now: Instant) -> Option<Connection> {
        let key = Key::new(host, demand);
        let mut state = self.lock();
        let idle = state.idle.get_mut(&key)?;
        // The freshest first; the others run out.
        while let Some(mut candidate) = idle.pop() {
            let fresh = now.saturating_duration_since(candidate.since) < self.keep_for;
            if fresh && candidate.connection.is_usable() {
                return Some(candidate.connection);
            }
        }
        None
    }

    /// Keeps a connection for another message, or gives it back to be closed.
    pub fn keep(
        &self,
        host: &Host,
        demand: &Demand,
        mut connection: Connection,
        now: Instant,
    ) -> Option<Connection> {
        let spent = connection.sent() >= self.messages_per_connection;
        if spent || self.keep_for.is_zero() || !connection.is_usable() {
            return Some(connection);
        }
        let mut state = self.lock();
        let idle = state.idle.entry(Key::new(host, demand)).or_default();
        if idle.len() >= self.per_host {
            return Some(connection);
        }
        idle.push(Idle { connection, since: now });
        None
    }

    /// Takes out the connections that waited long enough, to be closed.
    pub fn take_expired(&self, now: Instant) -> Vec<Connection> {
        let mut expired = Vec::new();
        let mut state = self.lock();
        for idle in state.idle.values_mut() {
            let (old, fresh) = std::mem::take(idle)
                .into_iter()
                .partition(|idle| now.saturating_duration_since(idle.since) >= self.keep_for);
            *idle = fresh;
            expired.extend(Vec::into_iter(old).map(|idle: Idle| idle.connection));
        }
        state.idle.retain(|_, idle| !idle.is_empty());
        expired
    }

    /// Takes out every connection that waits, to be closed.
    pub fn take_all(&self) -> Vec<Connection> {
        let idle = std::mem::take(&mut self.lock().idle);
        idle.into_values().flatten().map(|idle| idle.connection).collect()
    }

    /// When [`Hosts::take_expired`] will next have something.
    pub fn next_expiry(&self) -> Option<Instant> {
        let state = self.lock();
        state.idle.values().flatten().map(|idle| idle.since + self.keep_for).min()
    }

    /// Why an address is left alone at present.
    pub fn resting(&self, address: SocketAddr, now: Instant) -> Option<String> {
        let state = self.lock();
        state.resting.get(&address).filter(|rest| now < rest.until).map(|rest| rest.why.clone())
    }

    /// An address could not be reached.
    pub fn unreachable(&self, address: SocketAddr, why: &str, now: Instant) {
        let mut state = self.lock();
        if state.resting.len() > REMEMBERED_HOSTS {
            state.resting.retain(|_, rest| now < rest.until);
        }
        let wait =
            state.resting.get(&address).map_or(FIRST_REST.min(self.longest_rest), |rest| rest.next);
        let next = (wait * 2).min(self.longest_rest);
        state.resting.insert(address, Rest { until: now + wait, next, why: why.to_owned() });
    }

    /// An address was reached.
    pub fn reachable(&self, address: SocketAddr) {
        self.lock().resting.remove(&address);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_cannot_be_reached_rests_longer_each_time() {
        let hosts = Hosts::new(&Policy::new("mx.wax.test"));
        let address: SocketAddr = "192.0.2.1:25".parse().unwrap();
        let mut now = Instant::now();
        assert_eq!(hosts.resting(address, now), None);
        for secs in [60, 120, 240, 240] {
            hosts.unreachable(address, "refused", now);
            let wait = Duration::from_secs(secs);
            assert_eq!(
                hosts.resting(address, now + wait - Duration::from_secs(1)).unwrap(),
                "refused"
            );
            now += wait;
            assert_eq!(hosts.resting(address, now), None);
        }
        hosts.unreachable(address, "refused", now);
        hosts.reachable(address);
        assert_eq!(hosts.resting(address, now), None);
    }

    #[test]
    fn a_rest_ends_before_the_first_retry() {
        assert!(LONGEST_REST < crate::queue::Schedule::default().waits[0]);
    }
}
