//! The ties of a mailbox's entries: of which message each is, and in which thread that is. For protocols
//! that show messages of an account rather than entries of a mailbox.
//!
//! Of an entry this never changes, so that ties only grow, as a gist does; and what they take is kept
//! apart from rolls, which most sessions look at without them.

use std::sync::Arc;

use crate::engine::{Tx, params};
use crate::instant::count32;
use crate::{AccountId, Inner, MailboxId, MessageId, Roll, Store, StoreError, ThreadId, Uid};

/// Entries read in one go.
const READ_AT_ONCE: i64 = 20_000;
/// How often messages that came meanwhile are given their threads before that is given up.
const THREADED_AGAIN: usize = 20;

/// Of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tie {
    /// In its mailbox.
    pub uid: Uid,
    /// Its message.
    pub message: MessageId,
    /// And that one's thread.
    pub thread: ThreadId,
}

/// See the module's words. In the order of UIDs; some may have vanished.
#[derive(Debug, Clone, Default)]
pub struct Ties {
    list: Vec<Tie>,
    /// All entries up to here have been read.
    upto: Uid,
    /// A message may be there more than once.
    repeats: bool,
}

impl Ties {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order of UIDs.
    pub fn iter(&self) -> impl Iterator<Item = &Tie> {
        self.list.iter()
    }

    /// Whether a message may have more entries than one in the mailbox.
    pub fn may_repeat(&self) -> bool {
        self.repeats
    }

    fn grow(&mut self, more: Vec<Tie>) {
        self.list.extend(more);
        let mut messages: Vec<i64> = self.list.iter().map(|tie| tie.message.0).collect();
        // Mostly they are in order.
        messages.sort_unstable();
        self.repeats = messages.windows(2).any(|pair| pair[0] == pair[1]);
    }
}

impl Store {
    /// The ties of at least all entries of a roll that are still there, shared with all who ask. The mailbox
    /// is that account's.
    pub async fn ties(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        roll: &Roll,
    ) -> Result<Arc<Ties>, StoreError> {
        let Inner { engine, rolls, .. } = &*self.inner;
        let slot = rolls.slot(mailbox);
        let last = roll.last().map_or(Uid(0), |row| row.uid());
        if let Some(ties) = slot.ties().filter(|ties| ties.upto >= last) {
            return Ok(ties);
        }
        let _only = slot.tying.lock().await;
        // Too much that has vanished is as bad as nothing.
        let worth = |ties: &Arc<Ties>| ties.len() <= 2 * roll.len() as usize + 1000;
        let mut ties = slot.ties().filter(worth).unwrap_or_default();
        let (mut more, mut upto, mut again) = (Vec::new(), ties.upto, 0);
        self.thread_account(account).await?;
        while upto < last {
            let read = engine.read((mailbox, upto), |tx, (mailbox, after)| {
                Box::pin(read_in(tx, *mailbox, *after))
            });
            let (some, all_threaded) = read.await?;
            let newest = some.last().map_or(upto, |tie| tie.uid);
            // What is not there any more need not be asked for again.
            upto = match all_threaded && (some.len() as i64) < READ_AT_ONCE {
                true => last.max(newest),
                false => newest,
            };
            more.extend(some);
            if !all_threaded {
                again += 1;
                if again > THREADED_AGAIN {
                    let why = "messages come faster than they get their threads";
                    return Err(StoreError::Unavailable(why.into()));
                }
                self.thread_account(account).await?;
            }
        }
        if ties.upto < upto {
            let grown = Arc::make_mut(&mut ties);
            grown.grow(more);
            grown.upto = upto;
        }
        slot.put_ties(ties.clone());
        rolls.tidy();
        Ok(ties)
    }
}

/// Some entries after that one; up to the first whose message has no thread yet, if there is one.
async fn read_in(tx: &Tx, mailbox: MailboxId, after: Uid) -> Result<(Vec<Tie>, bool), StoreError> {
    const SQL: &str = "SELECT e.uid, e.message, t.thread FROM entries e \
        LEFT JOIN threaded t ON t.message = e.message \
        WHERE e.mailbox = ?1 AND e.uid > ?2 ORDER BY e.uid LIMIT ?3";
    let mut ties = Vec::new();
    let mut all_threaded = true;
    tx.each(SQL, params![mailbox.0, i64::from(after.0), READ_AT_ONCE], |row| {
        let Some(thread) = row.opt_int(2)? else {
            all_threaded = false;
            return Ok(false);
        };
        let uid = Uid(count32(row.int(0)?)?);
        ties.push(Tie { uid, message: MessageId(row.int(1)?), thread: ThreadId(thread) });
        Ok(true)
    })
    .await?;
    Ok((ties, all_threaded))
}
