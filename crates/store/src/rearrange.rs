//! Changing and removing a mailbox by its id: several things at once, or nothing.

use jiff::Timestamp;

use crate::engine::{Repeat, Tx, params};
use crate::instant::micros;
use crate::mailboxes::{
    canonical, mailbox_by_id, note_changed, remove_rows, rename_in, subscribe_rows,
};
use crate::messages::next_modseq;
use crate::{Mailbox, MailboxError, MailboxId, Role, Store, StoreError};

/// What is to become of a mailbox; `None`: it stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxChange {
    /// The whole path. INBOX keeps its name.
    pub name: Option<String>,
    /// INBOX keeps its role, and no other gets that one.
    pub role: Option<Option<Role>>,
    /// Those with lower numbers come before.
    pub sort_order: Option<u32>,
    /// In its owner's list.
    pub subscribed: Option<bool>,
}

/// Why a mailbox was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveMailboxError {
    /// There is none.
    #[error("no such mailbox")]
    NotFound,
    /// INBOX stays.
    #[error("INBOX cannot be deleted")]
    Inbox,
    /// Others are below it.
    #[error("there are mailboxes below it")]
    HasChildren,
    /// It has messages that are not `\Deleted`.
    #[error("there are messages in it")]
    HasMessages,
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Makes all of the changes or none.
    pub async fn change_mailbox(
        &self,
        id: MailboxId,
        mut change: MailboxChange,
    ) -> Result<(), MailboxError> {
        change.name = change.name.as_deref().map(canonical).transpose()?;
        let asked = (id, change, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (id, change, now)| {
                Box::pin(change_in(tx, *id, change, *now))
            })
            .await
    }

    /// Removes a mailbox that has no other below it; one with messages only where these may go.
    pub async fn remove_mailbox(
        &self,
        id: MailboxId,
        with_messages: bool,
    ) -> Result<(), RemoveMailboxError> {
        let asked = (id, with_messages, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (id, with_messages, now)| {
                Box::pin(remove_in(tx, *id, *with_messages, *now))
            })
            .await
    }
}

async fn change_in(
    tx: &Tx,
    id: MailboxId,
    change: &MailboxChange,
    now: i64,
) -> Result<(), MailboxError> {
    const ORDER: &str = "UPDATE mailboxes SET sort_order = ?2 WHERE id = ?1";
    let before = mailbox_by_id(tx, id).await?.ok_or(MailboxError::NotFound)?;
    let modseq = next_modseq(tx, before.account, 0, 0).await?;
    // Read again: now nobody else changes it.
    let before = mailbox_by_id(tx, id).await?.ok_or(MailboxError::NotFound)?;
    if let Some(subscribed) = change.subscribed {
        subscribe_rows(tx, before.account, &before.name, subscribed).await?;
    }
    if let Some(role) = change.role.filter(|role| *role != before.role) {
        give_role(tx, &before, role).await?;
    }
    if let Some(order) = change.sort_order {
        tx.run(ORDER, params![id.0, i64::from(order)]).await?;
    }
    note_changed(tx, id, modseq).await?;
    if let Some(name) = change.name.as_ref().filter(|name| **name != before.name) {
        if before.role == Some(Role::Inbox) {
            return Err(MailboxError::Refused("INBOX keeps its name".into()));
        }
        rename_in(tx, before.account, &before.name, name, now).await?;
    }
    Ok(())
}

async fn give_role(tx: &Tx, mailbox: &Mailbox, role: Option<Role>) -> Result<(), MailboxError> {
    const TAKEN: &str = "SELECT name FROM mailboxes WHERE account = ?1 AND role = ?2";
    const GIVE: &str = "UPDATE mailboxes SET role = ?2 WHERE id = ?1";
    if mailbox.role == Some(Role::Inbox) || role == Some(Role::Inbox) {
        return Err(MailboxError::Refused("INBOX alone is the inbox".into()));
    }
    if let Some(role) = role {
        let values = params![mailbox.account.0, role.code()];
        if let Some(taken) = tx.row(TAKEN, values, |row| row.text(0)).await? {
            return Err(MailboxError::Refused(format!("{taken} has that role already")));
        }
    }
    tx.run(GIVE, params![mailbox.id.0, role.map(Role::code)]).await?;
    Ok(())
}

async fn remove_in(
    tx: &Tx,
    id: MailboxId,
    with_messages: bool,
    now: i64,
) -> Result<(), RemoveMailboxError> {
    const BELOW: &str = "SELECT COUNT(*) FROM mailboxes \
        WHERE account = ?1 AND substr(name, 1, length(?2)) = ?2";
    let found = mailbox_by_id(tx, id).await?.ok_or(RemoveMailboxError::NotFound)?;
    next_modseq(tx, found.account, 0, 0).await?;
    let found = mailbox_by_id(tx, id).await?.ok_or(RemoveMailboxError::NotFound)?;
    if found.role == Some(Role::Inbox) {
        return Err(RemoveMailboxError::Inbox);
    }
    let below = format!("{}/", found.name);
    let values = params![found.account.0, &below];
    if tx.row(BELOW, values, |row| row.int(0)).await?.is_some_and(|below| below > 0) {
        return Err(RemoveMailboxError::HasChildren);
    }
    if !with_messages && found.total > found.deleted {
        return Err(RemoveMailboxError::HasMessages);
    }
    Ok(remove_rows(tx, found.account, id, now).await?)
}
