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
    /// Judges the chain; `too_long` when the header was cut. How far back it holds is found out when
    /// the message is `altered`: it costs as much again as the verdict.
    pub async fn validate<R: Resolve>(
        self,
        header: &HeaderBlock,
        too_long: bool,
        altered: bool,
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
            None => {
                let evidence = Evidence { header, hashes, now };
                hold(self.sets, &evidence, altered, keys, &mut found).await
            }
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
    let holds = format!("the chain of {} holds, last sealed by {last}", found.instances);
    match found.oldest_pass {
        None => holds,
        Some(0) => format!("{holds}; the message is as the first sealer sent it"),
        Some(i) => format!("{holds}; the message was changed before sealer {i}"),
    }
}

/// What signatures are held against.
struct Evidence<'a> {
    header: &'a HeaderBlock,
    hashes: &'a BodyHashes,
    now: Timestamp,
}

/// Steps 4 to 6, for sets that are complete. Step 5 comes last, and only for a chain that passes.
async fn hold<R: Resolve>(
    sets: Vec<Set>,
    evidence: &Evidence<'_>,
    altered: bool,
    keys: &mut Keys<'_, R>,
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
        let hash = seal_hash(evidence.header, results, message.place, &seal, &mut before);
        seals.push((seal, hash));
        messages.push(message);
    }
    if let Some(newest) = messages.pop() {
        let i = messages.len() + 1;
        let verified = evidence.verify(newest, keys, found).await;
        if verified.result != DkimResult::Pass {
            return Err(format!("ARC-Message-Signature {i}: {}", verified.reason));
        }
    }
    for (before, (seal, hash)) in seals.into_iter().enumerate().rev() {
        let i = before + 1;
        seal_holds(seal, &hash, keys, found).await.map_err(|why| format!("ARC-Seal {i}: {why}"))?;
    }
    if altered {
        found.oldest_pass = Some(oldest_pass(messages, evidence, keys, found).await);
    }
    Ok(())
}

/// Step 5: the lowest instance whose message signature holds, 0 when all do. `older` are all but the
/// newest, which does.
async fn oldest_pass<R: Resolve>(
    mut older: Vec<Signature>,
    evidence: &Evidence<'_>,
    keys: &mut Keys<'_, R>,
    found: &mut Validation,
) -> u32 {
    while let Some(message) = older.pop() {
        // No key is needed where the body is another one.
        let holds = message.body_holds(evidence.hashes)
            && evidence.verify(message, keys, found).await.result == DkimResult::Pass;
        if !holds {
            return older.len() as u32 + 2;
        }
    }
    0
}

impl Evidence<'_> {
    /// Judges one message signature, and keeps its questions.
    async fn verify<R: Resolve>(
        &self,
        message: Signature,
        keys: &mut Keys<'_, R>,
        found: &mut Validation,
    ) -> Verification {
        let mut one = verify_one(message, self.header, self.hashes, keys, self.now).await;
        found.lookups.append(&mut one.lookups);
        one
    }
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
