//! How well the learned filter tells ham from spam, and how long it takes: `cargo bench -p
//! waxwing-filter --bench accuracy`. `-- wrong` lists what is judged wrongly.
//!
//! Words only: the corpus has no envelope, so nothing is known of senders.

#[path = "../tests/corpus/mod.rs"]
mod corpus;

use std::hint::black_box;
use std::time::Instant;

use corpus::{Learned, cross_validate, load, rates};
use waxwing_filter::spam::tokens;
use waxwing_message::Message;

fn main() {
    let Some(samples) = load() else { return };
    let ham = samples.iter().filter(|sample| !sample.spam).count();
    println!(
        "{ham} ham, {} spam; half learned, half judged, swapped, five seeds",
        samples.len() - ham
    );
    let judged = cross_validate(&samples, &[1, 2, 3, 4, 5]);
    println!("probability   spam caught   ham called spam");
    for threshold in [0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999] {
        let (caught, wrong) = rates(&judged, threshold);
        println!("{threshold:11}   {caught:9.2} %   {wrong:13.3} %");
    }
    let per_message = |seconds: f64| 1e6 * seconds / samples.len() as f64;
    let start = Instant::now();
    for sample in &samples {
        black_box(tokens(&Message::parse(&sample.raw)));
    }
    let cutting = per_message(start.elapsed().as_secs_f64());
    let learned = Learned::of(samples.iter());
    let start = Instant::now();
    for sample in &samples {
        black_box(learned.judge(&sample.tokens));
    }
    let judging = per_message(start.elapsed().as_secs_f64());
    let kept: usize = samples.iter().map(|sample| sample.tokens.len()).sum();
    let octets: usize = samples.iter().map(|sample| sample.raw.len()).sum();
    println!("{} octets and {} tokens a message", octets / samples.len(), kept / samples.len());
    println!("{cutting:.0} µs to cut a message, {judging:.0} µs to judge it");
    println!("{} different tokens kept", learned.tokens());
    if std::env::args().any(|argument| argument == "wrong") {
        for one in judged.iter().filter(|one| one.sample.spam != (one.outcome.probability >= 0.95))
        {
            println!("{:.4} {}", one.outcome.probability, one.sample.name);
        }
    }
}
