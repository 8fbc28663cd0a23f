//! Key records looked up, each once per message, and a signature held against them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use waxwing_dns::{LookupError, Resolve};
use waxwing_message::journey::LookupSeen;

use super::record::KeyRecord;
use super::signature::Terms;
use super::{Problem, Verification};
use crate::lookup::Recorder;

/// Records at one name that are tried. RFC 6376 §6.1.2 leaves several to the verifier; while a key
/// is replaced some domains have two.
const RECORDS_MAX: usize = 4;

/// Keys that were read before, by the text of their records: a server that hears from the same
/// domains again and again need not read their keys each time. Nothing else is remembered; whether a
/// record is still there, the DNS says anew. Share one among all verifiers.
///
/// It is bounded: when a generation is full it becomes the old one, and what is not asked for while
/// the next one fills is forgotten.
#[derive(Default)]
pub struct KeyCache {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Box<[u8]>, Arc<KeyRecord>>,
    old: HashMap<Box<[u8]>, Arc<KeyRecord>>,
}

/// Keys of one generation.
const GENERATION_MAX: usize = 1024;
/// Longer records are not kept: an RSA key of 8192 bits takes about 1,500 octets.
const CACHED_OCTETS_MAX: usize = 2048;

impl KeyCache {
    /// Empty.
    pub fn new() -> KeyCache {
        KeyCache::default()
    }

    fn read(&self, text: &[u8]) -> Result<Arc<KeyRecord>, Problem> {
        let known = {
            let mut generations = self.lock();
            let known = generations.young.get(text).cloned();
            known.or_else(|| {
                let (text, key) = generations.old.remove_entry(text)?;
                generations.insert(text, Arc::clone(&key));
                Some(key)
            })
        };
        if let Some(key) = known {
            return Ok(key);
        }
        let key = Arc::new(KeyRecord::parse(text)?);
        if text.len() <= CACHED_OCTETS_MAX {
            self.lock().insert(text.into(), Arc::clone(&key));
        }
        Ok(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn insert(&mut self, text: Box<[u8]>, key: Arc<KeyRecord>) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(text, key);
    }
}

/// The records at one name, or why there are none.
pub(crate) type Records = Result<Vec<Result<Arc<KeyRecord>, Problem>>, Problem>;

/// The keys of one message.
pub(crate) struct Keys<'r, R> {
    resolver: &'r R,
    cache: Option<&'r KeyCache>,
    known: Vec<(String, Arc<Records>)>,
}

impl<'r, R: Resolve> Keys<'r, R> {
    pub fn new(resolver: &'r R, cache: Option<&'r KeyCache>) -> Keys<'r, R> {
        Keys { resolver, cache, known: Vec::new() }
    }

    /// The records at a name, and the questions that this took now.
    pub async fn at(&mut self, name: &str) -> (Arc<Records>, Vec<LookupSeen>) {
        if let Some((_, found)) = self.known.iter().find(|(known, _)| known == name) {
            return (Arc::clone(found), Vec::new());
        }
        let recorder = Recorder::new(self.resolver);
        let found = match recorder.txt(name).await {
            Ok(answer) => {
                let records = answer.records.iter().take(RECORDS_MAX);
                Ok(records.map(|text| self.read(text)).collect())
            }
            Err(error) => Err(problem_of(&error, name)),
        };
        let found = Arc::new(found);
        self.known.push((name.to_owned(), Arc::clone(&found)));
        (found, recorder.take())
    }

    fn read(&self, text: &[u8]) -> Result<Arc<KeyRecord>, Problem> {
        match self.cache {
            Some(cache) => cache.read(text),
            None => KeyRecord::parse(text).map(Arc::new),
        }
    }
}

fn problem_of(error: &LookupError, name: &str) -> Problem {
    match error.is_temporary() {
        true => Problem::Dns { error: error.to_string() },
        false => Problem::KeyMissing { name: name.to_owned() },
    }
}

/// What the keys say of a signature over header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judged {
    /// One of them made it.
    Holds,
    /// None of those that could have made it did.
    Differs,
    /// There is none that could have made it.
    NoKey(Problem),
}

/// Holds a signature against the keys, and notes in `said` what the deciding key is like.
pub(crate) fn judge(
    found: &Records,
    terms: &Terms,
    hash: &[u8; 32],
    said: &mut Verification,
) -> Judged {
    let records = match found {
        Ok(records) => records,
        Err(problem) => return Judged::NoKey(problem.clone()),
    };
    let mut outcome = None;
    for record in records {
        let usable = record.as_ref().map_err(Problem::clone).and_then(|key| fits(key, terms, said));
        match usable {
            Err(problem) => {
                outcome.get_or_insert(Judged::NoKey(problem));
            }
            Ok(key) => {
                said.testing = key.testing;
                said.key_bits = key.bits;
                if key.verifies(hash, &terms.signature) {
                    return Judged::Holds;
                }
                outcome = Some(Judged::Differs);
            }
        }
    }
    outcome.unwrap_or(Judged::NoKey(Problem::KeyMissing { name: terms.key_name.clone() }))
}

/// Whether the key may have made the signature at all.
fn fits<'k>(
    key: &'k KeyRecord,
    terms: &Terms,
    said: &Verification,
) -> Result<&'k KeyRecord, Problem> {
    if key.algorithm != terms.algorithm {
        return Err(Problem::KeyUnfit {
            what: "it is of another kind (k=) than the signature (a=)",
        });
    }
    // RFC 6376 §3.6.1, t=s.
    if key.strict && !terms.exact_identity {
        return Err(Problem::DomainMismatch {
            identity: said.identity.clone(),
            domain: said.domain.clone(),
        });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let cache = KeyCache::new();
        let text = |i: usize| {
            format!("n={i}; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").into_bytes()
        };
        let first = cache.read(&text(0)).unwrap();
        for i in 1..5 * GENERATION_MAX {
            cache.read(&text(i)).unwrap();
            if i % 500 == 0 {
                assert!(Arc::ptr_eq(&first, &cache.read(&text(0)).unwrap()));
            }
        }
        let generations = cache.lock();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION_MAX);
        drop(generations);
        assert!(cache.read(b"no key").is_err());
    }
}
