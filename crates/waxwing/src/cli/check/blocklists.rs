//! Whether blocklists have the addresses or the domain (RFC 5782).

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;
use waxwing_dns::{Answer, LookupError, Resolve};
use waxwing_filter::spam::connection::{ListAnswer, domain_query, ip_query, list_answer};
use waxwing_filter::spam::evidence::ListKind;

use super::section::{Remark, Section};

/// A list to ask.
#[derive(Debug, Clone)]
pub struct List {
    pub zone: String,
    pub kind: ListKind,
}

/// What a list says of an address or a domain.
#[derive(Debug)]
pub struct Entry {
    pub zone: String,
    pub about: String,
    pub answer: Result<Answer<Ipv4Addr>, LookupError>,
    /// Its own words about a listing.
    pub says: String,
}

/// Asks every list about everything of its kind.
pub async fn gather(
    resolver: &impl Resolve,
    lists: &[List],
    domain: &str,
    addresses: &[IpAddr],
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for List { zone, kind } in lists {
        let questions: Vec<(String, Option<String>)> = match kind {
            ListKind::Ip => {
                addresses.iter().map(|ip| (ip.to_string(), ip_query(*ip, zone))).collect()
            }
            ListKind::Domain => vec![(domain.to_owned(), domain_query(domain, zone))],
        };
        for (about, query) in questions {
            let Some(query) = query else { continue };
            let answer = resolver.a(&query).await;
            let says = match &answer {
                Ok(_) => resolver.txt(&query).await.ok().and_then(|a| a.records.into_iter().next()),
                Err(_) => None,
            };
            let says = String::from_utf8_lossy(&says.unwrap_or_default()).into_owned();
            entries.push(Entry { zone: zone.clone(), about, answer, says });
        }
    }
    entries
}

/// What is to be said of it.
pub fn judge(lists: &[List], entries: &[Entry]) -> Section {
    let mut section = Section::new("blocklists", "Blocklists");
    if lists.is_empty() {
        section.say(Remark::info("blocklists-none", "none is asked: give one with --blocklist"));
    }
    for entry in entries {
        section.say(judge_entry(entry));
    }
    section.data = entries
        .iter()
        .map(|entry| {
            let answers = entry.answer.as_ref().map(|answer| answer.records.clone());
            json!({
                "list": entry.zone, "about": entry.about, "answers": answers.unwrap_or_default(), "says": entry.says,
            })
        })
        .collect();
    section
}

fn judge_entry(entry: &Entry) -> Remark {
    let Entry { zone, about, answer, says } = entry;
    let says = if says.is_empty() { String::new() } else { format!(": {says}") };
    let answers = match answer {
        Ok(answer) => &answer.records,
        Err(error) if error.is_absent() => {
            return Remark::good("not-listed", format!("{about} is not in {zone}"));
        }
        Err(error) => {
            return Remark::warning("list-silent", format!("{zone} does not answer: {error}"));
        }
    };
    let read: Vec<ListAnswer> = answers.iter().map(|code| list_answer(*code)).collect();
    if let Some(code) = read.iter().find_map(|one| match one {
        ListAnswer::Listed(code) => Some(code),
        _ => None,
    }) {
        return Remark::fault("listed", format!("{about} is in {zone} ({code}){says}"));
    }
    let text = match read.first() {
        Some(ListAnswer::Refused(why)) => format!("{zone} does not tell: {why}"),
        _ => format!("{zone} answers nonsense: it may be gone"),
    };
    Remark::warning("list-silent", text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, zone};
    use super::*;
    use crate::cli::check::section::Level;

    #[tokio::test]
    async fn lists_are_asked_and_understood() {
        let zone = zone(
            "7.2.0.192 A 127.0.0.2\n7.2.0.192 TXT \"spam was seen\"\nexample.net A 127.255.255.254\n",
        );
        let lists = [ListKind::Ip, ListKind::Domain]
            .map(|kind| List { zone: "example.org".to_owned(), kind });
        let addresses = ["192.0.2.7", "192.0.2.8", "10.0.0.1"].map(|ip| ip.parse().unwrap());
        let entries = gather(&zone, &lists, "example.net", &addresses).await;
        let section = judge(&lists, &entries);
        has(&section, Level::Fault, "listed");
        assert!(section.remarks[0].text.ends_with("(127.0.0.2): spam was seen"));
        has(&section, Level::Good, "not-listed");
        has(&section, Level::Warning, "list-silent");
        assert_eq!(entries.len(), 3, "no list knows a private address");
    }
}
