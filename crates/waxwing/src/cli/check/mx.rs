//! Where mail for the domain goes: MX (RFC 5321 §5.1), null MX (RFC 7505).

use std::net::IpAddr;

use serde_json::json;
use waxwing_dns::{Answer, LookupError, Mx, RecordData, Resolve};

use super::hosts::Host;
use super::own::Own;
use super::section::{Record, Remark, Section, is_internal};

/// Hosts that are looked at: nobody has more.
const HOSTS_MAX: usize = 20;

/// What the DNS says.
#[derive(Debug)]
pub struct Facts {
    pub domain: String,
    pub answer: Result<Answer<Mx>, LookupError>,
    /// The hosts by preference; without any MX, the domain itself when it has an address.
    pub hosts: Vec<(u16, Host)>,
}

impl Facts {
    pub async fn gather(resolver: &impl Resolve, domain: &str) -> Facts {
        let answer = resolver.mx(domain).await;
        let mut hosts = Vec::new();
        match &answer {
            Ok(answer) => {
                let mut records = answer.records.clone();
                records.sort();
                for mx in records.iter().filter(|mx| mx.exchange != ".").take(HOSTS_MAX) {
                    hosts.push((mx.preference, Host::look_up(resolver, &mx.exchange).await));
                }
            }
            Err(error) if error.is_absent() => {
                let itself = Host::look_up(resolver, domain).await;
                hosts.extend((!itself.addresses.is_empty()).then_some((0, itself)));
            }
            Err(_) => {}
        }
        Facts { domain: domain.to_owned(), answer, hosts }
    }

    /// The domain says that it takes no mail.
    pub fn is_null(&self) -> bool {
        self.hosts.is_empty() && self.answer.is_ok()
    }

    /// Every address of every host, once, with the host's own name.
    pub fn addresses(&self) -> Vec<(&str, IpAddr)> {
        let mut all: Vec<(&str, IpAddr)> = Vec::new();
        for (_, host) in &self.hosts {
            for ip in &host.addresses {
                if !all.iter().any(|(_, known)| known == ip) {
                    all.push((host.alias.as_ref().unwrap_or(&host.name), *ip));
                }
            }
        }
        all
    }
}

/// What is to be said of it.
pub fn judge(facts: &Facts, own: &Own) -> Section {
    let mut section = Section::new("mx", "Where mail goes (MX)");
    match &facts.answer {
        Ok(answer) => published(facts, answer, own, &mut section),
        Err(error) if error.is_absent() => missing(facts, error, own, &mut section),
        Err(error) => {
            let question = format!("where {} takes its mail", facts.domain);
            section.say(Remark::unanswered(&question, error));
        }
    }
    let hosts: Vec<_> = facts
        .hosts
        .iter()
        .map(|(preference, host)| {
            json!({
                "preference": preference, "name": host.name, "alias": host.alias, "addresses": host.addresses,
            })
        })
        .collect();
    let dnssec = facts.answer.as_ref().is_ok_and(|answer| answer.dnssec.is_secure());
    section.data = json!({ "hosts": hosts, "null_mx": facts.is_null(), "dnssec": dnssec });
    section
}

fn missing(facts: &Facts, error: &LookupError, own: &Own, section: &mut Section) {
    let domain = &facts.domain;
    let remedy = |remark: Remark| match own.record_of_ours(domain) {
        Some(record) => remark.add([record]),
        None => remark,
    };
    if matches!(error, LookupError::NxDomain { .. }) {
        section.say(remedy(Remark::fault("no-domain", format!("{domain} does not exist"))));
    } else if let Some((_, itself)) = facts.hosts.first() {
        let text = format!(
            "{domain} has no MX record: mail goes to its own address, {} (RFC 5321 §5.1); an MX record says it clearly",
            itself.shown()
        );
        section.say(remedy(Remark::warning("mx-implicit", text)));
    } else {
        let text = format!(
            "{domain} has no MX record and no address: mail for it comes back to its senders"
        );
        let remark = remedy(Remark::fault("mx-missing", text));
        let null = Record::new(domain, mx(0, "."));
        section.say(match remark.remedy {
            Some(_) => remark,
            None => {
                remark.mended("if it is to take no mail, say so at once (RFC 7505)", vec![null])
            }
        });
    }
}

fn published(facts: &Facts, answer: &Answer<Mx>, own: &Own, section: &mut Section) {
    let domain = &facts.domain;
    if facts.is_null() {
        let text = format!("{domain} takes no mail, and says so (null MX, RFC 7505)");
        let takes = own.record_of_ours(domain);
        section.say(match takes {
            None => Remark::good("mx-null", text),
            Some(record) => {
                let text = format!("{text}; but this server has it as its domain");
                Remark::fault("mx-null", text).replace(record)
            }
        });
        return;
    }
    if answer.records.iter().any(|mx| mx.exchange == ".") {
        let text = "a null MX stands beside other MX records, which means nothing (RFC 7505 §3): take it out";
        section.say(Remark::fault("mx-null-among-others", text));
    }
    for (preference, host) in &facts.hosts {
        section.say(judge_host(domain, *preference, host));
    }
    let v6_only = facts.hosts.iter().all(|(_, host)| host.addresses.iter().all(IpAddr::is_ipv6));
    if v6_only && facts.hosts.iter().any(|(_, host)| !host.addresses.is_empty()) {
        let text = "no host has an IPv4 address: many servers cannot reach it";
        section.say(Remark::warning("mx-ipv6-only", text));
    }
    if let Some(record) = own.record_of_ours(domain) {
        let is_own = |host: &Host| {
            own.names.contains(&host.name)
                || host.addresses.iter().any(|ip| own.addresses.contains(ip))
        };
        if !facts.hosts.iter().any(|(_, host)| is_own(host)) {
            let text = format!("this server, {}, is not among them", own.shown());
            section.say(Remark::fault("mx-not-ours", text).add([record]));
        }
    }
}

fn judge_host(domain: &str, preference: u16, host: &Host) -> Remark {
    let name = &host.name;
    let shown = format!("{preference} {name}");
    if let Ok(ip) = name.parse::<IpAddr>() {
        let text =
            format!("{shown} is an address; an MX record names a host that has the address {ip}");
        return Remark::fault("mx-is-address", text);
    }
    if let Some(target) = &host.alias {
        let text = format!(
            "{shown} is an alias of {target}; an MX record must name the host itself (RFC 2181 §10.3)"
        );
        let record = Record::new(domain, mx(preference, target));
        return Remark::fault("mx-is-alias", text).replace(record);
    }
    match (&host.failed, host.addresses.is_empty()) {
        (Some(error), true) => Remark::unanswered(&format!("the address of {name}"), error),
        (None, true) => Remark::fault(
            "mx-without-address",
            format!("{shown} has no address: nobody can reach it"),
        ),
        (_, false) if host.addresses.iter().all(|ip| is_internal(*ip)) => {
            let text = format!("{shown} → {}, which only its own network reaches", host.shown());
            Remark::warning("mx-internal-address", text)
        }
        (_, false) => Remark::good("mx-host", format!("{shown} → {}", host.shown())),
    }
}

/// The data of an MX record.
pub fn mx(preference: u16, exchange: &str) -> RecordData {
    RecordData::Mx(Mx { preference, exchange: exchange.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, named, zone};
    use super::*;
    use crate::cli::check::section::Level;

    async fn check(text: &str, own: &Own) -> Section {
        let facts = Facts::gather(&zone(text), "example.org").await;
        judge(&facts, own)
    }

    #[tokio::test]
    async fn hosts_with_addresses_are_good() {
        let section =
            check("@ MX 10 mail\nmail A 192.0.2.7\nmail AAAA 2001:db8::7\n", &Own::default()).await;
        assert_eq!(section.level(), Level::Good);
        assert_eq!(section.remarks[0].text, "10 mail.example.org → 192.0.2.7, 2001:db8::7");
    }

    #[tokio::test]
    async fn every_fault_of_a_host_is_named() {
        for (text, what) in [
            ("@ MX 10 mail\nmail CNAME other\nother A 192.0.2.7\n", "mx-is-alias"),
            ("@ MX 10 mail\n", "mx-without-address"),
            ("@ MX 10 192.0.2.7.\n", "mx-is-address"),
            ("@ MX 0 .\n@ MX 10 mail\nmail A 192.0.2.7\n", "mx-null-among-others"),
            ("@ TXT x\n", "mx-missing"),
        ] {
            has(&check(text, &Own::default()).await, Level::Fault, what);
        }
        let lonely = check("@ A 192.0.2.7\n", &Own::default()).await;
        has(&lonely, Level::Warning, "mx-implicit");
        let inside = check("@ MX 10 mail\nmail A 10.0.0.7\n", &Own::default()).await;
        has(&inside, Level::Warning, "mx-internal-address");
        let null = check("@ MX 0 .\n", &Own::default()).await;
        has(&null, Level::Good, "mx-null");
    }

    #[tokio::test]
    async fn the_dns_may_be_silent() {
        let zone = zone("@ MX 10 mail\n");
        zone.servfail("example.org");
        let facts = Facts::gather(&zone, "example.org").await;
        has(&judge(&facts, &Own::default()), Level::Fault, "dns-failed");
    }

    #[tokio::test]
    async fn our_own_host_must_be_among_those_of_our_domain() {
        let own = Own::of("mx.wax.test", &["192.0.2.1"]);
        let other = check("@ MX 10 mail\nmail A 192.0.2.7\n", &own).await;
        has(&other, Level::Fault, "mx-not-ours");
        let remedy = named(&other, "mx-not-ours").remedy.clone().unwrap();
        assert_eq!(remedy.records[0].line(), "example.org. IN MX 10 mx.wax.test.");
        // By its name or by its address.
        let by_address = check("@ MX 10 mail\nmail A 192.0.2.1\n", &own).await;
        assert_eq!(by_address.level(), Level::Good);
    }
}
