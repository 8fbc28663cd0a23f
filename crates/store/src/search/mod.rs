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

mod terms;
mod text;
mod words;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt as _, StreamExt as _};

use crate::accept::decode_summary;
use crate::blob::BlobRow;
use crate::engine::{Repeat, Tx, params};
use crate::instant::count32;
use crate::{AccountId, MailboxId, MessageId, Store, StoreError, Uid};
pub use terms::Terms;
use words::Question;

/// Text that is indexed of one message at most.
const INDEXED_OCTETS_MAX: usize = 1 << 20;
/// Terms that are indexed of one message at most: beyond 1 MiB `array_to_tsvector` makes nonsense.
const TERMS_OCTETS_MAX: usize = 900_000;
/// Messages with more text than this are read one at a time.
const LARGE_TEXT_OCTETS: u64 = 1 << 20;
/// Text is folded and looked at in pieces of about this.
const FOLDED_AT_ONCE: usize = 1 << 20;
/// Text that is looked at of one message at most.
const SEARCHED_OCTETS_MAX: usize = 64 << 20;
/// Messages read at one time.
const READ_AT_ONCE: usize = 4;
/// Messages written to the index in one transaction: mail in between waits no longer than that. While
/// there is such mail, one by one.
const WRITTEN_AT_ONCE: usize = 8;

/// Pages of the index that are merged for each message that is written to it, on SQLite. FTS5 would
/// do such work by itself in bursts, for which mail in between would wait; this is about what keeps up
/// with what is written, level by level.
const MERGED_PAGES_EACH: i64 = 16;

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

    /// Those of these messages of an account whose text has `text`, by the same rules, wherever they are.
    /// `None`: there is no letter or digit in it, so that the index knows nothing, and all of them would have
    /// to be read.
    pub async fn search_messages(
        &self,
        account: AccountId,
        messages: &HashSet<MessageId>,
        text: &str,
        headers_too: bool,
    ) -> Result<Option<HashSet<MessageId>>, StoreError> {
        let question = words::question(text);
        if question.words.is_empty() {
            return Ok(None);
        }
        let asked = (account, question, headers_too);
        let engine = &self.inner.engine;
        let (in_index, direct) = engine
            .read(asked, |tx, (account, question, headers_too)| {
                Box::pin(account_candidates(tx, *account, question, *headers_too))
            })
            .await?;
        let question = words::question(text);
        let asked_for = |id: &i64| messages.contains(&MessageId(*id));
        let mut found = HashSet::new();
        let mut doubtful = direct;
        match question.one_word {
            true => found.extend(in_index.into_iter().filter(asked_for).map(MessageId)),
            false => doubtful.extend(in_index),
        }
        let doubtful = doubtful.into_iter().filter(asked_for);
        let looked_at = futures_util::stream::iter(doubtful)
            .map(|message| {
                // The UID stands for nothing but that it was found.
                let candidate = Candidate { message, uids: vec![Uid(0)] };
                let looked_at = self.look_at(candidate, &question, headers_too);
                async move { looked_at.await.map(|uids| (message, !uids.is_empty())) }
            })
            .buffer_unordered(READ_AT_ONCE);
        let mut looked_at = std::pin::pin!(looked_at);
        while let Some(one) = looked_at.next().await {
            let (message, has) = one?;
            found.extend(has.then_some(MessageId(message)));
        }
        Ok(Some(found))
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
        match self.text_has(blob, &summary, question, headers_too).await {
            Ok(true) => Ok(candidate.uids),
            Ok(false) => Ok(Vec::new()),
            // The other messages can still be found.
            Err(StoreError::Damaged(why)) => {
                tracing::error!(message = candidate.message, why, "a message cannot be searched");
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn text_has(
        &self,
        blob: BlobRow,
        summary: &[u8],
        question: &Question,
        headers_too: bool,
    ) -> Result<bool, StoreError> {
        let (content, summary) = (blob.content(self)?, decode_summary(summary)?);
        let _alone = if text::stored_octets(&summary) > LARGE_TEXT_OCTETS {
            self.inner.large_text.acquire().await.ok()
        } else {
            None
        };
        let mut parts = text::Parts::of(&content, &summary, SEARCHED_OCTETS_MAX);
        while let Some(text) = parts.next().await? {
            let wanted = question.folded.clone();
            let has = tokio::task::spawn_blocking(move || {
                has(&text.body, &wanted) || headers_too && has(&text.header, &wanted)
            });
            if has.await.map_err(cut_short)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Indexes up to `limit` waiting messages; gives how many. One that fails while others succeed is
    /// marked as not indexed, so that it holds up nobody; when all fail, that is an error.
    pub async fn index_some(&self, limit: usize) -> Result<usize, StoreError> {
        self.index_by(WRITTEN_AT_ONCE, limit).await
    }

    /// The same, one message in a transaction.
    pub(crate) async fn index_gently(&self, limit: usize) -> Result<usize, StoreError> {
        self.index_by(1, limit).await
    }

    async fn index_by(&self, at_once: usize, limit: usize) -> Result<usize, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let engine = &self.inner.engine;
        let waiting = engine.read(limit, |tx, limit| Box::pin(waiting(tx, *limit))).await?;
        let count = waiting.len();
        self.thread_before_indexing(waiting.iter().map(|one| one.account).collect()).await?;
        let cut = futures_util::stream::iter(waiting)
            .map(|waiting| self.cut_safely(waiting))
            .buffer_unordered(READ_AT_ONCE);
        let mut cut = std::pin::pin!(cut.ready_chunks(at_once));
        let (mut done, mut failed) = (0, Vec::new());
        while let Some(some) = cut.next().await {
            let mut good = Vec::new();
            for (message, cut) in some {
                match cut {
                    Ok(cut) => good.push(cut),
                    Err(error) => failed.push((message, error)),
                }
            }
            let numbers: Vec<i64> = good.iter().map(|cut| cut.message).collect();
            let size = good.len();
            match self.put_in_index(good).await {
                Ok(()) => done += size,
                Err(error) => failed.extend(numbers.into_iter().map(|id| (id, error.clone()))),
            }
        }
        if done == 0
            && let Some((_, error)) = failed.pop()
        {
            return Err(error);
        }
        for (message, error) in failed {
            tracing::error!(message, %error, "a message cannot be indexed");
            self.put_in_index(vec![Cut::none(message)]).await?;
        }
        Ok(count)
    }

    /// All in one transaction; when that fails, each alone, and those that fail again not at all.
    async fn put_in_index(&self, some: Vec<Cut>) -> Result<(), StoreError> {
        let put = async |some: Vec<Cut>| {
            let engine = &self.inner.engine;
            engine.write(some, Repeat::Harmless, |tx, some| Box::pin(write(tx, some))).await
        };
        if some.is_empty() || put(some.clone()).await.is_ok() {
            return Ok(());
        }
        for cut in some {
            let message = cut.message;
            if let Err(error) = put(vec![cut]).await {
                put(vec![Cut::none(message)]).await?;
                tracing::error!(message, %error, "a message cannot be indexed");
            }
        }
        Ok(())
    }

    /// A message that cannot be read for good is cut into nothing.
    async fn cut_safely(&self, waiting: Waiting) -> (i64, Result<Cut, StoreError>) {
        let message = waiting.message;
        let cut = AssertUnwindSafe(self.cut(waiting)).catch_unwind().await;
        let why = match cut {
            Ok(Err(StoreError::Damaged(why))) => why,
            Ok(other) => return (message, other),
            Err(_) => "it panicked".to_owned(),
        };
        tracing::error!(message, why, "a message cannot be indexed");
        (message, Ok(Cut::none(message)))
    }

    /// The terms of a waiting message.
    async fn cut(&self, waiting: Waiting) -> Result<Cut, StoreError> {
        let Waiting { message, account, summary, blob } = waiting;
        let (content, summary) = (blob.content(self)?, decode_summary(&summary)?);
        let text = text::read(&content, &summary, INDEXED_OCTETS_MAX).await?;
        if !text.whole {
            return Ok(Cut::none(message));
        }
        let terms =
            tokio::task::spawn_blocking(move || words::terms(account.0, &text.header, &text.body));
        let terms = terms.await.map_err(cut_short)?;
        if terms.iter().map(String::len).sum::<usize>() > TERMS_OCTETS_MAX {
            return Ok(Cut::none(message));
        }
        Ok(Cut { message, state: WHOLE, terms })
    }
}

/// Work on another thread did not come to its end: a panic will come again.
fn cut_short(error: tokio::task::JoinError) -> StoreError {
    if error.is_panic() {
        StoreError::Damaged("the work on a text panicked".into())
    } else {
        StoreError::Unavailable(error.to_string())
    }
}

/// Whether `wanted`, which is folded, stands in `text`, which is folded piece by piece, where a word
/// begins (or begins with something else than a word): the same for messages that are read directly
/// as for those that the index finds.
fn has(text: &str, wanted: &str) -> bool {
    has_by_pieces(text, wanted, FOLDED_AT_ONCE)
}

fn has_by_pieces(mut text: &str, wanted: &str, piece: usize) -> bool {
    // What was folded last, as long as a match and one character before it can be.
    let mut folded = String::new();
    let mut first = true;
    loop {
        // Cut before white space or any plain letter: what follows does not join what went before.
        let mut cut = text.len();
        if let Some(rest) = text.get(text.ceil_char_boundary(piece)..) {
            let joins = |c: char| !c.is_ascii();
            cut = rest.find(|c| !joins(c)).map_or(cut, |at| text.len() - rest.len() + at);
        }
        let more = words::fold(&text[..cut]);
        let joined = folded.ends_with(' ') && more.starts_with(' ');
        folded.push_str(&more[usize::from(joined)..]);
        // A match at the very beginning of a later piece was seen in the one before.
        let mut matches = folded.match_indices(wanted).filter(|(at, _)| first || *at > 0);
        if matches.any(|(at, _)| words::begins_at(&folded, at)) {
            return true;
        }
        text = &text[cut..];
        if text.is_empty() {
            return false;
        }
        let kept = folded.len().saturating_sub(wanted.len() + 4);
        if kept > 0 {
            folded.drain(..folded.floor_char_boundary(kept));
            first = false;
        }
    }
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

/// What the index says, and what it knows nothing of.
async fn account_candidates(
    tx: &Tx,
    account: AccountId,
    question: &Question,
    headers_too: bool,
) -> Result<(HashSet<i64>, HashSet<i64>), StoreError> {
    let index = ask_index(tx, account.0, question, headers_too).await?;
    let direct = tx.rows(DIRECT, params![account.0], |row| row.int(0)).await?;
    Ok((index, direct.into_iter().collect()))
}

/// Messages that the index does not have.
const DIRECT: &str = "SELECT id FROM messages WHERE account = ?1 AND indexed <> 1";

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
#[derive(Clone)]
struct Cut {
    message: i64,
    state: i64,
    terms: Vec<String>,
}

impl Cut {
    /// Of a message that is to be read directly.
    fn none(message: i64) -> Cut {
        Cut { message, state: NOT_INDEXED, terms: Vec::new() }
    }
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
    const MERGE: &str = "INSERT INTO search (search, rank) VALUES ('merge', ?1)";
    let mut written = 0;
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
            written += 1;
        }
    }
    if written > 0 {
        tx.run(MERGE, params![written * MERGED_PAGES_EACH]).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hide_nothing_and_invent_nothing() {
        let text =
            "Une  for\u{ea}t \n noire, d\u{e9}j\u{e0} vu;  \u{65e5}\u{672c}\u{8a9e} end of it";
        let folded = words::fold(text);
        let ends: Vec<usize> =
            folded.char_indices().map(|(at, _)| at).chain([folded.len()]).collect();
        for (index, from) in ends.iter().enumerate() {
            for to in &ends[index + 1..] {
                let wanted = &folded[*from..*to];
                let whole =
                    folded.match_indices(wanted).any(|(at, _)| words::begins_at(&folded, at));
                for piece in 1..20 {
                    assert_eq!(has_by_pieces(text, wanted, piece), whole, "{wanted:?} {piece}");
                }
            }
        }
        assert!(!has("", "x"));
        assert!(has("", ""));
    }
}
