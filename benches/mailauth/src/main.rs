//! Microseconds of CPU for one message: ours beside mail-auth, on the same messages, in turns.
//!
//! | scenario | what is done |
//! |---|---|
//! | verify | the message is read from memory, and its one DKIM signature verified |
//! | all | the same, and SPF of its reverse-path and DMARC of its author, both with records of one term |
//! | sign | two signatures, Ed25519 and RSA-2048, for one message, the body hashed |
//! | ARC | a chain of 1 and of 3 sets is validated; one of 3 whose last sealer changed the body, as lists do |
//!
//! The DNS is warm: both find their answers in a map in memory. mail-auth's holds records that are
//! parsed already; ours holds the texts, as the resolver's cache does, and keys that were read stand in a
//! `KeyCache`. Of three ARC sets both verify the last message signature and all seals, which the verdict
//! rests on. Ours verifies the older message signatures too when a DKIM signature of the message was
//! broken, to tell who changed it last; here there is none, and that costs nothing. Rounds alternate,
//! and what is printed is the median of the rounds.

mod ours;
mod peer;
mod scene;

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

use scene::Scene;

/// Runs of each scenario in one round.
const RUNS: u32 = 2_000;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("profile") {
        return profile(&std::env::args().nth(2).unwrap_or_default());
    }
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(9usize);
    let scene = Scene::new();
    let ours = ours::Ours::new(&scene);
    let peer = peer::Peer::new(&scene);

    println!("µs of CPU for one message of 4 KB, median of {rounds} rounds of {RUNS}\n");
    println!("{:<28} {:>9} {:>9} {:>7}", "", "ours", "mail-auth", "ratio");
    row(rounds, "verify DKIM, RSA-2048", || ours.verify(&scene.rsa), || peer.verify(&scene.rsa));
    row(
        rounds,
        "verify DKIM, Ed25519",
        || ours.verify(&scene.ed25519),
        || peer.verify(&scene.ed25519),
    );
    row(
        rounds,
        "sign Ed25519 and RSA-2048",
        || ours.sign(&scene.plain),
        || peer.sign(&scene.plain),
    );
    row(rounds, "validate ARC, 1 set", || ours.arc(&scene.arc_1), || peer.arc(&scene.arc_1));
    row(rounds, "validate ARC, 3 sets", || ours.arc(&scene.arc_3), || peer.arc(&scene.arc_3));
    row(
        rounds,
        "validate ARC, 3 sets, a list",
        || ours.arc(&scene.arc_3_changed),
        || peer.arc(&scene.arc_3_changed),
    );
    row(rounds, "SPF + DKIM + DMARC, RSA-2048", || ours.all(&scene.rsa), || peer.all(&scene.rsa));
}

/// One side alone and no clock, for a profiler that counts instructions: `profile all`, `profile
/// peer-all`.
fn profile(name: &str) {
    let scene = Scene::new();
    let ours = ours::Ours::new(&scene);
    let peer = peer::Peer::new(&scene);
    let run = || match name {
        "rsa" => ours.verify(&scene.rsa),
        "ed25519" => ours.verify(&scene.ed25519),
        "all" => ours.all(&scene.rsa),
        "peer-all" => peer.all(&scene.rsa),
        "sign" => ours.sign(&scene.plain),
        "arc1" => ours.arc(&scene.arc_1),
        "peer-arc3" => peer.arc(&scene.arc_3),
        _ => ours.arc(&scene.arc_3),
    };
    for _ in 0..RUNS {
        run();
    }
}

fn row(rounds: usize, name: &str, ours: impl Fn(), peer: impl Fn()) {
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        our_times.push(micros(&ours));
        peer_times.push(micros(&peer));
    }
    let (ours, peer) = (median(our_times), median(peer_times));
    println!("{name:<28} {ours:>9.1} {peer:>9.1} {:>7.2}", peer / ours);
}

/// CPU of this thread for one run.
fn micros(run: impl Fn()) -> f64 {
    let begin = cpu();
    for _ in 0..RUNS {
        black_box(&run)();
    }
    (cpu() - begin) * 1e6 / f64::from(RUNS)
}

fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Runs a future that never waits.
fn now_or_never<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("an answer was not in memory"),
    }
}
