//! The load: SMTP as a relay speaks it, over plain TCP, costing the machine as little as possible.
//!
//! One task per connection on one thread. A message takes two round trips, as Postfix's client
//! does it: MAIL, RCPT and DATA in one write (RFC 2920), then the whole content. Content is
//! written straight from the prepared material with vectored writes. No TLS: a relay's encryption
//! would cost both servers, and the generator, the same.

use std::fmt::Write as _;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use crate::render::{Material, Size};

/// No answer for so long is a failure of the run.
const PATIENCE: Duration = Duration::from_secs(60);

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Connections are opened before the clock starts and carry message after message.
    Relay,
    /// Each message has a connection of its own, opened and closed while the clock runs.
    OneMessage,
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// No message is begun after this time.
    Elapsed(Duration),
    /// Exactly so many messages.
    Messages(u64),
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub size: Size,
    pub connections: usize,
    pub reuse: Reuse,
    pub until: Until,
}

/// What was sent and accepted.
pub struct Accepted {
    pub started: Instant,
    /// Messages that got `250`, by recipient.
    pub per_recipient: Vec<u64>,
    /// Time from MAIL to the `250` after the content, sorted.
    pub latencies: Vec<Duration>,
}

impl Accepted {
    pub fn messages(&self) -> u64 {
        self.per_recipient.iter().sum()
    }

    /// The latency that a `share` of the messages stayed within.
    pub fn latency(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }
}

/// What every connection works from.
pub struct Source {
    pub material: Material,
    pub recipients: Vec<String>,
    numbers: AtomicU64,
}

impl Source {
    pub fn new(recipients: Vec<String>) -> Source {
        Source { material: Material::new(), recipients, numbers: AtomicU64::new(0) }
    }
}

/// Sends, and returns when every begun message is accepted. A refusal of any kind is an error.
pub async fn send(server: SocketAddr, source: &Arc<Source>, load: Load) -> Result<Accepted> {
    let ready = Arc::new(Barrier::new(load.connections + 1));
    let left = Arc::new(AtomicU64::new(match load.until {
        Until::Elapsed(_) => u64::MAX,
        Until::Messages(count) => count,
    }));
    let tasks: Vec<_> = (0..load.connections)
        .map(|_| {
            let (source, ready, left) = (source.clone(), ready.clone(), left.clone());
            tokio::spawn(connection(server, source, load, ready, left))
        })
        .collect();
    tokio::time::timeout(PATIENCE, ready.wait()).await.context("connections did not open")?;

    let started = Instant::now();
    let mut accepted = Accepted {
        started,
        per_recipient: vec![0; source.recipients.len()],
        latencies: Vec::new(),
    };
    for task in tasks {
        for (recipient, latency) in task.await?? {
            accepted.per_recipient[recipient] += 1;
            accepted.latencies.push(latency);
        }
    }
    accepted.latencies.sort_unstable();
    Ok(accepted)
}

type Log = Vec<(usize, Duration)>;

async fn connection(
    server: SocketAddr,
    source: Arc<Source>,
    load: Load,
    ready: Arc<Barrier>,
    left: Arc<AtomicU64>,
) -> Result<Log> {
    let mut log = Log::with_capacity(4096);
    let mut open = match load.reuse {
        Reuse::Relay => Some(Session::open(server).await),
        Reuse::OneMessage => None,
    };
    ready.wait().await;
    let started = Instant::now();
    let again = || match load.until {
        Until::Elapsed(window) => started.elapsed() < window,
        Until::Messages(_) => {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
        }
    };
    while again() {
        let mut session = match open.take() {
            Some(session) => session?,
            None => Session::open(server).await?,
        };
        let number = source.numbers.fetch_add(1, Ordering::Relaxed);
        let recipient = number as usize % source.recipients.len();
        let begun = Instant::now();
        session.message(&source, load.size, number, recipient).await?;
        log.push((recipient, begun.elapsed()));
        match load.reuse {
            Reuse::Relay => open = Some(Ok(session)),
            Reuse::OneMessage => session.quit().await?,
        }
    }
    if let Some(session) = open {
        session?.quit().await?;
    }
    Ok(log)
}

/// A client's side of one SMTP connection.
struct Session {
    stream: TcpStream,
    input: Vec<u8>,
    commands: String,
    header: Vec<u8>,
}

impl Session {
    async fn open(server: SocketAddr) -> Result<Session> {
        let stream = TcpStream::connect(server).await.context("connecting to SMTP")?;
        stream.set_nodelay(true)?;
        let mut session = Session {
            stream,
            input: Vec::with_capacity(4096),
            commands: String::with_capacity(256),
            header: Vec::with_capacity(1024),
        };
        session.expect("220").await?;
        session.stream.write_all(b"EHLO relay.sender.test\r\n").await?;
        session.expect("250").await?;
        Ok(session)
    }

    async fn message(
        &mut self,
        source: &Source,
        size: Size,
        number: u64,
        recipient: usize,
    ) -> Result<()> {
        let recipient = source.recipients[recipient].as_str();
        self.commands.clear();
        write!(
            self.commands,
            "MAIL FROM:<sender@sender.test> SIZE={}\r\nRCPT TO:<{recipient}>\r\nDATA\r\n",
            size.octets()
        )?;
        self.stream.write_all(self.commands.as_bytes()).await?;
        self.expect("250").await?;
        self.expect("250").await?;
        self.expect("354").await?;
        let pieces = source.material.message(size, number, recipient, &mut self.header);
        write_pieces(&mut self.stream, &mut pieces.map(IoSlice::new)).await?;
        self.expect("250").await
    }

    async fn quit(mut self) -> Result<()> {
        self.stream.write_all(b"QUIT\r\n").await?;
        self.expect("221").await
    }

    /// Takes one reply, of one line or more, which must have this code.
    async fn expect(&mut self, code: &str) -> Result<()> {
        let end = tokio::time::timeout(PATIENCE, self.reply())
            .await
            .with_context(|| format!("no reply, {code} expected"))??;
        let reply = &self.input[..end];
        if !reply.starts_with(code.as_bytes()) {
            bail!("{code} expected, not {}", String::from_utf8_lossy(reply).trim());
        }
        self.input.drain(..end);
        Ok(())
    }

    /// Reads until the input holds a whole reply; where that ends.
    async fn reply(&mut self) -> Result<usize> {
        loop {
            if let Some(end) = reply_end(&self.input) {
                return Ok(end);
            }
            let read = self.stream.read_buf(&mut self.input).await?;
            ensure!(read > 0, "the server closed the connection");
        }
    }
}

/// Where the first reply ends: a line whose code is not followed by `-` (RFC 5321 §4.2.1).
fn reply_end(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = at + input[at..].iter().position(|&octet| octet == b'\n')? + 1;
        if input.get(at + 3) != Some(&b'-') {
            return Some(line);
        }
        at = line;
    }
}

async fn write_pieces(stream: &mut TcpStream, mut pieces: &mut [IoSlice<'_>]) -> Result<()> {
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        let written = stream.write_vectored(pieces).await?;
        ensure!(written > 0, "the server stopped reading");
        IoSlice::advance_slices(&mut pieces, written);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_with_its_last_line() {
        assert_eq!(reply_end(b"250-a\r\n250-b\r\n"), None);
        assert_eq!(reply_end(b"250-a\r\n250 b\r\n354 c\r\n"), Some(14));
        assert_eq!(reply_end(b"250 a"), None);
        assert_eq!(reply_end(b"250\r\n"), Some(5));
    }
}
