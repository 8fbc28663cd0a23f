//! Which messages belong together (RFC 8621 §3; THREADID of RFC 8474).
//!
//! Two messages are in one thread when both name one message id in Message-ID, In-Reply-To or References,
//! and have the same base subject (RFC 8621 §3 suggests this; the base subject is that of RFC 5256 §2.1, without
//! white space). A message that comes joins the oldest thread that it has such an id in common with, or begins
//! one. It then stays there: a message that would join two threads leaves both as they are, since the id of a
//! message's thread never changes (RFC 8621 §4.1.1 `threadId`).
//!
//! No delivery waits for this. Messages get their threads before they are indexed, or when somebody asks; so
//! whoever reads threads calls [`Store::thread_account`] first, and looks for messages that came in between.
//! What waits is found by the index of what waits for the search index: a message is marked as indexed only
//! when it has a thread. Messages from before threads were kept are gone through once, in the order in which they
//! came: `accounts.threaded_upto` says how far.
//!
//! A thread has the number of its first message, so no number is given twice. A key that leads to a thread
//! without messages leads nowhere; such keys are taken away now and then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use waxwing_message::keys::{base_subject, ids};
use waxwing_message::summary::Overview;

use crate::engine::{Param, Repeat, Tx, params};
use crate::instant::count32;
use crate::{AccountId, MailboxId, MessageId, Store, StoreError, Uid};

/// Names a thread for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub i64);

/// Messages that get their threads in one transaction.
const AT_ONCE: usize = 128;
/// Ids that count of one message: its own, the first ancestors and the last.
const FIRST_IDS: usize = 8;
const LAST_IDS: usize = 40;
/// Keys that are looked at in one transaction when old ones are taken away.
const KEYS_AT_ONCE: i64 = 2_000;

impl Store {
    /// Gives every message of an account its thread. Cheap when all have theirs.
    pub(crate) async fn thread_account(&self, account: AccountId) -> Result<(), StoreError> {
        self.thread_old(account, Duration::ZERO).await?;
        self.thread_waiting(account).await
    }

    /// The messages of a thread that are in a mailbox.
    pub async fn thread_uids(
        &self,
        mailbox: MailboxId,
        thread: ThreadId,
    ) -> Result<Vec<Uid>, StoreError> {
        const SQL: &str = "SELECT e.uid FROM threaded t CROSS JOIN entries e \
            WHERE t.thread = ?2 AND e.message = t.message AND e.mailbox = ?1 ORDER BY e.uid";
        self.thread_mailbox(mailbox).await?;
        let engine = &self.inner.engine;
        engine
            .read((mailbox, thread), |tx, (mailbox, thread)| {
                let values = [Param::Int(mailbox.0), Param::Int(thread.0)];
                Box::pin(async move {
                    tx.rows(SQL, &values, |row| Ok(Uid(count32(row.int(0)?)?))).await
                })
            })
            .await
    }

    /// The thread of each of these messages of a mailbox, by message.
    pub async fn threads_in(
        &self,
        mailbox: MailboxId,
        messages: &[MessageId],
    ) -> Result<BTreeMap<MessageId, ThreadId>, StoreError> {
        match self.thread_mailbox(mailbox).await? {
            Some(account) => self.threads_of(account, messages).await,
            None => Ok(BTreeMap::new()),
        }
    }

    /// Gives every message of a mailbox's account its thread, and gives that account.
    async fn thread_mailbox(&self, mailbox: MailboxId) -> Result<Option<AccountId>, StoreError> {
        const OWNER: &str = "SELECT account FROM mailboxes WHERE id = ?1";
        let engine = &self.inner.engine;
        let owner = engine.read_brief(mailbox, |tx, mailbox| {
            let mailbox = mailbox.0;
            Box::pin(async move {
                tx.row(OWNER, params![mailbox], |row| Ok(AccountId(row.int(0)?))).await
            })
        });
        let Some(owner) = owner.await? else { return Ok(None) };
        self.thread_account(owner).await?;
        Ok(Some(owner))
    }

    /// The messages that came before threads were kept, with a rest after each piece.
    async fn thread_old(&self, account: AccountId, rest: Duration) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        loop {
            let old = engine.read(account, |tx, account| Box::pin(old_in(tx, *account))).await?;
            let Some(old) = old else { return Ok(()) };
            if old.is_empty() {
                engine
                    .write(account, Repeat::Harmless, |tx, account| {
                        Box::pin(finish_in(tx, *account))
                    })
                    .await?;
            }
            for piece in old.chunks(AT_ONCE) {
                let asked = piece.to_vec();
                let read =
                    engine.read(asked, |tx, asked| Box::pin(summaries_in(tx, asked))).await?;
                self.give(account, read, piece.last().copied()).await?;
                tokio::time::sleep(rest).await;
            }
        }
    }

    /// Those that came since.
    async fn thread_waiting(&self, account: AccountId) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        loop {
            let waiting =
                engine.read(account, |tx, account| Box::pin(waiting_in(tx, *account))).await?;
            let count = waiting.len();
            if count > 0 {
                self.give(account, waiting, None).await?;
            }
            if count < AT_ONCE {
                return Ok(());
            }
        }
    }

    async fn give(
        &self,
        account: AccountId,
        messages: Vec<(i64, Vec<u8>)>,
        upto: Option<i64>,
    ) -> Result<(), StoreError> {
        let key = &self.inner.secret_key;
        let keyed = messages.into_iter().map(|(message, summary)| {
            // One that cannot be read has a thread of its own.
            let overview = Overview::of_stored(&summary);
            (message, overview.map(|overview| keys(key, &overview)).unwrap_or_default())
        });
        let give = Give { account, messages: keyed.collect(), upto };
        let engine = &self.inner.engine;
        engine.write(give, Repeat::Harmless, |tx, give| Box::pin(give_in(tx, give))).await
    }

    /// Before messages of these accounts are marked as indexed.
    pub(crate) async fn thread_before_indexing(
        &self,
        accounts: HashSet<AccountId>,
    ) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        for account in accounts {
            let old = engine.read(account, |tx, account| Box::pin(is_old_in(tx, *account))).await?;
            // Where old messages still wait, these are gone through after them.
            if !old {
                self.thread_waiting(account).await?;
            }
        }
        Ok(())
    }

    /// Goes through the accounts that are older than threads, in small bites. Part of the background work.
    pub(crate) async fn thread_old_mail(&self) {
        const OLD: &str =
            "SELECT id FROM accounts WHERE threaded_upto IS NOT NULL ORDER BY id LIMIT 1";
        let engine = &self.inner.engine;
        loop {
            let next = engine.read((), |tx, ()| {
                Box::pin(async move { tx.row(OLD, &[], |row| Ok(AccountId(row.int(0)?))).await })
            });
            let done = match next.await {
                Ok(Some(account)) => self.thread_old(account, Duration::from_millis(50)).await,
                Ok(None) => return std::future::pending().await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                tracing::warn!(%error, "old messages did not get their threads");
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        }
    }

    /// Takes away keys of threads that have no messages. Part of the background work.
    pub(crate) async fn forget_thread_keys(&self) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        let mut after = (0, i64::MIN);
        loop {
            let (last, dead) = engine
                .read(after, |tx, (account, key)| Box::pin(dead_keys_in(tx, *account, *key)))
                .await?;
            for (account, keys) in dead {
                let asked = (account, keys);
                let forget = engine.write(asked, Repeat::Harmless, |tx, (account, keys)| {
                    Box::pin(forget_keys_in(tx, *account, keys))
                });
                forget.await?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

/// What a message has in common with others of its thread.
fn keys<T: AsRef<[u8]>>(secret: &[u8; 32], overview: &Overview<T>) -> Vec<i64> {
    let mut subject = base_subject(overview).0;
    subject.retain(|c| !c.is_whitespace());
    let in_field = |field: &Option<T>| -> Vec<String> {
        ids::all(field.as_ref().map(AsRef::as_ref).unwrap_or_default()).collect()
    };
    let mut named = in_field(&overview.message_id);
    named.extend(in_field(&overview.in_reply_to));
    named.truncate(FIRST_IDS);
    let ancestors = in_field(&overview.references);
    let last = ancestors.len().saturating_sub(LAST_IDS).max(FIRST_IDS.min(ancestors.len()));
    named.extend_from_slice(&ancestors[..FIRST_IDS.min(ancestors.len())]);
    named.extend_from_slice(&ancestors[last..]);
    let key = |id: &String| {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(b"thread\0").update(subject.as_bytes()).update(b"\0").update(id.as_bytes());
        let hash = hasher.finalize();
        let first = hash.as_bytes().first_chunk::<8>().expect("a hash has 32 octets");
        i64::from_be_bytes(*first)
    };
    let mut keys: Vec<i64> = named.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────

async fn is_old_in(tx: &Tx, account: AccountId) -> Result<bool, StoreError> {
    const UPTO: &str = "SELECT threaded_upto FROM accounts WHERE id = ?1";
    let upto = tx.row(UPTO, params![account.0], |row| row.opt_int(0)).await?;
    Ok(upto.flatten().is_some())
}

/// Messages from before threads were kept, and those that came since; `None`: that is done.
async fn old_in(tx: &Tx, account: AccountId) -> Result<Option<Vec<i64>>, StoreError> {
    const UPTO: &str = "SELECT threaded_upto FROM accounts WHERE id = ?1";
    const OLD: &str = "SELECT DISTINCT e.message FROM mailboxes m CROSS JOIN entries e \
        WHERE m.account = ?1 AND e.mailbox = m.id AND e.message > ?2 ORDER BY e.message";
    let upto = tx.row(UPTO, params![account.0], |row| row.opt_int(0)).await?;
    let Some(upto) = upto.flatten() else { return Ok(None) };
    tx.rows(OLD, params![account.0, upto], |row| row.int(0)).await.map(Some)
}

async fn summaries_in(tx: &Tx, messages: &Vec<i64>) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    const SQL: &str = "SELECT id, summary FROM messages WHERE id IN LIST(?1) ORDER BY id";
    tx.rows(SQL, params![messages], |row| Ok((row.int(0)?, row.bytes(1)?.to_vec()))).await
}

async fn waiting_in(tx: &Tx, account: AccountId) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    const SQL: &str = "SELECT m.id, m.summary FROM messages m \
        LEFT JOIN threaded t ON t.message = m.id \
        WHERE m.account = ?1 AND m.indexed <> 1 AND t.message IS NULL ORDER BY m.id LIMIT ?2";
    let limit = AT_ONCE as i64;
    let read = |row: &crate::engine::Row<'_>| Ok((row.int(0)?, row.bytes(1)?.to_vec()));
    tx.rows(SQL, params![account.0, limit], read).await
}

// ── Writing ─────────────────────────────────────────────────────────────────────────────────────

struct Give {
    account: AccountId,
    /// In the order in which they came, each with its keys.
    messages: Vec<(i64, Vec<i64>)>,
    /// Old messages up to this one have their threads then.
    upto: Option<i64>,
}

async fn lock(tx: &Tx, account: AccountId) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT id FROM accounts WHERE id = ?1 /*postgres:FOR NO KEY UPDATE*/";
    tx.row(LOCK, params![account.0], |row| row.int(0)).await.map(drop)
}

/// Old messages are done, unless some came since that was looked.
async fn finish_in(tx: &Tx, account: AccountId) -> Result<(), StoreError> {
    const FINISH: &str = "UPDATE accounts SET threaded_upto = NULL WHERE id = ?1";
    lock(tx, account).await?;
    if old_in(tx, account).await?.is_some_and(|left| left.is_empty()) {
        tx.run(FINISH, params![account.0]).await?;
    }
    Ok(())
}

async fn give_in(tx: &Tx, give: &Give) -> Result<(), StoreError> {
    const THERE: &str = "SELECT id FROM messages WHERE id IN LIST(?1)";
    const DONE: &str = "SELECT message, thread FROM threaded WHERE message IN LIST(?1)";
    const KNOWN: &str =
        "SELECT key, thread FROM thread_keys WHERE account = ?1 AND key IN LIST(?2)";
    const ALIVE: &str = "SELECT DISTINCT thread FROM threaded WHERE thread IN LIST(?1)";
    const UPTO: &str = "UPDATE accounts SET threaded_upto = ?2 \
        WHERE id = ?1 AND threaded_upto IS NOT NULL AND threaded_upto < ?2";
    lock(tx, give.account).await?;
    let messages: Vec<i64> = give.messages.iter().map(|(message, _)| *message).collect();
    let keys: Vec<i64> = give.messages.iter().flat_map(|(_, keys)| keys).copied().collect();
    // One that was expunged meanwhile is no member.
    let there = tx.rows(THERE, params![&messages], |row| row.int(0)).await?;
    let there: HashSet<i64> = there.into_iter().collect();
    let pair = |row: &crate::engine::Row<'_>| Ok((row.int(0)?, row.int(1)?));
    let done: HashMap<i64, i64> =
        tx.rows(DONE, params![&messages], pair).await?.into_iter().collect();
    let mut known: HashMap<i64, i64> =
        tx.rows(KNOWN, params![give.account.0, &keys], pair).await?.into_iter().collect();
    let threads: Vec<i64> = known.values().copied().collect();
    let alive = tx.rows(ALIVE, params![&threads], |row| row.int(0)).await?;
    let alive: HashSet<i64> = alive.into_iter().collect();
    known.retain(|_, thread| alive.contains(thread));
    let (mut members, mut new_keys) = (Vec::new(), Vec::new());
    for (message, keys) in give.messages.iter().filter(|(message, _)| there.contains(message)) {
        let thread = match done.get(message) {
            Some(thread) => *thread,
            None => {
                let oldest = keys.iter().filter_map(|key| known.get(key)).min();
                let thread = oldest.copied().unwrap_or(*message);
                members.push((*message, thread));
                thread
            }
        };
        for key in keys {
            known.entry(*key).or_insert_with(|| {
                new_keys.push((*key, thread));
                thread
            });
        }
    }
    insert(tx, give.account, &members, &new_keys).await?;
    if let Some(upto) = give.upto {
        tx.run(UPTO, params![give.account.0, upto]).await?;
    }
    Ok(())
}

async fn insert(
    tx: &Tx,
    account: AccountId,
    members: &[(i64, i64)],
    keys: &[(i64, i64)],
) -> Result<(), StoreError> {
    const MEMBER: &str = "INSERT INTO threaded (message, thread) VALUES (?1, ?2)";
    const KEY: &str = "INSERT INTO thread_keys (account, key, thread) VALUES (?1, ?2, ?3) \
        ON CONFLICT (account, key) DO UPDATE SET thread = excluded.thread";
    // A statement is a journey to the server and back there.
    const MEMBERS: &str = "INSERT INTO threaded (message, thread) \
        SELECT * FROM unnest(CAST(?1 AS BIGINT[]), CAST(?2 AS BIGINT[]))";
    const KEYS: &str = "INSERT INTO thread_keys (account, key, thread) SELECT ?1, k.key, k.thread \
        FROM unnest(CAST(?2 AS BIGINT[]), CAST(?3 AS BIGINT[])) AS k (key, thread) \
        ON CONFLICT (account, key) DO UPDATE SET thread = excluded.thread";
    if tx.is_postgres() {
        let (messages, threads): (Vec<i64>, Vec<i64>) = members.iter().copied().unzip();
        tx.run(MEMBERS, params![&messages, &threads]).await?;
        let (keys, threads): (Vec<i64>, Vec<i64>) = keys.iter().copied().unzip();
        tx.run(KEYS, params![account.0, &keys, &threads]).await?;
        return Ok(());
    }
    for (message, thread) in members {
        tx.run(MEMBER, params![*message, *thread]).await?;
    }
    for (key, thread) in keys {
        tx.run(KEY, params![account.0, *key, *thread]).await?;
    }
    Ok(())
}

/// Messages that are gone are in no thread.
pub(crate) async fn forget(tx: &Tx, messages: &Vec<i64>) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM threaded WHERE message IN LIST(?1)";
    if messages.is_empty() {
        return Ok(());
    }
    tx.run(SQL, params![messages]).await.map(drop)
}

/// Where a look at keys ended, if there are more, and those that lead to no message, by account.
type DeadKeys = (Option<(i64, i64)>, Vec<(AccountId, Vec<i64>)>);

async fn dead_keys_in(tx: &Tx, account: i64, key: i64) -> Result<DeadKeys, StoreError> {
    const SQL: &str = "SELECT k.account, k.key, \
        CASE WHEN EXISTS (SELECT 1 FROM threaded t WHERE t.thread = k.thread) THEN 1 ELSE 0 END \
        FROM thread_keys k WHERE (k.account, k.key) > (?1, ?2) ORDER BY k.account, k.key LIMIT ?3";
    let rows = tx
        .rows(SQL, params![account, key, KEYS_AT_ONCE], |row| {
            Ok((row.int(0)?, row.int(1)?, row.flag(2)?))
        })
        .await?;
    let last = rows.last().map(|(account, key, _)| (*account, *key));
    let dead = rows.chunk_by(|a, b| a.0 == b.0).filter_map(|run| {
        let keys: Vec<i64> =
            run.iter().filter(|(.., alive)| !alive).map(|(_, key, _)| *key).collect();
        (!keys.is_empty()).then_some((AccountId(run[0].0), keys))
    });
    let dead = dead.collect();
    Ok((last.filter(|_| rows.len() as i64 == KEYS_AT_ONCE), dead))
}

/// Those of them that still lead nowhere.
async fn forget_keys_in(tx: &Tx, account: AccountId, keys: &Vec<i64>) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM thread_keys WHERE account = ?1 AND key IN LIST(?2) \
        AND NOT EXISTS (SELECT 1 FROM threaded t WHERE t.thread = thread_keys.thread)";
    lock(tx, account).await?;
    tx.run(SQL, params![account.0, keys]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(subject: &str, message_id: &str, in_reply_to: &str, references: &str) -> Vec<i64> {
        let field = |text: &str| Some(text.as_bytes().to_vec());
        let overview = Overview {
            subject: field(subject),
            message_id: field(message_id),
            in_reply_to: field(in_reply_to),
            references: field(references),
            ..Overview::default()
        };
        keys(&[7; 32], &overview)
    }

    fn meet(a: &[i64], b: &[i64]) -> bool {
        a.iter().any(|key| b.contains(key))
    }

    #[test]
    fn ids_and_subject_together() {
        let first = of("Lunch on  Friday", "<a@x>", "", "");
        assert!(meet(&first, &of("Re: lunch on Friday", "<b@x>", "<a@x>", "")));
        assert!(meet(&first, &of("[list] Fwd: Lunch onFriday", "<c@x>", "", "<z@x> <a@x>")));
        assert!(!meet(&first, &of("Dinner", "<d@x>", "<a@x>", "<a@x>")));
        assert!(!meet(&first, &of("Lunch on Friday", "<e@x>", "", "")));
        // Both answer one that never came here.
        assert!(meet(&of("Re: x", "<f@x>", "<z@x>", ""), &of("Re: x", "<g@x>", "", "<z@x>")));
        assert!(of("no ids", "", "", "").is_empty());
    }

    #[test]
    fn ids_are_bounded() {
        let many: String = (0..500).map(|n| format!("<{n}@x> ")).collect();
        let keys = of("x", "<own@x>", &many, &many);
        assert!(keys.len() <= 2 * FIRST_IDS + LAST_IDS);
        assert!(meet(&keys, &of("x", "<0@x>", "", "")) && meet(&keys, &of("x", "<499@x>", "", "")));
    }
}
