//! A message from a file, examined and judged as a stranger's: what `waxwing verify` shows.
//!
//! The same questions as for mail that arrives, with what is known of how it came. Without a store
//! nobody is known, and no words are.

use waxwing_dns::Resolve;
use waxwing_filter::spam::Judgement;
use waxwing_mailauth::dkim::{KeyCache, Verifier};
use waxwing_mailauth::results::AuthenticationResults;
use waxwing_message::journey::Finding;

use super::{Client, Own, Visit, observe};
use crate::clock::Clock;
use crate::policy::Policy;

/// A message, and who brought it.
#[derive(Debug, Clone, Copy)]
pub struct Saved<'a> {
    /// Lines end with CRLF, as on the wire.
    pub raw: &'a [u8],
    /// `None` when nobody knows: SPF, HELO, reverse DNS and lists of addresses are left out.
    pub client: Option<Client<'a>>,
}

/// What was found, and what follows for a reader who does not know the sender.
#[derive(Debug, Clone)]
pub struct Examined {
    /// In the order of the checks, each with its questions to the DNS.
    pub findings: Vec<Finding>,
    /// As Authentication-Results would say it.
    pub results: AuthenticationResults,
    /// What is to be done.
    pub judgement: Judgement,
}

/// Examines a message that is in memory, by the rules of `policy`. Never fails: what the DNS did not
/// say is a temporary error of that check.
pub async fn examine_saved<R: Resolve, C: Clock>(
    resolver: &R,
    clock: &C,
    policy: &Policy,
    message: Saved<'_>,
) -> Examined {
    let Saved { raw, client } = message;
    let mut verifier = Verifier::new();
    verifier.write(raw);
    let visit = Visit { client, raw, verifier };
    let examination =
        observe(resolver, &KeyCache::new(), clock, policy, &Own::default(), visit).await;
    let judgement = examination.judged(policy);
    Examined { findings: examination.findings, results: examination.results, judgement }
}
