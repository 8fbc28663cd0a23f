//! A real Postfix as the foreign domain `foreign.test`, in both directions: TLS, reports of each kind,
//! LMTP, addresses in any script, and the message that pretends to be two.

use waxwing_journeys::mail::{self, arrived_intact, field, fields};
use waxwing_journeys::postfix::{self, Postfix};
use waxwing_journeys::server::SMTP;
use waxwing_journeys::smtp::{Smtp, dot_stuffed};
use waxwing_journeys::waiting::{SOON, until};
use waxwing_journeys::world::{ON_THE_ROAD, World};

const ALICE: &str = "alice@wax.test";
const CAROL: &str = "carol@foreign.test";

/// Both of our servers and Postfix, with `extra` in its main.cf.
fn start(extra: &str) -> (Postfix, World) {
    start_with(extra, |world| format!("smtp:[{}]:{SMTP}", world.wax.setup.ip))
}

fn start_with(extra: &str, to_wax: impl Fn(&World) -> String) -> (Postfix, World) {
    start_in(World::start(), extra, to_wax)
}

fn start_in(world: World, extra: &str, to_wax: impl Fn(&World) -> String) -> (Postfix, World) {
    let ground = &world.ground;
    let address = ground.net.at(3, SMTP);
    ground.names.mail_domain(postfix::DOMAIN, address);
    let pair = ground.authority.issue("mx.foreign.test", &[address.ip()]);
    let postfix = Postfix::start(postfix::Setup {
        address,
        pair: &pair,
        roots: &ground.authority.root,
        users: &["carol", "dave", "даша"],
        transports: &[("wax.test", to_wax(&world))],
        extra,
    });
    (postfix, world)
}

/// Sends a message from carol by way of Postfix.
#[track_caller]
fn from_carol(postfix: &Postfix, to: &str, message: &[u8]) {
    let mut smtp = Smtp::greeted(postfix.address).unwrap();
    smtp.send(CAROL, &[to], message).unwrap().expect(250, "2.0.0");
}

#[test]
fn mail_goes_to_postfix_over_starttls() {
    let (postfix, world) = start("");
    let sent = mail::plain(ALICE, CAROL, "to Postfix");
    let reply = world.wax.submission("alice").send(ALICE, &[CAROL], &sent).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    let arrived = postfix.wait_for_mail("carol", 1, ON_THE_ROAD);
    assert!(arrived_intact(&sent, &arrived[0]));
    let received = fields(&arrived[0], "Received");
    assert!(received[0].contains("using TLSv1.3"), "Postfix saw TLS: {received:?}");
    assert!(received[0].contains("mx.wax.test"), "and our name: {received:?}");
    let attempted = world.wax.wait_for_step(&journey, "attempted", SOON);
    assert_eq!(attempted["tls"]["version"], "TLSv1.3", "{attempted}");
    assert_eq!(attempted["tls"]["peer_verified"], true, "{attempted}");
    assert_eq!(attempted["host"], "mx.foreign.test");
    let outcome = &attempted["recipients"][0];
    assert_eq!(outcome["outcome"], "delivered");
    assert!(outcome["reply"]["text"].as_str().unwrap().contains("queued as"), "{outcome}");
}

#[test]
fn mail_comes_from_postfix_over_starttls() {
    let (postfix, world) = start("");
    let sent = mail::plain(CAROL, ALICE, "from Postfix");
    from_carol(&postfix, ALICE, &sent);
    let arrived = world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    assert!(arrived_intact(&sent, &arrived[0].octets));
    let received = fields(&arrived[0].octets, "Received");
    assert!(received[0].contains("ESMTPS"), "{received:?}");
    assert!(received[0].contains("mail.foreign.test"), "{received:?}");
    assert!(received[0].contains("TLS"), "{received:?}");
    postfix.wait_for_log(&["Trusted TLS connection established", "TLSv1.3"], SOON);
    postfix.wait_for_log(&["status=sent", "250 2.0.0 accepted"], SOON);
}

#[test]
fn every_octet_goes_to_postfix_and_comes_back() {
    let (postfix, world) = start("");
    let gallery = mail::gallery(ALICE, CAROL);
    let mut smtp = world.wax.submission("alice");
    for (name, message) in &gallery {
        let reply = smtp.send(ALICE, &[CAROL], message).unwrap();
        assert!(reply.is_ok(), "{name}: {reply:?}");
    }
    let arrived = postfix.wait_for_mail("carol", gallery.len(), ON_THE_ROAD * 2);
    for (name, sent) in &gallery {
        let found = arrived.iter().any(|message| arrived_intact(sent, message));
        assert!(found, "{name} was changed on the way to Postfix");
    }

    let gallery = mail::gallery(CAROL, ALICE);
    for (_, message) in &gallery {
        from_carol(&postfix, ALICE, message);
    }
    let arrived = world.wax.wait_for_mail("alice", gallery.len(), ON_THE_ROAD * 2);
    for (name, sent) in &gallery {
        let found = arrived.iter().any(|message| arrived_intact(sent, &message.octets));
        assert!(found, "{name} was changed on the way from Postfix");
    }
}

#[test]
fn without_tls_at_postfix_mail_still_goes() {
    let (postfix, world) = start("smtpd_tls_security_level = none");
    let sent = mail::plain(ALICE, CAROL, "in the clear");
    let reply = world.wax.submission("alice").send(ALICE, &[CAROL], &sent).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    postfix.wait_for_mail("carol", 1, ON_THE_ROAD);
    let attempted = world.wax.wait_for_step(&journey, "attempted", SOON);
    assert!(attempted["tls"].is_null(), "the journey says so: {attempted}");
}

#[test]
fn a_certificate_that_fits_nothing_is_used_and_noted() {
    let (postfix, world) = start("");
    // The MX host has another name than the certificate.
    let ip = postfix.address.ip();
    world.ground.names.zone(postfix::DOMAIN, &format!("@ MX 10 other\nother A {ip}\n"));
    let sent = mail::plain(ALICE, CAROL, "another name");
    let reply = world.wax.submission("alice").send(ALICE, &[CAROL], &sent).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    postfix.wait_for_mail("carol", 1, ON_THE_ROAD);
    let attempted = world.wax.wait_for_step(&journey, "attempted", SOON);
    assert_eq!(attempted["tls"]["peer_verified"], false, "{attempted}");
}

#[test]
fn what_postfix_refuses_bounces_to_alice() {
    let (_postfix, world) = start("");
    let to = "nobody@foreign.test";
    let sent = mail::plain(ALICE, to, "to nobody at Postfix");
    world.wax.submission("alice").send(ALICE, &[to], &sent).unwrap().expect(250, "2.0.0");
    let report = world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    let text = String::from_utf8_lossy(&report[0].octets).into_owned();
    assert!(text.contains("Status: 5.1.1"), "{text}");
    assert!(text.contains("User unknown"), "Postfix's own words: {text}");
    assert!(text.contains("mx.foreign.test"), "{text}");
}

#[test]
fn what_we_refuse_bounces_to_carol() {
    let (postfix, _world) = start("");
    from_carol(&postfix, "nobody@wax.test", &mail::plain(CAROL, "nobody@wax.test", "to nobody"));
    let report = postfix.wait_for_mail("carol", 1, ON_THE_ROAD);
    let text = String::from_utf8_lossy(&report[0]).into_owned();
    assert!(text.contains("Status: 5.1.1"), "{text}");
    assert!(text.contains("Diagnostic-Code: smtp; 550 5.1.1"), "our words: {text}");
}

#[test]
fn a_bounce_that_postfix_makes_reaches_alice() {
    // Accepted by Postfix, forwarded to nobody of ours, refused by us: Postfix tells alice.
    let forward = "virtual_alias_maps = inline:{ {away@foreign.test=nobody@wax.test} }";
    let (postfix, world) = start(forward);
    let to = "away@foreign.test";
    let sent = mail::plain(ALICE, to, "forwarded to nobody");
    world.wax.submission("alice").send(ALICE, &[to], &sent).unwrap().expect(250, "2.0.0");
    let report = world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    let octets = &report[0].octets;
    let text = String::from_utf8_lossy(octets).into_owned();
    assert_eq!(field(octets, "Return-Path").as_deref(), Some("<>"), "{text}");
    assert!(text.contains("Mail Delivery System") && text.contains("nobody@wax.test"), "{text}");
    until(SOON, "an empty queue of Postfix", || postfix.queue_length() == 0);
}

#[test]
fn our_bounce_reaches_carol_at_postfix() {
    let (postfix, world) = start("");
    world.wax.cli(&["alias", "add", "old@wax.test", "nobody@foreign.test"]).ok();
    from_carol(&postfix, "old@wax.test", &mail::plain(CAROL, "old@wax.test", "to an old address"));
    let report = postfix.wait_for_mail("carol", 1, ON_THE_ROAD);
    let text = String::from_utf8_lossy(&report[0]).into_owned();
    assert_eq!(field(&report[0], "Return-Path").as_deref(), Some("<>"), "{text}");
    assert!(text.contains("Reporting-MTA: dns; mx.wax.test"), "{text}");
    assert!(text.contains("Status: 5.1.1"), "{text}");
    assert!(text.contains("Subject: to an old address"), "{text}");
    until(SOON, "an empty queue", || world.wax.queue().is_empty());
}

#[test]
fn reports_of_success_go_both_ways() {
    let (postfix, world) = start("");
    // Postfix is the last server and says so to alice.
    let mut smtp = world.wax.submission("alice");
    let sent = mail::plain(ALICE, CAROL, "tell alice");
    smtp.command(&format!("MAIL FROM:<{ALICE}> ENVID=one")).unwrap().expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{CAROL}> NOTIFY=SUCCESS")).unwrap().expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(dot_stuffed(&sent)).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    let report = world.wax.wait_for_mail("alice", 1, ON_THE_ROAD);
    let text = String::from_utf8_lossy(&report[0].octets).into_owned();
    assert!(text.contains("Original-Envelope-Id: one"), "{text}");
    assert!(text.contains("Action: delivered"), "{text}");

    // We are the last server and say so to carol.
    let mut smtp = Smtp::greeted(postfix.address).unwrap();
    let sent = mail::plain(CAROL, ALICE, "tell carol");
    smtp.command(&format!("MAIL FROM:<{CAROL}> ENVID=two")).unwrap().expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{ALICE}> NOTIFY=SUCCESS")).unwrap().expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(dot_stuffed(&sent)).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    // Beside what alice sent.
    let mails = postfix.wait_for_mail("carol", 2, ON_THE_ROAD);
    let report = mails.iter().find(|m| field(m, "Return-Path").as_deref() == Some("<>"));
    let text = String::from_utf8_lossy(report.unwrap()).into_owned();
    assert!(text.contains("Original-Envelope-Id: two"), "{text}");
    assert!(text.contains("Action: delivered"), "{text}");
    assert!(text.contains("Reporting-MTA: dns; mx.wax.test"), "{text}");
}

#[test]
fn postfix_delivers_by_lmtp() {
    let (postfix, world) = start_with("", |world| format!("lmtp:inet:{}", world.wax.at("lmtp")));
    let mut smtp = Smtp::greeted(postfix.address).unwrap();
    let sent = mail::plain(CAROL, ALICE, "by LMTP");
    // One recipient of three does not exist: two get it, carol hears of the third.
    let to = [ALICE, "amy@wax.test", "nobody@wax.test"];
    smtp.send(CAROL, &to, &sent).unwrap().expect(250, "2.0.0");
    for user in ["alice", "amy"] {
        let arrived = world.wax.wait_for_mail(user, 1, ON_THE_ROAD);
        assert!(arrived_intact(&sent, &arrived[0].octets));
        let received = fields(&arrived[0].octets, "Received");
        assert!(received[0].contains("LMTP"), "{received:?}");
    }
    let report = postfix.wait_for_mail("carol", 1, ON_THE_ROAD);
    let text = String::from_utf8_lossy(&report[0]).into_owned();
    assert!(text.contains("nobody@wax.test") && !text.contains("amy@wax.test>:"), "{text}");
}

#[test]
fn addresses_in_any_script_go_to_postfix_and_come_back() {
    let (postfix, world) = start("");
    world.wax.add_user("älice");
    let (from, to) = ("älice@wax.test", "даша@foreign.test");
    let mut smtp = world.wax.submission("älice");
    let sent = mail::message(from, to, "Привет", "", "x\r\n".as_bytes());
    smtp.command(&format!("MAIL FROM:<{from}> SMTPUTF8")).unwrap().expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{to}>")).unwrap().expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(dot_stuffed(&sent)).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    let arrived = postfix.wait_for_mail("даша", 1, ON_THE_ROAD);
    assert!(arrived_intact(&sent, &arrived[0]));

    let mut smtp = Smtp::greeted(postfix.address).unwrap();
    let back = mail::message(to, from, "Ответ", "", "y\r\n".as_bytes());
    smtp.command(&format!("MAIL FROM:<{to}> SMTPUTF8")).unwrap().expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{from}>")).unwrap().expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(dot_stuffed(&back)).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    let arrived = world.wax.wait_for_mail("älice", 1, ON_THE_ROAD);
    assert!(arrived_intact(&back, &arrived[0].octets));
}

#[test]
fn a_postfix_without_smtputf8_makes_such_mail_bounce() {
    let (_postfix, world) = start("smtputf8_enable = no");
    world.wax.add_user("älice");
    let (from, to) = ("älice@wax.test", CAROL);
    let sent = mail::message(from, to, "Привет", "", b"x\r\n");
    let mut smtp = world.wax.submission("älice");
    smtp.command(&format!("MAIL FROM:<{from}> SMTPUTF8")).unwrap().expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{to}>")).unwrap().expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(dot_stuffed(&sent)).unwrap();
    let journey = smtp.reply().unwrap().expect(250, "2.0.0").journey();
    let bounced = world.wax.wait_for_step(&journey, "bounced", ON_THE_ROAD);
    assert_eq!(bounced["status"], "5.6.7", "RFC 6531 §3.5: {bounced}");
}

#[test]
fn a_postfix_that_defers_is_tried_until_it_takes() {
    // Postfix refuses carol for now; then it is told not to. Each try is a new connection, or the
    // process that we talk to would not hear of it: idle ones are kept for five seconds.
    let world = World::with(|wax, _| {
        wax.outbound.retain(|line| !line.starts_with("retry"));
        wax.outbound.push("retry = [\"6s\"]".to_owned());
    });
    let later = "smtpd_recipient_restrictions = check_recipient_access \
                 inline:{{carol@foreign.test=450 4.2.0 come back later}}";
    let (postfix, world) =
        start_in(world, later, |world| format!("smtp:[{}]:{SMTP}", world.wax.setup.ip));
    let sent = mail::plain(ALICE, CAROL, "patience");
    let reply = world.wax.submission("alice").send(ALICE, &[CAROL], &sent).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    let deferred = world.wax.wait_for_step(&journey, "deferred", ON_THE_ROAD);
    assert!(deferred["reason"].as_str().unwrap().contains("come back later"), "{deferred}");
    postfix.set("smtpd_recipient_restrictions", "");
    let arrived = postfix.wait_for_mail("carol", 1, ON_THE_ROAD);
    assert!(arrived_intact(&sent, &arrived[0]));
}

/// The ends of data that some server somewhere has taken for CRLF.CRLF.
const FALSE_ENDS: [&str; 8] =
    ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n\0.\r\n", "\r\r\n.\r\r\n"];

fn two_in_one(false_end: &str, from: &str, to: &str, smuggled_to: &str) -> String {
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: outer\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{}@client.test>\r\n\r\n\
         outer{false_end}MAIL FROM:<{from}>\r\nRCPT TO:<{smuggled_to}>\r\nDATA\r\n\
         Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n",
        mail::unique()
    )
}

#[test]
fn a_false_end_of_data_never_makes_two_messages_of_one() {
    let world = World::start();
    for false_end in FALSE_ENDS {
        let mut smtp = world.wax.smtp();
        smtp.command("MAIL FROM:<x@client.test>").unwrap().expect(250, "2.1.0");
        smtp.command(&format!("RCPT TO:<{ALICE}>")).unwrap().expect(250, "2.1.5");
        smtp.command("DATA").unwrap().expect(354, "");
        let message = two_in_one(false_end, "x@client.test", ALICE, "amy@wax.test");
        smtp.wire.send(message).unwrap();
        let reply = smtp.reply().unwrap();
        let harmless = false_end.contains('\0');
        assert!(reply.code / 100 == 5 || harmless, "{false_end:?} was answered {reply:?}");
        // One message, one reply: what follows is in step.
        if let Ok(reply) = smtp.command("NOOP") {
            assert!([250, 421].contains(&reply.code), "{false_end:?}: {reply:?}");
        }
    }
    assert!(world.wax.inbox("amy").fetch_all().unwrap().is_empty(), "smuggled");
    for message in world.wax.inbox("alice").fetch_all().unwrap() {
        assert_eq!(field(&message.octets, "Subject").as_deref(), Some("outer"));
    }
}

#[test]
fn we_smuggle_nothing_into_postfix() {
    let (postfix, world) = start("");
    let mut accepted = 0;
    for false_end in FALSE_ENDS {
        // As chunks, in which a false end is plain content.
        let mut smtp = world.wax.submission("alice");
        smtp.command(&format!("MAIL FROM:<{ALICE}> BODY=BINARYMIME")).unwrap();
        smtp.command(&format!("RCPT TO:<{CAROL}>")).unwrap().expect(250, "2.1.5");
        let message = two_in_one(false_end, ALICE, CAROL, "dave@foreign.test");
        smtp.wire.send(format!("BDAT {} LAST\r\n", message.len())).unwrap();
        smtp.wire.send(&message).unwrap();
        let reply = smtp.reply().unwrap();
        assert!(reply.is_ok() || reply.code / 100 == 5, "{false_end:?}: {reply:?}");
        accepted += usize::from(reply.is_ok());
    }
    // Each that was accepted arrives once or comes back as a bounce.
    until(ON_THE_ROAD, "an end for each message", || {
        let bounced = world.wax.inbox("alice").fetch_all().unwrap().len();
        postfix.mailbox("carol").len() + bounced >= accepted && world.wax.queue().is_empty()
    });
    assert!(postfix.mailbox("dave").is_empty(), "smuggled");
    for message in postfix.mailbox("carol") {
        assert_eq!(field(&message, "Subject").as_deref(), Some("outer"));
    }
}

#[test]
fn what_postfix_lets_through_is_two_messages_to_us_only_if_it_says_so() {
    // Postfix 3.7 takes LF.CRLF for an end. Whatever it makes of it, it says to us in CRLF: the
    // messages that we store are those that it counts.
    let (postfix, world) = start("");
    let mut smtp = Smtp::greeted(postfix.address).unwrap();
    smtp.command(&format!("MAIL FROM:<{CAROL}>")).unwrap();
    smtp.command(&format!("RCPT TO:<{ALICE}>")).unwrap();
    smtp.command("DATA").unwrap();
    smtp.wire.send(two_in_one("\r\n.\r", CAROL, ALICE, "amy@wax.test")).unwrap();
    let _ = smtp.reply().unwrap();
    until(ON_THE_ROAD, "an empty queue of Postfix", || postfix.queue_length() == 0);
    let sent = postfix.log().matches("250 2.0.0 accepted").count();
    let stored = ["alice", "amy"].map(|user| world.wax.inbox(user).fetch_all().unwrap().len());
    assert_eq!(stored.iter().sum::<usize>(), sent);
}
