//! Two `serve` processes on one PostgreSQL: what one takes the other shows, neither delivers what the
//! other has in hand, and one goes on with what the other left.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use waxwing_journeys::flood::{Flood, Ledger};
use waxwing_journeys::mail;
use waxwing_journeys::postgres::Postgres;
use waxwing_journeys::server::{Server, password};
use waxwing_journeys::waiting::until;
use waxwing_journeys::wire::Wire;
use waxwing_journeys::world::{ON_THE_ROAD, World};

const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";

/// `world.wax` on host 1, the second node of `wax.test` on host 4, and `wing.test`. PostgreSQL is
/// dropped last.
struct Nodes {
    second: Server,
    world: World,
    _postgres: Postgres,
}

fn start() -> Nodes {
    let postgres = Postgres::start();
    let url = postgres.database("wax");
    let world = World::with(|wax, _| wax.database = Some(url.clone()));
    let mut setup = world.wax.setup.clone();
    setup.ip = world.ground.net.host(4);
    setup.data = world.ground.folder.path().join("second-node");
    let mut second = Server::second_node(setup);
    second.run();
    Nodes { second, world, _postgres: postgres }
}

#[test]
fn an_idle_client_of_one_node_hears_at_once_of_mail_for_the_other() {
    let nodes = start();
    let mut slowest = Duration::ZERO;
    let mut idler = nodes.second.inbox("alice");
    for number in 1..=5 {
        idler.idle().unwrap();
        let message = mail::plain(BOB, ALICE, "wake up");
        let mut smtp = nodes.world.wax.smtp();
        smtp.send(BOB, &[ALICE], &message).unwrap().expect(250, "2.0.0");
        let accepted = Instant::now();
        let heard = idler.wait_for(&format!("{number} EXISTS"), Duration::from_secs(10)).unwrap();
        slowest = slowest.max(heard.saturating_duration_since(accepted));
        idler.done().unwrap();
        let found = idler.fetch_all().unwrap().len();
        assert_eq!(found, number);
    }
    println!("slowest wake-up after the 250: {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[test]
fn flags_and_expunges_cross_too() {
    let nodes = start();
    for _ in 0..2 {
        let message = mail::plain(BOB, ALICE, "shared");
        nodes.second.smtp().send(BOB, &[ALICE], &message).unwrap().expect(250, "2.0.0");
    }
    nodes.world.wax.wait_for_mail("alice", 2, ON_THE_ROAD);
    let mut idler = nodes.second.inbox("alice");
    idler.idle().unwrap();
    let mut other = nodes.world.wax.inbox("alice");
    other.ok("UID STORE 1 +FLAGS (\\Flagged)").unwrap();
    idler.wait_for("\\Flagged", Duration::from_secs(10)).unwrap();
    other.ok("UID STORE 2 +FLAGS (\\Deleted)").unwrap();
    other.ok("EXPUNGE").unwrap();
    idler.wait_for("2 EXPUNGE", Duration::from_secs(10)).unwrap();
    idler.done().unwrap();
}

#[test]
fn an_account_made_at_one_node_logs_in_at_the_other() {
    let nodes = start();
    nodes.world.wax.add_user("new");
    nodes.second.inbox("new");
    nodes.world.wax.cli(&["user", "disable", "new@wax.test"]).ok();
    let at = nodes.second.at("imap");
    let refused =
        waxwing_journeys::imap::Imap::inbox(at, "new@wax.test", &password("new")).unwrap_err();
    assert!(refused.to_string().contains("NO"), "{refused}");
}

fn flood(nodes: &Nodes, count: usize, accepted: &AtomicUsize) -> Ledger {
    let flood = Flood {
        servers: vec![nodes.world.wax.at("submission"), nodes.second.at("submission")],
        login: Some((ALICE.to_owned(), password("alice"))),
        from: ALICE.to_owned(),
        recipients: &|_| vec![BOB.to_owned()],
        count,
        connections: 8,
        body_octets: 2_000,
        within: Duration::from_secs(120),
    };
    flood.run(accepted)
}

#[test]
fn no_delivery_is_doubled_between_nodes() {
    let nodes = start();
    let ledger = flood(&nodes, 500, &AtomicUsize::new(0));
    assert_eq!(ledger.unknown(), 0);
    until(Duration::from_secs(120), "an empty queue", || nodes.world.wax.queue().is_empty());
    let arrived = nodes.world.wing.inbox("bob").fetch_field("X-Flood-Id").unwrap();
    assert_eq!(arrived.len(), 500);
    ledger.check(BOB, &arrived, 0);
    // Both took part: each says its own name and process in what it logs and sends from its own
    // address; the Received fields tell which node accepted.
    let received = nodes.world.wing.inbox("bob").fetch_field("Received").unwrap();
    assert_eq!(received.len(), 500);
}

#[test]
fn one_node_finishes_what_a_killed_one_had_in_hand() {
    let mut nodes = start();
    let accepted = AtomicUsize::new(0);
    let (second, count) = (nodes.second.at("submission"), 400);
    let first = nodes.world.wax.at("submission");
    let ledger = std::thread::scope(|scope| {
        let accepted = &accepted;
        let flooding = scope.spawn(move || {
            let flood = Flood {
                servers: vec![first, second],
                login: Some((ALICE.to_owned(), password("alice"))),
                from: ALICE.to_owned(),
                recipients: &|n| vec![if n % 4 == 0 { ALICE } else { BOB }.to_owned()],
                count,
                connections: 8,
                body_octets: 2_000,
                within: Duration::from_secs(120),
            };
            flood.run(accepted)
        });
        until(Duration::from_secs(60), "the middle of the flood", || {
            accepted.load(Ordering::Relaxed) >= count / 2
        });
        // It never comes back.
        nodes.world.wax.kill();
        flooding.join().unwrap()
    });
    let killed = Instant::now();
    until(Duration::from_secs(240), "the other node to finish the queue", || {
        nodes.second.queue().is_empty()
    });
    println!("the queue was empty {:?} after the kill", killed.elapsed());
    let at_wax = nodes.second.inbox("alice").fetch_field("X-Flood-Id").unwrap();
    ledger.check(ALICE, &at_wax, 0);
    let at_wing = nodes.world.wing.inbox("bob").fetch_field("X-Flood-Id").unwrap();
    let distinct: BTreeSet<&String> = at_wing.iter().collect();
    println!("copies: {}, messages: {}", at_wing.len(), distinct.len());
    // What the killed node had in hand for wing (see crash.rs).
    ledger.check(BOB, &at_wing, 3 + 8);
}

#[test]
fn two_nodes_fill_one_mailbox_without_a_uid_twice() {
    let nodes = start();
    let flood = Flood {
        servers: vec![nodes.world.wax.at("smtp"), nodes.second.at("smtp")],
        login: None,
        from: "x@client.test".to_owned(),
        recipients: &|_| vec![ALICE.to_owned()],
        count: 300,
        connections: 8,
        body_octets: 1_000,
        within: Duration::from_secs(120),
    };
    let ledger = flood.run(&AtomicUsize::new(0));
    let here = nodes.world.wax.inbox("alice").fetch_all().unwrap();
    let uids: BTreeSet<u32> = here.iter().map(|message| message.uid).collect();
    assert_eq!(uids.len(), 300);
    assert_eq!(nodes.second.inbox("alice").fetch_all().unwrap(), here, "both show the same");
    let ids: Vec<String> =
        here.iter().filter_map(|message| mail::field(&message.octets, "X-Flood-Id")).collect();
    ledger.check(ALICE, &ids, 0);
}

#[test]
fn a_maildrop_is_locked_on_every_node() {
    let nodes = start();
    let open = |server: &Server| {
        let mut wire = Wire::connect(server.at("pop3")).unwrap();
        wire.line().unwrap();
        wire.send(format!("USER {ALICE}\r\n")).unwrap();
        wire.line().unwrap();
        wire.send(format!("PASS {}\r\n", password("alice"))).unwrap();
        let answer = String::from_utf8_lossy(&wire.line().unwrap()).into_owned();
        (wire, answer)
    };
    let (mut first, answer) = open(&nodes.world.wax);
    assert!(answer.starts_with("+OK"), "{answer}");
    let (_, answer) = open(&nodes.second);
    assert!(answer.starts_with("-ERR [IN-USE]"), "{answer}");
    first.send("QUIT\r\n").unwrap();
    first.line().unwrap();
    let (_wire, answer) = open(&nodes.second);
    assert!(answer.starts_with("+OK"), "{answer}");
}
