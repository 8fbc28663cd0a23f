//! `waxwing-bench readers`: how fast a large mailbox is read over IMAP, beside Debian's Dovecot.
//!
//! One mailbox with 100,000 messages (fewer with `--messages`) is put into each server by APPEND,
//! and then asked what clients ask. Each row is run once to warm caches and then several times; the
//! servers take turns, and the medians and their ratios are told. Dovecot keeps the mail as Maildir,
//! its default, and as mdbox, its fastest. Its fsync is off (`mail_fsync = never`), which only makes
//! it faster. Beside speed: memory per idle TLS connection, and how soon a waiting client hears of a
//! delivery.

mod idle;
mod letters;
mod rows;
mod servers;
mod session;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use crate::measure::median;
use crate::report::{Target, print_table};
use idle::{Latency, Memory};
use letters::Letters;
use rows::{ROWS, Row};
use servers::{Kind, Server};
use session::Session;

/// At least so many times Dovecot's Maildir in every row, and more than once its mdbox.
const TARGET_MAILDIR: f64 = 2.0;
const TARGET_MDBOX: f64 = 1.0;
/// A search of bodies: so many times either, and in so many milliseconds.
const TARGET_BODY_SEARCH: f64 = 5.0;
const TARGET_BODY_SEARCH_MS: f64 = 100.0;
/// Resident memory of an idle TLS connection.
const TARGET_IDLE_OCTETS: f64 = 15.0 * 1024.0;
/// From the end of a delivery's data to the news of it, 99 of 100.
const TARGET_NEWS_MS: f64 = 20.0;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Messages in the mailbox.
    #[arg(long, default_value_t = 100_000)]
    messages: u32,
    /// Idle TLS connections.
    #[arg(long, default_value_t = 2_000)]
    connections: usize,
    /// Runs of each row after the first, which only warms caches.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these servers; may be given more than once. Default: all three.
    #[arg(long = "server", value_enum)]
    servers: Vec<Kind>,
    /// Write all numbers to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Found {
    messages: u32,
    servers: Vec<Of>,
    targets: Vec<Target>,
}

/// What was found of one server.
#[derive(Debug, Serialize)]
struct Of {
    server: &'static str,
    #[serde(skip)]
    kind: Kind,
    /// APPEND of the whole mailbox.
    fill_secs: f64,
    /// Milliseconds by row; `None` where it says that it cannot.
    rows: Vec<Option<f64>>,
    memory: Memory,
    latency: Latency,
}

/// Measures, prints, and tells whether every target was met.
pub async fn run(args: &Args, waxwing: &std::path::Path, under: &std::path::Path) -> Result<bool> {
    ensure!(args.messages >= 20_000, "--messages: the rows copy and expunge 10,000 of them");
    let kinds = if args.servers.is_empty() { Kind::ALL.to_vec() } else { args.servers.clone() };
    let letters = Letters::new();
    let mut found = Vec::new();
    let mut running = Vec::new();
    for kind in kinds {
        eprintln!("{}: {} messages by APPEND…", kind.label(), args.messages);
        let server = Server::start(kind, waxwing, under, args.connections).await?;
        let fill_secs = server.fill(&letters, args.messages).await.context(kind.label())?;
        running.push(server);
        found.push(Of {
            server: kind.label(),
            kind,
            fill_secs,
            rows: Vec::new(),
            memory: Memory::default(),
            latency: Latency::default(),
        });
    }
    for row in ROWS {
        measure(row, args, &running, &mut found).await.with_context(|| row.name.to_owned())?;
    }
    for (server, found) in running.iter().zip(&mut found) {
        eprintln!("{}: deliveries and idle connections…", found.server);
        found.latency = idle::latency(server, &letters).await.context(found.server)?;
        found.memory = idle::memory(server, args.connections).await.context(found.server)?;
    }
    for server in running {
        server.stop().await?;
    }
    let targets = targets(&found);
    print(args.messages, &found, &targets);
    let met = targets.iter().all(|target| target.met);
    if let Some(file) = &args.json {
        let found = Found { messages: args.messages, servers: found, targets };
        std::fs::write(file, serde_json::to_string_pretty(&found)? + "\n")?;
    }
    Ok(met)
}

/// One row on all servers in turn.
async fn measure(row: &Row, args: &Args, servers: &[Server], found: &mut [Of]) -> Result<()> {
    eprintln!("{}…", row.name);
    let mut times = vec![Vec::new(); servers.len()];
    let mut answers = vec![None; servers.len()];
    for round in 0..=args.runs {
        for (at, server) in servers.iter().enumerate() {
            server.rest().await;
            let mut session = Session::login(server.imap, &server.account()).await?;
            let outcome = (row.run)(&mut session, args.messages).await;
            let Some(outcome) = outcome.with_context(|| found[at].server)? else { continue };
            if round > 0 {
                times[at].push(outcome.took.as_secs_f64() * 1000.0);
            }
            answers[at] = answers[at].or(outcome.answer);
        }
    }
    let mut known = answers.iter().flatten();
    if let Some(first) = known.next()
        && known.any(|answer| answer != first)
    {
        bail!("the servers answer differently: {answers:?}");
    }
    for (found, times) in found.iter_mut().zip(&times) {
        found.rows.push((!times.is_empty()).then(|| median(times)));
    }
    Ok(())
}

fn targets(found: &[Of]) -> Vec<Target> {
    let of = |kind| found.iter().find(|found| found.kind == kind);
    let Some(own) = of(Kind::Waxwing) else { return Vec::new() };
    let mut targets = Vec::new();
    for (kind, times) in [(Kind::Maildir, TARGET_MAILDIR), (Kind::Mdbox, TARGET_MDBOX)] {
        let Some(peer) = of(kind) else { continue };
        for (at, row) in ROWS.iter().enumerate() {
            let (Some(ours), Some(theirs)) = (own.rows[at], peer.rows[at]) else { continue };
            let times = if row.is_body_search { TARGET_BODY_SEARCH } else { times };
            let ratio = theirs / ours;
            targets.push(Target {
                promise: format!("{}: {times} times {} or faster", row.name, kind.label()),
                found: format!("{ratio:.1} times"),
                met: ratio >= times,
            });
        }
    }
    if let Some(ms) = ROWS.iter().position(|row| row.is_body_search).and_then(|at| own.rows[at]) {
        targets.push(Target {
            promise: format!("a body search within {TARGET_BODY_SEARCH_MS} ms"),
            found: format!("{ms:.1} ms"),
            met: ms <= TARGET_BODY_SEARCH_MS,
        });
    }
    let octets = own.memory.octets_each;
    targets.push(Target {
        promise: "less than 15 KiB resident for each idle TLS connection".to_owned(),
        found: format!("{:.1} KiB", octets / 1024.0),
        met: octets < TARGET_IDLE_OCTETS,
    });
    let p99 = own.latency.p99_ms;
    targets.push(Target {
        promise: format!("news of a delivery within {TARGET_NEWS_MS} ms (p99), 50 a second"),
        found: format!("{p99:.1} ms"),
        met: p99 < TARGET_NEWS_MS,
    });
    targets
}

fn print(messages: u32, found: &[Of], targets: &[Target]) {
    let own = found.iter().find(|found| found.kind == Kind::Waxwing);
    let mut head = vec![format!("{messages} messages, ms")];
    head.extend(found.iter().map(|found| found.server.to_owned()));
    let mut table = vec![head];
    let line = |name: &str, of: &dyn Fn(&Of) -> Option<f64>| {
        let mut cells = vec![name.to_owned()];
        cells.extend(found.iter().map(|found| match (of(found), own.and_then(of)) {
            (None, _) => "–".to_owned(),
            (Some(value), Some(ours)) if found.kind != Kind::Waxwing => {
                format!("{value:.1} ({:.1}×)", value / ours)
            }
            (Some(value), _) => format!("{value:.1}"),
        }));
        cells
    };
    for (at, row) in ROWS.iter().enumerate() {
        table.push(line(row.name, &|found| found.rows[at]));
    }
    table.push(line("filling it by APPEND", &|found| Some(found.fill_secs * 1000.0)));
    table.push(line("news of a delivery, median", &|found| Some(found.latency.median_ms)));
    table.push(line("news of a delivery, p99", &|found| Some(found.latency.p99_ms)));
    table.push(line("KiB per idle TLS connection", &|f| Some(f.memory.octets_each / 1024.0)));
    println!("\nReading over IMAP (medians; in brackets how many times ours)");
    print_table(&table, 1);
    println!("\nTargets");
    for target in targets {
        let verdict = if target.met { "PASS" } else { "MISS" };
        println!("  {verdict}  {}: {}", target.promise, target.found);
    }
}
