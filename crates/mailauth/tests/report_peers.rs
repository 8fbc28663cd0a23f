//! What is written here, another program reads: parsedmarc finds the same values, and the XML keeps the
//! schema.

mod peers;

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use waxwing_mailauth::report::aggregate::{
    Aligned, AlignmentMode, DiscoveryMethod, Disposition, DkimAuth, DkimResult, Observation,
    OverrideReason, OverrideType, Policy, PolicyPublished, SpfAuth, SpfResult, SpfScope,
};
use waxwing_mailauth::report::failure::{AuthFailure, DeliveryResult, Disclosure, Mechanism};
use waxwing_mailauth::report::tls::{PolicyType, ResultType};
use waxwing_mailauth::report::{
    AggregateReport, FailureReport, Outgoing, ReportMeta, TlsObservation, TlsReport, aggregate,
    aggregate_tls, compose_aggregate, compose_failure, compose_tls, write_aggregate, write_tls,
};
use waxwing_message::Address;
use waxwing_message::compose::Mailbox;

fn meta() -> ReportMeta {
    ReportMeta {
        org_name: "Müller & Söhne <Post>".into(),
        email: "reports@mx.example".into(),
        extra_contact_info: Some("https://mx.example/dmarc?a=1&b=2".into()),
        generator: Some("Waxwing 0.1".into()),
        unique: "0192f3c4d5e6".into(),
        begin: Timestamp::from_second(1_700_006_400).expect("in range"),
        end: Timestamp::from_second(1_700_092_799).expect("in range"),
    }
}

fn seen(source_ip: &str, passes: bool) -> Observation {
    let policy = PolicyPublished {
        discovery_method: Some(DiscoveryMethod::TreeWalk),
        sp: Some(Policy::Quarantine),
        np: Some(Policy::Reject),
        fo: Some("1:d".into()),
        adkim: Some(AlignmentMode::Strict),
        aspf: Some(AlignmentMode::Relaxed),
        testing: Some(true),
        ..PolicyPublished::new("author.example", Policy::Reject)
    };
    let reason = OverrideReason {
        kind: OverrideType::PolicyTestMode,
        comment: Some("t=y & nothing else".into()),
    };
    Observation {
        policy,
        source_ip: source_ip.parse().expect("an address"),
        disposition: if passes { Disposition::Pass } else { Disposition::None },
        dkim: if passes { Aligned::Pass } else { Aligned::Fail },
        spf: Aligned::Fail,
        reasons: if passes { vec![] } else { vec![reason] },
        header_from: "author.example".into(),
        envelope_from: Some("bounce.list.example".into()),
        envelope_to: Some("mx.example".into()),
        dkim_results: vec![DkimAuth {
            domain: "author.example".into(),
            selector: Some("s1".into()),
            result: if passes { DkimResult::Pass } else { DkimResult::Fail },
            human_result: Some("body hash <differs>".into()),
        }],
        spf_results: vec![SpfAuth {
            domain: "bounce.list.example".into(),
            scope: Some(SpfScope::MailFrom),
            result: SpfResult::SoftFail,
            human_result: None,
        }],
    }
}

fn aggregate_report() -> AggregateReport {
    let seen = [
        (seen("192.0.2.9", true), 3),
        (seen("2001:db8::25", false), 4),
        (seen("192.0.2.9", true), 2),
    ];
    let mut reports = aggregate(seen, &meta());
    assert_eq!(reports.len(), 1);
    let mut report = reports.remove(0);
    report.errors = vec!["sp: no such word".into(), "two records".into()];
    report
}

fn tls_report() -> TlsReport {
    let seen = |failure: Option<ResultType>| TlsObservation {
        policy_domain: "d.example".into(),
        policy_type: PolicyType::Sts,
        policy_strings: vec!["version: STSv1".into(), "mode: enforce".into()],
        mx_hosts: vec!["*.d.example".into()],
        sending_mta_ip: Some("2001:db8::1".parse().expect("an address")),
        receiving_mx_hostname: Some("mx1.d.example".into()),
        receiving_mx_helo: Some("mx1".into()),
        receiving_ip: Some("192.0.2.25".parse().expect("an address")),
        reason: failure.as_ref().map(|_| "expired \"yesterday\"".into()),
        failure,
    };
    let seen = [(seen(None), 40), (seen(Some(ResultType::CertificateExpired)), 2)];
    aggregate_tls(seen, &meta()).remove(0)
}

fn failure_report() -> FailureReport {
    FailureReport {
        feedback_type: "auth-failure".into(),
        user_agent: "Waxwing/0.1".into(),
        auth_failure: Some(AuthFailure::Dmarc),
        identity_alignment: Some(vec![Mechanism::Dkim, Mechanism::Spf]),
        authentication_results: vec!["mx.example; dmarc=fail header.from=author.example".into()],
        reported_domain: Some("author.example".into()),
        source_ip: Some("192.0.2.9".parse().expect("an address")),
        source_port: Some(4711),
        original_mail_from: Some("bounce@list.example".into()),
        original_rcpt_to: vec!["carol@mx.example".into()],
        original_envelope_id: Some("Q1".into()),
        arrival_date: Some(Timestamp::from_second(1_700_006_400).expect("in range")),
        delivery_result: Some(DeliveryResult::Reject),
        dkim_domain: Some("author.example".into()),
        dkim_selector: Some("s1".into()),
        original: b"From: a@author.example\r\nTo: carol@mx.example\r\nSubject: Hello there\r\n\
            Message-ID: <1@author.example>\r\nDate: Tue, 14 Nov 2023 23:20:00 +0000\r\n\r\nDear Carol\r\n"
            .to_vec(),
        ..FailureReport::default()
    }
}

/// The values at the ends of paths such as `a/0/b`.
#[track_caller]
fn check(found: &Value, expected: &[(&str, Value)]) {
    for (path, value) in expected {
        let pointer = format!("/{path}");
        assert_eq!(found.pointer(&pointer), Some(value), "{path} in {found:#}");
    }
}

#[test]
fn parsedmarc_finds_what_was_written() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    std::fs::create_dir_all(&folder).expect("the target directory is ours");
    let write = |name: &str, octets: &[u8]| {
        std::fs::write(folder.join(name), octets).expect("the target directory is ours");
    };
    let from = Mailbox::named("Reports", Address::parse("reports@mx.example").expect("one"));
    let to = [Address::parse("rua@author.example").expect("one")];
    let outgoing = Outgoing {
        from: &from,
        to: &to,
        submitter: "mx.example",
        at: Timestamp::from_second(1_700_100_000).expect("in range"),
        message_id: "r1@mx.example",
        random: [7; 16],
        size_limit: Some(10_000_000),
    };
    let disclosure = Disclosure { body: false, redact: Some(b"a key") };
    write("aggregate.xml", &write_aggregate(&aggregate_report()));
    write("aggregate.eml", &compose_aggregate(&aggregate_report(), &outgoing).expect("small"));
    write("tls.json", &write_tls(&tls_report()));
    write("tls.eml", &compose_tls(&tls_report(), "d.example", &outgoing).expect("small"));
    write(
        "failure.eml",
        &compose_failure(&failure_report(), &disclosure, &outgoing).expect("small"),
    );

    let printed = peers::run("reports.py", &[folder.to_str().expect("UTF-8")]);
    let found: Value = serde_json::from_str(&printed).expect("JSON");
    check_aggregate(&found["xml"]);
    assert_eq!(found["aggregate"]["type"], "aggregate");
    check_aggregate(&found["aggregate"]["report"]);
    check_tls(&found["json"]);
    assert_eq!(found["tls"]["type"], "smtp_tls");
    check_tls(&found["tls"]["report"]);
    assert_eq!(found["failure"]["type"], "failure");
    check_failure(&found["failure"]["report"]);
}

fn check_aggregate(found: &Value) {
    check(
        found,
        &[
            ("xml_namespace", json!("urn:ietf:params:xml:ns:dmarc-2.0")),
            ("report_metadata/org_name", json!("Müller & Söhne <Post>")),
            ("report_metadata/org_email", json!("reports@mx.example")),
            ("report_metadata/org_extra_contact_info", json!("https://mx.example/dmarc?a=1&b=2")),
            ("report_metadata/report_id", json!("0192f3c4d5e6")),
            ("report_metadata/generator", json!("Waxwing 0.1")),
            ("report_metadata/errors", json!(["sp: no such word; two records"])),
            ("policy_published/domain", json!("author.example")),
            ("policy_published/adkim", json!("s")),
            ("policy_published/aspf", json!("r")),
            ("policy_published/p", json!("reject")),
            ("policy_published/sp", json!("quarantine")),
            ("policy_published/np", json!("reject")),
            ("policy_published/fo", json!("1:d")),
            ("policy_published/testing", json!("y")),
            ("policy_published/discovery_method", json!("treewalk")),
            ("records/0/source/ip_address", json!("192.0.2.9")),
            ("records/0/count", json!(5)),
            ("records/0/alignment/dkim", json!(true)),
            ("records/0/alignment/spf", json!(false)),
            ("records/0/policy_evaluated/disposition", json!("pass")),
            ("records/0/policy_evaluated/policy_override_reasons", json!([])),
            ("records/0/identifiers/header_from", json!("author.example")),
            ("records/0/identifiers/envelope_from", json!("bounce.list.example")),
            ("records/0/identifiers/envelope_to", json!("mx.example")),
            ("records/0/auth_results/dkim/0/selector", json!("s1")),
            ("records/0/auth_results/dkim/0/result", json!("pass")),
            ("records/0/auth_results/dkim/0/human_result", json!("body hash <differs>")),
            ("records/0/auth_results/spf/0/domain", json!("bounce.list.example")),
            ("records/0/auth_results/spf/0/scope", json!("mfrom")),
            ("records/0/auth_results/spf/0/result", json!("softfail")),
            ("records/1/source/ip_address", json!("2001:db8::25")),
            ("records/1/count", json!(4)),
            (
                "records/1/policy_evaluated/policy_override_reasons/0/type",
                json!("policy_test_mode"),
            ),
            (
                "records/1/policy_evaluated/policy_override_reasons/0/comment",
                json!("t=y & nothing else"),
            ),
        ],
    );
    // parsedmarc tells local time; the span is the same everywhere.
    assert_eq!(found["records"].as_array().map(Vec::len), Some(2));
}

fn check_tls(found: &Value) {
    check(
        found,
        &[
            ("organization_name", json!("Müller & Söhne <Post>")),
            ("begin_date", json!("2023-11-15T00:00:00Z")),
            ("end_date", json!("2023-11-15T23:59:59Z")),
            ("contact_info", json!("reports@mx.example")),
            ("report_id", json!("0192f3c4d5e6")),
            ("policies/0/policy_domain", json!("d.example")),
            ("policies/0/policy_type", json!("sts")),
            ("policies/0/policy_strings", json!(["version: STSv1", "mode: enforce"])),
            ("policies/0/successful_session_count", json!(40)),
            ("policies/0/failed_session_count", json!(2)),
            ("policies/0/failure_details/0/result_type", json!("certificate-expired")),
            ("policies/0/failure_details/0/failed_session_count", json!(2)),
            ("policies/0/failure_details/0/sending_mta_ip", json!("2001:db8::1")),
            ("policies/0/failure_details/0/receiving_ip", json!("192.0.2.25")),
            ("policies/0/failure_details/0/receiving_mx_hostname", json!("mx1.d.example")),
            ("policies/0/failure_details/0/receiving_mx_helo", json!("mx1")),
            ("policies/0/failure_details/0/failure_reason_code", json!("expired \"yesterday\"")),
        ],
    );
}

fn check_failure(found: &Value) {
    check(
        found,
        &[
            ("feedback_type", json!("auth-failure")),
            ("user_agent", json!("Waxwing/0.1")),
            ("version", json!("1")),
            ("auth_failure", json!(["dmarc"])),
            ("authentication_mechanisms", json!(["dkim", "spf"])),
            ("authentication_results", json!("mx.example; dmarc=fail header.from=author.example")),
            ("reported_domain", json!("author.example")),
            ("source/ip_address", json!("192.0.2.9")),
            ("arrival_date_utc", json!("2023-11-15 00:00:00")),
            ("delivery_result", json!("reject")),
            ("dkim_domain", json!("author.example")),
            ("original_envelope_id", json!("Q1")),
            ("parsed_sample/subject", json!("Hello there")),
            ("sample_headers_only", json!(true)),
        ],
    );
    let all = found.to_string().to_lowercase();
    assert!(!all.contains("carol") && !all.contains("dear"), "{found:#}");
}
