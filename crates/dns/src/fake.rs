//! [`FakeZone`]: zones that answer in memory, for tests of everything above.
//!
//! It answers at once and from the same [`Zones`] that the server serves, fails where it is told to,
//! and keeps a log of what was asked. Names in none of its zones do not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::record::{RecordData, RecordType, canonical_name, is_at_or_below};
use crate::resolve::{Alias, Answer, Dnssec, LookupError, Resolve, Temporary};
use crate::zone::{End, Zone, ZoneError, Zones};

/// A resolver for tests.
#[derive(Debug, Default)]
pub struct FakeZone {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    zones: Zones,
    /// At and below these names everything is signed.
    secure: BTreeSet<String>,
    /// `None` stands for every type.
    failures: BTreeMap<(String, Option<RecordType>), LookupError>,
    asked: Vec<(String, RecordType)>,
}

impl FakeZone {
    /// No zones: every name is answered with NXDOMAIN.
    pub fn new() -> FakeZone {
        FakeZone::default()
    }

    /// One zone, from text ([`crate::zone`]).
    pub fn parse(apex: &str, text: &str) -> Result<FakeZone, ZoneError> {
        Ok(FakeZone::new().with(Zone::parse(apex, text)?))
    }

    /// Adds a zone, in place of one with the same name.
    pub fn with(self, zone: Zone) -> FakeZone {
        self.insert(zone);
        self
    }

    /// Adds a zone, in place of one with the same name.
    pub fn insert(&self, zone: Zone) {
        self.lock().zones.insert(zone);
    }

    /// Answers at and below `name` are [`Dnssec::Secure`] from now on; others stay insecure.
    pub fn sign(&self, name: &str) {
        self.lock().secure.insert(canonical(name));
    }

    /// Every question for `name` (of one type, or of all) ends in `error` from now on.
    pub fn fail(&self, name: &str, record_type: impl Into<Option<RecordType>>, error: LookupError) {
        self.lock().failures.insert((canonical(name), record_type.into()), error);
    }

    /// Every question for `name` times out from now on.
    pub fn time_out(&self, name: &str) {
        self.fail(name, None, Temporary::Timeout.into());
    }

    /// Every question for `name` ends in SERVFAIL from now on.
    pub fn servfail(&self, name: &str) {
        self.fail(name, None, Temporary::ServFail.into());
    }

    /// Every question for `name` has a wrong signature from now on.
    pub fn bogus(&self, name: &str) {
        self.fail(name, None, LookupError::Bogus);
    }

    /// Takes every failure of `name` back.
    pub fn mend(&self, name: &str) {
        let name = canonical(name);
        self.lock().failures.retain(|(failing, _), _| *failing != name);
    }

    /// What was asked, in order, aliases not counted.
    pub fn asked(&self) -> Vec<(String, RecordType)> {
        self.lock().asked.clone()
    }

    /// How many questions were asked.
    pub fn lookups(&self) -> usize {
        self.lock().asked.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Tests name what they mean; a name that is none is their mistake.
fn canonical(name: &str) -> String {
    canonical_name(name).unwrap_or_else(|| panic!("{name:?} is not a domain name"))
}

impl State {
    fn query(&mut self, name: &str, kind: RecordType) -> Result<Answer<RecordData>, LookupError> {
        let name = canonical_name(name).ok_or(LookupError::BadName)?;
        self.asked.push((name.clone(), kind));
        let found = self.zones.find(&name, kind);
        // Any name on the way may be the one that fails.
        let on_the_way = found.aliases.iter().map(|alias| &alias.owner).chain([&found.name]);
        for name in on_the_way {
            for failing in [Some(kind), None] {
                if let Some(error) = self.failures.get(&(name.clone(), failing)) {
                    return Err(error.clone());
                }
            }
        }
        let aliases: Vec<Alias> = found
            .aliases
            .iter()
            .map(|alias| Alias {
                owner: alias.owner.clone(),
                target: alias.target.clone(),
                dnssec: self.status(&alias.owner),
            })
            .collect();
        let dnssec = aliases.iter().fold(self.status(&found.name), |all, a| all.and(a.dnssec));
        let negative_ttl = |zone: &Zone| {
            let (soa, ttl) = zone.soa();
            Duration::from_secs(soa.minimum_secs.min(ttl).into())
        };
        match found.end {
            End::Records(set) => {
                let ttls = found.aliases.iter().map(|alias| alias.ttl_secs);
                let ttl = ttls.fold(set.ttl_secs, u32::min);
                let ttl = Duration::from_secs(ttl.into());
                let records = set.records.clone();
                Ok(Answer { records, name: found.name, aliases, ttl, dnssec })
            }
            End::NoData(zone) => Err(LookupError::NoData { dnssec, ttl: negative_ttl(zone) }),
            End::NxDomain(zone) => Err(LookupError::NxDomain { dnssec, ttl: negative_ttl(zone) }),
            End::NotOurs => Err(LookupError::NxDomain { dnssec, ttl: Duration::from_secs(60) }),
            End::AliasLoop => Err(LookupError::Malformed("aliases without end")),
        }
    }

    fn status(&self, name: &str) -> Dnssec {
        match self.secure.iter().any(|signed| is_at_or_below(name, signed)) {
            true => Dnssec::Secure,
            false => Dnssec::Insecure,
        }
    }
}

impl Resolve for FakeZone {
    fn query(
        &self,
        name: &str,
        record_type: RecordType,
    ) -> impl Future<Output = Result<Answer<RecordData>, LookupError>> + Send {
        let answer = self.lock().query(name, record_type);
        async move { answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    /// FakeZone never waits.
    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().expect("FakeZone answers at once")
    }

    #[test]
    fn answers_carry_ttl_status_and_aliases() {
        let text = "www 30 CNAME mail.wing.test.\n";
        let fake = FakeZone::parse("wax.test", text)
            .unwrap()
            .with(Zone::parse("wing.test", "mail 90 A 127.0.0.2\n").unwrap());
        let answer = now(fake.a("WWW.wax.test.")).unwrap();
        assert_eq!(answer.name, "mail.wing.test");
        assert_eq!(answer.ttl, Duration::from_secs(30));
        assert_eq!(answer.dnssec, Dnssec::Insecure);
        fake.sign("wing.test");
        let answer = now(fake.a("www.wax.test")).unwrap();
        assert_eq!(answer.dnssec, Dnssec::Insecure, "one unsigned alias makes it insecure");
        fake.sign("wax.test");
        assert!(now(fake.a("www.wax.test")).unwrap().dnssec.is_secure());
        assert_eq!(fake.lookups(), 3);
    }

    #[test]
    fn failures_are_as_told() {
        let fake = FakeZone::parse("wax.test", "@ A 127.0.0.1\nwww CNAME @\n").unwrap();
        fake.time_out("wax.test");
        let timeout = LookupError::Temporary(Temporary::Timeout);
        assert_eq!(now(fake.a("wax.test")).unwrap_err(), timeout);
        assert_eq!(now(fake.a("www.wax.test")).unwrap_err(), timeout);
        fake.mend("wax.test");
        assert!(now(fake.a("wax.test")).is_ok());
        fake.fail("wax.test", RecordType::Mx, LookupError::Bogus);
        assert_eq!(now(fake.mx("wax.test")).unwrap_err(), LookupError::Bogus);
        assert!(now(fake.a("wax.test")).is_ok());
    }

    #[test]
    fn the_two_absences_differ() {
        let fake = FakeZone::parse("wax.test", "@ A 127.0.0.1\n").unwrap();
        assert!(matches!(now(fake.mx("wax.test")), Err(LookupError::NoData { .. })));
        assert!(matches!(now(fake.mx("no.wax.test")), Err(LookupError::NxDomain { .. })));
        assert!(matches!(now(fake.mx("elsewhere.example")), Err(LookupError::NxDomain { .. })));
        assert_eq!(now(fake.mx("not a name")).unwrap_err(), LookupError::BadName);
    }
}
