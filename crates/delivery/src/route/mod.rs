//! Where a domain takes its mail: RFC 5321 §5.
//!
//! | the domain | the route |
//! |---|---|
//! | has a route of its own in the policy, or there is a smarthost | that host |
//! | is an address literal | that address |
//! | has MX records | their hosts, by preference, equals shuffled; ourselves and worse cut off |
//! | has one MX that is `.` | none: it takes no mail (RFC 7505) |
//! | exists without MX | itself (RFC 5321 §5.1: implicit MX) |
//! | does not exist | none |
//! | cannot be looked up now, or is bogus | try again later |
//!
//! Host names become addresses when they are tried ([`addresses`]). That a host is ourselves may
//! show by its name here, or by its address then. Not here: connections.

mod mx;

use std::net::{IpAddr, SocketAddr};

use rand::Rng;
use rand::seq::SliceRandom;
use waxwing_dns::{Answer, Dnssec, LookupError, Resolve};
use waxwing_message::address::literal_ip;
use waxwing_smtp::client::{Credentials, TlsPolicy};
use waxwing_smtp::reply::EnhancedStatus;

use crate::policy::{Policy, Relay};

/// Hosts looked up for one message: a domain with a hundred exchangers does not get more.
const MAX_HOSTS: usize = 20;
/// Addresses of one host that are tried.
const MAX_ADDRESSES_PER_HOST: usize = 8;

/// Where mail for a domain goes.
#[derive(Clone)]
pub struct Route {
    /// In the order to be tried; never empty.
    pub hosts: Vec<Host>,
    /// How the hosts were found.
    pub by: RouteKind,
    /// What DNSSEC says of the hosts' names.
    pub dnssec: Dnssec,
    /// The domain that the hosts were found for, and what it is an alias of: names that a host's
    /// certificate may bear under DANE (RFC 7672 §3.2.2).
    pub next_hop: Vec<String>,
}

/// Where a host is.
#[derive(Debug, Clone)]
pub struct Located {
    /// In the order to be tried; never empty.
    pub addresses: Vec<SocketAddr>,
    /// The name that has them: the host's own, or what it is an alias of.
    pub name: String,
    /// What DNSSEC says of the addresses and every alias on the way to them.
    pub dnssec: Dnssec,
    /// What DNSSEC says of the first alias, when the host's name is one.
    pub first_alias: Option<Dnssec>,
}

/// How a route was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// MX records.
    Mx,
    /// The domain's own address (RFC 5321 §5.1).
    ImplicitMx,
    /// An address literal (RFC 5321 §4.1.3).
    AddressLiteral,
    /// The policy's route for the domain.
    Configured,
    /// The policy's smarthost.
    Smarthost,
}

impl RouteKind {
    /// As a journey shows it.
    pub fn name(self) -> &'static str {
        match self {
            RouteKind::Mx => "MX",
            RouteKind::ImplicitMx => "implicit MX",
            RouteKind::AddressLiteral => "address literal",
            RouteKind::Configured => "configured route",
            RouteKind::Smarthost => "smarthost",
        }
    }

    /// Whether the next host was found in the DNS, so that anyone who can forge answers chooses it.
    pub fn is_from_dns(self) -> bool {
        matches!(self, RouteKind::Mx | RouteKind::ImplicitMx)
    }
}

/// One host of a route.
#[derive(Clone)]
pub struct Host {
    /// Its name, or its address in text.
    pub name: String,
    /// Of its MX; 0 where there is none.
    pub preference: u16,
    /// Port.
    pub port: u16,
    /// What is demanded of TLS.
    pub tls: TlsPolicy,
    /// TLS from the first octet.
    pub implicit_tls: bool,
    /// Log in.
    pub credentials: Option<Credentials>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} ({})", self.name, self.port, self.preference)
    }
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The DNS cannot say now. Try again later.
    #[error("looking up {name}: {error}")]
    Dns {
        /// What was looked up.
        name: String,
        /// Why.
        error: LookupError,
    },
    /// Permanent.
    #[error("the domain {0} does not exist")]
    NoSuchDomain(String),
    /// Permanent.
    #[error("the domain {0} takes no mail (null MX)")]
    NullMx(String),
    /// Permanent.
    #[error("no host takes mail for {0}: its MX records lead nowhere")]
    Unusable(String),
    /// Permanent: its exchangers are us, but it is no domain of ours.
    #[error("mail for {0} loops back to this server, which does not take it")]
    Loop(String),
}

impl RouteError {
    /// Whether to try again later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, RouteError::Dns { .. })
    }

    /// For the report (RFC 3463, RFC 7505 §4).
    pub fn status(&self) -> EnhancedStatus {
        match self {
            RouteError::Dns { .. } => EnhancedStatus::new(4, 4, 3),
            RouteError::NoSuchDomain(_) => EnhancedStatus::new(5, 1, 2),
            RouteError::NullMx(_) => EnhancedStatus::new(5, 1, 10),
            RouteError::Unusable(_) => EnhancedStatus::new(5, 4, 4),
            RouteError::Loop(_) => EnhancedStatus::new(5, 4, 6),
        }
    }
}

/// Finds the route of a domain (lower case, A-labels, or an address literal).
pub async fn find(
    resolver: &impl Resolve,
    policy: &Policy,
    domain: &str,
    rng: &mut (impl Rng + Send),
) -> Result<Route, RouteError> {
    if let Some(relay) = policy.route_for(domain) {
        return Ok(through(relay, RouteKind::Configured));
    }
    if let Some(relay) = &policy.smarthost {
        return Ok(through(relay, RouteKind::Smarthost));
    }
    if let Some(ip) = literal_ip(domain) {
        if policy.own_addresses.contains(&ip) {
            return Err(RouteError::Loop(domain.to_owned()));
        }
        let hosts = vec![exchanger(policy, ip.to_string(), 0)];
        // Nobody was asked, so nobody can have lied.
        return Ok(Route {
            hosts,
            by: RouteKind::AddressLiteral,
            dnssec: Dnssec::Secure,
            next_hop: Vec::new(),
        });
    }
    mx::find(resolver, policy, domain, rng).await
}

/// A relay that the operator chose: its name is not from the DNS.
fn through(relay: &Relay, by: RouteKind) -> Route {
    let host = Host {
        name: relay.host.clone(),
        preference: 0,
        port: relay.port,
        tls: relay.tls,
        implicit_tls: relay.implicit_tls,
        credentials: relay.credentials.clone(),
    };
    Route { hosts: vec![host], by, dnssec: Dnssec::Secure, next_hop: Vec::new() }
}

/// A mail exchanger on the policy's port with opportunistic TLS.
fn exchanger(policy: &Policy, name: String, preference: u16) -> Host {
    let port = policy.smtp_port;
    let tls = TlsPolicy::Opportunistic;
    Host { name, preference, port, tls, implicit_tls: false, credentials: None }
}

/// The addresses of a host in the order to be tried: IPv6 and IPv4 by turns, each shuffled. Fails
/// with [`RouteError::Unusable`] when it certainly has none.
pub async fn addresses(
    resolver: &impl Resolve,
    host: &Host,
    rng: &mut (impl Rng + Send),
) -> Result<Located, RouteError> {
    let literal = host.name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = literal.parse::<IpAddr>() {
        let (addresses, name) = (vec![SocketAddr::new(ip, host.port)], host.name.clone());
        return Ok(Located { addresses, name, dnssec: Dnssec::Indeterminate, first_alias: None });
    }
    let (v6, v4) =
        futures_util::future::join(resolver.aaaa(&host.name), resolver.a(&host.name)).await;
    let failure = match (&v6, &v4) {
        (Err(v6), Err(v4)) => Some(if v4.is_temporary() { v4.clone() } else { v6.clone() }),
        _ => None,
    };
    if let Some(error) = failure {
        if error.is_temporary() {
            return Err(RouteError::Dns { name: host.name.clone(), error });
        }
        return Err(RouteError::Unusable(host.name.clone()));
    }
    let mut located = locate(host, [v6.as_ref().ok().map(origin), v4.as_ref().ok().map(origin)]);
    let mut v6: Vec<IpAddr> =
        v6.map(|answer| answer.records.into_iter().map(IpAddr::V6).collect()).unwrap_or_default();
    let mut v4: Vec<IpAddr> =
        v4.map(|answer| answer.records.into_iter().map(IpAddr::V4).collect()).unwrap_or_default();
    v6.shuffle(rng);
    v4.shuffle(rng);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let all = &mut located.addresses;
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] || all.len() >= MAX_ADDRESSES_PER_HOST {
            all.truncate(MAX_ADDRESSES_PER_HOST);
            return Ok(located);
        }
        all.extend(pair.into_iter().flatten().map(|ip| SocketAddr::new(ip, host.port)));
    }
}

/// Whose addresses an answer holds: the name, the status, and that of the first alias.
type Origin<'a> = (&'a str, Dnssec, Option<Dnssec>);

fn origin<T>(answer: &Answer<T>) -> Origin<'_> {
    (&answer.name, answer.dnssec, answer.aliases.first().map(|alias| alias.dnssec))
}

/// What both families' answers say together; no addresses yet.
fn locate(host: &Host, origins: [Option<Origin<'_>>; 2]) -> Located {
    let mut known = origins.into_iter().flatten();
    let first = known.next().unwrap_or((&host.name, Dnssec::Indeterminate, None));
    let (name, dnssec, first_alias) = match known.next() {
        // Two names for one host cannot be a zone's doing: nothing is known of it.
        Some((name, ..)) if name != first.0 => (&*host.name, Dnssec::Indeterminate, None),
        Some((name, dnssec, _)) => (name, dnssec.and(first.1), first.2),
        None => first,
    };
    Located { addresses: Vec::new(), name: name.to_owned(), dnssec, first_alias }
}

#[cfg(test)]
mod tests;
