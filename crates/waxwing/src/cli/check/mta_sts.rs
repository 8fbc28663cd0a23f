//! Whether others are told to demand TLS, and told something that holds (MTA-STS, RFC 8461): the record,
//! and the policy file fetched as a sender fetches it.

use waxwing_delivery::outbound::{FetchError, FetchPolicy};
use waxwing_dns::{Answer, LookupError, Resolve};
use waxwing_mailauth::policy::mta_sts::{self, Mode, Policy};

use super::hosts::Host;
use super::own::Own;
use super::section::{Record, Remark};
use super::transport::texts;

/// RFC 8461 §3.2: "weeks or greater". What a policy protects from is somebody who holds up its renewal
/// for so long.
const MAX_AGE_AT_LEAST_SECS: u32 = 7 * 86_400;

/// What the DNS and the policy's host say.
#[derive(Debug)]
pub struct Facts {
    pub domain: String,
    pub record: Result<Answer<Vec<u8>>, LookupError>,
    pub policy_host: Host,
    /// The file; `None` when it was not asked for.
    pub file: Option<Result<Vec<u8>, FetchError>>,
}

/// What there is, for `--json`.
#[derive(Debug, Default)]
pub struct Found {
    pub id: Option<String>,
    pub policy: Option<Policy>,
}

impl Facts {
    /// The file is fetched when there is a record that says so, and a host to ask.
    pub async fn gather(
        resolver: &impl Resolve,
        domain: &str,
        fetch: Option<&dyn FetchPolicy>,
    ) -> Facts {
        let (record, host) = (mta_sts::record_name(domain), mta_sts::policy_host(domain));
        let (record, policy_host) =
            tokio::join!(resolver.txt(&record), Host::look_up(resolver, &host));
        let announced = texts(&record).is_ok_and(|texts| matches!(select(texts), Ok(Some(_))));
        let file = match fetch.filter(|_| announced && !policy_host.addresses.is_empty()) {
            Some(fetch) => Some(fetch.fetch(domain).await),
            None => None,
        };
        Facts { domain: domain.to_owned(), record, policy_host, file }
    }

    fn url(&self) -> String {
        format!("https://{}{}", self.policy_host.name, mta_sts::PATH)
    }
}

fn select(texts: &[Vec<u8>]) -> Result<Option<mta_sts::Record>, String> {
    mta_sts::Record::select(texts.iter().map(Vec::as_slice)).map_err(|error| error.to_string())
}

/// What is to be said of it; `exchangers` are the hosts that the domain's MX records name.
pub fn judge(facts: &Facts, exchangers: &[String], own: &Own) -> (Vec<Remark>, Found) {
    let mut found = Found::default();
    let record = match texts(&facts.record).map(select) {
        Err(error) => return (vec![Remark::unanswered("the MTA-STS record", error)], found),
        Ok(Err(why)) => {
            let name = mta_sts::record_name(&facts.domain);
            let text = format!(
                "the record {name} counts for nothing: {why}. Others do not look for a policy"
            );
            let remark = Remark::fault("mta-sts-broken", text);
            return (vec![with_ours(remark, facts, own)], found);
        }
        Ok(Ok(None)) => return (vec![missing(facts, own)], found),
        Ok(Ok(Some(record))) => record,
    };
    let mut remarks = Vec::new();
    match &facts.file {
        None => remarks.push(not_fetched(facts, &record)),
        Some(Err(error)) => remarks.push(unfetched(facts, error)),
        Some(Ok(file)) => match Policy::parse(file) {
            Ok(policy) => {
                remarks.extend(judge_policy(facts, &policy, exchangers));
                found.policy = Some(policy);
            }
            Err(why) => {
                let text = format!(
                    "the policy at {} counts for nothing: {why}. Others send as if there were none",
                    facts.url()
                );
                remarks.push(Remark::fault("mta-sts-file-broken", text));
            }
        },
    }
    remarks.extend(outdated(facts, &record, own));
    found.id = Some(record.id);
    (remarks, found)
}

fn missing(facts: &Facts, own: &Own) -> Remark {
    let text = format!(
        "others are not told to demand TLS (no MTA-STS): somebody between them and {} can turn it off. It takes a record and a file at {} (RFC 8461)",
        facts.domain,
        facts.url()
    );
    let remark = Remark::warning("mta-sts-missing", text);
    match our_record(facts, own) {
        Some(record) => remark.add([record]),
        None => remark,
    }
}

/// The record that goes with the policy that this server shows for the domain.
fn our_record(facts: &Facts, own: &Own) -> Option<Record> {
    let policy = own.mta_sts.as_ref().filter(|_| own.has_domain)?;
    let name = mta_sts::record_name(&facts.domain);
    Some(Record::txt(name, &policy.record().to_string()))
}

fn with_ours(remark: Remark, facts: &Facts, own: &Own) -> Remark {
    match our_record(facts, own) {
        Some(record) => remark.replace(record),
        None => remark,
    }
}

fn not_fetched(facts: &Facts, record: &mta_sts::Record) -> Remark {
    let (host, id) = (&facts.policy_host.name, &record.id);
    if facts.policy_host.addresses.is_empty() {
        let text = format!(
            "a policy is announced (id {id}), but {host}, which has to serve it, has no address: others send as if there were none. Give it the address of the web server that has the file"
        );
        return Remark::fault("mta-sts-without-host", text);
    }
    let text =
        format!("a policy is announced (id {id}); it was not fetched from {host} to be looked at");
    Remark::info("mta-sts", text)
}

fn unfetched(facts: &Facts, error: &FetchError) -> Remark {
    let host = &facts.policy_host.name;
    let effect =
        "Others send as if there were no policy, or keep to an older one until it runs out";
    match error {
        FetchError::Certificate(why) => Remark::fault(
            "mta-sts-certificate",
            format!(
                "the policy cannot be had, since the certificate does not hold: {why}. {effect}. The certificate must name {host}, and come from an authority that everybody trusts"
            ),
        ),
        FetchError::Other(why) => Remark::fault(
            "mta-sts-unfetchable",
            format!(
                "the policy cannot be had from {}: {why}. {effect}. The file must be served there, as text/plain and without a redirection (RFC 8461 §3.3)",
                facts.url()
            ),
        ),
    }
}

fn judge_policy(facts: &Facts, policy: &Policy, exchangers: &[String]) -> Vec<Remark> {
    let mut remarks = vec![match policy.mode {
        Mode::Enforce => Remark::good(
            "mta-sts",
            format!("others send with TLS or not at all ({} serves it)", facts.policy_host.name),
        ),
        Mode::Testing => Remark::warning(
            "mta-sts-testing",
            "the policy is in testing: what fails is sent all the same. Once the reports (TLS-RPT) are clean, write `mode: enforce`",
        ),
        Mode::None => Remark::warning(
            "mta-sts-none",
            "the policy is turned off (`mode: none`): others need not use TLS. When all have read it, the record and the file may go",
        ),
    }];
    if policy.mode == Mode::None {
        return remarks;
    }
    let strangers: Vec<&str> =
        exchangers.iter().filter(|host| !policy.allows(host)).map(String::as_str).collect();
    if !strangers.is_empty() {
        let text = format!(
            "the policy does not name {}, where the MX records send mail: {}. Add `mx: {}` to the file, and then change the record's id",
            strangers.join(", "),
            match policy.mode {
                Mode::Enforce => "others that keep to it send nothing there",
                _ => "it would not get any once the policy is enforced",
            },
            strangers[0],
        );
        let level = if policy.mode == Mode::Enforce { Remark::fault } else { Remark::warning };
        remarks.push(level("mta-sts-mx", text));
    }
    if policy.max_age_secs < MAX_AGE_AT_LEAST_SECS {
        let text = format!(
            "others keep the policy for {} only: whoever holds up its renewal for so long turns it off. Write a max_age of weeks, such as 1209600 (RFC 8461 §3.2)",
            span(policy.max_age_secs)
        );
        remarks.push(Remark::warning("mta-sts-max-age", text));
    }
    remarks
}

fn span(secs: u32) -> String {
    match secs {
        0..7_200 => format!("{} minutes", secs / 60),
        7_200..172_800 => format!("{} hours", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// Whether the record announces another policy than the one that this server shows (RFC 8461 §3.1):
/// others would keep to what they have.
fn outdated(facts: &Facts, record: &mta_sts::Record, own: &Own) -> Option<Remark> {
    let ours = own.mta_sts.as_ref().filter(|_| own.has_domain)?;
    if *record == ours.record() {
        return None;
    }
    let text = format!(
        "the record's id ({}) is not that of the policy that this server shows: others that have an older one do not look for the newer",
        record.id
    );
    Some(with_ours(Remark::warning("mta-sts-id", text), facts, own))
}

#[cfg(test)]
mod tests {
    use super::super::section::{Level, Section};
    use super::super::testing::{has, named, zone};
    use super::*;
    use crate::serve::sts::Fetcher;
    use crate::serve::testing::{Authority, answer_https};

    const RECORDS: &str = "_mta-sts TXT \"v=STSv1; id=1\"\nmta-sts A 127.0.0.1\n";

    /// What is said of a domain whose only exchanger is mail.example.org, when a server with a
    /// certificate for these names shows this file.
    async fn served(names: &[&str], file: &str) -> Section {
        let authority = Authority::new();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length";
        let answer = format!("{head}: {}\r\n\r\n{file}", file.len());
        let port = answer_https(authority.acceptor(names), answer).await;
        let names = zone(RECORDS);
        let fetcher = Fetcher::new(&names, authority.connector(), port);
        let facts = Facts::gather(&names, "example.org", Some(&fetcher)).await;
        said(&facts, &Own::default())
    }

    fn said(facts: &Facts, own: &Own) -> Section {
        let mut section = Section::new("transport", "");
        judge(facts, &["mail.example.org".to_owned()], own)
            .0
            .into_iter()
            .for_each(|r| section.say(r));
        section
    }

    fn file(mode: &str, mx: &str, max_age: u32) -> String {
        format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: {max_age}\n")
    }

    const HOST: &str = "mta-sts.example.org";

    #[tokio::test]
    async fn a_sound_policy_is_good() {
        let section = served(&[HOST], &file("enforce", "*.example.org", 1_209_600)).await;
        assert_eq!(section.level(), Level::Good, "{section:#?}");
    }

    #[tokio::test]
    async fn each_flaw_of_the_policy_is_named() {
        for (policy, level, what, words) in [
            (
                file("testing", "*.example.org", 1_209_600),
                Level::Warning,
                "mta-sts-testing",
                "mode: enforce",
            ),
            (file("none", "x.test", 60), Level::Warning, "mta-sts-none", "turned off"),
            (
                file("enforce", "mx.other.test", 1_209_600),
                Level::Fault,
                "mta-sts-mx",
                "mx: mail.example.org",
            ),
            (
                file("testing", "mx.other.test", 1_209_600),
                Level::Warning,
                "mta-sts-mx",
                "mail.example.org",
            ),
            (
                file("enforce", "*.example.org", 86_400),
                Level::Warning,
                "mta-sts-max-age",
                "24 hours",
            ),
            ("<html>".to_owned(), Level::Fault, "mta-sts-file-broken", "line 1"),
        ] {
            let section = served(&[HOST], &policy).await;
            has(&section, level, what);
            assert!(named(&section, what).text.contains(words), "{section:#?}");
        }
    }

    #[tokio::test]
    async fn a_certificate_for_another_name_is_no_policy() {
        let policy = file("enforce", "*.example.org", 1_209_600);
        let section = served(&["www.example.org"], &policy).await;
        has(&section, Level::Fault, "mta-sts-certificate");
        assert!(named(&section, "mta-sts-certificate").text.contains(HOST));
    }

    #[tokio::test]
    async fn a_host_that_does_not_answer_or_does_not_exist() {
        let names = zone(RECORDS);
        // Nobody listens at port 1.
        let fetcher = Fetcher::new(&names, Authority::new().connector(), 1);
        let facts = Facts::gather(&names, "example.org", Some(&fetcher)).await;
        has(&said(&facts, &Own::default()), Level::Fault, "mta-sts-unfetchable");
        let names = zone("_mta-sts TXT \"v=STSv1; id=1\"\n");
        let fetcher = Fetcher::new(&names, Authority::new().connector(), 1);
        let facts = Facts::gather(&names, "example.org", Some(&fetcher)).await;
        has(&said(&facts, &Own::default()), Level::Fault, "mta-sts-without-host");
    }

    #[tokio::test]
    async fn our_own_policy_and_its_record_go_together() {
        let policy = Policy::parse(file("enforce", "mail.example.org", 1_209_600).as_bytes());
        let own = Own { mta_sts: policy.ok(), ..Own::of("mail.example.org", &["192.0.2.7"]) };
        let record = own.mta_sts.as_ref().unwrap().record();
        let given = |remark: &Remark| remark.remedy.clone().unwrap().records[0].line();
        for (text, what) in [
            (RECORDS, "mta-sts-id"),
            ("@ TXT x\n", "mta-sts-missing"),
            ("_mta-sts TXT \"v=STSv1; id=a-b\"\n", "mta-sts-broken"),
        ] {
            let facts = Facts::gather(&zone(text), "example.org", None).await;
            let section = said(&facts, &own);
            assert!(given(named(&section, what)).contains(&record.id), "{section:#?}");
        }
        let sound = format!("_mta-sts TXT \"{record}\"\nmta-sts A 192.0.2.7\n");
        let facts = Facts::gather(&zone(&sound), "example.org", None).await;
        assert_eq!(said(&facts, &own).level(), Level::Info);
    }
}
