//! What is sent is what is read, octet for octet, on the whole way between two servers: 8-bit
//! text, dots, long lines, attachments, addresses in any script, and by every protocol that reads.

use std::process::Command;
use std::time::Duration;

use waxwing_journeys::mail::{self, arrived_intact, field};
use waxwing_journeys::process::{run, tool};
use waxwing_journeys::server::{SMTP, password};
use waxwing_journeys::smtp::Smtp;
use waxwing_journeys::world::{ON_THE_ROAD, World};

const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";

fn check_gallery(world: &World, gallery: &[(&str, Vec<u8>)], reader: &str) {
    let server = if reader == "bob" { &world.wing } else { &world.wax };
    let arrived = server.wait_for_mail(reader, gallery.len(), ON_THE_ROAD * 2);
    assert_eq!(arrived.len(), gallery.len());
    for (name, sent) in gallery {
        let subject = format!("gallery: {name}");
        let message =
            arrived.iter().find(|m| field(&m.octets, "Subject").as_ref() == Some(&subject));
        let message = message.unwrap_or_else(|| panic!("{name} did not come"));
        let shown = &message.octets[..message.octets.len().min(3000)];
        let shown = String::from_utf8_lossy(shown);
        assert!(arrived_intact(sent, &message.octets), "{name} was changed on the way:\n{shown}");
    }
}

#[test]
fn every_octet_arrives_from_wax_to_wing() {
    let world = World::start();
    let gallery = mail::gallery(ALICE, BOB);
    let mut smtp = world.wax.submission("alice");
    for (name, message) in &gallery {
        let reply = smtp.send(ALICE, &[BOB], message).unwrap();
        assert!(reply.is_ok(), "{name}: {reply:?}");
    }
    check_gallery(&world, &gallery, "bob");
}

#[test]
fn every_octet_arrives_from_wing_to_wax_and_by_pop3_too() {
    let world = World::start();
    let gallery = mail::gallery(BOB, ALICE);
    let mut smtp = world.wing.submission("bob");
    for (name, message) in &gallery {
        let reply = smtp.send(BOB, &[ALICE], message).unwrap();
        assert!(reply.is_ok(), "{name}: {reply:?}");
    }
    check_gallery(&world, &gallery, "alice");

    // POP3 gives the same octets as IMAP, dots undone.
    let by_imap = world.wax.inbox("alice").fetch_all().unwrap();
    for (index, message) in by_imap.iter().enumerate() {
        let mut curl = Command::new(tool("curl", "curl"));
        curl.args(["--silent", "--show-error", "--user"]);
        curl.arg(format!("{ALICE}:{}", password("alice")));
        curl.arg(format!("pop3://{}/{}", world.wax.at("pop3"), index + 1));
        let read = run(curl, b"", Duration::from_secs(60)).ok().stdout;
        assert!(read == message.octets, "message {}", index + 1);
    }
}

#[test]
fn every_octet_arrives_between_neighbours() {
    let world = World::start();
    let amy = "amy@wax.test";
    let gallery = mail::gallery(amy, ALICE);
    let mut smtp = world.wax.submission("amy");
    for (name, message) in &gallery {
        let reply = smtp.send(amy, &[ALICE], message).unwrap();
        assert!(reply.is_ok(), "{name}: {reply:?}");
    }
    check_gallery(&world, &gallery, "alice");
}

#[test]
fn chunks_arrive_like_data() {
    let world = World::start();
    let gallery = mail::gallery(ALICE, BOB);
    let mut smtp = world.wax.submission("alice");
    for (name, message) in &gallery {
        smtp.command(&format!("MAIL FROM:<{ALICE}> BODY=8BITMIME")).unwrap().expect(250, "2.1.0");
        smtp.command(&format!("RCPT TO:<{BOB}>")).unwrap().expect(250, "2.1.5");
        let (first, second) = message.split_at(message.len() / 3);
        smtp.wire.send(format!("BDAT {}\r\n", first.len())).unwrap();
        smtp.wire.send(first).unwrap();
        smtp.reply().unwrap().expect(250, "2.");
        smtp.wire.send(format!("BDAT {} LAST\r\n", second.len())).unwrap();
        smtp.wire.send(second).unwrap();
        let reply = smtp.reply().unwrap();
        assert!(reply.is_ok(), "{name}: {reply:?}");
    }
    check_gallery(&world, &gallery, "bob");
}

#[test]
fn addresses_in_any_script_go_between_our_servers() {
    let world = World::start();
    let (from, to) = ("älice@wax.test", "боб@wing.test");
    world.wax.add_user("älice");
    world.wing.add_user("боб");
    let mut smtp = world.wax.submission("älice");
    let sent = mail::message(
        from,
        to,
        "Привет",
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Как дела?\r\n".as_bytes(),
    );
    smtp.command(&format!("MAIL FROM:<{from}> SMTPUTF8 BODY=8BITMIME"))
        .unwrap()
        .expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{to}>")).unwrap().expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(waxwing_journeys::smtp::dot_stuffed(&sent)).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    let arrived = world.wing.wait_for_mail("боб", 1, ON_THE_ROAD);
    assert!(arrived_intact(&sent, &arrived[0].octets));
    let received = mail::fields(&arrived[0].octets, "Received");
    assert!(received[0].contains("UTF8SMTPS"), "RFC 6531 §4.3: {received:?}");

    // And back, to the address as it came.
    let back = mail::message(to, from, "Привет обратно", "", b"x\r\n");
    let mut smtp = world.wing.submission("боб");
    smtp.command(&format!("MAIL FROM:<{to}> SMTPUTF8")).unwrap().expect(250, "2.1.0");
    smtp.command(&format!("RCPT TO:<{from}>")).unwrap().expect(250, "2.1.5");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(waxwing_journeys::smtp::dot_stuffed(&back)).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    world.wax.wait_for_mail("älice", 1, ON_THE_ROAD);
}

#[test]
fn an_international_domain_is_the_same_in_both_forms() {
    let mut world = World::start();
    // wing.test takes mail for bücher.test too.
    world.ground.names.mail_domain("xn--bcher-kva.test", world.ground.net.at(2, SMTP));
    world.wing.cli(&["domain", "add", "bücher.test"]).ok();
    world
        .wing
        .cli_with(&["user", "add", "eva@bücher.test", "--password-stdin"], b"a long secret")
        .ok();
    let mut smtp = world.wax.submission("alice");
    let sent = mail::plain(ALICE, "eva@xn--bcher-kva.test", "books");
    smtp.send(ALICE, &["eva@xn--bcher-kva.test"], &sent).unwrap().expect(250, "2.0.0");
    let inbox = || {
        let at = world.wing.at("imap");
        let imap =
            waxwing_journeys::imap::Imap::inbox(at, "eva@xn--bcher-kva.test", "a long secret");
        imap.unwrap().fetch_all().unwrap()
    };
    let arrived =
        waxwing_journeys::waiting::eventually(ON_THE_ROAD, "eva's mail", || inbox().pop());
    assert!(arrived_intact(&sent, &arrived.octets));
    world.wing.stop();
}

#[test]
fn a_line_that_is_too_long_is_refused_or_kept_whole() {
    let world = World::start();
    let body = format!("{}\r\n", "z".repeat(20_000));
    let sent = mail::message(ALICE, "amy@wax.test", "one long line", "", body.as_bytes());
    let mut smtp = world.wax.submission("alice");
    let reply = smtp.send(ALICE, &["amy@wax.test"], &sent).unwrap();
    // RFC 5321 §4.5.3.1.6 lets a server refuse; cutting it in silence is what must not be.
    if reply.is_ok() {
        let arrived = world.wax.wait_for_mail("amy", 1, ON_THE_ROAD);
        assert!(arrived_intact(&sent, &arrived[0].octets));
    } else {
        assert_eq!(reply.code / 100, 5, "{reply:?}");
    }
}

#[test]
fn the_first_line_of_a_message_needs_no_header() {
    let world = World::start();
    let mut smtp = world.wing.smtp();
    let reply = smtp.send("x@client.test", &[BOB], b"no header at all\r\n").unwrap();
    assert!(reply.is_ok(), "{reply:?}");
    // Nobody has written it, says its header: it is kept, and doubted.
    let mut imap = world.wing.inbox("bob");
    imap.ok("SELECT Junk").unwrap();
    let arrived = imap.fetch_all().unwrap();
    assert!(arrived[0].octets.ends_with(b"no header at all\r\n"));
}

#[test]
fn received_fields_tell_the_road() {
    let world = World::start();
    let sent = mail::plain(ALICE, BOB, "the road");
    let reply = world.wax.submission("alice").send(ALICE, &[BOB], &sent).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    let arrived = world.wing.wait_for_mail("bob", 1, ON_THE_ROAD);
    let octets = &arrived[0].octets;
    assert_eq!(field(octets, "Return-Path").as_deref(), Some("<alice@wax.test>"));
    let received = mail::fields(octets, "Received");
    assert_eq!(received.len(), 2, "{received:?}");
    assert!(received[0].contains("mx.wax.test") && received[0].contains("by mx.wing.test"));
    assert!(received[1].contains("by mx.wax.test"));
    assert!(received[1].contains(&journey), "names the journey: {received:?}");
    assert!(!received[1].contains("client.test") || received[1].contains("from"), "{received:?}");
    // Nothing that came before may stay: one Return-Path only.
    let mut forged = b"Return-Path: <forged@client.test>\r\n".to_vec();
    forged.extend_from_slice(&mail::plain("x@client.test", BOB, "forged"));
    let mut smtp = Smtp::greeted(world.wing.at("smtp")).unwrap();
    smtp.send("x@client.test", &[BOB], &forged).unwrap().expect(250, "2.0.0");
    let arrived = world.wing.wait_for_mail("bob", 2, ON_THE_ROAD);
    let second = arrived.iter().find(|m| field(&m.octets, "Subject").as_deref() == Some("forged"));
    let paths = mail::fields(&second.unwrap().octets, "Return-Path");
    assert_eq!(paths.first().map(String::as_str), Some("<x@client.test>"), "{paths:?}");
}
