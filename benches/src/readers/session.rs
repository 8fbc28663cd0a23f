//! An IMAP client that costs as little as it can: it counts octets and looks for the tagged line.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::Account;

/// A server that is silent for so long has failed.
const PATIENCE: Duration = Duration::from_secs(300);
/// So much of an answer is kept; beyond that, octets are only counted.
const KEPT_OCTETS: usize = 4 << 20;
const BUFFER_OCTETS: usize = 256 * 1024;
/// A tagged line is not longer, with all capabilities in it.
const TAGGED_OCTETS: usize = 8 * 1024;

/// A logged-in session.
pub struct Session<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    commands: u32,
}

/// What came back for a command that ended in OK.
pub struct Answer {
    pub took: Duration,
    pub octets: u64,
    /// As much as is kept.
    pub text: String,
}

impl Session {
    pub async fn login(server: SocketAddr, account: &Account) -> Result<Session> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Session::over(stream, account).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub async fn over(stream: S, account: &Account) -> Result<Session<S>> {
        let mut session = Session { stream, buffer: vec![0; BUFFER_OCTETS], commands: 0 };
        session.until(b"\r\n").await.context("the greeting")?;
        let login = format!("LOGIN \"{}\" \"{}\"", account.address, account.password);
        session.command(&login).await?;
        Ok(session)
    }

    /// Sends a command and reads to its tagged line; anything but OK is an error.
    pub async fn command(&mut self, command: &str) -> Result<Answer> {
        let tag = self.tag();
        let started = Instant::now();
        self.stream.write_all(format!("{tag} {command}\r\n").as_bytes()).await?;
        self.answer(&tag, started, command).await
    }

    /// APPEND of several messages at once (RFC 3502), each as a non-synchronising literal.
    pub async fn append(&mut self, mailbox: &str, letters: &[Vec<u8>]) -> Result<Answer> {
        let tag = self.tag();
        let mut out = format!("{tag} APPEND {mailbox}").into_bytes();
        for letter in letters {
            out.extend_from_slice(format!(" (\\Seen) {{{}+}}\r\n", letter.len()).as_bytes());
            out.extend_from_slice(letter);
        }
        out.extend_from_slice(b"\r\n");
        let started = Instant::now();
        self.stream.write_all(&out).await?;
        self.answer(&tag, started, "APPEND").await
    }

    /// Begins to IDLE.
    pub async fn idle(&mut self) -> Result<()> {
        let tag = self.tag();
        self.stream.write_all(format!("{tag} IDLE\r\n").as_bytes()).await?;
        self.until(b"+ ").await.map(drop)
    }

    /// The next octets, whatever they are.
    pub async fn heard(&mut self) -> Result<&[u8]> {
        let read = self.read().await?;
        Ok(&self.buffer[..read])
    }

    /// Gives back memory that only answers need.
    pub fn rest(mut self) -> Session<S> {
        self.buffer = vec![0; 512];
        self
    }

    fn tag(&mut self) -> String {
        self.commands += 1;
        format!("bench{:07}", self.commands)
    }

    async fn answer(&mut self, tag: &str, started: Instant, what: &str) -> Result<Answer> {
        let ending = format!("{tag} ").into_bytes();
        let (mut octets, mut text, mut tail) = (0, Vec::new(), vec![b'\n']);
        loop {
            let read = self.read().await?;
            octets += read as u64;
            let new = &self.buffer[..read];
            if text.len() < KEPT_OCTETS {
                text.extend_from_slice(new);
            }
            tail.extend_from_slice(&new[read.saturating_sub(TAGGED_OCTETS)..]);
            if let Some(status) = tagged(&tail, &ending) {
                let took = started.elapsed();
                ensure!(status.starts_with("OK"), "{what}: {status}");
                let text = String::from_utf8_lossy(&text).into_owned();
                return Ok(Answer { took, octets, text });
            }
            tail.drain(..tail.len().saturating_sub(TAGGED_OCTETS));
        }
    }

    async fn until(&mut self, wanted: &[u8]) -> Result<()> {
        let mut seen = Vec::new();
        while !seen.windows(wanted.len()).any(|window| window == wanted) {
            let read = self.read().await?;
            seen.extend_from_slice(&self.buffer[..read]);
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<usize> {
        let reading = self.stream.read(&mut self.buffer);
        let read = tokio::time::timeout(PATIENCE, reading).await.context("no answer")??;
        if read == 0 {
            bail!("the server closed the connection");
        }
        Ok(read)
    }
}

/// What follows the tag at the end of what was read, once that line is whole.
fn tagged(tail: &[u8], ending: &[u8]) -> Option<String> {
    let line = tail.strip_suffix(b"\r\n")?;
    let start = line.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
    let status = line[start..].strip_prefix(ending)?;
    Some(String::from_utf8_lossy(status).into_owned())
}

#[cfg(test)]
mod tests {
    use super::tagged;

    #[test]
    fn the_tagged_line_is_the_last_one() {
        assert_eq!(tagged(b"* 1 EXISTS\r\na1 OK done\r\n", b"a1 ").as_deref(), Some("OK done"));
        assert_eq!(tagged(b"a1 OK done\r\n* 1 EXISTS\r\n", b"a1 "), None);
        assert_eq!(tagged(b"a1 OK do", b"a1 "), None);
    }
}
