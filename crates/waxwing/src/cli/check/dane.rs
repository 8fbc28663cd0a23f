//! Certificates named in the DNS: TLSA records of each mail host (DANE, RFC 7672).

use serde_json::json;
use waxwing_dns::{Answer, Dnssec, LookupError, Resolve, Tlsa};
use waxwing_mailauth::policy::dane;

use super::section::{Remark, Section};

/// What the DNS says of each host.
#[derive(Debug)]
pub struct Facts {
    pub hosts: Vec<(String, Result<Answer<Tlsa>, LookupError>)>,
}

impl Facts {
    pub async fn gather(resolver: &impl Resolve, hosts: &[String]) -> Facts {
        let mut found = Vec::new();
        for host in hosts {
            found.push((host.clone(), resolver.tlsa(&format!("_25._tcp.{host}")).await));
        }
        Facts { hosts: found }
    }
}

/// What is to be said of it.
pub fn judge(facts: &Facts) -> Section {
    let mut section = Section::new("dane", "Certificates named in the DNS (DANE)");
    for (host, answer) in &facts.hosts {
        section.say(judge_host(host, answer));
    }
    section.data = facts
        .hosts
        .iter()
        .map(|(host, answer)| {
            let answer = answer.as_ref().ok();
            let records: Vec<String> =
                answer.into_iter().flat_map(|answer| &answer.records).map(shown).collect();
            let dnssec = answer.is_some_and(|answer| answer.dnssec.is_secure());
            json!({ "host": host, "records": records, "dnssec": dnssec })
        })
        .collect();
    section
}

fn shown(tlsa: &Tlsa) -> String {
    waxwing_dns::RecordData::Tlsa(tlsa.clone()).to_string()
}

fn judge_host(host: &str, answer: &Result<Answer<Tlsa>, LookupError>) -> Remark {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_absent() => {
            let text = format!("{host} has none; it takes a zone that is signed (DNSSEC)");
            return Remark::info("dane-none", text);
        }
        Err(LookupError::Bogus) => {
            let text = format!(
                "the TLSA records of {host} have a wrong signature: who obeys DANE does not deliver"
            );
            return Remark::fault("dane-bogus", text);
        }
        // RFC 7672 §2.2: a failed question for TLSA makes the host unusable in a signed zone.
        Err(error) => return Remark::unanswered(&format!("the TLSA records of {host}"), error),
    };
    let usable = answer.records.iter().filter(|record| dane::is_usable(record)).count();
    let total = answer.records.len();
    match answer.dnssec {
        _ if usable == 0 => {
            let text = format!(
                "{host} has {total} TLSA records, none of them usable for mail: usage 3 or 2 is (RFC 7672 §3.1), with the whole hash"
            );
            Remark::fault("dane-unusable", text)
        }
        Dnssec::Insecure => {
            let text = format!(
                "the TLSA records of {host} are not signed (DNSSEC), so nobody believes them"
            );
            Remark::fault("dane-unsigned", text)
        }
        Dnssec::Indeterminate => {
            let text = format!(
                "{host} has {usable} usable TLSA records; whether they are signed was not checked here: --dnssec does"
            );
            Remark::info("dane-unchecked", text)
        }
        Dnssec::Secure if usable < total => {
            let text = format!(
                "{host} has {total} TLSA records, signed; {} cannot be used for mail",
                total - usable
            );
            Remark::warning("dane-partly", text)
        }
        Dnssec::Secure => Remark::good("dane", format!("{host}: {usable} usable, signed (DNSSEC)")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, zone};
    use super::*;
    use crate::cli::check::section::Level;

    #[tokio::test]
    async fn every_state_of_a_host() {
        let hash = "ab".repeat(32);
        let zone = zone(&format!(
            "good A 192.0.2.1\n_25._tcp.good TLSA 3 1 1 {hash}\n_25._tcp.mixed TLSA 3 1 1 {hash}\n\
             _25._tcp.mixed TLSA 1 1 1 {hash}\n_25._tcp.bad TLSA 1 1 1 {hash}\n_25._tcp.cut TLSA 3 1 1 abcd\n"
        ));
        let of = async |host: &str| {
            let hosts = [format!("{host}.example.org")];
            judge(&Facts::gather(&zone, &hosts).await)
        };
        has(&of("good").await, Level::Fault, "dane-unsigned");
        zone.sign("example.org");
        has(&of("good").await, Level::Good, "dane");
        has(&of("mixed").await, Level::Warning, "dane-partly");
        has(&of("bad").await, Level::Fault, "dane-unusable");
        has(&of("cut").await, Level::Fault, "dane-unusable");
        has(&of("none").await, Level::Info, "dane-none");
        zone.bogus("_25._tcp.good.example.org");
        has(&of("good").await, Level::Fault, "dane-bogus");
    }
}
