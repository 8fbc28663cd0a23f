//! Is the chain whole? (RFC 8617 §5.2)

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use waxwing_dns::Resolve;

use super::chain::{Chain, Set};
use super::{ChainStatus, Validation};
use crate::dkim::{
    BodyHashes, Canonicalization, DkimResult, HeaderBlock, Judged, Keys, Signature, Verification,
    append, append_own, judge, sha256_of, verify_one,
};

impl Chain {
    /// Judges the chain; `too_long` when the header was cut.
    pub async fn validate<R: Resolve>(
        self,
        header: &HeaderBlock,
        too_long: bool,
        hashes: &BodyHashes,
        keys: &mut Keys<'_, R>,
        now: Timestamp,
    ) -> Validation {
        let mut found = Validation {
            instances: self.instances(),
            sealers: self.sealers(),
            results_of_last: self.results_of_last(header),
            // Deviates: RFC 8617 §5.1 step 2 asks the last seal alone. With the published suite, no chain
            // in which any seal says so is sealed on: nothing could be told by it.
            ended: self.sets.iter().any(|set| set.cv == Some(ChainStatus::Fail)),
            ..Validation::default()
        };
        let fault = match self.fault {
            None if self.sets.is_empty() => {
                found.reason = "the message has no ARC sets".to_owned();
                return found;
            }
            None if too_long => Some("the header is too long to be verified".to_owned()),
            fault => fault,
        };
        let outcome = match fault {
            Some(fault) => Err(fault),
            None => hold(self.sets, header, hashes, keys, now, &mut found).await,
        };
        match outcome {
            Ok(()) => {
                found.status = ChainStatus::Pass;
                found.reason = words(&found);
            }
            Err(fault) => {
                found.status = ChainStatus::Fail;
                found.reason = fault;
            }
        }
        found
    }
}

fn words(found: &Validation) -> String {
    let last = found.sealers.last().map_or("", |sealer| sealer.domain.as_str());
    let changed = match found.oldest_pass {
        0 => "the message is as the first sealer sent it".to_owned(),
        1 => "the first sealer's signature holds".to_owned(),
        i => format!("the message was changed before sealer {i}"),
    };
    format!("the chain of {} holds, last sealed by {last}; {changed}", found.instances)
}

/// Steps 4 to 6, for sets that are complete.
async fn hold<R: Resolve>(
    sets: Vec<Set>,
    header: &HeaderBlock,
    hashes: &BodyHashes,
    keys: &mut Keys<'_, R>,
    now: Timestamp,
    found: &mut Validation,
) -> Result<(), String> {
    // Every seal covers all that is before it: one hash that grows serves them all.
    let mut before = Context::new(&SHA256);
    let mut seals = Vec::with_capacity(sets.len());
    let mut messages = Vec::with_capacity(sets.len());
    for set in sets {
        let (Some(results), Some(message), Some(seal)) = (set.results, set.message, set.seal)
        else {
            return Err("a set is not complete".to_owned());
        };
        let hash = seal_hash(header, results, message.place, &seal, &mut before);
        seals.push((seal, hash));
        messages.push(message);
    }
    let count = messages.len();
    for (before, message) in messages.into_iter().enumerate().rev() {
        let i = before + 1;
        // Of an older one only whether it holds matters: no key tells that of a body that was changed.
        if i < count && !message.body_holds(hashes) {
            found.oldest_pass = i as u32 + 1;
            break;
        }
        let verified = verify_one(message, header, hashes, keys, now).await;
        found.lookups.extend(verified.lookups);
        match verified.result {
            DkimResult::Pass => {}
            _ if i == count => {
                return Err(format!("ARC-Message-Signature {i}: {}", verified.reason));
            }
            _ => {
                found.oldest_pass = i as u32 + 1;
                break;
            }
        }
    }
    for (before, (seal, hash)) in seals.into_iter().enumerate().rev() {
        let i = before + 1;
        seal_holds(seal, &hash, keys, found).await.map_err(|why| format!("ARC-Seal {i}: {why}"))?;
    }
    Ok(())
}

/// What a seal covers: all sets before, and its own with the seal itself last (RFC 8617 §5.1.1).
/// Always relaxed.
fn seal_hash(
    header: &HeaderBlock,
    results: usize,
    message: usize,
    seal: &Signature,
    before: &mut Context,
) -> [u8; 32] {
    let mut buffer = Vec::with_capacity(2048);
    append(header.field(results), Canonicalization::Relaxed, &mut buffer);
    append(header.field(message), Canonicalization::Relaxed, &mut buffer);
    before.update(&buffer);
    buffer.clear();
    let own = header.field(seal.place);
    let mut whole = before.clone();
    if let Ok(terms) = &seal.terms {
        append_own(own, Canonicalization::Relaxed, &terms.b, &mut buffer);
    }
    whole.update(&buffer);
    buffer.clear();
    append(own, Canonicalization::Relaxed, &mut buffer);
    before.update(&buffer);
    sha256_of(whole)
}

async fn seal_holds<R: Resolve>(
    seal: Signature,
    hash: &[u8; 32],
    keys: &mut Keys<'_, R>,
    found: &mut Validation,
) -> Result<(), String> {
    let terms = seal.terms.map_err(|problem| problem.to_string())?;
    let (records, lookups) = keys.at(&terms.key_name).await;
    found.lookups.extend(lookups);
    match judge(&records, &terms, hash, &mut Verification::default()) {
        Judged::Holds => Ok(()),
        Judged::NoKey(problem) => Err(problem.to_string()),
        Judged::Differs => {
            Err("a sealed field was changed, added or removed, or the seal is not by this key"
                .into())
        }
    }
}
