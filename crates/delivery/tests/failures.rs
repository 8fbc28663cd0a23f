//! Failure reports (RFC 9991): told to whom the record names, of what it asks for, redacted, counted,
//! bounded, and never in answer to reports.

mod world;

use std::sync::Arc;
use std::time::Duration;

use waxwing_delivery::reports::Reporter;
use waxwing_delivery::{Dice, Policy, VirtualClock};
use waxwing_dns::{FakeZone, Zone};
use waxwing_mailauth::report::failure::{AuthFailure, DeliveryResult, FailureReport, Mechanism};
use waxwing_mailauth::report::{Received, recognise};
use waxwing_message::{Message, ReversePath};
use world::peers::{Mx, Posts};
use world::*;

struct Scene {
    world: World,
    reporter: Reporter<Arc<FakeZone>, Arc<VirtualClock>>,
    mx: Arc<Mx>,
}

fn choose(policy: &mut Policy) {
    policy.judging.examine = true;
    policy.reports.failures = true;
}

impl Scene {
    /// bank.test publishes this record, and takes mail at mx.bank.test.
    async fn new(record: &str) -> Scene {
        Scene::with(record, choose).await
    }

    async fn with(record: &str, choose: fn(&mut Policy)) -> Scene {
        let world = World::with(choose).await;
        let mut policy = Policy::new("mx.wax.test");
        choose(&mut policy);
        let reporter = Reporter::new(
            world.store.clone(),
            Arc::new(policy),
            world.clock.clone(),
            Arc::new(Dice::new()),
            world.zone.clone(),
            Arc::new(Posts::default()),
        );
        let mx = Mx::new("mx.bank.test");
        world.net.serve("192.0.2.50", mx.peer());
        let scene = Scene { world, reporter, mx };
        scene.record(record);
        scene
    }

    fn record(&self, record: &str) {
        self.zone(
            "bank.test",
            &format!(
                "@ TXT \"v=spf1 ip4:192.0.2.200 -all\"\n@ MX 10 mx\nmx A 192.0.2.50\n\
                 _dmarc TXT \"v=DMARC1; p=none; {record}\"\n\
                 other TXT \"v=spf1 -all\"\n"
            ),
        );
    }

    fn zone(&self, apex: &str, text: &str) {
        self.world.zone.insert(Zone::parse(apex, text).unwrap());
    }

    /// A message under the bank's name, under this reverse-path.
    async fn receive(&self, reverse_path: &str, more: &str) {
        let text = format!(
            "Received: from client.example by relay.example for <carol@wax.test>; Thu, 1 Jan 2026 00:00:00 +0000\r\n\
             From: The Bank <news@bank.test>\r\nTo: Alice Archer <alice@wax.test>\r\n\
             Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@elsewhere.test>\r\n\
             Subject: your account\r\n{more}\r\nHello, Alice.\r\n"
        );
        let _ = self.world.receive(from(reverse_path, &["alice@wax.test"]), &text).await;
    }

    /// One that fails DMARC.
    async fn forge(&self) {
        self.receive("eve@two.example", "").await;
    }

    /// What is told an hour later.
    async fn told(&self) -> Vec<String> {
        self.world.clock.advance(Duration::from_secs(3601));
        let told = self.reporter.tell_failures().await.unwrap();
        told.iter().map(ToString::to_string).collect()
    }

    /// The one report that arrived at the bank.
    async fn arrived(&self) -> (String, FailureReport) {
        self.world.run_to_the_end().await;
        let taken = self.mx.taken.lock().unwrap().clone();
        let [(envelope, text)] = &taken[..] else { panic!("{taken:?}") };
        assert_eq!(envelope.reverse_path, ReversePath::Null);
        match recognise(&Message::parse(text.as_bytes())) {
            Some(Ok(Received::Failure(report))) => (text.clone(), report),
            other => panic!("{other:?} in {text}"),
        }
    }
}

const RUF: &str = "ruf=mailto:fail@bank.test";

#[tokio::test]
async fn a_forgery_is_told_with_what_failed_and_without_who_reads_here() {
    let scene = Scene::new(RUF).await;
    scene.forge().await;
    // Nothing leaves before the hour: what is alike is collected.
    assert!(scene.reporter.tell_failures().await.unwrap().is_empty());
    assert_eq!(scene.told().await, ["fail@bank.test"]);
    let (text, report) = scene.arrived().await;
    assert_eq!(report.feedback_type, "auth-failure");
    assert_eq!(report.auth_failure, Some(AuthFailure::Dmarc));
    assert_eq!(report.identity_alignment, Some(vec![Mechanism::Dkim, Mechanism::Spf]));
    assert_eq!(report.reported_domain.as_deref(), Some("bank.test"));
    assert_eq!(report.source_ip.unwrap().to_string(), "192.0.2.200");
    assert_eq!(report.original_mail_from.as_deref(), Some("eve@two.example"));
    assert_eq!(report.incidents, None);
    assert!(report.authentication_results[0].contains("dmarc=fail"));
    assert!(matches!(
        report.delivery_result,
        Some(DeliveryResult::Delivered | DeliveryResult::Spam)
    ));
    let original = String::from_utf8(report.original).unwrap();
    assert!(original.contains("Subject: your account"), "{original}");
    // RFC 9991 §7: neither text nor readers.
    for secret in ["Hello, Alice", "alice@", "Archer", "carol@"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(scene.told().await.is_empty(), "once");
}

#[tokio::test]
async fn it_is_off_by_default_and_for_those_who_do_not_ask() {
    let off = Scene::with(RUF, |policy| policy.judging.examine = true).await;
    off.forge().await;
    assert!(off.told().await.is_empty());
    for record in ["rua=mailto:d@bank.test", &format!("{RUF}; psd=y")] {
        let scene = Scene::new(record).await;
        scene.forge().await;
        assert!(scene.told().await.is_empty(), "{record}");
    }
    // Who asks no more when it is to be sent is not told.
    let scene = Scene::new(RUF).await;
    scene.forge().await;
    scene.record("rua=mailto:d@bank.test");
    assert!(scene.told().await.is_empty());
    scene.record(RUF);
    assert!(scene.told().await.is_empty(), "and it is forgotten");
}

#[tokio::test]
async fn fo_says_which_failures_are_told() {
    // Passes by SPF alone; fails by both; a signature that does not verify; SPF that fails.
    let broken =
        "DKIM-Signature: v=1; a=rsa-sha256; d=two.example; s=x; h=From; bh=AAAA; b=AAAA\r\n";
    for (fo, path, more, failure) in [
        ("0", "news@bank.test", "", None),
        ("1", "news@bank.test", "", Some(AuthFailure::Dmarc)),
        ("1:d:s", "news@bank.test", "", Some(AuthFailure::Dmarc)),
        ("x", "news@bank.test", "", None),
        ("d", "news@bank.test", "", None),
        ("d", "news@bank.test", broken, Some(AuthFailure::Signature)),
        ("0", "news@bank.test", broken, None),
        ("d", "eve@two.example", "", None),
        ("s", "news@bank.test", broken, None),
        ("s", "eve@other.bank.test", "", Some(AuthFailure::Spf)),
        ("0", "eve@other.bank.test", "", Some(AuthFailure::Dmarc)),
    ] {
        let scene = Scene::new(&format!("{RUF}; fo={fo}")).await;
        scene.receive(path, more).await;
        let told = scene.told().await;
        assert_eq!(told.len(), usize::from(failure.is_some()), "fo={fo} {path} {more}");
        if failure.is_some() {
            let (_, report) = scene.arrived().await;
            assert_eq!(report.auth_failure, failure, "fo={fo} {path} {more}");
            if failure == Some(AuthFailure::Spf) {
                let record = "txt : other.bank.test : \"v=spf1 -all\"";
                assert_eq!(report.spf_dns.as_deref(), Some(record));
            }
            if failure == Some(AuthFailure::Signature) {
                assert_eq!(report.dkim_domain.as_deref(), Some("two.example"));
                assert_eq!(report.dkim_selector.as_deref(), Some("x"));
            }
        }
    }
}

#[tokio::test]
async fn what_is_alike_is_one_report_that_counts() {
    let scene = Scene::new(RUF).await;
    for _ in 0..25 {
        scene.forge().await;
    }
    assert_eq!(scene.told().await.len(), 1);
    let (_, report) = scene.arrived().await;
    assert_eq!(report.incidents, Some(25));
}

#[tokio::test]
async fn a_flood_of_forgeries_makes_few_reports() {
    let scene = Scene::new(RUF).await;
    for number in 0..60 {
        scene.receive(&format!("eve@d{number}.example"), "").await;
    }
    assert_eq!(scene.told().await.len(), 20);
}

#[tokio::test]
async fn nothing_is_told_of_reports() {
    let scene = Scene::new(RUF).await;
    scene.receive("", "").await;
    let kind = "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n";
    scene.receive("eve@two.example", kind).await;
    let aggregate = "Content-Type: application/gzip; name=\"x!bank.test!1!2.xml.gz\"\r\n";
    scene.receive("eve@two.example", aggregate).await;
    assert!(scene.told().await.is_empty());
}

#[tokio::test]
async fn a_host_elsewhere_must_agree() {
    let scene = Scene::new("ruf=mailto:bank@reports.example").await;
    let name = "bank.test._report._dmarc.reports.example";
    scene.forge().await;
    assert!(scene.told().await.is_empty());
    // RFC 9991 §5: the tag is `ruf`; and while the DNS cannot say it waits.
    scene.forge().await;
    scene.world.zone.time_out(name);
    assert!(scene.told().await.is_empty());
    scene.world.zone.mend(name);
    scene.zone(
        name,
        "@ TXT \"v=DMARC1; rua=mailto:no@reports.example; ruf=mailto:yes@reports.example\"\n",
    );
    assert_eq!(scene.told().await, ["yes@reports.example"]);
    // Not for ever.
    scene.forge().await;
    scene.world.zone.time_out(name);
    for _ in 0..7 {
        assert!(scene.told().await.is_empty());
    }
    scene.world.zone.mend(name);
    assert!(scene.told().await.is_empty());
}
