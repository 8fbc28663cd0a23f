//! Sending entries to the hosts of a domain.
//!
//! ```text
//! for each host: addresses → for each address: connection (an idle one, or new)
//!       → transaction → outcomes
//! ```
//!
//! The next address is tried when a host could not be reached, ended the session before a message,
//! or failed a demanded TLS handshake. Once a host has answered for a recipient, that answer counts
//! for this attempt. What TLS must be is decided for each host by
//! [`tls_policy`](crate::outbound::tls_policy). A failed *opportunistic* handshake is followed by one
//! try in clear on a new connection (RFC 7435 §3), which is recorded; with TLS demanded it never is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use waxwing_dns::Resolve;
use waxwing_mailauth::policy::mta_sts;
use waxwing_message::journey::{Event, RecipientOutcome, Step, TlsPolicySeen, TlsUsed};
use waxwing_message::{Envelope, ReversePath};
use waxwing_smtp::client::{Disposition, TlsPolicy, Transaction};
use waxwing_store::{Content, QueueEntry, StoreError};

use super::courier::{Attempted, Courier};
use super::outcome::{Fate, Outcome};
use crate::clock::Clock;
use crate::outbound::sts::Found;
use crate::outbound::tls_policy::{self, Grounds, Reported, Rule, Skip};
use crate::outbound::{Connect, Connection, Demand, OpenError, TlsOutcome, TlsResult};
use crate::route::{self, Host, Route, RouteError};

/// The envelope that goes to the next server: these entries of one message.
pub(super) fn envelope_of(entries: &[&QueueEntry]) -> Envelope {
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
pub(super) async fn has_utf8_header(content: &Content) -> Result<bool, StoreError> {
    let start = content.read(0, crate::report::HEADER_OCTETS).await?;
    Ok(!start[..waxwing_message::parse::field::header_end(&start)].is_ascii())
}

/// Whether the header says `TLS-Required: No` (RFC 8689 §3).
async fn waives_tls(content: &Content) -> Result<bool, StoreError> {
    let start = content.read(0, crate::report::HEADER_OCTETS).await?;
    let mut fields = waxwing_message::parse::field::fields(&start);
    Ok(fields.any(|field| {
        field.is("TLS-Required") && field.unfolded().trim_ascii().eq_ignore_ascii_case(b"no")
    }))
}

/// An attempt under way.
pub(super) struct Sending<'a, R, N, C> {
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
    /// The message says that it is to arrive whatever the domain demands of TLS.
    ignore_policies: bool,
    /// Whose policy about TLS counts, and who would be told; `None` for hosts that are the operator's.
    policy_domain: Option<String>,
    /// Its MTA-STS policy.
    sts: Found,
    /// RFC 6531 §3.6: what the message is decides where it can go, not what its client announced.
    pub(super) utf8_header: bool,
}

/// How a try at one address ended.
enum Tried {
    /// The host spoke for at least one recipient.
    Answered,
    /// It did not come to that: the next address.
    Next,
}

impl<'a, R: Resolve, N: Connect, C: Clock> Sending<'a, R, N, C> {
    pub(super) fn new(
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
            ignore_policies: false,
            policy_domain: None,
            sts: Found::default(),
            utf8_header: false,
        }
    }

    /// The whole way, once it is known.
    pub(super) async fn along(&mut self, route: Route, domain: &str) -> Result<(), StoreError> {
        self.find_policy(&route, domain).await?;
        self.heed_wish(&route).await?;
        self.through(&route).await;
        if self.is_kept_by_requiretls() {
            self.require_tls = false;
            self.problem = None;
            self.through(&route).await;
        }
        Ok(())
    }

    /// RFC 8689 §5: a report goes as its message did where it can, but it is not lost for that.
    fn is_kept_by_requiretls(&self) -> bool {
        let about_security = |problem: &Outcome| problem.status.subject == 7;
        self.require_tls
            && self.entries[0].reverse_path == ReversePath::Null
            && self.problem.as_ref().is_some_and(about_security)
    }

    /// Each wait has a limit of its own, and a peer that is slow on purpose keeps to all of them.
    pub(super) fn took_too_long(&mut self, limit: Duration) {
        let minutes = limit.as_secs().div_ceil(60);
        let reason = format!("the attempt was broken off: it was not done after {minutes} minutes");
        self.has_problem(Outcome::found(Fate::Deferred, (4, 4, 2), reason));
    }

    /// Finds the domain's MTA-STS policy.
    async fn find_policy(&mut self, route: &Route, domain: &str) -> Result<(), StoreError> {
        let courier = self.courier;
        let domain = tls_policy::policy_domain(route, domain);
        self.policy_domain = domain.map(str::to_owned);
        if let (Some(sts), Some(domain)) = (&courier.tls.sts, domain) {
            self.sts = sts.find(&courier.resolver, domain, courier.clock.now()).await?;
        }
        if let Some(trouble) = self.sts.trouble.clone() {
            let kept = self.sts.policy.as_ref().map(|kept| Reported::sts(&kept.policy));
            let none =
                Reported { policy_type: crate::outbound::PolicyType::Sts, ..Reported::nothing() };
            self.report(kept.unwrap_or(none), None, (trouble.result, trouble.reason));
        }
        Ok(())
    }

    /// RFC 8689 §3: REQUIRETLS goes before the field. The message is only opened when there may be a
    /// policy to be ignored.
    async fn heed_wish(&mut self, route: &Route) -> Result<(), StoreError> {
        let may_matter = route.by.is_from_dns() && route.dnssec.is_secure();
        if !self.require_tls && (may_matter || self.sts.policy.is_some()) {
            self.ignore_policies = waives_tls(self.content).await?;
        }
        Ok(())
    }

    /// Tells how TLS went, if there is a domain to be told.
    fn report(
        &self,
        reported: Reported,
        tried: Option<(&Host, Option<SocketAddr>)>,
        (result, reason): (TlsResult, String),
    ) {
        let Some(policy_domain) = self.policy_domain.clone() else { return };
        let courier = self.courier;
        let receiving_ip = tried.and_then(|(_, address)| address).map(|address| address.ip());
        courier.tls.sink.record(TlsOutcome {
            at: courier.clock.now(),
            policy_domain,
            policy_type: reported.policy_type,
            policy_strings: reported.policy_strings,
            mx_patterns: reported.mx_patterns,
            mx_host: tried.map(|(host, _)| host.name.clone()),
            sending_ip: receiving_ip.and_then(|ip| courier.policy.source_for(ip)),
            receiving_ip,
            result,
            reason,
        });
    }

    fn record(&mut self, step: Step) {
        let at = self.courier.clock.now();
        self.events.push(Event { at, step });
    }

    pub(super) fn routed(&mut self, domain: &str, route: &Route) {
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

    /// REQUIRETLS: why no host of this route may be tried.
    fn unnamed(&self, route: &Route) -> Option<Outcome> {
        // RFC 8689 §4.2.1: the next server must be named by more than an answer anyone can forge.
        let enforced = |sts: &Found| {
            sts.policy.as_ref().is_some_and(|kept| kept.policy.mode == mta_sts::Mode::Enforce)
        };
        if !self.require_tls
            || !route.by.is_from_dns()
            || route.dnssec.is_secure()
            || enforced(&self.sts)
        {
            return None;
        }
        let unsigned = "REQUIRETLS: the domain's mail exchangers are not signed by DNSSEC";
        Some(match &self.sts.trouble {
            None => {
                let reason = format!("{unsigned}, and it has no MTA-STS policy that is enforced");
                Outcome::found(Fate::Failed, (5, 7, 10), reason)
            }
            Some(trouble) => {
                let reason =
                    format!("{unsigned}, and its MTA-STS policy cannot be had: {}", trouble.reason);
                Outcome::found(Fate::Deferred, (4, 7, 10), reason)
            }
        })
    }

    /// Tries host after host.
    async fn through(&mut self, route: &Route) {
        if let Some(problem) = self.unnamed(route) {
            return self.has_problem(problem);
        }
        let courier = self.courier;
        let mut cut = None;
        for host in &route.hosts {
            // RFC 5321 §5.1: ourselves, and whatever is not better, are left out.
            if cut.is_some_and(|cut| host.preference >= cut) {
                break;
            }
            let located = match route::addresses(&courier.resolver, host, &mut self.rng).await {
                Ok(located) => located,
                Err(error) => {
                    self.has_problem(Outcome::from(&error));
                    continue;
                }
            };
            let own = |address: &SocketAddr| courier.policy.own_addresses.contains(&address.ip());
            if route.by.is_from_dns() && located.addresses.iter().any(own) {
                cut = Some(host.preference);
                continue;
            }
            let (sts, domain) = (self.sts.policy.clone(), self.policy_domain.clone());
            let grounds = Grounds {
                route,
                domain: domain.as_deref().unwrap_or_default(),
                sts: sts.as_ref().map(|kept| &kept.policy),
                require_tls: self.require_tls,
                ignore_policies: self.ignore_policies,
            };
            let tried = match grounds.rule(&courier.resolver, host, &located).await {
                Ok(rule) => self.host(host, &rule, located.addresses).await,
                Err(skip) => self.skipped(host, skip),
            };
            if let Tried::Answered = tried {
                return;
            }
        }
        if cut.is_some() && self.problem.is_none() {
            let domain = self.entries[0].domain.clone();
            self.has_problem(Outcome::from(&RouteError::Loop(domain)));
        }
    }

    /// A policy forbids the host.
    fn skipped(&mut self, host: &Host, skip: Skip) -> Tried {
        let Skip { seen, reported, result, status, reason } = skip;
        self.report(reported, Some((host, None)), (result, reason.clone()));
        let started = self.courier.clock.instant();
        self.failed(host, None, seen, started, Outcome::found(Fate::Deferred, status, reason));
        Tried::Next
    }

    /// Tries address after address.
    async fn host(&mut self, host: &Host, rule: &Rule, addresses: Vec<SocketAddr>) -> Tried {
        let courier = self.courier;
        let _slot = courier.hosts.slot(host).await;
        if let Some(idle) = courier.hosts.take_idle(host, &rule.demand, courier.clock.instant())
            && let Tried::Answered = self.over(idle, host, rule, true).await
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
            if let Tried::Answered = self.address(host, rule, address).await {
                return Tried::Answered;
            }
        }
        Tried::Next
    }

    /// Opens a connection to one address and sends over it.
    async fn address(&mut self, host: &Host, rule: &Rule, address: SocketAddr) -> Tried {
        let started = self.courier.clock.instant();
        let opened = self.open_connection(host, address, &rule.demand).await;
        let result = match &opened {
            Ok(connection) => Some(rule.result_of(connection)),
            Err(error) => tls_policy::result_of_failure(error),
        };
        if let Some(result) = result {
            self.report(rule.reported.clone(), Some((host, Some(address))), result);
        }
        match opened {
            Ok(connection) => self.over(connection, host, rule, false).await,
            Err(OpenError::Handshake(why))
                if rule.demand.tls == TlsPolicy::Opportunistic && !host.implicit_tls =>
            {
                let reason = format!("TLS handshake failed: {why}; trying again without TLS");
                let outcome = Outcome::found(Fate::Deferred, (4, 7, 5), reason);
                self.failed(host, Some(address), rule.seen(None), started, outcome);
                let started = self.courier.clock.instant();
                match self.open_connection(host, address, &Demand::none()).await {
                    Ok(connection) => self.over(connection, host, rule, false).await,
                    Err(error) => self.not_opened(host, rule, address, started, error),
                }
            }
            Err(error) => self.not_opened(host, rule, address, started, error),
        }
    }

    async fn open_connection(
        &self,
        host: &Host,
        address: SocketAddr,
        demand: &Demand,
    ) -> Result<Connection, OpenError> {
        let courier = self.courier;
        let opened = Connection::open(&courier.opening(), host, address, demand).await;
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
        rule: &Rule,
        address: SocketAddr,
        started: Instant,
        error: OpenError,
    ) -> Tried {
        let mut outcome = match &error {
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
        if tls_policy::result_of_failure(&error).is_some() && rule.is_a_domains() {
            outcome.reason = match &outcome.reply {
                Some(reply) => rule.refusal(&format!("{} ({})", outcome.reason, reply.text)),
                None => rule.refusal(&outcome.reason),
            };
            // Why it waits is the policy, not what the server said.
            outcome.reply = None;
        }
        self.failed(host, Some(address), rule.seen(None), started, outcome);
        Tried::Next
    }

    /// An address was tried and the message could not even be offered.
    fn failed(
        &mut self,
        host: &Host,
        address: Option<SocketAddr>,
        policy: TlsPolicySeen,
        started: Instant,
        mut outcome: Outcome,
    ) {
        outcome.remote = Some(host.name.clone());
        let open = self.open();
        let outcomes: Vec<_> = open.into_iter().map(|index| (index, outcome.clone())).collect();
        self.attempted(host, address, (None, policy), started, &outcomes);
        self.has_problem(outcome);
    }

    /// Sends over an open connection, in as many transactions as the server wants.
    async fn over(
        &mut self,
        mut connection: Connection,
        host: &Host,
        rule: &Rule,
        reused: bool,
    ) -> Tried {
        let courier = self.courier;
        let (peer, tls) = (connection.peer(), connection.tls().cloned());
        let secured = (tls.clone(), rule.seen(tls.as_ref()));
        if self.require_tls && !connection.capabilities().require_tls {
            return self.cannot_require(connection, host, secured);
        }
        let mut answered = false;
        loop {
            let started = courier.clock.instant();
            let open = self.open();
            let entries: Vec<&QueueEntry> =
                open.iter().map(|&index| &self.entries[index]).collect();
            let envelope = Envelope { require_tls: self.require_tls, ..envelope_of(&entries) };
            let mut transaction = Transaction::new(envelope, self.content.size_octets);
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
            self.attempted(host, Some(peer), secured.clone(), started, &told);
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
        if let Some(connection) = courier.hosts.keep(host, &rule.demand, connection, now) {
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

    /// RFC 8689 §4.2.1: a host without REQUIRETLS is left for the next.
    fn cannot_require(
        &mut self,
        connection: Connection,
        host: &Host,
        secured: (Option<TlsUsed>, TlsPolicySeen),
    ) -> Tried {
        let (peer, started) = (connection.peer(), self.courier.clock.instant());
        self.courier.close(connection);
        let reason =
            "the sender requires TLS all the way (REQUIRETLS), which the server does not offer";
        let mut outcome = Outcome::found(Fate::Failed, (5, 7, 30), reason);
        outcome.remote = Some(host.name.clone());
        let outcomes: Vec<_> =
            self.open().into_iter().map(|index| (index, outcome.clone())).collect();
        self.attempted(host, Some(peer), secured, started, &outcomes);
        self.has_problem(outcome);
        Tried::Next
    }

    fn attempted(
        &mut self,
        host: &Host,
        address: Option<SocketAddr>,
        (tls, policy): (Option<TlsUsed>, TlsPolicySeen),
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
            ip: address.map(|address| address.ip()),
            tls,
            tls_policy: Some(policy),
            recipients: recipients.collect(),
            took_millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        self.record(step);
    }

    pub(super) fn into_attempted(mut self, domain: &str) -> Attempted {
        let nothing = || Outcome::from(&RouteError::Unusable(domain.to_owned()));
        let rest = self.problem.take().unwrap_or_else(nothing);
        let outcomes = (0..self.entries.len())
            .map(|index| self.outcomes.remove(&index).unwrap_or_else(|| rest.clone()))
            .collect();
        Attempted { outcomes, events: self.events, local: Vec::new() }
    }
}
