//! Moving in: messages from elsewhere, each once, however often an import is run or cut off.
//!
//! Of every message that an import brings a *print* is kept, a hash of where it goes and what it
//! says. Print, entry and mark are written in one transaction, so that an import that is killed at any
//! moment goes on where it was: what was committed is known, and nothing else is there.
//!
//! A print outlives its message. Whoever imports again to fetch what came since does not get back
//! what the owner has moved or deleted here meanwhile.

use jiff::Timestamp;

use crate::accept::encode_summary;
use crate::engine::{Repeat, Tx, params};
use crate::instant::{count32, micros};
use crate::messages::{Append, append_chosen, lock_by_mailbox};
use crate::{AccountId, AppendError, MailboxId, NewMessage, Store, StoreError, Uid};

/// Names a message in a mailbox by what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImportPrint(pub [u8; 16]);

/// A message that an import brings.
pub struct NewImport {
    /// What it is known by.
    pub print: ImportPrint,
    /// The message.
    pub message: NewMessage,
}

/// How far a mailbox of another server has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportMark {
    /// Names that mailbox.
    pub source: [u8; 16],
    /// Of that mailbox: up to here nothing is left to do.
    pub uid: Uid,
}

struct Import {
    prints: Vec<ImportPrint>,
    append: Append,
    mark: Option<ImportMark>,
}

impl Store {
    /// Adds those messages whose print the account has not seen, and moves the mark on, in one
    /// transaction. Gives for each whether it was added. A second run changes nothing.
    pub async fn import(
        &self,
        mailbox: MailboxId,
        messages: Vec<NewImport>,
        mark: Option<ImportMark>,
    ) -> Result<Vec<bool>, AppendError> {
        let prints = messages.iter().map(|import| import.print).collect();
        let messages: Vec<NewMessage> = messages.into_iter().map(|import| import.message).collect();
        let summaries = messages.iter().map(|message| encode_summary(&message.summary)).collect();
        let append = Append { mailbox, messages, summaries, now: micros(Timestamp::now()) };
        let import = Import { prints, append, mark };
        let engine = &self.inner.engine;
        engine.write(import, Repeat::Harmless, |tx, import| Box::pin(import_in(tx, import))).await
    }

    /// Notes that these are here already, without adding anything.
    pub async fn note_imports(
        &self,
        account: AccountId,
        prints: Vec<ImportPrint>,
    ) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        engine
            .write((account, prints), Repeat::Harmless, |tx, (account, prints)| {
                Box::pin(async move {
                    for print in prints {
                        note(tx, *account, print).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Which of these an import has brought before. Callers ask in slices of some hundreds.
    pub async fn known_imports(
        &self,
        account: AccountId,
        prints: Vec<ImportPrint>,
    ) -> Result<Vec<bool>, StoreError> {
        let engine = &self.inner.engine;
        engine
            .read((account, prints), |tx, (account, prints)| {
                Box::pin(known_in(tx, *account, prints))
            })
            .await
    }

    /// Where the mark of a mailbox of another server stands.
    pub async fn import_mark(
        &self,
        account: AccountId,
        source: [u8; 16],
    ) -> Result<Option<Uid>, StoreError> {
        const SQL: &str = "SELECT uid FROM import_marks WHERE account = ?1 AND source = ?2";
        let engine = &self.inner.engine;
        engine
            .read((account, source), |tx, (account, source)| {
                Box::pin(async move {
                    let read = |row: &crate::engine::Row<'_>| Ok(Uid(count32(row.int(0)?)?));
                    tx.row(SQL, params![account.0, source], read).await
                })
            })
            .await
    }
}

async fn import_in(tx: &Tx, import: &Import) -> Result<Vec<bool>, AppendError> {
    const MARK: &str = "INSERT INTO import_marks (account, source, uid) VALUES (?1, ?2, ?3) \
        ON CONFLICT (account, source) DO UPDATE SET uid = excluded.uid \
        WHERE excluded.uid > import_marks.uid";
    let state = lock_by_mailbox(tx, import.append.mailbox).await?.ok_or(AppendError::NoMailbox)?;
    let mut added = Vec::with_capacity(import.prints.len());
    for print in &import.prints {
        added.push(note(tx, state.account, print).await?);
    }
    if added.contains(&true) {
        append_chosen(tx, &import.append, &added).await?;
    }
    if let Some(mark) = &import.mark {
        let values = params![state.account.0, &mark.source, i64::from(mark.uid.0)];
        tx.run(MARK, values).await?;
    }
    Ok(added)
}

/// True when it was not known.
async fn note(tx: &Tx, account: AccountId, print: &ImportPrint) -> Result<bool, StoreError> {
    const SQL: &str =
        "INSERT INTO imported (account, print) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    Ok(tx.run(SQL, params![account.0, &print.0]).await? == 1)
}

async fn known_in(
    tx: &Tx,
    account: AccountId,
    prints: &[ImportPrint],
) -> Result<Vec<bool>, StoreError> {
    const SQL: &str = "SELECT account FROM imported WHERE account = ?1 AND print = ?2";
    let mut known = Vec::with_capacity(prints.len());
    for print in prints {
        let found = tx.row(SQL, params![account.0, &print.0], |row| row.int(0)).await?;
        known.push(found.is_some());
    }
    Ok(known)
}
