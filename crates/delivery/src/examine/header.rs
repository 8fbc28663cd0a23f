//! What is written into the header about what was found, and what others wrote there in our name.

use waxwing_mailauth::dkim::Verification;
use waxwing_mailauth::results::{AuthenticationResults, MethodResult, ReceivedSpf, is_ours};
use waxwing_mailauth::{arc, dmarc, results, spf};
use waxwing_message::parse::field::Header;

use super::Client;

/// Whether a field claims to be by us: it came from outside, so it is forged (RFC 8601 §5).
pub(crate) fn forged_results(field: &Header<'_>, host_name: &str) -> bool {
    field.is("Authentication-Results") && is_ours(field.value, &[host_name])
}

/// Authentication-Results (RFC 8601) of everything that was checked.
pub(super) fn results(
    host_name: &str,
    spf: Option<&spf::Outcome>,
    dkim: &[Verification],
    dmarc: Option<&dmarc::Outcome>,
    arc: &arc::Validation,
) -> AuthenticationResults {
    let mut results = AuthenticationResults::new(host_name);
    results.results.extend(spf.map(spf_result));
    if dkim.is_empty() {
        results.results.push(MethodResult::new("dkim", "none"));
    }
    results.results.extend(dkim.iter().map(Verification::method_result));
    if let Some(dmarc) = dmarc {
        results.results.push(dmarc_result(dmarc));
    }
    if arc.status != arc::ChainStatus::None {
        results.results.push(arc.method_result());
    }
    results
}

/// RFC 8601 §2.7.2.
fn spf_result(spf: &spf::Outcome) -> MethodResult {
    let (property, value) = match spf.identity {
        spf::Identity::MailFrom => ("mailfrom", &spf.sender),
        spf::Identity::Helo => ("helo", &spf.domain),
    };
    MethodResult::new("spf", spf.result.as_str()).with("smtp", property, value)
}

/// RFC 9989 §5.3.8's result with the domain in From, and the policy that was found.
fn dmarc_result(dmarc: &dmarc::Outcome) -> MethodResult {
    let result = MethodResult::new("dmarc", dmarc.result.as_str()).with(
        "header",
        "from",
        &dmarc.author_domain,
    );
    match &dmarc.record {
        Some(_) => result.with("policy", "dmarc", dmarc.published_policy.as_str()),
        None => result,
    }
}

/// Received-SPF (RFC 7208 §9.1), with its line end.
pub(super) fn received_spf(host_name: &str, client: &Client<'_>, spf: &spf::Outcome) -> Vec<u8> {
    let Client { ip, helo, reverse_path } = *client;
    let envelope_from = reverse_path.address().map(ToString::to_string).unwrap_or_default();
    let error = matches!(spf.result, spf::SpfResult::TempError | spf::SpfResult::PermError);
    results::received_spf(&ReceivedSpf {
        result: spf.result.as_str(),
        comment: &spf.reason,
        client_ip: ip.to_canonical(),
        envelope_from: &envelope_from,
        helo,
        identity: match spf.identity {
            spf::Identity::MailFrom => "mailfrom",
            spf::Identity::Helo => "helo",
        },
        receiver: host_name,
        mechanism: spf.term.as_deref(),
        problem: error.then_some(spf.reason.as_str()),
    })
}
