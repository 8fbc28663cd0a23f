//! Lines in and octets out over any stream, with time limits.
//!
//! An idle connection holds no buffers on the heap: what was read is kept only while a line is
//! incomplete or commands wait their turn, and what is written goes out before the next wait.
//! Replies to pipelined commands go out together.
//!
//! Not here: what a line means.

use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::{Zeroize, Zeroizing};

/// The longest line that is read at all: a SASL response of the size that `waxwing-sasl` takes, in
/// base64. A longer one is skipped to its end.
const MAX_LINE_OCTETS: usize = waxwing_sasl::MAX_MESSAGE_OCTETS * 4 / 3 + 256;
/// So much of an overlong line is skipped before the connection is given up.
const MAX_SKIPPED_OCTETS: usize = 1 << 20;
/// Held on the stack while waiting.
const READ_OCTETS: usize = 512;
/// When so much waits to be written, it is.
const FLUSH_OCTETS: usize = 32 * 1024;

/// Why a session ends other than by QUIT. No message is deleted then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The client went away, or never read its answers.
    Gone,
    /// RFC 1939 §3: the autologout timer ran out.
    Idle,
    /// This server stops.
    Shutdown,
    /// What the client logged in with holds no longer.
    Ended,
    /// The store failed in the middle of a message: only an end without the dot can say so.
    Broken,
}

/// What was read.
pub(crate) enum Input {
    /// Without its line end. It may hold a password.
    Line(Zeroizing<Vec<u8>>),
    /// Skipped.
    TooLong,
}

pub(crate) struct Connection<'a, S> {
    stream: &'a mut S,
    input: Vec<u8>,
    skipped_octets: usize,
    /// Replies that wait to be written.
    pub(crate) out: Vec<u8>,
    shutdown: watch::Receiver<bool>,
    idle_timeout: Duration,
    /// Until the client has logged in.
    pub(crate) login_deadline: Option<Instant>,
    /// Ready when the client may stay no longer.
    pub(crate) until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin + Send> Connection<'a, S> {
    pub(crate) fn new(
        stream: &'a mut S,
        shutdown: watch::Receiver<bool>,
        idle_timeout: Duration,
    ) -> Connection<'a, S> {
        Connection {
            stream,
            input: Vec::new(),
            skipped_octets: 0,
            out: Vec::new(),
            shutdown,
            idle_timeout,
            login_deadline: None,
            until: None,
        }
    }

    /// The next line. Everything written so far goes out first, unless a line is waiting already.
    ///
    /// Deviates: a line may end with LF alone, as people type it into netcat.
    pub(crate) async fn read_line(&mut self) -> Result<Input, Lost> {
        let idle_deadline = Instant::now() + self.idle_timeout;
        let deadline = self.login_deadline.map_or(idle_deadline, |end| end.min(idle_deadline));
        loop {
            if *self.shutdown.borrow() {
                return Err(Lost::Shutdown);
            }
            // Not only where there is nothing to read: a flood of commands gains no time.
            if deadline <= Instant::now() {
                return Err(Lost::Idle);
            }
            if let Some(input) = self.take_line()? {
                return Ok(input);
            }
            self.flush().await?;
            self.read_some(deadline).await?;
        }
    }

    /// Whether octets were read that no line has used yet.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Writes everything out.
    pub(crate) async fn flush(&mut self) -> Result<(), Lost> {
        if self.out.is_empty() {
            return Ok(());
        }
        let timeout = Instant::now() + self.idle_timeout;
        let deadline = self.login_deadline.map_or(timeout, |end| end.min(timeout));
        let written = timeout_at(deadline, async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| Lost::Gone)?.map_err(|_| Lost::Gone)?;
        self.out.clear();
        Ok(())
    }

    /// Writes everything out if it has become much.
    pub(crate) async fn flush_if_much(&mut self) -> Result<(), Lost> {
        if self.out.len() >= FLUSH_OCTETS { self.flush().await } else { Ok(()) }
    }

    /// Says goodbye to the transport, TLS included.
    pub(crate) async fn close(&mut self) {
        let _ = self.flush().await;
        let _ = timeout(Duration::from_secs(5), self.stream.shutdown()).await;
    }

    async fn read_some(&mut self, deadline: Instant) -> Result<(), Lost> {
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        self.out = Vec::new();
        let mut octets = Zeroizing::new([0; READ_OCTETS]);
        let read = tokio::select! {
            biased;
            () = told_to_stop(&mut self.shutdown) => return Err(Lost::Shutdown),
            () = ended(&mut self.until) => {
                self.until = None;
                return Err(Lost::Ended);
            }
            read = timeout_at(deadline, self.stream.read(&mut octets[..])) => read,
        };
        match read {
            Err(_) => Err(Lost::Idle),
            Ok(Err(_)) | Ok(Ok(0)) => Err(Lost::Gone),
            Ok(Ok(count)) => {
                self.input.extend_from_slice(&octets[..count]);
                Ok(())
            }
        }
    }

    fn take_line(&mut self) -> Result<Option<Input>, Lost> {
        let Some(lf) = memchr::memchr(b'\n', &self.input) else {
            if self.input.len() > MAX_LINE_OCTETS {
                self.skipped_octets += self.input.len();
                self.input.clear();
            }
            let endless = self.skipped_octets > MAX_SKIPPED_OCTETS;
            return if endless { Err(Lost::Gone) } else { Ok(None) };
        };
        let too_long = std::mem::take(&mut self.skipped_octets) > 0 || lf > MAX_LINE_OCTETS;
        let line = self.input[..lf].strip_suffix(b"\r").unwrap_or(&self.input[..lf]);
        let line = Zeroizing::new(line.to_vec());
        self.input[..lf].zeroize();
        self.input.drain(..=lf);
        Ok(Some(if too_long { Input::TooLong } else { Input::Line(line) }))
    }
}

impl<S> Drop for Connection<'_, S> {
    fn drop(&mut self) {
        self.input.zeroize();
    }
}

/// Waits for the sign to stop. Where nobody is left to give it, it never comes.
async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|&stop| stop).await.is_err() {
        std::future::pending().await
    }
}

/// Waits until the client may stay no longer; for ever where nobody has logged in.
async fn ended(until: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match until {
        Some(until) => until.await,
        None => std::future::pending().await,
    }
}
