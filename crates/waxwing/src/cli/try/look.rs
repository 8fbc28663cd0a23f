//! Reads a message back over real IMAP, as a mail client would: STARTTLS, LOGIN, SELECT, SEARCH,
//! FETCH. Only as much of a client as the demonstration needs; it believes nothing it does not check.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;

use super::world::Server;
use crate::serve::connect;

const PATIENCE: Duration = Duration::from_secs(20);
/// The demonstration's messages are small.
const MAX_LITERAL_OCTETS: usize = 1 << 20;

/// The octets of the message with that Message-ID in the INBOX.
pub async fn fetch_by_message_id(server: &Server, message_id: &str) -> Result<Vec<u8>> {
    tokio::time::timeout(PATIENCE, fetch(server, message_id))
        .await
        .context("the IMAP server is too slow")?
}

async fn fetch(server: &Server, message_id: &str) -> Result<Vec<u8>> {
    let tcp = TcpStream::connect((server.ip, server.port("imap"))).await?;
    let mut plain = BufReader::new(tcp);
    read_line(&mut plain).await.context("no greeting")?;
    command(&mut plain, "a1 STARTTLS").await?;
    let connector = connect::tls_connector(Some(&server.certificate()))?;
    let name = rustls::pki_types::ServerName::try_from(server.hostname.clone())?;
    let mut tls = BufReader::new(connector.connect(name, plain.into_inner()).await.context("TLS")?);

    command(&mut tls, &format!("a2 LOGIN {} {}", server.person, server.password)).await?;
    command(&mut tls, "a3 SELECT INBOX").await?;
    let found = command(&mut tls, &format!("a4 UID SEARCH HEADER Message-ID {message_id}")).await?;
    let uid = found
        .lines
        .iter()
        .find_map(|line| {
            line.strip_prefix("* SEARCH ")?.split(' ').next_back()?.parse::<u32>().ok()
        })
        .context("IMAP SEARCH does not find the message")?;
    let fetched = command(&mut tls, &format!("a5 UID FETCH {uid} BODY.PEEK[]")).await?;
    fetched.literal.context("FETCH gave no message")
}

/// The untagged lines of an answer, and its last literal.
struct Answer {
    lines: Vec<String>,
    literal: Option<Vec<u8>>,
}

async fn command<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    line: &str,
) -> Result<Answer> {
    let (tag, verb) = line.split_once(' ').context("a tag and a command")?;
    stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.get_mut().flush().await?;
    let mut answer = Answer { lines: Vec::new(), literal: None };
    loop {
        let line = read_line(stream).await?;
        if let Some(rest) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
            if rest.starts_with("OK") {
                return Ok(answer);
            }
            let verb = verb.split(' ').next().unwrap_or_default();
            bail!("{verb}: {rest}");
        }
        if let Some(size) = literal_size(&line) {
            let mut octets = vec![0; size];
            stream.read_exact(&mut octets).await?;
            answer.literal = Some(octets);
        }
        answer.lines.push(line);
    }
}

fn literal_size(line: &str) -> Option<usize> {
    let size: usize = line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()?;
    (size <= MAX_LITERAL_OCTETS).then_some(size)
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        bail!("the server closed the connection");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
