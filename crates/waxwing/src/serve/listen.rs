//! Listeners: binding, accepting, and limits on who may be connected at once.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::warn;

use crate::config::Listen;

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: u32 = 1_024;

/// What a port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Smtp,
    Submission,
    Submissions,
    Lmtp,
    Imap,
    Imaps,
    Pop3,
    Pop3s,
    Sieve,
    Http,
    Https,
}

impl Service {
    /// TLS from the first byte (RFC 8314).
    pub fn implicit_tls(self) -> bool {
        matches!(self, Service::Submissions | Service::Imaps | Service::Pop3s | Service::Https)
    }

    /// What to say to a client that cannot be served now, before closing.
    pub fn busy(self) -> &'static [u8] {
        match self {
            Service::Smtp | Service::Submission | Service::Lmtp => {
                b"421 4.7.0 too many connections at the moment, try again later\r\n"
            }
            Service::Imap => b"* BYE [UNAVAILABLE] too many connections at the moment\r\n",
            Service::Pop3 => b"-ERR [SYS/TEMP] too many connections at the moment\r\n",
            Service::Sieve => b"BYE (TRYLATER) \"too many connections at the moment\"\r\n",
            // In clear text nothing can be said where TLS is expected.
            Service::Submissions | Service::Imaps | Service::Pop3s => b"",
            Service::Http | Service::Https => b"",
        }
    }
}

/// A bound port.
pub struct Port {
    pub service: Service,
    pub address: SocketAddr,
    pub listener: TcpListener,
}

/// Binds everything, or says which address cannot be had and why.
pub fn bind_all(listen: &Listen) -> Result<Vec<Port>> {
    let http = listen.http.clone().unwrap_or_default();
    let https = listen.https.clone().unwrap_or_default();
    let wanted = [
        (Service::Smtp, &listen.smtp),
        (Service::Submission, &listen.submission),
        (Service::Submissions, &listen.submissions),
        (Service::Lmtp, &listen.lmtp),
        (Service::Imap, &listen.imap),
        (Service::Imaps, &listen.imaps),
        (Service::Pop3, &listen.pop3),
        (Service::Pop3s, &listen.pop3s),
        (Service::Sieve, &listen.sieve),
        (Service::Http, &http),
        (Service::Https, &https),
    ];
    let mut ports = Vec::new();
    for (service, addresses) in wanted {
        for &address in addresses {
            let listener = bind(address).with_context(|| explain(service, address))?;
            let address = listener.local_addr()?;
            ports.push(Port { service, address, listener });
        }
    }
    Ok(ports)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let result = bind_exactly(address);
    match &result {
        // A machine without IPv6 still has all of its IPv4.
        Err(error)
            if address.ip().is_unspecified() && address.is_ipv6() && no_such_family(error) =>
        {
            bind_exactly(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
        }
        _ => result,
    }
}

fn no_such_family(error: &io::Error) -> bool {
    // EAFNOSUPPORT and EADDRNOTAVAIL on Linux.
    matches!(error.raw_os_error(), Some(97 | 99))
}

fn bind_exactly(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn explain(service: Service, address: SocketAddr) -> String {
    let hint = if address.port() != 0 && address.port() < 1_024 {
        "; ports below 1024 need root, or `setcap cap_net_bind_service=+ep` on the program; and no other mail server may run there"
    } else {
        "; perhaps another program listens there"
    };
    format!("cannot listen on {address} for {service:?}{hint}")
}

/// Counts connections, in all and by address.
pub struct Gate {
    each: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    total: Arc<tokio::sync::Semaphore>,
}

impl Gate {
    pub fn new(all: usize, each: usize) -> Arc<Gate> {
        Arc::new(Gate {
            each,
            open: Mutex::default(),
            total: Arc::new(tokio::sync::Semaphore::new(all)),
        })
    }

    /// A place for a connection from there, or `None` when the limits are reached.
    pub fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let total = self.total.clone().try_acquire_owned().ok()?;
        let key = network_of(ip);
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let count = open.entry(key).or_insert(0);
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Place { gate: self.clone(), key, _total: total })
    }
}

/// One person has one IPv4 address, but 2^64 IPv6 addresses.
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::from([s[0], s[1], s[2], s[3], 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

/// Held as long as the connection is open.
pub struct Place {
    gate: Arc<Gate>,
    key: IpAddr,
    _total: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

/// Accepts for ever. A failure that concerns us (no file descriptors left) is waited out.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return (stream, SocketAddr::new(peer.ip().to_canonical(), peer.port()));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!("cannot accept a connection: {error}; waiting a moment");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_counts_by_address_and_in_all() {
        let gate = Gate::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = gate.enter(a);
        let _second = gate.enter(a).unwrap();
        assert!(gate.enter(a).is_none());
        let _third = gate.enter(b).unwrap();
        assert!(gate.enter(b).is_none(), "three in all");
        drop(first);
        assert!(gate.enter(a).is_some());
    }

    #[test]
    fn one_ipv6_network_is_one_peer() {
        let gate = Gate::new(10, 1);
        let _place = gate.enter("2001:db8:1:2::1".parse().unwrap()).unwrap();
        assert!(gate.enter("2001:db8:1:2:ffff::9".parse().unwrap()).is_none());
        assert!(gate.enter("2001:db8:1:3::1".parse().unwrap()).is_some());
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(
            network_of("::ffff:192.0.2.1".parse().unwrap()),
            "192.0.2.1".parse::<IpAddr>().unwrap()
        );
    }
}
