//! Eight times the input takes about eight times the time, whatever the input: where the time were
//! quadratic it would be sixty-four times.

mod world;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use waxwing_mailauth::dkim::{BodyHasher, Canonicalization};
use waxwing_mailauth::results::{AuthenticationResults, is_ours};

use world::{Records, verify};

/// What this thread has used: on a busy machine the clock on the wall says nothing.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn best_of(runs: usize, mut work: impl FnMut()) -> Duration {
    let once = |_| {
        let start = cpu();
        work();
        cpu() - start
    };
    (0..runs).map(once).min().expect("at least one run")
}

fn linear(name: &str, octets: usize, make: impl Fn(usize) -> Vec<u8>, work: impl Fn(&[u8])) {
    // One at a time: the tests of a file run side by side.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (small, large) = (make(octets / 8), make(octets));
    let mut ratio = 0.0;
    for _ in 0..5 {
        let short = best_of(3, || work(&small)).max(Duration::from_micros(200));
        let long = best_of(2, || work(&large));
        ratio = long.as_secs_f64() / short.as_secs_f64();
        if ratio < 32.0 {
            return;
        }
    }
    panic!("{name}: {ratio:.0} times the time for 8 times the input");
}

/// `unit` again and again, up to about so many octets.
fn many(unit: &str, octets: usize) -> String {
    unit.repeat(octets / unit.len())
}

const KEY: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const TAGS: &str = "a=ed25519-sha256; c=relaxed/relaxed; d=x.example; s=s; b=AAAA; \
                    bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

#[test]
fn headers() {
    let records = Records::new().with("s._domainkey.x.example", KEY);
    type Shape = fn(usize) -> String;
    let shapes: [(&str, Shape); 9] = [
        ("many names", |n| format!("DKIM-Signature: v=1; {TAGS}; h=from:{}\r\n", many("a:", n))),
        ("many names and fields", |n| {
            let (names, fields) = (many("a:", n / 2), many("a:\r\n", n / 2));
            format!("DKIM-Signature: v=1; {TAGS}; h=from:{names}\r\n{fields}")
        }),
        ("many signatures", |n| many(&format!("DKIM-Signature: v=1; {TAGS}; h=from\r\n"), n)),
        ("many tags", |n| format!("DKIM-Signature: {}\r\n", many("a=1;", n))),
        ("many seals", |n| many(&format!("ARC-Seal: i=7; cv=none; {TAGS}\r\n"), n)),
        ("many broken results", |n| many("ARC-Authentication-Results: i=\r\n", n)),
        ("a whole chain", |n| {
            let set = |i| {
                let cv = if i == 1 { "none" } else { "pass" };
                let names = many("from:", n / 50);
                format!(
                    "ARC-Seal: i={i}; cv={cv}; {TAGS}\r\nARC-Authentication-Results: i={i}; x; none\r\n\
                     ARC-Message-Signature: i={i}; h={names}; {TAGS}\r\n"
                )
            };
            (1..=50).map(set).collect()
        }),
        ("many folds", |n| {
            format!("DKIM-Signature: v=1; {TAGS}; h=from:to\r\nTo: {}x\r\n", many("\r\n ", n))
        }),
        ("no colon", |n| many("word\r\n", n)),
    ];
    for (name, shape) in shapes {
        let make = |octets| format!("{}From: a@x.example\r\n\r\n", shape(octets)).into_bytes();
        linear(name, 200_000, make, |message| {
            verify(&records, message);
        });
    }
}

#[test]
fn bodies() {
    let units = ["\r\n", "\r", "\n", " ", " \r\n", "a ", "a  b\t\r\n", "a", "\r\r\n"];
    for unit in units {
        for kind in [Canonicalization::Simple, Canonicalization::Relaxed] {
            let run = |pieces: usize| {
                move |body: &[u8]| {
                    let mut hasher = BodyHasher::new(kind, None);
                    body.chunks(pieces).for_each(|piece| hasher.write(piece));
                    hasher.finish();
                }
            };
            let make = |octets| many(unit, octets).into_bytes();
            linear(&format!("{unit:?} in one"), 800_000, make, run(usize::MAX));
            linear(&format!("{unit:?} in pieces"), 800_000, make, run(13));
        }
    }
}

#[test]
fn results() {
    let units =
        ["(", ")", "\"", "\\", ";", "a=b;", "a=b c.d=e ", "a=b (c) ", " ", "=", "/", ".", "\r\n "];
    for unit in units {
        let make = |octets| format!("mx.example; {}", many(unit, octets)).into_bytes();
        linear(&format!("{unit:?}"), 400_000, make, |value| {
            let _ = AuthenticationResults::parse(value);
            is_ours(value, &["mx.example"]);
            is_ours(&value[10..], &["mx.example"]);
        });
    }
}
