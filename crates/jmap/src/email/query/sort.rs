//! The order of results (RFC 8621 §4.4.2).

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use serde_json::Value;
use waxwing_store::{Column, Gist, Line, ThreadId};

use super::universe::Universe;
use crate::email::keywords::is_keyword;
use crate::wire::error::MethodError;
use crate::wire::filter::Comparator;

/// What can be sorted by (RFC 8621 §1.3.1 `emailQuerySortOptions`).
pub const OPTIONS: &[&str] = &[
    "receivedAt",
    "size",
    "from",
    "to",
    "subject",
    "sentAt",
    "hasKeyword",
    "allInThreadHaveKeyword",
    "someInThreadHaveKeyword",
];

/// Comparing texts; the second is a part of the first.
const COLLATIONS: [&str; 2] = ["i;unicode-casemap", "i;ascii-casemap"];

/// What results are compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// When they were received.
    Received,
    /// Their size.
    Size,
    /// A text.
    Text(Column),
    /// The Date field.
    Sent,
    /// Whether they have a keyword.
    Has(String),
    /// Whether all in the thread have.
    AllInThread(String),
    /// Whether one in the thread has.
    SomeInThread(String),
}

impl By {
    /// The gist must be there.
    pub fn asks_gist(&self) -> bool {
        matches!(self, By::Text(_) | By::Sent)
    }
}

/// Reads the argument `sort`: each with whether the smallest comes first. Without one, what came last is
/// first.
pub fn read(value: Option<Value>) -> Result<Vec<(By, bool)>, MethodError> {
    let mut order = Vec::new();
    for comparator in Comparator::read_all(value)? {
        let Comparator { property, is_ascending, collation, mut more } = comparator;
        if let Some(collation) = collation.filter(|name| !COLLATIONS.contains(&name.as_str())) {
            let why = format!("there is no collation {collation}");
            return Err(MethodError::UnsupportedSort(why));
        }
        let by = match property.as_str() {
            "receivedAt" => By::Received,
            "size" => By::Size,
            "from" => By::Text(Column::FromDisplay),
            "to" => By::Text(Column::ToDisplay),
            "subject" => By::Text(Column::BaseSubject),
            "sentAt" => By::Sent,
            "hasKeyword" => By::Has(keyword(more.remove("keyword"))?),
            "allInThreadHaveKeyword" => By::AllInThread(keyword(more.remove("keyword"))?),
            "someInThreadHaveKeyword" => By::SomeInThread(keyword(more.remove("keyword"))?),
            _ => {
                let why = format!("Emails cannot be sorted by {property}");
                return Err(MethodError::UnsupportedSort(why));
            }
        };
        order.push((by, is_ascending));
    }
    if order.is_empty() {
        order.push((By::Received, false));
    }
    Ok(order)
}

fn keyword(value: Option<Value>) -> Result<String, MethodError> {
    match value {
        Some(Value::String(name)) if is_keyword(&name) => Ok(name.to_ascii_lowercase()),
        _ => Err(MethodError::invalid("that comparator has a `keyword`")),
    }
}

/// Sorts messages of a universe. Those that are alike stand by their ids, as the first comparator goes.
pub fn sort(universe: &Universe, found: Vec<u32>, order: &[(By, bool)]) -> Vec<u32> {
    let keys: Vec<Vec<i64>> = order.iter().map(|(by, _)| keys(universe, &found, by)).collect();
    let ids: Vec<i64> = found.iter().map(|index| universe.subject(*index).message().0).collect();
    let mut places: Vec<u32> = (0..found.len() as u32).collect();
    let directed = |ascending: bool, ordering: Ordering| match ascending {
        true => ordering,
        false => ordering.reverse(),
    };
    let first = order.first().is_none_or(|(_, ascending)| *ascending);
    places.sort_unstable_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        let compared = keys.iter().zip(order);
        compared
            .map(|(keys, (_, ascending))| directed(*ascending, keys[a].cmp(&keys[b])))
            .find(|ordering| ordering.is_ne())
            .unwrap_or_else(|| directed(first, ids[a].cmp(&ids[b])))
    });
    places.into_iter().map(|place| found[place as usize]).collect()
}

/// Numbers that are in the order of what is compared.
fn keys(universe: &Universe, found: &[u32], by: &By) -> Vec<i64> {
    let subjects = || found.iter().map(|index| universe.subject(*index));
    let of_threads = |keyword: &str, of: fn((bool, bool)) -> bool| {
        let threads: HashMap<ThreadId, (bool, bool)> = universe.threads_with(keyword);
        let has = |thread| threads.get(&thread).is_some_and(|pair| of(*pair));
        subjects().map(|subject| i64::from(has(subject.thread()))).collect()
    };
    match by {
        By::Received => subjects().map(|subject| subject.received_secs()).collect(),
        By::Size => {
            subjects().map(|one| i64::try_from(one.size_octets()).unwrap_or(i64::MAX)).collect()
        }
        By::Has(keyword) => subjects().map(|subject| i64::from(subject.has(keyword))).collect(),
        By::AllInThread(keyword) => of_threads(keyword, |(all, _)| all),
        By::SomeInThread(keyword) => of_threads(keyword, |(_, some)| some),
        By::Sent => {
            let sent = |line: &Line| line.sent_secs();
            subjects().map(|one| one.line().and_then(sent).unwrap_or(i64::MIN)).collect()
        }
        By::Text(column) => texts(universe, found, *column),
    }
}

/// Where the text of each stands among all of them.
fn texts(universe: &Universe, found: &[u32], column: Column) -> Vec<i64> {
    let gists: Vec<Option<&Gist>> = universe.gists().collect();
    let texts: Vec<&str> = found
        .iter()
        .map(|index| {
            let subject = universe.subject(*index);
            let gist = gists.get(subject.home().0).copied().flatten();
            gist.zip(subject.line()).map_or("", |(gist, line)| gist.text(column, line))
        })
        .collect();
    let distinct: HashSet<&str> = texts.iter().copied().collect();
    let mut sorted: Vec<&str> = distinct.into_iter().collect();
    sorted.sort_unstable();
    let ranks: HashMap<&str, i64> = sorted.into_iter().zip(0..).collect();
    texts.iter().map(|text| ranks[text]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders() {
        // The example of RFC 8621 §4.4.2.
        let example = json!([
            {"property": "someInThreadHaveKeyword", "keyword": "$flagged", "isAscending": false},
            {"property": "subject", "collation": "i;ascii-casemap"},
            {"property": "receivedAt", "isAscending": false},
        ]);
        let expected = [
            (By::SomeInThread("$flagged".into()), false),
            (By::Text(Column::BaseSubject), true),
            (By::Received, false),
        ];
        assert_eq!(read(Some(example)).unwrap(), expected);
        assert_eq!(read(None).unwrap(), [(By::Received, false)]);
        for (no, kind) in [
            (json!([{"property": "colour"}]), "unsupportedSort"),
            (json!([{"property": "size", "collation": "i;octet"}]), "unsupportedSort"),
            (json!([{"property": "hasKeyword"}]), "invalidArguments"),
            (json!([{"property": "hasKeyword", "keyword": "a b"}]), "invalidArguments"),
        ] {
            assert_eq!(read(Some(no.clone())).unwrap_err().kind(), kind, "{no}");
        }
    }
}
