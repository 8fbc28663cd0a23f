//! The reader's side: an IMAP client that asks how many messages its mailboxes hold: INBOX, and the spam
//! folder where there is one. The sender here is a stranger without a name in the DNS, and Waxwing
//! judges it so; Dovecot judges nobody.
//!
//! While messages are being sent nobody asks, so that both servers do the same work. The moment
//! the last one is accepted, each mailbox is asked with STATUS until it has all of its own; only
//! then does the clock stop.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::server::Account;

/// Between two questions to a mailbox that is not complete yet.
const PAUSE: Duration = Duration::from_millis(5);
/// Mail that is not there after this time is lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// A logged-in reader of every account.
pub struct Readers {
    readers: Vec<Reader>,
    /// Messages known to be with each account.
    counts: Vec<u64>,
}

impl Readers {
    pub async fn login(server: SocketAddr, accounts: &[Account]) -> Result<Readers> {
        let mut readers = Vec::new();
        let mut counts = Vec::new();
        for account in accounts {
            let mut reader = Reader::login(server, account).await.context("IMAP login")?;
            counts.push(reader.messages().await?);
            readers.push(reader);
        }
        Ok(Readers { readers, counts })
    }

    /// Returns as soon as each account has `arrived` more messages than before. Fewer after two
    /// minutes, or more, is an error: mail was lost or doubled.
    pub async fn wait(&mut self, arrived: &[u64]) -> Result<()> {
        for (at, reader) in self.readers.iter_mut().enumerate() {
            let expected = self.counts[at] + arrived[at];
            let have = tokio::time::timeout(PATIENCE, reader.until(expected))
                .await
                .with_context(|| format!("account {at}: mail did not become visible"))??;
            ensure!(have == expected, "account {at} holds {have} messages, not {expected}");
            self.counts[at] = expected;
        }
        Ok(())
    }
}

struct Reader {
    stream: BufStream<TcpStream>,
    line: String,
    has_junk: bool,
}

impl Reader {
    async fn login(server: SocketAddr, account: &Account) -> Result<Reader> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (stream, line) = (BufStream::new(stream), String::new());
        let mut reader = Reader { stream, line, has_junk: false };
        reader.read_line().await?;
        ensure!(reader.line.starts_with("* OK"), "greeting: {}", reader.line.trim());
        let login = format!("LOGIN \"{}\" \"{}\"", account.address, account.password);
        reader.command(&login, |_| ()).await?;
        let mut has_junk = false;
        reader.command("LIST \"\" Junk", |_| has_junk = true).await?;
        Ok(Reader { has_junk, ..reader })
    }

    async fn until(&mut self, expected: u64) -> Result<u64> {
        loop {
            let have = self.messages().await?;
            if have >= expected {
                return Ok(have);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// RFC 9051 §6.3.11.
    async fn messages(&mut self) -> Result<u64> {
        let mut all = 0;
        for mailbox in ["INBOX", "Junk"].iter().take(1 + usize::from(self.has_junk)) {
            let mut messages = None;
            self.command(&format!("STATUS {mailbox} (MESSAGES)"), |line| {
                messages = messages.or(status_messages(line));
            })
            .await?;
            all += messages.context("no STATUS answer")?;
        }
        Ok(all)
    }

    async fn command(&mut self, command: &str, mut untagged: impl FnMut(&str)) -> Result<()> {
        self.stream.write_all(format!("a {command}\r\n").as_bytes()).await?;
        self.stream.flush().await?;
        loop {
            self.read_line().await?;
            match self.line.strip_prefix("a ") {
                Some(result) if result.starts_with("OK") => return Ok(()),
                Some(result) => bail!("{command}: {}", result.trim()),
                None => untagged(&self.line),
            }
        }
    }

    async fn read_line(&mut self) -> Result<()> {
        self.line.clear();
        let read = self.stream.read_line(&mut self.line).await?;
        ensure!(read > 0, "the server closed the IMAP connection");
        Ok(())
    }
}

fn status_messages(line: &str) -> Option<u64> {
    let (_, after) = line.strip_prefix("* STATUS ")?.split_once("MESSAGES ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read() {
        assert_eq!(status_messages("* STATUS INBOX (MESSAGES 231)\r\n"), Some(231));
        assert_eq!(status_messages("* STATUS \"INBOX\" (UIDNEXT 3 MESSAGES 2)\r\n"), Some(2));
        assert_eq!(status_messages("* OK hello\r\n"), None);
    }
}
