//! Who may send for the domain: SPF (RFC 7208).
//!
//! Besides the record's whole tree, it is tried: an address that belongs to nobody must not pass,
//! and ours must.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde_json::json;
use waxwing_dns::Resolve;
use waxwing_mailauth::spf::flatten::{Flattened, Node, NodeTerm};
use waxwing_mailauth::spf::{self, Identity, Outcome, Request, SpfResult};
use waxwing_message::ReversePath;

use super::own::Own;
use super::section::{Record, Remark, Section};

/// Addresses of nobody: reserved (RFC 1112 §4) and for discarding (RFC 6666).
const NOBODY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
];
/// Octets of a record that fit beside others into a small answer (RFC 7208 §3.4).
const RECORD_OCTETS: usize = 450;
/// From here on it is near the limit.
const MANY_TERMS: u32 = 9;

/// What the DNS says.
#[derive(Debug)]
pub struct Facts {
    pub domain: String,
    pub tree: Flattened,
    /// What receivers say of mail from nobody's addresses.
    pub strangers: Vec<Outcome>,
    /// What they say of mail from ours.
    pub ours: Vec<(IpAddr, Outcome)>,
    /// What they say of our own host name in HELO (§2.3), when the domain is ours.
    pub helo: Option<(String, Outcome)>,
    /// The domain takes no mail, so probably sends none.
    pub null_mx: bool,
}

impl Facts {
    /// `addresses` are those that should pass.
    pub async fn gather(
        resolver: &impl Resolve,
        domain: &str,
        addresses: &[IpAddr],
        own: &Own,
        null_mx: bool,
        now: Timestamp,
    ) -> Facts {
        let tree = spf::flatten(resolver, domain).await;
        let mut strangers = Vec::new();
        for ip in NOBODY {
            strangers.push(check(resolver, domain, ip, Identity::MailFrom, now).await);
        }
        let mut ours = Vec::new();
        for ip in addresses {
            ours.push((*ip, check(resolver, domain, *ip, Identity::MailFrom, now).await));
        }
        let helo = match (own.host_of(), addresses.first()) {
            (Some(host), Some(ip)) => {
                let outcome = check(resolver, host, *ip, Identity::Helo, now).await;
                Some((host.to_owned(), outcome))
            }
            _ => None,
        };
        Facts { domain: domain.to_owned(), tree, strangers, ours, helo, null_mx }
    }

    fn stranger(&self, result: SpfResult) -> Option<&Outcome> {
        self.strangers.iter().find(|outcome| outcome.result == result)
    }
}

async fn check(
    resolver: &impl Resolve,
    domain: &str,
    ip: IpAddr,
    identity: Identity,
    now: Timestamp,
) -> Outcome {
    let sender = &ReversePath::Null;
    let request = Request { ip, helo: domain, sender, receiver: "unknown", now };
    spf::check_host(resolver, &request, identity, "postmaster", domain).await
}

/// What is to be said of it.
pub fn judge(facts: &Facts, own: &Own) -> Section {
    let mut section = Section::new("spf", "Who may send (SPF)");
    let mut mending = Mending { domain: &facts.domain, text: None, last: None };
    match &facts.tree.root {
        None => missing(facts, &mut section),
        Some(root) => {
            mending.text = Some(root.text.clone());
            record(facts, root, &mut section);
            others(facts, root, &mut section, &mut mending);
            for (ip, outcome) in &facts.ours {
                address(*ip, outcome, &mut section, &mut mending);
            }
            tree_lines(root, 0, &mut section.details);
        }
    }
    mending.finish(facts, &mut section);
    if let Some(host) = own.smarthost.as_ref().filter(|_| own.has_domain) {
        let text = format!(
            "mail leaves through {host}, which sends from addresses of its own: whoever runs it says what to include"
        );
        section.say(Remark::info("spf-smarthost", text));
    }
    if let Some((host, outcome)) = &facts.helo {
        helo(host, outcome, &mut section);
    }
    section.data = json!({
        "record": facts.tree.root.as_ref().map(|root| &root.text),
        "dns_terms": facts.tree.dns_terms,
        "dns_terms_max": Flattened::dns_terms_max(),
        "void_lookups": facts.tree.void_lookups,
        "tree": facts.tree.root,
        "ranges": facts.tree.ranges,
        "others": facts.strangers.first().map(|outcome| outcome.result.as_str()),
        "ours": facts.ours.iter().map(|(ip, outcome)| {
            json!({ "ip": ip, "result": outcome.result.as_str(), "reason": outcome.reason })
        }).collect::<Vec<_>>(),
    });
    section
}

/// All changes to one record, offered once, with the last remark that asks for one.
struct Mending<'a> {
    domain: &'a str,
    text: Option<String>,
    last: Option<usize>,
}

impl Mending<'_> {
    fn say(&mut self, section: &mut Section, remark: Remark, change: impl FnOnce(&str) -> String) {
        self.last = Some(section.remarks.len());
        self.text = self.text.take().map(|text| change(&text));
        section.say(remark);
    }

    fn finish(self, facts: &Facts, section: &mut Section) {
        // A record that cannot be read is not mended by adding to it.
        let unreadable = facts.tree.root.as_ref().is_some_and(|root| root.terms.is_empty());
        if let (Some(text), Some(last), false) = (self.text, self.last, unreadable) {
            let remark = section.remarks.remove(last);
            section.remarks.insert(last, remark.replace(Record::txt(self.domain, &text)));
        }
    }
}

fn missing(facts: &Facts, section: &mut Section) {
    let domain = &facts.domain;
    if let Some(outcome) = facts.stranger(SpfResult::TempError) {
        let text = format!("the DNS does not say who may send for {domain}: {}", outcome.reason);
        return section.say(Remark::fault("dns-failed", text));
    }
    let text = match facts.null_mx {
        true => "v=spf1 -all",
        false => "v=spf1 mx -all",
    };
    let why = match facts.null_mx {
        true => format!("{domain} does not say that it sends no mail, so anybody can in its name"),
        false => format!("{domain} does not say who may send for it, so anybody can in its name"),
    };
    let text = Record::txt(domain, text);
    section.say(Remark::fault("spf-missing", why).add([text]));
}

/// The record as such.
fn record(facts: &Facts, root: &Node, section: &mut Section) {
    let max = Flattened::dns_terms_max();
    let tree = &facts.tree;
    let terms = format!(
        "{} of {max} lookups used, {} of 2 found nothing",
        tree.dns_terms, tree.void_lookups
    );
    let within = tree.dns_terms <= max && tree.void_lookups <= 2;
    if let Some(outcome) = facts.stranger(SpfResult::PermError) {
        let text = format!("receivers cannot use {} (permerror): {}", root.text, outcome.reason);
        section.say(Remark::fault("spf-permerror", text));
    } else if let Some(outcome) = facts.stranger(SpfResult::TempError) {
        let text = format!("receivers cannot finish the check for now: {}", outcome.reason);
        section.say(Remark::fault("spf-temperror", text));
    } else if within && tree.dns_terms < MANY_TERMS {
        section.say(Remark::good("spf-record", format!("{}; {terms}", root.text)));
    } else if within {
        let text = format!("{}; {terms}: nothing more can be included", root.text);
        section.say(Remark::warning("spf-near-limit", text));
    }
    if root.text.len() > RECORD_OCTETS {
        let text = format!(
            "the record has {} octets; beyond {RECORD_OCTETS} answers may not fit (RFC 7208 §3.4)",
            root.text.len()
        );
        section.say(Remark::warning("spf-long", text));
    }
    // What cannot be read was said above.
    for problem in tree.problems.iter().filter(|_| !root.terms.is_empty()) {
        section.say(Remark::warning("spf-unwise", problem.clone()));
    }
}

/// What the record says of everybody else.
fn others(facts: &Facts, root: &Node, section: &mut Section, mending: &mut Mending<'_>) {
    let results: Vec<SpfResult> = facts.strangers.iter().map(|o| o.result).collect();
    if let Some(outcome) = facts.stranger(SpfResult::Pass) {
        let term = outcome.term.as_deref().unwrap_or("the record");
        let text = format!("anybody may send as {}: {term} lets every address pass", facts.domain);
        let change = |text: &str| with_all(text, "-all");
        return mending.say(section, Remark::fault("spf-everybody", text), change);
    }
    if results.iter().any(|r| matches!(r, SpfResult::PermError | SpfResult::TempError)) {
        return;
    }
    if results.contains(&SpfResult::Neutral) {
        let has_all = root.terms.iter().any(|term| is_all(&term.text));
        let text = match has_all {
            true => "?all says nothing about others: ~all makes them doubtful, -all refuses them",
            false => {
                "the record says nothing about others: ~all at its end makes them doubtful, -all refuses them"
            }
        };
        let remark = Remark::warning("spf-no-all", text);
        let redirects = |term: &NodeTerm| term.text.to_ascii_lowercase().starts_with("redirect=");
        return match root.terms.iter().any(redirects) {
            // The record that it leads to is the one to be mended.
            true => section.say(remark),
            false => mending.say(section, remark, |text| with_all(text, "~all")),
        };
    }
    let text = match results.contains(&SpfResult::SoftFail) {
        true => "all others are doubtful (~all)",
        false => "all others are refused (-all)",
    };
    section.say(Remark::good("spf-others", text));
}

/// One address that should pass.
fn address(ip: IpAddr, outcome: &Outcome, section: &mut Section, mending: &mut Mending<'_>) {
    match outcome.result {
        SpfResult::Pass => {
            let term = outcome.term.as_deref().unwrap_or("the record");
            section.say(Remark::good(
                "spf-ours",
                format!("{ip}, from where mail leaves, passes by {term}"),
            ));
        }
        // Said above already.
        SpfResult::PermError | SpfResult::TempError => {}
        result => {
            let text = format!(
                "{ip}, from where mail leaves, may not send ({result}): {}",
                outcome.reason
            );
            let term = match ip {
                IpAddr::V4(ip) => format!("ip4:{ip}"),
                IpAddr::V6(ip) => format!("ip6:{ip}"),
            };
            let remark = Remark::fault("spf-not-ours", text);
            mending.say(section, remark, |text| with_term(text, &term));
        }
    }
}

fn helo(host: &str, outcome: &Outcome, section: &mut Section) {
    match outcome.result {
        SpfResult::Pass => {
            let text = format!("{host}, the name of this server, passes for itself");
            section.say(Remark::good("spf-helo", text));
        }
        SpfResult::None => {
            let text = format!(
                "{host}, the name of this server, says nothing for itself; receivers of reports ask it"
            );
            let record = Record::txt(host, "v=spf1 a -all");
            section.say(Remark::warning("spf-helo-missing", text).add([record]));
        }
        result => {
            let text = format!(
                "{host}, the name of this server, does not pass for itself ({result}): {}",
                outcome.reason
            );
            section.say(Remark::warning("spf-helo-fails", text));
        }
    }
}

fn is_all(word: &str) -> bool {
    word.trim_start_matches(['+', '-', '~', '?']).eq_ignore_ascii_case("all")
}

/// The record with this term at its end in place of any other `all`.
fn with_all(text: &str, all: &str) -> String {
    let words = text.split_ascii_whitespace().filter(|word| !is_all(word));
    let mut words: Vec<&str> = words.collect();
    let is_modifier = |word: &&str| word.split(':').next().is_some_and(|w| w.contains('='));
    let end = words.iter().skip(1).position(is_modifier).map_or(words.len(), |at| at + 1);
    words.insert(end, all);
    words.join(" ")
}

/// The record with one more term, in front of what ends it.
fn with_term(text: &str, term: &str) -> String {
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    let ends = |word: &&str| is_all(word) || word.to_ascii_lowercase().starts_with("redirect=");
    let at = words.iter().position(ends).unwrap_or(words.len());
    words.insert(at, term);
    words.join(" ")
}

/// The tree, one line a term.
fn tree_lines(node: &Node, depth: usize, lines: &mut Vec<String>) {
    let margin = "  ".repeat(depth);
    if depth == 0 && !node.terms.is_empty() {
        lines.push(node.domain.clone());
    }
    for term in &node.terms {
        let to = match term.networks.as_slice() {
            [] => String::new(),
            [one] if term.text.to_ascii_lowercase().contains(one.as_str()) => String::new(),
            networks => format!(" → {}", networks.join(", ")),
        };
        lines.push(format!("{margin}  {}{to}", term.text));
        if let Some(record) = &term.record {
            tree_lines(record, depth + 1, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, named, zone};
    use super::*;
    use crate::cli::check::section::Level;

    async fn check(text: &str, addresses: &[&str]) -> Section {
        let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        let own = Own::default();
        let now = Timestamp::UNIX_EPOCH;
        let zone = zone(text);
        let facts = Facts::gather(&zone, "example.org", &addresses, &own, false, now).await;
        judge(&facts, &own)
    }

    fn mended(section: &Section, what: &str) -> String {
        named(section, what).remedy.as_ref().unwrap().records[0].line()
    }

    #[tokio::test]
    async fn a_good_record_is_shown_with_its_tree() {
        let text = "@ TXT \"v=spf1 include:_spf.example.org -all\"\n_spf TXT \"v=spf1 ip4:192.0.2.0/24 mx ~all\"\n\
            _spf MX 10 mail\nmail A 198.51.100.7\n";
        let section = check(text, &["192.0.2.9"]).await;
        assert_eq!(section.level(), Level::Good, "{:?}", section.remarks);
        has(&section, Level::Good, "spf-ours");
        assert_eq!(
            section.details,
            [
                "example.org",
                "  include:_spf.example.org",
                "    ip4:192.0.2.0/24",
                "    mx → 198.51.100.7",
                "    ~all",
                "  -all"
            ]
        );
    }

    #[tokio::test]
    async fn a_missing_record_is_given() {
        let section = check("@ A 192.0.2.1\n", &[]).await;
        assert_eq!(mended(&section, "spf-missing"), "example.org. IN TXT \"v=spf1 mx -all\"");
    }

    #[tokio::test]
    async fn everybody_and_nobody() {
        let open = check("@ TXT \"v=spf1 mx +all\"\n", &[]).await;
        has(&open, Level::Fault, "spf-everybody");
        assert_eq!(mended(&open, "spf-everybody"), "example.org. IN TXT \"v=spf1 mx -all\"");
        let wide = check("@ TXT \"v=spf1 ip4:0.0.0.0/0 -all\"\n", &[]).await;
        has(&wide, Level::Fault, "spf-everybody");
        let silent = check("@ TXT \"v=spf1 ip4:192.0.2.1\"\n", &[]).await;
        assert_eq!(
            mended(&silent, "spf-no-all"),
            "example.org. IN TXT \"v=spf1 ip4:192.0.2.1 ~all\""
        );
    }

    #[tokio::test]
    async fn our_addresses_are_put_in_once_for_all() {
        let section = check("@ TXT \"v=spf1 mx -all\"\n", &["192.0.2.1", "2001:db8::1"]).await;
        has(&section, Level::Fault, "spf-not-ours");
        let remedies = section.remarks.iter().filter(|r| r.remedy.is_some()).count();
        assert_eq!(remedies, 1);
        let record = section.remarks.iter().find_map(|r| r.remedy.as_ref()).unwrap();
        assert_eq!(
            record.records[0].line(),
            "example.org. IN TXT \"v=spf1 mx ip4:192.0.2.1 ip6:2001:db8::1 -all\""
        );
    }

    #[tokio::test]
    async fn limits_and_errors_are_faults() {
        let mut text = String::from("@ TXT \"v=spf1");
        for n in 0..11 {
            text += &format!(" a:h{n}.example.org");
        }
        text += " -all\"\n";
        for n in 0..11 {
            text += &format!("h{n} A 192.0.2.{n}\n");
        }
        let section = check(&text, &[]).await;
        has(&section, Level::Fault, "spf-permerror");
        has(&section, Level::Warning, "spf-unwise");
        for wrong in [
            "@ TXT \"v=spf1 ipv4:192.0.2.1 -all\"\n",
            "@ TXT \"v=spf1 -all\"\n@ TXT \"v=spf1 mx -all\"\n",
            "@ TXT \"v=spf1 include:none.example.org -all\"\n",
        ] {
            has(&check(wrong, &[]).await, Level::Fault, "spf-permerror");
        }
    }

    #[test]
    fn records_are_mended_where_they_end() {
        assert_eq!(with_all("v=spf1 mx ?all", "-all"), "v=spf1 mx -all");
        assert_eq!(with_all("v=spf1 mx exp=why.example", "~all"), "v=spf1 mx ~all exp=why.example");
        assert_eq!(
            with_term("v=spf1 a redirect=x.example", "ip4:192.0.2.1"),
            "v=spf1 a ip4:192.0.2.1 redirect=x.example"
        );
    }
}
