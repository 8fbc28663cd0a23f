//! The gist of a mailbox's messages: what they are sorted, threaded and searched by, ready in memory.
//!
//! Of a message this never changes, so that a gist only grows: it is made of the stored summaries when
//! somebody first asks, and of the new messages' from then on. Texts that occur several times are kept
//! once, and compared once: see [`Gist::rank`] and [`Gist::having`]. Message-IDs are kept as keyed
//! hashes, which is enough to know which are the same.

mod texts;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};

use waxwing_message::keys;
use waxwing_message::summary::{Overview, has_attachment_in_stored};

use crate::engine::{Tx, params};
use crate::instant::count32;
use crate::{Inner, MailboxId, Roll, Store, StoreError, Uid};
use texts::{TextId, Texts};

/// A text of a message, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The base subject, to be compared.
    BaseSubject,
    /// Mailbox names of address fields, to be compared (RFC 5256 §3).
    FromMailbox,
    /// The same.
    ToMailbox,
    /// The same.
    CcMailbox,
    /// Display names of address fields, to be compared (RFC 5957 §3).
    FromDisplay,
    /// The same.
    ToDisplay,
    /// A whole field, to be found in: decoded, in lower case.
    Subject,
    /// The same.
    From,
    /// The same.
    To,
    /// The same.
    Cc,
}

const COLUMNS: usize = 10;
/// Messages read in one go.
const READ_AT_ONCE: i64 = 5_000;

/// See the module's words.
#[derive(Debug, Clone, Default)]
pub struct Gist {
    /// In the order of UIDs; some may have vanished.
    lines: Vec<Line>,
    /// Ids of ancestors, of all lines.
    ancestors: Vec<u64>,
    texts: Texts,
    ids: RandomState,
    /// All entries up to here have been read.
    upto: Uid,
    ranks: [OnceLock<Vec<u32>>; COLUMNS],
}

/// What is known of one message.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    uid: Uid,
    is_reply: bool,
    has_attachment: bool,
    sent_secs: Option<i64>,
    texts: [TextId; COLUMNS],
    message_id: Option<u64>,
    ancestors: (u32, u32),
}

impl Line {
    /// In its mailbox.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The Date field, in seconds since 1970.
    pub fn sent_secs(&self) -> Option<i64> {
        self.sent_secs
    }

    /// The subject is that of a reply or of a forwarded message (RFC 5256 §2.1).
    pub fn is_reply(&self) -> bool {
        self.is_reply
    }

    /// There is a part that a reader would call an attachment.
    pub fn has_attachment(&self) -> bool {
        self.has_attachment
    }

    /// Stands for its own Message-ID: equal ids are the same number within one gist.
    pub fn message_id(&self) -> Option<u64> {
        self.message_id
    }
}

impl Gist {
    /// A way to find lines by UIDs that ascend.
    pub fn finder(&self) -> Finder<'_> {
        Finder { lines: &self.lines }
    }

    /// The line of any UID: slower than a [`Finder`] where many are asked for in order.
    pub fn line(&self, uid: Uid) -> Option<&Line> {
        let at = self.lines.binary_search_by_key(&uid, |line| line.uid).ok()?;
        self.lines.get(at)
    }

    /// The ancestors of a message, the eldest first, as [`Line::message_id`] stands for them.
    pub fn ancestors(&self, line: &Line) -> &[u64] {
        let (start, end) = line.ancestors;
        &self.ancestors[start as usize..end as usize]
    }

    /// Where a message's text stands among those of the column when they are sorted. Equal texts, and
    /// only those, stand at the same place; empty and absent ones at 0, the first.
    pub fn rank(&self, column: Column, line: &Line) -> u32 {
        let ranks = self.ranks[column as usize].get_or_init(|| {
            self.texts.ranks(self.lines.iter().map(|line| line.texts[column as usize]))
        });
        ranks[line.texts[column as usize].index()]
    }

    /// A message's text; empty where there is none. Texts of columns that are compared sort as they are
    /// to: for comparing messages of several mailboxes.
    pub fn text(&self, column: Column, line: &Line) -> &str {
        self.texts.text(line.texts[column as usize].index())
    }

    /// Which texts of a column have that one in them, which is in lower case.
    pub fn having(&self, column: Column, text: &str) -> Having {
        let used = self.lines.iter().map(|line| line.texts[column as usize]);
        Having { column, texts: self.texts.having(used, text) }
    }

    /// About how much room it takes.
    pub(crate) fn octets(&self) -> usize {
        self.lines.len() * size_of::<Line>()
            + self.ancestors.len() * size_of::<u64>()
            + self.texts.octets()
    }

    fn add(&mut self, uid: Uid, has_attachment: bool, overview: &Overview<&[u8]>) {
        let (base, is_reply) = keys::base_subject(overview);
        let compared = [
            base,
            keys::mailbox(&overview.from),
            keys::mailbox(&overview.to),
            keys::mailbox(&overview.cc),
            keys::display(&overview.from),
            keys::display(&overview.to),
        ];
        let found = [
            overview.subject.map(keys::folded_text),
            keys::folded_addresses(&overview.from),
            keys::folded_addresses(&overview.to),
            keys::folded_addresses(&overview.cc),
        ];
        let mut texts = [TextId::ABSENT; COLUMNS];
        for (slot, text) in texts.iter_mut().zip(compared.map(Some).into_iter().chain(found)) {
            *slot = self.texts.id(text.as_deref());
        }
        let start = self.ancestors.len() as u32;
        let ancestors = keys::ancestors(overview);
        self.ancestors.extend(ancestors.iter().map(|id| self.ids.hash_one(id)));
        self.lines.push(Line {
            uid,
            is_reply,
            has_attachment,
            sent_secs: overview.date_epoch_secs,
            texts,
            message_id: keys::message_id(overview).map(|id| self.ids.hash_one(id)),
            ancestors: (start, self.ancestors.len() as u32),
        });
    }

    /// With what a later one has, which was made with the same key.
    fn join(&mut self, later: &Gist) {
        let ids = self.texts.join(&later.texts);
        let before = self.ancestors.len() as u32;
        self.ancestors.extend(&later.ancestors);
        self.lines.extend(later.lines.iter().map(|line| {
            let (start, end) = line.ancestors;
            Line {
                texts: line.texts.map(|id| ids[id.index()]),
                ancestors: (before + start, before + end),
                ..*line
            }
        }));
        self.upto = later.upto;
        self.ranks = Default::default();
    }
}

/// See [`Gist::having`].
#[derive(Debug)]
pub struct Having {
    column: Column,
    texts: Vec<bool>,
}

impl Having {
    /// Whether the message has it. The line is of the same gist.
    pub fn has(&self, line: &Line) -> bool {
        self.texts[line.texts[self.column as usize].index()]
    }
}

/// See [`Gist::finder`].
pub struct Finder<'g> {
    lines: &'g [Line],
}

impl<'g> Finder<'g> {
    /// The line of a UID, which is not below those asked for before. `None`: the message came after
    /// the gist was made, or was gone when it was.
    pub fn find(&mut self, uid: Uid) -> Option<&'g Line> {
        // Mostly it is the next one.
        while self.lines.first().is_some_and(|line| line.uid < uid) {
            let skip = match self.lines.get(16) {
                Some(line) if line.uid < uid => self.lines.partition_point(|line| line.uid < uid),
                _ => 1,
            };
            self.lines = &self.lines[skip..];
        }
        self.lines.first().filter(|line| line.uid == uid)
    }
}

impl Store {
    /// The gist of at least all messages of a roll that are still there, shared with all who ask.
    pub async fn gist(&self, mailbox: MailboxId, roll: &Roll) -> Result<Arc<Gist>, StoreError> {
        let Inner { engine, rolls, .. } = &*self.inner;
        let slot = rolls.slot(mailbox);
        let last = roll.last().map_or(Uid(0), |row| row.uid());
        if let Some(gist) = slot.gist().filter(|gist| gist.upto >= last) {
            return Ok(gist);
        }
        let _only = slot.gisting.lock().await;
        // Too much that has vanished is as bad as nothing.
        let worth = |gist: &Arc<Gist>| gist.lines.len() <= 2 * roll.len() as usize + 1000;
        let mut gist = slot.take_gist().filter(worth).unwrap_or_default();
        while gist.upto < last {
            let asked = (mailbox, gist.upto, gist.ids.clone());
            let read = engine.read(asked, |tx, (mailbox, after, ids)| {
                Box::pin(read_gist(tx, *mailbox, *after, ids))
            });
            let mut more = read.await?;
            // What is not there any more need not be asked for again.
            more.upto = match (more.lines.len() as i64, more.lines.last()) {
                (READ_AT_ONCE.., Some(line)) => line.uid,
                (_, newest) => last.max(newest.map_or(Uid(0), Line::uid)),
            };
            Arc::make_mut(&mut gist).join(&more);
        }
        slot.put_gist(gist.clone());
        rolls.tidy();
        Ok(gist)
    }
}

async fn read_gist(
    tx: &Tx,
    mailbox: MailboxId,
    after: Uid,
    ids: &RandomState,
) -> Result<Gist, StoreError> {
    const SQL: &str = "SELECT e.uid, m.summary FROM entries e JOIN messages m ON m.id = e.message \
        WHERE e.mailbox = ?1 AND e.uid > ?2 ORDER BY e.uid LIMIT ?3";
    let mut gist = Gist { ids: ids.clone(), ..Gist::default() };
    tx.each(SQL, params![mailbox.0, i64::from(after.0), READ_AT_ONCE], |row| {
        let uid = Uid(count32(row.int(0)?)?);
        let stored = row.bytes(1)?;
        let has_attachment = has_attachment_in_stored(stored).unwrap_or(false);
        match Overview::of_stored(stored) {
            Some(overview) => gist.add(uid, has_attachment, &overview),
            // The others can still be sorted.
            None => {
                tracing::error!(mailbox = mailbox.0, uid = uid.0, "a summary cannot be read");
                gist.add(uid, false, &Overview::default());
            }
        }
        Ok(true)
    })
    .await?;
    Ok(gist)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overview(subject: &'static str) -> Overview<&'static [u8]> {
        Overview {
            subject: Some(subject.as_bytes()),
            message_id: Some(b"<a@b>"),
            references: Some(b"<x@y> <a@b>"),
            ..Overview::default()
        }
    }

    #[test]
    fn a_gist_that_grew_is_one_that_was_made_at_once() {
        let subjects = ["Zebra", "re: apple", "Mango", "apple", "", "=?utf-8?q?=C3=84rger?="];
        let mut whole = Gist::default();
        for (uid, subject) in (1..).zip(subjects) {
            whole.add(Uid(uid * 2), uid % 2 == 0, &overview(subject));
        }
        for cut in 0..=subjects.len() {
            let mut grown = Gist { ids: whole.ids.clone(), ..Gist::default() };
            let mut later = grown.clone();
            for (uid, subject) in (1..).zip(subjects) {
                let part = if uid as usize <= cut { &mut grown } else { &mut later };
                part.add(Uid(uid * 2), uid % 2 == 0, &overview(subject));
            }
            grown.join(&later);
            let mut find = grown.finder();
            assert!(find.find(Uid(1)).is_none());
            for line in &whole.lines {
                let found = find.find(line.uid()).unwrap();
                assert_eq!(found.is_reply(), line.is_reply());
                assert_eq!(found.has_attachment(), line.has_attachment());
                let text = |gist: &Gist, line| gist.text(Column::Subject, line).to_owned();
                assert_eq!(text(&grown, found), text(&whole, line));
                assert_eq!(found.message_id(), line.message_id());
                assert_eq!(grown.ancestors(found), whole.ancestors(line));
                assert_eq!(whole.ancestors(line)[1], line.message_id().unwrap());
                let (a, b) =
                    (grown.rank(Column::BaseSubject, found), whole.rank(Column::BaseSubject, line));
                assert_eq!(a, b);
                let has = |gist: &Gist, line| gist.having(Column::Subject, "ppl").has(line);
                assert_eq!(has(&grown, found), has(&whole, line));
            }
            assert!(find.find(Uid(13)).is_none());
            assert!(grown.line(Uid(4)).is_some() && grown.line(Uid(5)).is_none());
        }
        let ranks = whole.lines.iter().map(|line| whole.rank(Column::BaseSubject, line));
        // "", ÄRGER decomposed, APPLE twice, MANGO, ZEBRA: A + diaeresis comes after AP.
        let ranks: Vec<u32> = ranks.collect();
        assert_eq!(ranks[1], ranks[3]);
        assert!(ranks[4] < ranks[3] && ranks[3] < ranks[2] && ranks[2] < ranks[0]);
        let found = whole.lines.iter().filter(|l| whole.having(Column::Subject, "ärg").has(l));
        assert_eq!(found.map(|line| line.uid().0).collect::<Vec<_>>(), [12]);
        let nothing =
            |column| whole.lines.iter().filter(|l| whole.having(column, "").has(l)).count();
        assert_eq!((nothing(Column::Subject), nothing(Column::From)), (6, 0));
    }
}
