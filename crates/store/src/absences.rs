//! What people who are away have answered (RFC 8621 §8), beside whatever their own rules do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::accept::json;
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{micros, timestamp};
use crate::messages::{modseq, next_modseq};
use crate::{AccountId, ModSeq, Store, StoreError};

/// What is said to whoever writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsenceAnswer {
    /// `None`: one is made.
    pub subject: Option<String>,
    /// Plain text.
    pub text: Option<String>,
    /// HTML.
    pub html: Option<String>,
}

/// When an account's owner is away, and what is said then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// Whose.
    pub account: AccountId,
    /// Whether anything is said at all.
    pub is_enabled: bool,
    /// Not before.
    pub from_at: Option<Timestamp>,
    /// Not from then on.
    pub to_at: Option<Timestamp>,
    /// What.
    pub answer: AbsenceAnswer,
    /// Of its last change; 0: it was never set.
    pub changed_modseq: ModSeq,
}

impl Absence {
    /// What an account begins with: nothing is said.
    fn none(account: AccountId) -> Absence {
        Absence {
            account,
            is_enabled: false,
            from_at: None,
            to_at: None,
            answer: AbsenceAnswer::default(),
            changed_modseq: ModSeq(0),
        }
    }
}

impl Store {
    /// An account's.
    pub async fn absence(&self, account: AccountId) -> Result<Absence, StoreError> {
        const SQL: &str = "SELECT account, is_enabled, from_at, to_at, answer, changed_modseq \
            FROM absences WHERE account = ?1";
        let engine = &self.inner.engine;
        let found = engine.read_brief(account, |tx, account| {
            let account = account.0;
            Box::pin(async move { tx.row(SQL, params![account], absence_row).await })
        });
        Ok(found.await?.unwrap_or_else(|| Absence::none(account)))
    }

    /// Sets it; the modseq that it has is of no account.
    pub async fn set_absence(&self, absence: Absence) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        engine.write(absence, Repeat::Harmless, |tx, absence| Box::pin(set_in(tx, absence))).await
    }
}

/// What is said, from its stored form.
pub(crate) fn read_answer(text: &str) -> Result<AbsenceAnswer, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Damaged(format!("an absence: {e}")))
}

fn absence_row(row: &Row<'_>) -> Result<Absence, StoreError> {
    Ok(Absence {
        account: AccountId(row.int(0)?),
        is_enabled: row.flag(1)?,
        from_at: row.opt_int(2)?.map(timestamp).transpose()?,
        to_at: row.opt_int(3)?.map(timestamp).transpose()?,
        answer: read_answer(&row.text(4)?)?,
        changed_modseq: modseq(row.int(5)?)?,
    })
}

async fn set_in(tx: &Tx, absence: &Absence) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO absences (account, is_enabled, from_at, to_at, answer, \
        changed_modseq) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account) DO UPDATE SET \
        is_enabled = excluded.is_enabled, from_at = excluded.from_at, to_at = excluded.to_at, \
        answer = excluded.answer, changed_modseq = excluded.changed_modseq";
    let modseq = next_modseq(tx, absence.account, 0, 0).await?;
    let answer = json(&absence.answer);
    let values = params![
        absence.account.0,
        absence.is_enabled,
        absence.from_at.map(micros),
        absence.to_at.map(micros),
        &answer,
        modseq,
    ];
    tx.run(SQL, values).await.map(drop)
}
