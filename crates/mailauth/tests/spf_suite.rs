//! The published SPF suites (RFC 7208, and pyspf's own cases): every verdict and every explanation.

mod peers;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;
use waxwing_suites as suites;

use serde_yaml_ng::{Deserializer, Value};
use waxwing_dns::{Answer, Dnssec, LookupError, Mx, RecordData, RecordType, Resolve, Temporary};
use waxwing_mailauth::spf::{Identity, Outcome, Request, SpfResult, check_host};
use waxwing_message::ReversePath;

/// What the suites mean by a name: its records in order, and whether it does not answer for types that
/// it does not have.
#[derive(Default)]
struct Owner {
    records: Vec<RecordData>,
    times_out: bool,
}

/// The `zonedata` of one document. Not a `FakeZone`: the suites have names that are none, such as one
/// with a space, and records that no zone file could hold.
#[derive(Default)]
struct SuiteZone {
    names: BTreeMap<String, Owner>,
}

impl SuiteZone {
    fn new(data: &Value) -> SuiteZone {
        let mut zone = SuiteZone::default();
        for (name, entries) in data.as_mapping().expect("zonedata is a mapping") {
            let name = name.as_str().expect("a name").to_ascii_lowercase();
            zone.names.insert(name, owner(entries.as_sequence().expect("a list of records")));
        }
        zone
    }

    fn find(&self, name: &str, kind: RecordType) -> Result<Vec<RecordData>, LookupError> {
        let mut name = name.to_ascii_lowercase();
        for _ in 0..8 {
            let (dnssec, ttl) = (Dnssec::Insecure, Duration::from_secs(60));
            // What stands above a name that exists is not NXDOMAIN, but the suites see no difference.
            let Some(owner) = self.names.get(&name) else {
                return Err(LookupError::NxDomain { dnssec, ttl });
            };
            let of = |kind| owner.records.iter().filter(move |r| r.record_type() == kind).cloned();
            let records: Vec<RecordData> = of(kind).collect();
            if !records.is_empty() {
                return Ok(records);
            }
            if let Some(RecordData::Cname(target)) = of(RecordType::Cname).next() {
                name = target.trim_end_matches('.').to_ascii_lowercase();
                continue;
            }
            if owner.times_out {
                return Err(Temporary::Timeout.into());
            }
            return Err(LookupError::NoData { dnssec, ttl });
        }
        Err(LookupError::Malformed("aliases without end"))
    }
}

impl Resolve for SuiteZone {
    async fn query(&self, name: &str, kind: RecordType) -> Result<Answer<RecordData>, LookupError> {
        // The rule that every resolver here applies, but for white space.
        let label_ok = |label: &str| (1..=63).contains(&label.len());
        if name.len() > 253 || !name.split('.').all(label_ok) {
            return Err(LookupError::BadName);
        }
        Ok(Answer {
            records: self.find(name, kind)?,
            name: name.to_owned(),
            aliases: Vec::new(),
            ttl: Duration::from_secs(60),
            dnssec: Dnssec::Insecure,
        })
    }
}

fn owner(entries: &[Value]) -> Owner {
    let mut owner = Owner::default();
    let has_txt = entries.iter().any(|entry| entry.get("TXT").is_some());
    for entry in entries {
        let Some(map) = entry.as_mapping() else {
            assert_eq!(entry.as_str(), Some("TIMEOUT"), "a record");
            owner.times_out = true;
            continue;
        };
        for (kind, data) in map {
            let text = || data.as_str().expect("text").to_owned();
            owner.records.extend(match kind.as_str().expect("a type") {
                "A" => Some(RecordData::A(text().parse().expect("an IPv4 address"))),
                "AAAA" => Some(RecordData::Aaaa(text().parse().expect("an IPv6 address"))),
                "PTR" => Some(RecordData::Ptr(text().trim_end_matches('.').to_owned())),
                "CNAME" => Some(RecordData::Cname(text())),
                "MX" => Some(RecordData::Mx(Mx {
                    preference: data[0].as_u64().expect("a preference") as u16,
                    exchange: data[1].as_str().expect("a name").to_owned(),
                })),
                // Served as TXT too unless TXT is given; `NONE` is no record.
                "SPF" if has_txt => None,
                "TXT" if data.as_str() == Some("NONE") => None,
                "SPF" | "TXT" => Some(RecordData::Txt(strings(data))),
                other => panic!("{other} records"),
            });
        }
    }
    owner
}

/// Octets above 127 are written as characters of that number.
fn strings(data: &Value) -> Vec<Vec<u8>> {
    let octets = |text: &Value| {
        let text = text.as_str().expect("text");
        text.chars().map(|c| u8::try_from(u32::from(c)).expect("an octet")).collect()
    };
    match data.as_sequence() {
        Some(list) => list.iter().map(octets).collect(),
        None => vec![octets(data)],
    }
}

struct Case {
    name: String,
    /// Any of them is right.
    results: Vec<String>,
    explanation: Option<String>,
    outcome: Outcome,
}

/// Every case of a file, checked.
async fn cases(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).expect("the suite is readable");
    let mut cases = Vec::new();
    for document in Deserializer::from_str(&text) {
        let document: Value = serde::Deserialize::deserialize(document).expect("YAML");
        let zone = SuiteZone::new(&document["zonedata"]);
        for (name, test) in document["tests"].as_mapping().expect("tests") {
            let field = |name: &str| test[name].as_str().map(str::to_owned);
            cases.push(Case {
                name: name.as_str().expect("a name").to_owned(),
                results: match &test["result"] {
                    Value::Sequence(list) => {
                        list.iter().map(|r| r.as_str().expect("a word").to_owned()).collect()
                    }
                    one => vec![one.as_str().expect("a word").to_owned()],
                },
                explanation: field("explanation"),
                outcome: checked(
                    &zone,
                    &field("host").expect("a host"),
                    &field("helo").expect("a HELO name"),
                    &field("mailfrom").expect("a sender"),
                )
                .await,
            });
        }
    }
    cases
}

async fn checked(zone: &SuiteZone, host: &str, helo: &str, sender: &str) -> Outcome {
    let request = Request {
        ip: host.parse::<IpAddr>().expect("an address"),
        helo,
        // Some of the suite's senders are no addresses, so that they are given in two parts.
        sender: &ReversePath::Null,
        receiver: "receiver.example",
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let (local_part, domain) = match sender.rsplit_once('@') {
        Some(parts) => parts,
        None => ("postmaster", helo),
    };
    check_host(zone, &request, Identity::MailFrom, local_part, domain).await
}

/// Wrong cases, in words.
fn faults(cases: &[Case]) -> Vec<String> {
    let mut faults = Vec::new();
    for Case { name, results, explanation, outcome } in cases {
        let results: Vec<&str> = results.iter().map(String::as_str).collect();
        if !results.contains(&outcome.result.as_str()) {
            let (result, reason) = (outcome.result, &outcome.reason);
            faults.push(format!("{name}: {results:?} was to come, not {result}: {reason}"));
        }
        // `DEFAULT` is the receiver's own text, which stands for none.
        let wanted = explanation.as_deref().filter(|text| *text != "DEFAULT");
        let given = outcome.explanation.as_deref();
        if explanation.is_some() && wanted != given {
            faults.push(format!("{name}: the explanation {wanted:?} was to come, not {given:?}"));
        }
    }
    faults
}

#[tokio::test]
async fn rfc_7208_suite() {
    if !suites::has("spf") {
        return;
    }
    let cases = cases(&suites::path("spf").join("rfc7208-tests.yml")).await;
    let faults = faults(&cases);
    assert!(faults.is_empty(), "{} cases:\n{}", cases.len(), faults.join("\n"));
    assert_eq!(cases.len(), 203);
}

#[tokio::test]
async fn pyspf_suite() {
    if !suites::has("spf") {
        return;
    }
    let mut cases = cases(&suites::path("spf").join("test.yml")).await;
    assert_eq!(cases.len(), 16);
    // Two cases are about pyspf's modes: `strict: 0` obeys a modifier of an old draft, `strict: 2` has
    // a verdict of its own for it. To RFC 7208 §6 it is an unknown modifier, and the record neutral.
    for case in cases.iter_mut().filter(|case| case.name.starts_with("default-modifier")) {
        case.results = vec!["neutral".to_owned()];
    }
    let faults = faults(&cases);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Verdict by verdict beside pyspf, which reads the same files.
#[tokio::test]
async fn pyspf_says_the_same() {
    if !suites::has("spf") {
        return;
    }
    let folder = suites::path("spf");
    for (file, count) in [("rfc7208-tests.yml", 203), ("test.yml", 16)] {
        let differing = beside_pyspf(&folder.join(file), count).await;
        assert!(differing.is_empty(), "{file}:\n{}", differing.join("\n"));
    }
}

/// And on random records, of which many are evaluated deep into their includes. Where pyspf finds a
/// limit passed, two ways of counting differ: it counts the terms of a record before evaluating them
/// and the void lookups of MX and PTR names; we count what is evaluated (RFC 7208 §4.6.4).
#[tokio::test]
async fn pyspf_says_the_same_of_random_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("random.yml");
    std::fs::write(&path, peers::run("spf_random.py", &["7208", "100"])).expect("a file");
    let differing = beside_pyspf(&path, 400).await;
    let (limits, others): (Vec<String>, Vec<String>) = differing
        .into_iter()
        .partition(|d| d.contains("Too many DNS lookups") || d.contains("Void lookup limit"));
    assert!(others.is_empty(), "{}", others.join("\n"));
    assert!(limits.len() < 12, "{}", limits.join("\n"));
}

/// Where we differ from pyspf, in words.
async fn beside_pyspf(path: &Path, count: usize) -> Vec<String> {
    let ours = cases(path).await;
    let said = peers::run("spf_suite.py", &[path.to_str().expect("a UTF-8 path")]);
    let theirs: Vec<Vec<&str>> = said.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!((ours.len(), theirs.len()), (count, count));
    let mut differing = Vec::new();
    for (case, theirs) in ours.iter().zip(theirs) {
        let [name, verdict, why] = theirs[..] else { panic!("{theirs:?}") };
        assert_eq!(case.name, name);
        let Outcome { result, reason, sender, .. } = &case.outcome;
        if result.as_str() != verdict {
            differing.push(format!(
                "{name}, {sender}: pyspf says {verdict} ({why}), we {result}: {reason}"
            ));
        }
    }
    differing
}

#[tokio::test]
async fn reasons_read_well() {
    if !suites::has("spf") {
        return;
    }
    let zone = SuiteZone::new(
        &serde_yaml_ng::from_str(
            "
            example.org:
              - TXT: v=spf1 mx a:www.example.org include:_spf.example.org exists:%{ir}.x.example.org -all
              - MX: [10, mx.example.org]
            _spf.example.org:
              - TXT: v=spf1 redirect=_net.example.org
            _net.example.org:
              - TXT: v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all
            mx.example.org:
              - A: 198.51.100.1
            www.example.org:
              - A: 198.51.100.2
            3.100.51.198.x.example.org:
              - A: 127.0.0.2
            open.example.org:
              - TXT: v=spf1 +all
            many.example.org:
              - TXT: v=spf1 include:many.example.org
            two.example.org:
              - TXT: v=spf1
              - TXT: v=spf1
            bad.example.org:
              - TXT: v=spf1 ip4:192.0.2.300 -all
            slow.example.org:
              - TIMEOUT
            void.example.org:
              - TXT: v=spf1 a mx a:no.example.org -all
            ",
        )
        .expect("YAML"),
    );
    for (ip, sender, result, reason) in [
        (
            "192.0.2.7",
            "a@example.org",
            SpfResult::Pass,
            "192.0.2.7 is in ip4:192.0.2.0/24 of the SPF record of example.org (by \
             include:_spf.example.org, redirect=_net.example.org)",
        ),
        (
            "::ffff:192.0.2.7",
            "a@Example.ORG",
            SpfResult::Pass,
            "192.0.2.7 is in ip4:192.0.2.0/24 of the SPF record of example.org (by \
             include:_spf.example.org, redirect=_net.example.org)",
        ),
        (
            "198.51.100.1",
            "a@example.org",
            SpfResult::Pass,
            "198.51.100.1 is an address of mx.example.org, a mail exchanger of example.org: mx of \
             the SPF record of example.org",
        ),
        (
            "198.51.100.2",
            "a@example.org",
            SpfResult::Pass,
            "198.51.100.2 is an address of www.example.org: a:www.example.org of the SPF record of \
             example.org",
        ),
        (
            "198.51.100.3",
            "a@example.org",
            SpfResult::Pass,
            "3.100.51.198.x.example.org exists: exists:%{ir}.x.example.org of the SPF record of \
             example.org",
        ),
        (
            "203.0.113.9",
            "a@example.org",
            SpfResult::Fail,
            "203.0.113.9 is not listed in the SPF record of example.org, which ends in -all",
        ),
        (
            "203.0.113.9",
            "a@open.example.org",
            SpfResult::Pass,
            "+all of the SPF record of open.example.org lets everyone send, and so 203.0.113.9",
        ),
        (
            "203.0.113.9",
            "a@none.example.org",
            SpfResult::None,
            "none.example.org publishes no SPF record",
        ),
        (
            "203.0.113.9",
            "a@many.example.org",
            SpfResult::PermError,
            "more than 10 terms ask the DNS, the next one in the SPF record of many.example.org",
        ),
        (
            "203.0.113.9",
            "a@two.example.org",
            SpfResult::PermError,
            "two.example.org publishes more than one SPF record",
        ),
        (
            "203.0.113.9",
            "a@bad.example.org",
            SpfResult::PermError,
            "the SPF record of bad.example.org cannot be used: the term \"ip4:192.0.2.300\": not an \
             IPv4 address",
        ),
        (
            "203.0.113.9",
            "a@slow.example.org",
            SpfResult::TempError,
            "the DNS could not say TXT of slow.example.org: no name server answered in time",
        ),
        (
            "203.0.113.9",
            "a@void.example.org",
            SpfResult::PermError,
            "more than 2 questions to the DNS found nothing, the last one for no.example.org",
        ),
        (
            "203.0.113.9",
            "a@[192.0.2.1]",
            SpfResult::None,
            "[192.0.2.1] is an address, which has no SPF record",
        ),
    ] {
        let outcome = checked(&zone, ip, "client.example", sender).await;
        assert_eq!((outcome.result, outcome.reason.as_str()), (result, reason), "{ip} {sender}");
        assert_eq!(outcome.finding().reason, reason);
    }
}

/// A tree of includes that would ask millions of questions, a huge record, and many names.
#[tokio::test]
async fn hostile_records_are_bounded() {
    if !suites::has("spf") {
        return;
    }
    let mut zone = SuiteZone::default();
    let txt = |text: String| Owner {
        records: vec![RecordData::Txt(vec![text.into_bytes()])],
        times_out: false,
    };
    for level in 0..40 {
        let name = |level: usize, half: char| format!("{half}{level}.example.org");
        for half in ['a', 'b'] {
            let (a, b) = (name(level + 1, 'a'), name(level + 1, 'b'));
            let record = format!("v=spf1 include:{a} include:{b} -all");
            zone.names.insert(name(level, half), txt(record));
        }
    }
    let outcome = checked(&zone, "192.0.2.1", "h.example", "x@a0.example.org").await;
    assert_eq!(outcome.result, SpfResult::PermError);
    assert!(outcome.lookups.len() <= 11, "{}", outcome.lookups.len());

    let huge = format!("v=spf1 {}-all", "ip4:198.51.100.1 ".repeat(60_000));
    zone.names.insert("huge.example.org".to_owned(), txt(huge));
    let outcome = checked(&zone, "192.0.2.1", "h.example", "x@huge.example.org").await;
    assert_eq!(outcome.result, SpfResult::Fail);

    let macros = format!("v=spf1 exists:{}.example.org -all", "%{s}".repeat(10_000));
    zone.names.insert("macros.example.org".to_owned(), txt(macros));
    let outcome = checked(&zone, "192.0.2.1", "h.example", "x@macros.example.org").await;
    assert_eq!(outcome.result, SpfResult::Fail);
    assert_eq!(outcome.lookups.len(), 1);

    // A hundred names for an address: ten are looked at.
    let names = (0..100).map(|n| RecordData::Ptr(format!("n{n}.example.org"))).collect();
    zone.names
        .insert("1.2.0.192.in-addr.arpa".to_owned(), Owner { records: names, times_out: false });
    zone.names.insert("ptr.example.org".to_owned(), txt("v=spf1 ptr:example.org -all".to_owned()));
    let outcome = checked(&zone, "192.0.2.1", "h.example", "x@ptr.example.org").await;
    assert_eq!(outcome.result, SpfResult::Fail);
    assert_eq!(outcome.lookups.len(), 12);
}

#[tokio::test]
async fn flatten_shows_the_tree() {
    if !suites::has("spf") {
        return;
    }
    use waxwing_mailauth::spf::flatten;
    let zone = SuiteZone::new(
        &serde_yaml_ng::from_str(
            "
            example.org:
              - TXT: v=spf1 mx include:_spf.example.org exists:%{i}.x.example.org include:loop.example.org -all
              - MX: [10, mx.example.org]
            _spf.example.org:
              - TXT: v=spf1 ip4:192.0.2.77/24 ip6:2001:db8::/32 a:no.example.org ?all
            mx.example.org:
              - A: 198.51.100.1
              - AAAA: 2001:db8:1::1
            loop.example.org:
              - TXT: v=spf1 include:example.org include:gone.example.org -all
            ",
        )
        .expect("YAML"),
    );
    let flat = flatten(&zone, "Example.org").await;
    let ranges: Vec<(&str, &str)> =
        flat.ranges.iter().map(|r| (r.network.as_str(), r.domain.as_str())).collect();
    assert_eq!(
        ranges,
        [
            ("198.51.100.1", "example.org"),
            ("2001:db8:1::1", "example.org"),
            ("192.0.2.0/24", "_spf.example.org"),
            ("2001:db8::/32", "_spf.example.org"),
        ]
    );
    assert_eq!(flat.dns_terms, 7);
    assert_eq!(flat.void_lookups, 1);
    assert_eq!(
        flat.problems,
        [
            "the record of example.org includes itself",
            "include:gone.example.org of loop.example.org leads to no SPF record: receivers answer permerror",
        ]
    );
    let root = flat.root.expect("a record");
    assert_eq!(root.terms.len(), 5);
    assert_eq!(root.terms[1].record.as_ref().expect("a record").domain, "_spf.example.org");
}

/// The parts of a request that only `check_mail_from` and `check_helo` see.
#[tokio::test]
async fn identities() {
    if !suites::has("spf") {
        return;
    }
    use waxwing_mailauth::spf::{check_helo, check_mail_from};
    use waxwing_message::Address;
    let zone = SuiteZone::new(
        &serde_yaml_ng::from_str(
            "
            mx.example.org:
              - TXT: v=spf1 ip4:192.0.2.1 -all exp=why.example.org
            why.example.org:
              - TXT: \"%{s} may not, says %{r} to %{h} at %{t}\"
            xn--bcher-kva.example:
              - TXT: v=spf1 -all exp=%{h}.why.example
            xn--bcher-kva.example.why.example:
              - TXT: not %{o}
            ",
        )
        .expect("YAML"),
    );
    let request = |ip: IpAddr, helo, sender| Request {
        ip,
        helo,
        sender,
        receiver: "receiver.example",
        now: jiff::Timestamp::from_second(99).expect("a time"),
    };
    let (right, wrong) = (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::LOCALHOST);
    let null = ReversePath::Null;
    let outcome = check_mail_from(&zone, &request(right.into(), "mx.example.org", &null)).await;
    assert_eq!(
        (outcome.result, outcome.sender.as_str()),
        (SpfResult::Pass, "postmaster@mx.example.org")
    );
    assert_eq!(outcome.identity, Identity::MailFrom);
    let outcome = check_helo(&zone, &request(wrong.into(), "MX.example.org.", &null)).await;
    assert_eq!((outcome.result, outcome.domain.as_str()), (SpfResult::Fail, "mx.example.org"));
    assert_eq!(
        outcome.explanation.as_deref(),
        Some("postmaster@MX.example.org. may not, says receiver.example to MX.example.org. at 99")
    );
    assert_eq!(outcome.finding().about, "HELO mx.example.org");
    let sender = ReversePath::Address(Address::parse("a@bücher.example").expect("an address"));
    let outcome = check_mail_from(&zone, &request(right.into(), "x", &sender)).await;
    assert_eq!(
        (outcome.result, outcome.domain.as_str()),
        (SpfResult::Fail, "xn--bcher-kva.example")
    );
    let outcome = check_helo(&zone, &request(right.into(), "bücher.example", &null)).await;
    assert_eq!(outcome.domain, "xn--bcher-kva.example");
    // RFC 8616 §4: A-labels in macros.
    assert_eq!(outcome.explanation.as_deref(), Some("not xn--bcher-kva.example"));
}
