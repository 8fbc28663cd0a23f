//! An account as a whole: where messages are, and what happened since a modseq. Protocols that show
//! mailboxes as labels of messages, rather than messages in mailboxes, read this.
//!
//! | what happened | how it is known |
//! |---|---|
//! | a message came | `messages.created_modseq` |
//! | flags were altered, a copy was made | `entries.modseq` |
//! | a message left a mailbox | `departures`; it is gone when it has no entry any more |
//! | a mailbox was made, or is another | `mailboxes.created_modseq`, `changed_modseq` |
//! | a mailbox is gone | `lost_mailboxes` |
//!
//! What has `\Deleted` is as gone for [`Store::account_changes`] and [`Store::thread_members`]: where messages have
//! labels, nothing waits to be expunged.
//!
//! Everything is asked for with the mailboxes that whoever asks may read: for others' mailboxes, messages
//! are as absent, and what happened in them did not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::timestamp;
use crate::keywords::Keywords;
use crate::messages::{StoredSummary, entry_row, modseq, system};
use crate::{
    AccountId, Entry, MailboxId, MessageId, ModSeq, Store, StoreError, SystemFlags, ThreadId,
};

/// Rows of departures, and of mailboxes that are gone, that are kept of an account.
const KEPT_ROWS: i64 = 20_000;
/// How often messages that came meanwhile are given their threads before that is given up.
const THREADED_AGAIN: usize = 20;

/// A message, wherever it is in its account.
#[derive(Debug, Clone)]
pub struct Located {
    /// Which.
    pub message: MessageId,
    /// With which others it belongs together.
    pub thread: ThreadId,
    /// One or more, by mailbox and UID.
    pub places: Vec<Place>,
    /// If it was asked for.
    pub summary: Option<StoredSummary>,
}

/// Where it is.
#[derive(Debug, Clone)]
pub struct Place {
    /// In which mailbox.
    pub mailbox: MailboxId,
    /// Flags, size and times there.
    pub entry: Entry,
}

/// Messages at one moment.
#[derive(Debug, Clone)]
pub struct LocatedAll {
    /// By id; those that have no place that was asked for are absent.
    pub messages: Vec<Located>,
    /// The account's, at that moment.
    pub modseq: ModSeq,
}

/// A message of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadMember {
    /// Of which.
    pub thread: ThreadId,
    /// Which.
    pub message: MessageId,
    /// When it was received; where its places say different times, the first.
    pub received_at: Timestamp,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It is new.
    Came,
    /// Its flags or its mailboxes are others.
    Changed,
    /// It is in none of the mailboxes any more.
    Left,
}

/// What happened to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageChange {
    /// To which.
    pub message: MessageId,
    /// Its thread; `None` of one that left before it had any.
    pub thread: Option<ThreadId>,
    /// What.
    pub happened: Happened,
    /// When: when it came, else its last change.
    pub modseq: ModSeq,
    /// Where it is now.
    pub mailboxes: Vec<MailboxId>,
}

/// What happened in an account.
#[derive(Debug, Clone)]
pub struct AccountChanges {
    /// One for each message, by id.
    pub messages: Vec<MessageChange>,
    /// Mailboxes that are gone, and when.
    pub lost_mailboxes: Vec<(MailboxId, ModSeq)>,
    /// Up to here.
    pub modseq: ModSeq,
}

impl Store {
    /// Of these messages of an account, where each is among these mailboxes, at one moment. Callers ask
    /// in slices of some hundreds.
    pub async fn locate(
        &self,
        account: AccountId,
        messages: &[MessageId],
        within: &[MailboxId],
        summaries: bool,
    ) -> Result<LocatedAll, StoreError> {
        let asked = (account, numbers(messages), mailbox_numbers(within), summaries);
        let engine = &self.inner.engine;
        for _ in 0..THREADED_AGAIN {
            self.thread_account(account).await?;
            let found = engine
                .read(asked.clone(), |tx, (account, messages, within, summaries)| {
                    Box::pin(locate_in(tx, *account, messages, within, *summaries))
                })
                .await?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(never_threaded())
    }

    /// The messages of these threads that are in these mailboxes, by thread and then by the time of their
    /// reception, and the account's modseq at that moment.
    pub async fn thread_members(
        &self,
        account: AccountId,
        threads: &[ThreadId],
        within: &[MailboxId],
    ) -> Result<(Vec<ThreadMember>, ModSeq), StoreError> {
        self.thread_account(account).await?;
        let threads: Vec<i64> = threads.iter().map(|thread| thread.0).collect();
        let asked = (account, threads, mailbox_numbers(within));
        let engine = &self.inner.engine;
        engine
            .read(asked, |tx, (account, threads, within)| {
                Box::pin(members_in(tx, *account, threads, within))
            })
            .await
    }

    /// The mailboxes that have a message of one of these threads of an account.
    pub async fn mailboxes_of_threads(
        &self,
        account: AccountId,
        threads: &[ThreadId],
    ) -> Result<BTreeSet<MailboxId>, StoreError> {
        const SQL: &str = "SELECT DISTINCT e.mailbox FROM threaded t CROSS JOIN entries e \
            CROSS JOIN mailboxes m WHERE t.thread IN LIST(?2) AND e.message = t.message \
            AND m.id = e.mailbox AND m.account = ?1";
        let threads: Vec<i64> = threads.iter().map(|thread| thread.0).collect();
        let engine = &self.inner.engine;
        let found = engine.read((account, threads), |tx, (account, threads)| {
            Box::pin(async move {
                tx.rows(SQL, params![account.0, threads], |row| Ok(MailboxId(row.int(0)?))).await
            })
        });
        Ok(found.await?.into_iter().collect())
    }

    /// The thread of each of these messages of an account, by message.
    pub async fn threads_of(
        &self,
        account: AccountId,
        messages: &[MessageId],
    ) -> Result<BTreeMap<MessageId, ThreadId>, StoreError> {
        self.thread_account(account).await?;
        let engine = &self.inner.engine;
        engine
            .read((account, numbers(messages)), |tx, (_, messages)| {
                Box::pin(threads_in(tx, messages))
            })
            .await
    }

    /// What happened in these mailboxes of an account after `since`; for its owner also in those that are
    /// gone by now. `None`: that is not known any more, or `since` is yet to come.
    pub async fn account_changes(
        &self,
        reader: AccountId,
        account: AccountId,
        since: ModSeq,
        within: &[MailboxId],
    ) -> Result<Option<AccountChanges>, StoreError> {
        let asked = (reader == account, account, since, mailbox_numbers(within));
        let engine = &self.inner.engine;
        for _ in 0..THREADED_AGAIN {
            self.thread_account(account).await?;
            let found = engine
                .read(asked.clone(), |tx, (is_owner, account, since, within)| {
                    Box::pin(changes_in(tx, *is_owner, *account, *since, within))
                })
                .await?;
            match found {
                Found::All(changes) => return Ok(Some(changes)),
                Found::Unknown => return Ok(None),
                Found::NotThreaded => {}
            }
        }
        Err(never_threaded())
    }

    /// Keeps the newest departures of each account. Clients that ask for what happened before are told
    /// that it is not known. Part of the background work.
    pub async fn forget_departures(&self) -> Result<(), StoreError> {
        self.forget_departures_beyond(KEPT_ROWS).await
    }

    /// The same with another count.
    #[doc(hidden)]
    pub async fn forget_departures_beyond(&self, keep: i64) -> Result<(), StoreError> {
        const LONG: &str = "SELECT account FROM departures GROUP BY account HAVING COUNT(*) > ?1 \
            UNION SELECT account FROM lost_mailboxes GROUP BY account HAVING COUNT(*) > ?1 \
            UNION SELECT account FROM lost_objects GROUP BY account HAVING COUNT(*) > ?1";
        let engine = &self.inner.engine;
        let long = engine.read(keep, |tx, keep| {
            let keep = *keep;
            Box::pin(async move { tx.rows(LONG, params![keep], |row| row.int(0)).await })
        });
        for account in long.await? {
            engine
                .write((account, keep), Repeat::Harmless, |tx, (account, keep)| {
                    Box::pin(forget_in(tx, *account, *keep))
                })
                .await?;
        }
        Ok(())
    }
}

fn numbers(messages: &[MessageId]) -> Vec<i64> {
    let mut numbers: Vec<i64> = messages.iter().map(|message| message.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn mailbox_numbers(within: &[MailboxId]) -> BTreeSet<i64> {
    within.iter().map(|mailbox| mailbox.0).collect()
}

fn never_threaded() -> StoreError {
    StoreError::Unavailable("messages come faster than they get their threads".into())
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────

/// The account's modseq; 0 where there is none.
async fn modseq_of(tx: &Tx, account: AccountId) -> Result<ModSeq, StoreError> {
    const SQL: &str = "SELECT modseq FROM accounts WHERE id = ?1";
    modseq(tx.row(SQL, params![account.0], |row| row.int(0)).await?.unwrap_or_default())
}

async fn threads_in(
    tx: &Tx,
    messages: &Vec<i64>,
) -> Result<BTreeMap<MessageId, ThreadId>, StoreError> {
    const SQL: &str = "SELECT message, thread FROM threaded WHERE message IN LIST(?1)";
    let pair = |row: &Row<'_>| Ok((MessageId(row.int(0)?), ThreadId(row.int(1)?)));
    Ok(tx.rows(SQL, params![messages], pair).await?.into_iter().collect())
}

/// `None`: one of them has no thread yet.
async fn locate_in(
    tx: &Tx,
    account: AccountId,
    messages: &Vec<i64>,
    within: &BTreeSet<i64>,
    summaries: bool,
) -> Result<Option<LocatedAll>, StoreError> {
    // The order of the join is meant: by message.
    const PLACES: &str = "SELECT e.uid, e.message, e.modseq, e.flags, e.keywords, e.size_octets, \
        e.received_at, e.saved_at, e.mailbox FROM entries e CROSS JOIN mailboxes m \
        WHERE e.message IN LIST(?2) AND m.id = e.mailbox AND m.account = ?1 \
        ORDER BY e.message, e.mailbox, e.uid";
    const SUMMARIES: &str = "SELECT id, summary FROM messages WHERE id IN LIST(?1)";
    let modseq = modseq_of(tx, account).await?;
    let mut names = Keywords::load(tx, account).await?;
    let mut places: BTreeMap<MessageId, Vec<Place>> = BTreeMap::new();
    tx.each(PLACES, params![account.0, messages], |row| {
        let mailbox = row.int(8)?;
        if within.contains(&mailbox) {
            let entry = entry_row(row, &mut names)?;
            let place = Place { mailbox: MailboxId(mailbox), entry };
            places.entry(place.entry.message).or_default().push(place);
        }
        Ok(true)
    })
    .await?;
    let there: Vec<i64> = places.keys().map(|message| message.0).collect();
    let threads = threads_in(tx, &there).await?;
    if threads.len() < there.len() {
        return Ok(None);
    }
    let mut stored: BTreeMap<MessageId, StoredSummary> = BTreeMap::new();
    if summaries {
        tx.each(SUMMARIES, params![&there], |row| {
            let summary = StoredSummary::new(row.bytes(1)?.to_vec());
            stored.insert(MessageId(row.int(0)?), summary);
            Ok(true)
        })
        .await?;
    }
    let located = places.into_iter().filter_map(|(message, places)| {
        let thread = *threads.get(&message)?;
        Some(Located { message, thread, places, summary: stored.remove(&message) })
    });
    Ok(Some(LocatedAll { messages: located.collect(), modseq }))
}

async fn members_in(
    tx: &Tx,
    account: AccountId,
    threads: &Vec<i64>,
    within: &BTreeSet<i64>,
) -> Result<(Vec<ThreadMember>, ModSeq), StoreError> {
    const SQL: &str = "SELECT t.thread, t.message, e.mailbox, e.received_at, e.flags FROM threaded t \
        CROSS JOIN entries e CROSS JOIN mailboxes m WHERE t.thread IN LIST(?2) \
        AND e.message = t.message AND m.id = e.mailbox AND m.account = ?1";
    let modseq = modseq_of(tx, account).await?;
    let mut all = Vec::new();
    tx.each(SQL, params![account.0, threads], |row| {
        if within.contains(&row.int(2)?) && !is_deleted(row.int(4)?)? {
            all.push(ThreadMember {
                thread: ThreadId(row.int(0)?),
                message: MessageId(row.int(1)?),
                received_at: timestamp(row.int(3)?)?,
            });
        }
        Ok(true)
    })
    .await?;
    all.sort_by_key(|member| (member.message, member.received_at));
    all.dedup_by_key(|member| member.message);
    all.sort_by_key(|member| (member.thread, member.received_at, member.message));
    Ok((all, modseq))
}

enum Found {
    All(AccountChanges),
    Unknown,
    NotThreaded,
}

/// What is known of a message that something happened to.
#[derive(Default)]
struct Traces {
    last: i64,
    thread: i64,
    left: bool,
    mailboxes: BTreeSet<i64>,
}

async fn changes_in(
    tx: &Tx,
    is_owner: bool,
    account: AccountId,
    since: ModSeq,
    within: &BTreeSet<i64>,
) -> Result<Found, StoreError> {
    const ACCOUNT: &str = "SELECT modseq, forgotten_modseq FROM accounts WHERE id = ?1";
    const ENTRIES: &str = "SELECT e.message, e.modseq, e.mailbox, e.flags FROM mailboxes m \
        CROSS JOIN entries e WHERE m.account = ?1 AND m.highest_modseq > ?2 \
        AND e.mailbox = m.id AND e.modseq > ?2";
    const DEPARTURES: &str = "SELECT modseq, mailbox, messages FROM departures \
        WHERE account = ?1 AND modseq > ?2";
    const LOST: &str = "SELECT mailbox, modseq FROM lost_mailboxes \
        WHERE account = ?1 AND modseq > ?2 ORDER BY modseq, mailbox";
    let known = tx.row(ACCOUNT, params![account.0], |row| Ok((row.int(0)?, row.int(1)?))).await?;
    let since = i64::try_from(since.0).unwrap_or(i64::MAX);
    let Some((now, forgotten)) = known else { return Ok(Found::Unknown) };
    if since < forgotten || since > now {
        return Ok(Found::Unknown);
    }
    let lost = match is_owner {
        true => {
            let pair = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?));
            tx.rows(LOST, params![account.0, since], pair).await?
        }
        false => Vec::new(),
    };
    let mut traces: BTreeMap<i64, Traces> = BTreeMap::new();
    tx.each(ENTRIES, params![account.0, since], |row| {
        if within.contains(&row.int(2)?) {
            let trace = traces.entry(row.int(0)?).or_default();
            trace.last = trace.last.max(row.int(1)?);
            trace.left |= is_deleted(row.int(3)?)?;
        }
        Ok(true)
    })
    .await?;
    tx.each(DEPARTURES, params![account.0, since], |row| {
        let (modseq, mailbox) = (row.int(0)?, row.int(1)?);
        if within.contains(&mailbox) || lost.iter().any(|(lost, _)| *lost == mailbox) {
            for (message, thread) in unpack(row.bytes(2)?) {
                let trace = traces.entry(message).or_default();
                trace.last = trace.last.max(modseq);
                trace.thread = trace.thread.max(thread);
                trace.left = true;
            }
        }
        Ok(true)
    })
    .await?;
    let Some(messages) = told(tx, account, since, within, traces).await? else {
        return Ok(Found::NotThreaded);
    };
    let lost = lost.into_iter().map(|(mailbox, at)| Ok((MailboxId(mailbox), modseq(at)?)));
    let lost_mailboxes = lost.collect::<Result<_, StoreError>>()?;
    Ok(Found::All(AccountChanges { messages, lost_mailboxes, modseq: modseq(now)? }))
}

/// What the traces come to. `None`: a message has no thread yet.
async fn told(
    tx: &Tx,
    account: AccountId,
    since: i64,
    within: &BTreeSet<i64>,
    mut traces: BTreeMap<i64, Traces>,
) -> Result<Option<Vec<MessageChange>>, StoreError> {
    const CAME: &str = "SELECT id, created_modseq FROM messages WHERE id IN LIST(?1)";
    const WHERE: &str = "SELECT e.message, e.mailbox, e.flags FROM entries e CROSS JOIN mailboxes m \
        WHERE e.message IN LIST(?2) AND m.id = e.mailbox AND m.account = ?1";
    let touched: Vec<i64> = traces.keys().copied().collect();
    let pair = |row: &Row<'_>| Ok((row.int(0)?, row.int(1)?));
    let came: BTreeMap<i64, i64> =
        tx.rows(CAME, params![&touched], pair).await?.into_iter().collect();
    tx.each(WHERE, params![account.0, &touched], |row| {
        let mailbox = row.int(1)?;
        if within.contains(&mailbox)
            && !is_deleted(row.int(2)?)?
            && let Some(trace) = traces.get_mut(&row.int(0)?)
        {
            trace.mailboxes.insert(mailbox);
        }
        Ok(true)
    })
    .await?;
    let threads = threads_in(tx, &touched).await?;
    let mut changes = Vec::with_capacity(traces.len());
    for (message, trace) in traces {
        let there = !trace.mailboxes.is_empty();
        let thread = threads.get(&MessageId(message)).copied();
        if there && thread.is_none() {
            return Ok(None);
        }
        let came = came.get(&message).copied().filter(|came| *came > since && there);
        let happened = match (there, came) {
            (true, Some(_)) => Happened::Came,
            (true, None) => Happened::Changed,
            (false, _) if trace.left => Happened::Left,
            (false, _) => continue,
        };
        changes.push(MessageChange {
            message: MessageId(message),
            thread: thread.or((trace.thread > 0).then_some(ThreadId(trace.thread))),
            happened,
            modseq: modseq(came.unwrap_or(trace.last))?,
            mailboxes: trace.mailboxes.into_iter().map(MailboxId).collect(),
        });
    }
    Ok(Some(changes))
}

fn is_deleted(flags: i64) -> Result<bool, StoreError> {
    Ok(system(flags)?.contains(SystemFlags::DELETED))
}

fn unpack(packed: &[u8]) -> impl Iterator<Item = (i64, i64)> + '_ {
    packed.as_chunks::<16>().0.iter().map(|pair| {
        let (message, thread) = pair.split_at(8);
        let number = |octets: &[u8]| octets.iter().fold(0i64, |n, o| n << 8 | i64::from(*o));
        (number(message), number(thread))
    })
}

// ── Writing ─────────────────────────────────────────────────────────────────────────────────────

/// Notes that messages leave a mailbox, before they do.
pub(crate) async fn note_departures(
    tx: &Tx,
    account: AccountId,
    mailbox: MailboxId,
    messages: &[i64],
    modseq: i64,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO departures (account, modseq, mailbox, messages) \
        VALUES (?1, ?2, ?3, ?4)";
    if messages.is_empty() {
        return Ok(());
    }
    let mut messages = messages.to_vec();
    messages.sort_unstable();
    messages.dedup();
    let threads = threads_in(tx, &messages).await?;
    let mut packed = Vec::with_capacity(messages.len() * 16);
    for message in messages {
        let thread = threads.get(&MessageId(message)).map_or(0, |thread| thread.0);
        packed.extend(message.to_be_bytes());
        packed.extend(thread.to_be_bytes());
    }
    tx.run(SQL, params![account.0, modseq, mailbox.0, &packed]).await.map(drop)
}

/// Notes that a mailbox is gone.
pub(crate) async fn note_lost_mailbox(
    tx: &Tx,
    account: AccountId,
    mailbox: MailboxId,
    modseq: i64,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO lost_mailboxes (account, modseq, mailbox) VALUES (?1, ?2, ?3)";
    tx.run(SQL, params![account.0, modseq, mailbox.0]).await.map(drop)
}

async fn forget_in(tx: &Tx, account: i64, keep: i64) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT id FROM accounts WHERE id = ?1 /*postgres:FOR NO KEY UPDATE*/";
    const DEPARTURES: &str = "SELECT modseq FROM departures WHERE account = ?1 \
        ORDER BY modseq DESC LIMIT 1 OFFSET ?2";
    const LOST: &str = "SELECT modseq FROM lost_mailboxes WHERE account = ?1 \
        ORDER BY modseq DESC LIMIT 1 OFFSET ?2";
    const OBJECTS: &str = "SELECT modseq FROM lost_objects WHERE account = ?1 \
        ORDER BY modseq DESC LIMIT 1 OFFSET ?2";
    const REMEMBER: &str = "UPDATE accounts SET forgotten_modseq = ?2 \
        WHERE id = ?1 AND forgotten_modseq < ?2";
    const FORGET: [&str; 3] = [
        "DELETE FROM departures WHERE account = ?1 AND modseq <= ?2",
        "DELETE FROM lost_mailboxes WHERE account = ?1 AND modseq <= ?2",
        "DELETE FROM lost_objects WHERE account = ?1 AND modseq <= ?2",
    ];
    tx.row(LOCK, params![account], |row| row.int(0)).await?;
    let mut newest_to_go = None;
    for sql in [DEPARTURES, LOST, OBJECTS] {
        let modseq = tx.row(sql, params![account, keep], |row| row.int(0)).await?;
        newest_to_go = newest_to_go.max(modseq);
    }
    let Some(modseq) = newest_to_go else { return Ok(()) };
    tx.run(REMEMBER, params![account, modseq]).await?;
    for sql in FORGET {
        tx.run(sql, params![account, modseq]).await?;
    }
    Ok(())
}
