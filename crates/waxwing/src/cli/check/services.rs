//! Whether mail clients find the servers by an address alone: SRV records (RFC 6186, RFC 8314 §5.1,
//! RFC 8620 §2.2).

use serde_json::json;
use waxwing_dns::{Answer, LookupError, RecordData, Resolve, Srv};

use super::hosts::Host;
use super::own::Own;
use super::section::{Record, Remark, Section};

/// The services, and whether ours must be among them: TLS from the first octet comes first.
const SERVICES: [(&str, u16); 7] = [
    ("_submissions._tcp", 465),
    ("_submission._tcp", 587),
    ("_imaps._tcp", 993),
    ("_imap._tcp", 143),
    ("_pop3s._tcp", 995),
    ("_pop3._tcp", 110),
    ("_jmap._tcp", 443),
];
/// What this server offers, and `setup` publishes.
const OURS: [&str; 4] = ["_submissions._tcp", "_submission._tcp", "_imaps._tcp", "_pop3s._tcp"];

/// What the DNS says of one service.
#[derive(Debug)]
pub struct Service {
    pub name: &'static str,
    pub port: u16,
    pub answer: Result<Answer<Srv>, LookupError>,
    pub targets: Vec<Host>,
}

/// Asks for every service.
pub async fn gather(resolver: &impl Resolve, domain: &str) -> Vec<Service> {
    let mut all = Vec::new();
    for (name, port) in SERVICES {
        let answer = resolver.srv(&format!("{name}.{domain}")).await;
        let mut targets = Vec::new();
        for srv in answer.iter().flat_map(|answer| &answer.records).filter(|s| s.target != ".") {
            targets.push(Host::look_up(resolver, &srv.target).await);
        }
        all.push(Service { name, port, answer, targets });
    }
    all
}

/// What is to be said of it.
pub fn judge(services: &[Service], domain: &str, own: &Own) -> Section {
    let mut section = Section::new("services", "How mail clients find the servers (SRV)");
    let (mut missing, mut absent) = (Vec::new(), 0);
    for service in services {
        match &service.answer {
            Ok(answer) => published(service, answer, &mut section),
            Err(error) if error.is_absent() => {
                absent += 1;
                if OURS.contains(&service.name) {
                    missing.push(service);
                }
            }
            Err(error) => {
                section.say(Remark::unanswered(&format!("SRV of {}", service.name), error))
            }
        }
    }
    if let (Some(host), false) = (own.host_of(), missing.is_empty()) {
        let names: Vec<&str> = missing.iter().map(|service| service.name).collect();
        let text =
            format!("clients are not told of {}: people type it in by hand", names.join(", "));
        let records = missing.iter().map(|service| {
            let data = RecordData::Srv(Srv {
                priority: 0,
                weight: 1,
                port: service.port,
                target: host.to_owned(),
            });
            Record::new(format!("{}.{domain}", service.name), data)
        });
        section.say(Remark::warning("services-missing", text).add(records));
    } else if absent == services.len() {
        let text = "there are no SRV records: people type the servers' names in by hand";
        section.say(Remark::info("services-none", text));
    }
    section.data = services
        .iter()
        .map(|service| {
            let records = service.answer.iter().flat_map(|answer| &answer.records);
            let records: Vec<String> =
                records.map(|srv| RecordData::Srv(srv.clone()).to_string()).collect();
            json!({ "service": service.name, "records": records })
        })
        .collect();
    section
}

fn published(service: &Service, answer: &Answer<Srv>, section: &mut Section) {
    let name = service.name;
    let offered: Vec<&Srv> = answer.records.iter().filter(|srv| srv.target != ".").collect();
    if offered.is_empty() {
        return section
            .say(Remark::info("service-refused", format!("{name}: not offered, and said so")));
    }
    let shown: Vec<String> =
        offered.iter().map(|srv| format!("{}:{}", srv.target, srv.port)).collect();
    for host in &service.targets {
        if let Some(target) = &host.alias {
            let text = format!(
                "{name} leads to {}, an alias of {target}; RFC 2782 wants the host itself",
                host.name
            );
            return section.say(Remark::warning("service-is-alias", text));
        }
        if host.addresses.is_empty() && host.failed.is_none() {
            let text = format!("{name} leads to {}, which has no address", host.name);
            return section.say(Remark::fault("service-without-address", text));
        }
    }
    section.say(Remark::good("service", format!("{name} → {}", shown.join(", "))));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, named, zone};
    use super::*;
    use crate::cli::check::section::Level;

    async fn check(text: &str, own: &Own) -> Section {
        judge(&gather(&zone(text), "example.org").await, "example.org", own)
    }

    #[tokio::test]
    async fn ours_are_given_and_then_good() {
        let own = Own::of("mail.example.org", &[]);
        let section = check("mail A 192.0.2.1\n", &own).await;
        let records = &named(&section, "services-missing").remedy.as_ref().unwrap().records;
        assert_eq!(
            records[0].line(),
            "_submissions._tcp.example.org. IN SRV 0 1 465 mail.example.org."
        );
        let lines: Vec<String> = records.iter().map(Record::line).collect();
        let mended = check(&format!("mail A 192.0.2.1\n{}\n", lines.join("\n")), &own).await;
        assert_eq!(mended.level(), Level::Good);
    }

    #[tokio::test]
    async fn targets_are_hosts_with_addresses() {
        let own = Own::default();
        has(&check("@ TXT x\n", &own).await, Level::Info, "services-none");
        let dead = check("_imaps._tcp SRV 0 1 993 mail\n", &own).await;
        has(&dead, Level::Fault, "service-without-address");
        let alias =
            check("_imaps._tcp SRV 0 1 993 imap\nimap CNAME mail\nmail A 192.0.2.1\n", &own).await;
        has(&alias, Level::Warning, "service-is-alias");
        has(&check("_pop3._tcp SRV 0 0 0 .\n", &own).await, Level::Info, "service-refused");
    }
}
