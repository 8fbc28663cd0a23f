//! What readers judge, and what is learned from it.
//!
//! ```text
//! a reader moves a message into or out of Junk ─▶ lesson (in the transaction of the move)
//!        the program reads the message, cuts its words ─▶ learn: words, corpora, senders; lesson gone
//! ```
//!
//! A message is learned once. Judged again it is first unlearned, so that counts stay true.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use waxwing_message::JourneyId;

use super::senders::{Growth, SenderIdentity, grow};
use crate::blob::{BlobRow, Content};
use crate::engine::{Repeat, Row, Tx, params};
use crate::instant::{count32, micros};
use crate::journeys::journey_id;
use crate::{AccountId, MessageId, Role, Store, StoreError};

/// The account whose counts are everybody's.
const SHARED: i64 = 0;

/// Filing more messages at once than this says nothing of them.
const FILED_MAX: usize = 50;

/// A judgement that is still to be learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lesson {
    /// Whose reader.
    pub account: AccountId,
    /// What was judged.
    pub message: MessageId,
    /// As what.
    pub spam: bool,
}

/// Messages of each kind: those learned, or those that have a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HamSpam {
    /// Wanted.
    pub ham: u32,
    /// Not wanted.
    pub spam: u32,
}

/// What is known of some words.
#[derive(Debug, Clone, Default)]
pub struct WordCounts {
    /// The account's own; words never seen are not there.
    pub own: HashMap<i64, HamSpam>,
    /// Everybody's.
    pub shared: HashMap<i64, HamSpam>,
    /// Messages that the account's counts come from.
    pub own_corpus: HamSpam,
    /// Messages that everybody's counts come from.
    pub shared_corpus: HamSpam,
}

/// How a change of place or of keywords judges a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    Ham,
    Spam,
}

impl Judged {
    /// What a move or copy from one mailbox to another says: into Junk is a judgement, out of it
    /// (but not to be thrown away) too, and so is filing what came into INBOX, unless it is done with so
    /// many messages at once that nobody can have looked at each.
    pub(crate) fn by_move(from: Option<Role>, to: Option<Role>, messages: usize) -> Option<Judged> {
        match (from, to) {
            (Some(Role::Junk), Some(Role::Junk | Role::Trash)) => None,
            (_, Some(Role::Junk)) => Some(Judged::Spam),
            (Some(Role::Junk), _) => Some(Judged::Ham),
            (Some(Role::Inbox), None | Some(Role::Archive)) if messages <= FILED_MAX => {
                Some(Judged::Ham)
            }
            _ => None,
        }
    }

    /// What keywords that were just given say. `$Junk` and `$NotJunk` are registered with IANA;
    /// Thunderbird and Apple Mail also say it without the `$`.
    pub(crate) fn by_keywords<'k>(given: impl IntoIterator<Item = &'k str>) -> Option<Judged> {
        let mut judged = None;
        for keyword in given {
            match keyword.to_ascii_lowercase().as_str() {
                "$junk" | "junk" => judged = Some(Judged::Spam),
                "$notjunk" | "notjunk" | "nonjunk" => return Some(Judged::Ham),
                _ => {}
            }
        }
        judged
    }
}

impl Store {
    /// Judgements to be learned from, oldest first.
    pub async fn lessons(&self, limit: usize) -> Result<Vec<Lesson>, StoreError> {
        const SQL: &str = "SELECT account, message, spam FROM lessons ORDER BY id LIMIT ?1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        engine
            .read(limit, |tx, limit| {
                let limit = *limit;
                Box::pin(async move { tx.rows(SQL, params![limit], lesson_row).await })
            })
            .await
    }

    /// Notes a judgement, as a move into or out of Junk does. False when there is no such message.
    pub async fn judge(&self, message: MessageId, spam: bool) -> Result<bool, StoreError> {
        const ACCOUNT: &str = "SELECT account FROM messages WHERE id = ?1";
        let engine = &self.inner.engine;
        engine
            .write((message, spam), Repeat::Harmless, |tx, (message, spam)| {
                let (message, spam) = (message.0, *spam);
                Box::pin(async move {
                    let account = tx.row(ACCOUNT, params![message], |row| row.int(0)).await?;
                    let Some(account) = account else { return Ok(false) };
                    let judged = if spam { Judged::Spam } else { Judged::Ham };
                    note_lessons(tx, AccountId(account), &[message], judged).await?;
                    Ok(true)
                })
            })
            .await
    }

    /// The octets of a message, wherever it stands.
    pub async fn message_content(&self, id: MessageId) -> Result<Option<Content>, StoreError> {
        const SQL: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends FROM messages m \
            JOIN blobs b ON b.id = m.blob WHERE m.id = ?1";
        let engine = &self.inner.engine;
        let found = engine
            .read(id, |tx, id| {
                let id = id.0;
                Box::pin(async move { tx.row(SQL, params![id], BlobRow::read).await })
            })
            .await?;
        found.map(|row: BlobRow| row.content(self)).transpose()
    }

    /// The journey that brought a message; `None` when it came by no journey.
    pub async fn journey_of_message(&self, id: MessageId) -> Result<Option<JourneyId>, StoreError> {
        const SQL: &str = "SELECT journey FROM messages WHERE id = ?1";
        let engine = &self.inner.engine;
        let found = engine
            .read(id, |tx, id| {
                let id = id.0;
                Box::pin(async move {
                    tx.row(SQL, params![id], |row| row.opt_bytes(0)?.map(journey_id).transpose())
                        .await
                })
            })
            .await?;
        Ok(found.flatten())
    }

    /// Learns from a judgement, which is done with then. `words` are the message's, each once.
    /// Nothing happens when another node was first.
    pub async fn learn(
        &self,
        lesson: Lesson,
        words: Vec<i64>,
        identities: Vec<SenderIdentity>,
        shared: bool,
    ) -> Result<(), StoreError> {
        let asked = Learning { lesson, words, identities, shared, now: micros(Timestamp::now()) };
        let engine = &self.inner.engine;
        engine.write(asked, Repeat::Harmless, |tx, asked| Box::pin(learn_in(tx, asked))).await
    }

    /// A judgement that nothing can be learned from, such as of a message that has gone.
    pub async fn drop_lesson(&self, lesson: Lesson) -> Result<(), StoreError> {
        let engine = &self.inner.engine;
        engine
            .write(lesson.message, Repeat::Harmless, |tx, message| {
                let message = message.0;
                Box::pin(async move { end_lesson(tx, message).await.map(drop) })
            })
            .await
    }

    /// What is known of these words (and of how many messages it comes).
    pub async fn word_counts(
        &self,
        account: AccountId,
        words: Vec<i64>,
    ) -> Result<WordCounts, StoreError> {
        let engine = &self.inner.engine;
        engine
            .read_brief((account, words), |tx, (account, words)| {
                Box::pin(word_counts_in(tx, account.0, words))
            })
            .await
    }
}

/// A lesson and all that is needed to learn it.
struct Learning {
    lesson: Lesson,
    words: Vec<i64>,
    identities: Vec<SenderIdentity>,
    shared: bool,
    now: i64,
}

fn lesson_row(row: &Row<'_>) -> Result<Lesson, StoreError> {
    Ok(Lesson {
        account: AccountId(row.int(0)?),
        message: MessageId(row.int(1)?),
        spam: row.flag(2)?,
    })
}

/// Notes what a reader judged; the latest judgement of a message counts.
pub(crate) async fn note_lessons(
    tx: &Tx,
    account: AccountId,
    messages: &[i64],
    judged: Judged,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO lessons (account, message, spam) \
        SELECT ?1, id, ?3 FROM messages WHERE id IN LIST(?2) \
        ON CONFLICT (message) DO UPDATE SET spam = excluded.spam";
    // As many at a time as a statement should carry.
    for some in messages.chunks(1_000) {
        tx.run(SQL, params![account.0, some, judged == Judged::Spam]).await?;
    }
    tx.touch(account);
    Ok(())
}

async fn end_lesson(tx: &Tx, message: i64) -> Result<bool, StoreError> {
    const SQL: &str = "DELETE FROM lessons WHERE message = ?1";
    Ok(tx.run(SQL, params![message]).await? > 0)
}

async fn learn_in(tx: &Tx, asked: &Learning) -> Result<(), StoreError> {
    const KNOWN: &str = "SELECT spam FROM learned WHERE message = ?1";
    const NOTE: &str = "INSERT INTO learned (message, account, spam) VALUES (?1, ?2, ?3) \
        ON CONFLICT (message) DO UPDATE SET spam = excluded.spam";
    let Lesson { account, message, spam } = asked.lesson;
    if !end_lesson(tx, message.0).await? {
        return Ok(());
    }
    let known = tx.row(KNOWN, params![message.0], |row| row.flag(0)).await?;
    if known == Some(spam) {
        return Ok(());
    }
    if let Some(before) = known {
        count_message(tx, asked, before, -1).await?;
    }
    count_message(tx, asked, spam, 1).await?;
    tx.run(NOTE, params![message.0, account.0, spam]).await?;
    Ok(())
}

/// Adds a message to everything that is counted, or takes it away.
async fn count_message(tx: &Tx, asked: &Learning, spam: bool, by: i64) -> Result<(), StoreError> {
    let (ham, spam) = if spam { (0, by) } else { (by, 0) };
    let account = asked.lesson.account.0;
    let whose = [Some(account), asked.shared.then_some(SHARED)];
    for whose in whose.into_iter().flatten() {
        count_corpus(tx, whose, ham, spam).await?;
        count_words(tx, whose, &asked.words, ham, spam).await?;
    }
    for identity in &asked.identities {
        let growth = Growth { ham, spam, ..Growth::default() };
        grow(tx, account, identity.kind, &identity.name, growth, asked.now).await?;
    }
    Ok(())
}

async fn count_corpus(tx: &Tx, account: i64, ham: i64, spam: i64) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO corpora (account, ham, spam) VALUES (?1, ?4, ?5) \
        ON CONFLICT (account) DO UPDATE SET \
        ham = CASE WHEN corpora.ham + ?2 > 0 THEN corpora.ham + ?2 ELSE 0 END, \
        spam = CASE WHEN corpora.spam + ?3 > 0 THEN corpora.spam + ?3 ELSE 0 END";
    tx.run(SQL, params![account, ham, spam, ham.max(0), spam.max(0)]).await.map(drop)
}

/// Those that are known are counted in one statement; the others are written one by one.
async fn count_words(
    tx: &Tx,
    account: i64,
    words: &Vec<i64>,
    ham: i64,
    spam: i64,
) -> Result<(), StoreError> {
    const KNOWN: &str = "UPDATE words SET \
        ham = CASE WHEN ham + ?3 > 0 THEN ham + ?3 ELSE 0 END, \
        spam = CASE WHEN spam + ?4 > 0 THEN spam + ?4 ELSE 0 END \
        WHERE account = ?1 AND word IN LIST(?2) RETURNING word";
    // Another lesson of the same account may be learned at the same time by another node.
    const NEW: &str = "INSERT INTO words (account, word, ham, spam) VALUES (?1, ?2, ?5, ?6) \
        ON CONFLICT (account, word) DO UPDATE SET \
        ham = CASE WHEN words.ham + ?3 > 0 THEN words.ham + ?3 ELSE 0 END, \
        spam = CASE WHEN words.spam + ?4 > 0 THEN words.spam + ?4 ELSE 0 END";
    let known = tx.rows(KNOWN, params![account, words, ham, spam], |row| row.int(0)).await?;
    let known: HashSet<i64> = known.into_iter().collect();
    for word in words.iter().filter(|word| !known.contains(word)) {
        tx.run(NEW, params![account, *word, ham, spam, ham.max(0), spam.max(0)]).await?;
    }
    Ok(())
}

/// Whether words can be judged for this account.
pub(super) async fn has_learned(tx: &Tx, account: AccountId) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT 1 FROM corpora WHERE account IN (?1, ?2) LIMIT 1";
    Ok(tx.row(SQL, params![account.0, SHARED], |_| Ok(())).await?.is_some())
}

async fn word_counts_in(tx: &Tx, account: i64, words: &Vec<i64>) -> Result<WordCounts, StoreError> {
    const CORPUS: &str = "SELECT ham, spam FROM corpora WHERE account = ?1";
    const WORDS: &str = "SELECT word, ham, spam FROM words WHERE account = ?1 AND word IN LIST(?2)";
    let mut found = [(HamSpam::default(), HashMap::new()), (HamSpam::default(), HashMap::new())];
    for (whose, (corpus, counts)) in [account, SHARED].into_iter().zip(&mut found) {
        let learned = tx.row(CORPUS, params![whose], |row| ham_spam(row, 0)).await?;
        // Most installations have learned nothing of most accounts: then there is nothing to ask.
        let Some(learned) = learned else { continue };
        *corpus = learned;
        tx.each(WORDS, params![whose, words], |row| {
            counts.insert(row.int(0)?, ham_spam(row, 1)?);
            Ok(true)
        })
        .await?;
    }
    let [(own_corpus, own), (shared_corpus, shared)] = found;
    Ok(WordCounts { own, shared, own_corpus, shared_corpus })
}

fn ham_spam(row: &Row<'_>, column: usize) -> Result<HamSpam, StoreError> {
    Ok(HamSpam { ham: count32(row.int(column)?)?, spam: count32(row.int(column + 1)?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filed_by_the_hundred_was_not_looked_at() {
        let (inbox, junk) = (Some(Role::Inbox), Some(Role::Junk));
        assert_eq!(Judged::by_move(inbox, None, FILED_MAX), Some(Judged::Ham));
        assert_eq!(Judged::by_move(inbox, None, FILED_MAX + 1), None);
        // Spam is seen at a glance, and what was wrongly called so is picked out.
        assert_eq!(Judged::by_move(inbox, junk, 5_000), Some(Judged::Spam));
        assert_eq!(Judged::by_move(junk, inbox, 5_000), Some(Judged::Ham));
        assert_eq!(Judged::by_move(junk, Some(Role::Trash), 1), None);
    }
}
