//! SRS: reverse-paths of mail that we forward, so that SPF passes for us and bounces come back.
//!
//! A forwarded message with its first reverse-path fails SPF at the next server, since we may not
//! send for that domain. The Sender Rewriting Scheme (Meng Weng Wong, Shevek: `libsrs2`, postsrsd and
//! others write the same form) puts the first path into the local part of an address of ours:
//!
//! | the path | becomes |
//! |---|---|
//! | `alice@wax.example` | `SRS0=HHHH=TT=wax.example=alice@ours` |
//! | `SRS0=hhhh=tt=wax.example=alice@first` | `SRS1=HHHH=first==hhhh=tt=wax.example=alice@ours` |
//! | `SRS1=xxxx=first==hhhh=tt=wax.example=alice@second` | `SRS1=HHHH=first==hhhh=tt=wax.example=alice@ours` |
//! | `<>`, any address of our domain | itself |
//!
//! `HHHH` is the beginning of an HMAC, `TT` the day, both in base32: servers on the way may change
//! the case of a local part, and it does not matter. An SRS1 has no day of its own: the first
//! forwarder looks at its own. The local part is longer than 64 octets only when the old path makes
//! it so; when the result would be no address at all, the path stays as it is.
//!
//! Twenty bits of HMAC are the customary length: to abuse them takes a million tries for each victim,
//! and gives bounces to that one address for three weeks.

use aws_lc_rs::{constant_time, hmac};
use jiff::Timestamp;
use waxwing_message::{Address, ReversePath};

/// How long a bounce may take to come back.
pub const VALID_DAYS: u16 = 21;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Two characters of base32.
const DAYS_ROUND: u16 = 1024;
const HASH_CHARS: usize = 4;

/// Rewrites reverse-paths and takes them back.
pub struct Srs {
    key: hmac::Key,
    domain: String,
}

/// Why an address of ours that looks like SRS is not used. Permanent: the recipient does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrsError {
    /// A part is missing, or what it holds is no address.
    #[error("this is not a whole SRS address")]
    Malformed,
    /// We did not make it.
    #[error("this address was not made here")]
    Forged,
    /// It is older than [`VALID_DAYS`].
    #[error("this address was for bounces and is no longer valid")]
    Expired,
}

impl Srs {
    /// With the secret that all nodes share, and the domain of the new paths. Mail to it must come to
    /// us, and its SPF record must allow us.
    pub fn new(secret: [u8; 32], domain: String) -> Srs {
        Srs { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), domain: domain.to_ascii_lowercase() }
    }

    /// The reverse-path for a message that is forwarded.
    pub fn forward(&self, path: &ReversePath, now: Timestamp) -> ReversePath {
        let Some(address) = path.address() else { return ReversePath::Null };
        if address.domain() == self.domain {
            return path.clone();
        }
        let local_part = match tagged(address.local_part()) {
            // The separator after the tag belongs to what the first forwarder is to get back.
            Some((Tag::Srs0, rest)) => self.srs1(address.domain(), rest),
            Some((Tag::Srs1, rest)) => match first_forwarder(&rest[1..]) {
                Some((_, first, rest)) => self.srs1(first, rest),
                None => self.srs0(address, now),
            },
            None => self.srs0(address, now),
        };
        Address::new(&local_part, &self.domain).map_or_else(|_| path.clone(), ReversePath::Address)
    }

    /// Where a message to `address` is to go. `None` when it is not an SRS address of ours.
    pub fn reverse(
        &self,
        address: &Address,
        now: Timestamp,
    ) -> Result<Option<ReversePath>, SrsError> {
        if address.domain() != self.domain {
            return Ok(None);
        }
        let original = match tagged(address.local_part()) {
            None => return Ok(None),
            Some((Tag::Srs0, rest)) => self.reverse_srs0(&rest[1..], now)?,
            Some((Tag::Srs1, rest)) => self.reverse_srs1(&rest[1..])?,
        };
        Ok(Some(ReversePath::Address(original)))
    }

    fn srs0(&self, address: &Address, now: Timestamp) -> String {
        let (local_part, domain) = (address.local_part(), address.domain());
        let day = written_day(day_of(now));
        let hash = self.hash(&["SRS0", &day, domain, local_part]);
        format!("SRS0={hash}={day}={domain}={local_part}")
    }

    /// `rest` begins with the separator that stood after SRS0.
    fn srs1(&self, first: &str, rest: &str) -> String {
        let hash = self.hash(&["SRS1", first, rest]);
        format!("SRS1={hash}={first}={rest}")
    }

    fn reverse_srs0(&self, rest: &str, now: Timestamp) -> Result<Address, SrsError> {
        let mut parts = rest.splitn(4, '=');
        let mut next = || parts.next().ok_or(SrsError::Malformed);
        let (hash, day, domain, local_part) = (next()?, next()?, next()?, next()?);
        self.check(hash, &["SRS0", day, domain, local_part])?;
        let age = (day_of(now) + DAYS_ROUND - read_day(day)?) % DAYS_ROUND;
        // The clock of another node may already be in tomorrow.
        if age > VALID_DAYS && age != DAYS_ROUND - 1 {
            return Err(SrsError::Expired);
        }
        Address::new(local_part, domain).map_err(|_| SrsError::Malformed)
    }

    fn reverse_srs1(&self, rest: &str) -> Result<Address, SrsError> {
        let (hash, first, rest) = first_forwarder(rest).ok_or(SrsError::Malformed)?;
        self.check(hash, &["SRS1", first, rest])?;
        Address::new(&format!("SRS0{rest}"), first).map_err(|_| SrsError::Malformed)
    }

    /// In constant time, and in any case of letters.
    fn check(&self, hash: &str, parts: &[&str]) -> Result<(), SrsError> {
        let given = hash.to_ascii_uppercase();
        constant_time::verify_slices_are_equal(given.as_bytes(), self.hash(parts).as_bytes())
            .map_err(|_| SrsError::Forged)
    }

    fn hash(&self, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part.to_ascii_lowercase().as_bytes());
            // No address has it, so that parts cannot flow into each other.
            context.update(b"\0");
        }
        let tag = context.sign();
        tag.as_ref().iter().take(HASH_CHARS).map(|octet| base32(u16::from(*octet))).collect()
    }
}

enum Tag {
    Srs0,
    Srs1,
}

/// The tag of an SRS local part, and the rest from its separator on. Others write `-` or `+` there.
fn tagged(local_part: &str) -> Option<(Tag, &str)> {
    let (tag, rest) = local_part.split_at_checked(4)?;
    if !rest.starts_with(['=', '-', '+']) {
        return None;
    }
    match tag {
        tag if tag.eq_ignore_ascii_case("SRS0") => Some((Tag::Srs0, rest)),
        tag if tag.eq_ignore_ascii_case("SRS1") => Some((Tag::Srs1, rest)),
        _ => None,
    }
}

/// `HHHH=first=` and what stood after SRS0 there, with its separator.
fn first_forwarder(rest: &str) -> Option<(&str, &str, &str)> {
    let (hash, rest) = rest.split_once('=')?;
    let (first, rest) = rest.split_once('=')?;
    (rest.starts_with(['=', '-', '+']) && !first.is_empty()).then_some((hash, first, rest))
}

fn day_of(now: Timestamp) -> u16 {
    let days = now.as_second().div_euclid(86_400).rem_euclid(i64::from(DAYS_ROUND));
    u16::try_from(days).expect("less than 1,024")
}

fn base32(value: u16) -> char {
    char::from(BASE32[usize::from(value % 32)])
}

fn written_day(day: u16) -> String {
    [base32(day / 32), base32(day)].into_iter().collect()
}

fn read_day(text: &str) -> Result<u16, SrsError> {
    let digit = |octet: u8| BASE32.iter().position(|known| *known == octet.to_ascii_uppercase());
    match text.as_bytes() {
        &[high, low] => {
            let (high, low) = digit(high).zip(digit(low)).ok_or(SrsError::Malformed)?;
            Ok(u16::try_from(high * 32 + low).expect("less than 1,024"))
        }
        _ => Err(SrsError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_SECS: i64 = 86_400;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(20_000 * DAY_SECS + day * DAY_SECS).unwrap()
    }

    fn srs(domain: &str) -> Srs {
        Srs::new([7; 32], domain.to_owned())
    }

    fn path(text: &str) -> ReversePath {
        ReversePath::Address(Address::parse(text).unwrap())
    }

    fn reversed(srs: &Srs, path: &ReversePath, day: i64) -> Result<Option<ReversePath>, SrsError> {
        srs.reverse(path.address().unwrap(), at(day))
    }

    #[test]
    fn there_and_back() {
        let ours = srs("fwd.example");
        let first = path("alice@wax.example");
        let forwarded = ours.forward(&first, at(0));
        let local_part = forwarded.address().unwrap().local_part();
        assert!(local_part.starts_with("SRS0="), "{forwarded}");
        assert!(local_part.ends_with("=wax.example=alice"), "{forwarded}");
        assert_eq!(local_part.len(), "SRS0=HHHH=TT=wax.example=alice".len());
        assert_eq!(forwarded.address().unwrap().domain(), "fwd.example");
        for day in [0, 1, 21] {
            assert_eq!(reversed(&ours, &forwarded, day), Ok(Some(first.clone())));
        }
        assert_eq!(reversed(&ours, &forwarded, 22), Err(SrsError::Expired));
        assert_eq!(reversed(&ours, &forwarded, 400), Err(SrsError::Expired));
        // A node whose clock is before midnight.
        assert_eq!(reversed(&ours, &forwarded, -1), Ok(Some(first)));
    }

    #[test]
    fn the_case_of_letters_does_not_matter() {
        let ours = srs("FWD.example");
        let forwarded = ours.forward(&path("alice@wax.example"), at(0)).to_string();
        for changed in [forwarded.to_lowercase(), forwarded.to_uppercase()] {
            let back = reversed(&ours, &path(&changed), 3).unwrap().unwrap().to_string();
            assert!(back.eq_ignore_ascii_case("alice@wax.example"), "{back}");
        }
    }

    #[test]
    fn some_paths_stay() {
        let ours = srs("fwd.example");
        assert_eq!(ours.forward(&ReversePath::Null, at(0)), ReversePath::Null);
        let own = path("bob@fwd.example");
        assert_eq!(ours.forward(&own, at(0)), own);
        assert_eq!(reversed(&ours, &own, 0), Ok(None));
        assert_eq!(reversed(&ours, &path("SRS0=AAAA=BB=a.example=b@else.example"), 0), Ok(None));
        // It would be longer than any address may be.
        let long = path(&format!("{}@{}.example", "a".repeat(180), "b".repeat(60)));
        assert_eq!(ours.forward(&long, at(0)), long);
    }

    #[test]
    fn forwarders_in_a_row() {
        let [one, two, three] = ["one.example", "two.example", "three.example"].map(srs);
        let first = path("alice@wax.example");
        let from_one = one.forward(&first, at(0));
        let from_two = two.forward(&from_one, at(1));
        let from_three = three.forward(&from_two, at(2));
        let text = from_three.to_string();
        assert!(text.starts_with("SRS1="), "{text}");
        assert!(
            text.contains("=one.example==") && text.ends_with("=alice@three.example"),
            "{text}"
        );
        // A bounce goes from the third to the first at once, and from there to the sender.
        let back = reversed(&three, &from_three, 5).unwrap().unwrap();
        assert_eq!(back, from_one);
        assert_eq!(reversed(&two, &from_two, 5), Ok(Some(from_one.clone())));
        assert_eq!(reversed(&one, &back, 5), Ok(Some(first)));
    }

    #[test]
    fn forgeries_are_refused() {
        let ours = srs("fwd.example");
        let forwarded = ours.forward(&path("alice@wax.example"), at(0)).to_string();
        let other = forwarded.replace("alice", "mallory");
        assert_eq!(reversed(&ours, &path(&other), 0), Err(SrsError::Forged));
        let stranger = Srs::new([8; 32], "fwd.example".to_owned());
        assert_eq!(reversed(&stranger, &path(&forwarded), 0), Err(SrsError::Forged));
        for broken in ["SRS0=AAAA=BB=wax.example@fwd.example", "SRS1=AAAA=one@fwd.example"] {
            assert_eq!(reversed(&ours, &path(broken), 0), Err(SrsError::Malformed));
        }
        for broken in ["SRS0==BB=wax.example=a@fwd.example", "SRS1=AAAA=one.example==x@fwd.example"]
        {
            assert_eq!(reversed(&ours, &path(broken), 0), Err(SrsError::Forged));
        }
    }

    #[test]
    fn other_writers_separators_are_kept() {
        // SRS0+ and SRS0- come from implementations that were told to write so.
        let ours = srs("fwd.example");
        for first in [
            "SRS0+ab12=cd=wax.example=alice@one.example",
            "srs0-ab12=cd=wax.example=al@one.example",
        ] {
            let back = reversed(&ours, &ours.forward(&path(first), at(0)), 0).unwrap().unwrap();
            assert!(back.to_string().eq_ignore_ascii_case(first), "{back}");
        }
    }

    proptest! {
        #[test]
        fn every_path_comes_back(
            local in "[a-zA-Z0-9.!#=+\" -]{1,40}",
            domain in "[a-z]{1,20}(\\.[a-z]{1,10}){0,3}",
            day in 0i64..5000,
            later in 0i64..=21,
        ) {
            let Ok(address) = Address::new(&local, &domain) else { return Ok(()) };
            let path = ReversePath::Address(address);
            let ours = srs("fwd.example");
            let forwarded = ours.forward(&path, at(day));
            let back = ours.reverse(forwarded.address().unwrap(), at(day + later)).unwrap().unwrap();
            prop_assert!(back.to_string().eq_ignore_ascii_case(&path.to_string()));
        }

        #[test]
        fn any_local_part_is_answered(local in "(SRS[01][=+-])?.{1,60}") {
            if let Ok(address) = Address::new(&local, "fwd.example") {
                let _ = srs("fwd.example").reverse(&address, at(0));
            }
            if let Ok(address) = Address::new(&local, "else.example") {
                let _ = srs("fwd.example").forward(&ReversePath::Address(address), at(0));
            }
        }
    }
}
