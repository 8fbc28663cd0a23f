//! Who gets what: aliases, catch-all, plus addressing, Bcc; what is refused and with which code; what
//! is tried again, given up and reported.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;
use waxwing_journeys::mail::{self, field, fields};
use waxwing_journeys::server::{SMTP, Server, steps};
use waxwing_journeys::smtp::Smtp;
use waxwing_journeys::waiting::{SOON, eventually, until};
use waxwing_journeys::world::{ON_THE_ROAD, World};

const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";

/// Submits from alice; the journey.
#[track_caller]
fn submit(world: &World, to: &[&str], subject: &str) -> String {
    let message = mail::plain(ALICE, to[0], subject);
    let mut smtp = world.wax.submission("alice");
    smtp.send(ALICE, to, &message).unwrap().expect(250, "2.0.0").journey()
}

#[track_caller]
fn subjects(server: &Server, local: &str, count: usize) -> Vec<String> {
    let mut all: Vec<_> = server
        .wait_for_mail(local, count, ON_THE_ROAD)
        .iter()
        .map(|message| field(&message.octets, "Subject").unwrap_or_default())
        .collect();
    all.sort();
    all
}

// ---- who gets it ----

#[test]
fn an_alias_leads_to_everybody_it_names_once() {
    let world = World::start();
    for target in ["alice@wax.test", "amy@wax.test", BOB, "more@wax.test"] {
        world.wax.cli(&["alias", "add", "team@wax.test", target]).ok();
    }
    // Alice is reached twice; she gets one copy.
    world.wax.cli(&["alias", "add", "more@wax.test", "alice@wax.test"]).ok();
    let mut smtp = world.wing.submission("ben");
    let from = "ben@wing.test";
    let message = mail::plain(from, "team@wax.test", "for the team");
    smtp.send(from, &["team@wax.test"], &message).unwrap().expect(250, "2.0.0");
    world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);
    for user in ["alice", "amy"] {
        assert_eq!(subjects(&world.wax, user, 1), ["for the team"]);
    }
    let list = world.wax.cli(&["alias", "list"]).ok().out();
    assert!(list.contains("team@wax.test") && list.contains(BOB), "{list}");

    world.wax.cli(&["alias", "remove", "team@wax.test"]).ok();
    let reply = smtp.command(&format!("MAIL FROM:<{from}>")).unwrap();
    reply.expect(250, "");
    // The next server says that nobody is there: ben is told.
    smtp.command("RSET").unwrap();
    smtp.send(from, &["team@wax.test"], &message).unwrap().expect(250, "2.0.0");
    let report = world.wing.wait_for_mail("ben", 1, ON_THE_ROAD);
    assert!(String::from_utf8_lossy(&report[0].octets).contains("5.1.1"));
}

#[test]
fn aliases_that_go_round_do_not_go_on_for_ever() {
    let world = World::start();
    world.wax.cli(&["alias", "add", "one@wax.test", "two@wax.test"]).ok();
    // Refusing the circle when it is made is as good as refusing the mail.
    let circle = world.wax.cli(&["alias", "add", "two@wax.test", "one@wax.test"]);
    let mut smtp = world.wax.smtp();
    smtp.command("MAIL FROM:<x@client.test>").unwrap().expect(250, "2.1.0");
    let reply = smtp.command("RCPT TO:<one@wax.test>").unwrap();
    assert_eq!(reply.code / 100, 5, "{reply:?} after {circle}");
}

#[test]
fn the_catch_all_gets_what_nobody_else_gets() {
    let world = World::start();
    world.wax.cli(&["domain", "catch-all", "wax.test", "amy@wax.test"]).ok();
    submit(&world, &["alice@wax.test"], "for alice");
    submit(&world, &["whoever@wax.test"], "for whoever");
    assert_eq!(subjects(&world.wax, "amy", 1), ["for whoever"]);
    assert_eq!(subjects(&world.wax, "alice", 1), ["for alice"]);
    world.wax.cli(&["domain", "catch-all", "wax.test", "none"]).ok();
    let mut smtp = world.wax.smtp();
    smtp.command("MAIL FROM:<x@client.test>").unwrap().expect(250, "2.1.0");
    smtp.command("RCPT TO:<whoever@wax.test>").unwrap().expect(550, "5.1.1");
}

#[test]
fn plus_addressing_reaches_the_account() {
    let world = World::start();
    submit(&world, &["bob+lists@wing.test"], "a detail");
    assert_eq!(subjects(&world.wing, "bob", 1), ["a detail"]);
    // And one may send as it.
    let from = "alice+lists@wax.test";
    let message = mail::plain(from, BOB, "from a detail");
    let mut smtp = world.wax.submission("alice");
    smtp.send(from, &[BOB], &message).unwrap().expect(250, "2.0.0");
    assert_eq!(subjects(&world.wing, "bob", 2), ["a detail", "from a detail"]);
}

#[test]
fn addresses_are_the_same_in_any_case() {
    let world = World::start();
    let mut smtp = world.wing.smtp();
    let message = mail::plain("x@client.test", BOB, "BOB");
    smtp.send("x@client.test", &["BOB@Wing.TEST"], &message).unwrap().expect(250, "2.0.0");
    assert_eq!(subjects(&world.wing, "bob", 1), ["BOB"]);
}

#[test]
fn bcc_is_stripped_and_everybody_gets_it() {
    let world = World::start();
    let message = mail::message(
        ALICE,
        BOB,
        "secretly",
        "Bcc: <ben@wing.test>,\r\n <amy@wax.test>\r\nContent-Type: text/plain\r\n",
        b"x\r\n",
    );
    let mut smtp = world.wax.submission("alice");
    let to = [BOB, "ben@wing.test", "amy@wax.test"];
    smtp.send(ALICE, &to, &message).unwrap().expect(250, "2.0.0");
    for (server, user) in [(&world.wing, "bob"), (&world.wing, "ben"), (&world.wax, "amy")] {
        let octets = &server.wait_for_mail(user, 1, ON_THE_ROAD)[0].octets;
        let text = String::from_utf8_lossy(octets).into_owned();
        let lower = text.to_ascii_lowercase();
        assert!(!lower.contains("bcc:"), "{user}: {text}");
        for other in ["ben@wing.test", "amy@wax.test"] {
            let own = other.starts_with(user);
            assert!(own || !lower.contains(other), "{user} sees {other}: {text}");
        }
        assert!(text.contains("Subject: secretly\r\n") && text.ends_with("\r\n\r\nx\r\n"));
    }
}

#[test]
fn submission_adds_what_is_missing() {
    let world = World::start();
    let mut smtp = world.wax.submission("alice");
    let message = b"From: <alice@wax.test>\r\nTo: <bob@wing.test>\r\nSubject: bare\r\n\r\nx\r\n";
    let reply = smtp.send(ALICE, &[BOB], message).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    let octets = &world.wing.wait_for_mail("bob", 1, ON_THE_ROAD)[0].octets;
    assert_eq!(fields(octets, "Date").len(), 1);
    let id = field(octets, "Message-ID").expect("RFC 6409 §8.3");
    assert!(id.starts_with('<') && id.ends_with('>') && id.contains('@'), "{id}");
    let accepted = world.wax.wait_for_step(&journey, "accepted", SOON);
    let repairs = accepted["repairs"].to_string();
    assert!(repairs.contains("Date") && repairs.contains("Message-ID"), "{accepted}");
}

// ---- what is refused ----

#[test]
fn refusals_carry_the_right_codes() {
    let world = World::start();
    world.wax.cli(&["user", "disable", "amy@wax.test"]).ok();
    let mut smtp = world.wax.smtp();
    smtp.command("MAIL FROM:<x@client.test>").unwrap().expect(250, "2.1.0");
    smtp.command("RCPT TO:<nobody@wax.test>").unwrap().expect(550, "5.1.1");
    smtp.command("RCPT TO:<amy@wax.test>").unwrap().expect(550, "5.2.1");
    smtp.command("RCPT TO:<someone@elsewhere.test>").unwrap().expect(550, "5.7.1");
    smtp.command("RCPT TO:<not an address>").unwrap().expect(501, "5.1.3");
    // RFC 5321 §3.3: "503 or 554 (no valid recipients)".
    smtp.command("DATA").unwrap().expect(554, "5.5.1");
    smtp.command("RCPT TO:<alice@wax.test>").unwrap().expect(250, "2.1.5");
    // One bad recipient harms no other.
    smtp.command("DATA").unwrap().expect(354, "");
    let message = mail::plain("x@client.test", ALICE, "after refusals");
    smtp.wire.send(waxwing_journeys::smtp::dot_stuffed(&message)).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    assert_eq!(subjects(&world.wax, "alice", 1), ["after refusals"]);
}

#[test]
fn nobody_relays_or_lends_a_name() {
    let world = World::start();
    // Without login, the submission port takes nothing.
    let mut smtp = Smtp::greeted(world.wax.at("submission")).unwrap();
    smtp.command("MAIL FROM:<alice@wax.test>").unwrap().expect(530, "5.7.0");
    // With login, only one's own addresses.
    let mut smtp = world.wax.submission("alice");
    let from_amy = mail::plain("amy@wax.test", BOB, "not amy");
    let reply = smtp.send("amy@wax.test", &[BOB], &from_amy).unwrap();
    assert!([550, 553].contains(&reply.code) && reply.text.starts_with("5.7.1"), "{reply:?}");
    // Nor in the header.
    smtp.command("RSET").unwrap();
    let reply = smtp.send(ALICE, &[BOB], &from_amy).unwrap();
    assert_eq!(reply.code / 100, 5, "From of another: {reply:?}");
    // An alias that leads to one is one's own.
    world.wax.cli(&["alias", "add", "info@wax.test", ALICE]).ok();
    smtp.command("RSET").unwrap();
    let from_info = mail::plain("info@wax.test", BOB, "from info");
    smtp.send("info@wax.test", &[BOB], &from_info).unwrap().expect(250, "2.0.0");
    assert_eq!(subjects(&world.wing, "bob", 1), ["from info"]);
    // AUTH is not offered to other servers.
    let mut smtp = Smtp::connect(world.wax.at("smtp")).unwrap();
    let ehlo = smtp.command("EHLO client.test").unwrap().text;
    assert!(!ehlo.contains("AUTH"), "{ehlo}");
}

#[test]
fn what_is_too_large_is_refused_early_and_late() {
    let world = World::with(|wax, _| wax.limits.push("message-size = \"1 MB\"".to_owned()));
    let mut smtp = world.wax.smtp();
    let ehlo = smtp.command("EHLO client.test").unwrap().text;
    assert!(ehlo.contains("SIZE 1"), "{ehlo}");
    smtp.command("MAIL FROM:<x@client.test> SIZE=2000000").unwrap().expect(552, "5.3.4");
    // Without SIZE, when it has come.
    let body = "0123456789abcdef\r\n".repeat(120_000);
    let message = mail::message("x@client.test", ALICE, "huge", "", body.as_bytes());
    let reply = smtp.send("x@client.test", &[ALICE], &message).unwrap();
    reply.expect(552, "5.3.4");
    // The session goes on.
    let small = mail::plain("x@client.test", ALICE, "small");
    smtp.send("x@client.test", &[ALICE], &small).unwrap().expect(250, "2.0.0");
    assert_eq!(subjects(&world.wax, "alice", 1), ["small"]);
}

#[test]
fn a_full_mailbox_refuses_and_the_sender_is_told() {
    let world = World::start();
    world.wing.cli(&["user", "quota", BOB, "20 KB"]).ok();
    let body = "0123456789abcdef\r\n".repeat(2_000);
    let message = mail::message(ALICE, BOB, "36 KB", "", body.as_bytes());
    // Straight to the server: temporary or permanent, but said and with X.2.2.
    let mut smtp = world.wing.smtp();
    let reply = smtp.send(ALICE, &[BOB], &message).unwrap();
    assert!([452, 552].contains(&reply.code), "{reply:?}");
    assert!(reply.text.get(1..).unwrap().starts_with(".2.2"), "{reply:?}");
    assert!(world.wing.inbox("bob").fetch_all().unwrap().is_empty());
    // Who says the size beforehand hears of it before the data (RFC 1870 §6.1).
    let mut smtp = world.wing.smtp();
    smtp.command("EHLO client.test").unwrap().expect(250, "");
    smtp.command(&format!("MAIL FROM:<{ALICE}> SIZE=36000")).unwrap().expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{BOB}>")).unwrap().expect(552, "5.2.2");
    // What fits still comes.
    submit(&world, &[BOB], "small");
    assert_eq!(subjects(&world.wing, "bob", 1), ["small"]);
}

// ---- what is tried again, given up, reported ----

/// The report in a mailbox: its human part and its fields for machines.
#[track_caller]
fn report(server: &Server, local: &str) -> (String, String) {
    let messages = server.wait_for_mail(local, 1, ON_THE_ROAD);
    let octets = &messages[0].octets;
    let text = String::from_utf8_lossy(octets).into_owned();
    assert_eq!(field(octets, "Return-Path").as_deref(), Some("<>"), "RFC 3461 §6.1: {text}");
    let kind = field(octets, "Content-Type").unwrap();
    assert!(kind.starts_with("multipart/report"), "{kind}");
    assert!(kind.contains("delivery-status"), "{kind}");
    let auto = field(octets, "Auto-Submitted").unwrap_or_default();
    assert!(auto.starts_with("auto-"), "RFC 3834 §5: {text}");
    let status = text.split("message/delivery-status").nth(1).expect("a part for machines");
    let status = status.split("\r\n--").next().unwrap_or_default();
    (text.clone(), status.to_owned())
}

#[test]
fn an_unknown_recipient_elsewhere_bounces_in_words_and_in_fields() {
    let world = World::start();
    let journey = submit(&world, &["nobody@wing.test"], "to nobody");
    let (text, status) = report(&world.wax, "alice");
    for line in [
        "Reporting-MTA: dns; mx.wax.test",
        "Final-Recipient: rfc822; nobody@wing.test",
        "Action: failed",
        "Status: 5.1.1",
        "Diagnostic-Code: smtp; 550",
        "Remote-MTA: dns; mx",
    ] {
        let found = status.to_ascii_lowercase().contains(&line.to_ascii_lowercase());
        assert!(found, "{line} is missing:\n{status}");
    }
    let words = text.split("message/delivery-status").next().unwrap();
    assert!(words.contains("nobody@wing.test"), "the words name the recipient: {words}");
    assert!(text.contains("Subject: to nobody"), "the header comes back");
    let bounced = world.wax.wait_for_step(&journey, "bounced", SOON);
    assert_eq!(bounced["status"], "5.1.1");
    assert!(bounced["report"].is_string(), "{bounced}");
    assert!(world.wax.queue().is_empty());
}

#[test]
fn one_of_two_fails_and_the_other_gets_it() {
    let world = World::start();
    submit(&world, &[BOB, "nobody@wing.test"], "half");
    assert_eq!(subjects(&world.wing, "bob", 1), ["half"]);
    let (_, status) = report(&world.wax, "alice");
    assert!(status.contains("nobody@wing.test") && !status.contains(BOB), "{status}");
}

#[test]
fn a_dead_domain_bounces_at_once() {
    let world = World::start();
    world.ground.names.zone("dead.test", "@ TXT \"nobody takes mail here\"\n");
    world.ground.names.zone("test", "");
    for domain in ["dead.test", "missing.test"] {
        let journey = submit(&world, &[&format!("someone@{domain}")], domain);
        let bounced = world.wax.wait_for_step(&journey, "bounced", ON_THE_ROAD);
        let status = bounced["status"].as_str().unwrap();
        assert!(status.starts_with("5."), "{domain}: {bounced}");
    }
    world.wax.wait_for_mail("alice", 2, ON_THE_ROAD);
}

#[test]
fn a_null_mx_bounces_with_its_own_status() {
    let world = World::start();
    world.ground.names.zone("nomail.test", "@ MX 0 .\n");
    let journey = submit(&world, &["someone@nomail.test"], "null MX");
    let bounced = world.wax.wait_for_step(&journey, "bounced", ON_THE_ROAD);
    assert_eq!(bounced["status"], "5.1.10", "RFC 7505 §4.2");
    let (_, status) = report(&world.wax, "alice");
    assert!(status.contains("Status: 5.1.10"), "{status}");
}

#[test]
fn without_mx_the_address_record_is_tried() {
    let world = World::start();
    let ip = world.wing.setup.ip;
    world.wing.cli(&["domain", "add", "implicit.test"]).ok();
    world.wing.cli(&["alias", "add", "bob@implicit.test", BOB]).ok();
    world.ground.names.zone("implicit.test", &format!("@ A {ip}\n"));
    let journey = submit(&world, &["bob@implicit.test"], "implicit MX");
    assert_eq!(subjects(&world.wing, "bob", 1), ["implicit MX"]);
    let routed = world.wax.wait_for_step(&journey, "routed", SOON);
    assert!(routed["by"].as_str().unwrap().contains("implicit"), "{routed}");
}

#[test]
fn the_second_mx_is_tried_when_the_first_is_silent() {
    let world = World::start();
    let (dead, alive) = (world.ground.net.host(77), world.wing.setup.ip);
    let zone = format!("@ MX 10 dead\n@ MX 20 alive\ndead A {dead}\nalive A {alive}\n");
    world.ground.names.zone("wing.test", &zone);
    let journey = submit(&world, &[BOB], "second MX");
    assert_eq!(subjects(&world.wing, "bob", 1), ["second MX"]);
    let routed = world.wax.wait_for_step(&journey, "routed", SOON);
    let hosts: Vec<&str> =
        routed["hosts"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(hosts[0].starts_with("dead.wing.test"), "in order of preference: {hosts:?}");
    assert!(hosts[1].starts_with("alive.wing.test"), "{hosts:?}");
}

#[test]
fn an_unreachable_host_is_tried_again_until_it_answers() {
    let mut world = World::start();
    world.wing.stop();
    let journey = submit(&world, &[BOB], "patience");
    world.wax.wait_for_step(&journey, "deferred", ON_THE_ROAD);
    let queued = world.wax.queue();
    assert_eq!(queued.len(), 1, "{queued:?}");
    until(ON_THE_ROAD, "three attempts", || {
        let journey = world.wax.journey(&journey);
        steps(&journey).iter().filter(|step| step["step"] == "attempted").count() >= 3
    });
    world.wing.run();
    assert_eq!(subjects(&world.wing, "bob", 1), ["patience"]);
    until(SOON, "an empty queue", || world.wax.queue().is_empty());
    let journey = world.wax.journey(&journey);
    let delivered = journey.to_string().contains("\"outcome\":\"delivered\"");
    assert!(delivered, "{journey:#}");
}

#[test]
fn a_restart_loses_nothing_that_waits() {
    let mut world = World::start();
    world.wing.stop();
    for number in 0..5 {
        submit(&world, &[BOB], &format!("waiting {number}"));
    }
    world.wax.stop();
    world.wing.run();
    world.wax.run();
    assert_eq!(subjects(&world.wing, "bob", 5).len(), 5);
    until(SOON, "an empty queue", || world.wax.queue().is_empty());
    assert_eq!(subjects(&world.wing, "bob", 5).len(), 5, "no more than five");
}

#[test]
fn the_sender_hears_of_a_delay_and_then_of_the_end() {
    let mut world = World::with(|wax, _| {
        wax.outbound.push("warn-after = \"2s\"".to_owned());
        wax.outbound.push("expire-after = \"8s\"".to_owned());
    });
    world.wing.stop();
    let journey = submit(&world, &[BOB], "too late");
    world.wax.wait_for_step(&journey, "delay_warned", ON_THE_ROAD);
    let (_, status) = report(&world.wax, "alice");
    assert!(status.contains("Action: delayed") && status.contains("Status: 4."), "{status}");
    let bounced = world.wax.wait_for_step(&journey, "bounced", ON_THE_ROAD);
    assert!(bounced["status"].as_str().unwrap().starts_with(['4', '5']), "{bounced}");
    let messages = world.wax.wait_for_mail("alice", 2, ON_THE_ROAD);
    let last = String::from_utf8_lossy(&messages[1].octets).into_owned();
    assert!(last.contains("Action: failed"), "{last}");
    assert!(world.wax.queue().is_empty());
}

#[test]
fn a_host_that_says_not_now_is_asked_again() {
    let world = World::start();
    // A server of our own that refuses twice, then takes the message.
    let address = world.ground.net.at(9, SMTP);
    world.ground.names.mail_domain("busy.test", address);
    let listener = TcpListener::bind(address).unwrap();
    let served = std::thread::spawn(move || {
        let mut refusals_left = 2;
        loop {
            let (stream, _) = listener.accept().unwrap();
            if let Some(message) = serve_busy(stream, &mut refusals_left) {
                return message;
            }
        }
    });
    let journey = submit(&world, &["someone@busy.test"], "not now");
    let message = served.join().unwrap();
    assert!(message.contains("Subject: not now"), "{message}");
    let deferred = world.wax.wait_for_step(&journey, "deferred", SOON);
    assert!(deferred["reason"].as_str().unwrap().contains("greylisted"), "{deferred}");
}

/// A tiny SMTP server: says 451 to so many RCPT, then takes one message and gives it.
fn serve_busy(stream: std::net::TcpStream, refusals_left: &mut u32) -> Option<String> {
    use std::io::{BufRead, BufReader, Write};
    let mut out = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut say = |text: &str| out.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    say("220 busy.test ESMTP");
    while let Some(Ok(line)) = lines.next() {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" | "HELO" => say("250 busy.test"),
            "RCPT" if *refusals_left > 0 => {
                *refusals_left -= 1;
                say("451 4.7.1 greylisted, come back later");
            }
            "DATA" => {
                say("354 go on");
                let text: Vec<String> =
                    lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                say("250 2.0.0 taken");
                return Some(text.join("\n"));
            }
            "QUIT" => {
                say("221 bye");
                return None;
            }
            _ => say("250 ok"),
        }
    }
    None
}

#[test]
fn success_is_reported_when_asked_for() {
    let world = World::start();
    let mut smtp = world.wax.submission("alice");
    let message = mail::plain(ALICE, BOB, "tell me");
    smtp.command(&format!("MAIL FROM:<{ALICE}> RET=HDRS ENVID=abc+2B1"))
        .unwrap()
        .expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{BOB}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;robert@wing.test"))
        .unwrap()
        .expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(waxwing_journeys::smtp::dot_stuffed(&message)).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    assert_eq!(subjects(&world.wing, "bob", 1), ["tell me"]);
    let (text, status) = report(&world.wax, "alice");
    let lower = status.to_ascii_lowercase();
    assert!(lower.contains("action: delivered"), "the last server says it: {status}");
    assert!(lower.contains("original-envelope-id: abc+1"), "ENVID as meant: {status}");
    assert!(
        lower.contains("original-recipient: rfc822;robert@wing.test")
            || lower.contains("original-recipient: rfc822; robert@wing.test"),
        "{status}"
    );
    assert!(lower.contains("status: 2."), "{status}");
    assert!(text.contains("Subject: tell me"), "RET=HDRS gives the header back");
}

#[test]
fn who_asks_for_no_report_gets_none() {
    let world = World::start();
    let mut smtp = world.wax.submission("alice");
    let message = mail::plain(ALICE, "nobody@wing.test", "say nothing");
    smtp.command(&format!("MAIL FROM:<{ALICE}>")).unwrap().expect(250, "2.1.0");
    smtp.command("RCPT TO:<nobody@wing.test> NOTIFY=NEVER").unwrap().expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(waxwing_journeys::smtp::dot_stuffed(&message)).unwrap();
    let journey = smtp.reply().unwrap().expect(250, "2.0.0").journey();
    let bounced = world.wax.wait_for_step(&journey, "bounced", ON_THE_ROAD);
    assert!(bounced["report"].is_null(), "{bounced}");
    assert!(world.wax.inbox("alice").fetch_all().unwrap().is_empty());
}

#[test]
fn a_bounce_is_never_answered_with_a_bounce() {
    let world = World::start();
    // From nobody, for somebody whose alias leads to nobody elsewhere.
    world.wax.cli(&["alias", "add", "old@wax.test", "nobody@wing.test"]).ok();
    let mut smtp = world.wax.smtp();
    let message = mail::plain("mailer-daemon@client.test", "old@wax.test", "a report");
    let reply = smtp.send("", &["old@wax.test"], &message).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    let bounced = world.wax.wait_for_step(&journey, "bounced", ON_THE_ROAD);
    assert!(bounced["report"].is_null(), "{bounced}");
    until(SOON, "an empty queue", || world.wax.queue().is_empty());
}

#[test]
fn mail_that_goes_round_is_stopped() {
    let world = World::start();
    // wax sends for loop.test to wing, wing back to wax.
    world.wax.cli(&["alias", "add", "loop@wax.test", "loop@wing.test"]).ok();
    world.wing.cli(&["alias", "add", "loop@wing.test", "loop@wax.test"]).ok();
    submit(&world, &["loop@wax.test"], "round and round");
    let (text, status) = report(&world.wax, "alice");
    assert!(status.contains("5.4.6"), "RFC 3463: a routing loop: {text}");
    until(SOON, "empty queues", || world.wax.queue().is_empty() && world.wing.queue().is_empty());
}

#[test]
fn everything_goes_through_the_smarthost_with_a_login() {
    let world = World::start();
    // A third server that knows no names and hands everything to wing.
    let mut third = world.ground.setup("third.test", 3);
    let secret = world.ground.folder.path().join("smarthost-password");
    std::fs::write(&secret, waxwing_journeys::server::password("bob")).unwrap();
    third.dns = vec!["servers = [\"127.0.0.1:9\"]".to_owned()];
    world.wing.cli(&["alias", "add", "third@wing.test", BOB]).ok();
    // bob's relay: he may send as any address of a domain whose catch-all he is.
    world.wing.cli(&["domain", "add", "third.test"]).ok();
    world.wing.cli(&["domain", "catch-all", "third.test", BOB]).ok();
    third.outbound.push(format!(
        "smarthost = {{ host = \"{}\", username = \"{BOB}\", password-file = {secret:?} }}",
        world.wing.at("submission"),
    ));
    let third = Server::start(third);
    third.add_user("tim");
    let mut smtp = third.submission("tim");
    let message = mail::plain("tim@third.test", ALICE, "by the smarthost");
    let reply = smtp.send("tim@third.test", &[ALICE], &message).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    assert_eq!(subjects(&world.wax, "alice", 1), ["by the smarthost"]);
    let routed = third.wait_for_step(&journey, "routed", SOON);
    assert_eq!(routed["by"], "smarthost");
    let octets = &world.wax.inbox("alice").fetch_all().unwrap()[0].octets;
    assert_eq!(fields(octets, "Received").len(), 3);
}

#[test]
fn a_held_entry_waits_until_it_is_released() {
    let mut world = World::start();
    world.wing.stop();
    let journey = submit(&world, &[BOB], "held");
    world.wax.wait_for_step(&journey, "deferred", ON_THE_ROAD);
    let entry = eventually(SOON, "the entry to be held", || {
        let entry = world.wax.queue().pop().expect("it waits");
        let id = entry["id"].to_string().replace('"', "");
        // Busy for a moment while it is being tried.
        (world.wax.cli(&["queue", "hold", &id]).code == 0).then_some(id)
    });
    world.wing.run();
    let shown = world.wax.cli(&["queue", "show", &entry]).ok().out();
    assert!(shown.contains(BOB) && shown.to_lowercase().contains("held"), "{shown}");
    // Something that is sent now arrives; the held one does not.
    submit(&world, &[BOB], "free");
    assert_eq!(subjects(&world.wing, "bob", 1), ["free"]);
    world.wax.cli(&["queue", "release", &entry]).ok();
    assert_eq!(subjects(&world.wing, "bob", 2), ["free", "held"]);
    let operator = world.wax.journey(&journey).to_string();
    assert!(operator.contains("\"held\"") && operator.contains("\"released\""), "{operator}");
}

#[test]
fn a_cancelled_entry_is_gone() {
    let mut world = World::start();
    world.wing.stop();
    let journey = submit(&world, &[BOB], "cancelled");
    world.wax.wait_for_step(&journey, "deferred", ON_THE_ROAD);
    eventually(SOON, "the entry to be cancelled", || {
        let id = world.wax.queue().first()?["id"].to_string().replace('"', "");
        (world.wax.cli(&["queue", "cancel", &id]).code == 0).then_some(())
    });
    assert!(world.wax.queue().is_empty());
    world.wing.run();
    submit(&world, &[BOB], "another");
    assert_eq!(subjects(&world.wing, "bob", 1), ["another"]);
    assert!(world.wax.journey(&journey).to_string().contains("\"cancelled\""));
}

#[test]
fn an_operator_makes_a_waiting_entry_go_now() {
    let mut world = World::with(|wax, _| {
        wax.outbound.retain(|line| !line.starts_with("retry"));
        wax.outbound.push("retry = [\"1h\"]".to_owned());
    });
    world.wing.stop();
    let journey = submit(&world, &[BOB], "now");
    world.wax.wait_for_step(&journey, "deferred", ON_THE_ROAD);
    world.wing.run();
    eventually(Duration::from_secs(10), "the entry to be retried", || {
        let id = world.wax.queue().first()?["id"].to_string().replace('"', "");
        (world.wax.cli(&["queue", "retry", &id]).code == 0).then_some(())
    });
    assert_eq!(subjects(&world.wing, "bob", 1), ["now"]);
}
