//! The hash of the body, while it streams (RFC 6376 §3.7).

use aws_lc_rs::digest::{Context, SHA256};

use super::Canonicalization;
use super::canonical::Body;

/// Different hashes of one body that are kept at once: two canonicalizations and a few lengths.
/// More serve nobody but who wants to keep us busy.
const HASHES_MAX: usize = 16;

/// The SHA-256 of a body in canonical form, from its pieces. Signing wants
/// [`Canonicalization::Relaxed`] and no limit.
#[derive(Clone)]
pub struct BodyHasher {
    body: Body,
    hash: Limited,
}

impl BodyHasher {
    /// Hashes at most `limit` octets of the canonical form (the `l=` tag); `None` hashes all.
    pub fn new(canonicalization: Canonicalization, limit: Option<u64>) -> BodyHasher {
        BodyHasher { body: Body::new(canonicalization), hash: Limited::new(limit) }
    }

    /// The next piece of the body: what follows the empty line after the header, with CRLF.
    pub fn write(&mut self, octets: &[u8]) {
        let BodyHasher { body, hash } = self;
        body.write(octets, &mut |octets| hash.write(octets));
    }

    /// The hash.
    pub fn finish(self) -> [u8; 32] {
        let BodyHasher { body, mut hash } = self;
        body.finish(&mut |octets| hash.write(octets));
        hash.finish().hash
    }
}

/// What a hash says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashed {
    pub hash: [u8; 32],
    /// Octets of the canonical body, hashed or not.
    pub octets: u64,
}

#[derive(Clone)]
struct Limited {
    context: Context,
    limit: Option<u64>,
    octets: u64,
}

impl Limited {
    fn new(limit: Option<u64>) -> Limited {
        Limited { context: Context::new(&SHA256), limit, octets: 0 }
    }

    fn write(&mut self, octets: &[u8]) {
        let room = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.octets));
        self.octets += octets.len() as u64;
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(octets.len());
        if room > 0 {
            self.context.update(&octets[..room]);
        }
    }

    fn finish(self) -> Hashed {
        Hashed { hash: sha256_of(self.context), octets: self.octets }
    }
}

/// The hash of what a context was given.
pub(crate) fn sha256_of(context: Context) -> [u8; 32] {
    context.finish().as_ref().try_into().expect("SHA-256 has 32 octets")
}

/// Names one hash within [`Bodies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyId(usize);

/// All hashes of one body that its signatures want: each canonical form is made once, and equal
/// wishes share a hash.
#[derive(Default)]
pub(crate) struct Bodies {
    wishes: Vec<(Canonicalization, Option<u64>)>,
    forms: Vec<Form>,
}

struct Form {
    kind: Canonicalization,
    body: Body,
    hashes: Vec<(usize, Limited)>,
}

impl Bodies {
    /// Asks for a hash. `None` when there are too many of them.
    pub fn want(&mut self, kind: Canonicalization, limit: Option<u64>) -> Option<BodyId> {
        if let Some(known) = self.wishes.iter().position(|wish| *wish == (kind, limit)) {
            return Some(BodyId(known));
        }
        if self.wishes.len() == HASHES_MAX {
            return None;
        }
        let id = self.wishes.len();
        self.wishes.push((kind, limit));
        let hash = (id, Limited::new(limit));
        match self.forms.iter_mut().find(|form| form.kind == kind) {
            Some(form) => form.hashes.push(hash),
            None => self.forms.push(Form { kind, body: Body::new(kind), hashes: vec![hash] }),
        }
        Some(BodyId(id))
    }

    pub fn write(&mut self, octets: &[u8]) {
        for Form { body, hashes, .. } in &mut self.forms {
            body.write(octets, &mut |octets| hashes.iter_mut().for_each(|(_, h)| h.write(octets)));
        }
    }

    pub fn finish(self) -> BodyHashes {
        let mut found = vec![None; self.wishes.len()];
        for Form { body, mut hashes, .. } in self.forms {
            body.finish(&mut |octets| hashes.iter_mut().for_each(|(_, h)| h.write(octets)));
            for (id, hash) in hashes {
                found[id] = Some(hash.finish());
            }
        }
        BodyHashes(found.into_iter().flatten().collect())
    }
}

/// The finished hashes, by [`BodyId`].
pub(crate) struct BodyHashes(Vec<Hashed>);

impl BodyHashes {
    pub fn get(&self, id: BodyId) -> Hashed {
        self.0[id.0]
    }
}
