//! `kill -9` in the middle of a flood: what got its `250` is there afterwards, once.
//!
//! 2,000 messages are submitted over several connections while the server is killed and started
//! again at random moments. A third of them is for people of the same server, a third for another
//! server, a third for both. `WAXWING_SEED` repeats the moments of an earlier run.
//!
//! Every hop keeps the same promise, and no hop can keep more: when *our* server is killed between
//! the other server's `250` and our own record of it, the message goes there again. The second
//! server may so hold a copy too many for each message that was on the road at the moment of a
//! kill, and none beside.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use waxwing_journeys::flood::{Flood, Ledger, Outcome};
use waxwing_journeys::postgres::Postgres;
use waxwing_journeys::server::{Server, password};
use waxwing_journeys::waiting::until;
use waxwing_journeys::wire::Wire;
use waxwing_journeys::world::World;

const MESSAGES: usize = 2_000;
const KILLS: usize = 6;
/// Messages for one destination that a node has in hand at once: it leases up to eight at a time as
/// long as fewer than `connections-per-destination` (4) are on the road.
const ON_THE_ROAD_AT_ONCE: usize = 3 + 8;
const ALICE: &str = "alice@wax.test";
const BOB: &str = "bob@wing.test";

fn random() -> SmallRng {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("WAXWING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(now);
    println!("WAXWING_SEED={seed}");
    SmallRng::seed_from_u64(seed)
}

fn recipients(n: usize) -> Vec<String> {
    match n % 3 {
        0 => vec![ALICE.to_owned()],
        1 => vec![BOB.to_owned()],
        _ => vec![ALICE.to_owned(), BOB.to_owned()],
    }
}

/// Floods wax and kills it, or wing, in between.
fn flood_and_kill(world: &mut World, kill_wing: bool) -> Ledger {
    let mut random = random();
    let flood = Flood {
        servers: vec![world.wax.at("submission")],
        login: Some((ALICE.to_owned(), password("alice"))),
        from: ALICE.to_owned(),
        recipients: &recipients,
        count: MESSAGES,
        connections: 8,
        body_octets: 2_000,
        within: Duration::from_secs(240),
    };
    let accepted = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let victim = if kill_wing { &mut world.wing } else { &mut world.wax };
    std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let ledger = flood.run(&accepted);
            over.store(true, Ordering::Relaxed);
            ledger
        });
        // The moments: one in each of equal parts of the flood.
        for kill in 0..KILLS {
            let part = MESSAGES / KILLS;
            let moment = kill * part + random.random_range(1..part);
            let jitter = Duration::from_micros(random.random_range(0..20_000));
            until(Duration::from_secs(240), "the moment of a kill", || {
                accepted.load(Ordering::Relaxed) >= moment || over.load(Ordering::Relaxed)
            });
            let began = Instant::now();
            while began.elapsed() < jitter {
                std::hint::spin_loop();
            }
            victim.kill();
            victim.run();
        }
        flooding.join().expect("the flood ends well")
    })
}

#[track_caller]
fn flood_ids(server: &Server, local: &str) -> Vec<String> {
    server.inbox(local).fetch_field("X-Flood-Id").unwrap()
}

fn check(world: &World, ledger: &Ledger, excess: usize) {
    check_arrivals(world, ledger, excess);
    let for_alice = (0..MESSAGES).filter(|&n| recipients(n).iter().any(|to| to == ALICE));
    assert_eq!(ledger.promised(ALICE), for_alice.count(), "every message got its 250 in the end");
}

fn check_arrivals(world: &World, ledger: &Ledger, excess: usize) {
    println!("attempts: {}, never answered: {}", ledger.attempts.len(), ledger.unknown());
    // In a mailbox or in the queue; so that both can be counted, until the queue is empty.
    until(Duration::from_secs(180), "an empty queue", || world.wax.queue().is_empty());
    ledger.check(ALICE, &flood_ids(&world.wax, "alice"), 0);
    let at_wing = flood_ids(&world.wing, "bob");
    println!("promised to bob: {}, found: {}", ledger.promised(BOB), at_wing.len());
    ledger.check(BOB, &at_wing, excess);
    assert_consistent(&world.wax, "alice");
    assert_consistent(&world.wing, "bob");
}

#[test]
fn kill_9_in_a_flood_loses_and_doubles_nothing_on_sqlite() {
    let mut world = World::start();
    let ledger = flood_and_kill(&mut world, false);
    check(&world, &ledger, KILLS * ON_THE_ROAD_AT_ONCE);
    restart_keeps(&mut world);
}

#[test]
fn kill_9_in_a_flood_loses_and_doubles_nothing_on_postgresql() {
    let postgres = Postgres::start();
    let url = postgres.database("wax");
    let mut world = World::with(|wax, _| wax.database = Some(url));
    let ledger = flood_and_kill(&mut world, false);
    check(&world, &ledger, KILLS * ON_THE_ROAD_AT_ONCE);
    restart_keeps(&mut world);
}

/// The other side: the server that is relayed to is killed, and the one that sends goes on.
#[test]
fn kill_9_of_the_next_server_loses_nothing() {
    let mut world = World::start();
    let ledger = flood_and_kill(&mut world, true);
    check(&world, &ledger, KILLS * ON_THE_ROAD_AT_ONCE);
}

/// What the store counts, what IMAP shows and what POP3 shows are the same.
#[track_caller]
fn assert_consistent(server: &Server, local: &str) {
    let mut imap = server.inbox(local);
    let sizes = imap.ok("UID FETCH 1:* (UID RFC822.SIZE)").unwrap();
    let number = |line: &str, key: &str| -> u64 {
        let rest = line.split_once(key).expect("fetched").1;
        rest.split([' ', ')']).next().unwrap().parse().unwrap()
    };
    let uids: Vec<u64> = sizes.iter().map(|r| number(&r.line, "UID ")).collect();
    assert!(uids.is_sorted_by(|a, b| a < b), "UIDs ascend and none is used twice");
    let octets: u64 = sizes.iter().map(|r| number(&r.line, "RFC822.SIZE ")).sum();

    let address = format!("{local}@{}", server.setup.domain);
    let shown = server.cli_json(&["user", "show", &address]);
    assert_eq!(shown["messages"], uids.len(), "{shown}");
    assert_eq!(shown["used_octets"], octets, "{shown}");

    let mut pop3 = Wire::connect(server.at("pop3")).unwrap();
    pop3.line().unwrap();
    let secret = password(local);
    for (command, answer) in [
        (format!("USER {address}"), "+OK".to_owned()),
        (format!("PASS {secret}"), "+OK".to_owned()),
        ("STAT".to_owned(), format!("+OK {} {octets}", uids.len())),
        ("QUIT".to_owned(), "+OK".to_owned()),
    ] {
        pop3.send(format!("{command}\r\n")).unwrap();
        let line = String::from_utf8_lossy(&pop3.line().unwrap()).into_owned();
        assert!(line.starts_with(&answer), "{command}: {line}");
    }
}

#[test]
fn a_crash_of_postgresql_loses_nothing_and_needs_no_restart() {
    let mut postgres = Postgres::start();
    let url = postgres.database("wax");
    let mut world = World::with(|wax, _| wax.database = Some(url));
    let accepted = AtomicUsize::new(0);
    let flood = Flood {
        servers: vec![world.wax.at("submission")],
        login: Some((ALICE.to_owned(), password("alice"))),
        from: ALICE.to_owned(),
        recipients: &recipients,
        count: 600,
        connections: 8,
        body_octets: 2_000,
        within: Duration::from_secs(240),
    };
    let ledger = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| flood.run(&accepted));
        for moment in [100, 300] {
            until(Duration::from_secs(240), "the moment of a crash", || {
                accepted.load(Ordering::Relaxed) >= moment
            });
            postgres.crash();
            // What is sent meanwhile is put off, not refused for good and not left hanging.
            let deferred = world.wax.smtp().send("x@client.test", &[ALICE], b"Subject: x\r\n\r\n");
            let deferred = deferred.unwrap();
            assert_eq!(deferred.code / 100, 4, "{deferred:?}");
            assert!(world.wax.daemon().is_running());
            postgres.run();
        }
        flooding.join().unwrap()
    });
    for attempt in &ledger.attempts {
        if let Outcome::Refused(why) = &attempt.outcome {
            assert!(!why.contains("code: 5"), "refused for good: {why}");
        }
    }
    check_arrivals(&world, &ledger, 2 * ON_THE_ROAD_AT_ONCE);
}

fn restart_keeps(world: &mut World) {
    let before = flood_ids(&world.wax, "alice").len();
    world.wax.stop();
    world.wax.run();
    assert_eq!(flood_ids(&world.wax, "alice").len(), before);
}
