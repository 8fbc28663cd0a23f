//! What the disk can do, and how often and how long a server waits for it.
//!
//! The probe gives the other numbers their scale: a server that makes each message durable by
//! itself cannot accept more of them, one after another, than the disk completes syncs.
//!
//! The share of time in fsync comes from strace's account of every call, one file per thread:
//!
//! ```text
//! 1718000000.123456 fdatasync(7) = 0 <0.003912>
//! ```
//!
//! strace itself makes those calls slower by some 30 µs each; rates are measured without it.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::Serialize;

const PROBES: usize = 200;
const PROBE_OCTETS: usize = 4096;

/// Median and 99th percentile of one 4 KB write made durable.
#[derive(Debug, Serialize)]
pub struct Probe {
    pub median_ms: f64,
    pub p99_ms: f64,
    pub per_second: f64,
}

/// The disk's speed for a file that grows, as a queue file does, and for one that is overwritten,
/// as a database's log is.
#[derive(Debug, Serialize)]
pub struct Disk {
    pub file_system: String,
    pub append: Probe,
    pub overwrite: Probe,
}

/// Writes and syncs 4 KB two hundred times each way, below `folder`.
pub fn probe(folder: &Path) -> Result<Disk> {
    let mut file = tempfile::tempfile_in(folder)?;
    let append = probe_writes(&mut file)?;
    file.seek(SeekFrom::Start(0))?;
    let overwrite = probe_writes(&mut file)?;
    Ok(Disk { file_system: crate::machine::file_system(folder)?, append, overwrite })
}

fn probe_writes(file: &mut File) -> Result<Probe> {
    let block = [0x57; PROBE_OCTETS];
    let mut times = Vec::with_capacity(PROBES);
    let began = Instant::now();
    for _ in 0..PROBES {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    let per_second = PROBES as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
    Ok(Probe { median_ms: ms(PROBES / 2), p99_ms: ms(PROBES * 99 / 100), per_second })
}

/// What strace saw between two moments.
#[derive(Debug, Default, Serialize, PartialEq)]
pub struct Syncs {
    pub calls: u64,
    /// Time of all calls, added up, though they may overlap.
    pub summed_secs: f64,
    /// Time in which at least one call was under way.
    pub covered_secs: f64,
}

/// Reads every file in `folder` that strace wrote.
pub fn read_traces(folder: &Path, from: SystemTime, to: SystemTime) -> Result<Syncs> {
    let mut calls = Vec::new();
    for entry in fs::read_dir(folder)? {
        let text = fs::read_to_string(entry?.path()).context("a trace of strace")?;
        calls.extend(text.lines().filter_map(parse_call));
    }
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64());
    Ok(account(calls, seconds(from)?, seconds(to)?))
}

/// Start and duration in seconds.
fn parse_call(line: &str) -> Option<(f64, f64)> {
    let start = line.split(' ').next()?.parse().ok()?;
    let duration = line.rsplit_once('<')?.1.strip_suffix('>')?.parse().ok()?;
    Some((start, duration))
}

fn account(mut calls: Vec<(f64, f64)>, from: f64, to: f64) -> Syncs {
    calls.retain(|&(start, _)| start >= from && start <= to);
    calls.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut syncs = Syncs { calls: calls.len() as u64, ..Syncs::default() };
    let mut covered_to = from;
    for (start, duration) in calls {
        let end = (start + duration).min(to);
        syncs.summed_secs += duration;
        syncs.covered_secs += (end - start.max(covered_to)).max(0.0);
        covered_to = covered_to.max(end);
    }
    syncs
}

/// Writes out what earlier runs have left to the kernel, so that it does not burden the next one.
pub async fn settle() {
    // Failure would only make the next run a little slower.
    let _ = tokio::process::Command::new("sync").status().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Creates an empty folder for traces that processes of any user may write to.
pub fn trace_folder(under: &Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("waxwing-bench-trace-").tempdir_in(under)?;
    let marker = folder.path().join("about");
    writeln!(File::create(marker)?, "durable calls of a server under measure")?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read() {
        assert_eq!(
            parse_call("1718000000.250000 fdatasync(7) = 0 <0.003912>"),
            Some((1_718_000_000.25, 0.003912))
        );
        assert_eq!(parse_call("1718000000.25 +++ exited with 0 +++"), None);
        assert_eq!(parse_call("durable calls of a server under measure"), None);
    }

    #[test]
    fn overlapping_calls_are_covered_once() {
        let calls = vec![(10.0, 2.0), (11.0, 2.0), (20.0, 1.0), (20.25, 0.5), (1.0, 5.0)];
        let syncs = account(calls, 10.0, 30.0);
        assert_eq!(syncs, Syncs { calls: 4, summed_secs: 5.5, covered_secs: 4.0 });
    }
}
