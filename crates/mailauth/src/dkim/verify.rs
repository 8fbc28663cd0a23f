//! The [`Verifier`]: a message streams in, and at the end every signature is judged.
//!
//! | state | until |
//! |---|---|
//! | header: octets are kept | the empty line, or 256 KiB |
//! | body: octets go to the hashes that the signatures want | the end |
//!
//! Where the header ends without an empty line is for [`waxwing_message::parse::field`] to say, so
//! that what is verified is what a reader is shown.

use std::collections::HashMap;

use jiff::Timestamp;
use waxwing_dns::Resolve;

use super::body::BodyId;
use super::signature::{Kind, Terms, read};
use super::{
    Bodies, BodyHashes, HeaderBlock, Judged, KeyCache, Keys, Problem, Verification, Verified, judge,
};
use crate::arc::Chain;

/// Signatures that are verified, from the top: what a message needs, and no more work than that.
pub const SIGNATURES_MAX: usize = 10;
/// Octets of a header that are kept. Signatures of a longer one are *neutral*.
pub const HEADER_OCTETS_MAX: usize = 256 * 1024;
/// Characters of `b=` that tell a signature from others (RFC 6008 §4.1).
const B_SHOWN: usize = 8;

/// Verifies a message while it streams in.
pub struct Verifier {
    state: State,
}

enum State {
    Header {
        kept: Vec<u8>,
        /// Up to here there is no empty line.
        searched: usize,
    },
    Body(Box<Message>),
}

/// A message whose header is known.
struct Message {
    header: HeaderBlock,
    /// The header was cut.
    too_long: bool,
    signatures: Vec<Signature>,
    /// How many DKIM-Signature fields there are.
    total: usize,
    chain: Chain,
    bodies: Bodies,
}

/// A signature field.
pub(crate) struct Signature {
    /// Which field it is.
    pub place: usize,
    pub said: Verification,
    pub terms: Result<Terms, Problem>,
    /// The hash of the body that it wants.
    pub body: Option<BodyId>,
}

impl Signature {
    /// Reads a field and asks for its hash.
    pub fn read(kind: Kind, place: usize, value: &[u8], bodies: &mut Bodies) -> Signature {
        Signature::of(kind, place, read(kind, value), bodies)
    }

    /// The same, of a field that is read.
    pub fn of(
        kind: Kind,
        place: usize,
        (said, terms): (Verification, Result<Terms, Problem>),
        bodies: &mut Bodies,
    ) -> Signature {
        let body = match (&terms, kind) {
            (Ok(terms), Kind::Dkim | Kind::ArcMessage) => bodies.want(terms.body, terms.length),
            _ => None,
        };
        Signature { place, said, terms, body }
    }

    /// Whether the body is what was signed, as far as its hash says.
    pub fn body_holds(&self, hashes: &BodyHashes) -> bool {
        let (Ok(terms), Some(body)) = (&self.terms, self.body) else { return false };
        let body = hashes.get(body);
        body.hash == terms.body_hash && terms.length.is_none_or(|length| length <= body.octets)
    }
}

impl Default for Verifier {
    fn default() -> Verifier {
        Verifier::new()
    }
}

impl Verifier {
    /// At the beginning of a message.
    pub fn new() -> Verifier {
        Verifier { state: State::Header { kept: Vec::new(), searched: 0 } }
    }

    /// The next octets of the message, in pieces of any size. Lines end with CRLF, as on the wire.
    pub fn write(&mut self, octets: &[u8]) {
        let (kept, searched) = match &mut self.state {
            State::Body(message) => return message.write(octets),
            State::Header { kept, searched } => (kept, searched),
        };
        let room = HEADER_OCTETS_MAX - kept.len();
        let (taken, rest) = octets.split_at(room.min(octets.len()));
        kept.extend_from_slice(taken);
        let blank = blank_line(kept, *searched);
        *searched = kept.len().saturating_sub(2);
        if blank || kept.len() == HEADER_OCTETS_MAX {
            let kept = std::mem::take(kept);
            let mut message = Message::begin(kept, blank);
            message.write(rest);
            self.state = State::Body(Box::new(message));
        }
    }

    /// The end of the message: looks the keys up and judges every signature, as of `now`.
    pub async fn finish(self, resolver: &impl Resolve, now: Timestamp) -> Verified {
        self.end(resolver, None, now).await
    }

    /// [`finish`](Verifier::finish) with keys that were read before.
    pub async fn finish_with(
        self,
        resolver: &impl Resolve,
        cache: &KeyCache,
        now: Timestamp,
    ) -> Verified {
        self.end(resolver, Some(cache), now).await
    }

    async fn end<R: Resolve>(
        self,
        resolver: &R,
        cache: Option<&KeyCache>,
        now: Timestamp,
    ) -> Verified {
        let message = match self.state {
            State::Body(message) => message,
            State::Header { kept, .. } => Box::new(Message::begin(kept, true)),
        };
        message.judge(&mut Keys::new(resolver, cache), now).await
    }
}

/// Whether there is an empty line, looking from `from`.
fn blank_line(kept: &[u8], from: usize) -> bool {
    let blank = |rest: &[u8]| rest.starts_with(b"\n") || rest.starts_with(b"\r\n");
    if from == 0 && blank(kept) {
        return true;
    }
    memchr::memchr_iter(b'\n', &kept[from..]).any(|lf| blank(&kept[from + lf + 1..]))
}

/// Whether a header that seems to end before `rest` ends there whatever comes later: the line that
/// is no field, and the line after it, are whole.
fn ends_surely(rest: &[u8]) -> bool {
    let mut ends = memchr::memchr_iter(b'\n', rest);
    ends.any(|lf| rest.get(lf + 1).is_some_and(|b| !matches!(b, b' ' | b'\t')))
        && ends.next().is_some()
}

impl Message {
    /// `kept` begins with the header and may go on into the body; it is whole unless it was cut.
    fn begin(kept: Vec<u8>, whole: bool) -> Message {
        let (mut header, body) = HeaderBlock::read(kept);
        let too_long = !whole && !ends_surely(header.from(body));
        let mut bodies = Bodies::default();
        let total = header.named(b"DKIM-Signature").count();
        let signatures = header
            .named(b"DKIM-Signature")
            .take(SIGNATURES_MAX)
            .map(|field| Signature::read(Kind::Dkim, field.place, field.value, &mut bodies))
            .collect();
        let chain = Chain::read(&header, &mut bodies);
        if !too_long {
            bodies.write(header.from(body));
        }
        header.cut(body);
        Message { header, too_long, signatures, total, chain, bodies }
    }

    fn write(&mut self, octets: &[u8]) {
        if !self.too_long {
            self.bodies.write(octets);
        }
    }

    async fn judge<R: Resolve>(self, keys: &mut Keys<'_, R>, now: Timestamp) -> Verified {
        let Message { header, too_long, signatures, total, chain, bodies } = self;
        let hashes = bodies.finish();
        let mut dkim = Vec::with_capacity(signatures.len());
        for mut signature in signatures {
            if too_long {
                signature.terms = Err(Problem::HeaderTooLong);
            }
            dkim.push(verify(signature, &header, &hashes, keys, now).await);
        }
        if let Some(one_more) = too_many(&header, total) {
            dkim.push(one_more);
        }
        shorten(&mut dkim);
        let altered = dkim.iter().any(|one| one.result == super::DkimResult::Fail);
        let arc = chain.validate(&header, too_long, altered, &hashes, keys, now).await;
        Verified { dkim, arc }
    }
}

/// Says that there are signatures that nobody looked at.
fn too_many(header: &HeaderBlock, total: usize) -> Option<Verification> {
    let field = header.named(b"DKIM-Signature").nth(SIGNATURES_MAX)?;
    let (said, _) = read(Kind::Dkim, field.value);
    Some(said.with(Problem::TooMany { verified: SIGNATURES_MAX, total }))
}

/// Judges one signature (RFC 6376 §6.1).
pub(crate) async fn verify<R: Resolve>(
    signature: Signature,
    header: &HeaderBlock,
    hashes: &BodyHashes,
    keys: &mut Keys<'_, R>,
    now: Timestamp,
) -> Verification {
    let Signature { place, mut said, terms, body } = signature;
    let terms = match terms.and_then(|terms| terms.in_time(now).map(|()| terms)) {
        Ok(terms) => terms,
        Err(problem) => return said.with(problem),
    };
    let Some(body) = body else {
        return said.with(Problem::Syntax { what: "too many different lengths (l=) are signed" });
    };
    let (found, lookups) = keys.at(&terms.key_name).await;
    said.lookups = lookups;
    let own = header.field(place);
    let hash = header.hash(said.signed_headers.split(':'), terms.header, own, &terms.b);
    let judged = judge(&found, &terms, &hash, &mut said);
    let body = hashes.get(body);
    said.body_unsigned_octets = terms.length.map_or(0, |length| body.octets.saturating_sub(length));
    let body_holds = body.hash == terms.body_hash;
    let problem = match (judged, terms.length) {
        (Judged::NoKey(problem), _) => problem,
        (_, Some(signed)) if signed > body.octets => {
            Problem::BodyCut { signed, found: body.octets }
        }
        (judged, _) if !body_holds => Problem::BodyHash { header_holds: judged == Judged::Holds },
        (Judged::Differs, _) => Problem::Signature,
        (Judged::Holds, _) => return holds(said),
    };
    said.with(problem)
}

fn holds(mut said: Verification) -> Verification {
    said.result = super::DkimResult::Pass;
    said.reason = format!("the signature by {} holds", said.domain);
    if said.body_unsigned_octets > 0 {
        said.reason += &format!(
            ", but it does not cover the last {} octets of the body",
            said.body_unsigned_octets
        );
    }
    if said.testing {
        said.reason += "; the domain says that it is only testing";
    }
    said
}

/// Cuts what is shown of `b=` to what tells the signatures apart.
fn shorten(dkim: &mut [Verification]) {
    let begin = |b: &str, length: usize| b.chars().take(length).collect::<String>();
    let mut length = B_SHOWN;
    let longest = dkim.iter().map(|one| one.signature_b.len()).max().unwrap_or(0);
    while dkim.len() > 1 && length < longest {
        let mut seen: HashMap<String, &str> = HashMap::new();
        // Equal signatures stay equal at any length.
        let clash = dkim.iter().any(|one| {
            let whole = one.signature_b.as_str();
            seen.insert(begin(whole, length), whole).is_some_and(|other| other != whole)
        });
        if !clash {
            break;
        }
        length *= 2;
    }
    for one in dkim {
        one.signature_b = begin(&one.signature_b, length);
    }
}
