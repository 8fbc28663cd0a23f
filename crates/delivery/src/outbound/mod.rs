//! Sending over connections: the [`Connect`] trait, one connection, and what is remembered of hosts.
//!
//! [`ClientSession`](waxwing_smtp::ClientSession) speaks; [`connection`] moves its octets over
//! whatever [`Connect`] gives (sockets and rustls in the program, pipes in tests); [`hosts`] keeps
//! the limits, idle connections and the memory of hosts that cannot be reached. [`tls_policy`] decides
//! what TLS to a host must be, by DANE and by the MTA-STS policies that [`sts`] finds; [`tls_report`]
//! is what is told of it.

pub mod connection;
pub mod hosts;
pub mod sts;
pub mod tls_policy;
pub mod tls_report;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use waxwing_mailauth::policy::dane::Dane;
use waxwing_message::journey::TlsUsed;

pub use connection::{Connection, OpenError, Sent};
pub use hosts::Hosts;
pub use sts::{FetchError, FetchPolicy, KeptPolicy, Sts};
pub use tls_policy::{Demand, TlsRules};
pub use tls_report::{NoSink, PolicyType, TlsOutcome, TlsResult, TlsSink};

/// A connection's octets.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Any [`ByteStream`].
pub type BoxStream = Box<dyn ByteStream>;

/// Whether a certificate that does not fit ends the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verify {
    /// The certificate is checked and the finding recorded, no more: opportunistic TLS (RFC 7435).
    Record,
    /// A certificate that does not fit the host's name ends the handshake.
    Require,
    /// A chain that does not fit these TLSA records ends the handshake (RFC 7672); the public roots
    /// do not count.
    Dane(Arc<Dane>),
}

/// Why a handshake failed, or would have under a stricter [`Verify`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TlsFailure {
    /// As TLS-RPT has it.
    pub result: TlsResult,
    /// In words, for people.
    pub reason: String,
}

/// A failure that fits no other category.
impl From<String> for TlsFailure {
    fn from(reason: String) -> TlsFailure {
        TlsFailure { result: TlsResult::ValidationFailure, reason }
    }
}

/// A connection after its TLS handshake.
pub struct Secured {
    /// Its octets.
    pub stream: BoxStream,
    /// What was negotiated, for the journey.
    pub used: TlsUsed,
    /// What the session must know.
    pub session: waxwing_smtp::Tls,
    /// Why the certificate would not have passed; `None` when it did.
    pub doubt: Option<TlsFailure>,
}

/// Opens connections. The timeouts are the caller's.
pub trait Connect: Send + Sync + 'static {
    /// TCP to an address, from an address of ours if one is set.
    fn connect(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> impl Future<Output = io::Result<BoxStream>> + Send;

    /// The TLS handshake. `server_name` is what is asked for (SNI) and, but for DANE, what the
    /// certificate must name.
    fn secure(
        &self,
        stream: BoxStream,
        server_name: &str,
        verify: Verify,
    ) -> impl Future<Output = Result<Secured, TlsFailure>> + Send;
}

impl<N: Connect> Connect for std::sync::Arc<N> {
    fn connect(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> impl Future<Output = io::Result<BoxStream>> + Send {
        (**self).connect(to, from)
    }

    fn secure(
        &self,
        stream: BoxStream,
        server_name: &str,
        verify: Verify,
    ) -> impl Future<Output = Result<Secured, TlsFailure>> + Send {
        (**self).secure(stream, server_name, verify)
    }
}
