//! The maildrop of one session: messages numbered when it was opened, and what the client has done
//! with them. Nothing here changes the store; QUIT does, with what is remembered here.

use tokio::time::Instant;
use waxwing_store::{MailboxId, Pass, Uid};

use crate::maildrops::{Listing, Maildrops};
use crate::wire::command::MessageNumber;

/// An open maildrop and its lock.
pub(crate) struct Maildrop<M: Maildrops> {
    /// What the client was let in with.
    pub(crate) pass: Pass,
    /// When that was last seen to hold.
    pub(crate) welcome_at: Instant,
    pub(crate) mailbox: MailboxId,
    pub(crate) lock: M::Lock,
    uid_validity: u32,
    messages: Vec<Message>,
}

/// One message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) uid: Uid,
    pub(crate) size_octets: u64,
    /// Marked by DELE (RFC 1939 §5).
    pub(crate) deleted: bool,
    /// RETR gave it to the client, and it has not \Seen yet.
    pub(crate) newly_seen: bool,
    seen_before: bool,
}

/// Why a message number leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NumberError {
    #[error("no such message")]
    None,
    #[error("that message is marked as deleted")]
    Deleted,
}

impl<M: Maildrops> Maildrop<M> {
    pub(crate) fn new(pass: Pass, lock: M::Lock, listing: Listing) -> Maildrop<M> {
        let messages = listing.messages.into_iter().map(|listed| Message {
            uid: listed.uid,
            size_octets: listed.size_octets,
            deleted: false,
            newly_seen: false,
            seen_before: listed.seen,
        });
        Maildrop {
            pass,
            welcome_at: Instant::now(),
            mailbox: listing.mailbox,
            lock,
            uid_validity: listing.uid_validity,
            messages: messages.collect(),
        }
    }

    /// The message of that number, unless it is marked as deleted.
    pub(crate) fn message(&self, number: MessageNumber) -> Result<&Message, NumberError> {
        let index = self.index(number)?;
        Ok(&self.messages[index])
    }

    /// The message of that number, unless it is marked as deleted.
    pub(crate) fn message_mut(
        &mut self,
        number: MessageNumber,
    ) -> Result<&mut Message, NumberError> {
        let index = self.index(number)?;
        Ok(&mut self.messages[index])
    }

    fn index(&self, number: MessageNumber) -> Result<usize, NumberError> {
        let index = usize::try_from(number.0).ok().and_then(|number| number.checked_sub(1));
        match index.and_then(|index| Some((index, self.messages.get(index)?))) {
            None => Err(NumberError::None),
            Some((_, message)) if message.deleted => Err(NumberError::Deleted),
            Some((index, _)) => Ok(index),
        }
    }

    /// Those not marked as deleted, with their numbers.
    pub(crate) fn remaining(&self) -> impl Iterator<Item = (MessageNumber, &Message)> {
        let numbers = (1..).map(MessageNumber);
        numbers.zip(&self.messages).filter(|(_, message)| !message.deleted)
    }

    /// How many are not marked as deleted, and their octets.
    pub(crate) fn count_and_octets(&self) -> (usize, u64) {
        self.remaining().fold((0, 0), |(count, octets), (_, message)| {
            (count + 1, octets.saturating_add(message.size_octets))
        })
    }

    /// RFC 1939 §7: unique for ever, since a UID is never used again under one UIDVALIDITY; at
    /// most 21 characters.
    pub(crate) fn unique_id(&self, message: &Message) -> String {
        format!("{}.{}", self.uid_validity, message.uid.0)
    }

    /// RSET (RFC 1939 §5).
    pub(crate) fn unmark_all(&mut self) {
        self.messages.iter_mut().for_each(|message| message.deleted = false);
    }

    /// The UIDs that UPDATE has to give \Seen, and those that it has to remove.
    pub(crate) fn outcome(&self) -> (Vec<Uid>, Vec<Uid>) {
        let uids = |wanted: fn(&Message) -> bool| {
            self.messages.iter().filter(|m| wanted(m)).map(|m| m.uid).collect::<Vec<_>>()
        };
        (uids(|m| m.newly_seen && !m.deleted), uids(|m| m.deleted))
    }
}

impl Message {
    /// RETR gave it to the client.
    pub(crate) fn was_retrieved(&mut self) {
        self.newly_seen = !self.seen_before;
    }
}
