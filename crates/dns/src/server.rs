//! The small authoritative server: a loop over UDP and TCP around [`answer`](crate::answer).
//!
//! It serves the demonstration world and tests. It keeps its bounds (message sizes, TCP connections,
//! idle time) and survives garbage, but has no rate limits: it is meant for loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::answer::{Transport, answer};
use crate::zone::Zones;

/// Octets of a question at most; one question and its EDNS options need far fewer.
const MAX_REQUEST_OCTETS: usize = 4096;
/// TCP connections at once; more wait in the backlog.
const MAX_TCP_CONNECTIONS: usize = 64;
/// A TCP client that says nothing, or reads nothing, for so long is dropped (RFC 7766 §6.2.3).
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Tries to find one port that is free for UDP and TCP alike.
const BIND_ATTEMPTS: usize = 16;

/// A bound server; [`run`](AuthoritativeServer::run) makes it answer.
#[derive(Debug)]
pub struct AuthoritativeServer {
    udp: UdpSocket,
    tcp: TcpListener,
    zones: SharedZones,
}

/// The served zones, to be changed while the server runs.
#[derive(Debug, Clone, Default)]
pub struct SharedZones(Arc<RwLock<Zones>>);

impl SharedZones {
    /// Changes the zones; questions wait meanwhile.
    pub fn update<T>(&self, change: impl FnOnce(&mut Zones) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let zones = self.0.read().unwrap_or_else(PoisonError::into_inner);
        answer(&zones, packet, transport)
    }
}

impl AuthoritativeServer {
    /// Binds UDP and TCP on one address; port 0 takes one that is free for both.
    pub async fn bind(address: SocketAddr, zones: Zones) -> io::Result<AuthoritativeServer> {
        let mut attempt = 0;
        let (udp, tcp) = loop {
            attempt += 1;
            let udp = UdpSocket::bind(address).await?;
            match TcpListener::bind(udp.local_addr()?).await {
                Ok(tcp) => break (udp, tcp),
                Err(error) if address.port() != 0 || attempt == BIND_ATTEMPTS => return Err(error),
                Err(_) => {}
            }
        };
        Ok(AuthoritativeServer { udp, tcp, zones: SharedZones(Arc::new(RwLock::new(zones))) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// The served zones.
    pub fn zones(&self) -> SharedZones {
        self.zones.clone()
    }

    /// Answers until the future is dropped, which closes everything.
    pub async fn run(self) {
        tokio::join!(serve_udp(&self.udp, &self.zones), serve_tcp(&self.tcp, &self.zones));
    }
}

async fn serve_udp(socket: &UdpSocket, zones: &SharedZones) {
    let mut buffer = vec![0; MAX_REQUEST_OCTETS];
    loop {
        let (octets, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An answer to a client that went away may come back as an error here.
            Err(error) => {
                tracing::debug!(%error, "receiving a DNS question");
                tokio::task::yield_now().await;
                continue;
            }
        };
        if let Some(reply) = zones.answer(&buffer[..octets], Transport::Udp)
            && let Err(error) = socket.send_to(&reply, peer).await
        {
            tracing::debug!(%error, %peer, "sending a DNS answer");
        }
    }
}

async fn serve_tcp(listener: &TcpListener, zones: &SharedZones) {
    let slots = Arc::new(Semaphore::new(MAX_TCP_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let zones = zones.clone();
                connections.spawn(async move {
                    let _slot = slot;
                    // A client that breaks off is its own affair.
                    let _ = serve_connection(stream, &zones).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a DNS connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Questions one after another, each with its length before it (RFC 1035 §4.2.2).
async fn serve_connection(mut stream: TcpStream, zones: &SharedZones) -> io::Result<()> {
    loop {
        let request = tokio::time::timeout(TCP_IDLE, async {
            let octets = usize::from(stream.read_u16().await?);
            if octets > MAX_REQUEST_OCTETS {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            let mut request = vec![0; octets];
            stream.read_exact(&mut request).await?;
            Ok(request)
        });
        let Some(reply) = zones.answer(&request.await??, Transport::Tcp) else { return Ok(()) };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        let mut framed = Vec::with_capacity(reply.len() + 2);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&reply);
        tokio::time::timeout(TCP_IDLE, stream.write_all(&framed)).await??;
    }
}
