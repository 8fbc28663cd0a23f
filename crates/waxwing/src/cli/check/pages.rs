//! Whether mail programs find the pages that set an account up: the names they ask under, and the digest
//! of what they are told. Only for a domain of ours: nobody has to have such pages.

use serde_json::json;
use waxwing_dns::{LookupError, RecordData, Resolve, Srv};

use super::hosts::Host;
use super::own::{Own, Pages};
use super::section::{Record, Remark, Section};
use crate::serve::autoconfig::{HOSTS, pacc_record};

/// What the DNS says.
#[derive(Debug)]
pub struct Found {
    hosts: Vec<Host>,
    srv: Result<Vec<Srv>, LookupError>,
    digest: Result<Vec<String>, LookupError>,
}

/// Asks for every name; `None` where we show no such pages.
pub async fn gather(resolver: &impl Resolve, domain: &str, own: &Own) -> Option<Found> {
    own.pages.as_ref()?;
    let mut hosts = Vec::new();
    for prefix in HOSTS {
        hosts.push(Host::look_up(resolver, &format!("{prefix}.{domain}")).await);
    }
    let srv = resolver.srv(&format!("_autodiscover._tcp.{domain}")).await;
    let digest = resolver.txt(&format!("_ua-auto-config.{domain}")).await;
    let text = |octets: &Vec<u8>| String::from_utf8_lossy(octets).into_owned();
    Some(Found {
        hosts,
        srv: srv.map(|answer| answer.records),
        digest: digest.map(|answer| answer.records.iter().map(text).collect()),
    })
}

/// What is to be said of it.
pub fn judge(found: &Found, pages: &Pages, domain: &str, own: &Own) -> Section {
    let mut section = Section::new("autoconfig", "How mail programs set themselves up");
    let host = &pages.announced.host;
    let mut lacking = Vec::new();
    for asked in &found.hosts {
        if asked.addresses.iter().any(|ip| own.addresses.contains(ip)) {
            section.say(Remark::good("page", format!("{} leads here", asked.name)));
        } else if let Some(error) = &asked.failed {
            section.say(Remark::unanswered(&format!("the address of {}", asked.name), error));
        } else if !asked.addresses.is_empty() {
            let text =
                format!("{} leads to another server, which does not know the settings", asked.name);
            section.say(Remark::warning("page-elsewhere", text));
        } else {
            lacking.push(Record::new(asked.name.clone(), RecordData::Cname(host.clone())));
        }
    }
    match &found.srv {
        Ok(records) if records.iter().any(|srv| srv.target != *host) => {
            let text = "_autodiscover._tcp leads Outlook to another server";
            section.say(Remark::warning("autodiscover-elsewhere", text));
        }
        Ok(_) => section.say(Remark::good("autodiscover", "Outlook is led here".to_owned())),
        Err(error) if error.is_absent() => {
            let target = host.clone();
            let data = RecordData::Srv(Srv { priority: 0, weight: 1, port: 443, target });
            lacking.push(Record::new(format!("_autodiscover._tcp.{domain}"), data));
        }
        Err(error) => section.say(Remark::unanswered("SRV of _autodiscover._tcp", error)),
    }
    let wanted = pacc_record(&pages.announced, pages.name.as_deref().unwrap_or(domain));
    let name = format!("_ua-auto-config.{domain}");
    let record = || Record::txt(name.clone(), &wanted);
    match &found.digest {
        Ok(records) if records.contains(&wanted) => {
            section.say(Remark::good("digest", "the digest of the settings is right".to_owned()));
        }
        Ok(_) => {
            let text =
                "the digest of the settings is of others: programs that check it refuse ours";
            section.say(Remark::fault("digest-wrong", text).add([record()]));
        }
        Err(error) if error.is_absent() => lacking.push(record()),
        Err(error) => section.say(Remark::unanswered(&format!("TXT of {name}"), error)),
    }
    if !lacking.is_empty() {
        let text = "programs that look for the settings do not find all of them";
        section.say(Remark::warning("pages-missing", text).add(lacking));
    }
    section.data = json!({
        "names": found.hosts.iter().map(|host| json!({ "name": host.name, "addresses": host.addresses })).collect::<Vec<_>>(),
    });
    section
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, named, zone};
    use super::*;
    use crate::cli::check::section::Level;
    use crate::config::Config;
    use crate::serve::autoconfig::Announced;

    fn own() -> Own {
        let text = "hostname='mail.example.org'\n[autoconfig]\n[tls]\nself-signed=true\n";
        let config = Config::parse(text, std::path::Path::new("x")).unwrap();
        let pages = Pages { announced: Announced::of(&config), name: None };
        let address = "192.0.2.1";
        Own { pages: Some(pages), ..Own::of("mail.example.org", &[address]) }
    }

    async fn check(text: &str) -> Section {
        let own = own();
        let found = gather(&zone(text), "example.org", &own).await.unwrap();
        judge(&found, own.pages.as_ref().unwrap(), "example.org", &own)
    }

    #[tokio::test]
    async fn what_is_missing_is_given_and_then_good() {
        assert!(gather(&zone("@ TXT x\n"), "example.org", &Own::default()).await.is_none());
        let section = check("mail A 192.0.2.1\n").await;
        let records = &named(&section, "pages-missing").remedy.as_ref().unwrap().records;
        assert_eq!(records.len(), 5);
        let lines: Vec<String> = records.iter().map(Record::line).collect();
        let mended = check(&format!("mail A 192.0.2.1\n{}\n", lines.join("\n"))).await;
        assert_eq!(mended.level(), Level::Good);
    }

    #[tokio::test]
    async fn what_leads_elsewhere_is_told() {
        let text = "mail A 192.0.2.1\nautoconfig A 192.0.2.9\n_autodiscover._tcp SRV 0 1 443 other\n_ua-auto-config TXT \"v=UAAC1; a=sha256; d=AAAA\"\n";
        let section = check(text).await;
        has(&section, Level::Warning, "page-elsewhere");
        has(&section, Level::Warning, "autodiscover-elsewhere");
        has(&section, Level::Fault, "digest-wrong");
    }
}
