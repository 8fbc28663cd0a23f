//! What was observed about a message before anything is decided: plain data, ready to be stored.
//!
//! The results are mailauth's own words; of the rest only what is weighed is here. Whoever runs the
//! checks fills it in; nothing here knows how SPF is evaluated or a signature verified. An absent
//! value means that the check was not made, which is never held against anybody; a check that was
//! made and found nothing says so in its result.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use waxwing_message::Message;
use waxwing_message::journey::Finding;

use super::reputation::ReputationOutcome;
use super::words::WordsOutcome;

pub use waxwing_mailauth::arc::ChainStatus as ArcStatus;
pub use waxwing_mailauth::dkim::DkimResult;
pub use waxwing_mailauth::dmarc::{DmarcResult, Policy as DmarcPolicy};
pub use waxwing_mailauth::spf::SpfResult;

/// All that is known when a verdict is asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The client's address; `None` for what did not come by network.
    pub ip: Option<IpAddr>,
    /// The envelope's reverse-path, `None` when null; for overrides and in reasons.
    pub reverse_path: Option<String>,
    /// The address of the header's From field, when it has exactly one.
    pub from_address: Option<String>,
    /// RFC 7208, for the reverse-path or else for HELO.
    pub spf: Option<SpfFacts>,
    /// RFC 6376, one for each signature; empty and `dkim_checked` when there are none.
    pub dkim: Vec<DkimFacts>,
    /// Whether signatures were looked for, so that their absence means something.
    pub dkim_checked: bool,
    /// RFC 9989.
    pub dmarc: Option<DmarcFacts>,
    /// RFC 8617.
    pub arc: Option<ArcFacts>,
    /// What [`super::connection::examine_helo`] found.
    pub helo: Vec<Finding>,
    /// What [`super::connection::examine_reverse_dns`] found.
    pub rdns: Vec<Finding>,
    /// Blocklists that list the client or a domain of the message.
    pub blocklists: Vec<Listed>,
    /// What [`super::absurd::examine_from`] found.
    pub from: Vec<Finding>,
    /// What [`super::reputation::judge_reputation`] said.
    pub reputation: Option<ReputationOutcome>,
    /// What [`super::words::judge_words`] said.
    pub words: Option<WordsOutcome>,
    /// What is remembered of this client, sender and recipient together.
    pub greylist: Option<GreylistFacts>,
    /// The client is one that this system relays for or receives through: a secondary MX, a
    /// forwarder that the reader named. Checks of the connection say nothing about the sender then.
    pub relayed_by_trusted: bool,
    /// What [`traces_of_forwarding`] found.
    pub forwarded: Vec<String>,
}

/// What SPF said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpfFacts {
    /// The result.
    pub result: SpfResult,
    /// The domain that was asked: of the reverse-path, or HELO's when that is null.
    pub domain: String,
    /// Which term matched or what went wrong, in words; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// What one DKIM signature is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkimFacts {
    /// The result.
    pub result: DkimResult,
    /// `d=`.
    pub domain: String,
    /// `s=`.
    #[serde(default)]
    pub selector: String,
    /// What does not hold, in words; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// What DMARC said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmarcFacts {
    /// The result.
    pub result: DmarcResult,
    /// The policy that holds for the domain, `p=`, `sp=` or `np=`; what an earlier answer said when
    /// this one is a `temperror`; `None` when unknown.
    pub policy: Option<DmarcPolicy>,
    /// The domain of the header's From field.
    pub domain: String,
    /// What is aligned with it, such as `DKIM d=example.org`.
    pub aligned: Option<String>,
    /// `t=y`: the policy is to be applied one step milder (RFC 9989, tag `t`).
    #[serde(default)]
    pub testing: bool,
}

impl DmarcFacts {
    /// The policy to be applied, after `t=y`.
    pub fn applied(&self) -> DmarcPolicy {
        match (self.policy.unwrap_or(DmarcPolicy::None), self.testing) {
            (DmarcPolicy::Reject, true) => DmarcPolicy::Quarantine,
            (DmarcPolicy::Quarantine, true) => DmarcPolicy::None,
            (policy, _) => policy,
        }
    }
}

/// What an ARC chain tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArcFacts {
    /// Whether the chain holds.
    pub status: ArcStatus,
    /// The domain of the last seal.
    #[serde(default)]
    pub sealer: String,
    /// Whether every sealer is one that this system trusts.
    pub trusted_sealer: bool,
    /// Whether the first of them saw DMARC pass.
    pub original_dmarc_pass: bool,
}

/// What a blocklist lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListKind {
    /// The client's address.
    Ip,
    /// A domain in the message.
    Domain,
}

/// An entry in a blocklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The list, such as `bl.example.net`.
    pub list: String,
    /// What is listed: an address or a domain.
    pub name: String,
    /// Which of them.
    pub kind: ListKind,
    /// Points, as configured for the list.
    pub weight: i32,
    /// What the list says about it (its TXT record); may be empty.
    #[serde(default)]
    pub says: String,
}

/// What is remembered of a client's network, reverse-path and recipient (RFC 6647 §2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreylistFacts {
    /// How long ago they were first seen together; `None` when this is the first time.
    pub first_seen_secs_ago: Option<u64>,
}

/// Which names of the sender are proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Authenticity {
    /// The header's From: DMARC passes, or a passing signature or SPF is aligned with it. Where the domain
    /// publishes no DMARC record: it or one above it has signed, or SPF passes for just that domain.
    pub from: bool,
    /// `d=` of the signatures that hold, in lower case.
    pub dkim_domains: Vec<String>,
    /// The domain for which SPF passes.
    pub spf_domain: Option<String>,
}

impl From<&Evidence> for Authenticity {
    fn from(evidence: &Evidence) -> Authenticity {
        let dmarc = evidence.dmarc.as_ref();
        let signed = evidence.dkim.iter().filter(|one| one.result == DkimResult::Pass);
        let spf = evidence.spf.as_ref().filter(|spf| spf.result == SpfResult::Pass);
        Authenticity {
            from: dmarc.is_some_and(|d| match (d.result, &d.aligned) {
                (DmarcResult::Pass, _) | (_, Some(_)) => true,
                // The domain may want more than what would do here (`adkim=s`, `aspf=s`).
                (DmarcResult::Fail, None) => false,
                _ => vouched_for(&d.domain, evidence),
            }),
            dkim_domains: signed.map(|one| one.domain.to_ascii_lowercase()).collect(),
            spf_domain: spf.map(|spf| spf.domain.to_ascii_lowercase()),
        }
    }
}

/// Whether a domain vouches for a message without the help of DMARC.
fn vouched_for(domain: &str, evidence: &Evidence) -> bool {
    let domain = domain.to_ascii_lowercase();
    let is_at_or_below = |above: &str| match domain.strip_suffix(&above.to_ascii_lowercase()) {
        Some(below) => !above.is_empty() && (below.is_empty() || below.ends_with('.')),
        None => false,
    };
    let signed = |one: &DkimFacts| one.result == DkimResult::Pass && is_at_or_below(&one.domain);
    let sent =
        |spf: &SpfFacts| spf.result == SpfResult::Pass && spf.domain.eq_ignore_ascii_case(&domain);
    evidence.dkim.iter().any(signed) || evidence.spf.as_ref().is_some_and(sent)
}

/// Signs that a message came through a mailing list or a forwarder, in words; empty for mail that
/// looks direct. Anybody can write such fields: they make a verdict milder by one step, never good.
pub fn traces_of_forwarding(message: &Message<'_>) -> Vec<String> {
    /// Of lists (RFC 2369, RFC 2919), of resending (RFC 5322 §3.6.6), of sealing (RFC 8617).
    const FIELDS: [&str; 8] = [
        "List-Id",
        "List-Post",
        "Mailing-List",
        "X-BeenThere",
        "Resent-From",
        "Resent-Sender",
        "X-Forwarded-To",
        "ARC-Seal",
    ];
    let present = FIELDS.iter().filter(|name| message.header(name).is_some());
    present.map(|name| format!("it has the field {name}")).collect()
}
