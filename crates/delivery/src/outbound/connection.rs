//! One SMTP connection, client side: the driver that its session asks for.
//!
//! | state | leaves it by |
//! |---|---|
//! | opening | `Ready` → open; anything else → an [`OpenError`] that says how far it came |
//! | open, idle | [`Connection::send`], [`Connection::quit`], or the server closing it |
//! | sending | `Done` → idle, or closed |
//!
//! Writing and reading go on together, so that a server that refuses early is heard. All waiting
//! ends at the session's deadline.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use waxwing_message::journey::TlsUsed;
use waxwing_smtp::client::{
    ClientAction, ClientSession, ClientSettings, Report, SessionError, Stage, Transaction,
};
use waxwing_store::Content;

use super::{BoxStream, Connect, Demand, TlsFailure, Verify};
use crate::clock::Clock;
use crate::policy::Policy;
use crate::route::Host;

/// Message octets handed to the session at a time.
const BLOCK_OCTETS: u64 = 64 * 1024;
/// Octets read at a time: replies are short.
const READ_OCTETS: usize = 4096;

/// An open connection to a mail server.
pub struct Connection {
    stream: BoxStream,
    session: ClientSession,
    tls: Option<TlsUsed>,
    doubt: Option<TlsFailure>,
    peer: SocketAddr,
    /// Messages sent over it.
    sent: u32,
    closed: Option<Option<SessionError>>,
}

/// Why there is no open connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Nobody answered there.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The TLS handshake failed. Without a demand for TLS the same host may be tried in clear.
    #[error("TLS handshake failed: {0}")]
    Handshake(TlsFailure),
    /// The server, or the connection to it, ended the session before a message could be offered.
    #[error("{0}")]
    Session(SessionError),
}

/// What became of one transaction.
pub struct Sent {
    /// One outcome per recipient.
    pub report: Report,
    /// The connection ended before the server could have any octet of the message, so that sending
    /// it again elsewhere cannot deliver it twice.
    pub lost_before_data: bool,
}

/// How a connection is to be opened.
pub struct Opening<'a, N, C> {
    /// The network.
    pub net: &'a N,
    /// The time.
    pub clock: &'a C,
    /// Names, addresses and times.
    pub policy: &'a Policy,
    /// Fresh random octets for SCRAM.
    pub nonce: [u8; 18],
}

/// What the session waits for.
enum Progress {
    Ready,
    NeedData,
    StartTls,
    Done(Report),
    Closed,
}

impl Connection {
    /// Connects to one address of a host and gets ready to send. The demand may be more or less
    /// than what the host's route says.
    pub async fn open<N: Connect, C: Clock>(
        opening: &Opening<'_, N, C>,
        host: &Host,
        to: SocketAddr,
        demand: &Demand,
    ) -> Result<Connection, OpenError> {
        let Opening { net, clock, policy, nonce } = opening;
        let from = policy.source_for(to.ip());
        let connected = within(*clock, policy.connect_timeout, net.connect(to, from)).await;
        let stream = connected
            .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| OpenError::Unreachable(error.to_string()))?;
        let settings = Arc::new(ClientSettings {
            hello_name: policy.host_name.clone(),
            lmtp: false,
            tls: demand.tls,
            credentials: host.credentials.clone(),
            timeouts: policy.client_timeouts,
        });
        let (stream, used, session_tls, doubt) = match host.implicit_tls {
            false => (stream, None, None, None),
            true => {
                let secured = handshake(opening, stream, &host.name, &demand.verify).await?;
                (secured.stream, Some(secured.used), Some(secured.session), secured.doubt)
            }
        };
        let session = ClientSession::new(settings, session_tls, *nonce, clock.instant());
        let mut connection =
            Connection { stream, session, tls: used, doubt, peer: to, sent: 0, closed: None };
        connection.greet(opening, host, &demand.verify).await?;
        Ok(connection)
    }

    /// From the greeting to `Ready`.
    async fn greet<N: Connect, C: Clock>(
        &mut self,
        opening: &Opening<'_, N, C>,
        host: &Host,
        verify: &Verify,
    ) -> Result<(), OpenError> {
        loop {
            match self.progress(opening.clock).await {
                Progress::Ready => return Ok(()),
                Progress::StartTls => {
                    let plain: BoxStream = Box::new(tokio::io::empty());
                    let stream = std::mem::replace(&mut self.stream, plain);
                    let secured = handshake(opening, stream, &host.name, verify).await?;
                    self.stream = secured.stream;
                    self.tls = Some(secured.used);
                    self.doubt = secured.doubt;
                    self.session.tls_established(opening.clock.instant(), secured.session);
                }
                Progress::Closed => return Err(self.open_error()),
                // Neither can be before a transaction.
                Progress::NeedData | Progress::Done(_) => {}
            }
        }
    }

    fn open_error(&mut self) -> OpenError {
        match self.closed.clone().flatten() {
            Some(error) => OpenError::Session(error),
            None => OpenError::Unreachable("the connection ended".to_owned()),
        }
    }

    /// Offers a message and sends it. The connection must be open.
    pub async fn send<C: Clock>(
        &mut self,
        clock: &C,
        transaction: Transaction,
        content: &Content,
    ) -> Sent {
        let recipients = transaction.envelope.recipients.len();
        self.sent += 1;
        self.session.send(clock.instant(), transaction);
        let (mut offset, mut report) = (0, None);
        loop {
            match self.progress(clock).await {
                Progress::NeedData => offset = self.supply(clock, content, offset).await,
                Progress::Done(done) => report = Some(done),
                Progress::Ready | Progress::StartTls if report.is_none() => {}
                _ => break,
            }
        }
        let report = report.unwrap_or(Report { outcomes: Vec::new() });
        debug_assert_eq!(report.outcomes.len(), recipients, "the session reports each recipient");
        let lost = self.closed.as_ref().and_then(Option::as_ref);
        let lost_before_data = offset == 0
            && lost.is_some_and(|error| error.outcome.reply.is_none())
            && report.outcomes.iter().all(|outcome| outcome.reply.is_none());
        Sent { report, lost_before_data }
    }

    /// Gives the session the next block; gives the new offset.
    async fn supply<C: Clock>(&mut self, clock: &C, content: &Content, offset: u64) -> u64 {
        match content.read(offset, BLOCK_OCTETS).await {
            Ok(block) => {
                let end = offset + block.len() as u64;
                let last = block.is_empty() || end >= content.size_octets;
                self.session.supply(clock.instant(), &block, last);
                end
            }
            Err(error) => {
                tracing::error!(%error, "reading a queued message");
                self.session.fail_supply(clock.instant(), "the stored message cannot be read now");
                offset
            }
        }
    }

    /// Says goodbye; whatever the server says to it changes nothing.
    pub async fn quit<C: Clock>(mut self, clock: &C) {
        if self.closed.is_none() {
            self.session.quit(clock.instant());
            while !matches!(self.progress(clock).await, Progress::Closed) {}
        }
    }

    /// Whether another message may be sent over it, as far as is known: a server that has closed it
    /// (or speaks without being asked, which comes to the same) shows here.
    pub fn is_usable(&mut self) -> bool {
        if self.closed.is_some() {
            return false;
        }
        let mut octets = [0; 1];
        let mut buffer = ReadBuf::new(&mut octets);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer).is_pending()
    }

    /// TLS, if it is in use.
    pub fn tls(&self) -> Option<&TlsUsed> {
        self.tls.as_ref()
    }

    /// Why the certificate does not fit the host's name, when it was not demanded that it does.
    pub fn doubt(&self) -> Option<&TlsFailure> {
        self.doubt.as_ref()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Messages sent over it.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// What the server announced.
    pub fn capabilities(&self) -> &waxwing_smtp::Capabilities {
        self.session.capabilities()
    }

    /// Moves octets until the session wants something.
    async fn progress<C: Clock>(&mut self, clock: &C) -> Progress {
        let mut salvaged = false;
        loop {
            match self.session.next_action(clock.instant()) {
                Some(ClientAction::Ready) => return Progress::Ready,
                Some(ClientAction::NeedData) => return Progress::NeedData,
                Some(ClientAction::Done(report)) => return Progress::Done(report),
                Some(ClientAction::StartTls) => {
                    self.write_rest(clock).await;
                    return Progress::StartTls;
                }
                Some(ClientAction::Closed(why)) => {
                    self.closed = Some(why);
                    self.write_rest(clock).await;
                    return Progress::Closed;
                }
                None if self.closed.is_some() => return Progress::Closed,
                None => {}
            }
            match self.exchange(clock).await {
                Exchanged::Wrote(octets) => self.session.output_written(clock.instant(), octets),
                Exchanged::Read(octets) => self.session.receive(clock.instant(), &octets),
                Exchanged::TimedOut => self.session.on_timeout(clock.instant()),
                Exchanged::Ended(why) if salvaged => {
                    self.session.connection_lost(clock.instant(), &why);
                }
                Exchanged::Ended(why) => {
                    // A server that closes after its last words: hear them.
                    salvaged = true;
                    if !self.salvage(clock).await {
                        self.session.connection_lost(clock.instant(), &why);
                    }
                }
            }
        }
    }

    /// Writes if there is something to write, reads if there is something to read, and waits for
    /// either until the deadline.
    async fn exchange<C: Clock>(&mut self, clock: &C) -> Exchanged {
        let deadline = self.session.deadline();
        let Connection { stream, session, .. } = self;
        let output = session.output();
        let mut input = vec![0; READ_OCTETS];
        let moving = poll_fn(|context| {
            if !output.is_empty() {
                match Pin::new(&mut *stream).poll_write(context, output) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Exchanged::Ended("the connection is closed".into()));
                    }
                    Poll::Ready(Ok(octets)) => return Poll::Ready(Exchanged::Wrote(octets)),
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Exchanged::Ended(error.to_string()));
                    }
                    Poll::Pending => {}
                }
            } else if let Poll::Ready(Err(error)) = Pin::new(&mut *stream).poll_flush(context) {
                return Poll::Ready(Exchanged::Ended(error.to_string()));
            }
            let mut buffer = ReadBuf::new(&mut input);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    Poll::Ready(Exchanged::Ended("the server closed the connection".into()))
                }
                Poll::Ready(Ok(())) => Poll::Ready(Exchanged::Read(buffer.filled().to_vec())),
                Poll::Ready(Err(error)) => Poll::Ready(Exchanged::Ended(error.to_string())),
                Poll::Pending => Poll::Pending,
            }
        });
        match deadline {
            None => moving.await,
            Some(deadline) => tokio::select! {
                biased;
                moved = moving => moved,
                () = clock.sleep_until(deadline) => Exchanged::TimedOut,
            },
        }
    }

    /// After a failed write, reads what had already come; whether there was any.
    async fn salvage<C: Clock>(&mut self, clock: &C) -> bool {
        let mut input = vec![0; READ_OCTETS];
        let reading = tokio::io::AsyncReadExt::read(&mut self.stream, &mut input);
        match within(clock, Duration::from_secs(1), reading).await {
            Some(Ok(octets)) if octets > 0 => {
                self.session.receive(clock.instant(), &input[..octets]);
                true
            }
            _ => false,
        }
    }

    /// What is still to be said, without waiting for long.
    async fn write_rest<C: Clock>(&mut self, clock: &C) {
        let output = self.session.output().to_vec();
        let writing = async {
            tokio::io::AsyncWriteExt::write_all(&mut self.stream, &output).await?;
            tokio::io::AsyncWriteExt::flush(&mut self.stream).await
        };
        // A peer that takes nothing any more gets nothing any more.
        let _ = within(clock, Duration::from_secs(10), writing).await;
        self.session.output_written(clock.instant(), output.len());
    }
}

enum Exchanged {
    Wrote(usize),
    Read(Vec<u8>),
    TimedOut,
    Ended(String),
}

async fn handshake<N: Connect, C: Clock>(
    opening: &Opening<'_, N, C>,
    stream: BoxStream,
    host_name: &str,
    verify: &Verify,
) -> Result<super::Secured, OpenError> {
    let server_name = match verify {
        // RFC 7672 §8.1: the name at which the records were found.
        Verify::Dane(dane) => dane.base(),
        _ => host_name,
    };
    let securing = opening.net.secure(stream, server_name, verify.clone());
    within(opening.clock, opening.policy.tls_timeout, securing)
        .await
        .unwrap_or_else(|| Err("it took too long".to_owned().into()))
        .map_err(OpenError::Handshake)
}

/// `None` when it takes longer.
async fn within<C: Clock, T>(
    clock: &C,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = clock.sleep(limit) => None,
    }
}

impl OpenError {
    /// Whether the peer (or a network in between) may simply be away: others will fare the same.
    pub fn is_unreachable(&self) -> bool {
        match self {
            OpenError::Unreachable(_) => true,
            OpenError::Handshake(_) => false,
            OpenError::Session(error) => {
                error.stage == Stage::Greeting && error.outcome.reply.is_none()
            }
        }
    }
}
