//! The messages that a query is about, as far as mailboxes know them: made of rolls and ties, which are
//! in memory for whoever asks often.
//!
//! How much is gathered depends on what is asked for:
//!
//! | asked for | gathered |
//! |---|---|
//! | one mailbox, and nothing that depends on others | its entries |
//! | one mailbox, and keywords or other mailboxes | and the other entries of its messages |
//! | anything else | every entry |

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use waxwing_store::{
    AccountId, Gist, KeywordSet, Line, MailboxId, MessageId, Roll, Row, Store, StoreError,
    SystemFlags, ThreadId, Uid,
};

use crate::email::keywords::{is_visible, system};

/// An entry.
#[derive(Debug, Clone, Copy)]
struct Spot {
    message: MessageId,
    thread: ThreadId,
    /// Which of the universe's mailboxes.
    mailbox: u16,
    row: Row,
}

/// A mailbox of the universe.
struct Ground {
    id: MailboxId,
    roll: Arc<Roll>,
    gist: Option<Arc<Gist>>,
}

/// See the module's words.
pub struct Universe {
    grounds: Vec<Ground>,
    /// By message where a message can have several, else in the order of UIDs.
    spots: Vec<Spot>,
    /// Of each message its spots.
    messages: Vec<Range<u32>>,
}

/// How much is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Entries of that mailbox.
    One(MailboxId),
    /// Messages of that mailbox, wherever else they are.
    Messages(MailboxId),
    /// Everything.
    All,
}

/// One message of a universe.
#[derive(Clone, Copy)]
pub struct Subject<'u> {
    universe: &'u Universe,
    spots: &'u [Spot],
}

impl Universe {
    /// Gathers what is in the mailboxes, all of that account, that may be read.
    pub async fn gather(
        store: &Store,
        account: AccountId,
        readable: &[MailboxId],
        scope: Scope,
    ) -> Result<Universe, StoreError> {
        let mut universe =
            Universe { grounds: Vec::new(), spots: Vec::new(), messages: Vec::new() };
        // The mailbox that is asked for comes first: it says which messages count.
        let (first, others): (Option<MailboxId>, Vec<MailboxId>) = match scope {
            Scope::All => (None, readable.to_vec()),
            Scope::One(one) => (Some(one), Vec::new()),
            Scope::Messages(one) => {
                (Some(one), readable.iter().copied().filter(|id| *id != one).collect())
            }
        };
        let mut may_repeat = false;
        let mut counted: Option<HashSet<MessageId>> = None;
        for mailbox in first.into_iter().chain(others) {
            if !readable.contains(&mailbox) {
                continue;
            }
            let Some(roll) = store.roll(mailbox).await? else { continue };
            let ties = store.ties(account, mailbox, &roll).await?;
            may_repeat |= ties.may_repeat() || !universe.grounds.is_empty();
            let ground = u16::try_from(universe.grounds.len()).unwrap_or(u16::MAX);
            let mut ties = ties.iter().peekable();
            for row in roll.rows().filter(|row| is_visible(row.system())) {
                while ties.peek().is_some_and(|tie| tie.uid < row.uid()) {
                    ties.next();
                }
                let Some(tie) = ties.peek().filter(|tie| tie.uid == row.uid()) else { continue };
                let message = tie.message;
                if counted.as_ref().is_some_and(|counted| !counted.contains(&message)) {
                    continue;
                }
                let spot = Spot { message, thread: tie.thread, mailbox: ground, row: *row };
                universe.spots.push(spot);
            }
            universe.grounds.push(Ground { id: mailbox, roll, gist: None });
            if matches!(scope, Scope::Messages(_)) && counted.is_none() {
                counted = Some(universe.spots.iter().map(|spot| spot.message).collect());
            }
        }
        if may_repeat {
            universe.spots.sort_by_key(|spot| (spot.message, spot.mailbox));
        }
        let mut start = 0;
        for run in universe.spots.chunk_by(|a, b| a.message == b.message) {
            let end = start + run.len() as u32;
            universe.messages.push(start..end);
            start = end;
        }
        Ok(universe)
    }

    /// Brings the gist of each mailbox.
    pub async fn with_gists(mut self, store: &Store) -> Result<Universe, StoreError> {
        for ground in &mut self.grounds {
            ground.gist = Some(store.gist(ground.id, &ground.roll).await?);
        }
        Ok(self)
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// One of them.
    pub fn subject(&self, index: u32) -> Subject<'_> {
        let Range { start, end } = self.messages[index as usize].clone();
        Subject { universe: self, spots: &self.spots[start as usize..end as usize] }
    }

    /// All of them.
    pub fn subjects(&self) -> impl Iterator<Item = Subject<'_>> {
        (0..self.messages.len() as u32).map(|index| self.subject(index))
    }

    /// The gists, by the number of [`Subject::home`].
    pub fn gists(&self) -> impl Iterator<Item = Option<&Gist>> {
        self.grounds.iter().map(|ground| ground.gist.as_deref())
    }

    /// Of each thread in it, whether all of its messages have a keyword, and whether one has.
    pub fn threads_with(&self, keyword: &str) -> HashMap<ThreadId, (bool, bool)> {
        let mut threads = HashMap::new();
        for subject in self.subjects() {
            let has = subject.has(keyword);
            let (all, some) = threads.entry(subject.thread()).or_insert((true, false));
            *all &= has;
            *some |= has;
        }
        threads
    }
}

impl<'u> Subject<'u> {
    /// Which message.
    pub fn message(&self) -> MessageId {
        self.spots[0].message
    }

    /// Of which thread.
    pub fn thread(&self) -> ThreadId {
        self.spots[0].thread
    }

    /// When it was received, the first time; seconds since 1970.
    pub fn received_secs(&self) -> i64 {
        self.spots.iter().map(|spot| spot.row.received_secs()).min().unwrap_or(0)
    }

    /// Of the whole message.
    pub fn size_octets(&self) -> u64 {
        self.spots[0].row.size_octets()
    }

    /// Where it is.
    pub fn mailboxes(&self) -> impl Iterator<Item = MailboxId> + use<'u> {
        let universe = self.universe;
        self.spots.iter().map(|spot| universe.grounds[spot.mailbox as usize].id)
    }

    /// One of its places: the number of the mailbox, its id, and the UID there.
    pub fn home(&self) -> (usize, MailboxId, Uid) {
        let spot = &self.spots[0];
        let ground = spot.mailbox as usize;
        (ground, self.universe.grounds[ground].id, spot.row.uid())
    }

    /// What the gist of its home has of it, where the universe has gists.
    pub fn line(&self) -> Option<&'u Line> {
        let (ground, _, uid) = self.home();
        self.universe.grounds[ground].gist.as_ref()?.line(uid)
    }

    /// Whether it has a keyword, in lower case: see [`crate::email::keywords`].
    pub fn has(&self, keyword: &str) -> bool {
        match system(keyword) {
            Some(SystemFlags::SEEN) => {
                self.spots.iter().all(|spot| spot.row.system().contains(SystemFlags::SEEN))
            }
            Some(flag) => self.spots.iter().any(|spot| spot.row.system().contains(flag)),
            None => self.spots.iter().any(|spot| {
                let roll = &self.universe.grounds[spot.mailbox as usize].roll;
                let has = |set: &KeywordSet| set.iter().any(|k| k.eq_ignore_ascii_case(keyword));
                roll.keywords(&spot.row).is_some_and(has)
            }),
        }
    }
}
