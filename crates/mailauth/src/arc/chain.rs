//! The sets of a message, collected (RFC 8617 §4.2, §5.2 steps 1 and 3).

use super::{ChainStatus, INSTANCES_MAX, Sealer};
use crate::dkim::{Bodies, FieldRef, HeaderBlock, Kind, Signature, Tags, read_tags};
use crate::results::AuthenticationResults;

/// The sets, as far as they can be read, and the first thing that is wrong with them.
#[derive(Default)]
pub(crate) struct Chain {
    /// By instance, from 1.
    pub sets: Vec<Set>,
    pub fault: Option<String>,
}

/// One set while it is collected; complete when the chain has no fault.
#[derive(Default)]
pub(crate) struct Set {
    /// The place of ARC-Authentication-Results.
    pub results: Option<usize>,
    pub message: Option<Signature>,
    pub seal: Option<Signature>,
    pub cv: Option<ChainStatus>,
}

const RESULTS: &str = "ARC-Authentication-Results";
const MESSAGE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

impl Chain {
    /// Collects the sets and asks for the hashes of the body that they want.
    pub fn read(header: &HeaderBlock, bodies: &mut Bodies) -> Chain {
        let mut chain = Chain::default();
        for name in [RESULTS, MESSAGE, SEAL] {
            for field in header.named(name.as_bytes()) {
                if let Err(fault) = chain.add(name, field, bodies) {
                    chain.fault.get_or_insert(fault);
                }
            }
        }
        if chain.fault.is_none() {
            chain.fault = chain.incomplete();
        }
        chain
    }

    /// The highest instance.
    pub fn instances(&self) -> u32 {
        self.sets.len() as u32
    }

    fn add(
        &mut self,
        name: &'static str,
        field: FieldRef<'_>,
        bodies: &mut Bodies,
    ) -> Result<(), String> {
        let (tags, outcome) = match name {
            RESULTS => {
                (results_tags(field.value).map(|(tags, _)| tags).unwrap_or_default(), Ok(()))
            }
            _ => Tags::parse(field.value),
        };
        let instance = tags.get(b"i").and_then(instance);
        let instance = instance
            .filter(|i| (1..=INSTANCES_MAX).contains(i))
            .ok_or_else(|| format!("an {name} field has no instance from 1 to {INSTANCES_MAX}"))?;
        if self.sets.len() < instance as usize {
            self.sets.resize_with(instance as usize, Set::default);
        }
        let set = &mut self.sets[instance as usize - 1];
        let kind = match name {
            RESULTS => {
                let twice = set.results.replace(field.place).is_some();
                return if twice { Err(double(name, instance)) } else { Ok(()) };
            }
            MESSAGE => Kind::ArcMessage,
            _ => Kind::ArcSeal,
        };
        let read = Signature::of(kind, field.place, read_tags(kind, &tags, outcome), bodies);
        let fault = read.terms.as_ref().err().map(ToString::to_string);
        let place = match kind {
            Kind::ArcSeal => {
                set.cv = cv(&tags);
                &mut set.seal
            }
            _ => &mut set.message,
        };
        let twice = place.replace(read).is_some();
        match (twice, fault, kind) {
            (true, ..) => Err(double(name, instance)),
            (false, Some(fault), Kind::ArcSeal) => Err(format!("{name} {instance}: {fault}")),
            // RFC 8617 §5.2 steps 4 and 5: what is wrong with a message signature counts in the last
            // set alone.
            (false, ..) => Ok(()),
        }
    }

    /// What the sets lack, or say that they cannot.
    fn incomplete(&self) -> Option<String> {
        for (set, i) in self.sets.iter().zip(1..) {
            let there = [
                (set.results.is_some(), RESULTS),
                (set.message.is_some(), MESSAGE),
                (set.seal.is_some(), SEAL),
            ];
            if let Some((_, name)) = there.iter().find(|(there, _)| !there) {
                return Some(format!("the set {i} has no {name}"));
            }
            match (i, set.cv) {
                (1, Some(ChainStatus::None)) | (2.., Some(ChainStatus::Pass)) => {}
                (_, Some(ChainStatus::Fail)) => {
                    return Some(format!("the seal {i} says that the chain had failed (cv=fail)"));
                }
                (_, Some(cv)) => return Some(format!("the seal {i} cannot say cv={cv}")),
                (_, None) => {
                    return Some(format!(
                        "the seal {i} does not say what the chain was worth (cv=)"
                    ));
                }
            }
        }
        None
    }

    /// Who sealed, as far as it can be read.
    pub fn sealers(&self) -> Vec<Sealer> {
        let sealer = |(set, instance): (&Set, u32)| {
            let said = &set.seal.as_ref()?.said;
            let (domain, selector) = (said.domain.clone(), said.selector.clone());
            Some(Sealer { instance, domain, selector, cv: set.cv })
        };
        self.sets.iter().zip(1..).filter_map(sealer).collect()
    }

    /// What the last sealer saw.
    pub fn results_of_last(&self, header: &HeaderBlock) -> Option<AuthenticationResults> {
        let field = header.field(self.sets.last()?.results?);
        let (_, payload) = results_tags(field.value)?;
        AuthenticationResults::parse(payload).ok()
    }
}

fn double(name: &str, instance: u32) -> String {
    format!("two {name} fields have the instance {instance}")
}

/// `cv=` of a seal. RFC 8617 §4.1.3: the three words are case-sensitive like all tag values.
fn cv(tags: &Tags<'_>) -> Option<ChainStatus> {
    match tags.get(b"cv")? {
        b"none" => Some(ChainStatus::None),
        b"pass" => Some(ChainStatus::Pass),
        b"fail" => Some(ChainStatus::Fail),
        _ => None,
    }
}

/// `i=` at the beginning of the results, and what is after it (RFC 8617 §4.1.1).
fn results_tags(value: &[u8]) -> Option<(Tags<'_>, &[u8])> {
    let semicolon = memchr::memchr(b';', value)?;
    let (tags, outcome) = Tags::parse(&value[..semicolon]);
    outcome.ok()?;
    Some((tags, &value[semicolon + 1..]))
}

/// One or two digits.
fn instance(digits: &[u8]) -> Option<u32> {
    let fits = (1..=2).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
}
