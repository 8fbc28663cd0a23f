//! What domains demand of TLS, kept: DANE, MTA-STS, REQUIRETLS; no downgrade, and every refusal
//! explained and reported.

mod world;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use waxwing_delivery::outbound::{
    FetchError, FetchPolicy, PolicyType, Sts, TlsOutcome, TlsResult, TlsSink,
};
use waxwing_delivery::{Accepted, Relay, TlsRules, Verify};
use waxwing_dns::{LookupError, RecordType, Zone};
use waxwing_message::ReversePath;
use waxwing_message::journey::{Outcome, Step, TlsPolicyKind, TlsPolicySeen};
use waxwing_smtp::client::TlsPolicy;
use waxwing_smtp::server::StartTls;
use waxwing_store::Store;
use world::peers::{CONNECTED, Mx, scripted};
use world::*;

const WING: &str = "192.0.2.1";
const BOB: &str = "bob@wing.example";
const HOST: &str = "mx.wing.example";

/// SHA-256 of nothing in particular: the handshake is played.
const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Policy files by domain, and what was reported.
#[derive(Default)]
struct Elsewhere {
    file: Mutex<Option<String>>,
    fetched: Mutex<Vec<String>>,
    outcomes: Mutex<Vec<TlsOutcome>>,
}

impl FetchPolicy for Elsewhere {
    fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        self.fetched.lock().unwrap().push(domain.to_owned());
        let file = self.file.lock().unwrap().clone();
        let answer = file.map(String::into_bytes).ok_or(FetchError::Other("timed out".to_owned()));
        Box::pin(async move { answer })
    }
}

impl TlsSink for Elsewhere {
    fn record(&self, outcome: TlsOutcome) {
        self.outcomes.lock().unwrap().push(outcome);
    }
}

impl Elsewhere {
    fn rules(self: &Arc<Elsewhere>, store: &Store) -> TlsRules {
        let sts = Sts::new(self.clone(), store.clone());
        TlsRules { sts: Some(Arc::new(sts)), sink: self.clone() }
    }
}

struct Scene {
    world: World,
    mx: Arc<Mx>,
    elsewhere: Arc<Elsewhere>,
}

impl Scene {
    /// With this in the zone `example`, beside MX and address of wing.example.
    async fn new(records: &str) -> Scene {
        Scene::with(records, |_| {}).await
    }

    async fn with(records: &str, choose: impl FnOnce(&mut waxwing_delivery::Policy)) -> Scene {
        let elsewhere = Arc::new(Elsewhere::default());
        let world = World::under(|store| elsewhere.rules(store), choose).await;
        let mx = Mx::new(HOST);
        world.net.serve(WING, mx.peer());
        let scene = Scene { world, mx, elsewhere };
        scene.zone(&format!("wing MX 10 mx.wing\nmx.wing A {WING}\n{records}"));
        scene
    }

    /// Signed, with this record for the host.
    async fn dane(record: &str) -> Scene {
        let scene = Scene::new(&format!("_25._tcp.mx.wing TLSA {record}\n")).await;
        scene.world.zone.sign("example");
        scene
    }

    /// With a policy of this mode for these hosts.
    async fn sts(mode: &str, mx: &str) -> Scene {
        let scene = Scene::new("_mta-sts.wing TXT \"v=STSv1; id=1\"\n").await;
        scene.policy(mode, mx);
        scene
    }

    fn zone(&self, text: &str) {
        self.world.zone.insert(Zone::parse("example", text).unwrap());
    }

    fn policy(&self, mode: &str, mx: &str) {
        let file = format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 604800\n");
        *self.elsewhere.file.lock().unwrap() = Some(file);
    }

    fn shows(&self, tls: PlayedTls) {
        self.world.net.tls(HOST, tls);
    }

    async fn send(&self) -> Accepted {
        self.send_letter(LETTER, false).await
    }

    async fn send_letter(&self, text: &str, require_tls: bool) -> Accepted {
        let mut envelope = from_alice(&[BOB]);
        envelope.require_tls = require_tls;
        let accepted = self.world.submit(envelope, text).await.unwrap();
        self.world.run().await;
        accepted
    }

    fn delivered(&self) -> usize {
        self.mx.recipients().len()
    }

    /// Results reported since the last call.
    fn results(&self) -> Vec<(PolicyType, TlsResult)> {
        let outcomes = std::mem::take(&mut *self.elsewhere.outcomes.lock().unwrap());
        outcomes.iter().map(|outcome| (outcome.policy_type, outcome.result)).collect()
    }

    /// The policy of the last attempt, and why it was deferred, if it was.
    async fn told(&self, accepted: &Accepted) -> (TlsPolicySeen, Option<String>) {
        let steps = self.world.events(accepted.journey).await;
        let attempted = steps.iter().rev().find_map(|step| match step {
            Step::Attempted { tls_policy, recipients, .. } => {
                Some((tls_policy.clone().expect("a policy"), recipients[0].outcome.clone()))
            }
            _ => None,
        });
        let (policy, outcome) = attempted.expect("an attempt");
        let reason = match outcome {
            Outcome::Deferred { reason, .. } | Outcome::Failed { reason, .. } => Some(reason),
            Outcome::Delivered { .. } => None,
        };
        (policy, reason)
    }

    /// The message waits, nothing was sent, and the reason says these words.
    async fn waits(&self, accepted: &Accepted, policy: TlsPolicyKind, words: &[&str]) {
        assert_eq!(self.delivered(), 0);
        assert_eq!(self.world.queue_len().await, 1);
        let (seen, reason) = self.told(accepted).await;
        assert_eq!((seen.policy, seen.verified), (policy, false));
        let queued = self.world.store.queue(None, 1).await.unwrap()[0].last_reason.clone();
        let reason = reason.expect("a reason");
        for word in words {
            assert!(reason.contains(word) && queued.contains(word), "{word}: {reason} / {queued}");
        }
    }
}

use PolicyType::{NoPolicyFound, Sts as StsType, Tlsa};

#[tokio::test]
async fn a_host_that_fits_its_records_gets_the_message() {
    let scene = Scene::dane(&format!("3 1 1 {DIGEST}")).await;
    scene.shows(PlayedTls::Dane);
    let accepted = scene.send().await;
    assert_eq!(scene.delivered(), 1);
    let (seen, _) = scene.told(&accepted).await;
    assert_eq!(seen, TlsPolicySeen { policy: TlsPolicyKind::Dane, verified: true, note: None });
    let outcomes = scene.elsewhere.outcomes.lock().unwrap().clone();
    let [outcome] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!((outcome.policy_type, outcome.result), (Tlsa, TlsResult::Success));
    assert_eq!(outcome.policy_strings, [format!("3 1 1 {DIGEST}")]);
    assert_eq!((&*outcome.policy_domain, outcome.mx_host.as_deref()), ("wing.example", Some(HOST)));
    assert_eq!(outcome.receiving_ip.unwrap().to_string(), WING);
    // RFC 7672 §3.2.2: the host first, then the domain whose MX names it.
    let handshakes = scene.world.net.handshakes.lock().unwrap().clone();
    let [(name, Verify::Dane(dane))] = handshakes.as_slice() else { panic!("{handshakes:?}") };
    assert_eq!((&**name, dane.base()), (HOST, HOST));
}

#[tokio::test]
async fn a_host_that_does_not_fit_its_records_gets_nothing_not_even_in_clear() {
    let scene = Scene::dane(&format!("2 0 1 {DIGEST}")).await;
    for (tls, result) in [
        (PlayedTls::Verified, TlsResult::CertificateNotTrusted),
        (PlayedTls::Unverified, TlsResult::CertificateNotTrusted),
        (PlayedTls::Fails, TlsResult::ValidationFailure),
    ] {
        scene.shows(tls);
        let before = scene.world.net.connections();
        let accepted = scene.send().await;
        let words = ["DANE demands TLS", "_25._tcp.mx.wing.example", "postmaster"];
        scene.waits(&accepted, TlsPolicyKind::Dane, &words).await;
        assert_eq!(scene.results(), [(Tlsa, result)]);
        assert_eq!(scene.world.net.connections(), before + 1, "no second try in clear");
        scene.world.execute("DELETE FROM queue");
    }
}

#[tokio::test]
async fn a_server_stripped_of_starttls_gets_nothing_under_dane() {
    let scene = Scene::dane(&format!("3 1 1 {DIGEST}")).await;
    scene.mx.without_starttls();
    let accepted = scene.send().await;
    scene.waits(&accepted, TlsPolicyKind::Dane, &["does not offer it", "DANE demands"]).await;
    assert_eq!(scene.results(), [(Tlsa, TlsResult::StarttlsNotSupported)]);
    // It bounces only at expiry, and says why.
    scene.world.run_to_the_end().await;
    let steps = scene.world.events(accepted.journey).await;
    let Some(Step::Bounced { status, reason, .. }) = steps.last() else { panic!("{steps:?}") };
    assert!(status == "5.4.7" && reason.contains("DANE demands"), "{status} {reason}");
    assert_eq!(scene.delivered(), 0);
}

#[tokio::test]
async fn a_server_that_refuses_starttls_gets_nothing_under_dane() {
    let scene = Scene::dane(&format!("3 1 1 {DIGEST}")).await;
    scene.world.net.serve(
        WING,
        scripted(|line| match line.split_whitespace().next()? {
            CONNECTED => Some("220 mx.wing.example ESMTP\r\n"),
            "EHLO" => Some("250-mx.wing.example\r\n250 STARTTLS\r\n"),
            "STARTTLS" => Some("454 4.7.0 TLS is out today\r\n"),
            "QUIT" => Some("221 bye\r\n"),
            other => panic!("{other} in clear"),
        }),
    );
    let accepted = scene.send().await;
    scene.waits(&accepted, TlsPolicyKind::Dane, &["TLS is out today", "DANE demands"]).await;
    assert_eq!(scene.results(), [(Tlsa, TlsResult::StarttlsNotSupported)]);
}

#[tokio::test]
async fn unusable_records_demand_tls_but_authenticate_nobody() {
    // RFC 7672 §2.2 and §3.1.3.
    let scene = Scene::dane(&format!("1 1 1 {DIGEST}")).await;
    scene.shows(PlayedTls::Unverified);
    let accepted = scene.send().await;
    assert_eq!(scene.delivered(), 1);
    let (seen, _) = scene.told(&accepted).await;
    assert_eq!((seen.policy, seen.verified), (TlsPolicyKind::Dane, false));
    assert!(seen.note.unwrap().contains("usable"));
    assert_eq!(scene.results(), [(Tlsa, TlsResult::TlsaInvalid)]);
    scene.world.clock.advance(Duration::from_secs(60));
    scene.mx.without_starttls();
    scene.send().await;
    assert_eq!((scene.delivered(), scene.world.queue_len().await), (1, 1), "never in clear");
}

#[tokio::test]
async fn unusable_records_do_not_weaken_an_enforced_policy() {
    let records =
        format!("_25._tcp.mx.wing TLSA 1 1 1 {DIGEST}\n_mta-sts.wing TXT \"v=STSv1; id=1\"\n");
    let scene = Scene::new(&records).await;
    scene.world.zone.sign("example");
    scene.policy("enforce", HOST);
    scene.shows(PlayedTls::Unverified);
    let accepted = scene.send().await;
    scene.waits(&accepted, TlsPolicyKind::MtaSts, &["MTA-STS"]).await;
}

#[tokio::test]
async fn unsigned_records_are_not_looked_at() {
    let scene = Scene::new(&format!("_25._tcp.mx.wing TLSA 3 1 1 {DIGEST}\n")).await;
    let accepted = scene.send().await;
    assert_eq!(scene.delivered(), 1);
    let (seen, _) = scene.told(&accepted).await;
    assert_eq!(seen.policy, TlsPolicyKind::None);
    assert_eq!(scene.results(), [(NoPolicyFound, TlsResult::Success)]);
    assert!(scene.world.zone.asked().iter().all(|(_, kind)| *kind != RecordType::Tlsa));
    // Nor when only a part of the way is signed.
    for signed in ["wing.example", "other.test"] {
        let scene = Scene::new("").await;
        let elsewhere = "@ MX 10 mx.other.test.\n";
        scene.world.zone.insert(Zone::parse("wing.example", elsewhere).unwrap());
        let other = format!("mx A {WING}\n_25._tcp.mx TLSA 3 1 1 {DIGEST}\n");
        scene.world.zone.insert(Zone::parse("other.test", &other).unwrap());
        scene.world.zone.sign(signed);
        scene.send().await;
        assert_eq!(scene.delivered(), 1);
        assert_eq!(scene.results(), [(NoPolicyFound, TlsResult::Success)]);
    }
}

#[tokio::test]
async fn a_signed_host_without_records_is_as_any_other() {
    let scene = Scene::new("").await;
    scene.world.zone.sign("example");
    scene.mx.without_starttls();
    scene.send().await;
    assert_eq!(scene.delivered(), 1);
    assert_eq!(scene.results(), [(NoPolicyFound, TlsResult::StarttlsNotSupported)]);
}

#[tokio::test]
async fn records_that_cannot_be_looked_up_leave_the_host_out() {
    for (error, result) in [
        (LookupError::Bogus, TlsResult::DnssecInvalid),
        (waxwing_dns::Temporary::ServFail.into(), TlsResult::TlsaInvalid),
        (waxwing_dns::Temporary::Timeout.into(), TlsResult::TlsaInvalid),
    ] {
        let scene = Scene::new("").await;
        scene.world.zone.sign("example");
        scene.world.zone.fail("_25._tcp.mx.wing.example", RecordType::Tlsa, error);
        let accepted = scene.send().await;
        scene.waits(&accepted, TlsPolicyKind::Dane, &["cannot be looked up", "name servers"]).await;
        assert_eq!(scene.results(), [(Tlsa, result)]);
        assert_eq!(scene.world.net.connections(), 0);
    }
}

#[tokio::test]
async fn the_next_host_is_tried_when_the_first_does_not_comply() {
    let records = format!(
        "wing MX 20 mx2.wing\nmx2.wing A 192.0.2.2\n_25._tcp.mx.wing TLSA 3 1 1 {DIGEST}\n_25._tcp.mx2.wing TLSA 3 1 1 {DIGEST}\n"
    );
    let scene = Scene::new(&records).await;
    scene.world.zone.sign("example");
    let second = Mx::new("mx2.wing.example");
    scene.world.net.serve("192.0.2.2", second.peer());
    scene.world.net.tls("mx2.wing.example", PlayedTls::Dane);
    scene.send().await;
    assert_eq!((scene.delivered(), second.recipients().len()), (0, 1));
    assert_eq!(
        scene.results(),
        [(Tlsa, TlsResult::CertificateNotTrusted), (Tlsa, TlsResult::Success)]
    );
}

#[tokio::test]
async fn an_alias_has_its_records_at_its_end_or_at_its_beginning() {
    // RFC 7672 §2.2.2.
    let zone = |at: &str| {
        format!(
            "wing MX 10 mx.wing\nmx.wing CNAME real.wing\nreal.wing A {WING}\n_25._tcp.{at} TLSA 3 1 1 {DIGEST}\n"
        )
    };
    for (at, base) in [("real.wing", "real.wing.example"), ("mx.wing", HOST)] {
        let scene = Scene::new("").await;
        scene.zone(&zone(at));
        scene.world.zone.sign("example");
        scene.world.net.tls(base, PlayedTls::Dane);
        scene.send().await;
        assert_eq!(scene.delivered(), 1);
        assert_eq!(scene.world.net.handshakes.lock().unwrap()[0].0, base, "SNI is the base");
    }
    // An alias that is signed and leads where nothing is: only its own name counts.
    let scene = Scene::new("").await;
    let records = format!(
        "wing MX 10 mx.wing\nmx.wing CNAME real.other.test.\n_25._tcp.mx.wing TLSA 3 1 1 {DIGEST}\n"
    );
    scene.zone(&records);
    let other = format!("real A {WING}\n_25._tcp.real TLSA 3 1 1 {DIGEST}\n");
    scene.world.zone.insert(Zone::parse("other.test", &other).unwrap());
    scene.world.zone.sign("example");
    scene.shows(PlayedTls::Dane);
    scene.send().await;
    assert_eq!(scene.delivered(), 1);
    assert_eq!(scene.world.net.handshakes.lock().unwrap()[0].0, HOST);
}

#[tokio::test]
async fn a_connection_made_under_a_rule_serves_that_rule() {
    let scene = Scene::dane(&format!("3 1 1 {DIGEST}")).await;
    scene.shows(PlayedTls::Dane);
    scene.send().await;
    scene.send().await;
    assert_eq!((scene.delivered(), scene.world.net.connections()), (2, 1));
    // Other records: another connection.
    let other = DIGEST.replace('e', "f");
    scene.zone(&format!(
        "wing MX 10 mx.wing\nmx.wing A {WING}\n_25._tcp.mx.wing TLSA 3 1 1 {other}\n"
    ));
    scene.send().await;
    assert_eq!((scene.delivered(), scene.world.net.connections()), (3, 2));
    assert_eq!(scene.results().len(), 2, "one for each session, not for each message");
}

#[tokio::test]
async fn a_policy_that_is_met_is_shown_and_reported() {
    let scene = Scene::sts("enforce", "*.wing.example").await;
    scene.shows(PlayedTls::Verified);
    let accepted = scene.send().await;
    assert_eq!(scene.delivered(), 1);
    let (seen, _) = scene.told(&accepted).await;
    assert_eq!(seen, TlsPolicySeen { policy: TlsPolicyKind::MtaSts, verified: true, note: None });
    let outcomes = scene.elsewhere.outcomes.lock().unwrap().clone();
    assert_eq!((outcomes[0].policy_type, outcomes[0].result), (StsType, TlsResult::Success));
    assert_eq!(outcomes[0].mx_patterns, ["*.wing.example"]);
    assert_eq!(outcomes[0].policy_strings[1], "mode: enforce");
    assert_eq!(*scene.elsewhere.fetched.lock().unwrap(), ["wing.example"]);
}

#[tokio::test]
async fn an_enforced_policy_is_never_got_round() {
    let scene = Scene::sts("enforce", HOST).await;
    for (tls, result) in [
        (PlayedTls::Unverified, TlsResult::CertificateHostMismatch),
        (PlayedTls::Dane, TlsResult::CertificateHostMismatch),
        (PlayedTls::Fails, TlsResult::ValidationFailure),
    ] {
        scene.shows(tls);
        let accepted = scene.send().await;
        let words = ["MTA-STS policy of wing.example demands TLS", HOST, "postmaster"];
        scene.waits(&accepted, TlsPolicyKind::MtaSts, &words).await;
        assert_eq!(scene.results(), [(StsType, result)]);
        scene.world.execute("DELETE FROM queue");
    }
    scene.mx.without_starttls();
    let accepted = scene.send().await;
    scene.waits(&accepted, TlsPolicyKind::MtaSts, &["does not offer it", "MTA-STS"]).await;
    assert_eq!(scene.results(), [(StsType, TlsResult::StarttlsNotSupported)]);
    // Mended, it goes.
    scene.mx.set(|settings| settings.starttls = StartTls::Offered);
    scene.shows(PlayedTls::Verified);
    scene.world.run_to_the_end().await;
    assert_eq!(scene.delivered(), 1);
}

#[tokio::test]
async fn a_host_that_the_policy_does_not_name_is_not_even_called() {
    let scene = Scene::sts("enforce", "mx.other.example").await;
    scene.shows(PlayedTls::Verified);
    let accepted = scene.send().await;
    let words = ["does not name mx.wing.example", "mx.other.example"];
    scene.waits(&accepted, TlsPolicyKind::MtaSts, &words).await;
    assert_eq!(scene.world.net.connections(), 0);
    assert_eq!(scene.results(), [(StsType, TlsResult::ValidationFailure)]);
    // RFC 8461 §5.1: a new policy is looked for before it can bounce.
    scene.policy("enforce", HOST);
    scene.zone(&format!(
        "wing MX 10 mx.wing\nmx.wing A {WING}\n_mta-sts.wing TXT \"v=STSv1; id=2\"\n"
    ));
    scene.world.run_to_the_end().await;
    assert_eq!(scene.delivered(), 1);
}

#[tokio::test]
async fn in_testing_everything_is_sent_and_what_fails_is_reported() {
    for (tls, mx, result, verified) in [
        (PlayedTls::Verified, HOST, TlsResult::Success, true),
        (PlayedTls::Unverified, HOST, TlsResult::CertificateHostMismatch, false),
        (PlayedTls::Verified, "mx.other.example", TlsResult::ValidationFailure, false),
        (PlayedTls::Fails, HOST, TlsResult::ValidationFailure, false),
    ] {
        let scene = Scene::sts("testing", mx).await;
        scene.shows(tls);
        let accepted = scene.send().await;
        assert_eq!(scene.delivered(), 1);
        assert_eq!(scene.results(), [(StsType, result)]);
        let (seen, _) = scene.told(&accepted).await;
        assert_eq!((seen.policy, seen.verified), (TlsPolicyKind::MtaSts, verified));
        assert!(seen.note.unwrap().starts_with("testing"));
    }
    let scene = Scene::sts("testing", HOST).await;
    scene.mx.without_starttls();
    scene.send().await;
    assert_eq!(scene.delivered(), 1);
    assert_eq!(scene.results(), [(StsType, TlsResult::StarttlsNotSupported)]);
}

#[tokio::test]
async fn mode_none_is_no_policy() {
    let scene = Scene::sts("none", "mx.other.example").await;
    scene.mx.without_starttls();
    scene.send().await;
    assert_eq!(scene.delivered(), 1);
    assert_eq!(scene.results(), [(NoPolicyFound, TlsResult::StarttlsNotSupported)]);
}

#[tokio::test]
async fn a_policy_that_cannot_be_fetched_counts_only_while_one_is_kept() {
    let scene = Scene::sts("enforce", HOST).await;
    *scene.elsewhere.file.lock().unwrap() = None;
    scene.send().await;
    assert_eq!(scene.delivered(), 1, "none was ever known");
    assert_eq!(
        scene.results(),
        [(StsType, TlsResult::StsPolicyFetchError), (NoPolicyFound, TlsResult::Success)]
    );
    scene.world.clock.advance(Duration::from_secs(600));
    scene.policy("enforce", HOST);
    scene.shows(PlayedTls::Verified);
    scene.send().await;
    assert_eq!((scene.delivered(), scene.results()), (2, vec![(StsType, TlsResult::Success)]));
    // Away again, under a new id: the kept one is enforced.
    *scene.elsewhere.file.lock().unwrap() = None;
    scene.zone(&format!(
        "wing MX 10 mx.wing\nmx.wing A {WING}\n_mta-sts.wing TXT \"v=STSv1; id=2\"\n"
    ));
    scene.world.clock.advance(Duration::from_secs(3600));
    scene.shows(PlayedTls::Unverified);
    scene.send().await;
    assert_eq!((scene.delivered(), scene.world.queue_len().await), (2, 1));
    assert_eq!(
        scene.results(),
        [(StsType, TlsResult::StsPolicyFetchError), (StsType, TlsResult::CertificateHostMismatch)]
    );
    scene.world.execute("DELETE FROM queue");
    // Eight days later it has run out.
    scene.world.clock.advance(Duration::from_secs(8 * 24 * 3600));
    scene.send().await;
    assert_eq!(scene.delivered(), 3);
}

#[tokio::test]
async fn a_policy_protects_other_nodes_and_after_a_restart() {
    let scene = Scene::sts("enforce", HOST).await;
    scene.shows(PlayedTls::Verified);
    scene.send().await;
    assert_eq!(scene.delivered(), 1);
    // Started again, as nobody serves the file or the record, and somebody else's server answers.
    *scene.elsewhere.file.lock().unwrap() = None;
    scene.zone(&format!("wing MX 10 mx.wing\nmx.wing A {WING}\n"));
    scene.shows(PlayedTls::Unverified);
    let accepted = scene.world.submit(from_alice(&[BOB]), LETTER).await.unwrap();
    let runner = scene.world.another_runner(|store| scene.elsewhere.rules(store)).await;
    runner.run_due().await.unwrap();
    assert_eq!((scene.delivered(), scene.world.queue_len().await), (1, 1));
    let (seen, reason) = scene.told(&accepted).await;
    assert_eq!(seen.policy, TlsPolicyKind::MtaSts);
    assert!(reason.unwrap().contains("MTA-STS policy of wing.example"));
    assert_eq!(scene.elsewhere.fetched.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn mail_waits_while_nobody_can_say_whether_a_policy_is_kept() {
    let scene = Scene::sts("enforce", HOST).await;
    scene.world.execute("ALTER TABLE sts_policies RENAME TO away");
    scene.send().await;
    assert_eq!((scene.delivered(), scene.world.queue_len().await), (0, 1));
    scene.world.execute("ALTER TABLE away RENAME TO sts_policies");
    scene.shows(PlayedTls::Verified);
    scene.world.run_to_the_end().await;
    assert_eq!(scene.delivered(), 1);
}

#[tokio::test]
async fn dane_goes_before_mta_sts() {
    // RFC 8461 §2: a policy that is met does not make up for records that are not.
    let records =
        format!("_25._tcp.mx.wing TLSA 3 1 1 {DIGEST}\n_mta-sts.wing TXT \"v=STSv1; id=1\"\n");
    let scene = Scene::new(&records).await;
    scene.world.zone.sign("example");
    scene.policy("enforce", HOST);
    scene.shows(PlayedTls::Verified);
    let accepted = scene.send().await;
    scene.waits(&accepted, TlsPolicyKind::Dane, &["DANE demands"]).await;
    scene.shows(PlayedTls::Dane);
    scene.world.run_to_the_end().await;
    assert_eq!(scene.delivered(), 1);
}

#[tokio::test]
async fn requiretls_is_satisfied_by_dane_or_by_an_enforced_policy() {
    let dane = Scene::dane(&format!("3 1 1 {DIGEST}")).await;
    dane.shows(PlayedTls::Dane);
    dane.send_letter(LETTER, true).await;
    assert_eq!(dane.delivered(), 1);
    let sts = Scene::sts("enforce", HOST).await;
    sts.shows(PlayedTls::Verified);
    sts.send_letter(LETTER, true).await;
    assert_eq!(sts.delivered(), 1);
    assert!(sts.mx.taken.lock().unwrap()[0].0.require_tls);
    // Records that authenticate nobody are not enough for it.
    let unusable = Scene::dane(&format!("1 1 1 {DIGEST}")).await;
    unusable.shows(PlayedTls::Unverified);
    unusable.send_letter(LETTER, true).await;
    assert_eq!(unusable.delivered(), 0);
    unusable.shows(PlayedTls::Verified);
    unusable.world.run_to_the_end().await;
    assert_eq!(unusable.delivered(), 1);
}

#[tokio::test]
async fn requiretls_is_not_satisfied_by_testing_and_waits_for_a_policy_that_is_away() {
    let testing = Scene::sts("testing", HOST).await;
    testing.shows(PlayedTls::Verified);
    let accepted = testing.send_letter(LETTER, true).await;
    let steps = testing.world.events(accepted.journey).await;
    let Some(Step::Bounced { status, .. }) = steps.last() else { panic!("{steps:?}") };
    assert_eq!((&**status, testing.delivered()), ("5.7.10", 0));
    let away = Scene::sts("enforce", HOST).await;
    *away.elsewhere.file.lock().unwrap() = None;
    away.shows(PlayedTls::Verified);
    away.send_letter(LETTER, true).await;
    assert_eq!((away.delivered(), away.world.queue_len().await), (0, 1));
    away.policy("enforce", HOST);
    away.world.run_to_the_end().await;
    assert_eq!(away.delivered(), 1);
}

#[tokio::test]
async fn requiretls_goes_on_to_the_host_that_offers_it() {
    // RFC 8689 §4.2.1.
    let scene = Scene::new("wing MX 20 mx2.wing\nmx2.wing A 192.0.2.2\n").await;
    scene.world.zone.sign("example");
    scene.shows(PlayedTls::Verified);
    scene.mx.set(|settings| settings.extensions.require_tls = false);
    let second = Mx::new("mx2.wing.example");
    scene.world.net.serve("192.0.2.2", second.peer());
    scene.world.net.tls("mx2.wing.example", PlayedTls::Verified);
    scene.send_letter(LETTER, true).await;
    assert_eq!((scene.delivered(), second.recipients().len()), (0, 1));
    second.set(|settings| settings.extensions.require_tls = false);
    scene.world.clock.advance(Duration::from_secs(60));
    let accepted = scene.send_letter(LETTER, true).await;
    let steps = scene.world.events(accepted.journey).await;
    let Some(Step::Bounced { status, .. }) = steps.last() else { panic!("{steps:?}") };
    assert_eq!(status, "5.7.30");
}

#[tokio::test]
async fn a_sender_may_waive_the_policies() {
    // RFC 8689 §3.
    let waiver = format!("TLS-Required: No\r\n{LETTER}");
    let scene = Scene::sts("enforce", "mx.other.example").await;
    scene.shows(PlayedTls::Fails);
    let accepted = scene.send_letter(&waiver, false).await;
    assert_eq!(scene.delivered(), 1);
    let (seen, _) = scene.told(&accepted).await;
    assert!(seen.note.unwrap().contains("TLS-Required: No"));
    let scene = Scene::dane(&format!("3 1 1 {DIGEST}")).await;
    scene.send_letter(&waiver, false).await;
    assert_eq!(scene.delivered(), 1);
    // REQUIRETLS goes before it.
    let scene = Scene::dane(&format!("3 1 1 {DIGEST}")).await;
    scene.send_letter(&waiver, true).await;
    assert_eq!(scene.delivered(), 0);
}

#[tokio::test]
async fn a_relay_has_the_policy_of_its_own_name() {
    // RFC 8461 §3.4.
    let relay = |tls| Relay {
        host: HOST.to_owned(),
        port: 25,
        tls,
        implicit_tls: false,
        credentials: None,
    };
    let records = "_mta-sts.mx.wing TXT \"v=STSv1; id=1\"\n";
    let open = Scene::with(records, |policy| {
        policy.smarthost = Some(relay(TlsPolicy::Opportunistic));
    })
    .await;
    open.policy("enforce", HOST);
    let accepted = open.send().await;
    open.waits(&accepted, TlsPolicyKind::MtaSts, &["policy of mx.wing.example"]).await;
    // One of which TLS is demanded anyway is asked for nothing more.
    let strict =
        Scene::with(records, |policy| policy.smarthost = Some(relay(TlsPolicy::Required))).await;
    strict.shows(PlayedTls::Verified);
    strict.send().await;
    assert_eq!(strict.delivered(), 1);
    assert!(strict.elsewhere.fetched.lock().unwrap().is_empty());
}

/// RFC 8689 §5: a report asks for what its message asked, but is not lost where that is not to be had.
#[tokio::test]
async fn a_report_is_not_lost_for_want_of_requiretls() {
    let report = |scene: &Scene| {
        let mut envelope = from_alice(&[BOB]);
        (envelope.reverse_path, envelope.require_tls) = (ReversePath::Null, true);
        scene.world.clock.advance(Duration::from_secs(60));
        envelope
    };
    let sent = async |scene: &Scene| {
        scene.world.submit(report(scene), LETTER).await.unwrap();
        scene.world.run().await;
        scene.mx.taken.lock().unwrap().last().map(|(envelope, _)| envelope.require_tls)
    };
    // The exchangers are not signed, and there is no policy.
    let scene = Scene::new("").await;
    scene.shows(PlayedTls::Verified);
    assert_eq!(sent(&scene).await, Some(false));
    // They are, and the host offers it.
    scene.world.zone.sign("example");
    assert_eq!(sent(&scene).await, Some(true));
    // The host does not.
    scene.mx.set(|settings| settings.extensions.require_tls = false);
    assert_eq!(sent(&scene).await, Some(false));
    assert_eq!(scene.delivered(), 3);
}
