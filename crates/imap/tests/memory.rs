//! What large fetches take of memory: measured from the outside, as the process's resident set, so
//! that this file has one test only.
#![cfg(target_os = "linux")]

mod support;

use support::World;

/// The largest resident set since the last reset, in octets.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    let kib: u64 = line.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("KiB");
    kib * 1024
}

fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
}

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn memory_stays_flat() {
    a_large_message_is_never_whole_in_memory().await;
    a_large_mailbox_is_fetched_in_flat_memory().await;
}

async fn a_large_message_is_never_whole_in_memory() {
    let world = World::new().await;
    let mut client = world.in_inbox().await;
    let header = b"Subject: large\r\nContent-Type: application/octet-stream\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n";
    let line = b"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5\r\n";
    let lines = 40 * MIB as usize / line.len();
    let size = header.len() + lines * line.len();

    reset_peak();
    let before = peak();
    client.send(format!("a APPEND INBOX {{{size}}}\r\n")).await;
    assert!(client.line().await.starts_with("+ "));
    client.send(header).await;
    for _ in 0..lines {
        client.send(line).await;
    }
    client.send("\r\n").await;
    let appended = client.until("a").await;
    assert!(appended.last().unwrap().contains("OK [APPENDUID"), "{appended:?}");
    let appending = peak().saturating_sub(before);

    reset_peak();
    let before = peak();
    client.send("b FETCH 1 (BODY.PEEK[] BINARY.SIZE[1])\r\n").await;
    let mark = client.line().await;
    assert!(mark.ends_with(&format!("{{{size}}}")), "{mark}");
    let mut left = size;
    while left > 0 {
        left -= client.octets(left.min(8192)).await.len();
    }
    let rest = client.line().await;
    let decoded = lines * (line.len() - 2) / 4 * 3;
    assert_eq!(rest, format!(" BINARY.SIZE[1] {decoded})"));
    assert!(client.line().await.starts_with("b OK"));
    let fetching = peak().saturating_sub(before);

    // The spool is a mapped file: its pages count while it is parsed, but are not the heap's.
    println!("appending {} MiB more, fetching {} MiB more", appending / MIB, fetching / MIB);
    assert!(fetching < 16 * MIB, "{} MiB more while fetching", fetching / MIB);
}

/// Many messages, by doubling: one appended, the rest copied.
async fn fill(client: &mut support::Client, doublings: u32) {
    client.ok("SELECT Archive").await;
    client.append("Archive", &support::message("one of many")).await;
    for _ in 0..doublings {
        client.ok("COPY 1:* Archive").await;
    }
}

async fn a_large_mailbox_is_fetched_in_flat_memory() {
    const DOUBLINGS: u32 = 14;
    let world = World::new().await;
    let mut client = world.client().await;
    fill(&mut client, DOUBLINGS).await;
    reset_peak();
    let before = peak();
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
    let fetching = peak().saturating_sub(before);
    println!("fetching {fetched} envelopes: {} MiB more", fetching / MIB);
    assert!(fetching < 16 * MIB, "{} MiB more", fetching / MIB);
}
