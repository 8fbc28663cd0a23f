//! Joins a socket to an SMTP session: reads, writes, does the handshake, and carries the session's
//! questions to the store and to delivery. The protocol is in `waxwing-smtp`, the decisions are in
//! `waxwing-delivery`; nothing is decided here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info};
use waxwing_delivery::{Reception, Road};
use waxwing_message::journey::{Source, TlsUsed};
use waxwing_message::{Address, Envelope};
use waxwing_smtp::{Action, Reply, ServerSession, ServerSettings, Tls};
use waxwing_store::{Account, LoginError, SpoolWriter, Store};

use super::tls;

/// What one read takes while commands are awaited, and while a message flows.
const COMMAND_READ_OCTETS: usize = 4 * 1_024;
const DATA_READ_OCTETS: usize = 64 * 1_024;
/// How long a peer may take to read what we write, and to shake hands.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause after a wrong login grows with each.
const WRONG_LOGIN_PAUSE: Duration = Duration::from_secs(1);

/// What all SMTP connections of one listener share.
pub struct Desk<R> {
    /// Of the session.
    pub settings: Arc<ServerSettings>,
    /// Where messages go.
    pub road: Arc<R>,
    /// Where logins are checked.
    pub store: Store,
    /// For STARTTLS and implicit TLS.
    pub acceptor: TlsAcceptor,
}

/// One connection's own facts and what it is receiving.
struct Visit<'a, R> {
    desk: &'a Desk<R>,
    peer: SocketAddr,
    tls: Option<TlsUsed>,
    account: Option<Account>,
    wrong_logins: u32,
    spool: Option<SpoolWriter>,
}

/// Why the driving of a stream ended.
enum Next {
    Closed,
    StartTls,
}
