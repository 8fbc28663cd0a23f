//! What must hold of any octets at all, and of any report written here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use waxwing_mailauth::report::aggregate::{
    AggregateReport, Aligned, AlignmentMode, AuthResults, DiscoveryMethod, Disposition, DkimAuth,
    DkimResult, Identifiers, Observation, OverrideReason, OverrideType, Policy, PolicyEvaluated,
    PolicyPublished, Row, SpfAuth, SpfResult, SpfScope,
};
use waxwing_mailauth::report::failure::{
    AuthFailure, DeliveryResult, Disclosure, FailureReport, Mechanism, read_plain,
};
use waxwing_mailauth::report::tls::{FailureDetail, PolicyType, ResultType, TlsPolicy};
use waxwing_mailauth::report::{
    Limits, Outgoing, Received, ReportMeta, TlsObservation, TlsReport, aggregate, aggregate_tls,
    compose_aggregate, compose_failure, compose_tls, fuzzing, gzip, read_aggregate, read_failure,
    read_tls, recognise, unpack, write_aggregate, write_failure, write_tls,
};
use waxwing_message::compose::Mailbox;
use waxwing_message::{Address, Message};

/// Text as a reader gives it back: without white space around it or control characters in it.
fn text() -> impl Strategy<Value = String> {
    "[!-~¡-퟿\u{10000}-\u{1ffff}]([ -~¡-퟿]{0,20}[!-~])?"
}

fn domain() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,8}){1,3}"
}

fn ip() -> impl Strategy<Value = IpAddr> {
    // An IPv4 address in IPv6 clothes is written as what it is.
    any::<IpAddr>().prop_map(|ip| ip.to_canonical())
}

fn at() -> impl Strategy<Value = Timestamp> {
    (0i64..5_000_000_000).prop_map(|at| Timestamp::from_second(at).expect("in range"))
}

prop_compose! {
    fn policy()(
        domain in domain(),
        discovery_method in option::of(select(DiscoveryMethod::ALL)),
        p in select(Policy::ALL),
        sp in option::of(select(Policy::ALL)),
        np in option::of(select(Policy::ALL)),
        fo in option::of("[01ds](:[01ds]){0,3}"),
        adkim in option::of(select(AlignmentMode::ALL)),
        aspf in option::of(select(AlignmentMode::ALL)),
        testing in option::of(any::<bool>()),
    ) -> PolicyPublished {
        PolicyPublished { domain, discovery_method, p, sp, np, fo, adkim, aspf, testing, pct: None }
    }
}

prop_compose! {
    fn reason()(
        // Those of RFC 9990: the others are written in its words.
        kind in select(&OverrideType::ALL[..5]),
        comment in option::of(text()),
    ) -> OverrideReason {
        OverrideReason { kind, comment }
    }
}

prop_compose! {
    fn dkim()(
        domain in domain(),
        selector in option::of("[a-z0-9]{1,8}"),
        result in select(DkimResult::ALL),
        human_result in option::of(text()),
    ) -> DkimAuth {
        DkimAuth { domain, selector, result, human_result }
    }
}

prop_compose! {
    fn spf()(
        domain in domain(),
        scope in option::of(Just(SpfScope::MailFrom)),
        result in select(SpfResult::ALL),
        human_result in option::of(text()),
    ) -> SpfAuth {
        SpfAuth { domain, scope, result, human_result }
    }
}

prop_compose! {
    fn row()(
        source_ip in ip(),
        count in any::<u64>(),
        disposition in select(Disposition::ALL),
        aligned in (select(Aligned::ALL), select(Aligned::ALL)),
        reasons in vec(reason(), 0..3),
        header_from in domain(),
        envelope_from in option::of(prop_oneof![Just(String::new()), domain()]),
        envelope_to in option::of(domain()),
        dkim in vec(dkim(), 0..4),
        spf in vec(spf(), 0..2),
    ) -> Row {
        let (dkim_aligned, spf_aligned) = aligned;
        Row {
            source_ip,
            count,
            policy_evaluated: PolicyEvaluated {
                disposition, dkim: dkim_aligned, spf: spf_aligned, reasons,
            },
            identifiers: Identifiers { header_from, envelope_from, envelope_to },
            auth_results: AuthResults { dkim, spf },
        }
    }
}

prop_compose! {
    fn aggregate_report()(
        org_name in text(),
        email in text(),
        extra_contact_info in option::of(text()),
        report_id in "[A-Za-z0-9]{1,20}",
        begin in at(),
        end in at(),
        errors in vec(text(), 0..2),
        generator in option::of(text()),
        policy in policy(),
        rows in vec(row(), 0..6),
    ) -> AggregateReport {
        AggregateReport {
            version: Some("1.0".into()),
            org_name, email, extra_contact_info, report_id, begin, end, errors, generator, policy, rows,
        }
    }
}

prop_compose! {
    fn detail()(
        kind in 0usize..12,
        ips in (option::of(ip()), option::of(ip())),
        receiving_mx_hostname in option::of(domain()),
        receiving_mx_helo in option::of(domain()),
        failed_sessions in any::<u64>(),
        additional_information in option::of(text()),
        failure_reason_code in option::of(text()),
    ) -> FailureDetail {
        let words = [
            "starttls-not-supported", "certificate-host-mismatch", "certificate-expired",
            "certificate-not-trusted", "validation-failure", "tlsa-invalid", "dnssec-invalid",
            "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid",
            "something-new",
        ];
        FailureDetail {
            result_type: ResultType::parse(words[kind]),
            sending_mta_ip: ips.0,
            receiving_mx_hostname,
            receiving_mx_helo,
            receiving_ip: ips.1,
            failed_sessions,
            additional_information,
            failure_reason_code,
        }
    }
}

prop_compose! {
    fn tls_policy()(
        policy_type in select(PolicyType::ALL),
        policy_strings in vec(text(), 0..4),
        policy_domain in domain(),
        mx_hosts in vec(domain(), 0..3),
        successful_sessions in any::<u64>(),
        failed_sessions in any::<u64>(),
        failure_details in vec(detail(), 0..4),
    ) -> TlsPolicy {
        TlsPolicy {
            policy_type, policy_strings, policy_domain, mx_hosts, successful_sessions,
            failed_sessions, failure_details,
        }
    }
}

prop_compose! {
    fn tls_report()(
        organization_name in text(),
        begin in at(),
        end in at(),
        contact_info in text(),
        report_id in text(),
        policies in vec(tls_policy(), 0..4),
    ) -> TlsReport {
        TlsReport { organization_name, begin, end, contact_info, report_id, policies }
    }
}

prop_compose! {
    fn failure_report()(
        auth_failure in option::of(select(AuthFailure::ALL)),
        mechanisms in option::of(select(vec![
            vec![], vec![Mechanism::Dkim], vec![Mechanism::Spf], vec![Mechanism::Dkim, Mechanism::Spf],
        ])),
        authentication_results in vec("[a-z][a-z=.; ]{0,100}[a-z]", 0..3),
        reported_domain in option::of(domain()),
        source in (option::of(ip()), option::of(any::<u16>())),
        original_mail_from in option::of(prop_oneof![Just(String::new()), Just("a@b.test".to_owned())]),
        original_rcpt_to in vec("[a-z]{1,9}@[a-z]{1,9}\\.test", 0..3),
        arrival_date in option::of(at()),
        delivery_result in option::of(select(DeliveryResult::ALL)),
        incidents in option::of(any::<u64>()),
        dkim in (option::of(domain()), option::of("@[a-z]{1,9}\\.test"), option::of("[a-z]{1,9}")),
        ids in (option::of("[A-Z0-9]{1,9}"), option::of(Just("txt : b.test : \"v=spf1 -all\"".to_owned()))),
        body in "[a-z ]{0,40}",
    ) -> FailureReport {
        let header = "From: a@b.test\r\nTo: Carol <carol@d.test>\r\nSubject: hi\r\n\r\n";
        FailureReport {
            feedback_type: "auth-failure".into(),
            user_agent: "Waxwing/1".into(),
            auth_failure,
            identity_alignment: mechanisms,
            authentication_results,
            reported_domain,
            source_ip: source.0,
            source_port: source.1,
            original_mail_from,
            original_rcpt_to,
            original_envelope_id: ids.0,
            arrival_date,
            delivery_result,
            incidents,
            dkim_domain: dkim.0,
            dkim_identity: dkim.1,
            dkim_selector: dkim.2,
            spf_dns: ids.1,
            original: format!("{header}{body}").into_bytes(),
        }
    }
}

fn with_outgoing<T>(run: impl FnOnce(&Outgoing<'_>) -> T) -> T {
    let from = Mailbox::named("Reports", Address::parse("reports@mx.test").expect("an address"));
    let to = [Address::parse("rua@d.test").expect("an address")];
    run(&Outgoing {
        from: &from,
        to: &to,
        submitter: "mx.test",
        at: Timestamp::from_second(1_700_000_000).expect("in range"),
        message_id: "m1@mx.test",
        random: [7; 16],
        size_limit: None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn aggregate_reports_survive_their_xml(report in aggregate_report()) {
        prop_assert_eq!(read_aggregate(&write_aggregate(&report)), Ok(report));
    }

    #[test]
    fn any_text_makes_well_formed_xml(texts in vec(any::<String>(), 4), row in row()) {
        let mut report = AggregateReport {
            version: None,
            org_name: texts[0].clone(),
            email: texts[1].clone(),
            extra_contact_info: Some(texts[2].clone()),
            report_id: texts[3].clone(),
            begin: Timestamp::UNIX_EPOCH,
            end: Timestamp::UNIX_EPOCH,
            errors: texts.clone(),
            generator: None,
            policy: PolicyPublished::new("d.test", Policy::None),
            rows: vec![row],
        };
        report.rows[0].identifiers.header_from = texts[0].clone();
        let read = read_aggregate(&write_aggregate(&report)).expect("well-formed");
        prop_assert_eq!(read.rows.len(), 1);
        prop_assert_eq!(read.policy, report.policy);
    }

    #[test]
    fn tls_reports_survive_their_json(report in tls_report()) {
        prop_assert_eq!(read_tls(&write_tls(&report)), Ok(report));
    }

    #[test]
    fn reports_survive_the_mail(
        sent in aggregate_report(), tls in tls_report(), failure in failure_report(),
    ) {
        let raw = with_outgoing(|to| compose_aggregate(&sent, to)).expect("small");
        let message = Message::parse(&raw);
        prop_assert_eq!(&message.defects, &[]);
        prop_assert_eq!(recognise(&message), Some(Ok(Received::Aggregate(sent))));

        let raw = with_outgoing(|to| compose_tls(&tls, "d.test", to)).expect("small");
        prop_assert_eq!(recognise(&Message::parse(&raw)), Some(Ok(Received::Tls(tls))));

        let disclosure = Disclosure { body: true, redact: None };
        let raw = with_outgoing(|to| compose_failure(&failure, &disclosure, to)).expect("small");
        prop_assert_eq!(recognise(&Message::parse(&raw)), Some(Ok(Received::Failure(failure))));
    }

    #[test]
    fn gzip_is_undone(octets in vec(any::<u8>(), 0..2_000)) {
        prop_assume!(!octets.starts_with(&[0x1f, 0x8b]) && !octets.starts_with(b"PK"));
        prop_assert_eq!(unpack(&gzip(&octets), &Limits::default()), Ok(octets));
    }

    #[test]
    fn any_octets_are_read_without_panic(octets in vec(any::<u8>(), 0..2_000)) {
        let _ = read_aggregate(&octets);
        let _ = read_tls(&octets);
        let _ = read_failure(&octets, &octets);
        let _ = read_plain(&String::from_utf8_lossy(&octets));
        let _ = recognise(&Message::parse(&octets));
        for magic in [&[0x1f, 0x8b, 8][..], b"PK\x03\x04", b"PK\x05\x06"] {
            let _ = unpack(&[magic, &octets].concat(), &Limits::default());
        }
    }

    #[test]
    fn a_broken_report_is_read_without_panic(
        report in aggregate_report(), tls in tls_report(), at in any::<prop::sample::Index>(), octet: u8,
    ) {
        let mut xml = write_aggregate(&report);
        let i = at.index(xml.len());
        xml[i] = octet;
        fuzzing::fuzz_aggregate_report(&xml);
        let _ = read_aggregate(&xml[..i]);
        let mut json = write_tls(&tls);
        let i = at.index(json.len());
        json[i] = octet;
        fuzzing::fuzz_tls_report(&json);
        let _ = read_tls(&json[..i]);
    }

    #[test]
    fn a_broken_failure_report_is_read_without_panic(
        report in failure_report(), at in any::<prop::sample::Index>(), octet: u8,
    ) {
        let disclosure = Disclosure { body: true, redact: None };
        let mut fields = write_failure(&report, &disclosure);
        let i = at.index(fields.len());
        fields[i] = octet;
        fuzzing::fuzz_failure_report(&fields);
        let mut raw = with_outgoing(|to| compose_failure(&report, &disclosure, to)).expect("small");
        let i = at.index(raw.len());
        raw[i] = octet;
        fuzzing::fuzz_failure_report(&raw);
    }

    #[test]
    fn counting_keeps_every_message_and_merges_what_is_alike(
        rows in vec((policy(), row(), 0u64..1_000), 1..8), twice in any::<bool>(),
    ) {
        let seen: Vec<(Observation, u64)> = rows.into_iter().map(|(policy, row, count)| {
            let Row { source_ip, policy_evaluated, identifiers, auth_results, .. } = row;
            let observation = Observation {
                policy,
                source_ip,
                disposition: policy_evaluated.disposition,
                dkim: policy_evaluated.dkim,
                spf: policy_evaluated.spf,
                reasons: policy_evaluated.reasons,
                header_from: identifiers.header_from,
                envelope_from: identifiers.envelope_from,
                envelope_to: identifiers.envelope_to,
                dkim_results: auth_results.dkim,
                spf_results: auth_results.spf,
            };
            (observation, count)
        }).collect();
        for (observation, _) in &seen {
            let json = serde_json::to_string(observation).expect("plain data");
            prop_assert_eq!(&serde_json::from_str::<Observation>(&json).expect("ours"), observation);
        }
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for (observation, count) in seen.iter().filter(|(_, count)| *count > 0) {
            *expected.entry(observation.policy.domain.clone()).or_default() += count;
        }
        let times = if twice { 2 } else { 1 };
        let all: Vec<_> = std::iter::repeat_n(seen.clone(), times).flatten().collect();
        let reports = aggregate(all, &meta());
        let counted: BTreeMap<String, u64> = reports.iter().map(|report| {
            (report.policy.domain.clone(), report.rows.iter().map(|row| row.count).sum())
        }).collect();
        expected.values_mut().for_each(|count| *count *= times as u64);
        prop_assert_eq!(counted, expected);
        let rows: usize = reports.iter().map(|report| report.rows.len()).sum();
        prop_assert!(rows <= seen.len());
    }
}

fn meta() -> ReportMeta {
    ReportMeta {
        org_name: "mx.test".into(),
        email: "reports@mx.test".into(),
        extra_contact_info: None,
        generator: Some("Waxwing 0.1".into()),
        unique: "0192abc".into(),
        begin: Timestamp::from_second(1_700_000_000).expect("in range"),
        end: Timestamp::from_second(1_700_086_399).expect("in range"),
    }
}

/// XML 1.0 §2.3 knows four characters of white space.
#[test]
fn what_is_no_white_space_of_xml_is_text() {
    let report = AggregateReport {
        version: Some("1.0".into()),
        org_name: "\u{2000}Org\u{a0}".into(),
        email: "reports@mx.test".into(),
        extra_contact_info: None,
        report_id: "a".into(),
        begin: Timestamp::UNIX_EPOCH,
        end: Timestamp::UNIX_EPOCH,
        errors: Vec::new(),
        generator: None,
        policy: PolicyPublished::new("d.test", Policy::None),
        rows: Vec::new(),
    };
    assert_eq!(read_aggregate(&write_aggregate(&report)), Ok(report));
}

#[test]
fn sessions_are_counted_by_policy_and_failure() {
    let seen = |failure: Option<ResultType>, policy_type| TlsObservation {
        policy_domain: "D.test.".into(),
        policy_type,
        policy_strings: vec!["version: STSv1".into()],
        mx_hosts: vec!["*.d.test".into()],
        sending_mta_ip: Some("192.0.2.1".parse().expect("an address")),
        receiving_mx_hostname: Some("mx.d.test".into()),
        receiving_mx_helo: None,
        receiving_ip: None,
        failure,
        reason: None,
    };
    let json = serde_json::to_value(seen(Some(ResultType::TlsaInvalid), PolicyType::Tlsa));
    assert_eq!(json.expect("plain data")["failure"], "tlsa-invalid");
    let reports = aggregate_tls(
        [
            (seen(None, PolicyType::Sts), 5),
            (seen(Some(ResultType::CertificateExpired), PolicyType::Sts), 2),
            (seen(Some(ResultType::CertificateExpired), PolicyType::Sts), 1),
            (seen(Some(ResultType::StarttlsNotSupported), PolicyType::Sts), 4),
            (seen(None, PolicyType::Tlsa), 9),
            (seen(None, PolicyType::Tlsa), 0),
        ],
        &meta(),
    );
    assert_eq!(reports.len(), 1);
    let [tlsa, sts] = &reports[0].policies[..] else { panic!("{reports:?}") };
    assert_eq!(
        (tlsa.policy_type, tlsa.successful_sessions, tlsa.failed_sessions),
        (PolicyType::Tlsa, 9, 0)
    );
    assert_eq!(
        (sts.policy_domain.as_str(), sts.successful_sessions, sts.failed_sessions),
        ("d.test", 5, 7)
    );
    let counts: Vec<u64> = sts.failure_details.iter().map(|d| d.failed_sessions).collect();
    assert_eq!(counts, [4, 3]);
}

#[test]
fn a_recipient_is_shown_to_nobody() {
    let report = FailureReport {
        feedback_type: "auth-failure".into(),
        user_agent: "Waxwing/1".into(),
        original_rcpt_to: vec!["carol@d.test".into()],
        original:
            b"Received: from x by y for <carol@d.test>;\r\n Thu, 1 Jan 2026 00:00:00 +0000\r\n\
            Delivered-To: carol@d.test\r\nFrom: Eve <eve@b.test>\r\n\
            To: \"Carol C.\" <carol@d.test>, \"carol\"@d.test\r\nSubject: hi\r\n\r\nDear Carol\r\n"
                .to_vec(),
        ..FailureReport::default()
    };
    let disclosure = Disclosure { body: false, redact: Some(b"key") };
    let raw = with_outgoing(|to| compose_failure(&report, &disclosure, to)).expect("small");
    let text = String::from_utf8(raw.clone()).expect("ASCII");
    assert!(!text.to_lowercase().contains("carol"), "{text}");
    assert!(text.contains("From: Eve <eve@b.test>") && text.contains("Subject: hi"), "{text}");
    // Alike everywhere, so that reports can be brought together.
    let Some(Ok(Received::Failure(read))) = recognise(&Message::parse(&raw)) else {
        panic!("{text}")
    };
    let (token, domain) = read.original_rcpt_to[0].split_once('@').expect("an address");
    assert_eq!(domain, "d.test");
    assert_eq!(text.matches(token).count(), 5, "{text}");
    let other = Disclosure { body: false, redact: Some(b"another key") };
    let raw = with_outgoing(|to| compose_failure(&report, &other, to)).expect("small");
    assert!(!String::from_utf8_lossy(&raw).contains(token));
}
