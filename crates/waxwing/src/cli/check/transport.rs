//! Whether others are told to demand TLS, and to report when it fails: MTA-STS (RFC 8461) and TLS-RPT
//! (RFC 8460).

use serde_json::json;
use waxwing_delivery::outbound::FetchPolicy;
use waxwing_dns::{Answer, LookupError, Resolve};
use waxwing_mailauth::policy::tls_rpt::{self, Destination};

use super::mta_sts;
use super::own::Own;
use super::section::{Record, Remark, Section};

/// What the DNS and the policy's host say.
#[derive(Debug)]
pub struct Facts {
    pub domain: String,
    pub mta_sts: mta_sts::Facts,
    pub tls_rpt: Result<Answer<Vec<u8>>, LookupError>,
}

impl Facts {
    /// `fetch` fetches the policy file; without it only the DNS is asked.
    pub async fn gather(
        resolver: &impl Resolve,
        domain: &str,
        fetch: Option<&dyn FetchPolicy>,
    ) -> Facts {
        let report = tls_rpt::record_name(domain);
        let (mta_sts, tls_rpt) =
            tokio::join!(mta_sts::Facts::gather(resolver, domain, fetch), resolver.txt(&report));
        Facts { domain: domain.to_owned(), mta_sts, tls_rpt }
    }
}

/// Texts, none when there are none.
pub fn texts(answer: &Result<Answer<Vec<u8>>, LookupError>) -> Result<&[Vec<u8>], &LookupError> {
    match answer {
        Ok(answer) => Ok(&answer.records),
        Err(error) if error.is_absent() => Ok(&[]),
        Err(error) => Err(error),
    }
}

/// What is to be said of it; `exchangers` are the hosts that the domain's MX records name.
pub fn judge(facts: &Facts, exchangers: &[String], own: &Own) -> Section {
    let mut section = Section::new("transport", "Encryption on the way (MTA-STS, TLS-RPT)");
    let (remarks, found) = mta_sts::judge(&facts.mta_sts, exchangers, own);
    remarks.into_iter().for_each(|remark| section.say(remark));
    let (remark, rua) = tls_rpt(facts);
    section.say(remark);
    section.data = json!({
        "mta_sts_id": found.id,
        "mta_sts_policy": found.policy.map(|policy| policy.lines()),
        "tls_rpt_rua": rua,
    });
    section
}

/// And where reports go.
fn tls_rpt(facts: &Facts) -> (Remark, Option<Vec<String>>) {
    let name = tls_rpt::record_name(&facts.domain);
    let broken = |why: &str| {
        let text = format!("the record {name} counts for nothing: {why}");
        Remark::fault("tls-rpt-broken", text).replace(report_record(facts))
    };
    let record = match texts(&facts.tls_rpt) {
        Ok(texts) => tls_rpt::Record::select(texts.iter().map(Vec::as_slice)),
        Err(error) => return (Remark::unanswered("the TLS-RPT record", error), None),
    };
    match record {
        Err(why) => (broken(&why.to_string()), None),
        Ok(None) => {
            let text = "nobody is told when TLS to this domain fails (no TLS-RPT)";
            (Remark::warning("tls-rpt-missing", text).add([report_record(facts)]), None)
        }
        Ok(Some(record)) if record.rua.is_empty() => {
            (broken("it names no place that reports can be sent to (mailto: or https:)"), None)
        }
        Ok(Some(record)) => {
            let rua: Vec<String> = record.rua.iter().map(shown).collect();
            let text = format!("failures of TLS are reported to {}", rua.join(", "));
            (Remark::good("tls-rpt", text), Some(rua))
        }
    }
}

fn shown(destination: &Destination) -> String {
    match destination {
        Destination::Mailto(address) => format!("mailto:{address}"),
        Destination::Https(uri) => uri.clone(),
    }
}

fn report_record(facts: &Facts) -> Record {
    let domain = &facts.domain;
    let text = format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}");
    Record::txt(tls_rpt::record_name(domain), &text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, zone};
    use super::*;
    use crate::cli::check::section::Level;

    async fn check(text: &str) -> Section {
        let facts = Facts::gather(&zone(text), "example.org", None).await;
        judge(&facts, &["mail.example.org".to_owned()], &Own::default())
    }

    #[tokio::test]
    async fn both_records() {
        let section = check(
            "_mta-sts TXT \"v=STSv1; id=1\"\nmta-sts A 192.0.2.1\n_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:t@example.org\"\n",
        )
        .await;
        has(&section, Level::Info, "mta-sts");
        has(&section, Level::Good, "tls-rpt");
        assert_eq!(section.data["tls_rpt_rua"], json!(["mailto:t@example.org"]));
        let none = check("@ TXT x\n").await;
        has(&none, Level::Warning, "mta-sts-missing");
        has(&none, Level::Warning, "tls-rpt-missing");
        let broken =
            check("_mta-sts TXT \"v=STSv1; id=1\"\n_smtp._tls TXT \"v=TLSRPTv1; rua=x\"\n").await;
        has(&broken, Level::Fault, "mta-sts-without-host");
        has(&broken, Level::Fault, "tls-rpt-broken");
        let nowhere = check("_smtp._tls TXT \"v=TLSRPTv1; rua=ftp://x.test/\"\n").await;
        has(&nowhere, Level::Fault, "tls-rpt-broken");
    }
}
