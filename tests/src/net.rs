//! Loopback addresses of a test's own, so that tests running at once never meet.
//!
//! All of 127.0.0.0/8 is this machine (on Linux). A [`Subnet`] is a /24 of it that no other test
//! holds; its hosts 1, 2, 3… use the same ports in every test, below the range that the kernel
//! gives to outgoing connections.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// 256 addresses on loopback, ours until dropped.
#[derive(Debug)]
pub struct Subnet {
    prefix: [u8; 3],
    _claim: TcpListener,
}

impl Subnet {
    /// Claims one that is free.
    pub fn claim() -> Subnet {
        for attempt in 0..1000_u32 {
            let random = RandomState::new().hash_one(attempt).to_be_bytes();
            // 127.0 stays for people.
            let prefix = [127, random[0] | 1, random[1]];
            let address = Ipv4Addr::new(prefix[0], prefix[1], prefix[2], 254);
            // The claim is a port that is bound as long as the subnet is held.
            if let Ok(claim) = TcpListener::bind((address, 1999)) {
                return Subnet { prefix, _claim: claim };
            }
        }
        panic!("no free subnet on loopback");
    }

    /// The address of host `n`.
    pub fn host(&self, n: u8) -> IpAddr {
        Ipv4Addr::new(self.prefix[0], self.prefix[1], self.prefix[2], n).into()
    }

    /// A port there.
    pub fn at(&self, n: u8, port: u16) -> SocketAddr {
        SocketAddr::new(self.host(n), port)
    }
}
