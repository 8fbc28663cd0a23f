//! How long it takes to list, summarise and search a mailbox of 100,000 messages.
//!
//! `cargo bench -p waxwing-store --bench listing [-- sqlite|postgres] [MESSAGES]`

#[path = "../tests/store/server.rs"]
#[allow(dead_code)]
mod server;

use std::time::Instant;

use jiff::Timestamp;
use waxwing_message::{Address, Message, Summary};
use waxwing_store::*;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let wants = |engine: &str| {
        !arguments.iter().any(|a| a == "sqlite" || a == "postgres")
            || arguments.iter().any(|a| a == engine)
    };
    let messages = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(100_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    if wants("sqlite") {
        let url = format!("sqlite:{}", folder.path().join("bench.db").display());
        runtime.block_on(measure("SQLite", &url, folder.path(), messages));
    }
    if wants("postgres") {
        let server = server::Server::start(&["-c", "fsync=off"]);
        let url = runtime.block_on(server.create_database());
        runtime.block_on(measure("PostgreSQL", &url, folder.path(), messages));
    }
}

async fn measure(engine: &str, url: &str, folder: &std::path::Path, messages: usize) {
    let settings = OpenSettings {
        database_url: url.into(),
        blobs: None,
        spool_folder: folder.into(),
        node: "bench".into(),
    };
    let store = Store::open(settings).await.expect("the store opens");
    println!("{engine}: {messages} messages; resident when opened: {} KB", resident_kb());
    store.create_domain("wing.test").await.expect("a domain");
    let address = Address::parse("bob@wing.test").expect("an address");
    let new = NewAccount { address: &address, display_name: "", password: "x", quota_octets: None };
    let bob = store.create_account(new).await.expect("an account");
    let inbox = store.mailbox_by_name(bob.id, "INBOX").await.expect("read").expect("there").id;
    let timer = Timer::start("append, 500 at once");
    for first in (0..messages).step_by(500) {
        let mut some = Vec::new();
        for number in first..(first + 500).min(messages) {
            some.push(message(&store, number).await);
        }
        store.append(inbox, some).await.expect("appended");
    }
    timer.stop();
    let timer = Timer::start("index all");
    while store.index_some(256).await.expect("indexed") > 0 {}
    timer.stop();

    let timer = Timer::start("entries()");
    let (entries, modseq) = store.entries(inbox).await.expect("listed");
    timer.stop();
    let uids: Vec<Uid> = entries.iter().map(|entry| entry.uid).collect();
    let timer = Timer::start("summaries() of all, 500 at once");
    for some in uids.chunks(500) {
        store.summaries(inbox, some).await.expect("summarised");
    }
    timer.stop();
    let timer = Timer::start("search for a word that 1 in 1,000 has");
    let found = store.search_text(inbox, "thousand007x", false).await.expect("searched").len();
    timer.stop();
    let timer = Timer::start("search for a phrase that 1 in 1,000 has");
    let again =
        store.search_text(inbox, "number thousand007x comes", true).await.expect("searched");
    timer.stop();
    assert_eq!(found, again.len());
    let timer = Timer::start("flag all");
    let seen = Flags { system: SystemFlags::SEEN, keywords: None };
    store.store_flags(inbox, &uids, FlagChange::Add(seen), None).await.expect("flagged");
    timer.stop();
    let timer = Timer::start("changes() of all");
    assert_eq!(store.changes(inbox, modseq).await.expect("changes").changed.len(), messages);
    timer.stop();
    let timer = Timer::start("expunge all");
    store.expunge(inbox, &uids).await.expect("expunged");
    timer.stop();
    println!("  resident: {} KB", resident_kb());
    store.close().await;
}

async fn message(store: &Store, number: usize) -> NewMessage {
    let octets = format!(
        "From: Alice Example <alice@wax.test>\r\nTo: bob@wing.test\r\nSubject: message {number}\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <{number}@wax.test>\r\n\r\n\
         Letter number thousand{:03}x comes by boat.\r\n",
        number % 1_000
    )
    .into_bytes();
    NewMessage {
        summary: Summary::of(&Message::parse(&octets)),
        blob: store.stage_bytes(octets).await.expect("staged"),
        received_at: Timestamp::now(),
        flags: Flags::default(),
        journey: None,
    }
}

struct Timer {
    what: &'static str,
    started: Instant,
}

impl Timer {
    fn start(what: &'static str) -> Timer {
        Timer { what, started: Instant::now() }
    }
    fn stop(self) {
        println!("  {:<42} {:>9.1} ms", self.what, self.started.elapsed().as_secs_f64() * 1e3);
    }
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
