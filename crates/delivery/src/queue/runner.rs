//! Leases what is due, has it attempted, and settles it.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use waxwing_dns::Resolve;
use waxwing_message::ReversePath;
use waxwing_message::journey::Event;
use waxwing_store::{
    AcceptError, Lease, LeaseBeside, QueueEntry, QueueId, SettleError, Settled, StoreError,
};

use super::courier::{Attempted, Courier};
use super::outcome::{Fate, Outcome};
use super::settle::{Decisions, decide};
use crate::accept::plan;
use crate::clock::{Clock, later, until};
use crate::outbound::Connect;
use crate::report::{self, Draft, Subject};

/// Groups leased at a time: few, so that a domain's limit is known again before the next.
const LEASE_BATCH: usize = 8;
/// The longest wait between tries to settle while the store is away.
const LONGEST_SETTLE_WAIT: Duration = Duration::from_secs(30);
/// How long the end of the program may wait for the store to take leases back.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(5);
/// So often an outcome is refused by a store that works otherwise; then its reports are given up,
/// then its deposits. With the waits in between, that is more than a minute.
const REFUSALS_BORNE: u32 = 10;

/// Of all deliveries at once, one in so many is kept for what was never tried: mail that waits for
/// servers that do not answer must not hold up the rest.
const KEPT_FOR_NEW: usize = 4;

/// Works through the queue. Any number of nodes may, on one store.
pub struct Runner<R, N, C> {
    courier: Arc<Courier<R, N, C>>,
    under_way: Arc<Mutex<UnderWay>>,
}

/// What this node works on.
#[derive(Default)]
struct UnderWay {
    /// Deliveries by domain.
    by_domain: HashMap<String, usize>,
    /// Those among them that failed before.
    retries: usize,
    /// Entries by the token of their lease. What became of them may be known already though the
    /// store could not be told: whatever their leases say, they are not to be sent again.
    leases: HashMap<[u8; 16], Vec<QueueId>>,
}

/// A delivery, under way while this lives.
struct Busy {
    under_way: Arc<Mutex<UnderWay>>,
    domain: String,
    is_retry: bool,
    token: [u8; 16],
}

impl Busy {
    fn begin(under_way: &Arc<Mutex<UnderWay>>, lease: &Lease) -> Option<Busy> {
        let domain = lease.entries.first()?.domain.clone();
        let is_retry = lease.entries.iter().all(|entry| entry.attempts > 0);
        let mut all = lock(under_way);
        *all.by_domain.entry(domain.clone()).or_default() += 1;
        all.retries += usize::from(is_retry);
        all.leases.insert(lease.token, lease.entries.iter().map(|entry| entry.id).collect());
        Some(Busy { under_way: under_way.clone(), domain, is_retry, token: lease.token })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut all = lock(&self.under_way);
        if let Some(count) = all.by_domain.get_mut(&self.domain) {
            *count -= 1;
            if *count == 0 {
                all.by_domain.remove(&self.domain);
            }
        }
        all.retries -= usize::from(self.is_retry);
        all.leases.remove(&self.token);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R, N, C> Runner<R, N, C>
where
    R: Resolve + 'static,
    N: Connect,
    C: Clock,
{
    /// A runner that sends through this courier.
    pub fn new(courier: Courier<R, N, C>) -> Arc<Runner<R, N, C>> {
        Arc::new(Runner { courier: Arc::new(courier), under_way: Arc::default() })
    }

    /// What it sends through.
    pub fn courier(&self) -> &Courier<R, N, C> {
        &self.courier
    }

    /// Works until `shutdown` is done, then lets what is under way finish for the policy's grace.
    /// What does not finish is broken off, and its leases are given back for others to take up at
    /// once.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()>) {
        let Courier { store, clock, policy, .. } = &*self.courier;
        let mut watch = store.watch_queue();
        let mut tasks: JoinSet<()> = JoinSet::new();
        tokio::pin!(shutdown);
        // A queue that is never empty must not keep the program from ending.
        while shutdown.as_mut().now_or_never().is_none() {
            let free = policy.max_deliveries.saturating_sub(tasks.len()).min(LEASE_BATCH);
            let wait = match self.lease(free).await {
                Ok(leases) => {
                    let more_may_be_due = !leases.is_empty();
                    for (lease, busy) in leases {
                        let runner = self.clone();
                        tasks.spawn(async move { runner.process(lease, busy).await });
                    }
                    if more_may_be_due { Duration::ZERO } else { self.idle_for().await }
                }
                Err(error) => {
                    tracing::error!(%error, "the queue cannot be read");
                    policy.poll_every
                }
            };
            if wait.is_zero() {
                reap(&mut tasks);
                continue;
            }
            tokio::select! {
                () = &mut shutdown => break,
                () = watch.changed() => {}
                () = clock.sleep(wait) => {}
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => report_panic(ended),
            }
            self.close_expired();
        }
        let finishing = async {
            while let Some(ended) = tasks.join_next().await {
                report_panic(ended);
            }
            let goodbyes = self.courier.hosts.take_all().into_iter();
            futures_util::future::join_all(goodbyes.map(|idle| idle.quit(&**clock))).await;
        };
        tokio::select! {
            () = finishing => return,
            () = clock.sleep(policy.shutdown_grace) => {}
        }
        let left: Vec<[u8; 16]> = lock(&self.under_way).leases.keys().copied().collect();
        tasks.shutdown().await;
        tokio::select! {
            given = store.give_back(left) => if let Err(error) = given {
                tracing::warn!(%error, "leases cannot be given back: they have to run out");
            },
            () = clock.sleep(GIVE_BACK_WITHIN) => {
                tracing::warn!("the store does not answer: leases have to run out");
            }
        }
    }

    /// Attempts everything that is due now, once, and waits until it is settled; gives how many
    /// groups that were. For tests and tools; a running program calls [`Runner::run`].
    pub async fn run_due(self: &Arc<Self>) -> Result<usize, StoreError> {
        let mut groups = 0;
        loop {
            let leases = self.lease(LEASE_BATCH).await?;
            if leases.is_empty() {
                return Ok(groups);
            }
            groups += leases.len();
            let mut tasks = JoinSet::new();
            for (lease, busy) in leases {
                let runner = self.clone();
                tasks.spawn(async move { runner.process(lease, busy).await });
            }
            while let Some(ended) = tasks.join_next().await {
                report_panic(ended);
            }
        }
    }

    /// Leases what is due, counted for its domain from now on.
    async fn lease(&self, limit: usize) -> Result<Vec<(Lease, Busy)>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let Courier { store, clock, policy, .. } = &*self.courier;
        let most = policy.max_deliveries_per_domain.max(1);
        let (full, held, retries) = {
            let all = lock(&self.under_way);
            let full = all.by_domain.iter().filter(|&(_, &n)| n >= most);
            let full: Vec<String> = full.map(|(domain, _)| domain.clone()).collect();
            (full, all.leases.values().flatten().copied().collect::<Vec<_>>(), all.retries)
        };
        let room_for_retries =
            (policy.max_deliveries - policy.max_deliveries / KEPT_FOR_NEW).saturating_sub(retries);
        let fresh_only = room_for_retries == 0;
        let limit = if fresh_only { limit } else { limit.min(room_for_retries) };
        let beside = LeaseBeside { except: &full, held: &held, fresh_only };
        let leases = store.lease_beside(clock.now(), policy.lease_for, limit, beside).await?;
        let counted = leases.into_iter().filter_map(|lease| {
            let busy = Busy::begin(&self.under_way, &lease)?;
            Some((lease, busy))
        });
        Ok(counted.collect())
    }

    /// How long there is nothing to do: until the next entry is due, a kept connection runs out, or
    /// it is time to look for what dead nodes left.
    async fn idle_for(&self) -> Duration {
        let Courier { store, clock, policy, hosts, .. } = &*self.courier;
        let mut wait = policy.poll_every;
        match store.next_due().await {
            // Due but not to be had: another node's, or of a domain at its limit.
            Ok(Some(due)) => {
                wait = wait.min(until(clock.now(), due).max(Duration::from_secs(1)));
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the queue cannot be read"),
        }
        if let Some(expiry) = hosts.next_expiry() {
            let left = expiry.saturating_duration_since(clock.instant());
            wait = wait.min(left.max(Duration::from_millis(100)));
        }
        wait.max(Duration::from_millis(1))
    }

    fn close_expired(&self) {
        for connection in self.courier.hosts.take_expired(self.courier.clock.instant()) {
            self.courier.close(connection);
        }
    }

    /// One lease from attempt to settlement.
    async fn process(&self, mut lease: Lease, busy: Busy) {
        let (journey, domain) = (lease.entries[0].journey, &busy.domain);
        let entries = lease.entries.clone();
        let attempted = AssertUnwindSafe(self.attempt(&mut lease, &entries)).catch_unwind().await;
        let attempted = match attempted {
            Ok(Some(attempted)) => attempted,
            Ok(None) => {
                tracing::warn!(%journey, domain, "lost the lease while sending");
                return;
            }
            // It counts as an attempt, so that it is tried again by the schedule and not for ever.
            Err(_) => {
                tracing::error!(%journey, domain, "a delivery ended in a panic");
                let reason = "a defect of this server ended the attempt";
                Attempted::all(&entries, &Outcome::found(Fate::Deferred, (4, 3, 0), reason))
            }
        };
        self.settle(lease, entries, attempted).await;
    }

    /// Attempts, renewing the lease meanwhile; `None` when it was lost, and the attempt with it.
    async fn attempt(&self, lease: &mut Lease, entries: &[QueueEntry]) -> Option<Attempted> {
        let Courier { store, clock, policy, .. } = &*self.courier;
        let attempt = self.courier.attempt(entries);
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                biased;
                attempted = &mut attempt => return Some(attempted),
                () = clock.sleep(policy.lease_for / 2) => {}
            }
            let until = later(clock.now(), policy.lease_for);
            match store.renew(lease, until).await {
                Ok(true) => {}
                Ok(false) => return None,
                // The lease may outlive the trouble; settling will show.
                Err(error) => tracing::error!(%error, "a lease cannot be renewed"),
            }
        }
    }

    /// Stores the outcomes, as often as it takes.
    ///
    /// The lease is renewed in between. A store that renews it but does not take the outcome refuses
    /// something in it: the reports go first, then what was meant for mailboxes here.
    async fn settle(&self, lease: Lease, entries: Vec<QueueEntry>, attempted: Attempted) {
        let Courier { store, clock, policy, dice, .. } = &*self.courier;
        let now = clock.now();
        let decisions = decide(policy, &entries, &attempted.outcomes, now, || dice.number());
        let drafts = self.drafts(&entries, &decisions).await;
        let mut settling = Settling { entries, attempted, decisions, drafts };
        let mut lease = lease;
        let mut wait = Duration::from_millis(100);
        let mut refusals = 0;
        loop {
            let held =
                Lease { entries: settling.entries.clone(), until: lease.until, token: lease.token };
            match self.try_settle(held, &settling).await {
                Ok(()) => return,
                Err(SettleError::LeaseLost) => {
                    let journey = settling.entries[0].journey;
                    tracing::error!(%journey, "an outcome came after its lease ran out");
                    return;
                }
                Err(SettleError::Accept(AcceptError::OverQuota(who) | AcceptError::Gone(who))) => {
                    tracing::warn!(%who, "this mailbox takes nothing more");
                    if settling.attempted.local.is_empty() {
                        // It was a report: the journey will say that nobody was told.
                        settling.drafts.iter_mut().for_each(|draft| *draft = None);
                        continue;
                    }
                    settling.attempted.give_back_local("the mailbox is full");
                    let outcomes = &settling.attempted.outcomes;
                    settling.decisions =
                        decide(policy, &settling.entries, outcomes, now, || dice.number());
                    settling.drafts = self.drafts(&settling.entries, &settling.decisions).await;
                }
                Err(SettleError::Store(error) | SettleError::Accept(AcceptError::Store(error))) => {
                    tracing::error!(%error, "an outcome cannot be stored yet");
                    clock.sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_SETTLE_WAIT);
                    let until = later(clock.now(), policy.lease_for);
                    if matches!(store.renew(&mut lease, until).await, Ok(true)) {
                        refusals += 1;
                    }
                    if refusals < REFUSALS_BORNE {
                        continue;
                    }
                    refusals = 0;
                    let journey = settling.entries[0].journey;
                    if settling.drafts.iter().any(Option::is_some) {
                        tracing::error!(%journey, "a report cannot be stored: nobody is told");
                        settling.drafts.iter_mut().for_each(|draft| *draft = None);
                    } else if !settling.attempted.local.is_empty() {
                        settling.attempted.give_back_local("the message cannot be stored now");
                        let outcomes = &settling.attempted.outcomes;
                        settling.decisions =
                            decide(policy, &settling.entries, outcomes, now, || dice.number());
                        settling.drafts = settling.decisions.notices.iter().map(|_| None).collect();
                    }
                }
            }
        }
    }

    async fn try_settle(&self, lease: Lease, settling: &Settling) -> Result<(), SettleError> {
        let Courier { store, clock, policy, signers, .. } = &*self.courier;
        let mut events = settling.attempted.events.clone();
        events.extend(settling.decisions.events.iter().cloned());
        let mut reports = settling.attempted.local.clone();
        for (notice, draft) in settling.decisions.notices.iter().zip(&settling.drafts) {
            let acceptance = match draft {
                Some(draft) => draft.acceptance(store, policy, signers, &**clock).await?,
                None => None,
            };
            let report = draft.as_ref().filter(|_| acceptance.is_some()).map(|draft| draft.journey);
            let steps = notice.steps.iter().filter_map(|step| step.with(report));
            events.extend(steps.map(|step| Event { at: clock.now(), step }));
            reports.extend(acceptance);
        }
        let ids = settling.entries.iter().map(|entry| entry.id);
        let entries = ids.zip(settling.decisions.settlements.iter().cloned()).collect();
        store.settle(lease, Settled { entries, events, reports }).await
    }

    /// Writes the reports.
    async fn drafts(&self, entries: &[QueueEntry], decisions: &Decisions) -> Vec<Option<Draft>> {
        let Courier { store, clock, policy, dice, .. } = &*self.courier;
        let first = &entries[0];
        let ReversePath::Address(to) = &first.reverse_path else { return Vec::new() };
        // Of mail that we forwarded, the sender is told, not the address that we made for it.
        let sender = plan::rewritten_sender(store, to, clock.now()).await;
        let sender = sender.ok().flatten().and_then(Result::ok).unwrap_or_else(|| to.clone());
        let subject = Subject {
            to: &sender,
            journey: first.journey,
            envelope_id: first.envelope_id.as_deref(),
            dsn_return: first.dsn_return,
            smtputf8: first.smtputf8,
            require_tls: first.require_tls,
            arrival: first.created_at,
            size_octets: first.size_octets,
        };
        let mut drafts = Vec::with_capacity(decisions.notices.len());
        for notice in &decisions.notices {
            let actions: Vec<_> = notice.recipients.iter().map(|to| to.action).collect();
            let wanted = report::octets_wanted(&subject, &actions);
            let original = match store.queue_content(first.id).await {
                Ok(Some(content)) => content.read(0, wanted).await,
                Ok(None) => Ok(Vec::new()),
                Err(error) => Err(error),
            };
            // A report without the message is better than none.
            let original = original.unwrap_or_default();
            let recipients = &notice.recipients;
            let now = clock.now();
            drafts.push(Some(report::draft(policy, dice, now, &subject, recipients, &original)));
        }
        drafts
    }
}

/// What is being settled.
struct Settling {
    entries: Vec<QueueEntry>,
    attempted: Attempted,
    decisions: Decisions,
    /// One for each notice; `None` once it cannot be delivered.
    drafts: Vec<Option<Draft>>,
}

fn reap(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.try_join_next() {
        report_panic(ended);
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        // Its lease runs out, and the entry is tried again.
        tracing::error!(%error, "a delivery ended in a panic");
    }
}
