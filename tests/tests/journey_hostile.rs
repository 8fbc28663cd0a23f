//! Bad input of every kind and a machine at its limits: the server says so clearly, loses nothing,
//! and serves the next client as if nothing had been.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use waxwing_journeys::mail::{self, field};
use waxwing_journeys::process::{run, tool};
use waxwing_journeys::server::{Server, Setup};
use waxwing_journeys::smtp::{Smtp, dot_stuffed};
use waxwing_journeys::waiting::{SOON, until};
use waxwing_journeys::wire::Wire;
use waxwing_journeys::world::Ground;

const ALICE: &str = "alice@wax.test";
const SERVICES: [&str; 8] =
    ["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "lmtp"];

fn start(change: impl FnOnce(&mut Setup)) -> (Server, Ground) {
    let ground = Ground::new();
    let mut setup = ground.setup("wax.test", 1);
    change(&mut setup);
    let server = Server::start(setup);
    server.add_user("alice");
    (server, ground)
}

/// A message goes in and can be read, quickly.
#[track_caller]
fn assert_healthy(server: &mut Server) {
    assert!(server.daemon().is_running(), "the server died");
    let subject = format!("healthy {}", mail::unique());
    let message = mail::plain("x@client.test", ALICE, &subject);
    let began = Instant::now();
    server.smtp().send("x@client.test", &[ALICE], &message).unwrap().expect(250, "2.0.0");
    let subjects = server.inbox("alice").fetch_field("Subject").unwrap();
    assert!(subjects.contains(&subject), "{subjects:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "slow: {:?}", began.elapsed());
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// Resident memory in MiB.
fn resident_mib(server: &mut Server) -> usize {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.daemon().pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn garbage_on_every_port_harms_nothing() {
    let (mut server, _ground) = start(|_| {});
    let noise = mail::noise(200_000);
    for service in SERVICES {
        let at = server.at(service);
        std::thread::scope(|scope| {
            for part in noise.chunks(20_000) {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(at).unwrap();
                    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
                    // The server may hang up in the middle, as it should.
                    let _ = stream.write_all(part);
                    let _ = stream.write_all(b"\r\n");
                });
            }
        });
    }
    assert_healthy(&mut server);
}

#[test]
fn a_line_without_an_end_is_cut_off_and_takes_no_memory() {
    let (mut server, _ground) = start(|_| {});
    let before = resident_mib(&mut server);
    for service in ["smtp", "submission", "imap", "pop3", "lmtp"] {
        let mut wire = Wire::connect(server.at(service)).unwrap();
        wire.line().unwrap();
        let part = [b'A'; 64 * 1024];
        for _ in 0..512 {
            // 32 MiB, unless it hangs up before.
            if wire.send(part).is_err() {
                break;
            }
        }
    }
    let after = resident_mib(&mut server);
    assert!(after < before + 64, "{before} MiB before, {after} MiB after");
    assert_healthy(&mut server);
}

#[test]
fn a_literal_of_4_gib_is_refused_when_it_is_announced() {
    let (mut server, _ground) = start(|_| {});
    let before = resident_mib(&mut server);
    // Before login.
    let mut wire = Wire::connect(server.at("imap")).unwrap();
    wire.line().unwrap();
    wire.send("a1 LOGIN {4294967295}\r\n").unwrap();
    let answer = String::from_utf8_lossy(&wire.line().unwrap()).into_owned();
    assert!(!answer.starts_with('+'), "{answer}");
    // After login, as a message.
    let mut imap = server.inbox("alice");
    imap.wire.send("b1 APPEND INBOX {4294967295}\r\n").unwrap();
    let answer = String::from_utf8_lossy(&imap.wire.line().unwrap()).into_owned();
    assert!(
        answer.contains("TOOBIG") || answer.starts_with("b1 NO") || answer.starts_with("b1 BAD"),
        "{answer}"
    );
    assert!(resident_mib(&mut server) < before + 32);
    assert_healthy(&mut server);
}

#[test]
fn a_hundred_clients_that_say_nothing_keep_nobody_out() {
    let (mut server, _ground) = start(|_| {});
    let mut silent = Vec::new();
    for service in SERVICES {
        for _ in 0..30 {
            let mut stream = TcpStream::connect(server.at(service)).unwrap();
            // Half a command; the rest never comes.
            stream.write_all(b"EH").unwrap();
            silent.push(stream);
        }
    }
    // Some in the middle of a message.
    for _ in 0..20 {
        let mut smtp = server.smtp();
        smtp.command("MAIL FROM:<x@client.test>").unwrap();
        smtp.command(&format!("RCPT TO:<{ALICE}>")).unwrap();
        smtp.command("DATA").unwrap();
        smtp.wire.send("Subject: never ends\r\n").unwrap();
        std::mem::forget(smtp);
    }
    assert_healthy(&mut server);
    drop(silent);
    let subjects = server.inbox("alice").fetch_field("Subject").unwrap();
    assert_eq!(subjects.len(), 1, "nothing half was delivered: {subjects:?}");
}

#[test]
fn too_many_connections_are_told_to_come_later() {
    let (mut server, _ground) = start(|setup| {
        setup.limits = vec!["connections-per-address = 10".to_owned()];
    });
    let mut held: Vec<Smtp> = Vec::new();
    let refused = loop {
        match Smtp::connect(server.at("smtp")) {
            Ok(smtp) => held.push(smtp),
            Err(error) => break error.to_string(),
        }
        assert!(held.len() <= 10, "no limit");
    };
    assert!(refused.contains("421"), "{refused}");
    // With one place free, the next is welcome.
    drop(held);
    until(SOON, "a free place", || Smtp::connect(server.at("smtp")).is_ok());
    until(SOON, "room again", || {
        server.daemon().is_running() && Smtp::connect(server.at("imap")).is_err()
    });
    assert_healthy(&mut server);
}

#[test]
fn a_client_that_only_errs_is_shown_out() {
    let (mut server, _ground) = start(|_| {});
    let mut smtp = Smtp::greeted(server.at("smtp")).unwrap();
    let mut last = 0;
    for _ in 0..200 {
        match smtp.command("NONSENSE") {
            Ok(reply) => last = reply.code,
            Err(_) => break,
        }
        if last == 421 {
            break;
        }
    }
    assert_eq!(last, 421, "RFC 5321 §3.8");
    // Who guesses passwords waits longer each time.
    let mut smtp = Smtp::greeted(server.at("submission")).unwrap();
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        let began = Instant::now();
        smtp.login(ALICE, "a guess").unwrap().expect(535, "5.7.8");
        last = began.elapsed();
    }
    assert!(last > Duration::from_secs(1), "{last:?}");
    assert_healthy(&mut server);
}

#[test]
fn a_message_that_breaks_off_is_not_delivered() {
    let (mut server, _ground) = start(|_| {});
    for _ in 0..20 {
        let mut smtp = server.smtp();
        smtp.command("MAIL FROM:<x@client.test>").unwrap();
        smtp.command(&format!("RCPT TO:<{ALICE}>")).unwrap();
        smtp.command("DATA").unwrap();
        let message = dot_stuffed(&mail::plain("x@client.test", ALICE, "broken off"));
        smtp.wire.send(&message[..message.len() - 3]).unwrap();
        drop(smtp);
    }
    assert_healthy(&mut server);
    let subjects = server.inbox("alice").fetch_field("Subject").unwrap();
    assert!(!subjects.iter().any(|subject| subject == "broken off"), "{subjects:?}");
}

#[test]
fn a_thousand_recipients_are_taken_and_more_are_not() {
    let (mut server, _ground) = start(|_| {});
    server.cli(&["domain", "catch-all", "wax.test", ALICE]).ok();
    let mut smtp = server.smtp();
    smtp.command("MAIL FROM:<x@client.test>").unwrap();
    let mut accepted = 0;
    for number in 0..1_100 {
        let reply = smtp.command(&format!("RCPT TO:<r{number}@wax.test>")).unwrap();
        match reply.code {
            250 => accepted += 1,
            452 => break,
            _ => panic!("{reply:?}"),
        }
    }
    assert_eq!(accepted, 1_000, "RFC 5321 §4.5.3.1.10: 452 beyond the limit");
    smtp.command("DATA").unwrap().expect(354, "");
    smtp.wire.send(dot_stuffed(&mail::plain("x@client.test", ALICE, "for all"))).unwrap();
    smtp.reply().unwrap().expect(250, "2.0.0");
    assert_healthy(&mut server);
}

#[test]
fn hundreds_of_idle_and_busy_clients_at_once() {
    let (mut server, _ground) = start(|_| {});
    let mut idlers: Vec<_> = (0..60)
        .map(|_| {
            let mut imap = server.inbox("alice");
            imap.idle().unwrap();
            imap
        })
        .collect();
    let message = mail::plain("x@client.test", ALICE, "to all that wait");
    server.smtp().send("x@client.test", &[ALICE], &message).unwrap().expect(250, "2.0.0");
    for idler in &mut idlers {
        idler.wait_for("1 EXISTS", Duration::from_secs(20)).unwrap();
    }
    assert_healthy(&mut server);
}

// ---- a full disk ----

/// A small file system in memory, unmounted when dropped.
struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> SmallDisk {
        assert!(waxwing_journeys::is_root(), "only root mounts a file system: run these as root");
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new(tool("mount", "mount"));
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at);
        run(mount, b"", Duration::from_secs(10)).ok();
        SmallDisk { at: at.to_owned() }
    }

    fn grow(&self, size: &str) {
        let mut mount = Command::new(tool("mount", "mount"));
        mount.args(["-o", &format!("remount,size={size}")]).arg(&self.at);
        run(mount, b"", Duration::from_secs(10)).ok();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

#[test]
fn a_full_disk_defers_and_loses_nothing() {
    let ground = Ground::new();
    let setup = ground.setup("wax.test", 1);
    let disk = SmallDisk::mount(&setup.data, "24m");
    let mut server = Server::start(setup);
    server.add_user("alice");

    // Incompressible, so that the disk really fills.
    let body = waxwing_journeys::base64(&mail::noise(600_000));
    let lines: Vec<&str> =
        body.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let mut accepted = Vec::new();
    let refusal = loop {
        let subject = format!("fills {}", accepted.len());
        // Each differs, or they would be stored once.
        let mut body = format!("{subject}\r\n{}\r\n", lines.join("\r\n")).into_bytes();
        let mixed = accepted.len() as u8;
        body.iter_mut().filter(|octet| octet.is_ascii_digit()).enumerate().for_each(
            |(i, octet)| {
                *octet =
                    b'0' + (*octet - b'0' + mixed.wrapping_mul(7).wrapping_add(i as u8 % 3)) % 10;
            },
        );
        let body = [b"body\r\n".to_vec(), body].concat();
        let message = mail::message("x@client.test", ALICE, &subject, "", &body);
        let reply = server.smtp().send("x@client.test", &[ALICE], &message).unwrap();
        if !reply.is_ok() {
            break reply;
        }
        accepted.push(subject);
        assert!(accepted.len() < 60, "24 MB hold no 60 messages of 800 KB");
    };
    assert!([452, 451].contains(&refusal.code), "{refusal:?}");
    assert!(refusal.text.starts_with("4.3.1"), "RFC 3463: mail system full: {refusal:?}");
    assert!(server.daemon().is_running());
    let there = server.inbox("alice").fetch_field("Subject").unwrap();
    assert_eq!(there, accepted, "what was accepted is there, and nothing else");

    // With room again it goes on, without a restart; and after one.
    disk.grow("64m");
    until(SOON, "room", || {
        let message = mail::plain("x@client.test", ALICE, "room again");
        server.smtp().send("x@client.test", &[ALICE], &message).unwrap().is_ok()
    });
    server.kill();
    server.run();
    let there = server.inbox("alice").fetch_all().unwrap();
    assert_eq!(there.len(), accepted.len() + 1);
    assert_eq!(field(&there.last().unwrap().octets, "Subject").as_deref(), Some("room again"));
    drop(server);
}
