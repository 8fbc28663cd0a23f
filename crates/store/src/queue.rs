//! Queue rows and their leases. One row per recipient that is not yet done; a row that ends is
//! deleted in the transaction that records its end in the journey.
//!
//! | state | meaning | leaves it by |
//! |---|---|---|
//! | waiting | next attempt at `next_attempt_at` | lease, hold, cancel |
//! | leased | a node is at it until `leased_until` | settle (→ waiting or gone), lease running out, given back (→ waiting) |
//! | held | an operator stopped it | release (→ waiting), cancel |
//!
//! A lease is a random token in its rows. Settling tests it: whoever lost the lease to another node
//! changes nothing, so every attempt is settled exactly once.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use waxwing_message::journey::{Event, Step};
use waxwing_message::{BodyKind, DsnReturn, Envelope, JourneyId, Recipient, ReversePath};

use crate::accept::{Prepared, Stop, accept_in, json_lines};
use crate::blob::{BlobRow, Content, release_blobs};
use crate::engine::{Param, Repeat, Row, Tx, params};
use crate::instant::{count, count32, micros, timestamp};
use crate::journeys::{append, journey_id};
use crate::{Acceptance, Store, StoreError};

/// Names a queue entry for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub i64);

/// See the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// For its next attempt.
    Waiting,
    /// Being delivered.
    Leased,
    /// By an operator.
    Held,
}

/// One recipient that is not done, with all that the envelope says.
#[derive(Debug, Clone)]
pub struct QueueEntry {
    /// For ever.
    pub id: QueueId,
    /// Of the message.
    pub journey: JourneyId,
    /// Where it stands.
    pub state: QueueState,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// RCPT TO with its parameters.
    pub recipient: Recipient,
    /// The domain whose mail exchangers take it.
    pub domain: String,
    /// BODY=.
    pub body: BodyKind,
    /// SMTPUTF8 was given.
    pub smtputf8: bool,
    /// REQUIRETLS was given.
    pub require_tls: bool,
    /// RET=.
    pub dsn_return: Option<DsnReturn>,
    /// ENVID=.
    pub envelope_id: Option<String>,
    /// Of the message.
    pub size_octets: u64,
    /// Settled so far without an end.
    pub attempts: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it was or will be due.
    pub next_attempt_at: Timestamp,
    /// When to give up.
    pub expires_at: Timestamp,
    /// The sender was told that it takes long.
    pub delay_warned: bool,
    /// Why the last attempt failed.
    pub last_reason: String,
}

/// Entries of one message for one domain, leased together.
pub struct Lease {
    /// At least one.
    pub entries: Vec<QueueEntry>,
    /// When others may take it.
    pub until: Timestamp,
    /// The node and attempt that hold it; settling with a lease that ran out changes nothing.
    pub token: [u8; 16],
}

/// What a node has under way when it asks for more.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeaseBeside<'a> {
    /// Domains whose limits are reached.
    pub except: &'a [String],
    /// Entries that it still works on: not leased to it again, even where their leases ran out.
    pub held: &'a [QueueId],
    /// Nothing that failed before, so that what is new need not wait for it.
    pub fresh_only: bool,
}

/// How one entry goes on.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// Delivered, bounced or cancelled: the row goes.
    Ended,
    /// Another attempt.
    Retry {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
        /// Whether the sender was told by now that it takes long.
        delay_warned: bool,
    },
}

/// What became of a lease.
pub struct Settled {
    /// Entries of the lease that are not named here become due again as they were.
    pub entries: Vec<(QueueId, Settlement)>,
    /// For the journey of the lease.
    pub events: Vec<Event>,
    /// Reports (bounces and so on) accepted in the same transaction.
    pub reports: Vec<Acceptance>,
}

/// Why nothing was settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Another node has it now: nothing was changed.
    #[error("the lease ran out")]
    LeaseLost,
    /// A report was refused: settle again without it.
    #[error(transparent)]
    Accept(#[from] crate::AcceptError),
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an operator's action was refused.
#[derive(Debug, thiserror::Error)]
pub enum QueueActionError {
    /// It is done, or never was.
    #[error("no such queue entry")]
    NotFound,
    /// It is being delivered at this moment.
    #[error("that entry is being delivered right now")]
    Busy,
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const WAITING: i64 = 0;
const LEASED: i64 = 1;
const HELD: i64 = 2;

impl Store {
    /// Leases up to `limit` groups that are due, earliest first; `except` names domains whose
    /// limits are reached.
    pub async fn lease(
        &self,
        now: Timestamp,
        lease_for: Duration,
        limit: usize,
        except: &[String],
    ) -> Result<Vec<Lease>, StoreError> {
        let beside = LeaseBeside { except, ..LeaseBeside::default() };
        self.lease_beside(now, lease_for, limit, beside).await
    }

    /// [`Store::lease`] for a node that has something under way.
    pub async fn lease_beside(
        &self,
        now: Timestamp,
        lease_for: Duration,
        limit: usize,
        beside: LeaseBeside<'_>,
    ) -> Result<Vec<Lease>, StoreError> {
        let until = now.checked_add(lease_for).unwrap_or(Timestamp::MAX);
        let asked = LeaseAsked {
            now: micros(now),
            until,
            limit,
            except: beside.except.to_vec(),
            held: beside.held.iter().map(|id| id.0).collect(),
            fresh_only: beside.fresh_only,
            node: self.inner.node.clone(),
        };
        let engine = &self.inner.engine;
        engine.write(asked, Repeat::Never, |tx, asked| Box::pin(lease_in(tx, asked))).await
    }

    /// Leases end here and now, without an attempt: their entries become due again as they were, for
    /// any node. Those that others have meanwhile stay with them.
    pub async fn give_back(&self, tokens: Vec<[u8; 16]>) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        engine
            .write(tokens, Repeat::Harmless, |tx, tokens| Box::pin(give_back_in(tx, tokens)))
            .await
    }

    /// Keeps a lease longer. False when it was lost.
    pub async fn renew(&self, lease: &mut Lease, until: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE queue SET due_at = ?2 WHERE token = ?1";
        let asked = (lease.token, micros(until));
        let engine = &self.inner.engine;
        let renewed = engine
            .write(asked, Repeat::Harmless, |tx, (token, until)| {
                let until = *until;
                Box::pin(async move { tx.run(SQL, params![token, until]).await })
            })
            .await?;
        let held = renewed == lease.entries.len() as u64;
        if held {
            lease.until = until;
        }
        Ok(held)
    }

    /// Writes down what became of a lease: entries, steps of the journey and reports, all or nothing.
    pub async fn settle(&self, lease: Lease, settled: Settled) -> Result<(), SettleError> {
        let Some(first) = lease.entries.first() else { return Ok(()) };
        let reports = settled.reports.into_iter().map(Prepared::new);
        let asked = Settle {
            token: lease.token,
            ids: lease.entries.iter().map(|entry| entry.id.0).collect(),
            journey: first.journey,
            entries: settled.entries,
            events: json_lines(&settled.events),
            reports: reports.collect::<Result<_, _>>()?,
            now: micros(Timestamp::now()),
        };
        let engine = &self.inner.engine;
        engine.write(asked, Repeat::Never, |tx, asked| Box::pin(settle_in(tx, asked))).await
    }

    /// The queued message's octets.
    pub async fn queue_content(&self, id: QueueId) -> Result<Option<Content>, StoreError> {
        const SQL: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends FROM queue q \
            JOIN blobs b ON b.id = q.blob WHERE q.id = ?1";
        let engine = &self.inner.engine;
        let found = engine
            .read(id, |tx, id| {
                let id = id.0;
                Box::pin(async move { tx.row(SQL, params![id], BlobRow::read).await })
            })
            .await?;
        found.map(|row: BlobRow| row.content(self)).transpose()
    }

    /// The earliest moment at which something is or becomes due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str =
            "SELECT due_at FROM queue WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
        let engine = &self.inner.engine;
        engine
            .read((), |tx, ()| {
                Box::pin(async move { tx.row(SQL, &[], |row| timestamp(row.int(0)?)).await })
            })
            .await
    }

    /// In order of next attempt; `domain` and `limit` narrow it.
    pub async fn queue(
        &self,
        domain: Option<&str>,
        limit: usize,
    ) -> Result<Vec<QueueEntry>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let asked = (domain.map(str::to_owned), limit);
        let engine = &self.inner.engine;
        engine
            .read(asked, |tx, (domain, limit)| Box::pin(queue_in(tx, domain.as_ref(), *limit)))
            .await
    }

    /// By id.
    pub async fn queue_entry(&self, id: QueueId) -> Result<Option<QueueEntry>, StoreError> {
        self.inner.engine.read(id, |tx, id| Box::pin(entry_by_id(tx, *id))).await
    }

    /// No attempts until released. Like each of these actions, recorded in the journey as
    /// [`Step::Operator`].
    pub async fn hold(&self, id: QueueId, now: Timestamp) -> Result<(), QueueActionError> {
        self.act(id, now, Action::Hold).await
    }

    /// Ends a hold: the entry is due at its next attempt again.
    pub async fn release(&self, id: QueueId, now: Timestamp) -> Result<(), QueueActionError> {
        self.act(id, now, Action::Release).await
    }

    /// Due at once, held or not. Until it is tried its last reason is empty.
    pub async fn retry_now(&self, id: QueueId, now: Timestamp) -> Result<(), QueueActionError> {
        self.act(id, now, Action::Retry).await
    }

    /// Gone, without a report.
    pub async fn cancel(&self, id: QueueId, now: Timestamp) -> Result<(), QueueActionError> {
        self.act(id, now, Action::Cancel).await
    }

    async fn act(
        &self,
        id: QueueId,
        now: Timestamp,
        action: Action,
    ) -> Result<(), QueueActionError> {
        let asked = (id, now, action);
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (id, now, action)| {
                Box::pin(act_in(tx, *id, *now, *action))
            })
            .await
    }
}

// ── Rows ────────────────────────────────────────────────────────────────────────────────────────

/// What an envelope says beside its recipients, as queue rows keep it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EnvelopeRest {
    reverse_path: ReversePath,
    body: BodyKind,
    smtputf8: bool,
    require_tls: bool,
    dsn_return: Option<DsnReturn>,
    envelope_id: Option<String>,
}

impl EnvelopeRest {
    pub(crate) fn of(envelope: &Envelope) -> EnvelopeRest {
        EnvelopeRest {
            reverse_path: envelope.reverse_path.clone(),
            body: envelope.body,
            smtputf8: envelope.smtputf8,
            require_tls: envelope.require_tls,
            dsn_return: envelope.dsn_return,
            envelope_id: envelope.envelope_id.clone(),
        }
    }

    /// Another reverse-path, if one is given.
    pub(crate) fn sent_as(&mut self, reverse_path: Option<ReversePath>) {
        if let Some(reverse_path) = reverse_path {
            self.reverse_path = reverse_path;
        }
    }
}

macro_rules! select_queue {
    ($rest:literal) => {
        concat!(
            "SELECT id, journey, state, recipient, envelope, domain, size_octets, attempts, \
             created_at, next_attempt_at, expires_at, delay_warned, last_reason FROM queue ",
            $rest
        )
    };
}

fn queue_row(row: &Row<'_>) -> Result<QueueEntry, StoreError> {
    let damaged = |e: serde_json::Error| StoreError::Damaged(format!("a queue row: {e}"));
    let rest: EnvelopeRest = serde_json::from_str(&row.text(4)?).map_err(damaged)?;
    Ok(QueueEntry {
        id: QueueId(row.int(0)?),
        journey: journey_id(row.bytes(1)?)?,
        state: match row.int(2)? {
            WAITING => QueueState::Waiting,
            LEASED => QueueState::Leased,
            HELD => QueueState::Held,
            other => return Err(StoreError::Damaged(format!("{other} is not a queue state"))),
        },
        reverse_path: rest.reverse_path,
        recipient: serde_json::from_str(&row.text(3)?).map_err(damaged)?,
        domain: row.text(5)?,
        body: rest.body,
        smtputf8: rest.smtputf8,
        require_tls: rest.require_tls,
        dsn_return: rest.dsn_return,
        envelope_id: rest.envelope_id,
        size_octets: count(row.int(6)?)?,
        attempts: count32(row.int(7)?)?,
        created_at: timestamp(row.int(8)?)?,
        next_attempt_at: timestamp(row.int(9)?)?,
        expires_at: timestamp(row.int(10)?)?,
        delay_warned: row.flag(11)?,
        last_reason: String::from_utf8_lossy(row.bytes(12)?).into_owned(),
    })
}

async fn queue_in(
    tx: &Tx,
    domain: Option<&String>,
    limit: i64,
) -> Result<Vec<QueueEntry>, StoreError> {
    const ALL: &str = select_queue!("ORDER BY next_attempt_at, id LIMIT ?1");
    const SOME: &str = select_queue!("WHERE domain = ?2 ORDER BY next_attempt_at, id LIMIT ?1");
    let rows = match domain {
        None => tx.rows(ALL, params![limit], readable).await,
        Some(domain) => tx.rows(SOME, params![limit, domain], readable).await,
    }?;
    // One row that cannot be read must not hide the others.
    let told = rows.into_iter().filter_map(|row| {
        row.inspect_err(|(id, why)| tracing::error!(id, %why, "a queue row cannot be read")).ok()
    });
    Ok(told.collect())
}

async fn entry_by_id(tx: &Tx, id: QueueId) -> Result<Option<QueueEntry>, StoreError> {
    const SQL: &str = select_queue!("WHERE id = ?1");
    tx.row(SQL, params![id.0], queue_row).await
}

// ── Leases ──────────────────────────────────────────────────────────────────────────────────────

struct LeaseAsked {
    now: i64,
    until: Timestamp,
    limit: usize,
    except: Vec<String>,
    held: Vec<i64>,
    fresh_only: bool,
    node: String,
}

macro_rules! select_due {
    ($which:literal) => {
        concat!(
            "SELECT journey, domain FROM queue WHERE ",
            $which,
            "due_at <= ?1 AND domain NOT IN LIST(?2) AND id NOT IN LIST(?4) \
             ORDER BY due_at, id LIMIT ?3 /*postgres:FOR UPDATE SKIP LOCKED*/"
        )
    };
}

async fn lease_in(tx: &Tx, asked: &LeaseAsked) -> Result<Vec<Lease>, StoreError> {
    // Due are those that wait and those whose lease ran out: `due_at` is the end of a lease too.
    const DUE: &str = select_due!("");
    // As the index queue_fresh has it.
    const FRESH_DUE: &str = select_due!("attempts = 0 AND ");
    const TAKE: &str = "UPDATE queue SET state = 1, token = ?4, leased_by = ?5, due_at = ?6 \
        WHERE journey = ?1 AND domain = ?2 AND due_at <= ?3 AND id NOT IN LIST(?7)";
    let LeaseAsked { now, until, limit, except, held, fresh_only, node } = asked;
    let due_sql = if *fresh_only { FRESH_DUE } else { DUE };
    let mut leases = Vec::new();
    while leases.len() < *limit {
        // Rows of one group stand together or not: look at more rows than groups are wanted.
        let look = i64::try_from((limit - leases.len()) * 4 + 16).unwrap_or(i64::MAX);
        let due = tx
            .rows(due_sql, params![*now, except.as_slice(), look, held], |row| {
                Ok((row.bytes(0)?.to_vec(), row.text(1)?))
            })
            .await?;
        let looked_at = due.len() as i64;
        let mut seen = std::collections::HashSet::new();
        let groups: Vec<_> = due.into_iter().filter(|group| seen.insert(group.clone())).collect();
        for (journey, domain) in groups.into_iter().take(limit - leases.len()) {
            let token: [u8; 16] = rand::random();
            let until_micros = micros(*until);
            let values = params![&journey, &domain, *now, &token, node, until_micros, held];
            if tx.run(TAKE, values).await? == 0 {
                continue;
            }
            let entries = taken_in(tx, &token, &journey).await?;
            if !entries.is_empty() {
                leases.push(Lease { entries, until: *until, token });
            }
        }
        // With a lease that ends at once, taken rows are due again: never look for ever.
        if looked_at < look || *until <= timestamp(*now)? {
            break;
        }
    }
    Ok(leases)
}

/// The rows of a lease. One that cannot be read is held, so that it stops nobody but itself.
async fn taken_in(
    tx: &Tx,
    token: &[u8; 16],
    journey: &Vec<u8>,
) -> Result<Vec<QueueEntry>, StoreError> {
    const TAKEN: &str = select_queue!("WHERE token = ?1 AND journey = ?2 ORDER BY id");
    const HOLD: &str = "UPDATE queue SET state = 2, due_at = NULL, token = NULL, \
        leased_by = NULL WHERE id = ?1";
    let rows = tx.rows(TAKEN, params![token, journey], readable).await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        match row {
            Ok(entry) => entries.push(entry),
            Err((id, why)) => {
                tracing::error!(id, %why, "a queue row cannot be read: held for the operator");
                tx.run(HOLD, params![id]).await?;
            }
        }
    }
    Ok(entries)
}

/// A row, or the id of one that is damaged and why.
fn readable(row: &Row<'_>) -> Result<Result<QueueEntry, (i64, String)>, StoreError> {
    match queue_row(row) {
        Err(StoreError::Damaged(why)) => Ok(Err((row.int(0)?, why))),
        row => row.map(Ok),
    }
}

async fn give_back_in(tx: &Tx, tokens: &Vec<[u8; 16]>) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE queue SET state = 0, token = NULL, leased_by = NULL, \
        due_at = next_attempt_at WHERE token = ?1";
    let mut given = 0;
    for token in tokens {
        given += tx.run(SQL, params![token]).await?;
    }
    if given > 0 {
        tx.touch_queue();
    }
    Ok(())
}

struct Settle {
    token: [u8; 16],
    ids: Vec<i64>,
    journey: JourneyId,
    entries: Vec<(QueueId, Settlement)>,
    events: String,
    reports: Vec<Prepared>,
    now: i64,
}

async fn settle_in(tx: &Tx, asked: &Settle) -> Result<(), SettleError> {
    // Takes the rows back first: this locks them, and counts whether the lease still holds.
    const TAKE_BACK: &str = "UPDATE queue SET state = 0, token = NULL, leased_by = NULL, \
        due_at = next_attempt_at WHERE id IN LIST(?1) AND token = ?2";
    const RETRY: &str = "UPDATE queue SET due_at = ?2, next_attempt_at = ?2, last_reason = ?3, \
        delay_warned = ?4, attempts = attempts + 1 WHERE id = ?1";
    let held = tx.run(TAKE_BACK, params![&asked.ids, &asked.token]).await?;
    if held != asked.ids.len() as u64 {
        return Err(SettleError::LeaseLost);
    }
    let mut ended = Vec::new();
    for (id, settlement) in &asked.entries {
        if !asked.ids.contains(&id.0) {
            return Err(SettleError::LeaseLost);
        }
        match settlement {
            Settlement::Ended => ended.push(id.0),
            Settlement::Retry { at, reason, delay_warned } => {
                let reason = reason.as_bytes();
                tx.run(RETRY, params![id.0, micros(*at), reason, *delay_warned]).await?;
            }
        }
    }
    ended.sort_unstable();
    ended.dedup();
    // Reports before the blobs and the journey: accounts are locked first everywhere.
    for report in &asked.reports {
        match accept_in(tx, report).await {
            Ok(()) => {}
            Err(Stop::Already) => {
                return Err(StoreError::Unavailable(
                    "a report has the journey id of something else".into(),
                )
                .into());
            }
            Err(Stop::Refused(error)) => return Err(error.into()),
        }
    }
    end_rows(tx, &ended, asked.now).await?;
    append(tx, asked.journey, &asked.events, ended.len() as i64, asked.now).await?;
    if ended.len() < asked.ids.len() {
        tx.touch_queue();
    }
    Ok(())
}

/// Deletes rows, with their hold on the blob. Gives how many there were.
async fn end_rows(tx: &Tx, ids: &Vec<i64>, now: i64) -> Result<usize, StoreError> {
    const SQL: &str = "DELETE FROM queue WHERE id IN LIST(?1) RETURNING blob";
    if ids.is_empty() {
        return Ok(0);
    }
    let blobs = tx.rows(SQL, params![ids], |row| row.int(0)).await?;
    release_blobs(tx, &blobs, now).await?;
    Ok(blobs.len())
}

// ── Operators ───────────────────────────────────────────────────────────────────────────────────

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Hold,
    Release,
    Retry,
    Cancel,
}

async fn act_in(
    tx: &Tx,
    id: QueueId,
    at: Timestamp,
    action: Action,
) -> Result<(), QueueActionError> {
    // Each tests that nobody is at it: a lease that ran out does not count.
    const HOLD: &str = "UPDATE queue SET state = 2, due_at = NULL, token = NULL, leased_by = NULL \
        WHERE id = ?1 AND (state <> 1 OR due_at <= ?2)";
    const RELEASE: &str = "UPDATE queue SET state = 0, due_at = next_attempt_at, token = NULL, \
        leased_by = NULL WHERE id = ?1 AND (state <> 1 OR due_at <= ?2)";
    // Its last reason is forgotten with it: what was found out before does not count.
    const RETRY: &str = "UPDATE queue SET state = 0, due_at = ?2, next_attempt_at = ?2, \
        last_reason = ?3, token = NULL, leased_by = NULL \
        WHERE id = ?1 AND (state <> 1 OR due_at <= ?2)";
    const CANCEL: &str = "UPDATE queue SET state = 2, due_at = NULL, token = NULL \
        WHERE id = ?1 AND (state <> 1 OR due_at <= ?2)";
    let now = micros(at);
    let (sql, word) = match action {
        Action::Hold => (HOLD, "held"),
        Action::Release => (RELEASE, "released"),
        Action::Retry => (RETRY, "retried"),
        Action::Cancel => (CANCEL, "cancelled"),
    };
    let values = [Param::Int(id.0), Param::Int(now), Param::Bytes(b"")];
    let used = if action == Action::Retry { 3 } else { 2 };
    let changed = tx.run(sql, &values[..used]).await?;
    let entry = entry_by_id(tx, id).await?.ok_or(QueueActionError::NotFound)?;
    if changed == 0 {
        return Err(QueueActionError::Busy);
    }
    let ended = match action {
        Action::Cancel => end_rows(tx, &vec![id.0], now).await? as i64,
        Action::Hold | Action::Release | Action::Retry => 0,
    };
    let step = Step::Operator { recipient: entry.recipient.address, action: word.to_owned() };
    append(tx, entry.journey, &json_lines(&[Event { at, step }]), ended, now).await?;
    tx.touch_queue();
    Ok(())
}
