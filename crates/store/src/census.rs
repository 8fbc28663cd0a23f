//! How many messages and threads a mailbox has, and how many of them are still to be read (RFC 8621 §2).
//!
//! A message is unread when it has `\Seen` in some place not, and `\Draft` nowhere; it is seen only when it is
//! seen wherever it is. A thread is unread in a mailbox in which it has a message when any message of it is,
//! in whichever mailbox, but for the trash: what is only there makes no thread unread elsewhere, and what
//! is not there makes none unread there. Messages with `\Deleted` are as gone.
//!
//! An account is counted whole, in one pass over its entries, and the counts are kept for as long as
//! nothing happens in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{Tx, params};
use crate::messages::{modseq, system};
use crate::{AccountId, MailboxId, ModSeq, Store, StoreError, SystemFlags};

/// Counts that are kept.
const KEPT: usize = 256;
/// How often messages that came meanwhile are given their threads before that is given up.
const THREADED_AGAIN: usize = 20;

/// What is in a mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Each once, however often it is there.
    pub messages: u32,
    /// Those that are still to be read.
    pub unread_messages: u32,
    /// Threads with a message there.
    pub threads: u32,
    /// Those of them with something to be read.
    pub unread_threads: u32,
}

/// By mailbox; those without messages are absent.
pub type Census = BTreeMap<MailboxId, Tally>;

/// What was counted: which mailboxes of which account, and which of them is the trash.
type Asked = (AccountId, BTreeSet<MailboxId>, Option<MailboxId>);

/// Counts that are still true.
#[derive(Default)]
pub(crate) struct Censuses {
    known: Mutex<HashMap<Asked, (ModSeq, Arc<Census>)>>,
}

impl Censuses {
    fn get(&self, asked: &Asked, now: ModSeq) -> Option<Arc<Census>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(asked).filter(|(modseq, _)| *modseq == now);
        found.map(|(_, census)| census.clone())
    }

    fn keep(&self, asked: Asked, modseq: ModSeq, census: &Arc<Census>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT && !known.contains_key(&asked) {
            // Whichever: counting anew is cheap enough.
            let any = known.keys().next().cloned();
            any.map(|any| known.remove(&any));
        }
        known.insert(asked, (modseq, census.clone()));
    }
}

impl Store {
    /// Counts what is in these mailboxes of an account, as if there were no others. The counts are those of
    /// the moment of the modseq or of a later one.
    pub async fn census(
        &self,
        account: AccountId,
        within: &[MailboxId],
        trash: Option<MailboxId>,
    ) -> Result<(Arc<Census>, ModSeq), StoreError> {
        const MODSEQ: &str = "SELECT modseq FROM accounts WHERE id = ?1";
        let asked: Asked = (account, within.iter().copied().collect(), trash);
        let engine = &self.inner.engine;
        let now = engine.read_brief(account, |tx, account| {
            let account = account.0;
            Box::pin(async move { tx.row(MODSEQ, params![account], |row| row.int(0)).await })
        });
        let now = modseq(now.await?.unwrap_or_default())?;
        if let Some(census) = self.inner.censuses.get(&asked, now) {
            return Ok((census, now));
        }
        for _ in 0..THREADED_AGAIN {
            self.thread_account(account).await?;
            let counted = engine
                .read(asked.clone(), |tx, (account, within, trash)| {
                    Box::pin(count_in(tx, *account, within, *trash))
                })
                .await?;
            if let Some((census, modseq)) = counted {
                let census = Arc::new(census);
                self.inner.censuses.keep(asked, modseq, &census);
                return Ok((census, modseq));
            }
        }
        Err(StoreError::Unavailable("messages come faster than they get their threads".into()))
    }
}

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seat {
    thread: i64,
    message: i64,
    mailbox: i64,
    flags: u8,
}

/// `None`: a message has no thread yet.
async fn count_in(
    tx: &Tx,
    account: AccountId,
    within: &BTreeSet<MailboxId>,
    trash: Option<MailboxId>,
) -> Result<Option<(Census, ModSeq)>, StoreError> {
    const MODSEQ: &str = "SELECT modseq FROM accounts WHERE id = ?1";
    const SQL: &str = "SELECT e.mailbox, e.message, e.flags, t.thread FROM mailboxes m \
        CROSS JOIN entries e LEFT JOIN threaded t ON t.message = e.message \
        WHERE m.account = ?1 AND e.mailbox = m.id";
    let now = tx.row(MODSEQ, params![account.0], |row| row.int(0)).await?.unwrap_or_default();
    let (mut seats, mut all_threaded) = (Vec::new(), true);
    tx.each(SQL, params![account.0], |row| {
        let (mailbox, flags) = (row.int(0)?, system(row.int(2)?)?);
        if within.contains(&MailboxId(mailbox)) && !flags.contains(SystemFlags::DELETED) {
            match row.opt_int(3)? {
                Some(thread) => {
                    seats.push(Seat { thread, message: row.int(1)?, mailbox, flags: flags.0 });
                }
                None => all_threaded = false,
            }
        }
        Ok(all_threaded)
    })
    .await?;
    if !all_threaded {
        return Ok(None);
    }
    seats.sort_unstable();
    Ok(Some((tally(&seats, trash.map(|trash| trash.0)), modseq(now)?)))
}

/// Counts seats in order.
fn tally(seats: &[Seat], trash: Option<i64>) -> Census {
    let mut census = Census::new();
    for thread in seats.chunk_by(|a, b| a.thread == b.thread) {
        let mut mailboxes = BTreeSet::new();
        let (mut unread_in_trash, mut unread_elsewhere) = (false, false);
        for places in thread.chunk_by(|a, b| a.message == b.message) {
            let is_unread = is_unread(places);
            let here: BTreeSet<i64> = places.iter().map(|seat| seat.mailbox).collect();
            for mailbox in &here {
                let tally = census.entry(MailboxId(*mailbox)).or_default();
                tally.messages += 1;
                tally.unread_messages += u32::from(is_unread);
                unread_in_trash |= is_unread && trash == Some(*mailbox);
                unread_elsewhere |= is_unread && trash != Some(*mailbox);
            }
            mailboxes.extend(here);
        }
        for mailbox in mailboxes {
            let is_unread = if trash == Some(mailbox) { unread_in_trash } else { unread_elsewhere };
            let tally = census.entry(MailboxId(mailbox)).or_default();
            tally.threads += 1;
            tally.unread_threads += u32::from(is_unread);
        }
    }
    census
}

fn is_unread(places: &[Seat]) -> bool {
    let has = |seat: &Seat, flag| SystemFlags(seat.flags).contains(flag);
    !places.iter().all(|seat| has(seat, SystemFlags::SEEN))
        && !places.iter().any(|seat| has(seat, SystemFlags::DRAFT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INBOX: i64 = 1;
    const SENT: i64 = 2;
    const TRASH: i64 = 3;
    const SEEN: u8 = SystemFlags::SEEN.0;
    const DRAFT: u8 = SystemFlags::DRAFT.0;

    /// Threads, messages, mailboxes and flags to numbers of messages, unread ones, threads, unread ones.
    fn counted(seats: &[(i64, i64, i64, u8)]) -> Vec<(i64, [u32; 4])> {
        let seat = |&(thread, message, mailbox, flags)| Seat { thread, message, mailbox, flags };
        let mut seats: Vec<Seat> = seats.iter().map(seat).collect();
        seats.sort_unstable();
        let numbers = |t: Tally| [t.messages, t.unread_messages, t.threads, t.unread_threads];
        let census = tally(&seats, Some(TRASH)).into_iter();
        census.map(|(mailbox, tally)| (mailbox.0, numbers(tally))).collect()
    }

    #[test]
    fn a_thread_is_unread_wherever_it_is() {
        // RFC 8621 §2: the unread Email need not be in this mailbox.
        let seats = [(1, 1, INBOX, 0), (1, 2, SENT, SEEN)];
        assert_eq!(counted(&seats), [(INBOX, [1, 1, 1, 1]), (SENT, [1, 0, 1, 1])]);
        let seats = [(1, 1, INBOX, SEEN), (1, 2, INBOX, SEEN), (2, 3, INBOX, DRAFT)];
        assert_eq!(counted(&seats), [(INBOX, [3, 0, 2, 0])]);
    }

    #[test]
    fn the_trash_is_apart() {
        // RFC 8621 §2: only in the trash: ignored elsewhere; not in the trash: ignored there.
        let seats = [(1, 1, INBOX, SEEN), (1, 2, TRASH, 0)];
        assert_eq!(counted(&seats), [(INBOX, [1, 0, 1, 0]), (TRASH, [1, 1, 1, 1])]);
        let seats = [(1, 1, INBOX, 0), (1, 2, TRASH, SEEN)];
        assert_eq!(counted(&seats), [(INBOX, [1, 1, 1, 1]), (TRASH, [1, 0, 1, 0])]);
        // In both: it counts in both.
        let seats = [(1, 1, INBOX, 0), (1, 1, TRASH, 0)];
        assert_eq!(counted(&seats), [(INBOX, [1, 1, 1, 1]), (TRASH, [1, 1, 1, 1])]);
    }

    #[test]
    fn a_message_is_seen_when_it_is_everywhere() {
        let seats = [(1, 1, INBOX, SEEN), (1, 1, SENT, 0)];
        assert_eq!(counted(&seats), [(INBOX, [1, 1, 1, 1]), (SENT, [1, 1, 1, 1])]);
        // Twice in one mailbox: one message.
        let seats = [(1, 1, INBOX, SEEN), (1, 1, INBOX, SEEN)];
        assert_eq!(counted(&seats), [(INBOX, [1, 0, 1, 0])]);
    }
}
