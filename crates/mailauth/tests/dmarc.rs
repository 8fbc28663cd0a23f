//! DMARC by RFC 9989's own examples and rules: the tree walk, alignment, which policy covers whom, and
//! what is said when the DNS does not answer.

use waxwing_dns::{FakeZone, RecordType, Zone};
use waxwing_mailauth::dmarc::{
    Destination, DkimInput, DmarcResult, Outcome, Policy, SpfInput, discover, evaluate,
    external_destination, external_destination_ok,
};
use waxwing_mailauth::spf::SpfResult;

/// The whole DNS: each `_dmarc` record by the domain it is for, and other lines as they are.
fn dns(records: &[(&str, &str)], others: &str) -> FakeZone {
    let records: String =
        records.iter().map(|(domain, text)| format!("_dmarc.{domain}. TXT \"{text}\"\n")).collect();
    FakeZone::new().with(Zone::parse(".", &(records + others)).expect("a zone"))
}

fn asked(dns: &FakeZone) -> Vec<String> {
    dns.asked().into_iter().map(|(name, _)| name).collect()
}

async fn organizational_domain(dns: &FakeZone, domain: &str) -> String {
    discover(dns, domain).await.organizational_domain
}

const NO_SPF: SpfInput<'_> = SpfInput { result: SpfResult::None, domain: "" };

fn spf(domain: &str) -> SpfInput<'_> {
    SpfInput { result: SpfResult::Pass, domain }
}

fn dkim(domain: &str) -> [DkimInput<'_>; 1] {
    [DkimInput { domain, selector: "s1", pass: true }]
}

async fn unauthenticated(dns: &FakeZone, author: &str) -> Outcome {
    evaluate(dns, author, &NO_SPF, &[]).await
}

/// The three examples that end RFC 9989 §4.10.2.
#[tokio::test]
async fn organizational_domains_of_the_rfc() {
    let p = "v=DMARC1; p=none";
    let fewest = dns(&[("mail.example.com", p), ("example.com", p)], "");
    assert_eq!(organizational_domain(&fewest, "a.mail.example.com").await, "example.com");
    assert_eq!(
        asked(&fewest),
        [
            "_dmarc.a.mail.example.com",
            "_dmarc.mail.example.com",
            "_dmarc.example.com",
            "_dmarc.com"
        ]
    );
    let own = dns(&[("mail.example.com", "v=DMARC1; p=none; psd=n"), ("example.com", p)], "");
    assert_eq!(organizational_domain(&own, "a.mail.example.com").await, "mail.example.com");
    assert_eq!(own.lookups(), 2, "psd=n ends the walk");
    let suffix = dns(&[("com", "v=DMARC1; p=none; psd=y")], "");
    assert_eq!(organizational_domain(&suffix, "a.mail.example.com").await, "example.com");
    // And the example inside rule 2.
    let suffix = dns(&[("example.com", "v=DMARC1; p=none; psd=y")], "");
    assert_eq!(organizational_domain(&suffix, "mail.example.com").await, "mail.example.com");
    // "If this process does not determine the Organizational Domain …"
    assert_eq!(organizational_domain(&dns(&[], ""), "a.example.com").await, "a.example.com");
    // psd=y where the walk began is not above it.
    assert_eq!(organizational_domain(&suffix, "example.com").await, "example.com");
}

/// §4.10: eight questions, the first for the whole name.
#[tokio::test]
async fn long_names_take_eight_questions() {
    let dns = dns(&[("example.com", "v=DMARC1; p=reject")], "");
    let found = discover(&dns, "a.b.c.d.e.f.g.h.i.j.mail.example.com").await;
    assert_eq!(
        asked(&dns),
        [
            "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com",
            "_dmarc.g.h.i.j.mail.example.com",
            "_dmarc.h.i.j.mail.example.com",
            "_dmarc.i.j.mail.example.com",
            "_dmarc.j.mail.example.com",
            "_dmarc.mail.example.com",
            "_dmarc.example.com",
            "_dmarc.com",
        ]
    );
    assert_eq!(found.policy_domain.as_deref(), Some("example.com"));
    assert_eq!(found.lookups.len(), 8);
}

/// §4.10.1: the author's domain, its organizational domain, its public suffix; nothing between.
#[tokio::test]
async fn where_the_policy_is() {
    let records = [
        ("own.dept.example.com", "v=DMARC1; p=quarantine"),
        ("dept.example.com", "v=DMARC1; p=quarantine"),
        ("example.com", "v=DMARC1; p=reject"),
        ("bank", "v=DMARC1; p=reject; sp=quarantine; psd=y"),
        ("in.bank", "v=DMARC1; p=none"),
    ];
    let dns = dns(&records, "");
    for (author, place) in [
        ("own.dept.example.com", Some("own.dept.example.com")),
        ("x.dept.example.com", Some("example.com")),
        ("example.com", Some("example.com")),
        ("a.x.bank", Some("bank")),
        ("x.bank", Some("bank")),
        // The organizational domain has a record: the suffix's is not used.
        ("a.in.bank", Some("in.bank")),
        ("bank", Some("bank")),
        ("example.net", None),
    ] {
        let outcome = unauthenticated(&dns, author).await;
        assert_eq!(outcome.policy_domain.as_deref(), place, "{author}");
        let result = if place.is_some() { DmarcResult::Fail } else { DmarcResult::None };
        assert_eq!(outcome.result, result, "{author}");
    }
    let outcome = unauthenticated(&dns, "a.x.bank").await;
    assert_eq!(
        (outcome.policy, outcome.organizational_domain.as_str()),
        (Policy::Quarantine, "x.bank")
    );
}

/// RFC 9989 appendix B.1: the examples of identifiers in alignment.
#[tokio::test]
async fn alignment_of_the_appendix() {
    let relaxed = dns(&[("example.com", "v=DMARC1; p=reject")], "");
    let strict = dns(&[("example.com", "v=DMARC1; p=reject; aspf=s; adkim=s")], "");
    for (author, identifier, in_relaxed, in_strict) in [
        ("example.com", "example.com", true, true),
        ("example.com", "child.example.com", true, false),
        ("child.example.com", "example.com", true, false),
        ("child.example.com", "example.net", false, false),
        ("child.example.com", "sample.net", false, false),
        ("Example.COM", "EXAMPLE.com", true, true),
        ("example.com", "notexample.com", false, false),
    ] {
        for (dns, aligned) in [(&relaxed, in_relaxed), (&strict, in_strict)] {
            let outcome = evaluate(dns, author, &spf(identifier), &[]).await;
            assert_eq!(outcome.spf_aligned, aligned, "SPF: {author} {identifier}");
            assert_eq!(outcome.result == DmarcResult::Pass, aligned);
            let outcome = evaluate(dns, author, &NO_SPF, &dkim(identifier)).await;
            assert_eq!(outcome.dkim_aligned, aligned, "DKIM: {author} {identifier}");
            assert_eq!(outcome.result == DmarcResult::Pass, aligned);
        }
    }
}

/// psd=n parts an organization; psd=y parts its customers.
#[tokio::test]
async fn alignment_stops_at_the_organization() {
    let p = "v=DMARC1; p=reject";
    let dns = dns(
        &[
            ("example.com", p),
            ("dept.example.com", "v=DMARC1; p=reject; psd=n"),
            ("host", "v=DMARC1; p=none; psd=y"),
            ("a.host", p),
        ],
        "",
    );
    for (author, identifier, aligned) in [
        ("example.com", "x.dept.example.com", false),
        ("x.dept.example.com", "example.com", false),
        ("x.dept.example.com", "y.dept.example.com", true),
        ("x.dept.example.com", "dept.example.com", true),
        ("a.host", "b.host", false),
        ("a.host", "x.a.host", true),
        ("a.host", "host", false),
        ("host", "a.host", false),
        ("host", "host", true),
    ] {
        let outcome = evaluate(&dns, author, &NO_SPF, &dkim(identifier)).await;
        assert_eq!(outcome.dkim_aligned, aligned, "{author} {identifier}");
    }
}

/// Only what passes counts.
#[tokio::test]
async fn failures_do_not_align() {
    let dns = dns(&[("example.com", "v=DMARC1; p=reject")], "");
    for result in [SpfResult::Fail, SpfResult::SoftFail, SpfResult::Neutral, SpfResult::PermError] {
        let spf = SpfInput { result, domain: "example.com" };
        let broken = [DkimInput { domain: "example.com", selector: "s1", pass: false }];
        let outcome = evaluate(&dns, "example.com", &spf, &broken).await;
        assert_eq!(
            (outcome.result, outcome.policy),
            (DmarcResult::Fail, Policy::Reject),
            "{result}"
        );
    }
    let outcome =
        evaluate(&dns, "example.com", &spf("bounce.example.net"), &dkim("example.org")).await;
    assert_eq!(
        outcome.reason,
        "nothing speaks for example.com: SPF passes for bounce.example.net, a signature is by \
         example.org; example.com publishes p=reject"
    );
    let outcome =
        evaluate(&dns, "example.com", &spf("example.com"), &dkim("news.example.com")).await;
    assert_eq!(
        outcome.reason,
        "DKIM signature s1 is by news.example.com, of one organization with example.com in From; SPF \
         passes for example.com, the domain in From"
    );
    assert!(outcome.spf_aligned && outcome.dkim_aligned);
    assert_eq!(outcome.finding().result, "pass");
}

/// §3.2.13, §4.7: `np` is for domains with no A, AAAA or MX record.
#[tokio::test]
async fn policies_below() {
    let record = "v=DMARC1; p=none; sp=quarantine; np=reject";
    let others = "example.com. A 192.0.2.1\nv4.example.com. A 192.0.2.1\nv6.example.com. AAAA ::1\n\
                  mx.example.com. MX 10 example.com.\ntext.example.com. TXT \"x\"\n";
    let dns = dns(&[("example.com", record)], others);
    for (author, policy) in [
        ("example.com", Policy::None),
        ("v4.example.com", Policy::Quarantine),
        ("v6.example.com", Policy::Quarantine),
        ("mx.example.com", Policy::Quarantine),
        ("text.example.com", Policy::Reject),
        ("gone.example.com", Policy::Reject),
    ] {
        let outcome = unauthenticated(&dns, author).await;
        assert_eq!((outcome.result, outcome.policy), (DmarcResult::Fail, policy), "{author}");
        assert_eq!(outcome.published_policy, policy);
    }
    // RFC 8020: after NXDOMAIN nothing more is asked.
    let before = dns.lookups();
    let outcome = unauthenticated(&dns, "gone.example.com").await;
    assert_eq!(dns.lookups() - before, 4, "{:?}", outcome.lookups);
    assert!(outcome.reason.ends_with("; example.com publishes np=reject"), "{}", outcome.reason);
    // What passes is not asked about.
    let before = dns.lookups();
    evaluate(&dns, "gone.example.com", &NO_SPF, &dkim("example.com")).await;
    assert_eq!(dns.lookups() - before, 3);
}

#[tokio::test]
async fn testing_and_pct() {
    for (tags, published, applied) in [
        ("p=reject; t=y", Policy::Reject, Policy::Quarantine),
        ("p=quarantine; t=y", Policy::Quarantine, Policy::None),
        ("p=reject; pct=0", Policy::Reject, Policy::Quarantine),
        ("p=reject; pct=50", Policy::Reject, Policy::Reject),
    ] {
        let record = format!("v=DMARC1; {tags}");
        let outcome = unauthenticated(&dns(&[("example.com", &record)], ""), "example.com").await;
        assert_eq!((outcome.published_policy, outcome.policy), (published, applied), "{tags}");
        assert_eq!(outcome.reason.contains("tests it"), published != applied, "{tags}");
    }
}

/// §4.10: several records count as none, and the walk goes on.
#[tokio::test]
async fn several_records() {
    let twice =
        [("mail.example.com", "v=DMARC1; p=none"), ("mail.example.com", "v=DMARC1; p=reject")];
    let alone = dns(&twice, "");
    let outcome = unauthenticated(&alone, "mail.example.com").await;
    assert_eq!(outcome.result, DmarcResult::None);
    assert_eq!(
        outcome.reason,
        "mail.example.com publishes more than one DMARC record, which counts as none"
    );
    assert_eq!(discover(&alone, "mail.example.com").await.ambiguous, ["mail.example.com"]);
    let below = dns(&[twice[0], twice[1], ("example.com", "v=DMARC1; p=quarantine")], "");
    let outcome = unauthenticated(&below, "mail.example.com").await;
    assert_eq!(outcome.policy_domain.as_deref(), Some("example.com"));
    // Other texts there do not count.
    let others = dns(
        &[("example.com", "google-site-verification=x"), ("example.com", "v=DMARC1; p=reject")],
        "",
    );
    assert_eq!(unauthenticated(&others, "example.com").await.policy, Policy::Reject);
}

/// §4.10.1.
#[tokio::test]
async fn records_without_a_right_policy() {
    for (tags, result) in [
        ("", DmarcResult::None),
        ("rua=mailto:a@example.com", DmarcResult::Fail),
        ("p=bogus", DmarcResult::PermError),
        ("p=bogus; rua=mailto:a@example.com", DmarcResult::Fail),
        ("p=reject; sp=bogus", DmarcResult::PermError),
        ("p=reject; sp=bogus; rua=mailto:a@example.com", DmarcResult::Fail),
    ] {
        let record = format!("v=DMARC1; {tags}");
        let outcome = unauthenticated(&dns(&[("example.com", &record)], ""), "example.com").await;
        assert_eq!((outcome.result, outcome.policy), (result, Policy::None), "{tags}");
        assert!(outcome.record.is_some());
    }
}

/// §5.3.6: no answer, no verdict, unless it could not change it.
#[tokio::test]
async fn temporary_errors() {
    let zone = || dns(&[("example.com", "v=DMARC1; p=reject; np=none")], "");
    let first = zone();
    first.time_out("_dmarc.example.com");
    let outcome = evaluate(&first, "example.com", &spf("example.com"), &[]).await;
    assert_eq!((outcome.result, outcome.policy), (DmarcResult::TempError, Policy::None));
    assert_eq!(
        outcome.reason,
        "the DNS could not say TXT of _dmarc.example.com: no name server answered in time"
    );

    let above = zone();
    above.servfail("_dmarc.com");
    let same = evaluate(&above, "example.com", &spf("example.com"), &[]).await;
    assert_eq!(same.result, DmarcResult::Pass, "the same domain is aligned in any organization");
    let other = evaluate(&above, "example.com", &spf("x.example.com"), &[]).await;
    assert_eq!(other.result, DmarcResult::TempError);
    assert!(discover(&above, "example.com").await.failed.is_some());

    let identifier = zone();
    identifier.bogus("_dmarc.x.example.com");
    let outcome = evaluate(&identifier, "example.com", &spf("x.example.com"), &[]).await;
    assert_eq!(outcome.result, DmarcResult::TempError);
    let outcome =
        evaluate(&identifier, "example.com", &spf("x.example.com"), &dkim("example.com")).await;
    assert_eq!(outcome.result, DmarcResult::Pass);

    let existence = zone();
    existence.fail("gone.example.com", RecordType::Mx, waxwing_dns::Temporary::Timeout.into());
    assert_eq!(
        unauthenticated(&existence, "gone.example.com").await.result,
        DmarcResult::TempError
    );

    let spf = SpfInput { result: SpfResult::TempError, domain: "example.com" };
    assert_eq!(evaluate(&zone(), "example.com", &spf, &[]).await.result, DmarcResult::TempError);
    let elsewhere = SpfInput { result: SpfResult::TempError, domain: "example.net" };
    assert_eq!(evaluate(&zone(), "example.com", &elsewhere, &[]).await.result, DmarcResult::Fail);
}

#[tokio::test]
async fn names_that_are_none() {
    let dns = dns(&[("xn--bcher-kva.example", "v=DMARC1; p=reject")], "");
    for author in ["", "a..b", "[192.0.2.1]", &"a".repeat(70)] {
        assert_eq!(unauthenticated(&dns, author).await.result, DmarcResult::None, "{author}");
    }
    // §5.3.1: U-labels become A-labels.
    let outcome = evaluate(&dns, "Bücher.example", &NO_SPF, &dkim("bücher.example")).await;
    assert_eq!(
        (outcome.result, outcome.author_domain.as_str()),
        (DmarcResult::Pass, "xn--bcher-kva.example")
    );
}

/// A message may have many signatures; the walks are bounded.
#[tokio::test]
async fn many_signatures_are_bounded() {
    let dns = dns(&[("example.com", "v=DMARC1; p=reject")], "");
    let domains: Vec<String> =
        (0..500).map(|n| format!("a.b.c.d.e.f.g{n}.not.example.com")).collect();
    dns.time_out("_dmarc.not.example.com");
    let signatures: Vec<DkimInput<'_>> =
        domains.iter().map(|domain| DkimInput { domain, selector: "s", pass: true }).collect();
    evaluate(&dns, "example.com", &NO_SPF, &signatures).await;
    assert!(dns.lookups() <= 10, "{}", dns.lookups());
    dns.mend("_dmarc.not.example.com");
    evaluate(&dns, "example.com", &NO_SPF, &signatures).await;
    assert!(dns.lookups() <= 100, "{}", dns.lookups());
}

/// RFC 9990 §4, with its own example.
#[tokio::test]
async fn who_may_be_sent_reports() {
    let others = "blue.example.com._report._dmarc.red.example.net. TXT \"v=DMARC1\"\n\
                  *._report._dmarc.any.example. TXT \"v=DMARC1;\"\n\
                  a.example._report._dmarc.over.example. TXT \"v=DMARC1; rua=mailto:r@over.example\"\n\
                  b.example._report._dmarc.over.example. TXT \"v=DMARC1; rua=mailto:r@victim.example\"\n\
                  c.example._report._dmarc.over.example. TXT \"hello\"\n";
    let p = "v=DMARC1; p=none";
    let dns = dns(&[("blue.example.com", p), ("example.org", p)], others);
    let ok = async |policy, host| external_destination_ok(&dns, policy, host).await.unwrap();
    assert!(ok("blue.example.com", "red.example.net").await);
    assert!(!ok("green.example.com", "red.example.net").await);
    assert!(ok("anyone.example.com", "any.example").await);
    assert!(ok("example.org", "reports.example.org").await, "the same organization");
    assert!(ok("example.com", "example.com").await);
    assert!(ok("a.example", "over.example").await);
    assert!(!ok("b.example", "over.example").await, "an override to a third host");
    assert!(!ok("c.example", "over.example").await);
    assert!(
        !ok(
            &["a".repeat(60), "b".repeat(60), "c".repeat(60)].join("."),
            &["d".repeat(60), "e".repeat(60)].join(".")
        )
        .await
    );
    match external_destination(&dns, "a.example", "over.example").await.unwrap() {
        Destination::Agrees { instead } => assert_eq!(instead[0].uri, "mailto:r@over.example"),
        other => panic!("{other:?}"),
    }
    dns.time_out("blue.example.com._report._dmarc.red.example.net");
    assert!(external_destination_ok(&dns, "blue.example.com", "red.example.net").await.is_err());
}

/// A server above the domain that does not answer hides nothing that could make the message good,
/// when nothing at all is authenticated.
#[tokio::test]
async fn what_is_above_the_record_does_not_matter_when_nothing_is_authenticated() {
    let dns = dns(&[("wax.example", "v=DMARC1; p=reject")], "");
    dns.servfail("_dmarc.example");
    let forged = unauthenticated(&dns, "wax.example").await;
    assert_eq!((forged.result, forged.policy), (DmarcResult::Fail, Policy::Reject));
    // A signature by a neighbour could still turn out to be aligned.
    let signed = evaluate(&dns, "wax.example", &NO_SPF, &dkim("example")).await;
    assert_eq!(signed.result, DmarcResult::TempError, "{}", signed.reason);
}
