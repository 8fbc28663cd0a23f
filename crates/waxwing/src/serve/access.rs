//! Joins sockets to IMAP and POP3 sessions: the handshake, and nothing else. The protocols are in
//! their crates.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;
use waxwing_sasl::ChannelBinding;
use waxwing_store::Store;

use super::tls;
use crate::config::Config;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// What all connections of people reading mail share.
pub struct Desk {
    store: Store,
    acceptor: TlsAcceptor,
    imap: Arc<waxwing_imap::Settings>,
    pop3: Arc<waxwing_pop3::Settings>,
}

impl Desk {
    pub fn new(config: &Config, store: Store, acceptor: TlsAcceptor) -> Desk {
        let host_name = config.hostname.to_string();
        let plaintext_allowed = config.tls.allow_plaintext_login;
        let imap = waxwing_imap::Settings {
            plaintext_login: plaintext_allowed,
            tokens: config.oauth.is_some(),
            max_message_octets: config.limits.message_size.0,
            comment: config.imap.comment.clone(),
            jmap_session: config.jmap_session(),
            admin: config.imap.admin.clone(),
            message_limit: config.imap.message_limit,
            ..waxwing_imap::Settings::new(&host_name)
        };
        Desk {
            store,
            acceptor,
            imap: Arc::new(imap),
            pop3: Arc::new(waxwing_pop3::Settings {
                host_name,
                plaintext_allowed,
                tokens: config.oauth.is_some(),
                ..Default::default()
            }),
        }
    }

    /// Serves one POP3 connection to its end.
    pub async fn pop3(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        implicit_tls: bool,
        stop: watch::Receiver<bool>,
    ) {
        if let Err(error) = self.run_pop3(stream, peer, implicit_tls, stop).await {
            debug!(%peer, "POP3 connection ended: {error}");
        }
    }

    async fn run_pop3(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        implicit_tls: bool,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        use waxwing_pop3::{Ended, Session, TlsFacts, serve};
        let mut session =
            Session::new(self.store.clone(), self.pop3.clone(), None, stop).from_address(peer.ip());
        if !implicit_tls && serve(&mut stream, &mut session).await == Ended::Closed {
            return Ok(());
        }
        let (mut stream, channel_binding) = self.shake_hands(stream).await?;
        session.tls_established(TlsFacts { channel_binding });
        serve(&mut stream, &mut session).await;
        Ok(())
    }

    /// Serves one IMAP connection to its end.
    pub async fn imap(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        implicit_tls: bool,
        stop: watch::Receiver<bool>,
    ) {
        if let Err(error) = self.run_imap(stream, peer, implicit_tls, stop).await {
            debug!(%peer, "IMAP connection ended: {error}");
        }
    }

    async fn run_imap(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        implicit_tls: bool,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        use waxwing_imap::{Ended, Session, TlsFacts, serve};
        let mut session =
            Session::new(self.store.clone(), self.imap.clone()).from_address(peer.ip());
        if !implicit_tls
            && serve(&mut stream, &mut session, None, stop.clone()).await == Ended::Closed
        {
            return stream.shutdown().await;
        }
        let (mut stream, channel_binding) = self.shake_hands(stream).await?;
        serve(&mut stream, &mut session, Some(TlsFacts { channel_binding }), stop).await;
        stream.shutdown().await
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<ChannelBinding>)> {
        let stream =
            tokio::time::timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream)).await??;
        let binding = tls::channel_binding(stream.get_ref().1);
        Ok((stream, binding))
    }
}
