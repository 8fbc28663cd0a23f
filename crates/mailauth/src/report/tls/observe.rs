//! From what was seen of single sessions to the reports of a period.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{FailureDetail, PolicyType, ResultType, TlsPolicy, TlsReport};
use crate::report::ReportMeta;

/// How one session went, or one try to find the policy for it. The store keeps it as JSON.
///
/// A session that failed in several ways is one failure: the first that counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TlsObservation {
    /// The domain that the policy is for: the one that was delivered to.
    pub policy_domain: String,
    /// What kind of policy was in force.
    pub policy_type: PolicyType,
    /// The policy.
    #[serde(default)]
    pub policy_strings: Vec<String>,
    /// The MX patterns of an MTA-STS policy.
    #[serde(default)]
    pub mx_hosts: Vec<String>,
    /// Our address.
    #[serde(default)]
    pub sending_mta_ip: Option<IpAddr>,
    /// The MX, by name.
    #[serde(default)]
    pub receiving_mx_hostname: Option<String>,
    /// How it called itself.
    #[serde(default)]
    pub receiving_mx_helo: Option<String>,
    /// Its address.
    #[serde(default)]
    pub receiving_ip: Option<IpAddr>,
    /// How it failed; `None` when it went well.
    #[serde(default)]
    pub failure: Option<ResultType>,
    /// More about the failure.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A policy as it was in force.
type PolicyKey = (PolicyType, Vec<String>, Vec<String>);
/// What failures have in common.
type FailureKey =
    (ResultType, Option<IpAddr>, Option<String>, Option<String>, Option<IpAddr>, Option<String>);

#[derive(Default)]
struct Counts {
    successes: u64,
    failures: BTreeMap<FailureKey, u64>,
}

/// Counts observations into reports: one for each policy domain, in the order of their names, with a
/// section for each policy that was in force (RFC 8460 §4). Each observation comes with the number
/// of sessions it stands for.
pub fn aggregate_tls(
    observations: impl IntoIterator<Item = (TlsObservation, u64)>,
    meta: &ReportMeta,
) -> Vec<TlsReport> {
    let mut domains: BTreeMap<String, BTreeMap<PolicyKey, Counts>> = BTreeMap::new();
    for (seen, count) in observations {
        if count == 0 {
            continue;
        }
        let domain = seen.policy_domain.trim_end_matches('.').to_ascii_lowercase();
        let policy = (seen.policy_type, seen.policy_strings, seen.mx_hosts);
        let counts = domains.entry(domain).or_default().entry(policy).or_default();
        let counted = match seen.failure {
            None => &mut counts.successes,
            Some(failure) => {
                let key = (
                    failure,
                    seen.sending_mta_ip.map(|ip| ip.to_canonical()),
                    seen.receiving_mx_hostname,
                    seen.receiving_mx_helo,
                    seen.receiving_ip.map(|ip| ip.to_canonical()),
                    seen.reason,
                );
                counts.failures.entry(key).or_default()
            }
        };
        *counted = counted.saturating_add(count);
    }
    let reports = domains.into_iter().map(|(domain, policies)| TlsReport {
        organization_name: meta.org_name.clone(),
        begin: meta.begin,
        end: meta.end,
        contact_info: meta.email.clone(),
        report_id: meta.unique.clone(),
        policies: policies.into_iter().map(|(key, counts)| counts.policy(&domain, key)).collect(),
    });
    reports.collect()
}

impl Counts {
    fn policy(self, domain: &str, key: PolicyKey) -> TlsPolicy {
        let (policy_type, policy_strings, mx_hosts) = key;
        let details = self.failures.into_iter().map(|(key, failed_sessions)| {
            let (result_type, sending_mta_ip, hostname, helo, receiving_ip, reason) = key;
            FailureDetail {
                result_type,
                sending_mta_ip,
                receiving_mx_hostname: hostname,
                receiving_mx_helo: helo,
                receiving_ip,
                failed_sessions,
                additional_information: None,
                failure_reason_code: reason,
            }
        });
        let failure_details: Vec<FailureDetail> = details.collect();
        let failed = failure_details.iter().map(|detail| detail.failed_sessions);
        TlsPolicy {
            policy_type,
            policy_strings,
            policy_domain: domain.to_owned(),
            mx_hosts,
            successful_sessions: self.successes,
            failed_sessions: failed.fold(0, u64::saturating_add),
            failure_details,
        }
    }
}
