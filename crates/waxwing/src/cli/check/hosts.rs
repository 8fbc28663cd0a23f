//! The addresses of a host, asked once for every subject that needs them.

use std::net::IpAddr;

use waxwing_dns::{LookupError, Resolve};

/// What the DNS says of a host name.
#[derive(Debug, Clone, Default)]
pub struct Host {
    pub name: String,
    /// The name is an alias of this one (CNAME).
    pub alias: Option<String>,
    pub addresses: Vec<IpAddr>,
    /// An address family that the DNS did not answer for.
    pub failed: Option<LookupError>,
}

impl Host {
    pub async fn look_up(resolver: &impl Resolve, name: &str) -> Host {
        let (v4, v6, alias) =
            tokio::join!(resolver.a(name), resolver.aaaa(name), resolver.cname(name));
        let mut host = Host { name: name.to_owned(), ..Host::default() };
        host.alias = alias.ok().and_then(|answer| answer.records.into_iter().next());
        match v4 {
            Ok(answer) => host.addresses.extend(answer.records.into_iter().map(IpAddr::V4)),
            Err(error) => host.note(error),
        }
        match v6 {
            Ok(answer) => host.addresses.extend(answer.records.into_iter().map(IpAddr::V6)),
            Err(error) => host.note(error),
        }
        host
    }

    fn note(&mut self, error: LookupError) {
        if error.is_temporary() {
            self.failed = Some(error);
        }
    }

    /// `192.0.2.7, 2001:db8::7`.
    pub fn shown(&self) -> String {
        let all: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        all.join(", ")
    }
}
