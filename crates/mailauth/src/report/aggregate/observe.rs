//! From what was seen of single messages to the reports of a period.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::write::SIGNATURES_MAX;
use super::{
    AggregateReport, Aligned, AuthResults, Disposition, DkimAuth, DkimResult, Identifiers,
    OverrideReason, PolicyEvaluated, PolicyPublished, Row, SpfAuth,
};
use crate::report::ReportMeta;

/// What DMARC made of one message, for the report to its policy domain. The store keeps it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Observation {
    /// The record and where it was found.
    pub policy: PolicyPublished,
    /// The client that brought the message.
    pub source_ip: IpAddr,
    /// What was done.
    pub disposition: Disposition,
    /// Whether an aligned signature passed.
    pub dkim: Aligned,
    /// Whether an aligned SPF domain passed.
    pub spf: Aligned,
    /// Why something else was done than the policy asks for.
    #[serde(default)]
    pub reasons: Vec<OverrideReason>,
    /// Domain of the author.
    pub header_from: String,
    /// Domain of the reverse-path; empty for the null reverse-path.
    #[serde(default)]
    pub envelope_from: Option<String>,
    /// Domain of the recipient.
    #[serde(default)]
    pub envelope_to: Option<String>,
    /// Every signature.
    #[serde(default)]
    pub dkim_results: Vec<DkimAuth>,
    /// What SPF said.
    #[serde(default)]
    pub spf_results: Vec<SpfAuth>,
}

impl Observation {
    /// The row of one such message.
    fn into_row(self) -> (PolicyPublished, Row) {
        let mut dkim = self.dkim_results;
        if dkim.len() > SIGNATURES_MAX {
            // The sort is stable: within a rank, the order of the message stays.
            dkim.sort_by_key(|signature| rank(signature, &self.header_from));
            dkim.truncate(SIGNATURES_MAX);
        }
        let row = Row {
            source_ip: self.source_ip.to_canonical(),
            count: 0,
            policy_evaluated: PolicyEvaluated {
                disposition: self.disposition,
                dkim: self.dkim,
                spf: self.spf,
                reasons: self.reasons,
            },
            identifiers: Identifiers {
                header_from: name(&self.header_from),
                envelope_from: self.envelope_from.as_deref().map(name),
                envelope_to: self.envelope_to.as_deref().map(name),
            },
            auth_results: AuthResults { dkim, spf: self.spf_results },
        };
        (PolicyPublished { domain: name(&self.policy.domain), ..self.policy }, row)
    }
}

/// Counts observations into reports: one for each policy domain, in the order of their names, with
/// rows that are alike merged (RFC 9990 §3.1.1.7). Each observation comes with the number of messages
/// it stands for. A record that changed in the period is reported as it was last (RFC 9990 §3.1,
/// "the final configuration observed").
pub fn aggregate(
    observations: impl IntoIterator<Item = (Observation, u64)>,
    meta: &ReportMeta,
) -> Vec<AggregateReport> {
    let mut domains: BTreeMap<String, (PolicyPublished, BTreeMap<Row, u64>)> = BTreeMap::new();
    for (observation, count) in observations {
        if count == 0 {
            continue;
        }
        let (policy, row) = observation.into_row();
        let (last, rows) = domains
            .entry(policy.domain.clone())
            .or_insert_with(|| (policy.clone(), BTreeMap::new()));
        *last = policy;
        let counted = rows.entry(row).or_default();
        *counted = counted.saturating_add(count);
    }
    let reports = domains.into_values().map(|(policy, rows)| AggregateReport {
        version: Some("1.0".to_owned()),
        org_name: meta.org_name.clone(),
        email: meta.email.clone(),
        extra_contact_info: meta.extra_contact_info.clone(),
        report_id: meta.unique.clone(),
        begin: meta.begin,
        end: meta.end,
        errors: Vec::new(),
        generator: meta.generator.clone(),
        policy,
        rows: rows.into_iter().map(|(row, count)| Row { count, ..row }).collect(),
    });
    reports.collect()
}

/// Which signatures are worth more when not all can be told (RFC 9990 §3.1.3).
fn rank(signature: &DkimAuth, header_from: &str) -> u8 {
    let (signer, author) = (name(&signature.domain), name(header_from));
    let below = |a: &str, b: &str| a.strip_suffix(b).is_some_and(|rest| rest.ends_with('.'));
    match signature.result {
        DkimResult::Pass if signer == author => 0,
        DkimResult::Pass if below(&signer, &author) || below(&author, &signer) => 1,
        DkimResult::Pass => 2,
        _ => 3,
    }
}

/// A domain name in one form.
fn name(domain: &str) -> String {
    domain.trim().trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signatures_that_say_most_are_kept() {
        let signature = |domain: &str, result| DkimAuth {
            domain: domain.into(),
            selector: None,
            result,
            human_result: None,
        };
        // RFC 9990 §3.1.3, from last to first.
        let mut dkim_results = vec![signature("b.test", DkimResult::Fail); 150];
        dkim_results.push(signature("c.test", DkimResult::Pass));
        dkim_results.push(signature("a.test", DkimResult::Pass));
        dkim_results.push(signature("mail.a.test", DkimResult::Pass));
        let observation = Observation {
            policy: PolicyPublished::new("a.test", super::super::Policy::None),
            source_ip: "::ffff:192.0.2.1".parse().unwrap(),
            disposition: Disposition::None,
            dkim: Aligned::Pass,
            spf: Aligned::Fail,
            reasons: Vec::new(),
            header_from: "Mail.A.test".into(),
            envelope_from: None,
            envelope_to: None,
            dkim_results,
            spf_results: Vec::new(),
        };
        let (_, row) = observation.into_row();
        assert_eq!(row.source_ip.to_string(), "192.0.2.1");
        let kept = &row.auth_results.dkim;
        let first: Vec<&str> = kept.iter().take(4).map(|dkim| dkim.domain.as_str()).collect();
        assert_eq!(
            (kept.len(), &first[..]),
            (100, &["mail.a.test", "a.test", "c.test", "b.test"][..])
        );
    }
}
