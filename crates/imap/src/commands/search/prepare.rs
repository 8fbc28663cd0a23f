//! From the keys of a SEARCH to a [`Test`]: sets become places, texts become UTF-8 without case,
//! the store's answers for BODY, TEXT and THREADID are put in.

use waxwing_message::keys::fold;
use waxwing_store::{Gist, MessageId, ObjectId as _, Uid};

use super::evaluate::{Field, Fields, Test};
use crate::reply::Fail;
use crate::selected::View;
use crate::wire::date::days_since_epoch;
use crate::wire::parse_search::SearchKey;

/// What the store is to look up.
#[derive(Debug, Clone, Copy)]
pub enum LookUp<'k> {
    /// BODY and TEXT; `true`: with headers.
    Text(&'k [u8], bool),
    /// THREADID.
    Thread(&'k str),
}

/// The keys that the store answers, in order.
pub fn look_ups<'k>(keys: &'k [SearchKey], found: &mut Vec<LookUp<'k>>) {
    for key in keys {
        match key {
            SearchKey::Body(text) if !text.is_empty() => found.push(LookUp::Text(text, false)),
            SearchKey::Text(text) if !text.is_empty() => found.push(LookUp::Text(text, true)),
            SearchKey::ThreadId(id) => found.push(LookUp::Thread(id)),
            SearchKey::Not(key) => look_ups(std::slice::from_ref(key), found),
            SearchKey::Or(a, b) => {
                look_ups(std::slice::from_ref(a), found);
                look_ups(std::slice::from_ref(b), found);
            }
            SearchKey::And(keys) => look_ups(keys, found),
            _ => {}
        }
    }
}

/// A search string as text.
pub fn text_of(octets: &[u8]) -> Result<String, Fail> {
    let text = std::str::from_utf8(octets);
    text.map(str::to_owned).map_err(|_| Fail::bad("That text is not UTF-8"))
}

/// Whether a key looks in a field that the gist has.
pub fn asks_gist(key: &SearchKey) -> bool {
    match key {
        SearchKey::Header { field, .. } => Field::named(field).column().is_some(),
        SearchKey::Not(key) => asks_gist(key),
        SearchKey::Or(a, b) => asks_gist(a) || asks_gist(b),
        SearchKey::And(keys) => keys.iter().any(asks_gist),
        _ => false,
    }
}

/// What a search is asked of.
pub struct Asked<'v> {
    pub view: &'v View,
    /// What `$` stands for: UID ranges.
    pub saved: &'v [(u32, u32)],
    pub gist: Option<&'v Gist>,
    pub now_secs: i64,
}

/// Makes the test, and the list of the fields that it looks in. `answers` are those for [`look_ups`],
/// in the same order.
pub fn prepare(
    asked: Asked<'_>,
    keys: &[SearchKey],
    answers: Vec<Vec<Uid>>,
) -> Result<(Test, Fields), Fail> {
    let answers = answers.into_iter();
    let mut preparing = Preparing { asked, answers, fields: Fields::default() };
    let test = preparing.all(keys)?;
    Ok((test, preparing.fields))
}

struct Preparing<'v> {
    asked: Asked<'v>,
    answers: std::vec::IntoIter<Vec<Uid>>,
    fields: Fields,
}

impl Preparing<'_> {
    fn all(&mut self, keys: &[SearchKey]) -> Result<Test, Fail> {
        keys.iter().map(|key| self.one(key)).collect::<Result<_, _>>().map(Test::And)
    }

    /// The keys are as deep as the parser allows, which is not deep.
    fn one(&mut self, key: &SearchKey) -> Result<Test, Fail> {
        Ok(match key {
            SearchKey::All => Test::Always(true),
            SearchKey::Never => Test::Always(false),
            SearchKey::Flag(flag) => Test::Flag(*flag),
            SearchKey::Keyword(keyword) => Test::Keyword(keyword.clone()),
            SearchKey::Header { field, value } => {
                let (field, text) = (Field::named(field), fold(&text_of(value)?));
                let column = self.asked.gist.zip(field.column());
                let having = column.map(|(gist, column)| gist.having(column, &text));
                Test::Header(self.fields.number(field), text, having)
            }
            // Every message has the empty text.
            SearchKey::Body(text) | SearchKey::Text(text) if text.is_empty() => Test::Always(true),
            SearchKey::Body(_) | SearchKey::Text(_) | SearchKey::ThreadId(_) => {
                let mut uids = self.answers.next().unwrap_or_default();
                uids.sort_unstable();
                Test::OneOf(uids)
            }
            SearchKey::Received(when, date) => Test::Received(*when, days_since_epoch(*date)),
            SearchKey::Sent(when, date) => Test::Sent(*when, days_since_epoch(*date)),
            SearchKey::Saved(when, date) => Test::Saved(*when, days_since_epoch(*date)),
            SearchKey::EmailId(id) => Test::Message(MessageId::of_text(id)),
            SearchKey::Younger(secs) => Test::ReceivedAfter(self.asked.now_secs - i64::from(*secs)),
            SearchKey::Older(secs) => {
                let limit = self.asked.now_secs - i64::from(*secs);
                Test::Not(Box::new(Test::ReceivedAfter(limit)))
            }
            SearchKey::Larger(octets) => Test::Larger(*octets),
            SearchKey::Smaller(octets) => Test::Smaller(*octets),
            SearchKey::ModSeq(modseq) => Test::ModSeq(*modseq),
            SearchKey::Sequence(set) => self.set(set, false)?,
            SearchKey::Uid(set) => self.set(set, true)?,
            // Unlike in "UID <uid>+1:*", `*` never brings in the last message of lower UID.
            SearchKey::UidAfter(uid) => match uid.checked_add(1) {
                Some(first) => Test::Places(self.asked.view.between(Uid(first), Uid(u32::MAX))),
                None => Test::Always(false),
            },
            SearchKey::UidBefore(uid) => {
                Test::Places(self.asked.view.between(Uid(1), Uid(uid - 1)))
            }
            SearchKey::Not(key) => Test::Not(Box::new(self.one(key)?)),
            SearchKey::Or(a, b) => Test::Or(Box::new(self.one(a)?), Box::new(self.one(b)?)),
            SearchKey::And(keys) => self.all(keys)?,
        })
    }

    fn set(&self, set: &crate::wire::sequence::SequenceSet, uid: bool) -> Result<Test, Fail> {
        let picked = self.asked.view.pick(set, uid, self.asked.saved);
        picked.map(Test::Places).map_err(|_| Fail::bad("There is no message of that number"))
    }
}
