//! `waxwing-bench`: how fast this machine receives mail with Waxwing, and with Postfix and Dovecot.
//!
//! Each server in turn gets the same load in the same minute: 4 KB, 50 KB and 1 MB messages over 1,
//! 16 and 64 connections, from a relay that keeps its connections and from clients that send one
//! message each. The clock starts with the first message and stops when all that were accepted
//! are visible over IMAP. Runs are interleaved and repeated; medians and their ratio are told, with
//! processor time, memory, start-up, the share of time in fsync, and whether the targets are met.
//!
//! Deliberately not here: benches of single parts. `cargo bench -p waxwing-message` measures the
//! parser, `-p waxwing-store` the store.

mod disk;
mod load;
mod machine;
mod measure;
mod readers;
mod render;
mod report;
mod server;
mod visible;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use load::{Load, Reuse, Source, Until};
use measure::Ready;
use render::Size;
use report::{Case, Machine, Report, Server};
use server::{Kind, Places, Prepared, accounts};

/// Messages per second, processor time, memory, start-up and fsyncs of Waxwing beside Postfix and
/// Dovecot, with the targets. Takes less than four minutes.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// Longer runs and more of them; some twenty minutes.
    #[arg(long)]
    full: bool,
    /// Measure this server; may be given more than once. Default: waxwing and postfix-dovecot.
    #[arg(long = "server", value_enum)]
    servers: Vec<Kind>,
    /// Only cases whose name contains this, such as "4 KB × 16".
    #[arg(long, value_name = "TEXT", default_value = "")]
    case: String,
    /// Write all numbers to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The program to measure. Default: `waxwing` beside this program.
    #[arg(long, value_name = "FILE")]
    waxwing: Option<PathBuf>,
    /// Put servers and their mail below this folder; its disk is what is measured. Other users
    /// must be able to enter it.
    #[arg(long, value_name = "FOLDER", default_value = "/var/tmp")]
    folder: PathBuf,
    /// Exit with failure when a target is missed.
    #[arg(long)]
    check: bool,
}

/// Parts that are measured by themselves.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// A large mailbox over IMAP, beside Dovecot. Takes some fifteen minutes.
    Readers(readers::Args),
}

/// How much is measured.
struct Extent {
    window: Duration,
    runs: usize,
}

/// One thread, so that the load takes no more of the processors than it must.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let all = async {
        if let Some(Part::Readers(part)) = &args.part {
            let met = readers::run(part, &waxwing_program(&args)?, &args.folder).await?;
            if args.check && !met {
                bail!("a target is missed");
            }
            return Ok(());
        }
        let report = bench(&args).await?;
        report.print();
        if let Some(file) = &args.json {
            write_json(&report, file)?;
        }
        if args.check && report.targets().iter().any(|target| !target.met) {
            bail!("a target is missed");
        }
        Ok(())
    };
    tokio::select! {
        done = all => done,
        // Servers and folders go as their owners are dropped.
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn bench(args: &Args) -> Result<Report> {
    let places = Places { under: args.folder.clone(), waxwing: waxwing_program(args)? };
    let kinds = match args.servers.as_slice() {
        [] => vec![Kind::Waxwing, Kind::PostfixDovecot],
        given => given.to_vec(),
    };
    let extent = match args.full {
        false => Extent { window: Duration::from_millis(1000), runs: 3 },
        true => Extent { window: Duration::from_secs(5), runs: 7 },
    };
    let source = Arc::new(Source::new(accounts().into_iter().map(|a| a.address).collect()));

    let machine = Machine {
        processor: machine::processor(),
        cores: machine::cores(),
        kernel: machine::kernel(),
    };
    let disk = disk::probe(&places.under)?;
    Report::print_head(&machine, &disk);
    if disk.file_system == "tmpfs" {
        eprintln!("! {} is kept in memory: nothing is durable there", places.under.display());
    }

    let mut servers = Vec::new();
    for &kind in &kinds {
        eprintln!("{}: start-up, memory, fsyncs…", kind.label());
        servers.push(observe(kind, &places, &source, extent.window).await?);
    }
    let mut cases = Vec::new();
    for size in Size::ALL {
        cases.extend(rates(size, &kinds, &places, &source, &extent, &args.case).await?);
    }
    Ok(Report { machine, disk, servers, cases })
}

/// What is measured of each server alone.
async fn observe(
    kind: Kind,
    places: &Places,
    source: &Arc<Source>,
    window: Duration,
) -> Result<Server> {
    let prepared = Prepared::new(kind, places).await?;
    let load =
        |size| Load { size, connections: 16, reuse: Reuse::Relay, until: Until::Elapsed(window) };
    let (small, large) = (load(Size::Plain4K), load(Size::Attachment1M));
    let server = Server {
        name: kind.label(),
        kind,
        start_up: measure::start_up(&prepared, measure::launches_of(kind)).await?,
        memory: measure::memory(&prepared, source, &[small, large]).await?,
        syncs: measure::syncs(&prepared, places, source, small).await?,
    };
    prepared.discard().await?;
    Ok(server)
}

/// All cases of one size, on servers that begin with empty mailboxes.
async fn rates(
    size: Size,
    kinds: &[Kind],
    places: &Places,
    source: &Arc<Source>,
    extent: &Extent,
    only: &str,
) -> Result<Vec<Case>> {
    let mut shapes = vec![(1, Reuse::Relay), (16, Reuse::Relay), (64, Reuse::Relay)];
    if size == Size::Plain4K {
        shapes.extend([(1, Reuse::OneMessage), (16, Reuse::OneMessage)]);
    }
    shapes.retain(|&(connections, reuse)| {
        Case::new(size, connections, reuse, kinds).name.contains(only)
    });
    if shapes.is_empty() {
        return Ok(Vec::new());
    }

    let first = Load { size, connections: 1, reuse: Reuse::Relay, until: Until::Messages(0) };
    let mut prepared = Vec::new();
    let mut ready = Vec::new();
    for &kind in kinds {
        prepared.push(Prepared::new(kind, places).await?);
        let running = prepared[prepared.len() - 1].launch(None).await?;
        let warm = Ready::new(running, source, first).await;
        ready.push(warm.with_context(|| kind.label())?);
    }
    let mut cases = Vec::new();
    for (connections, reuse) in shapes {
        let mut case = Case::new(size, connections, reuse, kinds);
        let load = Load { size, connections, reuse, until: Until::Elapsed(extent.window) };
        for round in 0..extent.runs {
            eprintln!("{}: run {} of {}", case.name, round + 1, extent.runs);
            for (server, runs) in ready.iter_mut().zip(&mut case.runs) {
                let run = server.run(source, load).await;
                runs.runs.push(run.with_context(|| format!("{}, {}", runs.server, case.name))?);
            }
        }
        cases.push(case);
    }
    for server in ready {
        server.running.stop().await?;
    }
    for folder in prepared {
        folder.discard().await?;
    }
    Ok(cases)
}

fn waxwing_program(args: &Args) -> Result<PathBuf> {
    match &args.waxwing {
        Some(program) => Ok(program.canonicalize()?),
        None => Ok(std::env::current_exe()?.with_file_name("waxwing")),
    }
}

fn write_json(report: &Report, file: &PathBuf) -> Result<()> {
    #[derive(serde::Serialize)]
    struct Whole<'a> {
        #[serde(flatten)]
        report: &'a Report,
        targets: Vec<report::Target>,
    }
    let whole = Whole { report, targets: report.targets() };
    let json = serde_json::to_string_pretty(&whole)?;
    std::fs::write(file, json + "\n").with_context(|| format!("writing {}", file.display()))
}
