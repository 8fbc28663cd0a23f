//! Full-text search. Words are cut in Rust, so that both engines give the same answers.
//!
//! A message is indexed some time after it came (`index_some`, run in the background), never in
//! its way. Until then, and for ever when it has more text than is indexed, a search reads it
//! directly, so that answers are always complete.
//!
//! | `messages.indexed` | meaning |
//! |---|---|
//! | 0 | waits |
//! | 1 | the index has all its words |
//! | 2 | the index has none of them: too much text, or unreadable |
//!
//! The index (FTS5 without content; a tsvector with a GIN index) holds terms as `words.rs` makes
//! them. It narrows a question down to candidates, whose text is then looked at, unless the
//! question is a single word: then the index has said it all.

mod text;
mod words;

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;

use crate::accept::decode_summary;
use crate::blob::BlobRow;
use crate::engine::{Repeat, Tx, params};
use crate::instant::count32;
use crate::{AccountId, Content, MailboxId, Store, StoreError, Uid};
use words::Question;

/// Text that is indexed of one message at most.
const INDEXED_OCTETS_MAX: usize = 1 << 20;
/// Text that is looked at of one message at most.
const SEARCHED_OCTETS_MAX: usize = 64 << 20;
/// Messages read at one time.
const READ_AT_ONCE: usize = 4;
/// Messages written to the index in one transaction: mail in between waits no longer than that.
const WRITTEN_AT_ONCE: usize = 8;

const WAITS: i64 = 0;
const WHOLE: i64 = 1;
const NOT_INDEXED: i64 = 2;

impl Store {
    /// UIDs of messages whose indexed text has all words of `text` (the last may be the beginning
    /// of one), and, checked on the stored text, `text` itself as a substring without regard to case
    /// and accents as IMAP's BODY and TEXT ask. Messages not indexed yet are read directly, so that
    /// the answer is always complete. `headers_too`: IMAP's TEXT rather than BODY.
    ///
    /// Deviates: RFC 9051 §6.4.4 knows no words: there `ello` finds `hello`. Here a match begins where
    /// a word begins.
    pub async fn search_text(
        &self,
        mailbox: MailboxId,
        text: &str,
        headers_too: bool,
    ) -> Result<Vec<Uid>, StoreError> {
        let question = words::question(text);
        let asked = (mailbox, question, headers_too);
        let engine = &self.inner.engine;
        let (mut found, doubtful) = engine
            .read(asked, |tx, (mailbox, question, headers_too)| {
                Box::pin(candidates(tx, *mailbox, question, *headers_too))
            })
            .await?;
        let question = words::question(text);
        let looked_at = futures_util::stream::iter(doubtful)
            .map(|candidate| self.look_at(candidate, &question, headers_too))
            .buffer_unordered(READ_AT_ONCE);
        let mut looked_at = std::pin::pin!(looked_at);
        while let Some(uids) = looked_at.next().await {
            found.extend(uids?);
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The UIDs of a candidate, if its text has what is asked for.
    async fn look_at(
        &self,
        candidate: Candidate,
        question: &Question,
        headers_too: bool,
    ) -> Result<Vec<Uid>, StoreError> {
        let engine = &self.inner.engine;
        let stored =
            engine.read(candidate.message, |tx, message| Box::pin(load(tx, *message))).await?;
        let Some((blob, summary)) = stored else { return Ok(Vec::new()) };
        let content = blob.content(self)?;
        let text = match decode_summary(&summary) {
            Ok(summary) => text::read(&content, &summary, SEARCHED_OCTETS_MAX).await?,
            Err(_) => text::Text::default(),
        };
        let wanted = question.folded.clone();
        let has = tokio::task::spawn_blocking(move || {
            let in_body = begins_at_word(&words::fold(&text.body), &wanted);
            in_body || headers_too && begins_at_word(&words::fold(&text.header), &wanted)
        });
        let has = has.await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(if has { candidate.uids } else { Vec::new() })
    }

    /// Indexes up to `limit` waiting messages; gives how many.
    pub async fn index_some(&self, limit: usize) -> Result<usize, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        let waiting = engine.read(limit, |tx, limit| Box::pin(waiting(tx, *limit))).await?;
        let count = waiting.len();
        let cut = futures_util::stream::iter(waiting)
            .map(|waiting| self.cut(waiting))
            .buffer_unordered(READ_AT_ONCE);
        let mut cut = std::pin::pin!(cut.ready_chunks(WRITTEN_AT_ONCE));
        while let Some(some) = cut.next().await {
            let some = some.into_iter().collect::<Result<Vec<_>, _>>()?;
            engine.write(some, Repeat::Harmless, |tx, some| Box::pin(write(tx, some))).await?;
        }
        Ok(count)
    }

    /// The terms of a waiting message.
    async fn cut(&self, waiting: Waiting) -> Result<Cut, StoreError> {
        let Waiting { message, account, summary, blob } = waiting;
        let content: Content = blob.content(self)?;
        let read = match decode_summary(&summary) {
            Ok(summary) => text::read(&content, &summary, INDEXED_OCTETS_MAX).await,
            Err(error) => Err(error),
        };
        let text = match read {
            Ok(text) if text.whole => text,
            Ok(_) => return Ok(Cut { message, state: NOT_INDEXED, terms: Vec::new() }),
            Err(StoreError::Damaged(why)) => {
                tracing::error!(message, why, "a message cannot be indexed");
                return Ok(Cut { message, state: NOT_INDEXED, terms: Vec::new() });
            }
            Err(error) => return Err(error),
        };
        let terms =
            tokio::task::spawn_blocking(move || words::terms(account.0, &text.header, &text.body));
        let terms = terms.await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Cut { message, state: WHOLE, terms })
    }
}

/// Whether `wanted` stands in `text` where a word begins (or begins with something else): the same
/// for messages that are read directly as for those that the index finds.
fn begins_at_word(text: &str, wanted: &str) -> bool {
    text.match_indices(wanted).any(|(at, _)| words::begins_at(text, at))
}

// ── Asking ──────────────────────────────────────────────────────────────────────────────────────

/// A message whose text must be looked at, and where it is.
struct Candidate {
    message: i64,
    uids: Vec<Uid>,
}

/// Those that are found for sure, and those that must be looked at.
async fn candidates(
    tx: &Tx,
    mailbox: MailboxId,
    question: &Question,
    headers_too: bool,
) -> Result<(Vec<Uid>, Vec<Candidate>), StoreError> {
    const ACCOUNT: &str = "SELECT account FROM mailboxes WHERE id = ?1";
    const DIRECT: &str = "SELECT id FROM messages WHERE account = ?1 AND indexed <> 1";
    const ENTRIES: &str = "SELECT uid, message FROM entries WHERE mailbox = ?1 ORDER BY uid";
    let Some(account) = tx.row(ACCOUNT, params![mailbox.0], |row| row.int(0)).await? else {
        return Ok((Vec::new(), Vec::new()));
    };
    // Without a word in the question the index knows nothing: all are looked at.
    let index = match question.words.is_empty() {
        true => None,
        false => Some(ask_index(tx, account, question, headers_too).await?),
    };
    let direct: HashSet<i64> = match &index {
        None => HashSet::new(),
        Some(_) => tx.rows(DIRECT, params![account], |row| row.int(0)).await?.into_iter().collect(),
    };
    let mut found = Vec::new();
    let mut doubtful: HashMap<i64, Candidate> = HashMap::new();
    tx.each(ENTRIES, params![mailbox.0], |row| {
        let (uid, message) = (Uid(count32(row.int(0)?)?), row.int(1)?);
        let in_index = index.as_ref().is_none_or(|hits| hits.contains(&message));
        if in_index && question.one_word && index.is_some() {
            found.push(uid);
        } else if in_index || direct.contains(&message) {
            let candidate = Candidate { message, uids: Vec::new() };
            doubtful.entry(message).or_insert(candidate).uids.push(uid);
        }
        Ok(true)
    })
    .await?;
    Ok((found, doubtful.into_values().collect()))
}

/// Messages of the account that have all the words.
async fn ask_index(
    tx: &Tx,
    account: i64,
    question: &Question,
    headers_too: bool,
) -> Result<HashSet<i64>, StoreError> {
    const SQLITE: &str = "SELECT rowid FROM search WHERE search MATCH ?1";
    const POSTGRES: &str =
        "SELECT message FROM search WHERE words @@ CAST(CAST(?1 AS TEXT) AS TSQUERY)";
    let postgres = tx.is_postgres();
    let letters: &[char] = if headers_too { &['b', 'h'] } else { &['b'] };
    let mut text = quoted(&words::owner(account), postgres, false);
    for (index, word) in question.words.iter().enumerate() {
        let last = index + 1 == question.words.len();
        let either: Vec<String> = letters
            .iter()
            .map(|letter| quoted(&format!("{letter}{word}"), postgres, last))
            .collect();
        let (and, or) = if postgres { (" & ", " | ") } else { (" AND ", " OR ") };
        text.push_str(&format!("{and}({})", either.join(or)));
    }
    let sql = if postgres { POSTGRES } else { SQLITE };
    Ok(tx.rows(sql, params![&text], |row| row.int(0)).await?.into_iter().collect())
}

/// A term in the language of the index. Terms hold no quotes: see `words.rs`.
fn quoted(term: &str, postgres: bool, beginning: bool) -> String {
    match (postgres, beginning) {
        (true, false) => format!("'{term}'"),
        (true, true) => format!("'{term}':*"),
        (false, false) => format!("\"{term}\""),
        (false, true) => format!("\"{term}\" *"),
    }
}

/// Where the octets of a message are, and its summary.
async fn load(tx: &Tx, message: i64) -> Result<Option<(BlobRow, Vec<u8>)>, StoreError> {
    const SQL: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends, m.summary \
        FROM messages m JOIN blobs b ON b.id = m.blob WHERE m.id = ?1";
    tx.row(SQL, params![message], |row| Ok((BlobRow::read(row)?, row.bytes(4)?.to_vec()))).await
}

// ── Indexing ────────────────────────────────────────────────────────────────────────────────────

struct Waiting {
    message: i64,
    account: AccountId,
    summary: Vec<u8>,
    blob: BlobRow,
}

/// A message cut into terms.
struct Cut {
    message: i64,
    state: i64,
    terms: Vec<String>,
}

async fn waiting(tx: &Tx, limit: i64) -> Result<Vec<Waiting>, StoreError> {
    const SQL: &str = "SELECT b.id, b.size_octets, b.object, b.chunk_ends, m.id, m.account, \
        m.summary FROM messages m JOIN blobs b ON b.id = m.blob WHERE m.indexed <> 1 AND m.indexed = 0 \
        ORDER BY m.account, m.id LIMIT ?1";
    tx.rows(SQL, params![limit], |row| {
        Ok(Waiting {
            message: row.int(4)?,
            account: AccountId(row.int(5)?),
            summary: row.bytes(6)?.to_vec(),
            blob: BlobRow::read(row)?,
        })
    })
    .await
}

async fn write(tx: &Tx, some: &Vec<Cut>) -> Result<(), StoreError> {
    const MARK: &str = "UPDATE messages SET indexed = ?2 WHERE id = ?1 AND indexed = ?3";
    const SQLITE: &str = "INSERT INTO search (rowid, words) VALUES (?1, ?2)";
    const POSTGRES: &str = "INSERT INTO search (message, words) VALUES (?1, array_to_tsvector(?2))";
    for Cut { message, state, terms } in some {
        // Expunged meanwhile, or done by another node: then there is nothing to do.
        let marked = tx.run(MARK, params![*message, *state, WAITS]).await? == 1;
        if !marked || *state != WHOLE {
            continue;
        }
        if tx.is_postgres() {
            tx.run(POSTGRES, params![*message, terms.as_slice()]).await?;
        } else {
            tx.run(SQLITE, params![*message, &terms.join(" ")]).await?;
        }
    }
    Ok(())
}

/// Takes messages out of the index.
pub(crate) async fn forget(tx: &Tx, messages: &Vec<i64>) -> Result<(), StoreError> {
    const SQLITE: &str = "DELETE FROM search WHERE rowid IN LIST(?1)";
    const POSTGRES: &str = "DELETE FROM search WHERE message IN LIST(?1)";
    if messages.is_empty() {
        return Ok(());
    }
    let sql = if tx.is_postgres() { POSTGRES } else { SQLITE };
    tx.run(sql, params![messages]).await.map(drop)
}
