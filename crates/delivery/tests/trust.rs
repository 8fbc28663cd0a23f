//! Who really sent it: what is observed of mail from elsewhere, how it is judged, and how we vouch
//! for what leaves.

mod world;

use waxwing_delivery::learn::learn_some;
use waxwing_dns::Zone;
use waxwing_filter::spam::evidence::ListKind;
use waxwing_filter::spam::verdict::{Blocklist, Override, Treatment};
use waxwing_mailauth::arc::ChainStatus;
use waxwing_mailauth::dkim::{self, DkimResult};
use waxwing_mailauth::key::{Algorithm, SigningKey};
use waxwing_message::journey::{Check, Reason, Step, Verdict};
use waxwing_message::{JourneyId, ReversePath};
use waxwing_store::{NewSigningKey, ReportKind, Role, SigningAlgorithm, SigningKeyState, day_of};
use world::peers::Mx;
use world::*;

/// Our world with examination on, and a bank that says who may send for it.
async fn examining() -> World {
    let world = World::with(|policy| policy.judging.examine = true).await;
    let zone = |apex: &str, text: &str| world.zone.insert(Zone::parse(apex, text).unwrap());
    zone(
        "bank.test",
        "@ TXT \"v=spf1 ip4:192.0.2.200 -all\"\n\
         _dmarc TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@bank.test\"\n",
    );
    zone(
        "shop.test",
        "@ TXT \"v=spf1 ip4:203.0.113.9 ~all\"\n_dmarc TXT \"v=DMARC1; p=quarantine\"\n",
    );
    zone("2.0.192.in-addr.arpa", "200 PTR client.example.\n");
    world
}

fn letter(from: &str) -> String {
    format!(
        "From: {from}\r\nTo: alice@wax.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         Message-ID: <1@elsewhere.test>\r\nSubject: hello\r\n\r\nHello, Alice.\r\n"
    )
}

async fn junk(world: &World) -> Vec<String> {
    world.mailbox(world.alice, "Junk").await
}

async fn judged(world: &World, journey: JourneyId) -> Verdict {
    let steps = world.events(journey).await;
    let found = steps.into_iter().find_map(|step| match step {
        Step::Judged { verdict, reasons, .. } => {
            assert!(!reasons.is_empty(), "a verdict has its reasons");
            Some(verdict)
        }
        _ => None,
    });
    found.expect("it was judged")
}

/// The journey that a refusal names, in parentheses at the end.
fn journey_in(text: &str) -> JourneyId {
    let (_, id) = text.trim_end_matches(')').rsplit_once('(').expect("a journey is named");
    id.parse().expect("a journey id")
}

#[tokio::test]
async fn genuine_mail_is_accepted_and_says_what_was_found() {
    let world = examining().await;
    let path = from("news@bank.test", &["alice@wax.test"]);
    let accepted = world.receive(path, &letter("news@bank.test")).await.unwrap();
    let steps = world.events(accepted.journey).await;
    assert_eq!(kinds(&steps), ["accepted", "examined", "judged", "deposited"]);
    let Step::Examined { findings, identities, .. } = &steps[1] else { panic!() };
    let result = |check| findings.iter().find(|f| f.check == check).map(|f| f.result.as_str());
    assert_eq!(result(Check::Spf), Some("pass"));
    assert_eq!(result(Check::Dmarc), Some("pass"));
    assert_eq!(result(Check::ReverseDns), Some("pass"));
    assert_eq!(result(Check::Helo), Some("pass"));
    let spf = findings.iter().find(|f| f.check == Check::Spf).unwrap();
    assert!(spf.reason.contains("ip4:192.0.2.200"), "{}", spf.reason);
    assert!(spf.lookups.iter().any(|l| l.name == "bank.test" && l.record_type == "TXT"));
    assert!(identities.iter().any(|known| known.name == "news@bank.test"));
    assert_eq!(judged(&world, accepted.journey).await, Verdict::Accept);
    let inbox = world.inbox(world.alice).await;
    // RFC 8601 §4: above the trace field of the same hop.
    let header =
        "Return-Path: <news@bank.test>\r\nAuthentication-Results: mx.wax.test;\r\n\tspf=pass";
    assert!(inbox[0].starts_with(header), "{}", inbox[0]);
    assert!(inbox[0].contains("dmarc=pass") && inbox[0].contains("Received-SPF: pass"));
}

#[tokio::test]
async fn a_forgery_is_refused_with_its_reason_and_can_be_asked_about() {
    let world = examining().await;
    let path = from("eve@two.example", &["alice@wax.test"]);
    let refused = world.receive(path, &letter("news@bank.test")).await.unwrap_err();
    assert_eq!(refused.reply.code, 550);
    // RFC 7372 §3.3: multiple authentication checks failed.
    assert_eq!(refused.reply.enhanced.unwrap().to_string(), "5.7.26");
    let journey = journey_in(&refused.reply.text);
    let steps = world.events(journey).await;
    assert_eq!(kinds(&steps), ["examined", "judged", "refused"]);
    let Step::Judged { reasons, .. } = &steps[1] else { panic!() };
    assert_eq!(reasons[0].check, Check::Dmarc);
    assert!(reasons[0].text.contains("bank.test"), "{}", reasons[0].text);
    assert!(world.inbox(world.alice).await.is_empty() && junk(&world).await.is_empty());
}

#[tokio::test]
async fn the_domain_is_told_of_what_passed_and_what_was_refused() {
    let world = examining().await;
    for sender in ["news@bank.test", "news@bank.test", "eve@two.example"] {
        let path = from(sender, &["alice@wax.test"]);
        let _ = world.receive(path, &letter("news@bank.test")).await;
    }
    let day = day_of(world.now());
    let store = &world.store;
    let domains = store.domains_to_report_to(ReportKind::Dmarc, day + 1).await.unwrap();
    assert_eq!(domains, [("bank.test".to_owned(), day)]);
    let seen = store.observations(ReportKind::Dmarc, "bank.test", day, 100).await.unwrap();
    let mut seen: Vec<_> = seen
        .seen
        .iter()
        .map(|(what, times)| {
            let what: serde_json::Value = serde_json::from_str(what).unwrap();
            (what["disposition"].as_str().unwrap().to_owned(), *times)
        })
        .collect();
    seen.sort();
    assert_eq!(seen, [("pass".to_owned(), 2), ("reject".to_owned(), 1)]);
}

#[tokio::test]
async fn what_its_domain_calls_suspicious_ends_in_the_spam_folder() {
    let world = examining().await;
    let path = from("deals@shop.test", &["alice@wax.test"]);
    let accepted = world.receive(path, &letter("deals@shop.test")).await.unwrap();
    assert_eq!(judged(&world, accepted.journey).await, Verdict::SpamFolder);
    assert!(world.inbox(world.alice).await.is_empty());
    assert_eq!(junk(&world).await.len(), 1);
}

#[tokio::test]
async fn results_in_our_name_that_come_from_outside_are_removed() {
    let world = examining().await;
    let forged = format!(
        "Authentication-Results: MX.wax.test; spf=pass\r\n\
         Authentication-Results: mx.other.test; dkim=pass\r\n{}",
        letter("news@bank.test")
    );
    let path = from("news@bank.test", &["alice@wax.test"]);
    world.receive(path, &forged).await.unwrap();
    let inbox = world.inbox(world.alice).await;
    assert!(!inbox[0].contains("MX.wax.test"), "{}", inbox[0]);
    assert!(inbox[0].contains("mx.other.test; dkim=pass"), "what others say is theirs");
}

#[tokio::test]
async fn a_dns_that_does_not_answer_refuses_nothing_for_good() {
    let world = examining().await;
    world.zone.time_out("bank.test");
    world.zone.time_out("_dmarc.bank.test");
    let path = from("news@bank.test", &["alice@wax.test"]);
    match world.receive(path, &letter("news@bank.test")).await {
        Ok(accepted) => assert_eq!(judged(&world, accepted.journey).await, Verdict::Accept),
        Err(refused) => assert!(refused.is_temporary(), "{refused}"),
    }
}

#[tokio::test]
async fn mail_from_servers_of_our_own_is_not_examined() {
    let world = World::with(|policy| {
        policy.judging.examine = true;
        policy.judging.trusted = vec![("192.0.2.0".parse().unwrap(), 24)];
    })
    .await;
    let path = from("bob@wing.example", &["alice@wax.test"]);
    let accepted = world.receive(path, &letter("news@bank.test")).await.unwrap();
    assert_eq!(kinds(&world.events(accepted.journey).await), ["accepted", "deposited"]);
}

/// Gives wax.test both kinds of keys, and publishes them.
async fn with_keys(world: &World) {
    let mut all = Vec::new();
    for (selector, kind, algorithm) in [
        ("r", Algorithm::RsaSha256, SigningAlgorithm::RsaSha256),
        ("e", Algorithm::Ed25519Sha256, SigningAlgorithm::Ed25519Sha256),
    ] {
        let key = SigningKey::generate(kind).unwrap();
        let record = key.dns_record();
        let strings: Vec<String> = record
            .as_bytes()
            .chunks(200)
            .map(|c| format!("\"{}\"", str::from_utf8(c).unwrap()))
            .collect();
        let text = format!("@ TXT {}\n", strings.join(" "));
        let apex = format!("{selector}._domainkey.wax.test");
        world.zone.insert(Zone::parse(&apex, &text).unwrap());
        let new = NewSigningKey {
            domain: "wax.test".into(),
            selector: selector.into(),
            algorithm,
            private_key: key.to_pkcs8_der(),
            record,
            state: SigningKeyState::Signing,
        };
        all.push(new);
    }
    world.store.add_signing_keys(all, world.now()).await.unwrap();
}

/// Alice's letter to Bob, as his server gets it.
async fn letter_on_its_way(world: &World) -> String {
    with_keys(world).await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    world.send(&["bob@wing.example"]).await;
    assert_eq!(world.run().await, 1);
    let (_, text) = mx.taken.lock().unwrap()[0].clone();
    text
}

#[tokio::test]
async fn what_leaves_is_signed_with_both_algorithms() {
    let world = examining().await;
    let text = letter_on_its_way(&world).await;
    let verified = dkim::verify(&*world.zone, text.as_bytes(), world.now()).await;
    let found: Vec<_> =
        verified.dkim.iter().map(|one| (one.result, one.algorithm.as_str())).collect();
    assert_eq!(found, [(DkimResult::Pass, "rsa-sha256"), (DkimResult::Pass, "ed25519-sha256")]);
    assert!(verified.dkim.iter().all(|one| one.domain == "wax.test"));
    let altered = text.replace("Hello, Bob.", "Pay, Bob.");
    let verified = dkim::verify(&*world.zone, altered.as_bytes(), world.now()).await;
    assert!(verified.dkim.iter().all(|one| one.result == DkimResult::Fail));
    assert!(verified.dkim[0].reason.contains("body"), "{}", verified.dkim[0].reason);
}

#[tokio::test]
async fn reports_that_leave_are_signed_too() {
    let world = examining().await;
    with_keys(&world).await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    // Alice's mail is forwarded to a server that refuses it: the sender elsewhere is told.
    world.alias("gone@wax.test", "nobody@two.example").await;
    let two = Mx::new("mx1.two.example");
    two.refuse("nobody@two.example", waxwing_smtp::reply::Reply::new(550, (5, 1, 1), "no"));
    world.net.serve("192.0.2.11", two.peer());
    let path = from("bob@wing.example", &["gone@wax.test"]);
    world.receive(path, &letter("bob@wing.example")).await.unwrap();
    world.run_to_the_end().await;
    let (envelope, text) = mx.taken.lock().unwrap()[0].clone();
    assert_eq!(envelope.reverse_path, ReversePath::Null);
    assert!(text.contains("multipart/report"));
    let verified = dkim::verify(&*world.zone, text.as_bytes(), world.now()).await;
    assert_eq!(verified.dkim[0].result, DkimResult::Pass, "{}", verified.dkim[0].reason);
}

#[tokio::test]
async fn forwarded_mail_goes_under_our_reverse_path_and_seal_and_comes_back() {
    let world = examining().await;
    with_keys(&world).await;
    world.alias("team@wax.test", "bob@wing.example").await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    let path = from("news@bank.test", &["team@wax.test"]);
    world.receive(path, &letter("news@bank.test")).await.unwrap();
    assert_eq!(world.run().await, 1);
    let (envelope, text) = mx.taken.lock().unwrap()[0].clone();
    let ReversePath::Address(rewritten) = &envelope.reverse_path else { panic!() };
    assert_eq!(rewritten.domain(), "wax.test", "SPF will pass for us");
    let verified = dkim::verify(&*world.zone, text.as_bytes(), world.now()).await;
    assert_eq!(verified.arc.status, ChainStatus::Pass, "{}", verified.arc.reason);
    let seen = verified.arc.results_of_last.unwrap();
    assert_eq!(seen.method("dmarc").unwrap().result, "pass");
    assert!(!text.starts_with("Return-Path"));

    // A bounce to that address goes back to the sender, and only an address that we signed does.
    let returning = recipient(&rewritten.to_string());
    world.acceptor.check_recipient(waxwing_delivery::Entrance::Mx, &returning, None).await.unwrap();
    let bounce = from("", &[&rewritten.to_string()]);
    let accepted = world.receive(bounce, "Subject: undelivered\r\n\r\nSorry.\r\n").await.unwrap();
    assert_eq!(accepted.queued, 1);
    let queued = world.store.queue(None, 10).await.unwrap();
    assert_eq!(queued[0].recipient.address.to_string(), "news@bank.test");
    let forged = rewritten.to_string().replacen("=news", "=evil", 1);
    let refused = world
        .acceptor
        .check_recipient(waxwing_delivery::Entrance::Mx, &recipient(&forged), None)
        .await
        .unwrap_err();
    assert_eq!(refused.reply.code, 550);
}

#[tokio::test]
async fn a_trusted_sealer_rescues_what_it_forwarded() {
    // wax.test forwards to itself elsewhere: here the same seal is read as a receiver does.
    let world = World::with(|policy| {
        policy.judging.examine = true;
        policy.judging.spam.trusted_sealers = vec!["wax.test".into()];
    })
    .await;
    let zone = |apex: &str, text: &str| world.zone.insert(Zone::parse(apex, text).unwrap());
    zone("bank.test", "@ TXT \"v=spf1 ip4:192.0.2.200 -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n");
    with_keys(&world).await;
    world.alias("team@wax.test", "bob@wing.example").await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve("192.0.2.1", mx.peer());
    let path = from("news@bank.test", &["team@wax.test"]);
    world.receive(path, &letter("news@bank.test")).await.unwrap();
    world.run().await;
    let (_, sealed) = mx.taken.lock().unwrap()[0].clone();
    // It arrives from a network that the bank does not know.
    zone("bank.test", "@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n");
    let accepted = world.receive(from("fwd@wax.test", &["alice@wax.test"]), &sealed).await.unwrap();
    assert_eq!(judged(&world, accepted.journey).await, Verdict::Accept);
    let broken = sealed.replace("Hello, Alice.", "Pay here.");
    let again = world.receive(from("fwd@wax.test", &["alice@wax.test"]), &broken).await;
    match again {
        Ok(accepted) => assert_eq!(judged(&world, accepted.journey).await, Verdict::SpamFolder),
        Err(refused) => assert_eq!(refused.reply.code, 550),
    }
}

#[tokio::test]
async fn a_sender_whose_mail_was_called_spam_goes_there_from_then_on() {
    let world = examining().await;
    let send = async || {
        let path = from("news@bank.test", &["alice@wax.test"]);
        world.receive(path, &letter("news@bank.test")).await.unwrap().journey
    };
    assert_eq!(judged(&world, send().await).await, Verdict::Accept);
    let mailboxes = world.store.mailboxes(world.alice).await.unwrap();
    let by_role = |role| mailboxes.iter().find(|m| m.role == Some(role)).unwrap().id;
    let (inbox, junk_box) = (by_role(Role::Inbox), by_role(Role::Junk));
    let uid = world.store.entries(inbox).await.unwrap().0[0].uid;
    world.store.move_entries(inbox, &[uid], junk_box).await.unwrap();
    let policy = waxwing_delivery::Policy::new("mx.wax.test");
    assert_eq!(learn_some(&world.store, &policy, 16).await.unwrap(), 1);
    assert_eq!(learn_some(&world.store, &policy, 16).await.unwrap(), 0, "learned once");
    let journey = send().await;
    assert_eq!(judged(&world, journey).await, Verdict::SpamFolder);
    let steps = world.events(journey).await;
    let Some(Step::Judged { reasons, .. }) =
        steps.iter().find(|step| matches!(step, Step::Judged { .. }))
    else {
        panic!()
    };
    assert_eq!(reasons[0].check, Check::Reputation, "{reasons:?}");
}

/// A small domain may have SPF and no DMARC record: its people are known all the same.
#[tokio::test]
async fn a_sender_is_known_without_a_dmarc_record() {
    let world = World::with(|policy| policy.judging.examine = true).await;
    let zone = |text: &str| world.zone.insert(Zone::parse("small.test", text).unwrap());
    zone("@ TXT \"v=spf1 ip4:192.0.2.200 -all\"\n");
    let known = async |author: &str| {
        let path = from("ann@small.test", &["alice@wax.test"]);
        let accepted = world.receive(path, &letter(author)).await.unwrap();
        let steps = world.events(accepted.journey).await;
        let Step::Examined { identities, .. } = &steps[1] else { panic!("{steps:?}") };
        identities.iter().any(|known| known.kind == "address" && known.name == author)
    };
    assert!(known("ann@small.test").await);
    assert!(!known("ann@other.test").await, "SPF speaks for small.test alone");
}

#[tokio::test]
async fn somebody_alice_wrote_to_is_no_stranger() {
    let world = examining().await;
    world.send(&["news@bank.test"]).await;
    let path = from("news@bank.test", &["alice@wax.test"]);
    let accepted = world.receive(path, &letter("news@bank.test")).await.unwrap();
    let steps = world.events(accepted.journey).await;
    let Some(Step::Judged { reasons, .. }) =
        steps.iter().find(|step| matches!(step, Step::Judged { .. }))
    else {
        panic!()
    };
    assert!(reasons[0].weight < 0 && reasons[0].check == Check::Reputation, "{reasons:?}");
}

#[tokio::test]
async fn a_doubtful_stranger_is_asked_to_come_again() {
    let world = World::with(|policy| {
        policy.judging.examine = true;
        policy.judging.spam.greylist = true;
    })
    .await;
    // No reverse DNS, no SPF.
    let send = async || {
        let path = from("x@two.example", &["alice@wax.test"]);
        world.receive(path, &letter("x@two.example")).await
    };
    let refused = send().await.unwrap_err();
    assert_eq!((refused.reply.code, refused.is_temporary()), (451, true), "{refused}");
    world.clock.advance(std::time::Duration::from_secs(10));
    assert!(send().await.is_err(), "too soon");
    world.clock.advance(std::time::Duration::from_secs(600));
    send().await.unwrap();
}

#[tokio::test]
async fn one_full_mailbox_waits_and_the_others_have_it() {
    let world = World::new().await;
    let carol = world.account("carol@wax.test").await;
    world.store.set_quota(&address("carol@wax.test"), Some(10)).await.unwrap();
    let path = from("bob@wing.example", &["alice@wax.test", "carol@wax.test"]);
    let accepted = world.receive(path, LETTER).await.unwrap();
    assert_eq!((accepted.deposited, accepted.queued), (1, 1));
    assert_eq!(world.inbox(world.alice).await.len(), 1);
    assert!(world.inbox(carol).await.is_empty());
    // Room is made, and it comes by itself.
    world.store.set_quota(&address("carol@wax.test"), None).await.unwrap();
    world.run_to_the_end().await;
    let inbox = world.inbox(carol).await;
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].ends_with(LETTER), "{}", inbox[0]);
    assert_eq!(inbox[0].matches("Return-Path:").count(), 1);
}

/// Somebody forwards Alice's own letter back to her, and her domain publishes no DMARC record.
#[tokio::test]
async fn our_own_mail_that_comes_back_with_its_signature_is_no_forgery() {
    let world = examining().await;
    let text = letter_on_its_way(&world).await;
    let path = || from("bob@wing.example", &["alice@wax.test"]);
    let accepted = world.receive(path(), &text).await.unwrap();
    assert_eq!(judged(&world, accepted.journey).await, Verdict::Accept);
    let altered = text.replace("Hello, Bob.", "Pay, Alice.");
    let doubted = world.receive(path(), &altered).await.unwrap();
    assert_eq!(judged(&world, doubted.journey).await, Verdict::SpamFolder);
}

/// The reasons of a verdict, and what an operator's exception changed.
async fn reasons(world: &World, journey: JourneyId) -> (Vec<Reason>, Option<String>) {
    let steps = world.events(journey).await;
    let found = steps.into_iter().find_map(|step| match step {
        Step::Judged { reasons, overridden, .. } => Some((reasons, overridden)),
        _ => None,
    });
    found.expect("it was judged")
}

#[tokio::test]
async fn blocklists_are_asked_and_what_they_say_is_told() {
    let world = World::with(|policy| {
        policy.judging.examine = true;
        let list = |zone: &str, kind| Blocklist { zone: zone.to_owned(), kind, weight: 70 };
        policy.judging.spam.blocklists =
            vec![list("ip.bl.test", ListKind::Ip), list("name.bl.test", ListKind::Domain)];
    })
    .await;
    let zone = |text: &str| world.zone.insert(Zone::parse("bl.test", text).unwrap());
    let send = async || {
        let path = from("x@two.example", &["alice@wax.test"]);
        world.receive(path, &letter("x@two.example")).await.unwrap().journey
    };
    zone("nobody A 192.0.2.1\n");
    assert_eq!(judged(&world, send().await).await, Verdict::Accept);
    // The client comes from 192.0.2.200 (RFC 5782 §2.1, §2.4).
    zone("200.2.0.192.ip A 127.0.0.4\n200.2.0.192.ip TXT \"a known sender of spam\"\n");
    let journey = send().await;
    assert_eq!(judged(&world, journey).await, Verdict::SpamFolder);
    let (told, _) = reasons(&world, journey).await;
    assert_eq!((told[0].check, told[0].weight), (Check::Blocklist, 70), "{told:?}");
    let steps = world.events(journey).await;
    let Step::Examined { findings, .. } = &steps[1] else { panic!("{steps:?}") };
    let of = |about: &str| findings.iter().find(|one| one.about.contains(about)).unwrap();
    let listed = of("ip.bl.test");
    assert_eq!(listed.result, "listed");
    assert!(listed.reason.contains("a known sender of spam"), "{}", listed.reason);
    assert_eq!(listed.lookups[0].name, "200.2.0.192.ip.bl.test");
    assert_eq!(of("two.example at name.bl.test").result, "pass");

    zone("two.example.name A 127.0.0.2\n");
    assert_eq!(judged(&world, send().await).await, Verdict::SpamFolder);
    // A list that is away says nothing.
    world.zone.time_out("200.2.0.192.ip.bl.test");
    world.zone.time_out("two.example.name.bl.test");
    assert_eq!(judged(&world, send().await).await, Verdict::Accept);
}

#[tokio::test]
async fn words_that_a_reader_called_spam_are_named_when_they_come_from_a_stranger() {
    let world = examining().await;
    let mailboxes = world.store.mailboxes(world.alice).await.unwrap();
    let by_role = |role| mailboxes.iter().find(|m| m.role == Some(role)).unwrap().id;
    let inbox = by_role(Role::Inbox);
    let send = async |sender: &str, text: &str| {
        let path = from(sender, &["alice@wax.test"]);
        let message = letter(sender).replace("Hello, Alice.", text);
        world.receive(path, &message).await.unwrap().journey
    };
    let policy = waxwing_delivery::Policy::new("mx.wax.test");
    // Thirty of each kind are enough to judge by.
    for n in 0..30 {
        let sender = format!("s{n}@two.example");
        send(&sender, &format!("Cheap tonics, number {n}, restore hair.")).await;
        send(&sender, &format!("The minutes of meeting {n} are attached.")).await;
    }
    let entries = world.store.entries(inbox).await.unwrap().0;
    let (spam, ham): (Vec<_>, Vec<_>) =
        entries.chunks(2).map(|two| (two[0].uid, two[1].uid)).unzip();
    world.store.move_entries(inbox, &spam, by_role(Role::Junk)).await.unwrap();
    world.store.move_entries(inbox, &ham, by_role(Role::Archive)).await.unwrap();
    while learn_some(&world.store, &policy, 16).await.unwrap() > 0 {}
    let bad = send("new@three.example", "Cheap tonics restore hair.").await;
    assert_eq!(judged(&world, bad).await, Verdict::SpamFolder);
    let (told, _) = reasons(&world, bad).await;
    let words = told.iter().find(|one| one.check == Check::Words).expect("words were asked");
    assert!(words.weight >= 50 && words.text.contains("tonics"), "{}", words.text);
    let good = send("new@four.example", "The minutes of the meeting are attached.").await;
    assert_eq!(judged(&world, good).await, Verdict::Accept);
}

#[tokio::test]
async fn an_operators_exception_is_obeyed_and_shown() {
    let forgery = async |exceptions: Vec<Override>| {
        let world = World::with(|policy| {
            policy.judging.examine = true;
            policy.judging.spam.overrides = exceptions;
        })
        .await;
        let zone = "@ TXT \"v=spf1 -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n";
        world.zone.insert(Zone::parse("bank.test", zone).unwrap());
        let path = from("news@bank.test", &["alice@wax.test"]);
        match world.receive(path, &letter("news@bank.test")).await {
            Err(refused) => Err(refused.reply.code),
            Ok(accepted) => Ok(reasons(&world, accepted.journey).await.1),
        }
    };
    assert_eq!(forgery(Vec::new()).await, Err(550));
    let ignoring = Override {
        who: "bank.test".to_owned(),
        what: Treatment::IgnoreDmarc,
        even_unproven: false,
    };
    let shown = forgery(vec![ignoring]).await.unwrap().expect("it is shown");
    assert!(shown.contains("bank.test") && shown.contains("would have been refused"), "{shown}");
}
