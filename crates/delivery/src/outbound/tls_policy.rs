//! What TLS to a host must be: the host's TLSA records (RFC 7672) before the domain's MTA-STS policy
//! (RFC 8461 §2), and opportunistic TLS (RFC 7435) when there is neither.
//!
//! | MX, addresses and TLSA records are signed, and | MTA-STS | the rule for the host |
//! |---|---|---|
//! | a TLSA record is usable | – | DANE: a chain that fits the records, or nothing is sent |
//! | no TLSA record is usable | not enforced | TLS, whoever answers (RFC 7672 §2.2) |
//! | no TLSA record is usable | enforced | as below |
//! | whether there are TLSA records cannot be said | – | skipped: a denial must be proven (RFC 7672 §2.1.2) |
//! | there is none, or something is unsigned | enforce | the host is among the policy's and its certificate holds by the public roots, or nothing is sent |
//! | – | testing | opportunistic; what would have failed is noted |
//! | – | – | opportunistic: in clear when the server has no TLS |
//!
//! A relay that the operator chose with TLS demanded has its rule by that. `TLS-Required: No` in the
//! message (RFC 8689 §3) turns both policies off for it, REQUIRETLS demands an authenticated host
//! whatever the domain says.
//!
//! Under a rule, missing STARTTLS and failed handshakes never lead to clear text: the next host is
//! tried, then the message waits. [`Rule::refusal`] says so in words.

use std::sync::Arc;

use waxwing_dns::{Answer, Resolve, Tlsa};
use waxwing_mailauth::policy::dane::{self, Dane};
use waxwing_mailauth::policy::mta_sts::{Mode, Policy as StsPolicy};
use waxwing_message::address::literal_ip;
use waxwing_message::journey::{TlsPolicyKind, TlsPolicySeen, TlsUsed};
use waxwing_smtp::client::{Stage, TlsPolicy};

use super::sts::Sts;
use super::tls_report::{NoSink, PolicyType, TlsResult, TlsSink};
use super::{Connection, OpenError, Verify};
use crate::route::{Host, Located, Route, RouteKind};

/// What policies are found by, and who is told how it went.
pub struct TlsRules {
    /// MTA-STS; `None` leaves it out.
    pub sts: Option<Arc<Sts>>,
    /// Told of every outcome.
    pub sink: Arc<dyn TlsSink>,
}

impl TlsRules {
    /// DANE alone, and nobody is told.
    pub fn dane_only() -> TlsRules {
        TlsRules { sts: None, sink: Arc::new(NoSink) }
    }
}

/// What a connection must be to be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Demand {
    /// Whether there must be TLS.
    pub tls: TlsPolicy,
    /// What the peer must prove.
    pub verify: Verify,
}

impl Demand {
    /// TLS when it is offered, with whoever answers.
    pub fn opportunistic() -> Demand {
        Demand { tls: TlsPolicy::Opportunistic, verify: Verify::Record }
    }

    /// In clear.
    pub fn none() -> Demand {
        Demand { tls: TlsPolicy::Off, verify: Verify::Record }
    }

    /// TLS with a certificate that fits the host's name by the public roots.
    pub fn verified() -> Demand {
        Demand { tls: TlsPolicy::Required, verify: Verify::Require }
    }

    /// TLS, whoever answers.
    pub fn encrypted() -> Demand {
        Demand { tls: TlsPolicy::Required, verify: Verify::Record }
    }
}

/// The rule for one host.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What its connections must be.
    pub demand: Demand,
    /// The policy behind it.
    pub policy: TlsPolicyKind,
    /// For the journey.
    pub note: Option<String>,
    /// The policy in TLS-RPT's words.
    pub reported: Reported,
    /// What is wrong whatever the handshake says: unusable records, or an exchanger that a policy in
    /// testing does not name.
    flaw: Option<(TlsResult, String)>,
    /// What is demanded and by what, as a clause.
    grounds: String,
}

/// A policy in TLS-RPT's words (RFC 8460 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Which kind.
    pub policy_type: PolicyType,
    /// Its lines or records.
    pub policy_strings: Vec<String>,
    /// Its `mx` patterns.
    pub mx_patterns: Vec<String>,
}

impl Reported {
    /// Neither DANE nor MTA-STS.
    pub fn nothing() -> Reported {
        let (policy_strings, mx_patterns) = (Vec::new(), Vec::new());
        Reported { policy_type: PolicyType::NoPolicyFound, policy_strings, mx_patterns }
    }

    /// An MTA-STS policy.
    pub fn sts(policy: &StsPolicy) -> Reported {
        let mx_patterns = policy.mx.iter().map(ToString::to_string).collect();
        Reported { policy_type: PolicyType::Sts, policy_strings: policy.lines(), mx_patterns }
    }

    fn tlsa(records: &[Tlsa]) -> Reported {
        let policy_strings = records.iter().map(dane::text).collect();
        Reported { policy_type: PolicyType::Tlsa, policy_strings, mx_patterns: Vec::new() }
    }
}

/// Why a host is not even tried.
#[derive(Debug, Clone)]
pub struct Skip {
    /// The policy that forbids it.
    pub seen: TlsPolicySeen,
    /// The policy in TLS-RPT's words.
    pub reported: Reported,
    /// As TLS-RPT has it.
    pub result: TlsResult,
    /// RFC 3463.
    pub status: (u8, u16, u16),
    /// In words.
    pub reason: String,
}

/// What the rule for a host rests on, beside the host.
pub struct Grounds<'a> {
    /// How the host was found.
    pub route: &'a Route,
    /// The domain whose MTA-STS policy counts.
    pub domain: &'a str,
    /// That policy; never `mode: none`.
    pub sts: Option<&'a StsPolicy>,
    /// REQUIRETLS (RFC 8689 §4.2.1).
    pub require_tls: bool,
    /// `TLS-Required: No` (RFC 8689 §3).
    pub ignore_policies: bool,
}

/// The domain whose MTA-STS policy counts (RFC 8461 §3.4): the recipients', or the relay's when the
/// operator chose one and does not demand TLS of it anyway. `None` for address literals.
pub fn policy_domain<'a>(route: &'a Route, domain: &'a str) -> Option<&'a str> {
    let name = match (route.by, route.hosts.first()) {
        (RouteKind::Mx | RouteKind::ImplicitMx, _) => domain,
        (_, Some(host)) if has_rule_of_its_own(host) => return None,
        (_, Some(host)) => &host.name,
        (_, None) => return None,
    };
    (literal_ip(name).is_none() && name.parse::<std::net::IpAddr>().is_err()).then_some(name)
}

/// What the operator demands of a relay.
fn has_rule_of_its_own(host: &Host) -> bool {
    host.tls != TlsPolicy::Opportunistic || host.implicit_tls
}

impl Grounds<'_> {
    /// The rule for one host of the route.
    pub async fn rule(
        &self,
        resolver: &impl Resolve,
        host: &Host,
        located: &Located,
    ) -> Result<Rule, Skip> {
        if has_rule_of_its_own(host) {
            return Ok(self.operators_rule(host));
        }
        if self.ignore_policies {
            let note = "the message says TLS-Required: No, so that no policy is enforced";
            return Ok(Rule { note: Some(note.to_owned()), ..self.no_policy(host) });
        }
        let unusable = match self.tlsa(resolver, host, located).await? {
            None => None,
            Some(found) => {
                let rule = self.dane_rule(host, &found);
                if matches!(rule.demand.verify, Verify::Dane(_)) {
                    return Ok(rule);
                }
                Some(rule)
            }
        };
        match (self.sts, unusable) {
            (Some(policy), _) if policy.mode == Mode::Enforce => self.sts_rule(host, policy),
            (_, Some(encrypted)) => Ok(encrypted),
            (Some(policy), None) => Ok(self.testing(host, policy)),
            (None, None) => Ok(self.no_policy(host)),
        }
    }

    /// The secure TLSA records of a host, if it has any, and the name they were found at.
    async fn tlsa(
        &self,
        resolver: &impl Resolve,
        host: &Host,
        located: &Located,
    ) -> Result<Option<Found>, Skip> {
        if !self.route.dnssec.is_secure() {
            return Ok(None);
        }
        // RFC 7672 §2.2.2: the end of a chain of signed aliases first, then the name itself, if what
        // stands there is signed.
        let whole = located.dnssec.is_secure();
        let own = whole || located.first_alias.is_some_and(|alias| alias.is_secure());
        let mut bases = Vec::new();
        if whole {
            bases.push(located.name.as_str());
        }
        if own && !bases.contains(&&*host.name) {
            bases.push(&host.name);
        }
        for base in bases {
            let name = dane::record_name(base, host.port);
            match resolver.tlsa(&name).await {
                Ok(answer) if answer.dnssec.is_secure() => {
                    let Answer { records, .. } = answer;
                    return Ok(Some(Found { records, base: base.to_owned(), name }));
                }
                Err(error) if error.is_temporary() => {
                    let result = match error {
                        waxwing_dns::LookupError::Bogus => TlsResult::DnssecInvalid,
                        _ => TlsResult::TlsaInvalid,
                    };
                    let reason = format!(
                        "whether {} demands DANE cannot be told, since {name} cannot be looked up ({error}). Its domain is signed, so nothing is sent until that is known: the domain's name servers must answer for TLSA records",
                        host.name,
                    );
                    let reported = Reported::tlsa(&[]);
                    let seen = seen(TlsPolicyKind::Dane, false, None);
                    return Err(Skip { seen, reported, result, status: (4, 7, 5), reason });
                }
                // Unsigned, or certainly none.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }

    /// RFC 7672 §2.2: authenticated by the records, or encrypted when none of them is usable.
    fn dane_rule(&self, host: &Host, found: &Found) -> Rule {
        let mut names = vec![found.base.clone()];
        // RFC 7672 §3.2.2: and the domain whose exchanger it is; of a relay, the name it was given.
        let next_hop = match self.route.next_hop.as_slice() {
            [] => std::slice::from_ref(&host.name),
            names => names,
        };
        names.extend(next_hop.iter().filter(|name| **name != found.base).cloned());
        let reported = Reported::tlsa(&found.records);
        let policy = TlsPolicyKind::Dane;
        match Dane::new(&found.records, names) {
            Some(dane) => Rule {
                demand: Demand { tls: TlsPolicy::Required, verify: Verify::Dane(Arc::new(dane)) },
                policy,
                note: None,
                reported,
                flaw: None,
                grounds: format!(
                    "DANE demands TLS with a certificate that the records at {} name",
                    found.name
                ),
            },
            None => {
                let why = format!("no record at {} is usable", found.name);
                let demand =
                    if self.require_tls { Demand::verified() } else { Demand::encrypted() };
                let grounds = format!("the records at {} demand TLS of {}", found.name, host.name);
                let note = Some(format!("{why}: TLS is demanded, but nobody is authenticated"));
                let flaw = Some((TlsResult::TlsaInvalid, why));
                Rule { demand, policy, note, reported, flaw, grounds }
            }
        }
    }

    /// RFC 8461 §4 and §5.
    fn sts_rule(&self, host: &Host, policy: &StsPolicy) -> Result<Rule, Skip> {
        let reported = Reported::sts(policy);
        if !policy.allows(&host.name) {
            let reason = format!(
                "the MTA-STS policy of {} does not name {} among the hosts that take its mail ({}), so nothing is sent there. Either its MX records or its policy must be mended by its postmaster, or the answer was forged",
                self.domain,
                host.name,
                reported.mx_patterns.join(", "),
            );
            let seen = seen(TlsPolicyKind::MtaSts, false, None);
            let result = TlsResult::ValidationFailure;
            return Err(Skip { seen, reported, result, status: (4, 7, 5), reason });
        }
        Ok(Rule {
            demand: Demand::verified(),
            policy: TlsPolicyKind::MtaSts,
            note: None,
            reported,
            flaw: None,
            grounds: format!(
                "the MTA-STS policy of {} demands TLS with a certificate for {}",
                self.domain, host.name
            ),
        })
    }

    /// RFC 8461 §5: `testing`.
    fn testing(&self, host: &Host, policy: &StsPolicy) -> Rule {
        let mismatch = || format!("{} is not among the policy's hosts", host.name);
        let flaw = (!policy.allows(&host.name)).then(|| (TlsResult::ValidationFailure, mismatch()));
        let note = match &flaw {
            Some((_, why)) => format!("testing: {why}"),
            None => "testing: not enforced".to_owned(),
        };
        let rule = self.no_policy(host);
        let (policy, reported) = (TlsPolicyKind::MtaSts, Reported::sts(policy));
        Rule { policy, note: Some(note), reported, flaw, ..rule }
    }

    fn no_policy(&self, host: &Host) -> Rule {
        let demand = if self.require_tls { Demand::verified() } else { Demand::opportunistic() };
        let reported = Reported::nothing();
        let grounds = format!("the sender demands TLS with a certificate for {}", host.name);
        Rule { demand, policy: TlsPolicyKind::None, note: None, reported, flaw: None, grounds }
    }

    fn operators_rule(&self, host: &Host) -> Rule {
        let demand = match host.tls {
            _ if self.require_tls => Demand::verified(),
            TlsPolicy::Required => Demand::verified(),
            TlsPolicy::Opportunistic => Demand::opportunistic(),
            TlsPolicy::Off => Demand::none(),
        };
        let grounds = format!("TLS with a certificate for {} is demanded", host.name);
        Rule { demand, grounds, ..self.no_policy(host) }
    }
}

/// Secure TLSA records.
struct Found {
    records: Vec<Tlsa>,
    /// The TLSA base domain.
    base: String,
    /// Where they are.
    name: String,
}

fn seen(policy: TlsPolicyKind, verified: bool, note: Option<String>) -> TlsPolicySeen {
    TlsPolicySeen { policy, verified, note }
}

impl Rule {
    /// For the journey, once there is a connection or none.
    pub fn seen(&self, tls: Option<&TlsUsed>) -> TlsPolicySeen {
        let authenticated = match (&self.demand.verify, tls) {
            (_, None) => false,
            (Verify::Record, Some(used)) => used.peer_verified,
            (Verify::Require | Verify::Dane(_), Some(_)) => true,
        };
        let verified = match self.policy {
            TlsPolicyKind::Dane => matches!(self.demand.verify, Verify::Dane(_)) && authenticated,
            TlsPolicyKind::MtaSts => authenticated && self.flaw.is_none(),
            TlsPolicyKind::None | TlsPolicyKind::Other => false,
        };
        seen(self.policy, verified, self.note.clone())
    }

    /// Whether the domain has a policy, rather than only the operator or the sender.
    pub fn is_a_domains(&self) -> bool {
        matches!(self.policy, TlsPolicyKind::Dane | TlsPolicyKind::MtaSts)
    }

    /// Why nothing was sent after such a failure, for people: what happened, what demands
    /// otherwise, and what to do.
    pub fn refusal(&self, trouble: &str) -> String {
        let who = match self.policy {
            TlsPolicyKind::Dane => {
                "Either the server's certificate and its TLSA records do not go together, which its postmaster can mend, or somebody interferes with the connection"
            }
            TlsPolicyKind::MtaSts => {
                "Either the server's TLS is broken, which its postmaster can mend, or somebody interferes with the connection"
            }
            TlsPolicyKind::None | TlsPolicyKind::Other => return trouble.to_owned(),
        };
        format!("{trouble}; but {}, so nothing was sent. {who}", self.grounds)
    }

    /// How an open connection is reported.
    pub fn result_of(&self, connection: &Connection) -> (TlsResult, String) {
        if connection.tls().is_none() {
            return (TlsResult::StarttlsNotSupported, NO_STARTTLS.to_owned());
        }
        if let Some((result, why)) = &self.flaw {
            return (*result, why.clone());
        }
        match (self.reported.policy_type, connection.doubt()) {
            (PolicyType::Sts, Some(doubt)) => (doubt.result, doubt.reason.clone()),
            _ => (TlsResult::Success, String::new()),
        }
    }
}

const NO_STARTTLS: &str = "the server offers no TLS";

/// How a connection that did not come about is reported; `None` when it was not for TLS.
pub fn result_of_failure(error: &OpenError) -> Option<(TlsResult, String)> {
    match error {
        OpenError::Unreachable(_) => None,
        OpenError::Handshake(failure) => Some((failure.result, failure.reason.clone())),
        OpenError::Session(session) if session.stage == Stage::Tls => {
            let outcome = &session.outcome;
            let not_offered = outcome.reply.is_some() || outcome.status.detail == 10;
            let result = match not_offered {
                true => TlsResult::StarttlsNotSupported,
                false => TlsResult::ValidationFailure,
            };
            Some((result, outcome.reason.to_string()))
        }
        OpenError::Session(_) => None,
    }
}
