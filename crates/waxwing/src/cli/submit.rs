//! Handing one message to a server by SMTP submission, as a mail client does.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use waxwing_message::{Envelope, JourneyId};
use waxwing_smtp::client::{Credentials, TlsPolicy};
use waxwing_smtp::{
    ClientAction, ClientSession, ClientSettings, Disposition, Reply, Tls, Transaction,
};
use zeroize::Zeroizing;

use crate::serve::connect::tls_connector;

/// Handed to the session at a time.
const BLOCK_OCTETS: usize = 64 * 1_024;
/// Smaller messages are gone before a bar could be read.
const BAR_FROM_OCTETS: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A submission server.
pub struct Server {
    /// The name its certificate must have.
    pub host: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Connect from this address of ours.
    pub source: Option<IpAddr>,
    /// TLS from the first octet rather than STARTTLS.
    pub implicit_tls: bool,
    /// A PEM file with its root, beside the public ones.
    pub roots: Option<PathBuf>,
    /// Name and password.
    pub login: Option<(String, String)>,
}

enum Next {
    Ended(Reply),
    StartTls,
}

/// Submits a message; gives the server's last reply when it took it for every recipient.
pub async fn submit(server: &Server, envelope: Envelope, octets: Vec<u8>) -> Result<Reply> {
    let connecting = connect(server.address, server.source);
    let tcp = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs()))
        .and_then(|connected| Ok(connected?))
        .with_context(|| format!("cannot connect to {} at {}", server.host, server.address))?;
    let credentials = server.login.as_ref().map(|(login, password)| Credentials {
        login: login.clone(),
        password: Zeroizing::new(password.clone()),
        plaintext_allowed: false,
    });
    let mut settings = ClientSettings::smarthost("localhost.localdomain", credentials);
    settings.tls = TlsPolicy::Required;
    let settings = Arc::new(settings);
    let connector = tls_connector(server.roots.as_deref())?;
    let name = ServerName::try_from(server.host.clone())
        .with_context(|| format!("{} is no host name", server.host))?;
    let shake = |tcp| async {
        connector
            .connect(name.clone(), tcp)
            .await
            .with_context(|| format!("the TLS handshake with {} failed", server.host))
    };

    let mut job = Job {
        transaction: Some(Transaction::new(envelope, octets.len() as u64)),
        progress: progress_bar(octets.len()),
        octets,
        supplied: 0,
        outcome: None,
    };
    let nonce = rand::random();
    if server.implicit_tls {
        let mut stream = shake(tcp).await?;
        let mut session = ClientSession::new(settings, Some(Tls::default()), nonce, Instant::now());
        return job.finish(&mut stream, &mut session).await;
    }
    let mut tcp = tcp;
    let mut session = ClientSession::new(settings, None, nonce, Instant::now());
    match job.drive(&mut tcp, &mut session).await? {
        Next::Ended(reply) => Ok(reply),
        Next::StartTls => {
            let mut stream = shake(tcp).await?;
            session.tls_established(Instant::now(), Tls::default());
            job.finish(&mut stream, &mut session).await
        }
    }
}

async fn connect(to: SocketAddr, from: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(to).await
}

/// The journey that a Waxwing server names in its reply.
pub fn journey_in(reply: &Reply) -> Option<JourneyId> {
    reply.text.split_whitespace().find_map(|word| word.parse().ok())
}

/// The one message and what became of it.
struct Job {
    transaction: Option<Transaction>,
    octets: Vec<u8>,
    /// How much of them the session has.
    supplied: usize,
    progress: ProgressBar,
    outcome: Option<Result<Reply>>,
}

impl Job {
    /// Gives the session the next block.
    fn supply(&mut self, session: &mut ClientSession) {
        let end = self.octets.len().min(self.supplied + BLOCK_OCTETS);
        let last = end == self.octets.len();
        session.supply(Instant::now(), &self.octets[self.supplied..end], last);
        self.supplied = end;
        self.progress.set_position(end as u64);
        if last {
            self.progress.finish_and_clear();
        }
    }

    async fn finish<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        session: &mut ClientSession,
    ) -> Result<Reply> {
        match self.drive(stream, session).await? {
            Next::Ended(reply) => Ok(reply),
            Next::StartTls => bail!("the session asked for TLS within TLS"),
        }
    }

    async fn drive<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        session: &mut ClientSession,
    ) -> Result<Next> {
        let mut buffer = vec![0; 16 * 1_024];
        loop {
            match session.next_action(Instant::now()) {
                Some(ClientAction::StartTls) => {
                    flush(stream, session).await?;
                    return Ok(Next::StartTls);
                }
                Some(ClientAction::Ready) => match self.transaction.take() {
                    Some(transaction) => session.send(Instant::now(), transaction),
                    None => session.quit(Instant::now()),
                },
                Some(ClientAction::NeedData) => self.supply(session),
                Some(ClientAction::Done(report)) => self.outcome = Some(judge(&report)),
                Some(ClientAction::Closed(error)) => {
                    flush(stream, session).await?;
                    let _ = stream.shutdown().await;
                    return match (self.outcome.take(), error) {
                        (Some(outcome), _) => Ok(Next::Ended(outcome?)),
                        (None, Some(error)) => Err(error.into()),
                        (None, None) => bail!("the server closed the connection"),
                    };
                }
                None if !session.output().is_empty() => flush(stream, session).await?,
                None => {
                    let deadline =
                        session.deadline().unwrap_or_else(|| Instant::now() + CONNECT_TIMEOUT);
                    match tokio::time::timeout_at(deadline.into(), stream.read(&mut buffer)).await {
                        Ok(Ok(n)) if n > 0 => session.receive(Instant::now(), &buffer[..n]),
                        Ok(Ok(_)) => session
                            .connection_lost(Instant::now(), "the server closed the connection"),
                        Ok(Err(error)) => {
                            session.connection_lost(Instant::now(), &error.to_string())
                        }
                        Err(_) => session.on_timeout(Instant::now()),
                    }
                }
            }
        }
    }
}

/// On stderr, when that is a terminal and the message is large.
fn progress_bar(octets: usize) -> ProgressBar {
    if octets < BAR_FROM_OCTETS || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(octets as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn judge(report: &waxwing_smtp::client::Report) -> Result<Reply> {
    for outcome in &report.outcomes {
        if outcome.disposition != Disposition::Delivered {
            let words = outcome
                .reply
                .as_ref()
                .map(|reply| format!(" ({} {})", reply.code, reply.text))
                .unwrap_or_default();
            bail!("{}{words}", outcome.reason);
        }
    }
    report
        .outcomes
        .last()
        .and_then(|outcome| outcome.reply.clone())
        .context("the server gave no reply to the message")
}

async fn flush<S: AsyncWrite + Unpin>(stream: &mut S, session: &mut ClientSession) -> Result<()> {
    while !session.output().is_empty() {
        let written = stream.write(session.output()).await.context("writing to the server")?;
        session.output_written(Instant::now(), written);
    }
    stream.flush().await.context("writing to the server")
}
