//! What the kernel says: processor time and memory of a server's processes, and of the machine.
//!
//! A server is the tree of processes below the ones that were started. Processor time of children
//! that have ended and were waited for is in their parents' `cutime` and `cstime`, so the sum over
//! the living is the whole (proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// Linux reports processor time in hundredths of a second on every architecture (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// Resident memory in octets. `pss` divides pages that processes share among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub rss: u64,
    pub pss: u64,
}

impl Memory {
    pub fn max(self, other: Memory) -> Memory {
        Memory { rss: self.rss.max(other.rss), pss: self.pss.max(other.pss) }
    }
}

/// A line of `/proc/PID/stat`.
struct Process {
    parent: u32,
    /// User and system time, its own and that of waited-for children.
    cpu: Duration,
}

/// Processor time used so far by the trees below `roots`.
pub fn cpu_of(roots: &[u32]) -> Duration {
    let processes = processes();
    tree(&processes, roots).iter().map(|pid| processes[pid].cpu).sum()
}

/// Processor time used so far by this process.
pub fn own_cpu() -> Duration {
    process(std::process::id()).map(|process| process.cpu).unwrap_or_default()
}

/// Memory of the trees below `roots`.
pub fn memory_of(roots: &[u32]) -> Memory {
    let mut sum = Memory::default();
    for pid in tree(&processes(), roots) {
        // A process may end while it is being looked at.
        let Ok(rollup) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { continue };
        sum.rss += kilobytes(&rollup, "Rss:") * 1024;
        sum.pss += kilobytes(&rollup, "Pss:") * 1024;
    }
    sum
}

/// How many processes the trees below `roots` have.
pub fn count_of(roots: &[u32]) -> usize {
    tree(&processes(), roots).len()
}

/// A child of that process, if it has one.
pub fn first_child(pid: u32) -> Option<u32> {
    tree(&processes(), &[pid]).get(1).copied()
}

/// Processor time that all of the machine has used, summed over its processors.
pub fn busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u32> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal: everything but idle and iowait.
    [0, 1, 2, 5, 6, 7].iter().filter_map(|&at| fields.get(at)).map(|&ticks| TICK * ticks).sum()
}

/// The kernel's release.
pub fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// The processors' model.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown processor", |(_, name)| name).to_owned()
}

/// How many processors there are for us.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The type of the file system that holds `path`.
pub fn file_system(path: &std::path::Path) -> Result<String> {
    let path = path.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let holding = mounted.filter(|(point, _)| path.starts_with(point));
    // The last of the longest: later mounts hide earlier ones.
    let kind = holding.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind);
    Ok(kind.unwrap_or("unknown").to_owned())
}

fn processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, process(pid)?))).collect()
}

fn process(pid: u32) -> Option<Process> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<Process> {
    // The second field is a name in brackets, which may itself hold brackets and spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks: Option<u32> =
        fields.get(11..15)?.iter().map(|field| field.parse::<u32>().ok()).sum();
    Some(Process { parent, cpu: TICK * ticks? })
}

fn tree(processes: &BTreeMap<u32, Process>, roots: &[u32]) -> Vec<u32> {
    let mut found: Vec<u32> =
        roots.iter().copied().filter(|pid| processes.contains_key(pid)).collect();
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(processes.iter().filter(|(_, p)| p.parent == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "42 (a ) b) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        let process = parse_stat(stat).unwrap();
        assert_eq!(process.parent, 7);
        assert_eq!(process.cpu, Duration::from_secs(1));
    }

    #[test]
    fn the_tree_has_grandchildren_and_no_strangers() {
        let process = |parent| Process { parent, cpu: TICK };
        let processes =
            BTreeMap::from([(1, process(0)), (5, process(1)), (6, process(5)), (9, process(1))]);
        assert_eq!(tree(&processes, &[5, 77]), [5, 6]);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(memory_of(&[std::process::id()]).rss > 100_000);
    }
}
