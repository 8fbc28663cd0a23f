//! What a session takes of memory with a large maildrop, counted by the allocator: the numbers, sizes
//! and UIDs of its messages, and nothing else. One test only: the count is of the whole process, the
//! client's end and the store included. (SQLite's own memory is not counted; it is bounded.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::watch;
use waxwing_message::{Address, Message, Summary};
use waxwing_pop3::{Session, Settings, serve};
use waxwing_store::{Flags, NewAccount, NewMessage, OpenSettings, Store};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator, which upholds the contract;
// counting touches nothing but two atomics.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, octets: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `octets` came from `alloc` above, hence from the system's allocator.
        unsafe { System.dealloc(octets, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1024 * 1024;
const MESSAGES: usize = 100_000;
const LOGIN: &str = "ann@wax.test";
const MESSAGE: &[u8] = b"From: <bob@wing.test>\r\nSubject: one of many\r\n\r\nHello.\r\n";

/// The most that was taken since `before`.
fn peak_since(before: usize) -> usize {
    PEAK.load(Ordering::Relaxed).saturating_sub(before)
}

fn mark() -> usize {
    let now = NOW.load(Ordering::Relaxed);
    PEAK.store(now, Ordering::Relaxed);
    now
}

async fn full_inbox(folder: &tempfile::TempDir) -> Store {
    let settings = OpenSettings {
        database_url: format!("sqlite:{}", folder.path().join("mail.db").display()),
        blobs: None,
        spool_folder: folder.path().to_owned(),
        node: "one".to_owned(),
    };
    let store = Store::open(settings).await.unwrap();
    store.create_domain("wax.test").await.unwrap();
    let address: Address = LOGIN.parse().unwrap();
    let new = NewAccount {
        address: &address,
        display_name: "",
        password: "correct horse",
        quota_octets: None,
    };
    let account = store.create_account(new).await.unwrap();
    let inbox = store.mailbox_by_name(account.id, "INBOX").await.unwrap().unwrap().id;
    let summary = Summary::of(&Message::parse(MESSAGE));
    let blob = store.stage_bytes(MESSAGE.to_vec()).await.unwrap();
    for _ in 0..MESSAGES / 1_000 {
        let message = || NewMessage {
            blob: blob.clone(),
            summary: summary.clone(),
            received_at: Timestamp::UNIX_EPOCH,
            flags: Flags::default(),
            journey: None,
        };
        store.append(inbox, std::iter::repeat_with(message).take(1_000).collect()).await.unwrap();
    }
    store
}

/// The lines of an answer that has several, counted; and the last of them before the dot.
async fn lines(client: &mut BufReader<DuplexStream>, command: &str) -> (usize, String) {
    client.get_mut().write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let (mut line, mut last, mut count) = (String::new(), String::new(), 0);
    client.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("+OK"), "{line}");
    loop {
        line.clear();
        client.read_line(&mut line).await.unwrap();
        if line == ".\r\n" {
            return (count, last);
        }
        count += 1;
        std::mem::swap(&mut last, &mut line);
    }
}

async fn one(client: &mut BufReader<DuplexStream>, command: &str) -> String {
    client.get_mut().write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    line
}

#[tokio::test]
async fn a_large_maildrop_is_served_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = full_inbox(&folder).await;
    let (theirs, mut ours) = tokio::io::duplex(16 * 1024);
    let settings = Arc::new(Settings { plaintext_allowed: true, ..Settings::default() });
    let (_stop, stopped) = watch::channel(false);
    let mut client = BufReader::new(theirs);
    let before = mark();
    let session = tokio::spawn(async move {
        let mut session = Session::new(store, settings, None, stopped);
        tokio::time::timeout(Duration::from_secs(300), serve(&mut ours, &mut session)).await
    });
    client.read_line(&mut String::new()).await.unwrap();
    assert!(one(&mut client, &format!("USER {LOGIN}")).await.starts_with("+OK"));
    // The password's own memory (argon2) comes and goes with it.
    assert!(one(&mut client, "PASS correct horse").await.starts_with("+OK"));
    let listed = mark();
    println!("{MESSAGES} messages: {} KiB held by the session", (listed - before) / 1024);
    assert!(listed - before < 3 * MIB, "{} KiB", (listed - before) / 1024);

    assert_eq!(
        one(&mut client, "STAT").await,
        format!("+OK {MESSAGES} {}\r\n", MESSAGES * MESSAGE.len())
    );
    let (count, last) = lines(&mut client, "LIST").await;
    assert_eq!((count, last), (MESSAGES, format!("{MESSAGES} {}\r\n", MESSAGE.len())));
    let (count, last) = lines(&mut client, "UIDL").await;
    assert_eq!(count, MESSAGES);
    assert!(
        last.starts_with(&format!("{MESSAGES} ")) && last.ends_with(&format!(".{MESSAGES}\r\n")),
        "{last}"
    );
    let (count, last) = lines(&mut client, &format!("RETR {MESSAGES}")).await;
    assert_eq!((count, last.as_str()), (4, "Hello.\r\n"));
    let peak = peak_since(listed);
    println!("STAT, LIST, UIDL and RETR: {} KiB more at most", peak / 1024);
    assert!(peak < MIB, "{} KiB", peak / 1024);
    assert!(one(&mut client, "QUIT").await.starts_with("+OK"));
    session.await.unwrap().unwrap();
}
