//! The report: numbers as JSON for programs, as tables for people, and the targets with whether
//! they are met.

use serde::Serialize;

use crate::disk::Disk;
use crate::load::Reuse;
use crate::measure::{MemoryUse, Run, StartUp, SyncUse, median};
use crate::render::Size;
use crate::server::Kind;

/// At least so many times the rate of Postfix and Dovecot for 4 KB messages at 16 connections.
const TARGET_RATIO: f64 = 10.0;
/// Resident memory when idle, in octets.
const TARGET_IDLE: u64 = 40_000_000;
/// From start to listening.
const TARGET_LISTENING_MS: f64 = 100.0;
/// More than this share of the processors used by neither side makes a run doubtful.
const DOUBTFUL: f64 = 0.25;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub disk: Disk,
    pub servers: Vec<Server>,
    pub cases: Vec<Case>,
}

/// What it ran on.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
}

/// What was found of a server beside its rates.
#[derive(Debug, Serialize)]
pub struct Server {
    pub name: &'static str,
    #[serde(skip)]
    pub kind: Kind,
    pub start_up: StartUp,
    pub memory: MemoryUse,
    pub syncs: SyncUse,
}

/// All runs of one load.
#[derive(Debug, Serialize)]
pub struct Case {
    pub name: String,
    pub size_octets: usize,
    pub connections: usize,
    pub one_message_per_connection: bool,
    pub runs: Vec<Runs>,
}

/// The runs of one server.
#[derive(Debug, Serialize)]
pub struct Runs {
    pub server: &'static str,
    #[serde(skip)]
    pub kind: Kind,
    pub runs: Vec<Run>,
}

impl Case {
    pub fn new(size: Size, connections: usize, reuse: Reuse, kinds: &[Kind]) -> Case {
        let each = if reuse == Reuse::OneMessage { ", one message each" } else { "" };
        Case {
            name: format!("{} × {connections}{each}", size.label()),
            size_octets: size.octets(),
            connections,
            one_message_per_connection: reuse == Reuse::OneMessage,
            runs: kinds
                .iter()
                .map(|&kind| Runs { server: kind.label(), kind, runs: Vec::new() })
                .collect(),
        }
    }

    fn rate(&self, kind: Kind) -> Option<f64> {
        self.runs.iter().find(|runs| runs.kind == kind).map(|runs| runs.median(|r| r.per_second))
    }
}

impl Runs {
    fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        median(&self.runs.iter().map(of).collect::<Vec<_>>())
    }
}

/// A promise, and whether it is kept.
#[derive(Debug, Serialize)]
pub struct Target {
    pub promise: String,
    pub found: String,
    pub met: bool,
}

impl Report {
    /// The targets that this report can decide.
    pub fn targets(&self) -> Vec<Target> {
        let ratio = self.cases.iter().find(|case| {
            case.size_octets == Size::Plain4K.octets()
                && case.connections == 16
                && !case.one_message_per_connection
        });
        let ratio = ratio
            .and_then(|case| Some(case.rate(Kind::Waxwing)? / case.rate(Kind::PostfixDovecot)?));
        let own = self.servers.iter().find(|server| server.kind == Kind::Waxwing);
        let idle = own.map(|server| server.memory.idle.rss);
        let listening = own.and_then(|server| server.start_up.said_listening_ms);
        let connected = own.map(|server| server.start_up.connected_ms);
        [
            ratio.map(|ratio| Target {
                promise: "at least 10 times Postfix+Dovecot, 4 KB × 16 connections".to_owned(),
                found: format!("{ratio:.1} times"),
                met: ratio >= TARGET_RATIO,
            }),
            idle.map(|rss| Target {
                promise: "less than 40 MB resident when idle".to_owned(),
                found: megabytes(rss),
                met: rss < TARGET_IDLE,
            }),
            listening.zip(connected).map(|(listening, connected)| Target {
                promise: "listening within 100 ms of the start".to_owned(),
                found: format!("{listening:.0} ms, connected {connected:.0} ms"),
                met: listening.max(connected) <= TARGET_LISTENING_MS,
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Prints the tables.
    pub fn print(&self) {
        self.print_rates();
        self.print_servers();
        println!("\nTargets");
        for target in self.targets() {
            let verdict = if target.met { "PASS" } else { "MISS" };
            println!("  {verdict}  {}: {}", target.promise, target.found);
        }
    }

    /// The head, printed before the long part.
    pub fn print_head(machine: &Machine, disk: &Disk) {
        println!("{} × {}, Linux {}", machine.cores, machine.processor, machine.kernel);
        println!(
            "disk ({}): 4 KB made durable one by one: appending {:.2} ms (p99 {:.2} ms, {:.0}/s), \
             overwriting {:.2} ms (p99 {:.2} ms, {:.0}/s)",
            disk.file_system,
            disk.append.median_ms,
            disk.append.p99_ms,
            disk.append.per_second,
            disk.overwrite.median_ms,
            disk.overwrite.p99_ms,
            disk.overwrite.per_second,
        );
    }

    fn print_rates(&self) {
        let head = [
            "size × connections",
            "server",
            "msg/s",
            "(min",
            "max)",
            "× P+D",
            "p50 ms",
            "p99 ms",
            "CPU ms/msg",
            "others",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for case in &self.cases {
            for runs in &case.runs {
                rows.push(rate_row(case, runs));
            }
        }
        println!("\nMessages accepted durably and visible over IMAP (medians of the runs)");
        print_table(&rows, 2);
        println!(
            "  × P+D: beside Postfix+Dovecot in the same run. p50, p99: MAIL to the last 250.\n  \
             CPU: of all the server's processes, with indexing afterwards.\n  \
             others: share of the processors that neither the server nor the load used."
        );
        if self.doubtful() {
            println!("  ! Other programs were busy: run this again on a quiet machine.");
        }
    }

    /// Whether half of the runs of any case were disturbed by other programs.
    fn doubtful(&self) -> bool {
        let mut runs = self.cases.iter().flat_map(|case| &case.runs);
        runs.any(|runs| runs.median(|run| run.other_cpu_share) > DOUBTFUL)
    }

    fn print_servers(&self) {
        let head = [
            "server",
            "listening",
            "connected",
            "idle RSS",
            "idle PSS",
            "processes",
            "load",
            "peak RSS",
            "peak PSS",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for server in &self.servers {
            for (at, (load, peak)) in server.memory.under_load.iter().enumerate() {
                let mut row = if at == 0 { server_row(server) } else { vec![String::new(); 6] };
                row.extend([load.clone(), megabytes(peak.rss), megabytes(peak.pss)]);
                rows.push(row);
            }
        }
        println!("\nStart-up (medians) and memory");
        print_table(&rows, 1);

        let head = ["server", "fsyncs/msg", "ms in fsync/msg", "share of time in fsync"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for Server { name, syncs, .. } in &self.servers {
            rows.push(vec![
                (*name).to_owned(),
                format!("{:.3}", syncs.calls_per_message),
                format!("{:.2}", syncs.ms_per_message),
                format!("{:.0}%", syncs.share_of_time * 100.0),
            ]);
        }
        println!("\nWaiting for the disk, 4 KB × 16 (a run of its own, under strace)");
        print_table(&rows, 1);
        println!(
            "  ms: added up over all processes and threads. share: with at least one under way."
        );
    }
}

fn rate_row(case: &Case, runs: &Runs) -> Vec<String> {
    let rates = || runs.runs.iter().map(|run| run.per_second);
    let rate = runs.median(|run| run.per_second);
    let ratio = match case.rate(Kind::PostfixDovecot) {
        Some(other) if runs.kind != Kind::PostfixDovecot => format!("{:.1}", rate / other),
        _ => String::new(),
    };
    vec![
        case.name.clone(),
        runs.server.to_owned(),
        format!("{rate:.0}"),
        format!("{:.0}", rates().fold(f64::INFINITY, f64::min)),
        format!("{:.0}", rates().fold(0.0, f64::max)),
        ratio,
        format!("{:.1}", runs.median(|run| run.latency_median_ms)),
        format!("{:.1}", runs.median(|run| run.latency_p99_ms)),
        format!("{:.2}", runs.median(|run| run.cpu_ms_per_message)),
        format!("{:.0}%", runs.median(|run| run.other_cpu_share) * 100.0),
    ]
}

fn server_row(server: &Server) -> Vec<String> {
    let ms = |ms: f64| format!("{ms:.0} ms");
    vec![
        server.name.to_owned(),
        server.start_up.said_listening_ms.map(ms).unwrap_or_default(),
        ms(server.start_up.connected_ms),
        megabytes(server.memory.idle.rss),
        megabytes(server.memory.idle.pss),
        server.memory.idle_processes.to_string(),
    ]
}

fn megabytes(octets: u64) -> String {
    format!("{:.1} MB", octets as f64 / 1e6)
}

/// Columns as wide as they need; the first few to the left, numbers to the right.
pub fn print_table(rows: &[Vec<String>], left: usize) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
            if at < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
