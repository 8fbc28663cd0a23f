//! Questions about a message and the client that brings it, each within the limit.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use waxwing_dns::{LookupError, Resolve};
use waxwing_filter::spam::connection::{
    HeloFacts, ListAnswer, NameLookup, ReverseFacts, domain_query, examine_helo,
    examine_reverse_dns, ip_query, list_answer,
};
use waxwing_filter::spam::evidence::{ListKind, Listed};
use waxwing_filter::spam::verdict::Blocklist;
use waxwing_mailauth::dkim::Verification;
use waxwing_mailauth::lookup::Recorder;
use waxwing_mailauth::{dmarc, spf};
use waxwing_message::address::literal_ip;
use waxwing_message::journey::{Check, Finding};

use super::{Client, facts};
use crate::clock::Clock;
use crate::policy::Policy;

/// Names of an address that are looked back at.
const NAMES_MAX: usize = 3;

/// Asks, but not for ever.
pub(super) struct Asking<'a, R, C> {
    pub resolver: &'a R,
    pub clock: &'a C,
    pub limit: Duration,
}

/// What was found about the client itself.
#[derive(Default)]
pub(super) struct Seen {
    pub helo: Vec<Finding>,
    pub reverse: Vec<Finding>,
}

/// What blocklists say.
#[derive(Default)]
pub(super) struct Lists {
    pub found: Vec<Listed>,
    pub findings: Vec<Finding>,
}

impl<R: Resolve, C: Clock> Asking<'_, R, C> {
    /// The answer, or what stands for it when there is none in time.
    pub async fn or_else<T>(
        &self,
        question: impl Future<Output = T>,
        without: impl FnOnce() -> T,
    ) -> T {
        tokio::select! {
            biased;
            answer = question => answer,
            () = self.clock.sleep(self.limit) => without(),
        }
    }

    /// SPF, when there is a client.
    pub async fn spf(
        &self,
        policy: &Policy,
        client: Option<Client<'_>>,
        now: Timestamp,
    ) -> Option<spf::Outcome> {
        let Client { ip, helo, reverse_path: sender } = client?;
        let request = spf::Request { ip, helo, sender, receiver: &policy.host_name, now };
        let checking = spf::check_mail_from(self.resolver, &request);
        Some(self.or_else(checking, || facts::spf_without_answer(&request)).await)
    }

    /// DMARC, when there is one author.
    pub async fn dmarc(
        &self,
        author: Option<&str>,
        spf: Option<&spf::Outcome>,
        dkim: &[Verification],
    ) -> Option<dmarc::Outcome> {
        let domain = author?.rsplit_once('@')?.1;
        let signatures: Vec<_> = dkim.iter().map(facts::dkim_input).collect();
        let spf = dmarc::SpfInput {
            result: spf.map_or(spf::SpfResult::None, |spf| spf.result),
            domain: spf.map_or("", |spf| &spf.domain),
        };
        let evaluating = dmarc::evaluate(self.resolver, domain, &spf, &signatures);
        Some(self.or_else(evaluating, || facts::dmarc_without_answer(domain)).await)
    }

    /// HELO and reverse DNS.
    pub async fn client(
        &self,
        policy: &Policy,
        own: &[String],
        client: Option<Client<'_>>,
    ) -> Seen {
        let Some(Client { ip, helo, .. }) = client else { return Seen::default() };
        let asked = async {
            let recorder = Recorder::new(self.resolver);
            let (lookup, reverse) = join(
                addresses(&recorder, helo),
                reverse_findings(self.resolver, ip.to_canonical()),
            )
            .await;
            let mut own_names = vec![policy.host_name.clone()];
            own_names.extend(policy.other_host_names.iter().chain(own).cloned());
            let facts = HeloFacts { name: helo, ip, own_names: &own_names, lookup };
            Seen { helo: with_lookups(examine_helo(&facts), recorder.take()), reverse }
        };
        self.or_else(asked, Seen::default).await
    }

    /// Every list that is configured, at once.
    pub async fn blocklists(
        &self,
        policy: &Policy,
        ip: Option<IpAddr>,
        author: Option<&str>,
    ) -> Lists {
        let domain = author.and_then(|author| Some(author.rsplit_once('@')?.1));
        let asked = policy.judging.spam.blocklists.iter().filter_map(|list| {
            let (query, name) = match list.kind {
                ListKind::Ip => (ip_query(ip?, &list.zone)?, ip?.to_canonical().to_string()),
                ListKind::Domain => (domain_query(domain?, &list.zone)?, domain?.to_owned()),
            };
            Some(self.blocklist(list, query, name))
        });
        let mut lists = Lists::default();
        for (listed, finding) in join_all(asked).await {
            lists.found.extend(listed);
            lists.findings.push(finding);
        }
        lists
    }

    async fn blocklist(
        &self,
        list: &Blocklist,
        query: String,
        name: String,
    ) -> (Option<Listed>, Finding) {
        let recorder = Recorder::new(self.resolver);
        let answer =
            self.or_else(recorder.a(&query), || Err(waxwing_dns::Temporary::Timeout.into()));
        let (result, mut reason) = match answer.await {
            Ok(answer) => read_answers(&answer.records),
            Err(LookupError::NxDomain { .. } | LookupError::NoData { .. }) => {
                ("pass", "not listed".to_owned())
            }
            Err(error) => ("temperror", error.to_string()),
        };
        let mut listed = None;
        if result == "listed" {
            let says = self.or_else(recorder.txt(&query), || Err(LookupError::BadName)).await;
            let says = says.ok().and_then(|answer| answer.records.into_iter().next());
            let says = says.map(|text| String::from_utf8_lossy(&text).into_owned());
            let says = says.unwrap_or_default();
            if !says.is_empty() {
                reason = format!("{reason}: {says}");
            }
            listed = Some(Listed {
                list: list.zone.clone(),
                name: name.clone(),
                kind: list.kind,
                weight: list.weight,
                says,
            });
        }
        let finding = Finding {
            check: Check::Blocklist,
            result: result.to_owned(),
            about: format!("{name} at {}", list.zone),
            reason,
            lookups: recorder.take(),
        };
        (listed, finding)
    }
}

/// The first answer that says something.
fn read_answers(records: &[Ipv4Addr]) -> (&'static str, String) {
    let mut refused = None;
    for record in records {
        match list_answer(*record) {
            ListAnswer::Listed(code) => return ("listed", format!("listed with code {code}")),
            ListAnswer::Refused(why) => refused = Some(format!("the list gives no answer: {why}")),
            ListAnswer::Nonsense => {
                refused = Some("the list answers nonsense: it may be gone".to_owned());
            }
        }
    }
    ("temperror", refused.unwrap_or_else(|| "the list gives no answer".to_owned()))
}

/// The addresses of what the client called itself.
async fn addresses(resolver: &impl Resolve, name: &str) -> NameLookup {
    if literal_ip(name).is_some() || name.parse::<IpAddr>().is_ok() || !name.contains('.') {
        return NameLookup::NotAsked;
    }
    let (v4, v6) = join(resolver.a(name), resolver.aaaa(name)).await;
    if [v4.as_ref().err(), v6.as_ref().err()].into_iter().flatten().any(LookupError::is_temporary) {
        return NameLookup::Failed;
    }
    let v4 = v4.map(|answer| answer.records).unwrap_or_default().into_iter().map(IpAddr::V4);
    let v6 = v6.map(|answer| answer.records).unwrap_or_default().into_iter().map(IpAddr::V6);
    NameLookup::Addresses(v4.chain(v6).collect())
}

/// The names of the client's address, and whether one of them leads back to it.
async fn reverse_findings(resolver: &impl Resolve, ip: IpAddr) -> Vec<Finding> {
    let recorder = Recorder::new(resolver);
    let names = match recorder.ptr(ip).await {
        Ok(answer) => Some(answer.records),
        Err(error) if error.is_temporary() => None,
        Err(_) => Some(Vec::new()),
    };
    let (mut confirmed, mut confirming_failed) = (None, false);
    for name in names.iter().flatten().take(NAMES_MAX) {
        match addresses(&recorder, name).await {
            NameLookup::Addresses(found) if found.iter().any(|one| one.to_canonical() == ip) => {
                confirmed = Some(name.as_str());
                break;
            }
            NameLookup::Failed => confirming_failed = true,
            _ => {}
        }
    }
    let facts = ReverseFacts { ip, names: names.as_deref(), confirmed, confirming_failed };
    with_lookups(examine_reverse_dns(&facts), recorder.take())
}

/// The questions go with the first finding that they led to.
fn with_lookups(
    mut findings: Vec<Finding>,
    lookups: Vec<waxwing_message::journey::LookupSeen>,
) -> Vec<Finding> {
    if let Some(first) = findings.first_mut() {
        first.lookups = lookups;
    }
    findings
}
