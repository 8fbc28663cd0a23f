//! Messages of an account as a whole, for protocols that show mailboxes as labels of messages: added to
//! several mailboxes, moved between them and flagged wherever they are, each in one transaction.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::expunge::expunge_in;
use super::flags::{StoreFlags, store_flags_in};
use super::transfer::{Transfer, Which, transfer_in};
use super::writing::{Append, append_in};
use super::{FlagChange, FlagMask, Flags, MessageId, NewMessage, SystemFlags, system};
use crate::accept::encode_summary;
use crate::engine::{Repeat, Tx, params};
use crate::instant::micros;
use crate::{AccountId, AppendError, MailboxId, Store, StoreError};

/// All flags but `\Deleted`.
const KEPT: FlagMask = FlagMask { system: SystemFlags(31 & !8), keywords: true };

/// What is to become of a message.
#[derive(Debug, Clone, Default)]
pub struct Rearrangement {
    /// Its flags in all of its places: these and no others, `\Deleted` apart.
    pub set: Option<Flags>,
    /// After that, these too.
    pub add: Flags,
    /// And these not.
    pub remove: Flags,
    /// Mailboxes that it is to be in, too.
    pub into: Vec<MailboxId>,
    /// Mailboxes that it is not to be in any more.
    pub out_of: Vec<MailboxId>,
    /// Its flags are altered in these only, and it must be in one of these before.
    pub within: Vec<MailboxId>,
    /// It may be in none of those mailboxes in the end.
    pub may_vanish: bool,
}

/// Why a message was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum RearrangeError {
    /// It is not there.
    #[error("no such message")]
    NotFound,
    /// It would be in no mailbox.
    #[error("the message would be in no mailbox")]
    Nowhere,
    /// A mailbox is not there, or the quota is used up.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<StoreError> for RearrangeError {
    fn from(error: StoreError) -> RearrangeError {
        RearrangeError::Append(AppendError::Store(error))
    }
}

impl Store {
    /// Adds a message to mailboxes of an account, of which there is one at least.
    pub async fn add_message(
        &self,
        account: AccountId,
        mailboxes: &[MailboxId],
        message: NewMessage,
    ) -> Result<MessageId, AppendError> {
        let (&first, others) = mailboxes.split_first().ok_or(AppendError::NoMailbox)?;
        let summaries = vec![encode_summary(&message.summary)];
        let now = micros(Timestamp::now());
        let append = Append { mailbox: first, messages: vec![message], summaries, now };
        let asked = (account, append, others.to_vec());
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (account, append, others)| {
                Box::pin(add_in(tx, *account, append, others))
            })
            .await
    }

    /// Does all of it, or nothing.
    pub async fn rearrange(
        &self,
        account: AccountId,
        message: MessageId,
        rearrangement: Rearrangement,
    ) -> Result<(), RearrangeError> {
        let asked = (account, message, rearrangement, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (account, message, rearrangement, now)| {
                Box::pin(rearrange_in(tx, *account, *message, rearrangement, *now))
            })
            .await
    }
}

async fn add_in(
    tx: &Tx,
    account: AccountId,
    append: &Append,
    others: &[MailboxId],
) -> Result<MessageId, AppendError> {
    const MESSAGE: &str = "SELECT message FROM entries WHERE mailbox = ?1 AND uid = ?2";
    check_mailboxes(tx, account, [append.mailbox].iter().chain(others)).await?;
    let appended = append_in(tx, append).await?;
    let uid = appended.first().map_or(0, |one| i64::from(one.uid.0));
    let from = append.mailbox;
    for &to in others {
        let transfer = Transfer {
            from,
            uids: vec![uid],
            to,
            moved: false,
            kept: FlagMask::ALL,
            now: append.now,
        };
        transfer_in(tx, &transfer).await?;
    }
    let message = tx.row(MESSAGE, params![from.0, uid], |row| row.int(0)).await?;
    let none = || StoreError::Damaged("a message that was added is not there".into());
    Ok(MessageId(message.ok_or_else(none)?))
}

/// That they all are the account's.
async fn check_mailboxes(
    tx: &Tx,
    account: AccountId,
    mailboxes: impl Iterator<Item = &MailboxId>,
) -> Result<(), AppendError> {
    const SQL: &str = "SELECT COUNT(*) FROM mailboxes WHERE account = ?1 AND id IN LIST(?2)";
    let mailboxes: BTreeSet<i64> = mailboxes.map(|mailbox| mailbox.0).collect();
    let mailboxes: Vec<i64> = mailboxes.into_iter().collect();
    let known = tx.row(SQL, params![account.0, &mailboxes], |row| row.int(0)).await?;
    match known == Some(mailboxes.len() as i64) {
        true => Ok(()),
        false => Err(AppendError::NoMailbox),
    }
}

/// An entry of the message.
#[derive(Clone, Copy)]
struct Spot {
    mailbox: MailboxId,
    uid: i64,
    visible: bool,
}

async fn rearrange_in(
    tx: &Tx,
    account: AccountId,
    message: MessageId,
    asked: &Rearrangement,
    now: i64,
) -> Result<(), RearrangeError> {
    const LOCK: &str = "SELECT id FROM accounts WHERE id = ?1 /*postgres:FOR NO KEY UPDATE*/";
    const SPOTS: &str = "SELECT e.mailbox, e.uid, e.flags FROM entries e \
        CROSS JOIN mailboxes m WHERE e.message = ?2 AND m.id = e.mailbox AND m.account = ?1 \
        ORDER BY e.mailbox, e.uid";
    tx.row(LOCK, params![account.0], |row| row.int(0)).await?;
    check_mailboxes(tx, account, asked.into.iter()).await?;
    let spots = tx
        .rows(SPOTS, params![account.0, message.0], |row| {
            let visible = !system(row.int(2)?)?.contains(SystemFlags::DELETED);
            Ok(Spot { mailbox: MailboxId(row.int(0)?), uid: row.int(1)?, visible })
        })
        .await?;
    let mut ours: Vec<Spot> =
        spots.into_iter().filter(|spot| asked.within.contains(&spot.mailbox)).collect();
    if !ours.iter().any(|spot| spot.visible) {
        return Err(RearrangeError::NotFound);
    }
    alter_flags(tx, asked, &ours).await?;
    // Where it is already, it need not come; what is marked as deleted is not there.
    let is_in = |ours: &[Spot], mailbox| ours.iter().any(|s| s.visible && s.mailbox == mailbox);
    let into: BTreeSet<MailboxId> = asked.into.iter().copied().collect();
    let mut out_of: Vec<Spot> =
        ours.iter().copied().filter(|spot| asked.out_of.contains(&spot.mailbox)).collect();
    let stays = |spot: &Spot| spot.visible && !asked.out_of.contains(&spot.mailbox);
    if !asked.may_vanish && into.is_empty() && !ours.iter().any(stays) {
        return Err(RearrangeError::Nowhere);
    }
    for to in into {
        if is_in(&ours, to) {
            continue;
        }
        // What leaves a mailbox anyway is moved: that asks nothing of the quota.
        let moved = out_of.iter().position(|spot| spot.visible).map(|at| out_of.remove(at));
        let visible = |spot: &&Spot| spot.visible;
        let from = moved.or_else(|| ours.iter().find(visible).copied());
        let Some(from) = from else { return Err(RearrangeError::NotFound) };
        let transfer = Transfer {
            from: from.mailbox,
            uids: vec![from.uid],
            to,
            moved: moved.is_some(),
            kept: KEPT,
            now,
        };
        let copied = transfer_in(tx, &transfer).await?;
        if moved.is_some() {
            ours.retain(|spot| (spot.mailbox, spot.uid) != (from.mailbox, from.uid));
        }
        let uid = copied.uids.first().map_or(0, |(_, uid)| i64::from(uid.0));
        ours.push(Spot { mailbox: to, uid, visible: true });
    }
    for spot in out_of {
        expunge_in(tx, spot.mailbox, &vec![spot.uid], Which::All, now).await?;
    }
    Ok(())
}

async fn alter_flags(tx: &Tx, asked: &Rearrangement, spots: &[Spot]) -> Result<(), StoreError> {
    let nothing = |flags: &Flags| *flags == Flags::default();
    let mut changes = Vec::new();
    changes.extend(asked.set.clone().map(|flags| FlagChange::SetWithin(flags, KEPT)));
    if !nothing(&asked.add) {
        changes.push(FlagChange::Add(asked.add.clone()));
    }
    if !nothing(&asked.remove) {
        changes.push(FlagChange::Remove(asked.remove.clone()));
    }
    for spot in spots.iter().filter(|spot| spot.visible) {
        for change in &changes {
            let (mailbox, uids) = (spot.mailbox, vec![spot.uid]);
            let asked = StoreFlags { mailbox, uids, change: change.clone(), unchanged_since: None };
            store_flags_in(tx, &asked).await?;
        }
    }
    Ok(())
}
