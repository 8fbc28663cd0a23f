//! Wrong guesses, shared by nodes without a write per guess.
//!
//! Each node counts in memory ([`Throttle`]) and every few seconds writes what it has counted since, at
//! most [`ROWS_PER_FLUSH`] places in one transaction, and reads what others have. Guesses that are
//! refused unlooked-at are neither counted nor written, so a flood costs the database nothing.
//!
//! A [`Guess`] is one that is being looked at. It counts until it is taken back, however it ends: what a
//! client does not wait for is a guess too. Those at other nodes are known when they have ended.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::LoginError;
use super::throttle::{FORGET_SECS, Kind, PlaceId, Throttle, Turn};
use super::visitor::Visitor;
use crate::engine::{Repeat, Tx, params};
use crate::instant::{count32, micros};
use crate::{Store, StoreError};

/// Places written at once.
const ROWS_PER_FLUSH: usize = 512;
/// Places that wait to be written; those beyond are counted here alone.
const PENDING_MAX: usize = 4_096;
/// Pairs of address and account that are remembered here; the database knows the others.
const KNOWN_MAX: usize = 16_384;
/// So long somebody is known at an address after a login from there.
const KNOWN_FOR_SECS: i64 = 30 * 24 * 3_600;
/// Addresses of one account that are looked through.
const KNOWN_ADDRESSES_MAX: i64 = 256;
/// So long a guess waits for those before it.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);
/// Guesses that wait at one time: each that ends wakes them all.
const WAITING_MAX: usize = 256;
/// What is older is of no use to anybody.
const KEPT_SECS: i64 = 24 * 3_600;

/// This node's part.
pub(crate) struct Guesses {
    /// The same on all nodes.
    key: [u8; 32],
    inner: Mutex<Inner>,
    /// One that was being looked at has ended.
    ended: Notify,
    waiting: Semaphore,
}

#[derive(Default)]
struct Inner {
    throttle: Throttle,
    /// Since the last flush: guesses and the time of the last.
    pending: HashMap<PlaceId, (u32, i64)>,
    /// Since when.
    known: HashMap<PlaceId, i64>,
    /// How far others' guesses were read, in seconds.
    read_until: i64,
}

impl Guesses {
    pub(crate) fn new(secret: &[u8; 32]) -> Guesses {
        let key = blake3::derive_key("waxwing 2025-11 places of login guesses", secret);
        Guesses {
            key,
            inner: Mutex::default(),
            ended: Notify::new(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, address: Option<IpAddr>, key: Option<&str>) -> PlaceId {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        if let Some(address) = address {
            hasher.update(network_of(address).to_string().as_bytes());
        }
        hasher.update(b"\0");
        hasher.update(key.unwrap_or_default().as_bytes());
        let mut place = [0; 16];
        place.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        place
    }

    /// Where a guess counts: at the address, at the account, at both together.
    fn places(&self, visitor: &Visitor, key: &str) -> [PlaceId; 3] {
        let address = Some(visitor.address);
        [self.place(address, None), self.place(None, Some(key)), self.place(address, Some(key))]
    }

    /// Whether this visitor may make a guess at this account now; if so it has begun.
    fn begin(&self, places: &[PlaceId; 3], key: &str, known: bool, now: Timestamp) -> Turn {
        let throttle = &mut self.lock().throttle;
        let turn = if known {
            throttle.turn(&places[2], Kind::Known, now)
        } else if key.is_empty() {
            throttle.turn(&places[0], Kind::Address, now)
        } else {
            let there = throttle.turn(&places[0], Kind::Address, now);
            there.max(throttle.turn(&places[1], Kind::Account, now))
        };
        if turn == Turn::Now {
            counted(places, key).iter().for_each(|&place| throttle.begin(place, now));
        }
        turn
    }

    /// Whether this node has let them in from there of late.
    pub(super) fn knows(&self, visitor: &Visitor, key: &str) -> bool {
        self.lock().known.contains_key(&self.place(Some(visitor.address), Some(key)))
    }

    pub(super) fn succeeded(&self, visitor: &Visitor, key: &str, now: Timestamp) {
        let place = self.place(Some(visitor.address), Some(key));
        let now = now.as_second();
        let mut inner = self.lock();
        inner.throttle.forgive(&place);
        if inner.known.len() >= KNOWN_MAX {
            inner.known.retain(|_, since| now - *since < KNOWN_FOR_SECS);
        }
        if inner.known.len() >= KNOWN_MAX {
            inner.known.clear(); // the database knows them
        }
        inner.known.insert(place, now);
    }

    /// It has ended; `counts`: it was one to remember.
    fn end(&self, places: &[PlaceId], secret: Option<u64>, counts: bool, now: Timestamp) {
        let mut inner = self.lock();
        for &place in places {
            inner.throttle.end(&place);
            let counted = counts && inner.throttle.failed(place, secret, now);
            let room = inner.pending.len() < PENDING_MAX || inner.pending.contains_key(&place);
            if counted && room {
                let (guesses, last_at) = inner.pending.entry(place).or_default();
                *guesses += 1;
                *last_at = now.as_second();
            }
        }
        drop(inner);
        self.ended.notify_waiters();
    }
}

/// A token without a name guesses at nobody's account.
fn counted<'a>(places: &'a [PlaceId; 3], key: &str) -> &'a [PlaceId] {
    if key.is_empty() { &places[..1] } else { places }
}

/// One that is being looked at. Dropped, it counts as wrong.
pub(super) struct Guess {
    store: Store,
    places: Vec<PlaceId>,
    secret: Option<u64>,
    counts: bool,
}

impl Guess {
    /// It was right, or was not looked at after all.
    pub(super) fn take_back(mut self) {
        self.counts = false;
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        let guesses = &self.store.inner.guesses;
        guesses.end(&self.places, self.secret, self.counts, Timestamp::now());
    }
}

impl Store {
    /// Begins a guess, once it may be made. `secret` is what the same one is recognised by.
    pub(super) async fn begin_guess(
        &self,
        visitor: &Visitor,
        key: &str,
        secret: Option<u64>,
    ) -> Result<Guess, LoginError> {
        let guesses = &self.inner.guesses;
        let places = guesses.places(visitor, key);
        let until = Instant::now() + TURN_WAIT_MAX;
        let (mut known, mut waiting) = (None, None);
        loop {
            let mut ended = std::pin::pin!(guesses.ended.notified());
            ended.as_mut().enable();
            let now = Timestamp::now();
            let mut turn = guesses.begin(&places, key, false, now);
            if turn != Turn::Now {
                // Whoever logged in from there of late is judged by what comes from there alone.
                let here = match known {
                    Some(known) => known,
                    None => guesses.knows(visitor, key) || self.was_here(visitor, key, now).await?,
                };
                known = Some(here);
                if here {
                    turn = guesses.begin(&places, key, true, now);
                }
            }
            let wait = match turn {
                Turn::Now => {
                    let places = counted(&places, key).to_vec();
                    return Ok(Guess { store: self.clone(), places, secret, counts: true });
                }
                Turn::Busy => {
                    waiting = waiting.or_else(|| guesses.waiting.try_acquire().ok());
                    if waiting.is_some() && timeout_at(until, ended).await.is_ok() {
                        continue;
                    }
                    Duration::from_secs(1)
                }
                Turn::After(wait) => wait,
            };
            tracing::debug!(protocol = visitor.protocol.name(), address = %visitor.address,
                "login not looked at: too many wrong ones");
            return Err(LoginError::TooMany(wait));
        }
    }

    /// Whether an account has let somebody in from that network of late.
    pub(super) async fn was_here(
        &self,
        visitor: &Visitor,
        key: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT DISTINCT l.address FROM logins l \
            JOIN accounts a ON a.id = l.account \
            WHERE a.address_key = ?1 AND l.outcome = 0 AND l.last_at > ?2 LIMIT ?3";
        let since = micros(now) - KNOWN_FOR_SECS * 1_000_000;
        let engine = &self.inner.engine;
        let addresses = engine
            .read_brief((key.to_owned(), since), |tx, (key, since)| {
                Box::pin(async move {
                    let values = params![key, *since, KNOWN_ADDRESSES_MAX];
                    tx.rows(SQL, values, |row| row.text(0)).await
                })
            })
            .await?;
        let network = network_of(visitor.address);
        let mut addresses = addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
        Ok(addresses.any(|address| network_of(address) == network))
    }

    /// Writes this node's guesses for the others, and reads theirs.
    pub(super) async fn share_guesses(&self, now: Timestamp) -> Result<(), StoreError> {
        let (rows, read_since) = {
            let mut inner = self.inner.guesses.lock();
            let places: Vec<PlaceId> = inner.pending.keys().take(ROWS_PER_FLUSH).copied().collect();
            let take = |place: PlaceId| inner.pending.remove(&place).map(|what| (place, what));
            (places.into_iter().filter_map(take).collect::<Vec<_>>(), inner.read_until)
        };
        let engine = &self.inner.engine;
        if !rows.is_empty() {
            engine
                .write((rows, now.as_second()), Repeat::Never, |tx, (rows, now)| {
                    Box::pin(write_guesses(tx, rows, *now))
                })
                .await?;
        }
        // Clocks of nodes differ, and a flush takes its time.
        let read_since = read_since.saturating_sub(60);
        let others =
            engine.read(read_since, |tx, since| Box::pin(read_guesses(tx, *since))).await?;
        let mut inner = self.inner.guesses.lock();
        for (place, guesses, last_at) in others {
            inner.throttle.learn(place, guesses, last_at, now);
        }
        inner.read_until = now.as_second();
        Ok(())
    }
}

async fn write_guesses(
    tx: &Tx,
    rows: &[(PlaceId, (u32, i64))],
    now: i64,
) -> Result<(), StoreError> {
    const ADD: &str = "INSERT INTO login_guesses (place, guesses, last_at) VALUES (?1, ?2, ?3) \
        ON CONFLICT (place) DO UPDATE SET guesses = excluded.guesses + CASE \
        WHEN login_guesses.guesses > (excluded.last_at - login_guesses.last_at) / ?4 \
        THEN login_guesses.guesses - (excluded.last_at - login_guesses.last_at) / ?4 \
        ELSE 0 END, last_at = excluded.last_at";
    const FORGET: &str = "DELETE FROM login_guesses WHERE last_at < ?1";
    // In one order, so that two nodes do not wait for each other.
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    for (place, (guesses, last_at)) in &rows {
        tx.run(ADD, params![place, i64::from(*guesses), *last_at, FORGET_SECS]).await?;
    }
    tx.run(FORGET, params![now - KEPT_SECS]).await.map(drop)
}

async fn read_guesses(tx: &Tx, since: i64) -> Result<Vec<(PlaceId, u32, i64)>, StoreError> {
    const SQL: &str = "SELECT place, guesses, last_at FROM login_guesses WHERE last_at >= ?1 \
        ORDER BY guesses DESC LIMIT 4096";
    let read = |row: &crate::engine::Row<'_>| {
        let place = row.bytes(0)?.try_into();
        let place = place.map_err(|_| StoreError::Damaged("a place of guesses".into()))?;
        Ok((place, count32(row.int(1)?)?, row.int(2)?))
    };
    tx.rows(SQL, params![since], read).await
}

/// One person has one IPv4 address, but 2^64 IPv6 addresses.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::from([s[0], s[1], s[2], s[3], 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    fn visitor(address: &str) -> Visitor {
        Visitor { protocol: Protocol::Imap, address: address.parse().unwrap(), tls: true }
    }

    fn failed(guesses: &Guesses, from: &Visitor, key: &str, secret: u64, now: Timestamp) {
        let places = guesses.places(from, key);
        assert_eq!(guesses.begin(&places, key, false, now), Turn::Now);
        guesses.end(counted(&places, key), Some(secret), true, now);
    }

    #[test]
    fn who_is_known_at_home_is_not_shut_out_by_guesses_from_elsewhere() {
        let guesses = Guesses::new(&[1; 32]);
        let now = Timestamp::from_second(1_000_000).unwrap();
        let (home, other) = (visitor("192.0.2.1"), visitor("198.51.100.7"));
        guesses.succeeded(&home, "bob@wing.test", now);
        for guess in 1..=100 {
            let from = visitor(&format!("198.51.100.{guess}"));
            failed(&guesses, &from, "bob@wing.test", guess, now);
        }
        let turn = |who, known| {
            let places = guesses.places(who, "bob@wing.test");
            guesses.begin(&places, "bob@wing.test", known, now)
        };
        assert!(matches!(turn(&other, false), Turn::After(_)));
        assert!(guesses.knows(&home, "bob@wing.test") && !guesses.knows(&other, "bob@wing.test"));
        assert_eq!(turn(&home, true), Turn::Now);
    }

    #[test]
    fn tokens_without_a_name_shut_nobody_out_elsewhere() {
        let guesses = Guesses::new(&[1; 32]);
        let now = Timestamp::from_second(1_000_000).unwrap();
        for guess in 1..=200 {
            let from = visitor(&format!("198.51.100.{}", guess % 50));
            failed(&guesses, &from, "", guess, now);
        }
        let places = guesses.places(&visitor("192.0.2.1"), "");
        assert_eq!(guesses.begin(&places, "", false, now), Turn::Now);
    }

    #[test]
    fn one_address_is_slow_whatever_names_it_tries() {
        let guesses = Guesses::new(&[1; 32]);
        let now = Timestamp::from_second(1_000_000).unwrap();
        for n in 0..10 {
            // One network of IPv6 is one place.
            let from = visitor(&format!("2001:db8:1:2::{n}"));
            failed(&guesses, &from, &format!("user{n}@wing.test"), n + 1, now);
        }
        let turn = |from: &str| {
            let places = guesses.places(&visitor(from), "eve@wing.test");
            guesses.begin(&places, "eve@wing.test", false, now)
        };
        assert!(matches!(turn("2001:db8:1:2:ffff::1"), Turn::After(_)));
        assert_eq!(turn("2001:db8:1:3::1"), Turn::Now);
    }
}
