//! The measurements: one run of load, memory, start-up, syncs. Each gives plain numbers; nothing is
//! printed here.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::disk::{self, Syncs};
use crate::load::{self, Load, Source, Until};
use crate::machine::{self, Memory};
use crate::server::{Kind, Places, Prepared, Running, accounts};
use crate::visible::Readers;

/// A server counts as idle when it uses no processor time for so long, twice in a row.
const QUIET: Duration = Duration::from_millis(60);
/// Waiting for a server to become idle ends here.
const RESTLESS: Duration = Duration::from_secs(20);
const MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// One run of a case on one server.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub messages: u64,
    /// Until the last `250`.
    pub accepted_secs: f64,
    /// Until every message was visible over IMAP.
    pub visible_secs: f64,
    /// Messages accepted and visible per second.
    pub per_second: f64,
    pub latency_median_ms: f64,
    pub latency_p99_ms: f64,
    /// User and system time of the server's processes, with what it does afterwards.
    pub cpu_ms_per_message: f64,
    /// Share of all processors that neither the server nor the bench used: the kernel's own
    /// threads, and other programs. High numbers make a run doubtful.
    pub other_cpu_share: f64,
    /// Share of all processors that the load generator used.
    pub bench_cpu_share: f64,
}

/// A launched server with logged-in readers.
pub struct Ready {
    pub running: Running,
    readers: Readers,
}

impl Ready {
    /// Logs in, and sends a first few messages so that processes, caches and folders exist.
    pub async fn new(running: Running, source: &Arc<Source>, load: Load) -> Result<Ready> {
        let readers = Readers::login(running.imap, &accounts()).await?;
        let mut ready = Ready { running, readers };
        let warm = Load { until: Until::Messages(32), ..load };
        let sent = load::send(ready.running.smtp, source, warm).await?;
        ready.readers.wait(&sent.per_recipient).await?;
        Ok(ready)
    }

    /// Sends a load and waits until all of it is visible and the server has come to rest.
    pub async fn run(&mut self, source: &Arc<Source>, load: Load) -> Result<Run> {
        idle(&self.running).await;
        disk::settle().await;
        let (server, bench, machine) = (self.running.cpu(), machine::own_cpu(), machine::busy());

        let sent = load::send(self.running.smtp, source, load).await?;
        let accepted = sent.started.elapsed();
        self.readers.wait(&sent.per_recipient).await?;
        let visible = sent.started.elapsed();

        let bench = machine::own_cpu() - bench;
        let others =
            (machine::busy() - machine).saturating_sub(bench + self.running.cpu() - server);
        idle(&self.running).await;
        let cpu = self.running.cpu() - server;

        let available = visible.as_secs_f64() * machine::cores() as f64;
        let messages = sent.messages();
        Ok(Run {
            messages,
            accepted_secs: accepted.as_secs_f64(),
            visible_secs: visible.as_secs_f64(),
            per_second: messages as f64 / visible.as_secs_f64(),
            latency_median_ms: millis(sent.latency(0.5)),
            latency_p99_ms: millis(sent.latency(0.99)),
            cpu_ms_per_message: millis(cpu) / messages as f64,
            other_cpu_share: others.as_secs_f64() / available,
            bench_cpu_share: bench.as_secs_f64() / available,
        })
    }
}

/// Waits until the server has nothing left to do, such as indexing.
async fn idle(running: &Running) {
    let began = Instant::now();
    let mut quiet = 0;
    while quiet < 2 && began.elapsed() < RESTLESS {
        let before = running.cpu();
        tokio::time::sleep(QUIET).await;
        quiet = if running.cpu() == before { quiet + 1 } else { 0 };
    }
}

/// How fast a server starts.
#[derive(Debug, Serialize)]
pub struct StartUp {
    pub launches: usize,
    /// Until the line `listening` on stdout.
    pub said_listening_ms: Option<f64>,
    /// Until SMTP and IMAP both accepted a connection.
    pub connected_ms: f64,
    pub slowest_connected_ms: f64,
}

/// Launches and stops it again and again; medians.
pub async fn start_up(prepared: &Prepared, launches: usize) -> Result<StartUp> {
    let (mut said, mut connected) = (Vec::new(), Vec::new());
    for _ in 0..launches {
        let running = prepared.launch(None).await?;
        said.extend(running.said_listening.map(millis));
        connected.push(millis(running.connected));
        idle(&running).await;
        running.stop().await?;
    }
    Ok(StartUp {
        launches,
        said_listening_ms: (!said.is_empty()).then(|| median(&said)),
        connected_ms: median(&connected),
        slowest_connected_ms: connected.iter().copied().fold(0.0, f64::max),
    })
}

/// Memory of a server.
#[derive(Debug, Serialize)]
pub struct MemoryUse {
    /// After the start, before the first login or message.
    pub idle: Memory,
    pub idle_processes: usize,
    /// The most that was seen while each load ran.
    pub under_load: Vec<(String, Memory)>,
}

/// Launches a server, looks at it idle, then again and again under each of the loads. These runs
/// count for nothing else, since looking costs time.
pub async fn memory(
    prepared: &Prepared,
    source: &Arc<Source>,
    loads: &[Load],
) -> Result<MemoryUse> {
    let running = prepared.launch(None).await?;
    idle(&running).await;
    let (idle_memory, idle_processes) = (running.memory(), running.processes());
    let mut under_load = Vec::new();
    let mut ready = Ready::new(running, source, loads[0]).await?;
    for &load in loads {
        let smtp = ready.running.smtp;
        let mut most = ready.running.memory();
        let sending = load::send(smtp, source, load);
        tokio::pin!(sending);
        let sent = loop {
            tokio::select! {
                sent = &mut sending => break sent?,
                () = tokio::time::sleep(MEMORY_PAUSE) => most = most.max(ready.running.memory()),
            }
        };
        ready.readers.wait(&sent.per_recipient).await?;
        most = most.max(ready.running.memory());
        under_load.push((format!("{} × {}", load.size.label(), load.connections), most));
    }
    ready.running.stop().await?;
    Ok(MemoryUse { idle: idle_memory, idle_processes, under_load })
}

/// Calls that make data durable, for one load.
#[derive(Debug, Serialize)]
pub struct SyncUse {
    pub messages: u64,
    pub calls_per_message: f64,
    /// Time in such calls per message, added up over processes.
    pub ms_per_message: f64,
    /// Share of the run in which at least one such call was under way.
    pub share_of_time: f64,
}

/// Runs one load under strace.
pub async fn syncs(
    prepared: &Prepared,
    places: &Places,
    source: &Arc<Source>,
    load: Load,
) -> Result<SyncUse> {
    let folder = disk::trace_folder(&places.under)?;
    let running = prepared.launch(Some(&folder.path().join("trace"))).await?;
    let mut ready = Ready::new(running, source, load).await?;
    disk::settle().await;
    let from = SystemTime::now();
    let sent = load::send(ready.running.smtp, source, load).await?;
    ready.readers.wait(&sent.per_recipient).await?;
    let (to, visible) = (SystemTime::now(), sent.started.elapsed());
    ready.running.stop().await.context("stopping it under strace")?;
    let Syncs { calls, summed_secs, covered_secs } = disk::read_traces(folder.path(), from, to)?;
    let messages = sent.messages();
    Ok(SyncUse {
        messages,
        calls_per_message: calls as f64 / messages as f64,
        ms_per_message: summed_secs * 1000.0 / messages as f64,
        share_of_time: covered_secs / visible.as_secs_f64(),
    })
}

/// How often each kind of server is launched to see how fast it starts.
pub fn launches_of(kind: Kind) -> usize {
    match kind {
        // It needs a second to stop, and nothing is promised of it.
        Kind::PostfixDovecot => 3,
        _ => 10,
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 4.0]), 4.0);
        assert_eq!(median(&[9.0, 1.0, 4.0, 2.0]), 3.0);
    }
}
