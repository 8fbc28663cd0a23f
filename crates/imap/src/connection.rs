//! Octets in, octets out: the stream with its two buffers, deadlines and the end of the server.
//!
//! What is written waits in [`Out`] until it is worth sending: when there is much of it
//! ([`Connection::relieve`], which waits for a slow client: that is the back-pressure of FETCH), or
//! when nothing is left to read ([`Connection::fill`]), so that the answers to pipelined commands
//! leave together. A connection that waits gives its buffers back.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::deflate::Deflate;
use crate::wire::out::Out;

/// What a session talks over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Why nothing more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The client has gone, or does not take what it is sent.
    Gone,
    /// It was silent for too long.
    Silent,
    /// The server is being stopped.
    Stopping,
    /// What the client was let in with opens the door no longer.
    Ended,
}

/// Sent when this much waits.
const SEND_AT: usize = 32 * 1024;
/// Read at once, at least and at most.
const READ_LEAST: usize = 1024;
const READ_MOST: usize = 16 * 1024;

/// One connection.
pub struct Connection<'s> {
    stream: &'s mut dyn Stream,
    input: Vec<u8>,
    /// `input[..used]` was consumed.
    used: usize,
    /// To the client.
    pub out: Out,
    stop: watch::Receiver<bool>,
    write_timeout: Duration,
    /// Whatever is sent must be taken by then, too.
    pub write_by: Option<Instant>,
    /// Ready when the client may stay no longer.
    pub until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// COMPRESS is active.
    deflate: Option<Box<Deflate>>,
}

impl<'s> Connection<'s> {
    /// Takes over a stream.
    pub fn new(
        stream: &'s mut dyn Stream,
        stop: watch::Receiver<bool>,
        write_timeout: Duration,
    ) -> Connection<'s> {
        let (input, out) = (Vec::new(), Out::default());
        Connection {
            stream,
            input,
            used: 0,
            out,
            stop,
            write_timeout,
            write_by: None,
            until: None,
            deflate: None,
        }
    }

    /// From here on both directions are compressed (RFC 4978). What waits is sent before.
    pub async fn compress(&mut self) -> Result<(), Lost> {
        self.flush().await?;
        let ahead = self.input().to_vec(); // a client that did not wait for the answer
        self.consume(ahead.len());
        self.deflate = Some(Box::new(Deflate::new(ahead)));
        Ok(())
    }

    /// Whether they are.
    pub fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// What was read and not yet consumed.
    pub fn input(&self) -> &[u8] {
        &self.input[self.used..]
    }

    /// The first `octets` of the input are done with.
    pub fn consume(&mut self, octets: usize) {
        self.used = (self.used + octets).min(self.input.len());
        if self.used == self.input.len() {
            self.input.clear();
            self.used = 0;
        }
    }

    /// Sends what waits, then reads more. At the deadline, or when the server stops, nothing more
    /// is read.
    pub async fn fill(&mut self, deadline: Instant) -> Result<(), Lost> {
        self.flush().await?;
        self.make_room();
        // Looked at first, since a client that always has more to say would keep the rest of this
        // from ever being waited for.
        if *self.stop.borrow() {
            return Err(Lost::Stopping);
        }
        if deadline <= Instant::now() {
            return Err(Lost::Silent);
        }
        loop {
            if self.unpack()? {
                return Ok(());
            }
            let Connection { stream, input, stop, deflate, until, .. } = self;
            let into = deflate.as_mut().map_or(&mut *input, |deflate| &mut deflate.received);
            into.reserve(READ_LEAST);
            let read = tokio::select! {
                biased;
                read = stream.read_buf(into) => read,
                () = stopped(stop) => return Err(Lost::Stopping),
                () = ended(until) => {
                    self.until = None;
                    return Err(Lost::Ended);
                }
                () = tokio::time::sleep_until(deadline) => return Err(Lost::Silent),
            };
            match read {
                Ok(1..) if self.deflate.is_none() => return Ok(()),
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Lost::Gone),
            }
        }
    }

    /// Decompresses a piece of what was received. Gives whether there was any.
    fn unpack(&mut self) -> Result<bool, Lost> {
        let Some(deflate) = &mut self.deflate else { return Ok(false) };
        let given = deflate.unpack(&mut self.input, READ_MOST).map_err(|_| Lost::Gone)?;
        Ok(given > 0)
    }

    fn make_room(&mut self) {
        self.out.release();
        if let Some(deflate) = &mut self.deflate {
            deflate.release();
        }
        if self.used > 0 {
            self.input.drain(..self.used);
            self.used = 0;
        }
        if self.input.is_empty() {
            self.input = Vec::new(); // it may wait for half an hour
        }
        self.input.reserve(self.input.len().clamp(READ_LEAST, READ_MOST));
    }

    /// For long work between two reads: lets the others have their turn, and ends the work when
    /// the server stops.
    pub async fn breathe(&mut self) -> Result<(), Lost> {
        tokio::task::yield_now().await;
        if *self.stop.borrow() { Err(Lost::Stopping) } else { Ok(()) }
    }

    /// Sends when much waits.
    pub async fn relieve(&mut self) -> Result<(), Lost> {
        if self.out.waiting().len() >= SEND_AT { self.send().await } else { Ok(()) }
    }

    /// Sends all that waits.
    pub async fn flush(&mut self) -> Result<(), Lost> {
        if self.out.waiting().is_empty() { Ok(()) } else { self.send().await }
    }

    async fn send(&mut self) -> Result<(), Lost> {
        let Connection { stream, out, deflate, .. } = self;
        let octets = match deflate {
            Some(deflate) => deflate.pack(out.waiting()).map_err(|_| Lost::Gone)?,
            None => out.waiting(),
        };
        let sending = async {
            stream.write_all(octets).await?;
            stream.flush().await
        };
        let timeout = Instant::now() + self.write_timeout;
        let deadline = self.write_by.map_or(timeout, |by| by.min(timeout));
        let sent = tokio::time::timeout_at(deadline, sending).await;
        self.out.sent();
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Lost::Gone) }
    }

    /// One line without its line end, such as the answer to a continuation request. `None`: it is
    /// longer than `max_octets`.
    pub async fn line(
        &mut self,
        max_octets: usize,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, Lost> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', self.input()) {
                let line = &self.input()[..end];
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let line = (line.len() <= max_octets).then(|| line.to_vec());
                self.consume(end + 1);
                return Ok(line);
            }
            if self.input().len() > max_octets {
                return Ok(None);
            }
            self.fill(deadline).await?;
        }
    }
}

/// Waits until the client may stay no longer; for ever where nobody has logged in.
async fn ended(until: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match until {
        Some(until) => until.await,
        None => std::future::pending().await,
    }
}

/// Waits for the server's end; for ever when nobody can announce it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
