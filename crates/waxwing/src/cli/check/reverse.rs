//! The names of the addresses (PTR), and whether they lead back: what receivers of mail look at first.

use std::net::IpAddr;

use serde_json::json;
use waxwing_dns::record::reverse_name;
use waxwing_dns::{Answer, LookupError, RecordData, Resolve};
use waxwing_filter::spam::connection::is_generic;

use super::hosts::Host;
use super::own::Own;
use super::section::{Record, Remark, Section};

/// Names of one address that are looked back at.
const NAMES_MAX: usize = 5;

/// What the DNS says of one address.
#[derive(Debug)]
pub struct Reverse {
    pub ip: IpAddr,
    /// The host that has the address.
    pub host: String,
    pub names: Result<Answer<String>, LookupError>,
    /// The first name that leads back.
    pub confirmed: Option<String>,
}

/// Asks for every address.
pub async fn gather(resolver: &impl Resolve, addresses: &[(String, IpAddr)]) -> Vec<Reverse> {
    let mut all = Vec::new();
    for (host, ip) in addresses {
        let names = resolver.ptr(*ip).await;
        let mut confirmed = None;
        for name in names.iter().flat_map(|answer| &answer.records).take(NAMES_MAX) {
            if Host::look_up(resolver, name).await.addresses.contains(ip) {
                confirmed = Some(name.clone());
                break;
            }
        }
        all.push(Reverse { ip: *ip, host: host.clone(), names, confirmed });
    }
    all
}

/// What is to be said of it. Mail is refused for it only where mail leaves: at our own addresses it
/// is a fault, at those of others, which may only take mail, a warning.
pub fn judge(facts: &[Reverse], own: &Own) -> Section {
    let mut section = Section::new("reverse_dns", "Names of the addresses (reverse DNS)");
    for one in facts {
        let is_ours = own.addresses.contains(&one.ip);
        section.say(judge_address(one, is_ours));
    }
    section.data = facts
        .iter()
        .map(|one| {
            let names = one.names.as_ref().map(|answer| answer.records.clone());
            json!({ "ip": one.ip, "names": names.unwrap_or_default(), "confirmed": one.confirmed })
        })
        .collect();
    section
}

fn judge_address(one: &Reverse, is_ours: bool) -> Remark {
    let Reverse { ip, host, names, confirmed } = one;
    let bad = |what, text: String| {
        let remark = if is_ours { Remark::fault(what, text) } else { Remark::warning(what, text) };
        let record = Record::new(reverse_name(*ip), RecordData::Ptr(host.clone()));
        remark.mended("let whoever runs the line of this address add this record", vec![record])
    };
    match (names, confirmed) {
        (_, Some(name)) if is_generic(name, *ip) => bad(
            "reverse-generic",
            format!(
                "{ip} is {name}, which looks like a customer's line: many refuse mail from there"
            ),
        ),
        (_, Some(name)) => Remark::good("reverse", format!("{ip} is {name}, and back")),
        (Err(error), _) if error.is_absent() => {
            bad("reverse-missing", format!("{ip} has no name: many refuse mail from there"))
        }
        (Err(error), _) => Remark::warning(
            "reverse-unknown",
            format!("the DNS does not say the name of {ip}: {error}"),
        ),
        (Ok(answer), None) => {
            let name = &answer.records[0];
            let text = format!(
                "{ip} says that it is {name}, but {name} does not lead back to it: many refuse mail from there"
            );
            bad("reverse-unconfirmed", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, named, zones};
    use super::*;
    use crate::cli::check::section::Level;

    #[tokio::test]
    async fn names_must_lead_back() {
        let zone = zones(&[
            ("example.org", "mail A 192.0.2.7\nother A 192.0.2.8\nhost-192-0-2-11 A 192.0.2.11\n"),
            (
                "2.0.192.in-addr.arpa",
                "7 PTR mail.example.org.\n9 PTR other.example.org.\n11 PTR host-192-0-2-11.example.org.\n",
            ),
        ]);
        let own = Own::of("mail.example.org", &["192.0.2.9"]);
        let check = async |ip: &str| {
            let addresses = [("mail.example.org".to_owned(), ip.parse().unwrap())];
            judge(&gather(&zone, &addresses).await, &own)
        };
        has(&check("192.0.2.7").await, Level::Good, "reverse");
        has(&check("192.0.2.9").await, Level::Fault, "reverse-unconfirmed");
        has(&check("192.0.2.10").await, Level::Warning, "reverse-missing");
        has(&check("192.0.2.11").await, Level::Warning, "reverse-generic");
        let section = check("192.0.2.10").await;
        let line = named(&section, "reverse-missing").remedy.as_ref().unwrap().records[0].line();
        assert_eq!(line, "10.2.0.192.in-addr.arpa. IN PTR mail.example.org.");
    }
}
