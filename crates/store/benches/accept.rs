//! How many messages a second become durable and visible in a mailbox, and what each costs.
//!
//! `cargo bench -p waxwing-store --bench accept [-- sqlite|postgres] [SECONDS]`: for each size and
//! number of concurrent callers, messages per second, processor time per message of the whole
//! process, and of the writer thread alone (SQLite). The database lies in the temporary folder
//! (`TMPDIR`), so put that on the disk that is meant. PostgreSQL runs with its defaults, fsync on.

#[path = "../tests/store/server.rs"]
#[allow(dead_code)]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use waxwing_message::journey::{Event, Source, Step};
use waxwing_message::{Address, Envelope, JourneyId, Message, ReversePath, Summary};
use waxwing_store::*;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let wants = |engine: &str| {
        !arguments.iter().any(|a| a == "sqlite" || a == "postgres")
            || arguments.iter().any(|a| a == engine)
    };
    let seconds = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(3);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if wants("sqlite") {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("bench.db").display());
        runtime.block_on(measure_all("SQLite", &url, folder.path(), seconds));
        let (syncs, took) = fsyncs(folder.path());
        println!("one append and fdatasync of 16 KiB on this disk: {:.2} ms", took * 1e3 / syncs);
    }
    if wants("postgres") {
        let server = server::Server::start(&[]);
        let folder = tempfile::tempdir().expect("a folder");
        let url = runtime.block_on(server.create_database());
        runtime.block_on(measure_all("PostgreSQL", &url, folder.path(), seconds));
    }
}

async fn measure_all(engine: &str, url: &str, folder: &std::path::Path, seconds: u64) {
    let settings = OpenSettings {
        database_url: url.into(),
        blobs: None,
        spool_folder: folder.into(),
        node: "bench".into(),
    };
    let store = Store::open(settings).await.expect("the store opens");
    store.create_domain("wing.test").await.expect("a domain");
    let mut accounts = Vec::new();
    for number in 0..16 {
        let address = Address::parse(&format!("user{number}@wing.test")).expect("an address");
        let new = NewAccount {
            address: &address,
            display_name: "",
            password: "secret",
            quota_octets: None,
        };
        accounts.push(store.create_account(new).await.expect("an account"));
    }
    let accounts = Arc::new(accounts);
    println!("{engine}: one recipient each, 16 accounts");
    println!("  size      callers   messages/s   CPU µs/message   writer µs/message");
    for (name, octets) in [("4 KB", 4_000), ("50 KB", 50_000), ("1 MB", 1_000_000)] {
        for callers in [1, 16, 64] {
            let run = measure(&store, &accounts, octets, callers, seconds).await;
            println!(
                "  {name:<9} {callers:>7}   {:>10.0}   {:>14.0}   {:>17.0}",
                run.rate, run.cpu_micros, run.writer_micros
            );
        }
    }
    println!("  resident: {} KB", resident_kb());
    store.close().await;
}

struct Run {
    rate: f64,
    cpu_micros: f64,
    writer_micros: f64,
}

async fn measure(
    store: &Store,
    accounts: &Arc<Vec<Account>>,
    octets: usize,
    callers: usize,
    seconds: u64,
) -> Run {
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let (cpu, writer) = (cpu_micros(), writer_micros());
    let started = Instant::now();
    let tasks = (0..callers).map(|caller| {
        let (store, accounts) = (store.clone(), accounts.clone());
        let (stop, done) = (stop.clone(), done.clone());
        tokio::spawn(async move {
            let mut number = caller as u64 * 1_000_000;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let account = &accounts[(number % accounts.len() as u64) as usize];
                accept_one(&store, account, number, octets).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("a caller ends well");
    }
    let messages = done.load(Ordering::Relaxed) as f64;
    Run {
        rate: messages / started.elapsed().as_secs_f64(),
        cpu_micros: (cpu_micros() - cpu) / messages,
        writer_micros: (writer_micros() - writer) / messages,
    }
}

/// What a server does when the last dot has come.
async fn accept_one(store: &Store, account: &Account, number: u64, octets: usize) {
    let random: u128 = rand::random();
    let mut content = format!(
        "From: Alice Example <alice@wax.test>\r\nTo: {}\r\nSubject: message {number}\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <{random:x}@wax.test>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
        account.address
    )
    .into_bytes();
    let mut word = random as u64 | 1;
    while content.len() < octets {
        // Text that is neither noise nor one line over and over.
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        content.extend_from_slice(WORDS[(word >> 60) as usize].as_bytes());
        content.extend_from_slice(if word >> 56 & 15 == 0 { b"\r\n" } else { b" " });
    }
    let summary = Summary::of(&Message::parse(&content));
    let size_octets = content.len() as u64;
    let blob = store.stage_bytes(content).await.expect("staged");
    let now = Timestamp::now();
    let accepted = Step::Accepted {
        by: "mx.wing.test".into(),
        protocol: "ESMTPS".into(),
        source: Source { ip: None, helo: Some("mx.wax.test".into()), tls: None, login: None },
        reverse_path: ReversePath::Null,
        recipients: vec![account.address.clone()],
        message_id: Some(format!("{random:x}@wax.test")),
        size_octets,
        repairs: Vec::new(),
    };
    let acceptance = Acceptance {
        journey: JourneyId::new(now, rand::random()),
        now,
        envelope: Envelope::plain(ReversePath::Null, vec![account.address.clone()]),
        message_id: Some(format!("{random:x}@wax.test")),
        deposits: vec![Deposit {
            account: account.id,
            mailbox: DepositTo::Role(Role::Inbox),
            blob,
            summary,
            received_at: now,
            flags: Flags::default(),
            recipient: account.address.clone(),
            despite_quota: false,
            author: None,
        }],
        queue: Vec::new(),
        queue_blob: None,
        events: vec![Event { at: now, step: accepted }],
        beside: Beside::default(),
    };
    store.accept(acceptance).await.expect("accepted");
}

const WORDS: [&str; 16] = [
    "the",
    "letter",
    "of",
    "yesterday",
    "and",
    "what",
    "was",
    "meeting",
    "on",
    "Thursday",
    "with",
    "regards",
    "please",
    "attached",
    "invoice",
    "tomorrow",
];

/// Clock ticks in these files are hundredths of a second on Linux.
fn stat_micros(path: &std::path::Path) -> f64 {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) * 10_000.0
}

fn cpu_micros() -> f64 {
    stat_micros("/proc/self/stat".as_ref())
}

fn writer_micros() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm"))
                .is_ok_and(|c| c.trim() == "store-writer")
        })
        .map(|task| stat_micros(&task.path().join("stat")))
        .sum()
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn fsyncs(folder: &std::path::Path) -> (f64, f64) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("sync")).expect("a file");
    let started = Instant::now();
    for _ in 0..200 {
        file.write_all(&[7; 16_384]).expect("written");
        file.sync_data().expect("synced");
    }
    (200.0, started.elapsed().as_secs_f64())
}
