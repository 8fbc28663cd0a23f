//! What the configuration can change, seen from outside: contents in an object store's folder, an
//! unprivileged user, IPv6, and large messages in little memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use waxwing_journeys::mail::{self, arrived_intact};
use waxwing_journeys::postgres::own;
use waxwing_journeys::server::{Server, Setup};
use waxwing_journeys::world::{Ground, ON_THE_ROAD, World};

const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";

#[test]
fn contents_may_live_in_a_folder_beside_the_database() {
    let world = World::with(|wax, wing| {
        for setup in [wax, wing] {
            let folder = setup.data.join("blobs");
            std::fs::create_dir_all(&folder).unwrap();
            setup.top.push(format!("blobs = {{ url = \"file://{}\" }}", folder.display()));
        }
    });
    let gallery = mail::gallery(ALICE, BOB);
    let mut smtp = world.wax.submission("alice");
    for (name, message) in &gallery {
        let reply = smtp.send(ALICE, &[BOB], message).unwrap();
        assert!(reply.is_ok(), "{name}: {reply:?}");
    }
    let arrived = world.wing.wait_for_mail("bob", gallery.len(), ON_THE_ROAD);
    for (name, sent) in &gallery {
        assert!(arrived.iter().any(|m| arrived_intact(sent, &m.octets)), "{name}");
    }
    let kept = std::fs::read_dir(world.wing.setup.data.join("blobs")).unwrap().count();
    assert!(kept > 0, "the contents are there");
    let database = std::fs::metadata(world.wing.setup.data.join("waxwing.db")).unwrap().len();
    assert!(database < 1_000_000, "and not in the database: {database} octets");
}

#[test]
fn it_serves_as_an_unprivileged_user() {
    assert!(waxwing_journeys::is_root(), "only root becomes somebody else: run these as root");
    let ground = Ground::new();
    let mut setup = ground.setup("wax.test", 1);
    setup.top.push("user = \"nobody\"".to_owned());
    // Ports that only root may bind.
    setup.listen.insert("smtp", 25);
    setup.listen.insert("imap", 143);
    let mut server = Server::prepare(setup);
    server.add_user("alice");
    // What root's commands made is given to the user, as a package would.
    let folder = server.setup.data.clone();
    for entry in walk(&folder) {
        own(&entry, "nobody");
    }
    server.run();
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.daemon().pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert!(line.split_whitespace().skip(1).all(|uid| uid == "65534"), "{line}");
    let message = mail::plain("x@client.test", ALICE, "to nobody's server");
    server.smtp().send("x@client.test", &[ALICE], &message).unwrap().expect(250, "2.0.0");
    assert_eq!(server.inbox("alice").fetch_all().unwrap().len(), 1);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(walk(&entry.path()));
        } else {
            all.push(entry.path());
        }
    }
    all
}

#[test]
fn mail_goes_over_ipv6() {
    let ground = Ground::new();
    let mut wing: Setup = ground.setup("wing.test", 2);
    // One address for everybody on this machine: ports that are free.
    wing.ip = "::1".parse().unwrap();
    wing.listen.values_mut().for_each(|port| *port = 0);
    let wing = Server::start(wing);
    wing.add_user("bob");
    let mut wax = ground.setup("wax.test", 1);
    wax.outbound.push(format!("routes = {{ \"wing.test\" = \"{}\" }}", wing.at("smtp")));
    let wax = Server::start(wax);
    wax.add_user("alice");
    let sent = mail::plain(ALICE, BOB, "over IPv6");
    let reply = wax.submission("alice").send(ALICE, &[BOB], &sent).unwrap();
    let journey = reply.expect(250, "2.0.0").journey();
    let arrived = wing.wait_for_mail("bob", 1, ON_THE_ROAD);
    assert!(arrived_intact(&sent, &arrived[0].octets));
    let received = mail::field(&arrived[0].octets, "Received").unwrap();
    assert!(received.contains("[IPv6:::1]"), "RFC 5321 §4.1.3: {received}");
    let attempted = wax.wait_for_step(&journey, "attempted", ON_THE_ROAD);
    assert_eq!(attempted["ip"], "::1", "{attempted}");
}

/// Memory of a process's own (not of files that are mapped), in MiB.
fn anonymous_mib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn the_largest_messages_pass_in_little_memory() {
    let mut world = World::start();
    let mut body = String::new();
    for line in mail::noise(30_000_000).chunks(57) {
        body.push_str(&waxwing_journeys::base64(line));
        body.push_str("\r\n");
    }
    let more = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n";
    let sent = mail::message(ALICE, BOB, "41 MB", more, body.as_bytes());
    let World { wax, wing, .. } = &mut world;
    let pids = [wax.daemon().pid(), wing.daemon().pid()];
    let before = pids.map(anonymous_mib);
    let done = AtomicBool::new(false);
    let highest = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut highest = [0, 0];
            while !done.load(Ordering::Relaxed) {
                for (highest, pid) in highest.iter_mut().zip(pids) {
                    *highest = anonymous_mib(pid).max(*highest);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            highest
        });
        let reply = wax.submission("alice").send(ALICE, &[BOB], &sent).unwrap();
        reply.expect(250, "2.0.0");
        let arrived = wing.wait_for_mail("bob", 1, ON_THE_ROAD * 3);
        done.store(true, Ordering::Relaxed);
        assert!(arrived_intact(&sent, &arrived[0].octets));
        watching.join().unwrap()
    });
    println!("MiB before: {before:?}, at most: {highest:?}");
    let grown = before.iter().zip(highest).map(|(before, highest)| highest - before);
    assert!(grown.max().unwrap() < 96, "{before:?} MiB grew to {highest:?} for a message of 41 MB");
}
