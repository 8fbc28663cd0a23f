//! Reports as they arrive, from the samples of parsedmarc: each gives the numbers that stand in its file.

use std::path::{Path, PathBuf};
use waxwing_suites as suites;

use waxwing_mailauth::report::aggregate::{Aligned, AlignmentMode, DiscoveryMethod, Disposition};
use waxwing_mailauth::report::aggregate::{DkimResult, OverrideType, Policy, SpfResult, SpfScope};
use waxwing_mailauth::report::failure::{AuthFailure, DeliveryResult, Mechanism};
use waxwing_mailauth::report::tls::{PolicyType, ResultType};
use waxwing_mailauth::report::{
    AggregateReport, FailureReport, Limits, Received, ReportError, TlsReport, read_aggregate,
    read_tls, recognise, unpack,
};
use waxwing_message::Message;

fn samples() -> PathBuf {
    suites::path("reports/parsedmarc")
}

fn octets(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mail(path: &str) -> Option<Result<Received, ReportError>> {
    recognise(&Message::parse(&octets(&samples().join(path))))
}

fn aggregate(path: &str) -> AggregateReport {
    if path.ends_with(".eml") {
        match mail(path) {
            Some(Ok(Received::Aggregate(report))) => return report,
            other => panic!("{path}: {other:?}"),
        }
    }
    let xml = unpack(&octets(&samples().join(path)), &Limits::default()).expect(path);
    read_aggregate(&xml).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn failure(path: &str) -> FailureReport {
    match mail(path) {
        Some(Ok(Received::Failure(report))) => report,
        other => panic!("{path}: {other:?}"),
    }
}

/// File, organisation, report id, begin, end, policy domain, rows, messages, first source.
type Expected =
    (&'static str, &'static str, &'static str, i64, i64, &'static str, usize, u64, &'static str);

#[rustfmt::skip]
const AGGREGATE: &[Expected] = &[
    ("aggregate/!example.com!1538204542!1538463818.xml", "", "example.com:1538463741", 1538413632, 1538413632, "example.com", 1, 1, "12.20.127.122"),
    ("aggregate/Report domain- borschow.com Submitter- google.com Report-ID- 949348866075514174.eml", "google.com", "949348866075514174", 1549929600, 1550015999, "borschow.com", 1, 1, "92.53.116.102"),
    ("aggregate/addisonfoods.com!example.com!1536105600!1536191999.xml", "addisonfoods.com", "3ceb5548498640beaeb47327e202b0b9", 1536105600, 1536191999, "example.com", 1, 1, "109.203.100.17"),
    ("aggregate/empty_reason.xml", "example.org", "20240125141224705995", 1706159544, 1706185733, "example.com", 1, 2, "198.51.100.123"),
    ("aggregate/estadocuenta1.infonacot.gob.mx!example.com!1536853302!1536939702!2940.xml.zip", "XYZ Corporation", "2940", 1536853302, 1536939702, "example.com", 1, 1, "148.243.137.254"),
    ("aggregate/example.net!example.com!1529366400!1529452799.xml", "example.net", "b043f0e264cf4ea995e93765242f6dfb", 1529366400, 1529452799, "example.com", 1, 1, "199.230.200.36"),
    ("aggregate/fastmail.com!example.com!1516060800!1516147199!102675056.xml.gz", "FastMail Pty Ltd", "102675056", 1516060800, 1516147199, "indemed.com", 1, 1, "104.195.80.20"),
    ("aggregate/ikea.com!example.de!1538690400!1538776800.xml", "ikea.com", "aggr_report_2018_10_05_5bc7e9b4f3e8a", 1538690400, 1538776800, "example.de", 1, 1, "234.234.234.234"),
    ("aggregate/invalid_utf_8.xml", "", "example.com:1538463741", 1538413632, 1538413632, "example.com", 1, 1, "12.20.127.122"),
    ("aggregate/mimecast-weird-gzip.eml", "Mimecast", "157a5fe30ec76f4bc0d8bccfc96c118a167a1280fee7c7465af5115e73082e5e", 1693353600, 1693439999, "ab.id.au", 1, 1, "40.93.199.22"),
    ("aggregate/old_draft_from_wiki.xml", "acme.com", "9391651994964116463", 1335571200, 1335657599, "example.com", 1, 2, "72.150.241.94"),
    ("aggregate/protection.outlook.com!example.com!1711756800!1711843200.xml", "Outlook.com", "cfeafefe4129445e8c81018bd9177197", 1711756800, 1711843200, "example.com", 1, 1, "100.24.188.149"),
    ("aggregate/rfc9990-example.net!example.com!1700000000!1700086399.xml", "example.net", "dmarcbis-test-report-001", 1700000000, 1700086399, "example.com", 2, 7, "198.51.100.1"),
    ("aggregate/rfc9990-sample.xml", "Sample Reporter", "3v98abbp8ya9n3va8yr8oa3ya", 302832000, 302918399, "example.com", 1, 123, "192.0.2.123"),
    ("aggregate/twilight.eml", "google.com", "1627703331531660819", 1549756800, 1549843199, "twlnet.com", 1, 1, "87.106.127.28"),
    ("aggregate/usssa.com!example.com!1538784000!1538870399.xml", "usssa.com", "8953b4d4a4ee4218b6ac0e2cb2667ee1", 1538784000, 1538870399, "example.com", 2, 2, "12.20.127.40"),
    ("aggregate/veeam.com!example.com!1530133200!1530219600.xml", "veeam.com", "sonexushealth.com:1530233361", 1530133200, 1530219600, "example.com", 1, 1, "199.230.200.36"),
    ("aggregate_invalid/report_with_upper_cased_pass.xml", "example.com", "aggr_report_example.com_20191202_1638", 1574955300, 1575304683, "example.com", 1, 1, "23.104.41.189"),
    ("extract_report/nice-input.xml", "google.com", "11038226378739404135", 1718236800, 1718323199, "example.com", 20, 3047, "209.85.220.69"),
    ("extract_report/nice-input.xml.gz", "google.com", "11038226378739404135", 1718236800, 1718323199, "example.com", 20, 3047, "209.85.220.69"),
    ("extract_report/nice-input.xml.zip", "google.com", "11038226378739404135", 1718236800, 1718323199, "example.com", 20, 3047, "209.85.220.69"),
];

#[test]
fn aggregate_reports_give_the_numbers_of_their_files() {
    if !suites::has("reports") {
        return;
    }
    for (path, org, id, begin, end, domain, rows, messages, source) in AGGREGATE {
        let report = aggregate(path);
        assert_eq!(report.org_name, *org, "{path}");
        assert_eq!(report.report_id, *id, "{path}");
        assert_eq!(report.begin.as_second(), *begin, "{path}");
        assert_eq!(report.end.as_second(), *end, "{path}");
        assert_eq!(report.policy.domain, *domain, "{path}");
        assert_eq!(report.rows.len(), *rows, "{path}");
        assert_eq!(report.rows.iter().map(|row| row.count).sum::<u64>(), *messages, "{path}");
        assert_eq!(report.rows[0].source_ip.to_string(), *source, "{path}");
    }
}

/// No sample is forgotten: each is in the list above or named here with what becomes of it.
#[test]
fn every_aggregate_sample_is_spoken_of() {
    if !suites::has("reports") {
        return;
    }
    for folder in ["aggregate", "aggregate_invalid"] {
        for entry in std::fs::read_dir(samples().join(folder)).expect("a readable suite") {
            let name = entry.expect("a readable suite").file_name().into_string().expect("UTF-8");
            let path = format!("{folder}/{name}");
            let listed = AGGREGATE.iter().any(|(listed, ..)| *listed == path);
            assert!(listed || name == "invalid_xml.xml", "{path}");
        }
    }
}

#[test]
fn what_is_no_report_is_refused() {
    if !suites::has("reports") {
        return;
    }
    let xml = octets(&samples().join("aggregate/invalid_xml.xml"));
    assert!(matches!(read_aggregate(&xml), Err(ReportError::Xml { .. })));
    let empty = octets(&samples().join("empty.xml"));
    assert_eq!(read_aggregate(&empty), Err(ReportError::Missing("feedback")));
}

#[test]
fn the_sample_of_rfc_9990_is_read_whole() {
    if !suites::has("reports") {
        return;
    }
    let report = aggregate("aggregate/rfc9990-sample.xml");
    assert_eq!(report.version.as_deref(), Some("1.0"));
    assert_eq!(report.email, "report_sender@example-reporter.com");
    assert_eq!(report.extra_contact_info.as_deref(), Some("..."));
    assert_eq!(report.generator.as_deref(), Some("Example DMARC Aggregate Reporter v1.2"));
    let policy = &report.policy;
    assert_eq!(policy.p, Policy::Quarantine);
    assert_eq!((policy.sp, policy.np), (Some(Policy::None), Some(Policy::None)));
    assert_eq!(policy.testing, Some(false));
    assert_eq!(policy.discovery_method, Some(DiscoveryMethod::TreeWalk));
    let row = &report.rows[0];
    assert_eq!(row.policy_evaluated.disposition, Disposition::Pass);
    assert_eq!(
        (row.policy_evaluated.dkim, row.policy_evaluated.spf),
        (Aligned::Pass, Aligned::Fail)
    );
    assert_eq!(row.identifiers.envelope_from.as_deref(), Some("example.com"));
    let signature = &row.auth_results.dkim[0];
    assert_eq!(signature.selector.as_deref(), Some("abc123"));
    assert_eq!(signature.result, DkimResult::Pass);
    assert_eq!(row.auth_results.spf[0].result, SpfResult::Fail);
}

#[test]
fn what_reporters_get_wrong_is_forgiven() {
    if !suites::has("reports") {
        return;
    }
    // Upper case.
    let report = aggregate("aggregate_invalid/report_with_upper_cased_pass.xml");
    let row = &report.rows[0];
    assert_eq!(row.policy_evaluated.dkim, Aligned::Pass);
    assert_eq!(row.auth_results.spf[0].result, SpfResult::Pass);
    // A reason without words is none; a true one is kept.
    assert_eq!(aggregate("aggregate/empty_reason.xml").rows[0].policy_evaluated.reasons, []);
    let report = aggregate("aggregate/rfc9990-example.net!example.com!1700000000!1700086399.xml");
    let reason = &report.rows[1].policy_evaluated.reasons[0];
    assert_eq!(reason.kind, OverrideType::Other);
    assert_eq!(reason.comment.as_deref(), Some("sender not authorized"));
    assert_eq!(report.policy.adkim, Some(AlignmentMode::Strict));
    // An octet that is no UTF-8.
    let report = aggregate("aggregate/invalid_utf_8.xml");
    assert_eq!(report.rows[0].identifiers.header_from, "bad_byte\u{fffd}");
    // An empty reverse-path is not the same as none told.
    let report = aggregate("aggregate/usssa.com!example.com!1538784000!1538870399.xml");
    assert_eq!(report.rows[0].identifiers.envelope_from.as_deref(), Some(""));
    let report = aggregate("aggregate/ikea.com!example.de!1538690400!1538776800.xml");
    assert_eq!(report.rows[0].auth_results.spf[0].scope, Some(SpfScope::Helo));
    assert_eq!(report.policy.pct, Some(100));
}

fn tls(path: &str) -> TlsReport {
    read_tls(&octets(&samples().join(path))).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn tls_reports_give_the_numbers_of_their_files() {
    if !suites::has("reports") {
        return;
    }
    let report = tls("smtp_tls/rfc8460.json");
    assert_eq!(report.organization_name, "Company-X");
    assert_eq!(report.contact_info, "sts-reporting@company-x.example");
    assert_eq!(report.report_id, "5065427c-23d3-47ca-b6e0-946ea0e8c4be");
    assert_eq!(report.begin.to_string(), "2016-04-01T00:00:00Z");
    assert_eq!(report.end.to_string(), "2016-04-01T23:59:59Z");
    let policy = &report.policies[0];
    assert_eq!(policy.policy_type, PolicyType::Sts);
    assert_eq!(policy.policy_strings.len(), 4);
    assert_eq!(policy.mx_hosts, ["*.mail.company-y.example"]);
    assert_eq!((policy.successful_sessions, policy.failed_sessions), (5326, 303));
    let kinds: Vec<_> =
        policy.failure_details.iter().map(|d| (d.result_type.clone(), d.failed_sessions)).collect();
    assert_eq!(
        kinds,
        [
            (ResultType::CertificateExpired, 100),
            (ResultType::StarttlsNotSupported, 200),
            (ResultType::ValidationFailure, 3),
        ]
    );
    assert_eq!(
        policy.failure_details[0].sending_mta_ip,
        Some("2001:db8:abcd:12::1".parse().expect("an address"))
    );
    assert_eq!(
        policy.failure_details[2].failure_reason_code.as_deref(),
        Some("X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED")
    );

    let report = tls("smtp_tls/smtp_tls.json");
    assert_eq!(report.policies[0].failed_sessions, 3);
    assert_eq!(report.policies[0].failure_details[1].failed_sessions, 1);
    let report = tls("smtp_tls/mail.ru.json");
    assert_eq!(report.policies[0].failure_details[0].result_type, ResultType::StsPolicyFetchError);
    assert_eq!(report.report_id, "b28254de-7b2e-be36-bb5c-4c3b92da8b25@mail.ru");

    match mail("smtp_tls/google.com_smtp_tls_report.eml") {
        Some(Ok(Received::Tls(report))) => {
            assert_eq!(report.report_id, "2024-09-03T00:00:00Z_cardinalhealth.ca");
            assert_eq!(report.policies[0].policy_type, PolicyType::NoPolicyFound);
            assert_eq!(report.policies[0].successful_sessions, 48);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn failure_reports_give_what_their_files_say() {
    if !suites::has("reports") {
        return;
    }
    let report = failure(
        "failure/DMARC Failure Report for domain.de (mail-from=sharepoint@domain.de, ip=10.10.10.10).eml",
    );
    assert_eq!(report.user_agent, "Lua/1.0");
    assert_eq!(report.auth_failure, Some(AuthFailure::Dmarc));
    assert_eq!(report.source_ip, Some("10.10.10.10".parse().expect("an address")));
    assert_eq!(report.original_mail_from.as_deref(), Some("sharepoint@domain.de"));
    assert_eq!(report.original_rcpt_to, ["peter.pan@domain.de"]);
    assert_eq!(report.reported_domain.as_deref(), Some("domain.de"));
    // `smg-policy-action` is no word of RFC 6591.
    assert_eq!(report.delivery_result, Some(DeliveryResult::Other));
    assert_eq!(
        report.arrival_date.map(|at| at.to_string()).as_deref(),
        Some("2018-10-01T09:20:27Z")
    );
    assert!(report.original.starts_with(b"Received: from Servernameone.domain.local"));

    for path in
        ["failure/dmarc_ruf_report_linkedin.eml", "failure/dmarc_ruf_report_linkedin.crlf.eml"]
    {
        let report = failure(path);
        assert_eq!(report.original_mail_from.as_deref(), Some(""), "{path}");
        assert_eq!(report.original_rcpt_to, ["recipient@linkedin.com"], "{path}");
        assert_eq!(report.delivery_result, Some(DeliveryResult::Delivered), "{path}");
        assert_eq!(report.reported_domain.as_deref(), Some("example.com"), "{path}");
        let inner = Message::parse(&report.original);
        assert_eq!(
            inner.subject().as_deref(),
            Some("Subject line, could be UTF8 encoded"),
            "{path}"
        );
    }

    // The fields in base64, in a multipart/mixed.
    let report = failure("failure/[Netease DMARC Failure Report] Rent Reminder.eml");
    assert_eq!(report.user_agent, "NtesDmarcReporter/1.0");
    assert_eq!(report.source_ip, Some("167.89.69.24".parse().expect("an address")));
    assert_eq!(report.identity_alignment, Some(vec![Mechanism::Spf, Mechanism::Dkim]));
    assert_eq!(report.dkim_domain.as_deref(), Some("entrata.com"));
    assert_eq!(Message::parse(&report.original).subject().as_deref(), Some("Rent Reminder"));

    // No fields at all, only words.
    let report = failure("failure/exim_plain_text_only_no_arf_part.eml");
    assert_eq!(report.reported_domain.as_deref(), Some("example.com"));
    assert_eq!(report.source_ip, Some("203.0.113.68".parse().expect("an address")));
    assert_eq!(report.identity_alignment, Some(vec![Mechanism::Dkim, Mechanism::Spf]));
    assert_eq!(
        report.arrival_date.map(|at| at.to_string()).as_deref(),
        Some("2025-04-07T21:16:09Z")
    );
    let inner = Message::parse(&report.original);
    assert_eq!(inner.subject().as_deref(), Some("Payment from your account."));
}

/// Samples with an octet changed, taken out or everything after it gone: as good a corpus as there is.
#[test]
fn broken_samples_are_read_without_panic() {
    if !suites::has("reports") {
        return;
    }
    use waxwing_mailauth::report::fuzzing;

    for folder in ["aggregate", "failure", "smtp_tls", "extract_report"] {
        for entry in std::fs::read_dir(samples().join(folder)).expect("a readable suite") {
            let whole = octets(&entry.expect("a readable suite").path());
            let step = whole.len().div_ceil(60).max(1);
            for at in (0..whole.len()).step_by(step) {
                let mut changed = whole.clone();
                changed[at] = changed[at].wrapping_add(1 + (at % 255) as u8);
                let mut without = whole.clone();
                without.remove(at);
                for broken in [&changed, &without, &whole[..at]] {
                    fuzzing::fuzz_aggregate_report(broken);
                    fuzzing::fuzz_tls_report(broken);
                    fuzzing::fuzz_failure_report(broken);
                }
            }
        }
    }
}
