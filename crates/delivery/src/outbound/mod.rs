//! Sending over connections: the [`Connect`] trait, one connection, and what is remembered of hosts.
//!
//! [`ClientSession`](waxwing_smtp::ClientSession) speaks; [`connection`] moves its octets over
//! whatever [`Connect`] gives (sockets and rustls in the program, pipes in tests); [`hosts`] keeps
//! the limits, idle connections and the memory of hosts that cannot be reached.

pub mod connection;
pub mod hosts;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use waxwing_message::journey::TlsUsed;

pub use connection::{Connection, OpenError, Sent};
pub use hosts::Hosts;

/// A connection's octets.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Any [`ByteStream`].
pub type BoxStream = Box<dyn ByteStream>;

/// Whether a certificate that does not fit ends the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// The certificate is checked and the finding recorded, no more: opportunistic TLS (RFC 7435).
    Record,
    /// A certificate that does not fit the host's name ends the handshake.
    Require,
}

/// A connection after its TLS handshake.
pub struct Secured {
    /// Its octets.
    pub stream: BoxStream,
    /// What was negotiated, for the journey.
    pub used: TlsUsed,
    /// What the session must know.
    pub session: waxwing_smtp::Tls,
}

/// Opens connections. The timeouts are the caller's.
pub trait Connect: Send + Sync + 'static {
    /// TCP to an address, from an address of ours if one is set.
    fn connect(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> impl Future<Output = io::Result<BoxStream>> + Send;

    /// The TLS handshake. The error is in words, for people.
    fn secure(
        &self,
        stream: BoxStream,
        server_name: &str,
        verify: Verify,
    ) -> impl Future<Output = Result<Secured, String>> + Send;
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
    ) -> impl Future<Output = Result<Secured, String>> + Send {
        (**self).secure(stream, server_name, verify)
    }
}
