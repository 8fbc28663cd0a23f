//! From the keys of a SEARCH to a [`Test`]: sets become places, texts become UTF-8 without case,
//! the store's answers for BODY and TEXT are put in.

use waxwing_store::Uid;

use super::evaluate::{Field, Fields, Test, fold};
use crate::reply::Fail;
use crate::selected::View;
use crate::wire::date::days_since_epoch;
use crate::wire::object_id;
use crate::wire::parse_search::SearchKey;

/// The BODY and TEXT keys in order; `true`: with headers.
pub fn text_keys<'k>(keys: &'k [SearchKey], found: &mut Vec<(&'k [u8], bool)>) {
    for key in keys {
        match key {
            SearchKey::Body(text) if !text.is_empty() => found.push((text, false)),
            SearchKey::Text(text) if !text.is_empty() => found.push((text, true)),
            SearchKey::Not(key) => text_keys(std::slice::from_ref(key), found),
            SearchKey::Or(a, b) => {
                text_keys(std::slice::from_ref(a), found);
                text_keys(std::slice::from_ref(b), found);
            }
            SearchKey::And(keys) => text_keys(keys, found),
            _ => {}
        }
    }
}

/// A search string as text.
pub fn text_of(octets: &[u8]) -> Result<String, Fail> {
    let text = std::str::from_utf8(octets);
    text.map(str::to_owned).map_err(|_| Fail::bad("That text is not UTF-8"))
}

/// Makes the test, and the list of the fields that it looks in. `texts` are the answers for [`text_keys`], in the same order.
pub fn prepare(
    view: &View,
    saved: &[(u32, u32)],
    keys: &[SearchKey],
    texts: Vec<Vec<Uid>>,
    now_secs: i64,
) -> Result<(Test, Fields), Fail> {
    let (texts, fields) = (texts.into_iter(), Fields::default());
    let mut preparing = Preparing { view, saved, texts, fields, now_secs };
    let test = preparing.all(keys)?;
    Ok((test, preparing.fields))
}

struct Preparing<'v> {
    view: &'v View,
    saved: &'v [(u32, u32)],
    texts: std::vec::IntoIter<Vec<Uid>>,
    fields: Fields,
    now_secs: i64,
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
                Test::Header(self.fields.number(Field::named(field)), fold(&text_of(value)?))
            }
            // Every message has the empty text.
            SearchKey::Body(text) | SearchKey::Text(text) if text.is_empty() => Test::Always(true),
            SearchKey::Body(_) | SearchKey::Text(_) => {
                let mut uids = self.texts.next().unwrap_or_default();
                uids.sort_unstable();
                Test::OneOf(uids)
            }
            SearchKey::Received(when, date) => Test::Received(*when, days_since_epoch(*date)),
            SearchKey::Sent(when, date) => Test::Sent(*when, days_since_epoch(*date)),
            SearchKey::Saved(when, date) => Test::Saved(*when, days_since_epoch(*date)),
            SearchKey::EmailId(id) => Test::Message(object_id::message(id)),
            SearchKey::Younger(secs) => Test::ReceivedAfter(self.now_secs - i64::from(*secs)),
            SearchKey::Older(secs) => {
                let limit = self.now_secs - i64::from(*secs);
                Test::Not(Box::new(Test::ReceivedAfter(limit)))
            }
            SearchKey::Larger(octets) => Test::Larger(*octets),
            SearchKey::Smaller(octets) => Test::Smaller(*octets),
            SearchKey::ModSeq(modseq) => Test::ModSeq(*modseq),
            SearchKey::Sequence(set) => self.set(set, false)?,
            SearchKey::Uid(set) => self.set(set, true)?,
            SearchKey::Not(key) => Test::Not(Box::new(self.one(key)?)),
            SearchKey::Or(a, b) => Test::Or(Box::new(self.one(a)?), Box::new(self.one(b)?)),
            SearchKey::And(keys) => self.all(keys)?,
        })
    }

    fn set(&self, set: &crate::wire::sequence::SequenceSet, uid: bool) -> Result<Test, Fail> {
        let picked = self.view.pick(set, uid, self.saved);
        picked.map(Test::Places).map_err(|_| Fail::bad("There is no message of that number"))
    }
}
