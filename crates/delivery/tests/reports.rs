//! The daily reports between mail domains: ours to others, and those of others about us.

mod world;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use waxwing_delivery::outbound::{PolicyType, TlsOutcome, TlsResult, TlsSink};
use waxwing_delivery::reports::{Reporter, Told, ToldHow, tls};
use waxwing_delivery::{Dice, Policy, VirtualClock};
use waxwing_dns::{FakeZone, Zone};
use waxwing_mailauth::dkim::{self, BodyHasher, Canonicalization, DkimResult, Signer};
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_mailauth::report::aggregate::{Aligned, Disposition};
use waxwing_mailauth::report::tls::{PolicyType as ReportedType, ResultType};
use waxwing_mailauth::report::{
    AggregateReport, Limits, Received, TlsReport, read_tls, recognise, unpack,
};
use waxwing_message::journey::Step;
use waxwing_message::{Message, ReversePath};
use waxwing_smtp::reply::Reply;
use waxwing_store::{
    NewSigningKey, ReportKind, SigningAlgorithm, SigningKeyState, Store, StoredReport, day_of,
};
use world::peers::{Mx, Posts};
use world::*;

type TestReporter = Reporter<Arc<FakeZone>, Arc<VirtualClock>>;

fn zone(world: &World, apex: &str, text: &str) {
    world.zone.insert(Zone::parse(apex, text).unwrap());
}

fn reporter(world: &World, store: &Store) -> TestReporter {
    posting_reporter(world, store, Arc::default())
}

fn posting_reporter(world: &World, store: &Store, posts: Arc<Posts>) -> TestReporter {
    let mut policy = Policy::new("mx.wax.test");
    policy.own_addresses = vec!["192.0.2.99".parse().unwrap()];
    let (clock, dice) = (world.clock.clone(), Arc::new(Dice::new()));
    Reporter::new(store.clone(), Arc::new(policy), clock, dice, world.zone.clone(), posts)
}

/// Looks every five minutes for what is due, until something has come about; gives when.
async fn look_until(world: &World, done: impl AsyncFn() -> bool) -> Timestamp {
    let reporter = reporter(world, &world.store);
    for _ in 0..5 * 288 {
        reporter.send_due().await.unwrap();
        if done().await {
            return world.now();
        }
        world.clock.advance(Duration::from_secs(300));
    }
    panic!("it never comes about");
}

/// bank.test, with this in its DMARC record, takes mail at mx.bank.test.
fn bank(world: &World, rua: &str) -> Arc<Mx> {
    bank_zone(world, &format!("_dmarc TXT \"v=DMARC1; p=reject; sp=none{rua}\"\n"));
    let mx = Mx::new("mx.bank.test");
    world.net.serve("192.0.2.50", mx.peer());
    mx
}

fn bank_zone(world: &World, more: &str) {
    let text =
        format!("@ TXT \"v=spf1 ip4:192.0.2.200 -all\"\n@ MX 10 mx\nmx A 192.0.2.50\n{more}");
    zone(world, "bank.test", &text);
}

/// A key that signs for a domain; its record is in the DNS.
fn key(world: &World, domain: &str) -> SigningKey {
    let key = SigningKey::generate(Algorithm::Ed25519Sha256).unwrap();
    let apex = format!("s._domainkey.{domain}");
    zone(world, &apex, &format!("@ TXT \"{}\"\n", key.dns_record()));
    key
}

async fn our_key(world: &World) {
    let key = key(world, "wax.test");
    let new = NewSigningKey {
        domain: "wax.test".into(),
        selector: "s".into(),
        algorithm: SigningAlgorithm::Ed25519Sha256,
        private_key: key.to_pkcs8_der(),
        record: key.dns_record(),
        state: SigningKeyState::Signing,
    };
    world.store.add_signing_keys(vec![new], world.now()).await.unwrap();
}

async fn examining() -> World {
    let world = World::with(|policy| policy.judging.examine = true).await;
    our_key(&world).await;
    world
}

fn letter(from: &str) -> String {
    format!(
        "From: {from}\r\nTo: alice@wax.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         Message-ID: <1@elsewhere.test>\r\nSubject: hello\r\n\r\nHello, Alice.\r\n"
    )
}

/// Two genuine messages and one forgery under the bank's name.
async fn a_day(world: &World) {
    for sender in ["news@bank.test", "news@bank.test", "eve@two.example"] {
        let path = from(sender, &["alice@wax.test"]);
        let _ = world.receive(path, &letter("news@bank.test")).await;
    }
}

fn tomorrow(world: &World) {
    world.clock.advance(Duration::from_secs(86_400));
}

async fn send(world: &World) -> Vec<Told> {
    reporter(world, &world.store).send_now(false).await.unwrap()
}

/// To whom reports went.
fn recipients(told: &[Told]) -> Vec<String> {
    let mut all = Vec::new();
    for told in told {
        if let ToldHow::Sent { to, .. } = &told.how {
            all.extend(to.iter().map(|(to, _)| to.to_string()));
        }
    }
    all
}

async fn waiting(world: &World) -> usize {
    let today = day_of(world.now());
    let store = &world.store;
    let mut waiting = 0;
    for kind in [ReportKind::Dmarc, ReportKind::Tls] {
        waiting += store.domains_to_report_to(kind, today + 1).await.unwrap().len();
    }
    waiting
}

fn aggregate(text: &str) -> AggregateReport {
    match recognise(&Message::parse(text.as_bytes())) {
        Some(Ok(Received::Aggregate(report))) => report,
        other => panic!("{other:?} in {text}"),
    }
}

#[tokio::test]
async fn a_day_of_mail_leads_to_one_report_with_right_counts() {
    let world = examining().await;
    let mx = bank(&world, "; rua=mailto:dmarc@bank.test");
    a_day(&world).await;
    // The day is not over: nothing is sent.
    assert_eq!(send(&world).await, []);
    tomorrow(&world);
    let told = send(&world).await;
    let [Told { kind: ReportKind::Dmarc, domain, how: ToldHow::Sent { to, counted, .. }, .. }] =
        &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((domain.as_str(), *counted, to.len()), ("bank.test", 3, 1));
    assert_eq!(waiting(&world).await, 0);
    assert_eq!(send(&world).await, []);
    world.run_to_the_end().await;

    let taken = mx.taken.lock().unwrap().clone();
    let [(envelope, text)] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!(envelope.reverse_path, ReversePath::Null);
    assert_eq!(mx.recipients(), [["dmarc@bank.test"]]);
    let message = Message::parse(text.as_bytes());
    let header = |name: &str| message.header(name).unwrap().text();
    assert!(header("From").ends_with("<postmaster@wax.test>"), "{}", header("From"));
    // RFC 9990 §3.5.2.
    let subject = message.subject().unwrap();
    assert!(subject.starts_with("Report Domain: bank.test Submitter: wax.test Report-ID: <"));
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    // §3.5.2: "MUST conform to the DMARC mechanism".
    let verified = dkim::verify(&*world.zone, text.as_bytes(), world.now()).await;
    let signatures: Vec<_> = verified.dkim.iter().map(|v| (v.domain.as_str(), v.result)).collect();
    assert_eq!(signatures, [("wax.test", DkimResult::Pass)]);

    let report = aggregate(text);
    assert_eq!(report.org_name, "wax.test");
    assert_eq!(report.email, "postmaster@wax.test");
    assert_eq!(report.begin.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(report.end.to_string(), "2026-01-01T23:59:59Z");
    assert_eq!(report.policy.domain, "bank.test");
    let mut rows: Vec<_> = report
        .rows
        .iter()
        .map(|row| (row.count, row.policy_evaluated.disposition, row.policy_evaluated.spf))
        .collect();
    rows.sort_unstable();
    let expected = [(1, Disposition::Reject, Aligned::Fail), (2, Disposition::Pass, Aligned::Pass)];
    assert_eq!(rows, expected);
    assert!(report.rows.iter().all(|row| row.source_ip.to_string() == "192.0.2.200"));
    assert!(report.rows.iter().all(|row| row.identifiers.header_from == "bank.test"));
}

#[tokio::test]
async fn a_report_leaves_by_itself_some_hours_after_midnight() {
    let world = examining().await;
    bank(&world, "; rua=mailto:dmarc@bank.test");
    a_day(&world).await;
    let left_at = look_until(&world, async || world.queue_len().await > 0).await;
    let midnight: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    let after = left_at.duration_since(midnight).as_secs();
    assert!((1_800..=5 * 3_600).contains(&after), "{after} seconds after midnight");
}

#[tokio::test]
async fn a_host_elsewhere_must_agree_and_may_choose_its_mailbox() {
    let world = examining().await;
    bank(
        &world,
        "; rua=mailto:bank@reports.example,https://bank.test/dmarc,mailto:bank@other.example",
    );
    a_day(&world).await;
    tomorrow(&world);
    // Nobody has agreed.
    let told = send(&world).await;
    assert!(matches!(told[0].how, ToldHow::Unwanted { .. }), "{told:?}");
    assert_eq!(told[0].left_out.len(), 3, "{told:?}");
    assert!(told[0].left_out[0].contains("bank.test._report._dmarc.reports.example"));
    assert!(told[0].left_out[1].contains("by mail only"));
    assert_eq!((waiting(&world).await, world.queue_len().await), (1, 0));
    // The DNS cannot say: later.
    let name = "bank.test._report._dmarc.reports.example";
    world.zone.time_out(name);
    let told = send(&world).await;
    assert!(matches!(told[0].how, ToldHow::Later { .. }), "{told:?}");
    world.zone.mend(name);
    // RFC 9990 §4: one agrees, the other wants it elsewhere at the same host.
    zone(&world, name, "@ TXT \"v=DMARC1\"\n");
    let other = "bank.test._report._dmarc.other.example";
    zone(&world, other, "@ TXT \"v=DMARC1; rua=mailto:all@other.example\"\n");
    assert_eq!(recipients(&send(&world).await), ["bank@reports.example", "all@other.example"]);
}

#[tokio::test]
async fn an_override_to_yet_another_host_is_refused() {
    let world = examining().await;
    bank(&world, "; rua=mailto:bank@reports.example");
    a_day(&world).await;
    tomorrow(&world);
    let name = "bank.test._report._dmarc.reports.example";
    zone(&world, name, "@ TXT \"v=DMARC1; rua=mailto:victim@two.example\"\n");
    let told = send(&world).await;
    assert!(matches!(told[0].how, ToldHow::Unwanted { .. }), "{told:?}");
    assert_eq!(world.queue_len().await, 0);
}

#[tokio::test]
async fn a_destination_that_takes_less_is_left_out() {
    let world = examining().await;
    bank(&world, "; rua=mailto:small@bank.test!100,mailto:large@bank.test!10m");
    a_day(&world).await;
    tomorrow(&world);
    let told = send(&world).await;
    assert_eq!(recipients(&told), ["large@bank.test"]);
    assert_eq!(told[0].left_out.len(), 1);
    assert!(told[0].left_out[0].contains("small@bank.test"), "{told:?}");
    assert!(told[0].left_out[0].contains("allows 100"), "{told:?}");
    assert_eq!(waiting(&world).await, 0);
}

#[tokio::test]
async fn what_nobody_wants_any_more_is_dropped_after_some_days() {
    let world = examining().await;
    bank(&world, "; rua=mailto:dmarc@bank.test");
    a_day(&world).await;
    tomorrow(&world);
    bank(&world, "");
    let told = send(&world).await;
    assert!(matches!(told[0].how, ToldHow::Unwanted { .. }), "{told:?}");
    assert_eq!(waiting(&world).await, 1);
    let gone = look_until(&world, async || waiting(&world).await == 0).await;
    assert!(gone >= "2026-01-04T00:00:00Z".parse().unwrap(), "{gone}");
    assert_eq!(world.queue_len().await, 0);
    // Nobody's DNS is asked all the time: every four hours for three days, two walks each.
    let asked = world.zone.asked();
    let asked = asked.iter().filter(|(name, _)| name.starts_with("_dmarc.bank")).count();
    assert!(asked < 60, "{asked}");
}

#[tokio::test]
async fn two_nodes_send_one_report() {
    let world = examining().await;
    bank(&world, "; rua=mailto:dmarc@bank.test");
    a_day(&world).await;
    tomorrow(&world);
    let second = world.second_store().await;
    let (one, two) = (reporter(&world, &world.store), reporter(&world, &second));
    let (one, two) = tokio::join!(one.send_now(false), two.send_now(false));
    let told = [one.unwrap(), two.unwrap()].concat();
    assert_eq!(recipients(&told), ["dmarc@bank.test"], "{told:?}");
    assert_eq!((waiting(&world).await, world.queue_len().await), (0, 1));
}

#[tokio::test]
async fn a_failure_in_between_neither_loses_nor_doubles() {
    let world = examining().await;
    let mx = bank(&world, "; rua=mailto:one@bank.test,mailto:two@bank.test");
    a_day(&world).await;
    tomorrow(&world);
    // The second of the two messages cannot be queued: the transaction ends there.
    world.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON queue \
         WHEN (SELECT COUNT(*) FROM queue) > 0 BEGIN SELECT RAISE(ABORT, 'broken'); END",
    );
    reporter(&world, &world.store).send_now(false).await.unwrap_err();
    assert_eq!((waiting(&world).await, world.queue_len().await), (1, 0));
    world.execute("DROP TRIGGER broken");
    assert_eq!(recipients(&send(&world).await), ["one@bank.test", "two@bank.test"]);
    world.run_to_the_end().await;
    let taken = mx.taken.lock().unwrap().clone();
    let ids: Vec<_> = taken.iter().map(|(_, text)| aggregate(text).report_id).collect();
    // One report, twice: RFC 9990 §3.5.1.
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

#[tokio::test]
async fn a_report_that_bounces_ends_in_its_journey_and_annoys_nobody() {
    let world = examining().await;
    let mx = bank(&world, "; rua=mailto:dmarc@bank.test");
    mx.refuse("dmarc@bank.test", Reply::new(550, (5, 1, 1), "no such mailbox"));
    world.alias("postmaster@wax.test", "alice@wax.test").await;
    a_day(&world).await;
    let before = world.inbox(world.alice).await.len();
    tomorrow(&world);
    let told = send(&world).await;
    let ToldHow::Sent { to, .. } = &told[0].how else { panic!("{told:?}") };
    world.run_to_the_end().await;
    let steps = world.events(to[0].1).await;
    let bounced = steps.iter().find_map(|step| match step {
        Step::Bounced { report, .. } => Some(*report),
        _ => None,
    });
    assert_eq!(bounced, Some(None), "{steps:?}");
    assert_eq!(world.inbox(world.alice).await.len(), before);
}

// ── TLS ──────────────────────────────────────────────────────────────────────────────────────────

fn outcome(world: &World, result: TlsResult) -> TlsOutcome {
    TlsOutcome {
        at: world.now(),
        policy_domain: "bank.test".into(),
        policy_type: PolicyType::Sts,
        policy_strings: vec!["version: STSv1".into(), "mode: enforce".into()],
        mx_patterns: vec!["*.bank.test".into()],
        mx_host: Some("mx.bank.test".into()),
        sending_ip: Some("192.0.2.99".parse().unwrap()),
        receiving_ip: Some("192.0.2.50".parse().unwrap()),
        result,
        reason: if result == TlsResult::Success { "" } else { "it expired yesterday" }.into(),
    }
}

/// Three sessions that went well and one that did not, as the courier tells of them.
async fn a_day_of_tls(world: &World) {
    let (sink, mut recorder) = tls::sink(&world.store);
    for _ in 0..3 {
        sink.record(outcome(world, TlsResult::Success));
    }
    sink.record(outcome(world, TlsResult::CertificateExpired));
    recorder.flush().await;
}

fn tls_report(text: &str) -> TlsReport {
    match recognise(&Message::parse(text.as_bytes())) {
        Some(Ok(Received::Tls(report))) => report,
        other => panic!("{other:?} in {text}"),
    }
}

const TLS_RECORD: &str = "_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:tls@bank.test\"\n";

#[tokio::test]
async fn how_tls_went_is_reported_signed_and_despite_policies() {
    let world = World::new().await;
    our_key(&world).await;
    let mx = bank(&world, "");
    bank_zone(&world, TLS_RECORD);
    a_day_of_tls(&world).await;
    tomorrow(&world);
    let told = send(&world).await;
    assert_eq!(recipients(&told), ["tls@bank.test"]);
    assert_eq!((waiting(&world).await, told[0].left_out.len()), (0, 0));
    world.run_to_the_end().await;
    let (envelope, text) = mx.taken.lock().unwrap()[0].clone();
    assert_eq!(envelope.reverse_path, ReversePath::Null);
    let message = Message::parse(text.as_bytes());
    let header = |name: &str| message.header(name).unwrap().text();
    // RFC 8460 §5.3.
    assert_eq!(message.root().param("report-type").as_deref(), Some("tlsrpt"));
    assert_eq!(header("TLS-Report-Domain"), "bank.test");
    assert_eq!(header("TLS-Report-Submitter"), "wax.test");
    // RFC 8460 §3, RFC 8689 §3.
    assert_eq!(header("TLS-Required"), "No");
    let verified = dkim::verify(&*world.zone, text.as_bytes(), world.now()).await;
    assert!(verified.dkim.iter().any(|v| v.domain == "wax.test" && v.result == DkimResult::Pass));
    let signed = header("DKIM-Signature").to_ascii_lowercase();
    assert!(signed.contains("tls-report-domain") && signed.contains("tls-report-submitter"));

    let report = tls_report(&text);
    let [policy] = &report.policies[..] else { panic!("{report:?}") };
    assert_eq!(policy.policy_domain, "bank.test");
    assert_eq!(policy.policy_type, ReportedType::Sts);
    assert_eq!((policy.successful_sessions, policy.failed_sessions), (3, 1));
    let [detail] = &policy.failure_details[..] else { panic!("{report:?}") };
    assert_eq!(detail.result_type, ResultType::CertificateExpired);
    assert_eq!(detail.receiving_mx_hostname.as_deref(), Some("mx.bank.test"));
    assert_eq!(detail.failure_reason_code.as_deref(), Some("it expired yesterday"));
}

const BOTH: &str = "_smtp._tls TXT \"v=TLSRPTv1; \
    rua=mailto:tls@bank.test,https://bank.test/tls,https://other.test/tls\"\n";

/// What was posted to a web server.
fn posted(posts: &Posts, uri: &str) -> Vec<TlsReport> {
    let taken = posts.taken.lock().unwrap();
    let to_it = taken.iter().filter(|(to, _)| to == uri);
    let report = |(_, file): &(String, Vec<u8>)| {
        read_tls(&unpack(file, &Limits::default()).unwrap()).unwrap()
    };
    to_it.map(report).collect()
}

/// RFC 8460 §3: any of the destinations will do, and those that fail are named.
#[tokio::test]
async fn a_tls_report_is_posted_to_web_servers_that_want_it() {
    let world = World::new().await;
    our_key(&world).await;
    bank(&world, "");
    bank_zone(&world, BOTH);
    a_day_of_tls(&world).await;
    tomorrow(&world);
    let posts = Arc::new(Posts::default());
    posts.broken.lock().unwrap().push("https://other.test/tls".into());
    let told = posting_reporter(&world, &world.store, posts.clone()).send_now(false).await.unwrap();
    let ToldHow::Sent { to, posted: taken, counted } = &told[0].how else { panic!("{told:?}") };
    assert_eq!((to.len(), *counted), (1, 4));
    assert_eq!(taken, &["https://bank.test/tls"]);
    assert_eq!(told[0].left_out, ["https://other.test/tls: 500 Internal Server Error"]);
    let [report] = &posted(&posts, "https://bank.test/tls")[..] else { panic!("not one") };
    let policy = &report.policies[0];
    assert_eq!((policy.successful_sessions, policy.failed_sessions), (3, 1));
    assert_eq!(waiting(&world).await, 0);
}

/// A report that nobody took waits; one that was posted and not noted goes again under the same id.
#[tokio::test]
async fn a_posting_that_fails_is_repeated_and_can_be_told_from_another_report() {
    let world = World::new().await;
    bank(&world, "");
    bank_zone(&world, BOTH);
    a_day_of_tls(&world).await;
    tomorrow(&world);
    let posts = Arc::new(Posts::default());
    let uris = ["https://bank.test/tls".to_owned(), "https://other.test/tls".to_owned()];
    posts.broken.lock().unwrap().extend(uris.clone());
    let reporter = posting_reporter(&world, &world.store, posts.clone());
    let told = reporter.send_now(false).await.unwrap();
    assert!(matches!(told[0].how, ToldHow::Later { .. }), "{told:?}");
    // Without a key the mailbox cannot be served, which is said too.
    assert!(told[0].left_out[0].starts_with("tls@bank.test: a TLS report must be signed"));
    assert_eq!((told[0].left_out.len(), waiting(&world).await), (3, 1));

    posts.broken.lock().unwrap().clear();
    world.execute(
        "CREATE TRIGGER broken BEFORE DELETE ON observations \
         BEGIN SELECT RAISE(ABORT, 'broken'); END",
    );
    assert!(reporter.send_now(false).await.is_err());
    world.execute("DROP TRIGGER broken");
    reporter.send_now(false).await.unwrap();
    assert_eq!((waiting(&world).await, world.queue_len().await), (0, 0));
    let ids: Vec<String> =
        posted(&posts, &uris[0]).into_iter().map(|report| report.report_id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn an_unsigned_tls_report_is_not_sent() {
    let world = World::new().await;
    bank(&world, "");
    bank_zone(&world, TLS_RECORD);
    a_day_of_tls(&world).await;
    tomorrow(&world);
    let told = send(&world).await;
    let ToldHow::Later { why } = &told[0].how else { panic!("{told:?}") };
    assert!(why.contains("wax.test has no signing key"), "{why}");
    assert_eq!((waiting(&world).await, world.queue_len().await), (1, 0));
}

#[tokio::test]
async fn a_domain_that_wants_no_tls_reports_is_forgotten_at_once() {
    let world = World::new().await;
    our_key(&world).await;
    bank(&world, "");
    a_day_of_tls(&world).await;
    tomorrow(&world);
    world.zone.time_out("_smtp._tls.bank.test");
    assert!(matches!(send(&world).await[0].how, ToldHow::Later { .. }));
    assert_eq!(waiting(&world).await, 1);
    world.zone.mend("_smtp._tls.bank.test");
    assert!(matches!(send(&world).await[0].how, ToldHow::Unwanted { .. }));
    assert_eq!((waiting(&world).await, world.queue_len().await), (0, 0));
}

// ── Reports of others ────────────────────────────────────────────────────────────────────────────

/// Who reports: their mail comes from 192.0.2.200.
fn reporters(world: &World) -> SigningKey {
    let text = "@ TXT \"v=spf1 ip4:192.0.2.200 -all\"\n_dmarc TXT \"v=DMARC1; p=none\"\n";
    zone(world, "big.test", text);
    key(world, "big.test")
}

/// A published report about wax.test, in the form that most reporters still write (RFC 7489
/// appendix C), with numbers of its own.
fn xml(domain: &str) -> String {
    let row = |ip: &str, count: u32, spf: &str, disposition: &str| {
        format!(
            "<record><row><source_ip>{ip}</source_ip><count>{count}</count><policy_evaluated>\
             <disposition>{disposition}</disposition><dkim>fail</dkim><spf>{spf}</spf>\
             </policy_evaluated></row><identifiers><header_from>{domain}</header_from>\
             </identifiers><auth_results><spf><domain>{domain}</domain><result>{spf}</result>\
             </spf></auth_results></record>"
        )
    };
    format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>Big Mail</org_name>\
         <email>reports@big.test</email><report_id>4711</report_id><date_range>\
         <begin>1767225600</begin><end>1767311999</end></date_range></report_metadata>\
         <policy_published><domain>{domain}</domain><p>reject</p></policy_published>{}{}</feedback>",
        row("192.0.2.99", 12, "pass", "none"),
        row("198.51.100.7", 3, "fail", "reject"),
    )
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (at, group) in octets.chunks(3).enumerate() {
        let bits = group.iter().fold(0u32, |bits, octet| bits << 8 | u32::from(*octet));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * digit) & 63) as usize];
            text.push(if digit > group.len() { '=' } else { char::from(letter) });
        }
        if at % 19 == 18 {
            text.push_str("\r\n");
        }
    }
    text
}

/// A message with a file, as reporters send it.
fn report_mail(author: &str, name: &str, media_type: &str, file: &[u8]) -> String {
    format!(
        "From: {author}\r\nTo: dmarc@wax.test\r\nDate: Fri, 2 Jan 2026 03:00:00 +0000\r\n\
         Message-ID: <r@big.test>\r\nSubject: Report Domain: wax.test Submitter: big.test\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain\r\n\r\nA report.\r\n--b\r\nContent-Type: {media_type}; \
         name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        base64(file)
    )
}

fn aggregate_mail(author: &str, domain: &str) -> String {
    let name = format!("big.test!{domain}!1767225600!1767311999.xml.gz");
    let file = waxwing_mailauth::report::gzip(xml(domain).as_bytes());
    report_mail(author, &name, "application/gzip", &file)
}

/// Takes the message from another server, reads what is to be read; gives the last step.
async fn receive(world: &World, sender: &str, text: &str) -> Step {
    let accepted = world.receive(from(sender, &["dmarc@wax.test"]), text).await.unwrap();
    let reporter = reporter(world, &world.store);
    while reporter.read_one().await.unwrap() {}
    world.events(accepted.journey).await.pop().unwrap()
}

async fn kept(world: &World) -> Vec<StoredReport> {
    let listed = world.store.reports(Some("wax.test"), 10).await.unwrap();
    listed.into_iter().map(|(_, report)| report).collect()
}

async fn receiving() -> (World, SigningKey) {
    let world = examining().await;
    world.alias("dmarc@wax.test", "alice@wax.test").await;
    let key = reporters(&world);
    (world, key)
}

#[tokio::test]
async fn a_report_about_us_is_read_kept_and_told_in_its_journey() {
    let (world, _) = receiving().await;
    let text = aggregate_mail("reports@big.test", "wax.test");
    let step = receive(&world, "reports@big.test", &text).await;
    let Step::ReportRead { kind, domain, organization, summary } = step else { panic!("{step:?}") };
    assert_eq!((&*kind, &*domain, &*organization), ("DMARC", "wax.test", "Big Mail"));
    assert_eq!(summary, "15 messages from 2 addresses, 12 passed, 3 failed, 3 refused");
    let reports = kept(&world).await;
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.passed, report.failed, &*report.name), (12, 3, "4711"));
    assert_eq!(report.begins_at.to_string(), "2026-01-01T00:00:00Z");
    let (id, _) = world.store.reports(None, 1).await.unwrap()[0].clone();
    let what = world.store.report(id).await.unwrap().unwrap().what;
    let report: AggregateReport = serde_json::from_str(&what).unwrap();
    assert_eq!(report.rows[0].source_ip.to_string(), "192.0.2.99");
    // The message stays as it is; the same report a second time is known.
    assert_eq!(world.inbox(world.alice).await.len(), 1);
    receive(&world, "reports@big.test", &text).await;
    assert_eq!(kept(&world).await.len(), 1);
}

#[tokio::test]
async fn a_report_below_our_domain_is_ours_and_others_are_not() {
    let (world, _) = receiving().await;
    let text = aggregate_mail("reports@big.test", "news.wax.test");
    let step = receive(&world, "reports@big.test", &text).await;
    assert!(matches!(&step, Step::ReportRead { domain, .. } if domain == "wax.test"), "{step:?}");
    let text = aggregate_mail("reports@big.test", "bank.test");
    let step = receive(&world, "reports@big.test", &text).await;
    let Step::ReportNotRead { reason } = step else { panic!("{step:?}") };
    assert!(reason.contains("bank.test"), "{reason}");
    assert_eq!(world.store.reports(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_forged_report_is_not_believed() {
    let (world, _) = receiving().await;
    let text = aggregate_mail("reports@big.test", "wax.test");
    let step = receive(&world, "eve@two.example", &text).await;
    let Step::ReportNotRead { reason } = step else { panic!("{step:?}") };
    assert!(reason.contains("fails DMARC"), "{reason}");
    assert!(kept(&world).await.is_empty());
}

#[tokio::test]
async fn a_bomb_is_refused_and_its_message_stays() {
    let (world, _) = receiving().await;
    let bomb = waxwing_mailauth::report::gzip(&vec![b' '; 40_000_000]);
    let name = "big.test!wax.test!1767225600!1767311999.xml.gz";
    let text = report_mail("reports@big.test", name, "application/gzip", &bomb);
    let step = receive(&world, "reports@big.test", &text).await;
    let Step::ReportNotRead { reason } = step else { panic!("{step:?}") };
    assert!(reason.contains("unpacks to more than"), "{reason}");
    let everywhere = [world.inbox(world.alice).await, world.mailbox(world.alice, "Junk").await];
    assert_eq!(everywhere.concat().len(), 1);
    assert!(kept(&world).await.is_empty());
    assert!(world.store.begin_report_mail().await.unwrap().is_none());
}

#[tokio::test]
async fn somebodys_archive_is_none_of_our_business() {
    let (world, _) = receiving().await;
    let file = waxwing_mailauth::report::gzip(b"photographs");
    let text = report_mail("friend@big.test", "photographs.gz", "application/gzip", &file);
    let text = text.replace("Subject: Report Domain: wax.test Submitter: big.test", "Subject: hi");
    let step = receive(&world, "friend@big.test", &text).await;
    assert!(matches!(step, Step::Deposited { .. }), "{step:?}");
}

#[tokio::test]
async fn what_ends_the_program_is_given_up() {
    let (world, _) = receiving().await;
    let text = aggregate_mail("reports@big.test", "wax.test");
    let path = from("reports@big.test", &["dmarc@wax.test"]);
    let accepted = world.receive(path, &text).await.unwrap();
    // Three times it was begun and the program died.
    for _ in 0..3 {
        world.store.begin_report_mail().await.unwrap().unwrap();
    }
    assert!(reporter(&world, &world.store).read_one().await.unwrap());
    let step = world.events(accepted.journey).await.pop().unwrap();
    assert!(matches!(step, Step::ReportNotRead { .. }), "{step:?}");
    assert!(!reporter(&world, &world.store).read_one().await.unwrap());
}

/// The example of RFC 8460 appendix B, about wax.test.
fn rfc_8460_report() -> Vec<u8> {
    let json = r#"{"organization-name":"Company-X","date-range":{
        "start-datetime":"2016-04-01T00:00:00Z","end-datetime":"2016-04-01T23:59:59Z"},
        "contact-info":"sts-reporting@company-x.example",
        "report-id":"5065427c-23d3-47ca-b6e0-946ea0e8c4be","policies":[{"policy":{
        "policy-type":"sts","policy-string":["version: STSv1","mode: testing",
        "mx: *.mail.company-y.example","max_age: 86400"],"policy-domain":"wax.test",
        "mx-host":["*.mail.company-y.example"]},"summary":{
        "total-successful-session-count":5326,"total-failure-session-count":303},
        "failure-details":[{"result-type":"certificate-expired",
        "sending-mta-ip":"2001:db8:abcd:0012::1",
        "receiving-mx-hostname":"mx1.mail.company-y.example","failed-session-count":100},
        {"result-type":"starttls-not-supported","sending-mta-ip":"2001:db8:abcd:0013::1",
        "receiving-mx-hostname":"mx2.mail.company-y.example","receiving-ip":"203.0.113.56",
        "failed-session-count":200,"additional-information":
        "https://reports.company-x.example/report_info?id=5065427c-23d3#StarttlsNotSupported"},
        {"result-type":"validation-failure","sending-mta-ip":"198.51.100.62",
        "receiving-ip":"203.0.113.58","receiving-mx-hostname":"mx-backup.mail.company-y.example",
        "failed-session-count":3,"failure-reason-code":"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"}]}]}"#;
    waxwing_mailauth::report::gzip(json.as_bytes())
}

fn signed(world: &World, key: SigningKey, domain: &str, text: &str) -> String {
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    let mut hasher = BodyHasher::new(Canonicalization::Relaxed, None);
    hasher.write(body.as_bytes());
    let signer = Signer::new(domain, "s", key).unwrap();
    let header = format!("{header}\r\n\r\n");
    let field = signer.sign(header.as_bytes(), &hasher.finish(), world.now(), None);
    String::from_utf8(field).unwrap() + text
}

#[tokio::test]
async fn a_tls_report_about_us_is_kept_when_it_is_signed() {
    let (world, key) = receiving().await;
    let name = "big.test!wax.test!1459468800!1459555199!001.json.gz";
    let file = rfc_8460_report();
    let text = report_mail("tls@big.test", name, "application/tlsrpt+gzip", &file);
    // RFC 8460 §3: unsigned ones "MUST be ignored".
    let step = receive(&world, "tls@big.test", &text).await;
    let Step::ReportNotRead { reason } = step else { panic!("{step:?}") };
    assert!(reason.contains("not signed by big.test"), "{reason}");
    assert!(kept(&world).await.is_empty());

    let step = receive(&world, "tls@big.test", &signed(&world, key, "big.test", &text)).await;
    let Step::ReportRead { kind, summary, organization, .. } = step else { panic!("{step:?}") };
    assert_eq!((&*kind, &*organization), ("TLS", "Company-X"));
    assert_eq!(
        summary,
        "5326 sessions went well, 303 failed \
         (certificate-expired, starttls-not-supported, validation-failure)"
    );
    let (id, report) = world.store.reports(Some("wax.test"), 10).await.unwrap().remove(0);
    assert_eq!((report.kind, report.passed, report.failed), (ReportKind::Tls, 5326, 303));
    let what = world.store.report(id).await.unwrap().unwrap().what;
    assert_eq!(read_tls(what.as_bytes()).unwrap().policies[0].failure_details.len(), 3);
}

#[tokio::test]
async fn a_domains_own_reports_are_not_reported_on() {
    let (world, key) = receiving().await;
    let text = "@ TXT \"v=spf1 ip4:192.0.2.200 -all\"\n\
                _dmarc TXT \"v=DMARC1; p=none; rua=mailto:dmarc@big.test\"\n";
    zone(&world, "big.test", text);
    let mail = aggregate_mail("reports@big.test", "wax.test");
    receive(&world, "reports@big.test", &signed(&world, key, "big.test", &mail)).await;
    assert_eq!(waiting(&world).await, 0);
    // Under a forged name it counts like any mail.
    receive(&world, "eve@two.example", &mail).await;
    assert_eq!(waiting(&world).await, 1);
}
