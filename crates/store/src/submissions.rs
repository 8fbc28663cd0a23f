//! What an account has handed over for sending, or wants to be sent later (RFC 8621 §7), and as whom it writes
//! (§6).
//!
//! | state | meaning | leaves it by |
//! |---|---|---|
//! | waiting | to be handed over at `due_at` | lease (`due_at` moves on); settle (→ final); cancel (→ canceled) |
//! | final | handed over, or refused for good | – |
//! | canceled | taken back before that | – |
//!
//! Whoever hands over what is due leases it for a while: a node that dies in between leaves it to another. As
//! with the queue, a death between handing over and settling sends a message twice rather than never.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use waxwing_message::{Envelope, JourneyId};

use crate::accept::json;
use crate::blob::{BlobRow, Content, name_blob, release_blobs};
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{micros, timestamp};
use crate::journeys::journey_id;
use crate::messages::{modseq, next_modseq};
use crate::{AccountId, MessageId, ModSeq, StagedBlob, Store, StoreError, ThreadId};

/// Names an identity for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityId(pub i64);
/// Names a submission for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubmissionId(pub i64);

/// Identities of an account.
const IDENTITIES_MAX: i64 = 200;
/// Submissions of an account that wait.
const WAITING_MAX: i64 = 1_000;
/// How long a submission that is done is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long handing one over may take.
const LEASE: Duration = Duration::from_secs(10 * 60);
/// Those forgotten in one transaction.
const FORGOTTEN_AT_ONCE: i64 = 200;

const IDENTITY: i64 = 1;
const SUBMISSION: i64 = 2;

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedAddress {
    /// To be shown.
    pub name: Option<String>,
    /// As written.
    pub email: String,
}

/// What an identity is beside its address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityDetails {
    /// For `From`.
    pub name: String,
    /// For `Reply-To`.
    pub reply_to: Option<Vec<NamedAddress>>,
    /// For `Bcc`.
    pub bcc: Option<Vec<NamedAddress>>,
    /// Below plain text.
    pub text_signature: String,
    /// Below HTML.
    pub html_signature: String,
}

/// As whom an account writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For ever.
    pub id: IdentityId,
    /// As written; `*@` and a domain: any address of it.
    pub email: String,
    /// What else.
    pub details: IdentityDetails,
    /// The account's own, which stays.
    pub is_first: bool,
    /// When it was made.
    pub created_modseq: ModSeq,
    /// Of its last change.
    pub changed_modseq: ModSeq,
}

/// See the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmissionState {
    /// To be handed over.
    Waiting,
    /// Handed over, or refused.
    Final,
    /// Taken back.
    Canceled,
}

impl SubmissionState {
    /// As stored: never renumber.
    fn code(self) -> i64 {
        match self {
            SubmissionState::Waiting => 0,
            SubmissionState::Final => 1,
            SubmissionState::Canceled => 2,
        }
    }

    fn of_code(code: i64) -> Result<SubmissionState, StoreError> {
        use SubmissionState::{Canceled, Final, Waiting};
        let found = [Waiting, Final, Canceled].into_iter().find(|state| state.code() == code);
        found.ok_or_else(|| StoreError::Damaged(format!("{code} is not a state of a submission")))
    }
}

/// A message that was handed over, or is to be.
#[derive(Debug, Clone)]
pub struct Submission {
    /// For ever.
    pub id: SubmissionId,
    /// Whose.
    pub account: AccountId,
    /// As whom.
    pub identity: IdentityId,
    /// Which message; it may be gone by now.
    pub message: MessageId,
    /// Of that.
    pub thread: ThreadId,
    /// Who to whom.
    pub envelope: Envelope,
    /// When it was or will be sent.
    pub send_at: Timestamp,
    /// Where it stands.
    pub state: SubmissionState,
    /// What came of it.
    pub journey: Option<JourneyId>,
    /// Why it was not taken.
    pub refusal: Option<String>,
    /// When it was made.
    pub created_modseq: ModSeq,
    /// Of its last change.
    pub changed_modseq: ModSeq,
}

/// To be kept.
pub struct NewSubmission {
    /// Whose.
    pub account: AccountId,
    /// As whom.
    pub identity: IdentityId,
    /// Which message.
    pub message: MessageId,
    /// Of that.
    pub thread: ThreadId,
    /// Who to whom.
    pub envelope: Envelope,
    /// When it was or will be sent.
    pub send_at: Timestamp,
    /// What is to become of it, or has.
    pub what: Handing,
}

/// How a submission begins.
pub enum Handing {
    /// It was handed over.
    Done(JourneyId),
    /// It waits.
    Later(StagedBlob),
}

/// A submission that is due, leased.
pub struct DueSubmission {
    /// Which.
    pub submission: Submission,
    /// The message.
    pub content: Content,
}

/// Why an identity or a submission was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SubmissionError {
    /// There is none.
    #[error("there is no such thing")]
    NotFound,
    /// It is not waiting any more.
    #[error("it was sent already")]
    TooLate,
    /// The first identity stays.
    #[error("the account's own identity stays")]
    First,
    /// More than an account may have.
    #[error("there are too many")]
    TooMany,
    /// The store could not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

macro_rules! select_submissions {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.account, s.identity, s.message, s.thread, s.envelope, s.send_at, \
             s.state, s.journey, s.refusal, s.created_modseq, s.changed_modseq FROM submissions s ",
            $rest
        )
    };
}

impl Store {
    /// As whom an account writes, by id. The first time, that is its own address, and each of `others`.
    pub async fn identities(
        &self,
        account: AccountId,
        others: Vec<String>,
    ) -> Result<Vec<Identity>, StoreError> {
        let engine = &self.inner.engine;
        let found = engine.read_brief(account, |tx, account| Box::pin(identities_in(tx, *account)));
        let found = found.await?;
        if !found.is_empty() {
            return Ok(found);
        }
        engine
            .write((account, others), Repeat::Harmless, |tx, (account, others)| {
                Box::pin(begin_identities_in(tx, *account, others))
            })
            .await
    }

    /// Makes an identity; that the account may write so is for the caller to know.
    pub async fn add_identity(
        &self,
        account: AccountId,
        email: &str,
        details: IdentityDetails,
    ) -> Result<IdentityId, SubmissionError> {
        let asked = (account, email.to_owned(), json(&details));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (account, email, details)| {
                Box::pin(add_identity_in(tx, *account, email, details))
            })
            .await
    }

    /// Changes what an identity is beside its address.
    pub async fn change_identity(
        &self,
        account: AccountId,
        id: IdentityId,
        details: IdentityDetails,
    ) -> Result<(), SubmissionError> {
        let asked = (account, id, json(&details));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (account, id, details)| {
                Box::pin(change_identity_in(tx, *account, *id, details))
            })
            .await
    }

    /// Removes an identity.
    pub async fn remove_identity(
        &self,
        account: AccountId,
        id: IdentityId,
    ) -> Result<(), SubmissionError> {
        let engine = &self.inner.engine;
        engine
            .write((account, id), Repeat::Harmless, |tx, (account, id)| {
                Box::pin(remove_identity_in(tx, *account, *id))
            })
            .await
    }

    /// Keeps a submission.
    pub async fn add_submission(
        &self,
        new: NewSubmission,
    ) -> Result<SubmissionId, SubmissionError> {
        let now = micros(Timestamp::now());
        let engine = &self.inner.engine;
        engine
            .write((new, now), Repeat::Never, |tx, (new, now)| {
                Box::pin(add_submission_in(tx, new, *now))
            })
            .await
    }

    /// All of an account's, by id.
    pub async fn submissions(&self, account: AccountId) -> Result<Vec<Submission>, StoreError> {
        const SQL: &str = select_submissions!("WHERE s.account = ?1 ORDER BY s.id");
        let engine = &self.inner.engine;
        engine
            .read(account, |tx, account| {
                let account = account.0;
                Box::pin(async move { tx.rows(SQL, params![account], submission_row).await })
            })
            .await
    }

    /// Takes a submission back while it waits.
    pub async fn cancel_submission(
        &self,
        account: AccountId,
        id: SubmissionId,
    ) -> Result<(), SubmissionError> {
        let asked = (account, id, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Never, |tx, (account, id, now)| {
                Box::pin(cancel_in(tx, *account, *id, *now))
            })
            .await
    }

    /// Forgets a submission; one that waits is not sent then.
    pub async fn remove_submission(
        &self,
        account: AccountId,
        id: SubmissionId,
    ) -> Result<(), SubmissionError> {
        let asked = (account, id, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (account, id, now)| {
                Box::pin(remove_submission_in(tx, *account, *id, *now))
            })
            .await
    }

    /// Identities of an account that went after `since`, and when.
    pub async fn lost_identities(
        &self,
        account: AccountId,
        since: ModSeq,
    ) -> Result<Vec<(IdentityId, ModSeq)>, StoreError> {
        let lost = self.lost(account, IDENTITY, since).await?;
        Ok(lost.into_iter().map(|(id, modseq)| (IdentityId(id), modseq)).collect())
    }

    /// Submissions of an account that went after `since`, and when.
    pub async fn lost_submissions(
        &self,
        account: AccountId,
        since: ModSeq,
    ) -> Result<Vec<(SubmissionId, ModSeq)>, StoreError> {
        let lost = self.lost(account, SUBMISSION, since).await?;
        Ok(lost.into_iter().map(|(id, modseq)| (SubmissionId(id), modseq)).collect())
    }

    async fn lost(
        &self,
        account: AccountId,
        kind: i64,
        since: ModSeq,
    ) -> Result<Vec<(i64, ModSeq)>, StoreError> {
        const SQL: &str = "SELECT object, modseq FROM lost_objects \
            WHERE account = ?1 AND modseq > ?3 AND kind = ?2 ORDER BY modseq, object";
        let since = i64::try_from(since.0).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        engine
            .read((account, kind, since), |tx, (account, kind, since)| {
                let values = (account.0, *kind, *since);
                Box::pin(async move {
                    let (account, kind, since) = values;
                    tx.rows(SQL, params![account, kind, since], |row| {
                        Ok((row.int(0)?, modseq(row.int(1)?)?))
                    })
                    .await
                })
            })
            .await
    }

    /// The next submission that is due, leased.
    pub async fn due_submission(
        &self,
        now: Timestamp,
    ) -> Result<Option<DueSubmission>, StoreError> {
        let lease = SignedDuration::try_from(LEASE).unwrap_or(SignedDuration::MAX);
        let until = micros(now.saturating_add(lease).unwrap_or(Timestamp::MAX));
        let engine = &self.inner.engine;
        let found = engine
            .write((micros(now), until), Repeat::Never, |tx, (now, until)| {
                Box::pin(lease_in(tx, *now, *until))
            })
            .await?;
        let Some((submission, blob)) = found else { return Ok(None) };
        Ok(Some(DueSubmission { submission, content: blob.content(self)? }))
    }

    /// When the next one is due.
    pub async fn next_submission(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "SELECT MIN(due_at) FROM submissions WHERE due_at IS NOT NULL";
        let engine = &self.inner.engine;
        let next = engine.read((), |tx, ()| {
            Box::pin(async move { tx.row(SQL, &[], |row| row.opt_int(0)).await })
        });
        next.await?.flatten().map(timestamp).transpose()
    }

    /// What became of a submission that was due: handed over, refused for good with these words, or put off
    /// until a moment. One that was taken back meanwhile, or settled by another node, stays so.
    pub async fn settle_submission(
        &self,
        id: SubmissionId,
        outcome: SubmissionOutcome,
    ) -> Result<(), StoreError> {
        let asked = (id, outcome, micros(Timestamp::now()));
        let engine = &self.inner.engine;
        engine
            .write(asked, Repeat::Harmless, |tx, (id, outcome, now)| {
                Box::pin(settle_in(tx, *id, outcome, *now))
            })
            .await
    }

    /// Forgets submissions that were done long ago. Part of the background work.
    pub async fn forget_submissions(&self, now: Timestamp) -> Result<u64, StoreError> {
        const OLD: &str = "SELECT id, account FROM submissions \
            WHERE state <> 0 AND send_at < ?1 ORDER BY id LIMIT ?2";
        let before = micros(now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN));
        let engine = &self.inner.engine;
        let mut forgotten = 0;
        loop {
            let old = engine.read(before, |tx, before| {
                let before = *before;
                Box::pin(async move {
                    let pair =
                        |row: &Row<'_>| Ok((SubmissionId(row.int(0)?), AccountId(row.int(1)?)));
                    tx.rows(OLD, params![before, FORGOTTEN_AT_ONCE], pair).await
                })
            });
            let old = old.await?;
            if old.is_empty() {
                return Ok(forgotten);
            }
            for (id, account) in old {
                match self.remove_submission(account, id).await {
                    Ok(()) | Err(SubmissionError::NotFound) => forgotten += 1,
                    Err(SubmissionError::Store(error)) => return Err(error),
                    Err(_) => {}
                }
            }
        }
    }
}

/// What became of a submission that was due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmissionOutcome {
    /// It is on its way.
    Taken(JourneyId),
    /// Never.
    Refused(String),
    /// Not now.
    PutOff(Timestamp),
}

// ── Identities ──────────────────────────────────────────────────────────────────────────────────

fn identity_row(row: &Row<'_>) -> Result<Identity, StoreError> {
    let damaged = |e: serde_json::Error| StoreError::Damaged(format!("an identity: {e}"));
    Ok(Identity {
        id: IdentityId(row.int(0)?),
        email: row.text(1)?,
        details: serde_json::from_str(&row.text(2)?).map_err(damaged)?,
        is_first: row.flag(3)?,
        created_modseq: modseq(row.int(4)?)?,
        changed_modseq: modseq(row.int(5)?)?,
    })
}

async fn identities_in(tx: &Tx, account: AccountId) -> Result<Vec<Identity>, StoreError> {
    const SQL: &str = "SELECT id, email, details, is_first, created_modseq, changed_modseq \
        FROM identities WHERE account = ?1 ORDER BY id";
    tx.rows(SQL, params![account.0], identity_row).await
}

async fn insert_identity(
    tx: &Tx,
    account: AccountId,
    email: &String,
    details: &String,
    is_first: bool,
    modseq: i64,
) -> Result<IdentityId, StoreError> {
    const SQL: &str = "INSERT INTO identities (account, email, details, is_first, created_modseq, \
        changed_modseq) VALUES (?1, ?2, ?3, ?4, ?5, ?5) RETURNING id";
    let values = params![account.0, email, details, is_first, modseq];
    let id = tx.row(SQL, values, |row| row.int(0)).await?;
    id.map(IdentityId).ok_or_else(|| StoreError::Unavailable("an insertion gave no id".into()))
}

async fn begin_identities_in(
    tx: &Tx,
    account: AccountId,
    others: &[String],
) -> Result<Vec<Identity>, StoreError> {
    const OWN: &str = "SELECT address, display_name FROM accounts WHERE id = ?1";
    let modseq = next_modseq(tx, account, 0, 0).await?;
    // Somebody else may have been first.
    let found = identities_in(tx, account).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    let own = tx.row(OWN, params![account.0], |row| Ok((row.text(0)?, row.text(1)?))).await?;
    let Some((address, name)) = own else { return Ok(Vec::new()) };
    let details = json(&IdentityDetails { name, ..IdentityDetails::default() });
    insert_identity(tx, account, &address, &details, true, modseq).await?;
    for other in others.iter().filter(|other| !other.eq_ignore_ascii_case(&address)) {
        insert_identity(tx, account, other, &details, false, modseq).await?;
    }
    identities_in(tx, account).await
}

async fn add_identity_in(
    tx: &Tx,
    account: AccountId,
    email: &String,
    details: &String,
) -> Result<IdentityId, SubmissionError> {
    const COUNT: &str = "SELECT COUNT(*) FROM identities WHERE account = ?1";
    let modseq = next_modseq(tx, account, 0, 0).await?;
    let count = tx.row(COUNT, params![account.0], |row| row.int(0)).await?;
    if count.is_some_and(|count| count >= IDENTITIES_MAX) {
        return Err(SubmissionError::TooMany);
    }
    Ok(insert_identity(tx, account, email, details, false, modseq).await?)
}

async fn change_identity_in(
    tx: &Tx,
    account: AccountId,
    id: IdentityId,
    details: &String,
) -> Result<(), SubmissionError> {
    const SQL: &str = "UPDATE identities SET details = ?3, changed_modseq = ?4 \
        WHERE id = ?2 AND account = ?1";
    let modseq = next_modseq(tx, account, 0, 0).await?;
    match tx.run(SQL, params![account.0, id.0, details, modseq]).await? {
        0 => Err(SubmissionError::NotFound),
        _ => Ok(()),
    }
}

async fn remove_identity_in(
    tx: &Tx,
    account: AccountId,
    id: IdentityId,
) -> Result<(), SubmissionError> {
    const FIRST: &str = "SELECT is_first FROM identities WHERE id = ?2 AND account = ?1";
    const SQL: &str = "DELETE FROM identities WHERE id = ?1";
    let modseq = next_modseq(tx, account, 0, 0).await?;
    match tx.row(FIRST, params![account.0, id.0], |row| row.flag(0)).await? {
        None => return Err(SubmissionError::NotFound),
        Some(true) => return Err(SubmissionError::First),
        Some(false) => {}
    }
    tx.run(SQL, params![id.0]).await?;
    Ok(note_lost(tx, account, IDENTITY, id.0, modseq).await?)
}

async fn note_lost(
    tx: &Tx,
    account: AccountId,
    kind: i64,
    object: i64,
    modseq: i64,
) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO lost_objects (account, modseq, kind, object) VALUES (?1, ?2, ?3, ?4)";
    tx.run(SQL, params![account.0, modseq, kind, object]).await.map(drop)
}

// ── Submissions ─────────────────────────────────────────────────────────────────────────────────

fn submission_row(row: &Row<'_>) -> Result<Submission, StoreError> {
    let damaged = |e: serde_json::Error| StoreError::Damaged(format!("a submission: {e}"));
    Ok(Submission {
        id: SubmissionId(row.int(0)?),
        account: AccountId(row.int(1)?),
        identity: IdentityId(row.int(2)?),
        message: MessageId(row.int(3)?),
        thread: ThreadId(row.int(4)?),
        envelope: serde_json::from_str(&row.text(5)?).map_err(damaged)?,
        send_at: timestamp(row.int(6)?)?,
        state: SubmissionState::of_code(row.int(7)?)?,
        journey: row.opt_bytes(8)?.map(journey_id).transpose()?,
        refusal: row.opt_text(9)?,
        created_modseq: modseq(row.int(10)?)?,
        changed_modseq: modseq(row.int(11)?)?,
    })
}

async fn add_submission_in(
    tx: &Tx,
    new: &NewSubmission,
    now: i64,
) -> Result<SubmissionId, SubmissionError> {
    const COUNT: &str = "SELECT COUNT(*) FROM submissions WHERE account = ?1 AND state = 0";
    const SQL: &str = "INSERT INTO submissions (account, identity, message, thread, envelope, blob, \
        send_at, due_at, state, journey, refusal, created_modseq, changed_modseq) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL, ?11, ?11) RETURNING id";
    let modseq = next_modseq(tx, new.account, 0, 0).await?;
    let send_at = micros(new.send_at);
    let (blob, due_at, state, journey) = match &new.what {
        Handing::Done(journey) => (None, None, SubmissionState::Final, Some(journey)),
        Handing::Later(blob) => {
            let count = tx.row(COUNT, params![new.account.0], |row| row.int(0)).await?;
            if count.is_some_and(|count| count >= WAITING_MAX) {
                return Err(SubmissionError::TooMany);
            }
            let blob = name_blob(tx, blob, 1, now).await?;
            (Some(blob), Some(send_at), SubmissionState::Waiting, None)
        }
    };
    let envelope = json(&new.envelope);
    let journey = journey.map(|id| id.0.as_bytes().as_slice());
    let values = params![
        new.account.0,
        new.identity.0,
        new.message.0,
        new.thread.0,
        &envelope,
        blob,
        send_at,
        due_at,
        state.code(),
        journey,
        modseq,
    ];
    let id = tx.row(SQL, values, |row| row.int(0)).await?;
    let none = || StoreError::Unavailable("an insertion gave no id".into());
    tx.touch_queue();
    Ok(SubmissionId(id.ok_or_else(none)?))
}

/// Its account, state and blob.
async fn standing(
    tx: &Tx,
    id: SubmissionId,
) -> Result<Option<(AccountId, SubmissionState, Option<i64>)>, StoreError> {
    const SQL: &str = "SELECT account, state, blob FROM submissions WHERE id = ?1";
    tx.row(SQL, params![id.0], |row| {
        let state = SubmissionState::of_code(row.int(1)?)?;
        Ok((AccountId(row.int(0)?), state, row.opt_int(2)?))
    })
    .await
}

async fn cancel_in(
    tx: &Tx,
    account: AccountId,
    id: SubmissionId,
    now: i64,
) -> Result<(), SubmissionError> {
    const SQL: &str = "UPDATE submissions SET state = ?2, due_at = NULL, blob = NULL, \
        changed_modseq = ?3 WHERE id = ?1";
    let modseq = next_modseq(tx, account, 0, 0).await?;
    let found = standing(tx, id).await?.filter(|(owner, ..)| *owner == account);
    let (_, state, blob) = found.ok_or(SubmissionError::NotFound)?;
    match state {
        SubmissionState::Canceled => return Ok(()),
        SubmissionState::Final => return Err(SubmissionError::TooLate),
        SubmissionState::Waiting => {}
    }
    tx.run(SQL, params![id.0, SubmissionState::Canceled.code(), modseq]).await?;
    let blobs: Vec<i64> = blob.into_iter().collect();
    Ok(release_blobs(tx, &blobs, now).await?)
}

async fn remove_submission_in(
    tx: &Tx,
    account: AccountId,
    id: SubmissionId,
    now: i64,
) -> Result<(), SubmissionError> {
    const SQL: &str = "DELETE FROM submissions WHERE id = ?1";
    let modseq = next_modseq(tx, account, 0, 0).await?;
    let found = standing(tx, id).await?.filter(|(owner, ..)| *owner == account);
    let (_, _, blob) = found.ok_or(SubmissionError::NotFound)?;
    tx.run(SQL, params![id.0]).await?;
    let blobs: Vec<i64> = blob.into_iter().collect();
    release_blobs(tx, &blobs, now).await?;
    Ok(note_lost(tx, account, SUBMISSION, id.0, modseq).await?)
}

async fn lease_in(
    tx: &Tx,
    now: i64,
    until: i64,
) -> Result<Option<(Submission, BlobRow)>, StoreError> {
    const DUE: &str = "SELECT id FROM submissions WHERE due_at <= ?1 ORDER BY due_at LIMIT 1 \
        /*postgres:FOR UPDATE SKIP LOCKED*/";
    const LEASE: &str = "UPDATE submissions SET due_at = ?2 WHERE id = ?1";
    const ONE: &str = select_submissions!("WHERE s.id = ?1");
    const BLOB: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends FROM submissions s \
        JOIN blobs b ON b.id = s.blob WHERE s.id = ?1";
    let Some(id) = tx.row(DUE, params![now], |row| row.int(0)).await? else { return Ok(None) };
    tx.run(LEASE, params![id, until]).await?;
    let submission = tx.row(ONE, params![id], submission_row).await?;
    let blob = tx.row(BLOB, params![id], BlobRow::read).await?;
    let both = submission.zip(blob);
    both.map(Some).ok_or_else(|| StoreError::Damaged(format!("submission {id} has no message")))
}

async fn settle_in(
    tx: &Tx,
    id: SubmissionId,
    outcome: &SubmissionOutcome,
    now: i64,
) -> Result<(), StoreError> {
    const PUT_OFF: &str = "UPDATE submissions SET due_at = ?2 WHERE id = ?1";
    const END: &str = "UPDATE submissions SET state = ?2, due_at = NULL, blob = NULL, journey = ?3, \
        refusal = ?4, changed_modseq = ?5 WHERE id = ?1";
    let Some((account, ..)) = standing(tx, id).await? else { return Ok(()) };
    let modseq = next_modseq(tx, account, 0, 0).await?;
    // Read again: now nobody else changes it.
    let Some((_, SubmissionState::Waiting, blob)) = standing(tx, id).await? else { return Ok(()) };
    let (journey, refusal) = match outcome {
        SubmissionOutcome::PutOff(at) => {
            return tx.run(PUT_OFF, params![id.0, micros(*at)]).await.map(drop);
        }
        SubmissionOutcome::Taken(journey) => (Some(journey.0.as_bytes().as_slice()), None),
        SubmissionOutcome::Refused(why) => (None, Some(why.as_str())),
    };
    let state = SubmissionState::Final.code();
    tx.run(END, params![id.0, state, journey, refusal, modseq]).await?;
    let blobs: Vec<i64> = blob.into_iter().collect();
    release_blobs(tx, &blobs, now).await
}

/// With the account.
pub(crate) async fn remove_all(tx: &Tx, account: AccountId, now: i64) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM submissions WHERE account = ?1 RETURNING blob";
    let blobs = tx.rows(SQL, params![account.0], |row| row.opt_int(0)).await?;
    let blobs: Vec<i64> = blobs.into_iter().flatten().collect();
    release_blobs(tx, &blobs, now).await
}
