//! What sessions take of memory, counted by the allocator. One test only: the count is of the
//! whole process, the client's end, the store and its caches included.
//!
//! (SQLite's own memory is not counted, and a spooled message is a mapped file.)

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{Client, LOGIN, PASSWORD, World};
use tokio::io::AsyncWriteExt as _;
use waxwing_imap::{Session, serve};

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

/// The most that is taken from now on beyond what is taken now.
struct Since(usize);

impl Since {
    fn now() -> Since {
        let now = NOW.load(Ordering::Relaxed);
        PEAK.store(now, Ordering::Relaxed);
        Since(now)
    }
    fn peak(&self) -> usize {
        PEAK.load(Ordering::Relaxed).saturating_sub(self.0)
    }
    fn left(&self) -> usize {
        NOW.load(Ordering::Relaxed).saturating_sub(self.0)
    }
}

#[tokio::test]
async fn memory_stays_flat() {
    a_large_message_is_never_whole_in_memory().await;
    a_large_mailbox_is_fetched_in_flat_memory().await;
    a_session_that_waits_weighs_little().await;
}

async fn a_large_message_is_never_whole_in_memory() {
    let world = World::new().await;
    let mut client = world.in_inbox().await;
    let header = b"Subject: large\r\nContent-Type: application/octet-stream\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n";
    let line = b"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5\r\n";
    let lines = 40 * MIB / line.len();
    let size = header.len() + lines * line.len();

    let since = Since::now();
    client.send(format!("a APPEND INBOX {{{size}}}\r\n")).await;
    assert!(client.line().await.starts_with("+ "));
    client.send(header).await;
    for _ in 0..lines {
        client.send(line).await;
    }
    client.send("\r\n").await;
    let appended = client.until("a").await;
    assert!(appended.last().unwrap().contains("OK [APPENDUID"), "{appended:?}");
    println!("APPEND of {} MiB: {} KiB at most", size / MIB, since.peak() / 1024);
    assert!(since.peak() < 12 * MIB, "{} MiB", since.peak() / MIB);

    let since = Since::now();
    client.send("b FETCH 1 (BODY.PEEK[] BINARY.SIZE[1])\r\n").await;
    let mark = client.line().await;
    assert!(mark.ends_with(&format!("{{{size}}}")), "{mark}");
    let mut left = size;
    while left > 0 {
        left -= client.octets(left.min(8192)).await.len();
    }
    let decoded = lines * (line.len() - 2) / 4 * 3;
    assert_eq!(client.line().await, format!(" BINARY.SIZE[1] {decoded})"));
    assert!(client.line().await.starts_with("b OK"));
    println!("FETCH of {} MiB: {} KiB at most", size / MIB, since.peak() / 1024);
    assert!(since.peak() < 4 * MIB, "{} MiB", since.peak() / MIB);
}

/// One message appended, the rest by copying all of them again and again.
async fn fill(client: &mut Client, doublings: u32) {
    client.ok("SELECT Archive").await;
    client.append("Archive", &support::message("one of many")).await;
    for _ in 0..doublings {
        client.ok("COPY 1:* Archive").await;
    }
    client.ok("UNSELECT").await;
}

async fn a_large_mailbox_is_fetched_in_flat_memory() {
    const DOUBLINGS: u32 = 14;
    let world = World::new().await;
    let mut client = world.client().await;
    fill(&mut client, DOUBLINGS).await;
    let since = Since::now();
    client.ok("SELECT Archive").await;
    let per_message = since.left() / (1 << DOUBLINGS);
    println!("a selected mailbox: {per_message} octets a message");
    assert!(per_message <= 28, "{per_message} octets a message");
    let since = Since::now();
    client.send("c FETCH 1:* (FLAGS INTERNALDATE ENVELOPE BODYSTRUCTURE)\r\n").await;
    let mut fetched = 0;
    loop {
        let line = client.line().await;
        if !line.starts_with("* ") {
            assert!(line.starts_with("c OK"), "{line}");
            break;
        }
        fetched += 1;
    }
    assert_eq!(fetched, 1 << DOUBLINGS);
    println!("FETCH of {fetched} envelopes: {} KiB at most", since.peak() / 1024);
    assert!(since.peak() < 2 * MIB, "{} MiB", since.peak() / MIB);
}

async fn a_session_that_waits_weighs_little() {
    const SESSIONS: usize = 50;
    const PIPE: usize = 512;
    let world = World::new().await;
    let mut waiting = Vec::new();
    // Once outside of the count, for what is made only once.
    waiting.push(wait_in_idle(&world, PIPE).await);
    let since = Since::now();
    for _ in 0..SESSIONS {
        waiting.push(wait_in_idle(&world, PIPE).await);
    }
    let each = since.left() / SESSIONS;
    println!("a session in IDLE, with the pipe to it: {each} octets");
    assert!(each < 8 * 1024, "{each} octets");
}

/// A session in IDLE, and the pipe that keeps it alive.
async fn wait_in_idle(world: &World, pipe: usize) -> tokio::io::DuplexStream {
    let (mut near, mut far) = tokio::io::duplex(pipe);
    let mut session = Session::new(world.store.clone(), world.settings.clone());
    let stop = world.stop.subscribe();
    tokio::spawn(async move { serve(&mut far, &mut session, None, stop).await });
    let commands = format!("a LOGIN {LOGIN} \"{PASSWORD}\"\r\nb SELECT INBOX\r\nc IDLE\r\n");
    near.write_all(commands.as_bytes()).await.expect("the server reads");
    let mut heard = Vec::new();
    while !heard.windows(4).any(|four| four == b"\r\n+ ") || !heard.ends_with(b"\n") {
        let mut piece = [0; 256];
        let octets = tokio::io::AsyncReadExt::read(&mut near, &mut piece).await.expect("an answer");
        heard.extend_from_slice(&piece[..octets]);
    }
    near
}
