//! Readers' own rules: Sieve scripts by name, one of them active, and what scripts remember from one
//! message to the next.
//!
//! | what | how long |
//! |---|---|
//! | scripts | until their owner removes them |
//! | who was answered by `vacation` (RFC 5230 §4.1) | for as long as nobody is answered again |
//! | what `duplicate` has seen (RFC 7352) | for as long as the script says |
//!
//! What is remembered of a message becomes true in the transaction that takes it
//! ([`Beside`](crate::Beside)): a message that was not taken was not seen, and nobody is answered
//! twice. The store keeps scripts as octets: what they mean is for others to say.

use jiff::Timestamp;

use crate::absences::read_answer;
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{micros, timestamp};
use crate::{AbsenceAnswer, AccountId, Store, StoreError};

/// Octets in a script.
pub const SCRIPT_OCTETS_MAX: u64 = 1 << 20;
/// Octets in all scripts of an account.
pub const SCRIPTS_OCTETS_MAX: u64 = 8 << 20;
/// Scripts of an account.
pub const SCRIPTS_MAX: u64 = 64;
/// Octets in a script's name: RFC 5804 §1.6 wants room for 128 characters.
const NAME_OCTETS_MAX: usize = 512;

/// A script without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SieveScript {
    /// Unlike those of the account's other scripts.
    pub name: String,
    /// Whether it runs at each delivery.
    pub active: bool,
    /// Of the content.
    pub size_octets: u64,
    /// When it was last written.
    pub changed_at: Timestamp,
}

/// The script that runs, by what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveScript {
    /// Whose.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// BLAKE3 of its content.
    pub digest: [u8; 32],
}

/// Why an operation on scripts was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// There is none of that name.
    #[error("there is no script of that name")]
    NotFound,
    /// There is one of that name already.
    #[error("there is a script of that name already")]
    Exists,
    /// Empty, too long, or with control characters (RFC 5804 §1.6).
    #[error("that is not a possible name of a script")]
    BadName,
    /// The active script cannot be deleted (RFC 5804 §2.10).
    #[error("the script is active: make another one active first, or none")]
    Active,
    /// More scripts than an account may have.
    #[error("there are too many scripts: remove one first")]
    TooMany,
    /// A script larger than any may be.
    #[error("the script is too large: it may have 1 MB")]
    TooLarge,
    /// All scripts together are larger than they may be.
    #[error("no space is left for scripts: remove one first")]
    NoSpace,
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An answer that goes to somebody at most once in a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceInAWhile {
    /// Who answers.
    pub account: AccountId,
    /// Whom, and with what: a hash.
    pub whom: [u8; 32],
    /// Who was answered at or before this moment may be answered again.
    pub again_from: Timestamp,
    /// From then on the answer need not be remembered.
    pub forget_at: Timestamp,
}

/// What `duplicate` is to know again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenId {
    /// Who saw it.
    pub account: AccountId,
    /// What: a hash.
    pub id: [u8; 32],
    /// Until when.
    pub expires_at: Timestamp,
    /// Whether having seen it again begins the time anew.
    pub renew: bool,
}

/// What accounts have done with mail that comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActiveRules {
    /// Their active scripts.
    pub scripts: Vec<ActiveScript>,
    /// What those who are away have said.
    pub answers: Vec<(AccountId, AbsenceAnswer)>,
}

impl ActiveRules {
    /// There are none.
    pub fn are_none(&self) -> bool {
        self.scripts.is_empty() && self.answers.is_empty()
    }

    /// Columns: account, whether it is an absence, name or answer, digest.
    fn add(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let account = AccountId(row.int(0)?);
        if row.int(1)? == 1 {
            self.answers.push((account, read_answer(&row.text(2)?)?));
            return Ok(());
        }
        let digest = row.bytes(3)?.try_into();
        let digest = digest.map_err(|_| StoreError::Damaged("a digest is not 32 octets".into()))?;
        self.scripts.push(ActiveScript { account, name: row.text(2)?, digest });
        Ok(())
    }
}

impl Store {
    /// An account's scripts in order of their names.
    pub async fn sieve_scripts(&self, account: AccountId) -> Result<Vec<SieveScript>, StoreError> {
        const SQL: &str = "SELECT name, active, CAST(LENGTH(content) AS BIGINT), changed_at FROM sieve_scripts \
            WHERE account = ?1 ORDER BY name";
        let engine = &self.inner.engine;
        engine
            .read(account.0, |tx, account| {
                Box::pin(async move { tx.rows(SQL, params![*account], script_row).await })
            })
            .await
    }

    /// The content of one script.
    pub async fn sieve_script(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        const SQL: &str = "SELECT content FROM sieve_scripts WHERE account = ?1 AND name = ?2";
        let engine = &self.inner.engine;
        engine
            .read((account.0, name.to_owned()), |tx, (account, name)| {
                Box::pin(async move { tx.row(SQL, params![*account, name], octets).await })
            })
            .await
    }

    /// The active scripts of these accounts.
    pub async fn active_sieve_scripts(
        &self,
        accounts: Vec<AccountId>,
    ) -> Result<Vec<ActiveScript>, StoreError> {
        Ok(self.active_rules(accounts, Timestamp::now()).await?.scripts)
    }

    /// What these accounts have done with their mail: one look-up on the way of every message.
    pub async fn active_rules(
        &self,
        accounts: Vec<AccountId>,
        now: Timestamp,
    ) -> Result<ActiveRules, StoreError> {
        macro_rules! select {
            ($which:literal) => {
                concat!(
                    "SELECT account, CAST(0 AS BIGINT), name, digest FROM sieve_scripts WHERE ",
                    $which,
                    " AND active = 1 UNION ALL SELECT account, CAST(1 AS BIGINT), answer, ?3 \
                     FROM absences WHERE ",
                    $which,
                    " AND is_enabled = 1 AND COALESCE(from_at, ?2) <= ?2 \
                     AND (to_at IS NULL OR to_at > ?2)"
                )
            };
        }
        const ONE: &str = select!("account = ?1");
        const SOME: &str = select!("account IN LIST(?1)");
        let accounts: Vec<i64> = accounts.into_iter().map(|account| account.0).collect();
        let engine = &self.inner.engine;
        engine
            .read_brief((accounts, micros(now)), |tx, (accounts, now)| {
                Box::pin(async move {
                    let none: &[u8] = &[];
                    let mut rules = ActiveRules::default();
                    let look = |row: &Row<'_>| {
                        rules.add(row)?;
                        Ok(true)
                    };
                    match accounts.as_slice() {
                        [one] => tx.each(ONE, params![*one, *now, none], look).await?,
                        some => tx.each(SOME, params![some, *now, none], look).await?,
                    }
                    Ok(rules)
                })
            })
            .await
    }

    /// Whether a script of that size could be put there (RFC 5804 §2.5).
    pub async fn sieve_space(
        &self,
        account: AccountId,
        name: &str,
        octets: u64,
    ) -> Result<(), ScriptError> {
        check_name(name)?;
        let engine = &self.inner.engine;
        engine
            .read((account.0, name.to_owned(), octets), |tx, (account, name, octets)| {
                Box::pin(check_space(tx, *account, name, *octets))
            })
            .await
    }

    /// Keeps a script, in the place of one of that name if there is one.
    pub async fn put_sieve_script(
        &self,
        account: AccountId,
        name: &str,
        content: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), ScriptError> {
        const SQL: &str = "INSERT INTO sieve_scripts (account, name, content, digest, active, \
            changed_at) VALUES (?1, ?2, ?3, ?4, 0, ?5) ON CONFLICT (account, name) DO UPDATE SET \
            content = excluded.content, digest = excluded.digest, changed_at = excluded.changed_at";
        check_name(name)?;
        let asked = (account.0, name.to_owned(), content, micros(now));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (account, name, content, now)| {
                Box::pin(async move {
                    lock(tx, *account).await?;
                    check_space(tx, *account, name, content.len() as u64).await?;
                    let digest = *blake3::hash(content).as_bytes();
                    tx.run(SQL, params![*account, name, content, &digest, *now]).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Makes a script the one that runs; `None` makes no script active.
    pub async fn activate_sieve_script(
        &self,
        account: AccountId,
        name: Option<&str>,
    ) -> Result<(), ScriptError> {
        const OFF: &str = "UPDATE sieve_scripts SET active = 0 WHERE account = ?1 AND active = 1";
        const ON: &str = "UPDATE sieve_scripts SET active = 1 WHERE account = ?1 AND name = ?2";
        let asked = (account.0, name.map(str::to_owned));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (account, name)| {
                Box::pin(async move {
                    lock(tx, *account).await?;
                    tx.run(OFF, params![*account]).await?;
                    let Some(name) = name else { return Ok(()) };
                    match tx.run(ON, params![*account, name]).await? {
                        0 => Err(ScriptError::NotFound),
                        _ => Ok(()),
                    }
                })
            })
            .await
    }

    /// Gives a script another name; it stays active if it was.
    pub async fn rename_sieve_script(
        &self,
        account: AccountId,
        old: &str,
        new: &str,
    ) -> Result<(), ScriptError> {
        const SQL: &str = "UPDATE sieve_scripts SET name = ?3 WHERE account = ?1 AND name = ?2";
        check_name(new)?;
        let engine = &self.inner.engine;
        let asked = (account.0, old.to_owned(), new.to_owned());
        engine
            .write(asked, Repeat::Never, |tx, (account, old, new)| {
                Box::pin(async move {
                    lock(tx, *account).await?;
                    if is_active(tx, *account, old).await?.is_none() {
                        return Err(ScriptError::NotFound);
                    }
                    if is_active(tx, *account, new).await?.is_some() {
                        return Err(ScriptError::Exists);
                    }
                    tx.run(SQL, params![*account, old, new]).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Deletes a script that is not active.
    pub async fn delete_sieve_script(
        &self,
        account: AccountId,
        name: &str,
    ) -> Result<(), ScriptError> {
        const SQL: &str = "DELETE FROM sieve_scripts WHERE account = ?1 AND name = ?2";
        let engine = &self.inner.engine;
        engine
            .write((account.0, name.to_owned()), Repeat::Never, |tx, (account, name)| {
                Box::pin(async move {
                    lock(tx, *account).await?;
                    match is_active(tx, *account, name).await? {
                        None => Err(ScriptError::NotFound),
                        Some(true) => Err(ScriptError::Active),
                        Some(false) => {
                            tx.run(SQL, params![*account, name]).await?;
                            Ok(())
                        }
                    }
                })
            })
            .await
    }

    /// Whether nobody known by that hash was answered after `again_from`.
    pub async fn vacation_due(
        &self,
        account: AccountId,
        whom: [u8; 32],
        again_from: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "SELECT at FROM vacation_answers WHERE account = ?1 AND whom = ?2 AND at > ?3";
        let engine = &self.inner.engine;
        let asked = (account.0, whom, micros(again_from));
        let found = engine
            .read_brief(asked, |tx, (account, whom, from)| {
                Box::pin(async move {
                    tx.row(SQL, params![*account, whom, *from], |row| row.int(0)).await
                })
            })
            .await?;
        Ok(found.is_none())
    }

    /// Whether that was seen and is still remembered.
    pub async fn was_seen(
        &self,
        account: AccountId,
        id: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "SELECT expires_at FROM seen_ids WHERE account = ?1 AND id = ?2 AND expires_at > ?3";
        let engine = &self.inner.engine;
        let found = engine
            .read_brief((account.0, id, micros(now)), |tx, (account, id, now)| {
                Box::pin(
                    async move { tx.row(SQL, params![*account, id, *now], |row| row.int(0)).await },
                )
            })
            .await?;
        Ok(found.is_some())
    }

    /// Forgets answers and ids whose time is over; gives how many.
    pub async fn forget_seen(&self, now: Timestamp) -> Result<u64, StoreError> {
        const ANSWERS: &str = "DELETE FROM vacation_answers WHERE forget_at <= ?1";
        const IDS: &str = "DELETE FROM seen_ids WHERE expires_at <= ?1";
        let engine = &self.inner.engine;
        engine
            .write(micros(now), Repeat::Harmless, |tx, now| {
                Box::pin(async move {
                    Ok(tx.run(ANSWERS, params![*now]).await? + tx.run(IDS, params![*now]).await?)
                })
            })
            .await
    }
}

/// RFC 5804 §1.6: no control characters, no line or paragraph separators.
fn check_name(name: &str) -> Result<(), ScriptError> {
    let bad = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    match name.is_empty() || name.len() > NAME_OCTETS_MAX || name.chars().any(bad) {
        true => Err(ScriptError::BadName),
        false => Ok(()),
    }
}

/// One change of an account's scripts at a time.
async fn lock(tx: &Tx, account: i64) -> Result<(), ScriptError> {
    const SQL: &str = "UPDATE accounts SET modseq = modseq WHERE id = ?1";
    match tx.run(SQL, params![account]).await? {
        0 => Err(ScriptError::NotFound),
        _ => Ok(()),
    }
}

async fn is_active(tx: &Tx, account: i64, name: &str) -> Result<Option<bool>, StoreError> {
    const SQL: &str = "SELECT active FROM sieve_scripts WHERE account = ?1 AND name = ?2";
    tx.row(SQL, params![account, name], |row| row.flag(0)).await
}

async fn check_space(tx: &Tx, account: i64, name: &str, octets: u64) -> Result<(), ScriptError> {
    const SQL: &str = "SELECT CAST(LENGTH(content) AS BIGINT) FROM sieve_scripts WHERE account = ?1 AND name <> ?2";
    if octets > SCRIPT_OCTETS_MAX {
        return Err(ScriptError::TooLarge);
    }
    let sizes = tx.rows(SQL, params![account, name], |row| length(row, 0)).await?;
    if sizes.len() as u64 >= SCRIPTS_MAX {
        return Err(ScriptError::TooMany);
    }
    match sizes.iter().sum::<u64>() + octets > SCRIPTS_OCTETS_MAX {
        true => Err(ScriptError::NoSpace),
        false => Ok(()),
    }
}

/// In the transaction of an acceptance: false when somebody was answered meanwhile.
pub(crate) async fn note_answer(
    tx: &Tx,
    answer: &OnceInAWhile,
    now: i64,
) -> Result<bool, StoreError> {
    const SQL: &str = "INSERT INTO vacation_answers (account, whom, at, forget_at) \
        VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account, whom) DO UPDATE SET at = ?3, forget_at = ?4 \
        WHERE vacation_answers.at <= ?5";
    let forget_at = micros(answer.forget_at);
    let values = params![answer.account.0, &answer.whom, now, forget_at, micros(answer.again_from)];
    Ok(tx.run(SQL, values).await? > 0)
}

/// In the transaction of an acceptance.
pub(crate) async fn note_seen_ids(tx: &Tx, ids: &[SeenId], now: i64) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO seen_ids (account, id, expires_at) VALUES (?1, ?2, ?3) \
        ON CONFLICT (account, id) DO UPDATE SET expires_at = ?3 \
        WHERE CAST(?4 AS BIGINT) = 1 OR seen_ids.expires_at <= ?5";
    for seen in ids {
        let until = micros(seen.expires_at);
        tx.run(SQL, params![seen.account.0, &seen.id, until, seen.renew, now]).await?;
    }
    Ok(())
}

fn octets(row: &Row<'_>) -> Result<Vec<u8>, StoreError> {
    Ok(row.bytes(0)?.to_vec())
}

fn length(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    crate::instant::count(row.int(column)?)
}

fn script_row(row: &Row<'_>) -> Result<SieveScript, StoreError> {
    Ok(SieveScript {
        name: row.text(0)?,
        active: row.flag(1)?,
        size_octets: length(row, 2)?,
        changed_at: timestamp(row.int(3)?)?,
    })
}
