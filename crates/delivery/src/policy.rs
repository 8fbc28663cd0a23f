//! Everything that an operator may choose about delivery, as data. The program reads its
//! configuration and fills this in; nothing here reads a file or the environment.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use waxwing_filter::spam::SpamPolicy;
use waxwing_message::Address;
use waxwing_smtp::client::{ClientTimeouts, Credentials, TlsPolicy};

use crate::queue::Schedule;

/// How mail is accepted, routed, sent and given up.
#[derive(Clone)]
pub struct Policy {
    /// Our name: in EHLO, Received, reports. Lower case, A-labels.
    pub host_name: String,
    /// Other names that mail exchanger records may call us by.
    pub other_host_names: Vec<String>,
    /// Our own addresses: a mail exchanger that has one of them is ourselves.
    pub own_addresses: Vec<IpAddr>,
    /// Who gets mail for `postmaster` at a domain of ours that has no such account or alias
    /// (RFC 5321 §4.5.1).
    pub postmaster: Option<Address>,
    /// More Received fields than this are a loop. Deviates: RFC 5321 §6.3 suggests 100; real mail
    /// has a dozen, and 50 stops a loop in half the time, as Postfix does.
    pub max_received: usize,
    /// How often our own name may stand in Received.
    pub max_received_by_us: usize,
    /// A `From` at a domain of ours must be an address that the login may use.
    pub check_from: bool,

    /// How mail from other servers is examined and judged.
    pub judging: Judging,
    /// What leaves is signed with the keys of its domain.
    pub sign: bool,
    /// Reports to other domains about mail that bears their names.
    pub reports: Reporting,

    /// All mail for elsewhere goes here.
    pub smarthost: Option<Relay>,
    /// Mail for these domains goes there; `.example.org` means everything below it. Before MX and
    /// smarthost.
    pub routes: BTreeMap<String, Relay>,
    /// The port of mail exchangers: 25 but in demonstration worlds.
    pub smtp_port: u16,
    /// Where IPv4 connections come from.
    pub source_v4: Option<Ipv4Addr>,
    /// Where IPv6 connections come from.
    pub source_v6: Option<Ipv6Addr>,

    /// When to try again.
    pub schedule: Schedule,
    /// The sender is told after so long that mail still waits.
    pub delay_warning_after: Duration,
    /// Given up after so long.
    pub expire_after: Duration,

    /// Messages being sent at once.
    pub max_deliveries: usize,
    /// Of them, to one domain.
    pub max_deliveries_per_domain: usize,
    /// Connections to one host.
    pub max_connections_per_host: usize,
    /// Messages over one connection.
    pub max_messages_per_connection: u32,
    /// How long a connection waits for another message to the same host.
    pub keep_connection_for: Duration,
    /// Addresses tried for one message in one attempt (RFC 5321 §5.1 wants at least two).
    pub max_addresses_per_attempt: usize,
    /// TCP connect.
    pub connect_timeout: Duration,
    /// TLS handshake.
    pub tls_timeout: Duration,
    /// Within SMTP.
    pub client_timeouts: ClientTimeouts,
    /// How long a queue entry belongs to the node that works on it; renewed while it does.
    pub lease_for: Duration,
    /// How long one attempt may take, all servers of a domain together. It is broken off then, and
    /// made again by the schedule.
    pub attempt_limit: Duration,
    /// How often the queue is looked at without being woken: for entries of nodes that died.
    pub poll_every: Duration,
    /// How long work in progress may still take when the program is to end.
    pub shutdown_grace: Duration,
}

/// How mail from other servers is examined and judged.
#[derive(Debug, Clone)]
pub struct Judging {
    /// Whether it is at all.
    pub examine: bool,
    /// How the evidence is weighed, and what is done.
    pub spam: SpamPolicy,
    /// Networks of servers of our own that pass mail on: what comes from there is not examined.
    pub trusted: Vec<(IpAddr, u8)>,
    /// How long each check may wait for the DNS.
    pub patience: Duration,
    /// What readers teach is shared among the accounts of this system, beside their own.
    pub share_words: bool,
}

/// What other domains are told about mail under their names, and about TLS to their servers.
#[derive(Debug, Clone)]
pub struct Reporting {
    /// Whether they are told anything.
    pub send: bool,
    /// Whether they are told of single messages that failed too (RFC 9991).
    pub failures: bool,
    /// In From, for people who have questions; by default the postmaster of the domain of ours that
    /// the host name stands in.
    pub from: Option<Address>,
    /// Who reports; by default the domain of `from`.
    pub organization: Option<String>,
}

impl Default for Reporting {
    fn default() -> Reporting {
        Reporting { send: true, failures: false, from: None, organization: None }
    }
}

impl Default for Judging {
    fn default() -> Judging {
        Judging {
            examine: true,
            spam: SpamPolicy::default(),
            trusted: Vec::new(),
            patience: Duration::from_secs(20),
            share_words: true,
        }
    }
}

/// One server that takes our mail for others.
#[derive(Clone)]
pub struct Relay {
    /// Host name or address.
    pub host: String,
    /// 587, 465, 25 …
    pub port: u16,
    /// What is demanded of TLS. `Required` also verifies the certificate.
    pub tls: TlsPolicy,
    /// TLS from the first octet (RFC 8314 §3.3: port 465).
    pub implicit_tls: bool,
    /// Log in.
    pub credentials: Option<Credentials>,
}

impl Policy {
    /// The defaults for a server of this name.
    pub fn new(host_name: impl Into<String>) -> Policy {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let hours = |n: u64| minutes(n * 60);
        Policy {
            host_name: host_name.into(),
            other_host_names: Vec::new(),
            own_addresses: Vec::new(),
            postmaster: None,
            max_received: 50,
            max_received_by_us: 10,
            check_from: true,
            judging: Judging::default(),
            sign: true,
            reports: Reporting::default(),
            smarthost: None,
            routes: BTreeMap::new(),
            smtp_port: 25,
            source_v4: None,
            source_v6: None,
            schedule: Schedule::default(),
            delay_warning_after: hours(4),
            // RFC 5321 §4.5.4.1: "at least 4-5 days".
            expire_after: hours(5 * 24),
            max_deliveries: 200,
            max_deliveries_per_domain: 20,
            max_connections_per_host: 10,
            max_messages_per_connection: 100,
            keep_connection_for: Duration::from_secs(5),
            max_addresses_per_attempt: 10,
            connect_timeout: Duration::from_secs(60),
            tls_timeout: Duration::from_secs(60),
            client_timeouts: ClientTimeouts::default(),
            lease_for: minutes(10),
            attempt_limit: minutes(90),
            poll_every: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(30),
        }
    }

    /// Whether a host name is one of ours.
    pub fn is_own_name(&self, host: &str) -> bool {
        let names = self.other_host_names.iter().chain([&self.host_name]);
        names.into_iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// The relay that is set for a domain, if one is.
    pub fn route_for(&self, domain: &str) -> Option<&Relay> {
        if let Some(relay) = self.routes.get(domain) {
            return Some(relay);
        }
        let mut rest = domain;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(relay) = self.routes.get(&format!(".{parent}")) {
                return Some(relay);
            }
            rest = parent;
        }
        None
    }

    /// The address to connect from, for a peer of that family.
    pub fn source_for(&self, peer: IpAddr) -> Option<IpAddr> {
        match peer {
            IpAddr::V4(_) => self.source_v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.source_v6.map(IpAddr::V6),
        }
    }
}
