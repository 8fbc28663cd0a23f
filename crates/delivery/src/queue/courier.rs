//! One attempt: from queue entries of one message and domain to one outcome each.
//!
//! ```text
//! our own domain? ── yes ── into mailboxes
//!       │ no
//! route → for each host: addresses → for each address: connection (an idle one, or new)
//!       → transaction → outcomes
//! ```
//!
//! The next address is tried when a host could not be reached, ended the session before a message,
//! or failed a demanded TLS handshake. Once a host has answered for a recipient, that answer counts
//! for this attempt. A failed *opportunistic* handshake is followed by one try in clear on a new
//! connection (RFC 7435 §3), which is recorded; with TLS demanded it never is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use rand::rngs::StdRng;
use waxwing_dns::Resolve;
use waxwing_message::journey::{Event, RecipientOutcome, ReplySeen, Source, Step, TlsUsed};
use waxwing_message::{Envelope, trace};
use waxwing_smtp::client::{Disposition, TlsPolicy, Transaction};
use waxwing_store::{Acceptance, Content, Deposit, Flags, QueueEntry, Spool, Store, StoreError};

use super::outcome::{Fate, NextHop, Outcome};
use crate::accept::plan;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::outbound::connection::Opening;
use crate::outbound::{Connect, Connection, Hosts, OpenError};
use crate::policy::Policy;
use crate::route::{self, Host, Route, RouteError};

/// Everything that sending needs.
pub struct Courier<R, N, C> {
    /// Where messages and entries are.
    pub store: Store,
    /// The DNS.
    pub resolver: R,
    /// The network.
    pub net: N,
    /// The time.
    pub clock: Arc<C>,
    /// What the operator chose.
    pub policy: Arc<Policy>,
    /// Randomness.
    pub dice: Arc<Dice>,
    /// What is remembered of hosts.
    pub hosts: Hosts,
}

/// What came of an attempt.
#[derive(Default)]
pub(crate) struct Attempted {
    /// One for each entry, in their order.
    pub outcomes: Vec<Outcome>,
    pub events: Vec<Event>,
    /// Messages for our own mailboxes, to be accepted with the settlement.
    pub local: Vec<Acceptance>,
}

impl Attempted {
    pub fn all(entries: &[QueueEntry], outcome: &Outcome) -> Attempted {
        Attempted { outcomes: vec![outcome.clone(); entries.len()], ..Attempted::default() }
    }

    /// A mailbox of ours turned out to be full, say: nothing was put into any, later perhaps.
    pub fn give_back_local(&mut self, why: &str) {
        self.local.clear();
        self.events.clear();
        for outcome in &mut self.outcomes {
            if outcome.fate == Fate::Delivered(NextHop::Mailbox) {
                *outcome = Outcome::found(Fate::Deferred, (4, 2, 2), why);
            }
        }
    }
}

impl<R: Resolve, N: Connect, C: Clock> Courier<R, N, C> {
    /// Tries to deliver to all entries, which share message and domain and are at least one.
    pub(crate) async fn attempt(&self, entries: &[QueueEntry]) -> Attempted {
        match self.try_all(entries).await {
            Ok(attempted) => attempted,
            Err(error) => {
                tracing::error!(%error, "the store cannot work");
                let reason = "the mail store cannot be read at present";
                Attempted::all(entries, &Outcome::found(Fate::Deferred, (4, 3, 0), reason))
            }
        }
    }

    async fn try_all(&self, entries: &[QueueEntry]) -> Result<Attempted, StoreError> {
        let domain = &entries[0].domain;
        let Some(content) = self.store.queue_content(entries[0].id).await? else {
            let reason = "the stored message is missing";
            return Ok(Attempted::all(entries, &Outcome::found(Fate::Deferred, (4, 3, 0), reason)));
        };
        if self.store.domain(domain).await?.is_some() {
            return self.deposit_all(entries, &content).await;
        }
        let mut rng = self.dice.split();
        match route::find(&self.resolver, &self.policy, domain, &mut rng).await {
            Err(error) => Ok(Attempted::all(entries, &Outcome::from(&error))),
            Ok(route) => {
                let mut journey = Sending::new(self, entries, &content, rng);
                journey.utf8_header = entries[0].smtputf8 && has_utf8_header(&content).await?;
                journey.routed(domain, &route);
                journey.through(route).await;
                Ok(journey.into_attempted(domain))
            }
        }
    }

    /// The domain has become ours since the message was queued.
    async fn deposit_all(
        &self,
        entries: &[QueueEntry],
        content: &Content,
    ) -> Result<Attempted, StoreError> {
        let now = self.clock.now();
        let mut attempted = Attempted::default();
        let hosts = vec![self.policy.host_name.clone()];
        let (domain, by) = (entries[0].domain.clone(), "local domain".to_owned());
        let step = Step::Routed { domain, hosts, by, dnssec: false };
        attempted.events.push(Event { at: now, step });
        let mut recipients = Vec::with_capacity(entries.len());
        for entry in entries {
            let to = [entry.recipient.clone()];
            let plan = plan::plan(&self.store, &self.policy, &to, now).await?;
            let outcome = if plan.deposits.is_empty() && plan.queue.is_empty() {
                Outcome::found(Fate::Failed, (5, 1, 1), "no such mailbox here")
            } else {
                let hop =
                    if plan.deposits.is_empty() { NextHop::Reports } else { NextHop::Mailbox };
                let envelope = envelope_of(&[entry]);
                let acceptance = self.taken_over(envelope, content, plan, now).await?;
                let text = format!("delivered here, journey {}", acceptance.journey);
                attempted.local.push(acceptance);
                let mut outcome = Outcome::found(Fate::Delivered(hop), (2, 0, 0), "delivered here");
                outcome.reply = Some(ReplySeen { code: 250, enhanced: None, text });
                outcome
            };
            recipients.push(RecipientOutcome {
                recipient: entry.recipient.address.clone(),
                outcome: outcome.for_journey(),
            });
            attempted.outcomes.push(outcome);
        }
        let step = Step::Attempted {
            attempt: entries[0].attempts.saturating_add(1),
            host: self.policy.host_name.clone(),
            ip: None,
            tls: None,
            recipients,
            took_millis: 0,
        };
        attempted.events.push(Event { at: now, step });
        Ok(attempted)
    }

    /// A message that passes from the queue into this system: a journey of its own.
    async fn taken_over(
        &self,
        envelope: Envelope,
        content: &Content,
        plan: plan::Plan,
        now: Timestamp,
    ) -> Result<Acceptance, StoreError> {
        let spool = Spool::from_bytes(content.read_all().await?);
        let message_id = trace::message_id(spool.as_bytes());
        let source = Source { ip: None, helo: None, tls: None, login: None };
        let accepted = Step::Accepted {
            by: self.policy.host_name.clone(),
            protocol: "local".to_owned(),
            source,
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope.recipients.iter().map(|r| r.address.clone()).collect(),
            message_id: message_id.clone(),
            size_octets: content.size_octets,
            repairs: Vec::new(),
        };
        let mut events = vec![Event { at: now, step: accepted }];
        events.extend(plan.events);
        let mut deposits = Vec::new();
        if !plan.deposits.is_empty() {
            let stored = trace::for_delivery(spool.as_bytes(), &envelope.reverse_path, b"");
            let summary = crate::accept::summary(spool.as_bytes(), &stored);
            let blob = self.store.stage(stored.header, &spool, stored.rest).await?;
            deposits.extend(plan.deposits.into_iter().map(|deposit| Deposit {
                account: deposit.account,
                mailbox: deposit.mailbox,
                blob: blob.clone(),
                summary: summary.clone(),
                received_at: now,
                flags: Flags::default(),
                recipient: deposit.recipient,
                despite_quota: false,
            }));
        }
        let queue_blob = match plan.queue.is_empty() {
            true => None,
            false => Some(self.store.stage(Vec::new(), &spool, 0).await?),
        };
        let (journey, queue) = (self.dice.journey_id(now), plan.queue);
        Ok(Acceptance { journey, now, envelope, message_id, deposits, queue, queue_blob, events })
    }

    fn opening(&self) -> Opening<'_, N, C> {
        let nonce = self.dice.eighteen();
        Opening { net: &self.net, clock: &*self.clock, policy: &self.policy, nonce }
    }

    /// Says goodbye without making anyone wait for it.
    pub(crate) fn close(&self, connection: Connection) {
        let clock = self.clock.clone();
        tokio::spawn(async move { connection.quit(&*clock).await });
    }
}

/// The envelope that goes to the next server: these entries of one message.
fn envelope_of(entries: &[&QueueEntry]) -> Envelope {
    let first = entries[0];
    Envelope {
        reverse_path: first.reverse_path.clone(),
        recipients: entries.iter().map(|entry| entry.recipient.clone()).collect(),
        body: first.body,
        smtputf8: first.smtputf8,
        require_tls: first.require_tls,
        dsn_return: first.dsn_return,
        envelope_id: first.envelope_id.clone(),
    }
}

/// Whether the header block cannot go without SMTPUTF8.
async fn has_utf8_header(content: &Content) -> Result<bool, StoreError> {
    let start = content.read(0, crate::report::HEADER_OCTETS).await?;
    Ok(!start[..waxwing_message::parse::field::header_end(&start)].is_ascii())
}

/// An attempt under way.
struct Sending<'a, R, N, C> {
    courier: &'a Courier<R, N, C>,
    entries: &'a [QueueEntry],
    content: &'a Content,
    rng: StdRng,
    /// By index of the entry; what is missing is still open.
    outcomes: BTreeMap<usize, Outcome>,
    events: Vec<Event>,
    /// What kept us from offering the message; a temporary one is worth more than a permanent one.
    problem: Option<Outcome>,
    addresses_tried: usize,
    require_tls: bool,
    /// RFC 6531 §3.6: what the message is decides where it can go, not what its client announced.
    utf8_header: bool,
}

/// How a try at one address ended.
enum Tried {
    /// The host spoke for at least one recipient.
    Answered,
    /// It did not come to that: the next address.
    Next,
}

impl<'a, R: Resolve, N: Connect, C: Clock> Sending<'a, R, N, C> {
    fn new(
        courier: &'a Courier<R, N, C>,
        entries: &'a [QueueEntry],
        content: &'a Content,
        rng: StdRng,
    ) -> Self {
        let require_tls = entries.iter().any(|entry| entry.require_tls);
        let (outcomes, events) = (BTreeMap::new(), Vec::new());
        let (problem, addresses_tried) = (None, 0);
        Sending {
            courier,
            entries,
            content,
            rng,
            outcomes,
            events,
            problem,
            addresses_tried,
            require_tls,
            utf8_header: false,
        }
    }

    fn record(&mut self, step: Step) {
        let at = self.courier.clock.now();
        self.events.push(Event { at, step });
    }

    fn routed(&mut self, domain: &str, route: &Route) {
        let hosts = route.hosts.iter().map(|host| match route.by {
            route::RouteKind::Mx => format!("{} ({})", host.name, host.preference),
            _ => host.name.clone(),
        });
        self.record(Step::Routed {
            domain: domain.to_owned(),
            hosts: hosts.collect(),
            by: route.by.name().to_owned(),
            dnssec: route.by.is_from_dns() && route.dnssec.is_secure(),
        });
    }

    fn has_problem(&mut self, problem: Outcome) {
        let known_temporary = self.problem.as_ref().is_some_and(|p| p.fate == Fate::Deferred);
        if !known_temporary || problem.fate == Fate::Deferred {
            self.problem = Some(problem);
        }
    }

    /// An operator wants it tried now, whatever is known of the host.
    fn is_asked_for(&self) -> bool {
        self.entries.iter().any(|entry| entry.attempts > 0 && entry.last_reason.is_empty())
    }

    /// The entries without an outcome.
    fn open(&self) -> Vec<usize> {
        (0..self.entries.len()).filter(|index| !self.outcomes.contains_key(index)).collect()
    }

    /// Tries host after host.
    async fn through(&mut self, route: Route) {
        // RFC 8689 §4.2.1: the next server must be named by more than an answer anyone can forge.
        if self.require_tls && route.by.is_from_dns() && !route.dnssec.is_secure() {
            let reason = "REQUIRETLS: the domain's mail exchangers are not signed by DNSSEC";
            return self.has_problem(Outcome::found(Fate::Failed, (5, 7, 10), reason));
        }
        let courier = self.courier;
        let mut cut = None;
        for host in &route.hosts {
            // RFC 5321 §5.1: ourselves, and whatever is not better, are left out.
            if cut.is_some_and(|cut| host.preference >= cut) {
                break;
            }
            let addresses = match route::addresses(&courier.resolver, host, &mut self.rng).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    self.has_problem(Outcome::from(&error));
                    continue;
                }
            };
            let own = |address: &SocketAddr| courier.policy.own_addresses.contains(&address.ip());
            if route.by.is_from_dns() && addresses.iter().any(own) {
                cut = Some(host.preference);
                continue;
            }
            if let Tried::Answered = self.host(host, addresses).await {
                return;
            }
        }
        if cut.is_some() && self.problem.is_none() {
            let domain = self.entries[0].domain.clone();
            self.has_problem(Outcome::from(&RouteError::Loop(domain)));
        }
    }

    /// Tries address after address.
    async fn host(&mut self, host: &Host, addresses: Vec<SocketAddr>) -> Tried {
        let courier = self.courier;
        let verified = self.require_tls || host.tls == TlsPolicy::Required;
        let _slot = courier.hosts.slot(host).await;
        if let Some(idle) = courier.hosts.take_idle(host, verified, courier.clock.instant())
            && let Tried::Answered = self.over(idle, host, true).await
        {
            return Tried::Answered;
        }
        for address in addresses {
            if let Some(why) = courier.hosts.resting(address, courier.clock.instant())
                && !self.is_asked_for()
            {
                let reason = format!("could not be reached a moment ago: {why}");
                let mut problem = Outcome::found(Fate::Deferred, (4, 4, 1), reason);
                problem.remote = Some(host.name.clone());
                self.has_problem(problem);
                continue;
            }
            if self.addresses_tried >= courier.policy.max_addresses_per_attempt {
                return Tried::Answered;
            }
            self.addresses_tried += 1;
            if let Tried::Answered = self.address(host, address).await {
                return Tried::Answered;
            }
        }
        Tried::Next
    }

    /// Opens a connection to one address and sends over it.
    async fn address(&mut self, host: &Host, address: SocketAddr) -> Tried {
        let tls = if self.require_tls { TlsPolicy::Required } else { host.tls };
        let started = self.courier.clock.instant();
        match self.open_connection(host, address, tls).await {
            Ok(connection) => self.over(connection, host, false).await,
            Err(OpenError::Handshake(why))
                if tls == TlsPolicy::Opportunistic && !host.implicit_tls =>
            {
                let reason = format!("TLS handshake failed: {why}; trying again without TLS");
                self.failed(
                    host,
                    address,
                    started,
                    Outcome::found(Fate::Deferred, (4, 7, 5), reason),
                );
                let started = self.courier.clock.instant();
                match self.open_connection(host, address, TlsPolicy::Off).await {
                    Ok(connection) => self.over(connection, host, false).await,
                    Err(error) => self.not_opened(host, address, started, error),
                }
            }
            Err(error) => self.not_opened(host, address, started, error),
        }
    }

    async fn open_connection(
        &self,
        host: &Host,
        address: SocketAddr,
        tls: TlsPolicy,
    ) -> Result<Connection, OpenError> {
        let courier = self.courier;
        let opened = Connection::open(&courier.opening(), host, address, tls).await;
        match &opened {
            Ok(_) => courier.hosts.reachable(address),
            Err(error) if error.is_unreachable() => {
                courier.hosts.unreachable(address, &error.to_string(), courier.clock.instant());
            }
            Err(_) => courier.hosts.reachable(address),
        }
        opened
    }

    fn not_opened(
        &mut self,
        host: &Host,
        address: SocketAddr,
        started: Instant,
        error: OpenError,
    ) -> Tried {
        let outcome = match &error {
            OpenError::Unreachable(_) => {
                Outcome::found(Fate::Deferred, (4, 4, 1), error.to_string())
            }
            OpenError::Handshake(_) => Outcome::found(Fate::Deferred, (4, 7, 5), error.to_string()),
            // What a host says before MAIL is of itself (or of us), not of this message: the next
            // host is asked, and another time this one again.
            OpenError::Session(session) => {
                let mut outcome = Outcome::told(&session.outcome, &host.name, false);
                outcome.fate = Fate::Deferred;
                outcome
            }
        };
        self.failed(host, address, started, outcome);
        Tried::Next
    }

    /// An address was tried and the message could not even be offered.
    fn failed(&mut self, host: &Host, address: SocketAddr, started: Instant, mut outcome: Outcome) {
        outcome.remote = Some(host.name.clone());
        let open = self.open();
        let outcomes: Vec<_> = open.into_iter().map(|index| (index, outcome.clone())).collect();
        self.attempted(host, address, None, started, &outcomes);
        self.has_problem(outcome);
    }

    /// Sends over an open connection, in as many transactions as the server wants.
    async fn over(&mut self, mut connection: Connection, host: &Host, reused: bool) -> Tried {
        let courier = self.courier;
        let verified = self.require_tls || host.tls == TlsPolicy::Required;
        let (peer, tls) = (connection.peer(), connection.tls().cloned());
        let mut answered = false;
        loop {
            let started = courier.clock.instant();
            let open = self.open();
            let entries: Vec<&QueueEntry> =
                open.iter().map(|&index| &self.entries[index]).collect();
            let mut transaction = Transaction::new(envelope_of(&entries), self.content.size_octets);
            transaction.utf8_header = self.utf8_header;
            let sent = connection.send(&*courier.clock, transaction, self.content).await;
            if sent.lost_before_data && reused && !answered {
                // It had been idle for too long; that says nothing of the host.
                return Tried::Next;
            }
            let dsn = connection.capabilities().dsn;
            let mut told = Vec::with_capacity(open.len());
            let mut again = false;
            for (&index, outcome) in open.iter().zip(&sent.report.outcomes) {
                match outcome.disposition {
                    Disposition::NotTried => again = true,
                    _ => told.push((index, Outcome::told(outcome, &host.name, dsn))),
                }
            }
            self.attempted(host, peer, tls.clone(), started, &told);
            // Lost before the message: another address may do better.
            if sent.lost_before_data && !answered {
                told.into_iter().for_each(|(_, outcome)| self.has_problem(outcome));
                return Tried::Next;
            }
            answered = true;
            let progress = !told.is_empty();
            self.outcomes.extend(told);
            if !again || !progress || !connection.is_usable() {
                break;
            }
        }
        let now = courier.clock.instant();
        if let Some(connection) = courier.hosts.keep(host, verified, connection, now) {
            courier.close(connection);
        }
        if self.open().is_empty() {
            return Tried::Answered;
        }
        // The server takes fewer at a time and has gone: the rest comes with the next attempt.
        let reason = "the server took only some of the recipients at a time";
        self.has_problem(Outcome::found(Fate::Deferred, (4, 5, 3), reason));
        Tried::Answered
    }

    fn attempted(
        &mut self,
        host: &Host,
        address: SocketAddr,
        tls: Option<TlsUsed>,
        started: Instant,
        outcomes: &[(usize, Outcome)],
    ) {
        let took = self.courier.clock.instant().saturating_duration_since(started);
        let recipients = outcomes.iter().map(|(index, outcome)| RecipientOutcome {
            recipient: self.entries[*index].recipient.address.clone(),
            outcome: outcome.for_journey(),
        });
        let step = Step::Attempted {
            attempt: self.entries[0].attempts.saturating_add(1),
            host: host.name.clone(),
            ip: Some(address.ip()),
            tls,
            recipients: recipients.collect(),
            took_millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        self.record(step);
    }

    fn into_attempted(mut self, domain: &str) -> Attempted {
        let nothing = || Outcome::from(&RouteError::Unusable(domain.to_owned()));
        let rest = self.problem.take().unwrap_or_else(nothing);
        let outcomes = (0..self.entries.len())
            .map(|index| self.outcomes.remove(&index).unwrap_or_else(|| rest.clone()))
            .collect();
        Attempted { outcomes, events: self.events, local: Vec::new() }
    }
}
