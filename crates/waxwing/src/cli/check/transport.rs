//! Whether others are told to demand TLS, and to report when it fails: MTA-STS (RFC 8461) and TLS-RPT
//! (RFC 8460).

use serde_json::json;
use waxwing_dns::{Answer, LookupError, Resolve};

use super::hosts::Host;
use super::policy;
use super::section::{Record, Remark, Section};

/// What the DNS says.
#[derive(Debug)]
pub struct Facts {
    pub domain: String,
    pub mta_sts: Result<Answer<Vec<u8>>, LookupError>,
    pub policy_host: Host,
    pub tls_rpt: Result<Answer<Vec<u8>>, LookupError>,
}

impl Facts {
    pub async fn gather(resolver: &impl Resolve, domain: &str) -> Facts {
        let (record, policy, report) =
            (format!("_mta-sts.{domain}"), format!("mta-sts.{domain}"), report_name(domain));
        let (mta_sts, policy_host, tls_rpt) = tokio::join!(
            resolver.txt(&record),
            Host::look_up(resolver, &policy),
            resolver.txt(&report),
        );
        Facts { domain: domain.to_owned(), mta_sts, policy_host, tls_rpt }
    }
}

fn report_name(domain: &str) -> String {
    format!("_smtp._tls.{domain}")
}

/// Texts, none when there are none.
fn texts(answer: &Result<Answer<Vec<u8>>, LookupError>) -> Result<&[Vec<u8>], &LookupError> {
    match answer {
        Ok(answer) => Ok(&answer.records),
        Err(error) if error.is_absent() => Ok(&[]),
        Err(error) => Err(error),
    }
}

/// What is to be said of it.
pub fn judge(facts: &Facts) -> Section {
    let mut section = Section::new("transport", "Encryption on the way (MTA-STS, TLS-RPT)");
    let (mut id, mut rua) = (None, None);
    match texts(&facts.mta_sts).map(policy::mta_sts_id) {
        Ok(Ok(found)) => {
            section.say(mta_sts(facts, found.as_deref()));
            id = found;
        }
        Ok(Err(why)) => {
            let text = format!("the record _mta-sts.{} counts for nothing: {why}", facts.domain);
            section.say(Remark::fault("mta-sts-broken", text));
        }
        Err(error) => section.say(Remark::unanswered("the MTA-STS record", error)),
    }
    match texts(&facts.tls_rpt).map(policy::tls_rpt_rua) {
        Ok(Ok(found)) => {
            section.say(tls_rpt(facts, found.as_deref()));
            rua = found;
        }
        Ok(Err(why)) => {
            let name = report_name(&facts.domain);
            let text = format!("the record {name} counts for nothing: {why}");
            section.say(Remark::fault("tls-rpt-broken", text).replace(report_record(facts)));
        }
        Err(error) => section.say(Remark::unanswered("the TLS-RPT record", error)),
    }
    section.data = json!({ "mta_sts_id": id, "tls_rpt_rua": rua });
    section
}

fn mta_sts(facts: &Facts, id: Option<&str>) -> Remark {
    let domain = &facts.domain;
    let host = &facts.policy_host;
    match id {
        None => Remark::warning(
            "mta-sts-missing",
            format!(
                "others are not told to demand TLS (no MTA-STS): somebody between them and {domain} can turn it off. It takes a record \
                 and a file at https://{}/.well-known/mta-sts.txt (RFC 8461)",
                host.name
            ),
        ),
        Some(id) if host.addresses.is_empty() => Remark::fault(
            "mta-sts-without-host",
            format!(
                "a policy is announced (id {id}), but {}, which has to serve it, has no address",
                host.name
            ),
        ),
        Some(id) => Remark::good(
            "mta-sts",
            format!("a policy is announced (id {id}); {} serves it", host.name),
        ),
    }
}

fn tls_rpt(facts: &Facts, rua: Option<&[String]>) -> Remark {
    match rua {
        Some(rua) => {
            Remark::good("tls-rpt", format!("failures of TLS are reported to {}", rua.join(", ")))
        }
        None => {
            let text = "nobody is told when TLS to this domain fails (no TLS-RPT)";
            Remark::warning("tls-rpt-missing", text).add([report_record(facts)])
        }
    }
}

fn report_record(facts: &Facts) -> Record {
    let domain = &facts.domain;
    let text = format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}");
    Record::txt(report_name(domain), &text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, zone};
    use super::*;
    use crate::cli::check::section::Level;

    async fn check(text: &str) -> Section {
        judge(&Facts::gather(&zone(text), "example.org").await)
    }

    #[tokio::test]
    async fn both_records() {
        let section = check(
            "_mta-sts TXT \"v=STSv1; id=1\"\nmta-sts A 192.0.2.1\n_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:t@example.org\"\n",
        )
        .await;
        assert_eq!(section.level(), Level::Good);
        let none = check("@ TXT x\n").await;
        has(&none, Level::Warning, "mta-sts-missing");
        has(&none, Level::Warning, "tls-rpt-missing");
        let broken =
            check("_mta-sts TXT \"v=STSv1; id=1\"\n_smtp._tls TXT \"v=TLSRPTv1; rua=x\"\n").await;
        has(&broken, Level::Fault, "mta-sts-without-host");
        has(&broken, Level::Fault, "tls-rpt-broken");
    }
}
