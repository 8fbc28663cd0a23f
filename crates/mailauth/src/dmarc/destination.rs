//! Who may be sent reports about whom (RFC 9990 §4, RFC 7489 §7.1).
//!
//! A record could name anyone's mailbox as the place for its reports. A destination outside of the
//! policy's organization has to agree, by a record at `policy-domain._report._dmarc.destination`.

use waxwing_dns::Resolve;

use super::TemporaryFailure;
use super::record::{Record, ReportUri, is_dmarc};
use super::walk::{Walker, canonical};

/// What is known of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// It belongs to the organization whose mail the reports are about.
    SameOrganization,
    /// It agrees to reports from outside.
    Agrees {
        /// Where it wants them instead, at the same host; empty to leave it as it is.
        instead: Vec<ReportUri>,
    },
    /// It does not: it is not to be sent anything.
    Refused,
}

/// Whether reports about `policy_domain` may be sent to `uri_domain`, the host of a report URI.
pub async fn external_destination_ok(
    resolver: &impl Resolve,
    policy_domain: &str,
    uri_domain: &str,
) -> Result<bool, TemporaryFailure> {
    let destination = external_destination(resolver, policy_domain, uri_domain).await?;
    Ok(destination != Destination::Refused)
}

/// The same with what the destination says.
pub async fn external_destination(
    resolver: &impl Resolve,
    policy_domain: &str,
    uri_domain: &str,
) -> Result<Destination, TemporaryFailure> {
    destination(resolver, policy_domain, uri_domain, |record| record.rua).await
}

/// The same for failure reports, whose tag is `ruf` (RFC 9991 §5).
pub async fn external_failure_destination(
    resolver: &impl Resolve,
    policy_domain: &str,
    uri_domain: &str,
) -> Result<Destination, TemporaryFailure> {
    destination(resolver, policy_domain, uri_domain, |record| record.ruf).await
}

async fn destination(
    resolver: &impl Resolve,
    policy_domain: &str,
    uri_domain: &str,
    tag: fn(Record) -> Vec<ReportUri>,
) -> Result<Destination, TemporaryFailure> {
    let (Some(policy), Some(host)) = (canonical(policy_domain), canonical(uri_domain)) else {
        return Ok(Destination::Refused);
    };
    if policy == host || same_organization(resolver, &policy, &host).await? {
        return Ok(Destination::SameOrganization);
    }
    let name = format!("{policy}._report._dmarc.{host}");
    let texts = match resolver.txt(&name).await {
        Ok(answer) => answer.records,
        Err(error) if error.is_temporary() => return Err(TemporaryFailure { name, error }),
        // Step 4: also when the name would be too long.
        Err(_) => return Ok(Destination::Refused),
    };
    let records: Vec<Record> = texts
        .iter()
        .filter(|octets| is_dmarc(octets))
        .filter_map(|octets| Record::parse_octets(octets).ok())
        .collect();
    if records.is_empty() {
        return Ok(Destination::Refused);
    }
    let instead: Vec<ReportUri> = records.into_iter().flat_map(tag).collect();
    // An override may not point to yet another host; then nothing is sent at all.
    let elsewhere = |uri: &ReportUri| uri.address.as_ref().is_some_and(|a| a.domain() != host);
    match instead.iter().any(elsewhere) {
        true => Ok(Destination::Refused),
        false => Ok(Destination::Agrees { instead }),
    }
}

async fn same_organization(
    resolver: &impl Resolve,
    policy: &str,
    host: &str,
) -> Result<bool, TemporaryFailure> {
    // Without a common end there is no common organization.
    let last_label = |domain: &str| domain.rfind('.').map_or(0, |dot| dot + 1);
    if policy[last_label(policy)..] != host[last_label(host)..] {
        return Ok(false);
    }
    let mut walker = Walker::new(resolver);
    let of_policy = walker.walk(policy).await;
    let of_host = walker.walk(host).await;
    for walk in [&of_policy, &of_host] {
        if let Some(failure) = &walk.failed {
            return Err(failure.clone());
        }
    }
    Ok(of_policy.organizational_domain(&walker) == of_host.organizational_domain(&walker))
}
