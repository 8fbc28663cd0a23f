//! The queue against servers elsewhere: success, refusals, retries over days, reports, TLS, limits,
//! and peers that lie, stall and hang up.

mod world;

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use waxwing_delivery::Clock;
use waxwing_message::journey::{Outcome, Step};
use waxwing_message::{DsnReturn, Notify};
use waxwing_smtp::client::TlsPolicy;
use waxwing_smtp::reply::Reply;
use waxwing_store::QueueState;
use world::peers::{CONNECTED, Mx, scripted};
use world::*;

/// The server of wing.example.
const WING: &str = "192.0.2.1";
const BOB: &str = "bob@wing.example";

async fn with_wing() -> (World, std::sync::Arc<Mx>) {
    let world = World::new().await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve(WING, mx.peer());
    (world, mx)
}

fn busy() -> Reply {
    Reply::new(450, (4, 2, 0), "greylisted, come back")
}

fn unknown() -> Reply {
    Reply::new(550, (5, 1, 1), "nobody of that name")
}

#[tokio::test]
async fn a_message_arrives_and_its_journey_tells() {
    let (world, mx) = with_wing().await;
    let accepted = world.send(&[BOB]).await;
    assert_eq!(world.run().await, 1);
    assert_eq!(mx.recipients(), [[BOB]]);
    let (envelope, text) = mx.taken.lock().unwrap()[0].clone();
    assert_eq!(envelope.reverse_path.to_string(), "alice@wax.test");
    assert!(text.ends_with("\r\nHello, Bob.\r\n") && text.starts_with("Received: "));
    assert_eq!(world.queue_len().await, 0);
    let steps = world.events(accepted.journey).await;
    assert_eq!(kinds(&steps), ["accepted", "queued", "routed", "attempted"]);
    let Step::Attempted { attempt, host, ip, tls, recipients, .. } = &steps[3] else { panic!() };
    assert_eq!((*attempt, &**host, ip.unwrap().to_string()), (1, "mx.wing.example", WING.into()));
    assert!(!tls.as_ref().expect("opportunistic TLS").peer_verified);
    let Outcome::Delivered { reply } = &recipients[0].outcome else { panic!("{recipients:?}") };
    assert_eq!((reply.code, &*reply.text), (250, "taken"));
    assert!(world.inbox(world.alice).await.is_empty(), "nothing to report");
}

#[tokio::test]
async fn recipients_of_one_domain_travel_together_and_end_each_on_its_own() {
    let (world, mx) = with_wing().await;
    mx.refuse("nobody@wing.example", unknown());
    mx.refuse("later@wing.example", busy());
    let to = [BOB, "nobody@wing.example", "later@wing.example", "eve@wing.example"];
    let accepted = world.send(&to).await;
    world.run().await;
    assert_eq!(mx.recipients(), [[BOB, "eve@wing.example"]]);
    let left = world.store.queue(None, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].recipient.address, address("later@wing.example"));
    assert!(left[0].last_reason.contains("450 4.2.0 greylisted"), "{}", left[0].last_reason);
    let steps = world.events(accepted.journey).await;
    assert_eq!(tally(&steps)["bounced"], 1);
    mx.accept_again("later@wing.example");
    world.run_to_the_end().await;
    assert_eq!(mx.recipients()[1], ["later@wing.example"]);
    let waited = world.now().duration_since("2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(waited.as_mins(), 5, "the first wait of the schedule");
}

#[tokio::test]
async fn a_bounce_tells_the_sender_what_and_why() {
    let (world, mx) = with_wing().await;
    mx.refuse(BOB, unknown());
    let mut envelope = from_alice(&[BOB]);
    envelope.envelope_id = Some("QQ314159".to_owned());
    let accepted = world.submit(envelope, LETTER).await.unwrap();
    world.run().await;
    let inbox = world.inbox(world.alice).await;
    let [report] = inbox.as_slice() else { panic!("{inbox:?}") };
    for part in [
        "Return-Path: <>\r\n",
        "To: alice@wax.test\r\n",
        "report-type=delivery-status",
        "Reporting-MTA: dns; mx.wax.test\r\n",
        "Original-Envelope-Id: QQ314159\r\n",
        "Final-Recipient: rfc822; bob@wing.example\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Remote-MTA: dns; mx.wing.example\r\n",
        "nobody of that name",
        "Hello, Bob.",
        &accepted.journey.to_string(),
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    let steps = world.events(accepted.journey).await;
    let Some(Step::Bounced { status, report, .. }) = steps.last() else { panic!("{steps:?}") };
    assert_eq!(status, "5.1.1");
    let report = world.events(report.expect("a report")).await;
    assert_eq!(kinds(&report), ["accepted", "deposited"]);
}

#[tokio::test]
async fn a_bounce_for_a_sender_elsewhere_travels_and_is_never_answered() {
    let (world, wing) = with_wing().await;
    let two = Mx::new("mx1.two.example");
    world.net.serve("192.0.2.11", two.peer());
    world.alias("out@wax.test", BOB).await;
    wing.refuse(BOB, unknown());
    two.refuse("dan@two.example", unknown());
    let accepted = world.receive(from("dan@two.example", &["out@wax.test"]), LETTER).await.unwrap();
    world.run_to_the_end().await;
    let steps = world.events(accepted.journey).await;
    let Some(Step::Bounced { report: Some(report), .. }) = steps.last() else { panic!() };
    // The report was refused in its turn: that is where it ends.
    let steps = world.events(*report).await;
    assert_eq!(kinds(&steps), ["accepted", "queued", "routed", "attempted", "bounced"]);
    assert!(matches!(steps.last(), Some(Step::Bounced { report: None, .. })));
    assert_eq!(world.queue_len().await, 0);
    assert!(two.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_senders_wishes_about_reports_hold() {
    let (world, mx) = with_wing().await;
    mx.refuse(BOB, unknown());
    let notify = |notify| {
        let mut envelope = from_alice(&[BOB]);
        envelope.recipients[0].notify = Some(notify);
        envelope.dsn_return = Some(DsnReturn::Headers);
        envelope
    };
    let quiet = world.submit(notify(Notify::Never), LETTER).await.unwrap();
    world.run().await;
    assert!(world.inbox(world.alice).await.is_empty());
    let steps = world.events(quiet.journey).await;
    assert!(matches!(steps.last(), Some(Step::Bounced { report: None, .. })));
    let failure = Notify::On { success: false, failure: true, delay: false };
    world.submit(notify(failure), LETTER).await.unwrap();
    world.run().await;
    let inbox = world.inbox(world.alice).await;
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].contains("Subject: hello") && !inbox[0].contains("Hello, Bob"), "RET=HDRS");
}

#[tokio::test]
async fn success_is_reported_by_whoever_knows_last() {
    let (world, mx) = with_wing().await;
    let wanted = || {
        let mut envelope = from_alice(&[BOB]);
        let notify = Notify::On { success: true, failure: true, delay: false };
        envelope.recipients[0].notify = Some(notify);
        envelope
    };
    // A server with DSN will report itself (RFC 3461 §5.2.1), and hears the wish.
    world.submit(wanted(), LETTER).await.unwrap();
    world.run().await;
    assert!(world.inbox(world.alice).await.is_empty());
    assert!(mx.taken.lock().unwrap()[0].0.recipients[0].notify().on_success());
    // One without does not: we say `relayed` (§5.2.2).
    world.clock.advance(Duration::from_secs(60));
    mx.set(|settings| settings.extensions.dsn = false);
    let accepted = world.submit(wanted(), LETTER).await.unwrap();
    world.run().await;
    let inbox = world.inbox(world.alice).await;
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].contains("Action: relayed"), "{}", inbox[0]);
    assert_eq!(tally(&world.events(accepted.journey).await)["success reported"], 1);
}

#[tokio::test]
async fn days_of_retries_end_in_one_warning_and_one_bounce() {
    let (world, mx) = with_wing().await;
    mx.refuse(BOB, busy());
    let start = world.now();
    let accepted = world.send(&[BOB]).await;
    world.run_to_the_end().await;
    let steps = world.events(accepted.journey).await;
    let tally = tally(&steps);
    assert_eq!((tally["delay warned"], tally["bounced"]), (1, 1));
    assert_eq!(tally["attempted"], tally["deferred"] + 1);
    assert!(tally["attempted"] > 20, "{tally:?}");
    let days = world.now().duration_since(start).as_hours() as f64 / 24.0;
    assert_eq!(days, 5.0, "the last try is made when it expires");
    let Some(Step::Bounced { status, .. }) = steps.last() else { panic!() };
    assert_eq!(status, "5.4.7");
    let inbox = world.inbox(world.alice).await;
    assert_eq!(inbox.len(), 2);
    assert!(inbox[0].contains("Action: delayed") && inbox[0].contains("Will-Retry-Until:"));
    assert!(inbox[1].contains("Action: failed") && inbox[1].contains("greylisted"));
    let journey = world.store.journey(accepted.journey).await.unwrap().unwrap();
    let warned =
        journey.events.iter().find(|e| matches!(e.step, Step::DelayWarned { .. })).unwrap();
    assert_eq!(warned.at.duration_since(start).as_mins(), 240, "when it is due, not later");
}

#[tokio::test]
async fn domains_without_a_way_bounce_at_once_each_with_its_status() {
    let world = World::new().await;
    for (to, status) in [
        ("x@null.example", "5.1.10"),
        ("x@nobody.example", "5.1.2"),
        ("x@loop.example", "5.4.6"),
        ("x@[192.0.2.99]", "5.4.6"),
    ] {
        let accepted = world.send(&[to]).await;
        world.run().await;
        let steps = world.events(accepted.journey).await;
        let Some(Step::Bounced { status: found, report: Some(_), .. }) = steps.last() else {
            panic!("{to}: {steps:?}")
        };
        assert_eq!(found, status, "{to}");
    }
    assert_eq!(world.inbox(world.alice).await.len(), 4);
    assert_eq!(world.net.connections(), 0);
}

#[tokio::test]
async fn trouble_in_the_dns_defers() {
    let (world, mx) = with_wing().await;
    for fail in [waxwing_dns::FakeZone::time_out, waxwing_dns::FakeZone::bogus] {
        fail(&world.zone, "wing.example");
        let accepted = world.send(&[BOB]).await;
        world.run().await;
        assert_eq!(
            kinds(&world.events(accepted.journey).await),
            ["accepted", "queued", "deferred"]
        );
        world.zone.mend("wing.example");
        world.run_to_the_end().await;
    }
    assert_eq!(mx.recipients().len(), 2);
}

#[tokio::test]
async fn the_next_exchanger_is_tried_when_the_first_is_away() {
    let world = World::new().await;
    let second = Mx::new("mx2.two.example");
    world.net.serve("192.0.2.12", second.peer());
    let accepted = world.send(&["dan@two.example"]).await;
    world.run().await;
    assert_eq!(second.recipients().len(), 1);
    let steps = world.events(accepted.journey).await;
    assert_eq!(kinds(&steps), ["accepted", "queued", "routed", "attempted", "attempted"]);
    // Nobody bothers the first for a while.
    world.send(&["dan@two.example"]).await;
    world.run().await;
    let Step::Attempted { recipients, .. } = &steps[3] else { panic!() };
    assert!(matches!(recipients[0].outcome, Outcome::Deferred { .. }));
    assert_eq!(second.recipients().len(), 2);
}

#[tokio::test]
async fn a_greeting_of_5xx_leads_to_the_next_and_bounces_only_in_the_end() {
    let world = World::new().await;
    let closed = || scripted(|line| (line == CONNECTED).then_some("554 5.3.2 no mail here\r\n"));
    let second = Mx::new("mx2.two.example");
    world.net.serve("192.0.2.11", closed());
    world.net.serve("192.0.2.12", second.peer());
    world.send(&["dan@two.example"]).await;
    world.run().await;
    assert_eq!(second.recipients().len(), 1);
    world.net.serve("192.0.2.12", closed());
    world.clock.advance(Duration::from_secs(60));
    let accepted = world.send(&["dan@two.example"]).await;
    world.run().await;
    let steps = world.events(accepted.journey).await;
    assert!(matches!(steps.last(), Some(Step::Deferred { .. })), "{steps:?}");
    world.run_to_the_end().await;
    let steps = world.events(accepted.journey).await;
    let Some(Step::Bounced { status, reason, .. }) = steps.last() else { panic!("{steps:?}") };
    assert!(status == "5.4.7" && reason.contains("no mail here"), "{status} {reason}");
}

#[tokio::test]
async fn a_failed_handshake_is_followed_by_clear_text_when_tls_is_a_courtesy() {
    let (world, mx) = with_wing().await;
    world.net.tls("mx.wing.example", PlayedTls::Fails);
    let accepted = world.send(&[BOB]).await;
    world.run().await;
    assert_eq!(mx.recipients().len(), 1);
    assert_eq!(world.net.connections(), 2);
    let steps = world.events(accepted.journey).await;
    assert_eq!(kinds(&steps), ["accepted", "queued", "routed", "attempted", "attempted"]);
    let Step::Attempted { recipients, .. } = &steps[3] else { panic!() };
    let Outcome::Deferred { reason, .. } = &recipients[0].outcome else { panic!() };
    assert!(reason.contains("without TLS"), "{reason}");
    let Step::Attempted { tls, .. } = &steps[4] else { panic!() };
    assert!(tls.is_none());
}

#[tokio::test]
async fn demanded_tls_never_falls_back() {
    let relay = |host: &str| waxwing_delivery::Relay {
        host: host.to_owned(),
        port: 25,
        tls: TlsPolicy::Required,
        implicit_tls: false,
        credentials: None,
    };
    let world = World::with(|policy| policy.smarthost = Some(relay("mx.wing.example"))).await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve(WING, mx.peer());
    for tls in [PlayedTls::Fails, PlayedTls::Unverified] {
        world.net.tls("mx.wing.example", tls);
        world.send(&["anyone@anywhere.example"]).await;
        world.run().await;
        world.clock.advance(Duration::from_secs(3600));
    }
    mx.without_starttls();
    world.run().await;
    assert!(mx.taken.lock().unwrap().is_empty());
    mx.set(|settings| settings.starttls = waxwing_smtp::server::StartTls::Offered);
    world.net.tls("mx.wing.example", PlayedTls::Verified);
    world.run_to_the_end().await;
    assert_eq!(mx.recipients().len(), 2);
}

#[tokio::test]
async fn a_smarthost_takes_everything_after_login() {
    let relay = |password: &str| waxwing_delivery::Relay {
        host: "mx.wing.example".to_owned(),
        port: 25,
        tls: TlsPolicy::Required,
        implicit_tls: false,
        credentials: Some(waxwing_smtp::client::Credentials {
            login: "alice".to_owned(),
            password: password.to_owned().into(),
            plaintext_allowed: false,
        }),
    };
    for (password, delivered) in [("sesame", 1), ("wrong", 0)] {
        let world = World::with(|policy| policy.smarthost = Some(relay(password))).await;
        world.net.tls("mx.wing.example", PlayedTls::Verified);
        let mx = Mx::new("mx.wing.example");
        mx.set(|settings| {
            *settings = waxwing_smtp::ServerSettings::submission("mx.wing.example");
        });
        world.net.serve(WING, mx.peer());
        let accepted = world.send(&["anyone@nowhere.test"]).await;
        world.run().await;
        assert_eq!(mx.recipients().len(), delivered);
        // A wrong password is the operator's to mend: the message waits.
        assert_eq!(world.queue_len().await, 1 - delivered);
        let steps = world.events(accepted.journey).await;
        assert!(matches!(&steps[2], Step::Routed { by, .. } if by == "smarthost"));
    }
}

#[tokio::test]
async fn the_other_address_family_is_tried_when_one_is_away() {
    let (world, mx) = with_wing().await;
    world.zone.insert(
        waxwing_dns::Zone::parse(
            "example",
            "wing MX 10 mx.wing\nmx.wing A 192.0.2.1\nmx.wing AAAA 2001:db8::1\n",
        )
        .unwrap(),
    );
    let accepted = world.send(&[BOB]).await;
    world.run().await;
    assert_eq!(mx.recipients().len(), 1);
    let steps = world.events(accepted.journey).await;
    let tried: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Attempted { ip, .. } => ip.map(|ip| ip.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(tried, ["2001:db8::1", "192.0.2.1"]);
}

#[tokio::test]
async fn requiretls_goes_only_where_nobody_can_have_lied() {
    let (world, mx) = with_wing().await;
    world.net.tls("mx.wing.example", PlayedTls::Verified);
    let wish = || {
        let mut envelope = from_alice(&[BOB]);
        envelope.require_tls = true;
        envelope
    };
    let accepted = world.submit(wish(), LETTER).await.unwrap();
    world.run().await;
    let steps = world.events(accepted.journey).await;
    assert!(matches!(steps.last(), Some(Step::Bounced { .. })), "unsigned MX: {steps:?}");
    let inbox = world.inbox(world.alice).await;
    assert!(!inbox[0].contains("Hello, Bob"), "RFC 8689 §5: as if RET=HDRS");
    assert_eq!(world.net.connections(), 0);
    world.zone.sign("example");
    world.submit(wish(), LETTER).await.unwrap();
    world.run().await;
    assert_eq!(mx.recipients().len(), 1);
    assert!(mx.taken.lock().unwrap()[0].0.require_tls, "the wish travels on");
}

#[tokio::test]
async fn one_connection_carries_several_messages() {
    let (world, mx) = with_wing().await;
    for _ in 0..3 {
        world.send(&[BOB]).await;
        world.run().await;
    }
    assert_eq!((mx.recipients().len(), world.net.connections()), (3, 1));
    // Kept for five seconds, no longer.
    world.clock.advance(Duration::from_secs(6));
    world.send(&[BOB]).await;
    world.run().await;
    assert_eq!(world.net.connections(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_costs_nothing() {
    let (world, mx) = with_wing().await;
    mx.set(|settings| settings.max_messages = 1);
    for _ in 0..3 {
        let accepted = world.send(&[BOB]).await;
        world.run().await;
        assert!(!kinds(&world.events(accepted.journey).await).contains(&"deferred"));
    }
    assert_eq!(mx.recipients().len(), 3);
}

#[tokio::test]
async fn connections_to_one_host_stay_within_their_limit() {
    let world = World::with(|policy| policy.max_connections_per_host = 3).await;
    let mx = Mx::new("mx.wing.example");
    let gate = mx.gate();
    world.net.serve(WING, mx.peer());
    for n in 0..8 {
        world.send(&[&format!("r{n}@wing.example")]).await;
    }
    let opening = async {
        // All who may have come, and wait at the gate.
        while mx.open.lock().unwrap().0 < 3 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(8);
    };
    let (groups, ()) = tokio::join!(world.run(), opening);
    assert_eq!((groups, mx.recipients().len()), (8, 8));
    assert_eq!(mx.open.lock().unwrap().1, 3);
}

#[tokio::test]
async fn a_server_that_takes_few_recipients_gets_them_in_turns() {
    let (world, mx) = with_wing().await;
    mx.set(|settings| settings.max_recipients = 2);
    let to: Vec<String> = (0..5).map(|n| format!("r{n}@wing.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    world.send(&to).await;
    world.run().await;
    let sizes: Vec<usize> = mx.recipients().iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!((world.queue_len().await, world.net.connections()), (0, 1));
}

#[tokio::test]
async fn silence_ends_at_its_deadline() {
    let world = World::new().await;
    // Connects, never greets; and, at the second exchanger, an address where nothing answers.
    world.net.serve("192.0.2.11", scripted(|_| Some("")));
    world.net.black_hole("192.0.2.12");
    let accepted = world.send(&["dan@two.example"]).await;
    let start = world.clock.instant();
    world.while_time_passes(world.run()).await;
    let steps = world.events(accepted.journey).await;
    assert_eq!(tally(&steps)["attempted"], 2);
    assert_eq!(tally(&steps)["deferred"], 1);
    let took = world.clock.instant() - start;
    // RFC 5321 §4.5.3.2.1: five minutes for the greeting; ours for connecting is one.
    assert!(took >= Duration::from_secs(360) && took < Duration::from_secs(420), "{took:?}");
}

#[tokio::test]
async fn a_peer_that_keeps_to_every_limit_and_is_never_done_is_left() {
    let world = World::with(|policy| policy.attempt_limit = Duration::from_secs(1800)).await;
    // Four minutes for each reply: RFC 5321 §4.5.3.2 allows five.
    let slow: Peer = std::sync::Arc::new(|stream, clock| {
        tokio::spawn(async move {
            let (reader, mut writer) = tokio::io::split(stream);
            let mut lines = BufReader::new(reader).lines();
            let mut reply = "220 mx.wing.example\r\n";
            loop {
                clock.sleep(Duration::from_secs(240)).await;
                let _ = writer.write_all(reply.as_bytes()).await;
                reply = "250 2.0.0 well\r\n";
                let Ok(Some(_)) = lines.next_line().await else { return };
            }
        });
    });
    world.net.serve(WING, slow);
    let to: Vec<String> = (0..50).map(|n| format!("r{n}@wing.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    world.send(&to).await;
    let start = world.clock.instant();
    world.while_time_passes(world.run()).await;
    // The peer may begin one more wait while the outcome is stored.
    let took = (world.clock.instant() - start).as_secs();
    assert!((1800..=1800 + 240).contains(&took), "{took}");
    let waiting = world.store.queue(None, 100).await.unwrap();
    assert_eq!(waiting.len(), 50);
    assert!(waiting.iter().all(|entry| entry.attempts == 1));
    assert!(waiting[0].last_reason.contains("after 30 minutes"), "{}", waiting[0].last_reason);
}

#[tokio::test]
async fn what_is_new_does_not_wait_for_what_failed_before() {
    let world = World::with(|policy| policy.max_deliveries = 4).await;
    let (two, wing) = (Mx::new("mx.two.example"), Mx::new("mx.wing.example"));
    two.refuse("dan@two.example", busy());
    world.net.serve("192.0.2.11", two.peer());
    world.net.serve(WING, wing.peer());
    for _ in 0..6 {
        world.send(&["dan@two.example"]).await;
    }
    world.run().await;
    world.net.black_hole("192.0.2.11");
    world.net.black_hole("192.0.2.12");
    world.clock.advance(Duration::from_secs(300));
    let running = tokio::spawn(world.runner.clone().run(std::future::pending()));
    let leased = async || {
        let queue = world.store.queue(None, 100).await.unwrap();
        queue.iter().filter(|entry| entry.state == QueueState::Leased).count()
    };
    while leased().await < 3 {
        tokio::task::yield_now().await;
    }
    world.send(&[BOB]).await;
    while wing.recipients().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(leased().await.min(3), 3, "those that failed before still try");
    running.abort();
}

#[tokio::test]
async fn what_is_not_done_when_the_program_ends_is_anothers_at_once() {
    let world = World::new().await;
    world.net.serve(WING, scripted(|_| Some("")));
    world.send(&[BOB]).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(world.runner.clone().run(async {
        let _ = stopped.await;
    }));
    while world.store.queue(None, 1).await.unwrap()[0].state != QueueState::Leased {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    let grace = Duration::from_secs(30);
    tokio::pin!(running);
    loop {
        tokio::select! {
            ended = &mut running => break ended.unwrap(),
            // The store is waited for as well, five seconds at most, and it lives in real time.
            left = world.clock.somebody_sleeps(grace) => match left == grace {
                true => world.clock.advance(left),
                false => tokio::task::yield_now().await,
            },
        }
    }
    let entry = &world.store.queue(None, 1).await.unwrap()[0];
    assert_eq!((entry.state, entry.attempts), (QueueState::Waiting, 0));
    let other = world.second_store().await;
    let minute = Duration::from_secs(60);
    assert_eq!(other.lease(world.now(), minute, 9, &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lease_outlives_a_slow_peer() {
    // Nobody else may take the entry while a peer stalls for longer than a lease lasts.
    let minute = Duration::from_secs(60);
    let world = World::with(|policy| policy.lease_for = minute).await;
    world.net.serve(WING, scripted(|_| Some("")));
    let accepted = world.send(&[BOB]).await;
    let runner = world.runner.clone();
    let mut running = tokio::spawn(async move { runner.run_due().await });
    let start = world.now();
    loop {
        let left = tokio::select! {
            done = &mut running => break assert_eq!(done.unwrap().unwrap(), 1),
            // The lease is renewed, and half of it has to pass before the next time.
            left = world.clock.somebody_sleeps(minute / 2) => left,
        };
        let stolen = world.store.lease(world.now(), minute, 10, &[]).await.unwrap();
        assert!(stolen.is_empty());
        world.clock.advance(left);
    }
    assert!(world.now().duration_since(start).as_mins() >= 5, "the greeting's deadline");
    assert_eq!(kinds(&world.events(accepted.journey).await).last(), Some(&"deferred"));
}

#[tokio::test]
async fn an_outcome_that_cannot_be_stored_is_stored_when_it_can() {
    let (world, mx) = with_wing().await;
    let gate = mx.gate();
    let accepted = world.send(&[BOB]).await;
    let runner = world.runner.clone();
    let running = tokio::spawn(async move { runner.run_due().await });
    while *mx.at_the_gate.lock().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    // The store breaks while the other server makes the message durable and says 250.
    let database = world.database();
    database.execute("ALTER TABLE queue RENAME TO gone", []).unwrap();
    gate.add_permits(1);
    let half_a_minute = Duration::from_secs(30);
    for _ in 0..5 {
        let left = world.clock.somebody_sleeps(half_a_minute).await;
        assert_eq!(mx.recipients().len(), 1);
        world.clock.advance(left);
    }
    world.clock.somebody_sleeps(half_a_minute).await;
    database.execute("ALTER TABLE gone RENAME TO queue", []).unwrap();
    world.clock.advance(half_a_minute);
    assert_eq!(running.await.unwrap().unwrap(), 1);
    assert_eq!((world.queue_len().await, world.run().await), (0, 0));
    assert_eq!(mx.recipients().len(), 1, "sent once");
    let steps = world.events(accepted.journey).await;
    assert_eq!(kinds(&steps).last(), Some(&"attempted"));
}

#[tokio::test]
async fn what_a_dead_node_worked_on_is_taken_up_when_its_lease_runs_out() {
    let (world, mx) = with_wing().await;
    let gate = mx.gate();
    world.send(&[BOB]).await;
    let runner = world.runner.clone();
    let running = tokio::spawn(async move { runner.run_due().await });
    while *mx.at_the_gate.lock().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert_eq!((world.run().await, world.queue_len().await), (0, 1), "still leased");
    gate.add_permits(2);
    world.clock.advance(world.runner.courier().policy.lease_for);
    assert_eq!((world.run().await, world.queue_len().await), (1, 0));
    assert!(!mx.recipients().is_empty());
}

#[tokio::test]
async fn lost_after_the_message_means_deferred_not_doubled_at_once() {
    let world = World::new().await;
    // Takes the whole message and hangs up without a word.
    world.net.serve(
        WING,
        scripted(|line| match line {
            CONNECTED => Some("220 mx\r\n"),
            line if line.starts_with("EHLO") => Some("250 mx\r\n"),
            "." => None,
            "DATA" => Some("354 go\r\n"),
            line if line.starts_with("MAIL") || line.starts_with("RCPT") => Some("250 ok\r\n"),
            _ => Some(""),
        }),
    );
    let accepted = world.send(&[BOB]).await;
    world.run().await;
    let steps = world.events(accepted.journey).await;
    assert_eq!(tally(&steps)["attempted"], 1);
    assert_eq!(kinds(&steps).last(), Some(&"deferred"), "{steps:?}");
    assert_eq!(world.net.connections(), 1);
}

#[tokio::test]
async fn nonsense_from_a_peer_defers() {
    for greeting in ["hello there\r\n", "999 what\r\n", "220-a\r\n550 b\r\n", "\r\n\r\n"] {
        let world = World::new().await;
        world.net.serve(WING, scripted(move |line| (line == CONNECTED).then_some(greeting)));
        let accepted = world.send(&[BOB]).await;
        world.while_time_passes(world.run()).await;
        let steps = world.events(accepted.journey).await;
        assert_eq!(kinds(&steps).last(), Some(&"deferred"), "{greeting:?}: {steps:?}");
    }
}

#[tokio::test]
async fn an_outcome_at_the_end_of_data_decides() {
    let (world, mx) = with_wing().await;
    mx.answer_data(Some(Reply::new(552, (5, 3, 4), "too big for us")));
    let accepted = world.send(&[BOB]).await;
    world.run().await;
    let steps = world.events(accepted.journey).await;
    let Some(Step::Bounced { status, reason, .. }) = steps.last() else { panic!() };
    assert_eq!(status, "5.3.4");
    assert!(reason.contains("too big for us"));
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let (world, mx) = with_wing().await;
    let line = format!("{}\r\n", ".".repeat(70));
    let text = format!("{LETTER}{}", line.repeat(40_000));
    world.submit(from_alice(&[BOB, "alice@wax.test"]), &text).await.unwrap();
    world.run().await;
    let taken = mx.taken.lock().unwrap()[0].1.clone();
    assert!(taken.ends_with(&line.repeat(40_000)) && taken.len() > text.len());
    assert!(world.inbox(world.alice).await[0].ends_with(&line.repeat(40_000)));
}

#[tokio::test]
async fn a_domain_that_became_ours_is_delivered_here() {
    let world = World::new().await;
    let accepted = world.send(&[BOB]).await;
    world.run().await;
    assert_eq!(world.queue_len().await, 1, "its server is away");
    world.store.create_domain("wing.example").await.unwrap();
    let bob = world.account(BOB).await;
    world.run_to_the_end().await;
    let inbox = world.inbox(bob).await;
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].starts_with("Return-Path: <alice@wax.test>\r\n"));
    let journey = world.store.journey(accepted.journey).await.unwrap().unwrap();
    assert_eq!(journey.pending, 0);
    let Some(Step::Attempted { recipients, .. }) = journey.events.last().map(|e| &e.step) else {
        panic!("{:?}", journey.events)
    };
    assert!(matches!(recipients[0].outcome, Outcome::Delivered { .. }));
}

#[tokio::test]
async fn a_full_mailbox_at_the_end_of_the_queue_waits_and_loses_nothing() {
    let world = World::new().await;
    let accepted = world.send(&[BOB]).await;
    world.store.create_domain("wing.example").await.unwrap();
    let bob = world.account(BOB).await;
    world.store.set_quota(&address(BOB), Some(10)).await.unwrap();
    world.run().await;
    assert!(world.inbox(bob).await.is_empty());
    assert_eq!(world.store.queue(None, 10).await.unwrap()[0].last_reason, "the mailbox is full");
    world.store.set_quota(&address(BOB), None).await.unwrap();
    world.run_to_the_end().await;
    assert_eq!(world.inbox(bob).await.len(), 1);
    assert!(!kinds(&world.events(accepted.journey).await).contains(&"bounced"));
}

#[tokio::test]
async fn a_full_mailbox_still_takes_the_news_of_what_was_lost() {
    let (world, mx) = with_wing().await;
    mx.refuse(BOB, unknown());
    let accepted = world.send(&[BOB]).await;
    world.store.set_quota(&address("alice@wax.test"), Some(10)).await.unwrap();
    world.run().await;
    assert_eq!(world.queue_len().await, 0);
    let steps = world.events(accepted.journey).await;
    assert!(matches!(steps.last(), Some(Step::Bounced { report: Some(_), .. })), "{steps:?}");
    assert_eq!(world.inbox(world.alice).await.len(), 1);
}

#[tokio::test]
async fn a_report_that_cannot_be_stored_is_not_what_stops_the_queue() {
    let (world, mx) = with_wing().await;
    mx.refuse(BOB, unknown());
    let accepted = world.send(&[BOB]).await;
    world
        .execute("CREATE TRIGGER t BEFORE INSERT ON journeys BEGIN SELECT RAISE(ABORT, 'no'); END");
    world.while_time_passes(world.run()).await;
    assert_eq!((world.queue_len().await, world.net.connections()), (0, 1));
    let steps = world.events(accepted.journey).await;
    assert!(matches!(steps.last(), Some(Step::Bounced { report: None, .. })), "{steps:?}");
}

#[tokio::test]
async fn what_was_sent_while_the_store_was_away_is_not_sent_again() {
    // Days pass while the message is on its way.
    let world = World::with(|policy| policy.attempt_limit = Duration::MAX).await;
    let mx = Mx::new("mx.wing.example");
    world.net.serve(WING, mx.peer());
    let gate = mx.gate();
    let accepted = world.send(&[BOB]).await;
    let runner = world.runner.clone();
    let mut running = tokio::spawn(async move { runner.run_due().await });
    while mx.open.lock().unwrap().0 == 0 {
        tokio::task::yield_now().await;
    }
    world.execute(
        "CREATE TRIGGER t BEFORE UPDATE ON queue WHEN OLD.state = 1 \
         BEGIN SELECT RAISE(ABORT, 'away'); END",
    );
    gate.add_permits(1);
    // For longer than the lease lasts.
    let end = world.now() + Duration::from_secs(86_400);
    while world.now() < end {
        let left = world.clock.somebody_sleeps(Duration::from_secs(86_400)).await;
        world.clock.advance(left.max(Duration::from_secs(3600)));
        tokio::task::yield_now().await;
    }
    world.execute("DROP TRIGGER t");
    assert_eq!(world.run().await, 0, "this node has it still");
    loop {
        tokio::select! {
            done = &mut running => break assert_eq!(done.unwrap().unwrap(), 1),
            left = world.clock.somebody_sleeps(Duration::from_secs(86_400)) => {
                world.clock.advance(left);
            }
        }
    }
    assert_eq!((mx.recipients().len(), world.queue_len().await), (1, 0));
    assert_eq!(tally(&world.events(accepted.journey).await)["attempted"], 1);
}

#[tokio::test]
async fn a_plain_message_goes_to_a_server_without_smtputf8_whatever_its_client_said() {
    let (world, mx) = with_wing().await;
    mx.set(|settings| settings.extensions.smtputf8 = false);
    let mut envelope = from_alice(&[BOB]);
    envelope.smtputf8 = true;
    world.submit(envelope.clone(), LETTER).await.unwrap();
    world.run().await;
    assert_eq!(mx.recipients().len(), 1);
    let text = LETTER.replace("hello", "grüße");
    let accepted = world.submit(envelope, &text).await.unwrap();
    world.run().await;
    let steps = world.events(accepted.journey).await;
    let Some(Step::Bounced { status, .. }) = steps.last() else { panic!("{steps:?}") };
    assert_eq!((&**status, mx.recipients().len()), ("5.6.7", 1));
}

#[tokio::test]
async fn a_panic_counts_as_an_attempt() {
    let world = World::new().await;
    world.net.serve(WING, std::sync::Arc::new(|_, _| panic!("a defect")));
    world.send(&[BOB]).await;
    world.run().await;
    let waiting = world.store.queue(None, 10).await.unwrap();
    assert_eq!((waiting[0].state, waiting[0].attempts), (QueueState::Waiting, 1));
    assert!(waiting[0].next_attempt_at > world.now());
}

#[tokio::test]
async fn the_running_queue_wakes_for_new_mail_and_stops_when_told() {
    let (world, mx) = with_wing().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(world.runner.clone().run(async {
        let _ = stopped.await;
    }));
    world.send(&[BOB]).await;
    while mx.recipients().is_empty() || world.queue_len().await > 0 {
        tokio::task::yield_now().await;
    }
    // And by itself when something is due again.
    mx.refuse(BOB, busy());
    world.send(&[BOB]).await;
    while world.store.queue(None, 10).await.unwrap().first().is_none_or(|e| e.attempts == 0) {
        tokio::task::yield_now().await;
    }
    mx.accept_again(BOB);
    while let Some(entry) = world.store.queue(None, 10).await.unwrap().first() {
        // Nothing is under way and the runner sleeps: let it.
        if entry.state == QueueState::Waiting {
            world.clock.somebody_sleeps(Duration::from_secs(30)).await;
            world.clock.advance(Duration::from_secs(30));
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(mx.recipients().len(), 2);
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn two_runners_never_send_one_message_twice() {
    let (world, mx) = with_wing().await;
    for n in 0..30 {
        world.send(&[&format!("r{n}@wing.example")]).await;
    }
    let (a, b) = tokio::join!(world.runner.run_due(), world.runner.run_due());
    assert_eq!(a.unwrap() + b.unwrap(), 30);
    let mut recipients = mx.recipients();
    recipients.sort();
    recipients.dedup();
    assert_eq!((recipients.len(), mx.recipients().len()), (30, 30));
}
