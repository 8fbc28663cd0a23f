//! What is made to do harm ends soon, and says why.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use waxwing_mailauth::report::aggregate::{RESULTS_MAX, ROWS_MAX};
use waxwing_mailauth::report::{
    Limits, ReportError, gzip, read_aggregate, read_failure, read_tls, recognise, unpack,
};
use waxwing_message::Message;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Generous for an unoptimised build beside others; without bounds these take minutes or all memory.
const SOON: Duration = Duration::from_secs(20);

fn soon<T>(run: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let out = run();
    let took = begin.elapsed();
    assert!(took < SOON, "took {took:?}");
    out
}

fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, octets) in members {
        zip.start_file(*name, SimpleFileOptions::default()).expect("a name");
        zip.write_all(octets).expect("memory");
    }
    zip.finish().expect("memory").into_inner()
}

const REPORT: &str = "<feedback><report_metadata><org_name>o</org_name><email>e@o.test</email>\
    <report_id>1</report_id><date_range><begin>1</begin><end>2</end></date_range></report_metadata>\
    <policy_published><domain>d.test</domain><p>none</p></policy_published>";
const ROW: &str = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>";

fn unpacked(octets: &[u8]) -> Result<Vec<u8>, ReportError> {
    soon(|| unpack(octets, &Limits::default()))
}

#[test]
fn a_gzip_bomb_is_refused_by_its_ratio_and_by_its_size() {
    // 100 MB of zeros: 1,030 times smaller.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..100 {
        bomb.write_all(&zeros).expect("memory");
    }
    let bomb = bomb.finish().expect("memory");
    let size = Limits { ratio: usize::MAX, ..Limits::default() };
    assert_eq!(unpack(&bomb, &size), Err(ReportError::TooLarge { limit: 20_000_000 }));
    let small = gzip(&vec![0; 15 << 20]);
    assert_eq!(unpacked(&small), Err(ReportError::Ratio { limit: 250 }));
    assert_eq!(
        unpack(&vec![b' '; 10_000_001], &Limits::default()),
        Err(ReportError::TooLarge { limit: 10_000_000 })
    );
}

#[test]
fn a_zip_bomb_is_refused_whatever_it_claims() {
    let bomb = zipped(&[("r.xml", &vec![0; 15 << 20])]);
    assert_eq!(unpacked(&bomb), Err(ReportError::Ratio { limit: 250 }));
    // The central directory claims a size of one octet.
    let mut liar = zipped(&[("r.xml", &vec![0; 15 << 20])]);
    let at = memchr::memmem::rfind(&liar, b"PK\x01\x02").expect("a central directory");
    liar[at + 24..at + 28].copy_from_slice(&1u32.to_le_bytes());
    assert!(unpacked(&liar).is_err());
}

#[test]
fn one_layer_and_one_file_are_opened() {
    let inner = gzip(b"<feedback/>");
    assert_eq!(unpacked(&gzip(&inner)), Err(ReportError::Nested));
    assert_eq!(unpacked(&zipped(&[("a.xml", &inner)])), Err(ReportError::Nested));
    let inner = zipped(&[("a.xml", b"<feedback/>")]);
    assert_eq!(unpacked(&zipped(&[("a.zip", &inner)])), Err(ReportError::Nested));

    assert_eq!(unpacked(&zipped(&[])), Err(ReportError::Members(0)));
    let two = zipped(&[("a.xml", b"<feedback/>"), ("b.xml", b"<feedback/>")]);
    assert_eq!(unpacked(&two), Err(ReportError::Members(2)));
    let beside = zipped(&[("read.me", b"hello"), ("b.xml", b"<feedback/>")]);
    assert_eq!(unpacked(&beside).as_deref(), Ok(&b"<feedback/>"[..]));
    let names: Vec<String> = (0..1_000).map(|i| format!("{i}.xml")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    assert!(matches!(unpacked(&zipped(&many)), Err(ReportError::TooMany { .. })));
}

#[test]
fn broken_archives_are_errors() {
    let whole = gzip(&[b'x'; 1_000]);
    for cut in 2..whole.len() {
        assert!(unpack(&whole[..cut], &Limits::default()).is_err(), "{cut}");
    }
    let whole = zipped(&[("a.xml", &[b'x'; 1_000])]);
    for cut in 4..whole.len() {
        assert!(unpack(&whole[..cut], &Limits::default()).is_err(), "{cut}");
    }
}

#[test]
fn entities_and_document_types_are_refused() {
    let laughs = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE feedback [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>{REPORT}</feedback>"
    );
    assert!(matches!(read_aggregate(laughs.as_bytes()), Err(ReportError::Entity(_))));
    let external = REPORT.replace("<org_name>o", "<org_name>&passwd;");
    let error = read_aggregate(format!("{external}</feedback>").as_bytes()).expect_err("refused");
    assert_eq!(error, ReportError::Entity("the entity &passwd;".into()));
    let own = REPORT.replace("<org_name>o", "<org_name>A&amp;B &#38; C & D");
    let report = read_aggregate(format!("{own}</feedback>").as_bytes()).expect("a report");
    assert_eq!(report.org_name, "A&B & C & D");
}

#[test]
fn depth_rows_and_results_are_bounded() {
    let deep = "<a>".repeat(1_000_000);
    assert_eq!(soon(|| read_aggregate(deep.as_bytes())), Err(ReportError::TooDeep { limit: 32 }));
    let deep = format!("<feedback>{deep}");
    assert_eq!(soon(|| read_aggregate(deep.as_bytes())), Err(ReportError::TooDeep { limit: 32 }));

    let rows = format!("{REPORT}{}</feedback>", ROW.repeat(200_000));
    let expected = ReportError::TooMany { what: "rows", limit: ROWS_MAX };
    assert_eq!(soon(|| read_aggregate(rows.as_bytes())), Err(expected));
    let rows = format!("{REPORT}{}</feedback>", ROW.repeat(1_000_000));
    assert!(matches!(soon(|| read_aggregate(rows.as_bytes())), Err(ReportError::TooLarge { .. })));
    // Of rows without anything in them, the first is one too many.
    let rows = format!("{REPORT}{}</feedback>", "<record/>".repeat(1_000_000));
    assert_eq!(
        soon(|| read_aggregate(rows.as_bytes())),
        Err(ReportError::Missing("row/source_ip"))
    );

    let results = format!("{REPORT}<record><auth_results>{}", "<dkim/>".repeat(1_000_000));
    let expected = ReportError::TooMany { what: "results", limit: RESULTS_MAX };
    assert_eq!(soon(|| read_aggregate(results.as_bytes())), Err(expected));
    let honest = ROW.replace(
        "</row>",
        &format!("</row><auth_results>{}</auth_results>", "<dkim/>".repeat(150)),
    );
    let report = read_aggregate(format!("{REPORT}{honest}</feedback>").as_bytes()).expect("read");
    assert_eq!(report.rows[0].auth_results.dkim.len(), 100);
}

#[test]
fn numbers_and_texts_are_bounded() {
    let with = |row: &str| read_aggregate(format!("{REPORT}{row}</feedback>").as_bytes());
    let huge = ROW.replace("<count>1", "<count>99999999999999999999999");
    assert!(matches!(with(&huge), Err(ReportError::Value { field: "count", .. })));
    let most = ROW.replace("<count>1", "<count>18446744073709551615");
    assert_eq!(with(&most).expect("a report").rows[0].count, u64::MAX);
    let below = ROW.replace("<count>1", "<count>-1");
    assert!(with(&below).is_err());
    let nobody = ROW.replace("192.0.2.1", "192.0.2.256");
    assert!(matches!(with(&nobody), Err(ReportError::Value { field: "source_ip", .. })));
    let late = REPORT.replace("<begin>1", "<begin>999999999999999999");
    assert!(matches!(
        read_aggregate(format!("{late}</feedback>").as_bytes()),
        Err(ReportError::Value { field: "begin", .. })
    ));
    let long = REPORT.replace("<org_name>o", &format!("<org_name>{}", "é".repeat(5_000_000)));
    let report = soon(|| read_aggregate(format!("{long}</feedback>").as_bytes())).expect("read");
    assert_eq!(report.org_name.len(), 8_192);
}

#[test]
fn json_is_bounded() {
    let report = |policies: &str| {
        format!(
            "{{\"date-range\":{{\"start-datetime\":\"2024-01-01T00:00:00Z\",\
             \"end-datetime\":\"2024-01-02\"}},\"policies\":{policies}}}"
        )
    };
    let read = |json: String| soon(|| read_tls(json.as_bytes()));
    assert!(read(report("[]")).is_ok());
    assert!(matches!(read(report(&"[".repeat(1_000_000))), Err(ReportError::Json(_))));
    assert!(matches!(read(" ".repeat(9_000_000)), Err(ReportError::TooLarge { .. })));
    let policy = "{\"policy\":{\"policy-type\":\"sts\"}},";
    let many = format!("[{}]", policy.repeat(100_000).trim_end_matches(','));
    assert!(matches!(read(report(&many)), Err(ReportError::Json(_))));
    let details = format!(
        "[{{\"policy\":{{\"policy-type\":\"sts\"}},\"failure-details\":[{}]}}]",
        "{},".repeat(1_000_000).trim_end_matches(',')
    );
    assert!(matches!(read(report(&details)), Err(ReportError::Json(_))));
    let odd = "[{\"policy\":{\"policy-type\":\"STS\",\"policy-string\":\"v\",\"mx-host-pattern\":null},\
        \"summary\":{\"total-successful-session-count\":\"7\",\"total-failure-session-count\":2.0},\
        \"failure-details\":null}]";
    let read_back = read(report(odd)).expect("forgiven");
    assert_eq!(read_back.policies[0].successful_sessions, 7);
    assert_eq!(read_back.policies[0].failed_sessions, 2);
    assert_eq!(read_back.policies[0].policy_strings, ["v"]);
    assert!(read(report(&odd.replace("2.0", "1e300"))).is_err());
}

#[test]
fn a_failure_report_is_cut_to_a_bearable_size() {
    let fields = format!(
        "Feedback-Type: auth-failure\r\n{}",
        "Original-Rcpt-To: <a@b.test>\r\n".repeat(100_000)
    );
    let original = vec![b'x'; 50_000_000];
    let report = soon(|| read_failure(fields.as_bytes(), &original)).expect("a report");
    assert_eq!(report.original_rcpt_to.len(), 100);
    assert_eq!(report.original.len(), 1 << 20);
}

#[test]
fn mail_that_is_no_report_is_left_alone() {
    let mail = |subject: &str, media_type: &str, name: &str, body: &str| {
        format!(
            "From: a@b.test\r\nSubject: {subject}\r\nContent-Type: {media_type}; name=\"{name}\"\r\n\r\n{body}"
        )
    };
    let recognised = |raw: String| recognise(&Message::parse(raw.as_bytes()));
    assert_eq!(recognised(mail("hello", "text/plain", "", "hello\r\n")), None);
    assert_eq!(recognised(mail("hello", "application/zip", "a.zip", "PK\x03\x04broken")), None);
    assert_eq!(recognised(mail("hello", "text/xml", "a.xml", "<svg/>")), None);
    // The same files, where the message or the name promises a report.
    let said = "Report Domain: d.test Submitter: o.test Report-ID: <1>";
    assert!(matches!(
        recognised(mail(said, "application/zip", "a.zip", "PK\x03\x04broken")),
        Some(Err(ReportError::Archive(_)))
    ));
    assert_eq!(
        recognised(mail(said, "text/plain", "", "hello\r\n")),
        Some(Err(ReportError::NoReport))
    );
    assert!(matches!(
        recognised(mail("hello", "application/zip", "o.test!d.test!1!2.zip", "PK\x03\x04broken")),
        Some(Err(ReportError::Archive(_)))
    ));
}

#[test]
fn the_largest_report_is_read_in_bearable_time() {
    let row = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated>\
        <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>\
        <auth_results><dkim><domain>d.test</domain><selector>s</selector><result>pass</result></dkim>\
        </auth_results></record>";
    let rows = (20_000_000 - REPORT.len() - 11) / row.len();
    let xml = format!("{REPORT}{}</feedback>", row.repeat(rows));
    let begin = Instant::now();
    let report = soon(|| read_aggregate(xml.as_bytes())).expect("a report");
    eprintln!("{rows} rows in {} octets: {:?}", xml.len(), begin.elapsed());
    assert_eq!(report.rows.len(), rows);
}
