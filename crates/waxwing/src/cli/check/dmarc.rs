//! What is to be done with mail that only pretends to be from the domain: DMARC (RFC 9989), and
//! where its reports go (RFC 9990 §4).

use serde_json::json;
use waxwing_dns::Resolve;
use waxwing_mailauth::dmarc::{
    self, Covers, Destination, Discovery, Policy, PolicyTags, ReportUri, TemporaryFailure,
};

use super::section::{Record, Remark, Section};

/// What the DNS says.
#[derive(Debug)]
pub struct Facts {
    pub discovery: Discovery,
    pub destinations: Vec<Place>,
    /// The domain takes no mail, so probably sends none.
    pub null_mx: bool,
}

/// One place that reports go to.
#[derive(Debug)]
pub struct Place {
    /// `rua` or `ruf`.
    pub tag: &'static str,
    pub uri: ReportUri,
    /// Whether it agrees; `None` when it is no mail address.
    pub agrees: Option<Result<Destination, TemporaryFailure>>,
    /// Whether its domain takes mail; when not known it is not held against it.
    pub takes_mail: bool,
}

impl Facts {
    pub async fn gather(resolver: &impl Resolve, domain: &str, null_mx: bool) -> Facts {
        let discovery = dmarc::discover(resolver, domain).await;
        let mut destinations = Vec::new();
        if let (Some(record), Some(at)) = (&discovery.record, &discovery.policy_domain) {
            let rua = record.rua.iter().map(|uri| ("rua", uri));
            for (tag, uri) in rua.chain(record.ruf.iter().map(|uri| ("ruf", uri))) {
                destinations.push(place(resolver, at, tag, uri).await);
            }
        }
        Facts { discovery, destinations, null_mx }
    }
}

async fn place(
    resolver: &impl Resolve,
    policy_domain: &str,
    tag: &'static str,
    uri: &ReportUri,
) -> Place {
    let mut place = Place { tag, uri: uri.clone(), agrees: None, takes_mail: true };
    if let Some(address) = &uri.address {
        let host = address.domain();
        place.agrees = Some(dmarc::external_destination(resolver, policy_domain, host).await);
        place.takes_mail = match resolver.mx(host).await {
            Ok(answer) => answer.records.iter().any(|mx| mx.exchange != "."),
            Err(error) if error.is_absent() => {
                let host = super::hosts::Host::look_up(resolver, host).await;
                !host.addresses.is_empty() || host.failed.is_some()
            }
            Err(_) => true,
        };
    }
    place
}

fn record_name(domain: &str) -> String {
    format!("_dmarc.{domain}")
}

/// What is to be said of it.
pub fn judge(facts: &Facts) -> Section {
    let mut section = Section::new("dmarc", "What becomes of forgeries (DMARC)");
    let found = &facts.discovery;
    if let Some(failed) = &found.failed {
        section.say(match covers(found) {
            // The domain's own record counts all the same; what is above tells how far it reaches.
            Covers::Itself => Remark::warning("dns-failed", failed.clone()),
            _ => Remark::fault("dns-failed", failed.clone()),
        });
    }
    for at in &found.ambiguous {
        let text = format!(
            "{} has more than one DMARC record, so none counts (RFC 9989 §4.10)",
            record_name(at)
        );
        section.say(Remark::fault("dmarc-several", text));
    }
    match (&found.record, &found.policy_domain) {
        (Some(record), Some(at)) => published(found, record, at, &mut section),
        _ if section.remarks.is_empty() => missing(facts, &mut section),
        _ => {}
    }
    for place in &facts.destinations {
        destination(found.policy_domain.as_deref().unwrap_or_default(), place, &mut section);
    }
    let policy = found.record.as_ref().map(|record| record.published(covers(found)).as_str());
    section.data = json!({
        "record": found.record.as_ref().map(|record| &record.text),
        "at": found.policy_domain.as_deref().map(record_name),
        "policy": policy,
        "organizational_domain": found.organizational_domain,
        "reports": facts.destinations.iter().map(|place| {
            json!({ "tag": place.tag, "uri": place.uri.uri, "agrees": agrees(place) })
        }).collect::<Vec<_>>(),
    });
    section
}

fn agrees(place: &Place) -> Option<bool> {
    match place.agrees.as_ref()? {
        Ok(destination) => Some(*destination != Destination::Refused),
        Err(_) => None,
    }
}

fn covers(found: &Discovery) -> Covers {
    match found.policy_domain.as_ref() == Some(&found.domain) {
        true => Covers::Itself,
        false => Covers::Existing,
    }
}

fn missing(facts: &Facts, section: &mut Section) {
    let domain = &facts.discovery.domain;
    let name = record_name(domain);
    if facts.null_mx {
        let text =
            format!("{domain} does not say what becomes of mail that pretends to be from it");
        let record = Record::txt(name, "v=DMARC1; p=reject");
        return section.say(Remark::fault("dmarc-missing", text).add([record]));
    }
    let text = format!(
        "{domain} does not say what becomes of mail that pretends to be from it. Begin with p=none and read the reports; \
         when all of your own mail passes, go on to p=quarantine, then to p=reject"
    );
    let record = Record::txt(name, &format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}"));
    section.say(Remark::fault("dmarc-missing", text).add([record]));
}

fn published(found: &Discovery, record: &dmarc::Record, at: &str, section: &mut Section) {
    let name = record_name(at);
    let with = |tags: &[(&str, &str)]| Record::txt(&name, &with_tags(&record.text, tags));
    if at != found.domain {
        let text = format!("the record of {at} covers {}: {}", found.domain, record.text);
        section.say(Remark::info("dmarc-above", text));
    }
    if record.policy_tags != PolicyTags::Valid {
        let what = match record.policy_tags {
            PolicyTags::Missing => "has no policy (p=)",
            _ => "has a policy that means nothing",
        };
        let counts = if record.usable() { "counts as p=none" } else { "does not count" };
        let text = format!("the record {what}, so it {counts}: {}", record.text);
        return section.say(Remark::fault("dmarc-no-policy", text).replace(with(&[("p", "none")])));
    }
    let policy = record.published(covers(found));
    let text = &record.text;
    let blind = record.rua.is_empty();
    section.say(match policy {
        Policy::Reject => Remark::good("dmarc-policy", format!("forgeries are to be refused: {text}")),
        Policy::Quarantine => Remark::good(
            "dmarc-policy",
            format!("forgeries are to go to the spam folder: {text}. When the reports show no mail of yours among them, p=reject"),
        ),
        Policy::None if blind => {
            Remark::warning("dmarc-watching", format!("forgeries are only counted, by nobody: {text}"))
        }
        Policy::None => Remark::warning(
            "dmarc-watching",
            format!(
                "forgeries are only counted: {text}. When the reports show that all of your own mail passes, go on to \
                 p=quarantine, then to p=reject"
            ),
        )
        .replace(with(&[(policy_tag(record, found), "quarantine")])),
    });
    if covers(found) == Covers::Itself && record.published(Covers::Existing) < policy {
        let text = format!(
            "what pretends to be from a name below {at} is treated more mildly (sp={})",
            record.published(Covers::Existing)
        );
        section.say(Remark::warning("dmarc-below-milder", text));
    }
    if record.testing || record.pct == 0 {
        let text = "the policy is being tested (t=y): one level less is done";
        section.say(Remark::warning("dmarc-testing", text));
    } else if record.pct != 100 {
        let text = format!(
            "pct={} means nothing any more (RFC 9989): the policy holds for all mail",
            record.pct
        );
        section.say(Remark::warning("dmarc-pct", text));
    }
    if blind {
        let text = "nobody is told what was refused and what passed (no rua): you would not notice when your own mail fails";
        let rua = format!("mailto:postmaster@{at}");
        section.say(Remark::warning("dmarc-no-reports", text).replace(with(&[("rua", &rua)])));
    }
}

/// The tag that sets the policy of the domain that was asked for.
fn policy_tag(record: &dmarc::Record, found: &Discovery) -> &'static str {
    match covers(found) == Covers::Existing && record.subdomain_policy.is_some() {
        true => "sp",
        false => "p",
    }
}

fn destination(policy_domain: &str, place: &Place, section: &mut Section) {
    let Place { tag, uri, agrees, takes_mail } = place;
    let Some(address) = &uri.address else {
        let text = format!("{tag}={} is no mail address: nobody reports there", uri.uri);
        return section.say(Remark::warning("dmarc-report-uri", text));
    };
    let host = address.domain();
    section.say(match agrees {
        _ if !takes_mail => Remark::fault(
            "dmarc-report-unreachable",
            format!("reports ({tag}) go to {address}, but {host} takes no mail"),
        ),
        Some(Ok(Destination::Refused)) => {
            let text = format!(
                "reports ({tag}) go to {address}, but {host} does not agree to reports about {policy_domain}: none are sent (RFC 9990 §4)"
            );
            let name = format!("{policy_domain}._report._dmarc.{host}");
            let record = Record::txt(name, "v=DMARC1");
            let how = format!("let whoever runs {host} add this record");
            Remark::fault("dmarc-report-refused", text).mended(how, vec![record])
        }
        Some(Err(error)) => Remark::warning("dmarc-report-unknown", format!("{tag}={address}: {error}")),
        Some(Ok(Destination::Agrees { .. })) => Remark::good(
            "dmarc-reports",
            format!("reports ({tag}) go to {address}, who agrees to take them"),
        ),
        Some(Ok(Destination::SameOrganization)) | None => {
            Remark::good("dmarc-reports", format!("reports ({tag}) go to {address}"))
        }
    });
}

/// The record with these tags set: in their place, or (`p` right after the version) at the end.
fn with_tags(text: &str, tags: &[(&str, &str)]) -> String {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let mut parts: Vec<String> = parts.map(str::to_owned).collect();
    for (name, value) in tags {
        let tag = format!("{name}={value}");
        let is_it = |part: &String| {
            part.split('=').next().is_some_and(|found| found.trim().eq_ignore_ascii_case(name))
        };
        match parts.iter().position(is_it) {
            Some(at) => parts[at] = tag,
            None if *name == "p" => parts.insert(parts.len().min(1), tag),
            None => parts.push(tag),
        }
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{has, named, zone, zones};
    use super::*;
    use crate::cli::check::section::Level;

    async fn check(text: &str) -> Section {
        let text = format!("@ MX 10 mail\n{text}");
        judge(&Facts::gather(&zone(&text), "example.org", false).await)
    }

    fn mended(section: &Section, what: &str) -> String {
        named(section, what).remedy.as_ref().unwrap().records[0].line()
    }

    #[tokio::test]
    async fn the_way_from_nothing_to_reject() {
        let none = check("").await;
        has(&none, Level::Fault, "dmarc-missing");
        assert_eq!(
            mended(&none, "dmarc-missing"),
            "_dmarc.example.org. IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@example.org\""
        );
        let watching = check("_dmarc TXT \"v=DMARC1; p=none; rua=mailto:d@example.org\"\n").await;
        assert_eq!(watching.level(), Level::Warning);
        assert_eq!(
            mended(&watching, "dmarc-watching"),
            "_dmarc.example.org. IN TXT \"v=DMARC1; p=quarantine; rua=mailto:d@example.org\""
        );
        for policy in ["quarantine", "reject"] {
            let text = format!("_dmarc TXT \"v=DMARC1; p={policy}; rua=mailto:d@example.org\"\n");
            assert_eq!(check(&text).await.level(), Level::Good);
        }
    }

    #[tokio::test]
    async fn every_weakness_is_named() {
        for (record, level, what) in [
            ("v=DMARC1; p=reject", Level::Warning, "dmarc-no-reports"),
            ("v=DMARC1; p=none", Level::Warning, "dmarc-watching"),
            (
                "v=DMARC1; p=reject; sp=none; rua=mailto:d@example.org",
                Level::Warning,
                "dmarc-below-milder",
            ),
            ("v=DMARC1; p=reject; t=y", Level::Warning, "dmarc-testing"),
            ("v=DMARC1; p=reject; pct=20", Level::Warning, "dmarc-pct"),
            ("v=DMARC1; p=refuse", Level::Fault, "dmarc-no-policy"),
            ("v=DMARC1; rua=mailto:d@example.org", Level::Fault, "dmarc-no-policy"),
            ("v=DMARC1; p=reject; rua=https://example.org/", Level::Warning, "dmarc-report-uri"),
            (
                "v=DMARC1; p=reject; rua=mailto:d@nowhere.test",
                Level::Fault,
                "dmarc-report-unreachable",
            ),
        ] {
            has(&check(&format!("_dmarc TXT \"{record}\"\n")).await, level, what);
        }
        let two =
            check("_dmarc TXT \"v=DMARC1; p=none\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n").await;
        has(&two, Level::Fault, "dmarc-several");
    }

    #[tokio::test]
    async fn destinations_elsewhere_must_agree() {
        let record = "_dmarc TXT \"v=DMARC1; p=reject; rua=mailto:d@reports.test\"\n";
        let asked = |there: &str| zones(&[("example.org", record), ("reports.test", there)]);
        let check =
            async |there: &str| judge(&Facts::gather(&asked(there), "example.org", false).await);
        let refused = check("@ MX 10 mx\n").await;
        let line = mended(&refused, "dmarc-report-refused");
        assert_eq!(line, "example.org._report._dmarc.reports.test. IN TXT \"v=DMARC1\"");
        // The record that was given mends it.
        let agrees = check(&format!("@ MX 10 mx\n{line}\n")).await;
        assert_eq!(agrees.level(), Level::Good);
    }

    #[tokio::test]
    async fn a_failure_above_the_record_leaves_it_in_force() {
        let zone =
            zone("_dmarc TXT \"v=DMARC1; p=reject; rua=mailto:d@example.org\"\n@ MX 10 mail\n");
        zone.time_out("_dmarc.org");
        let section = judge(&Facts::gather(&zone, "example.org", false).await);
        has(&section, Level::Warning, "dns-failed");
        has(&section, Level::Good, "dmarc-policy");
        zone.time_out("_dmarc.example.org");
        let section = judge(&Facts::gather(&zone, "example.org", false).await);
        has(&section, Level::Fault, "dns-failed");
        assert_eq!(section.remarks.len(), 1, "{section:?}");
    }

    #[tokio::test]
    async fn a_domain_above_may_cover() {
        let zone = zone(
            "_dmarc TXT \"v=DMARC1; p=reject; sp=none; rua=mailto:d@example.org\"\n@ MX 10 mail\n",
        );
        let section = judge(&Facts::gather(&zone, "news.example.org", false).await);
        has(&section, Level::Info, "dmarc-above");
        assert!(mended(&section, "dmarc-watching").contains("p=reject; sp=quarantine;"));
    }
}
