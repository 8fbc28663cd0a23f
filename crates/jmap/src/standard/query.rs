//! `/query` and `/queryChanges` (RFC 8620 §5.5, §5.6): which piece of the results is wanted, and how one
//! list of results becomes another.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::wire::error::MethodError;
use crate::wire::id::{self, Numbered};

/// What every `/query` is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryArguments {
    /// Where.
    pub account_id: String,
    /// `wire::filter` reads it.
    #[serde(default)]
    pub filter: Option<Value>,
    /// `wire::filter` reads it.
    #[serde(default)]
    pub sort: Option<Value>,
    /// The first result; below zero: counted from the end.
    #[serde(default)]
    pub position: i64,
    /// An id, in place of a position.
    #[serde(default)]
    pub anchor: Option<String>,
    /// From the anchor.
    #[serde(default)]
    pub anchor_offset: i64,
    /// The most results.
    #[serde(default)]
    pub limit: Option<u64>,
    /// How many there are in all.
    #[serde(default)]
    pub calculate_total: bool,
    /// What else the type's method is asked.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl QueryArguments {
    /// The results that are wanted, of `total`. `place` finds the place of the anchor among them.
    pub fn range(
        &self,
        total: usize,
        place: impl FnOnce(&str) -> Option<usize>,
    ) -> Result<Range<usize>, MethodError> {
        let whole = i64::try_from(total).unwrap_or(i64::MAX);
        let first = match &self.anchor {
            Some(anchor) => {
                let place = place(anchor).ok_or(MethodError::AnchorNotFound)?;
                i64::try_from(place).unwrap_or(i64::MAX).saturating_add(self.anchor_offset)
            }
            None if self.position < 0 => whole.saturating_add(self.position),
            None => self.position,
        };
        let first = usize::try_from(first.max(0)).unwrap_or(usize::MAX).min(total);
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        Ok(first..first.saturating_add(limit).min(total))
    }

    /// The response, where all results are at hand.
    pub fn answer<T: Numbered + PartialEq>(
        &self,
        context: &Context,
        account: &Account,
        all: &[T],
    ) -> Result<Answer, MethodError> {
        let range = self.range(all.len(), |anchor| {
            let anchor: T = id::read(&context.resolve_id(anchor)?)?;
            all.iter().position(|id| *id == anchor)
        })?;
        let position = range.start;
        let ids: Vec<String> = all[range].iter().map(|id| id::text(*id)).collect();
        let mut response = json!({
            "accountId": account.text(),
            "queryState": account.state().to_string(),
            "canCalculateChanges": true,
            "position": position,
            "ids": ids,
        });
        if self.calculate_total {
            response["total"] = Value::from(all.len());
        }
        Ok(response.into())
    }
}

/// What every `/queryChanges` is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryChangesArguments {
    /// Where.
    pub account_id: String,
    /// As for the query.
    #[serde(default)]
    pub filter: Option<Value>,
    /// As for the query.
    #[serde(default)]
    pub sort: Option<Value>,
    /// What the client has.
    pub since_query_state: String,
    /// The most changes that it wants.
    #[serde(default)]
    pub max_changes: Option<u64>,
    /// The last id that it has.
    #[serde(default)]
    pub up_to_id: Option<String>,
    /// How many there are in all.
    #[serde(default)]
    pub calculate_total: bool,
    /// What else the type's method is asked.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl QueryChangesArguments {
    /// The response: `touched` may have come, gone or moved since the client asked, and all others are as
    /// they were.
    pub fn answer<T: Numbered + Eq + Hash>(
        &self,
        account: &Account,
        now: &[T],
        touched: Vec<T>,
    ) -> Result<Answer, MethodError> {
        let spliced = splice(now, touched);
        let count = spliced.removed.len() + spliced.added.len();
        if self.max_changes.is_some_and(|most| count as u64 > most) {
            return Err(MethodError::TooManyChanges);
        }
        let removed: Vec<String> = spliced.removed.iter().map(|id| id::text(*id)).collect();
        let added = spliced.added.iter();
        let added: Vec<Value> =
            added.map(|(index, id)| json!({"id": id::text(*id), "index": index})).collect();
        let mut response = json!({
            "accountId": account.text(),
            "oldQueryState": self.since_query_state,
            "newQueryState": account.state().to_string(),
            "removed": removed,
            "added": added,
        });
        if self.calculate_total {
            response["total"] = Value::from(now.len());
        }
        Ok(response.into())
    }
}

/// How a client's results become those of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice<T> {
    /// To be taken out; some may not be there.
    pub removed: Vec<T>,
    /// To be put in, each at its place, from the lowest place on.
    pub added: Vec<(usize, T)>,
}

/// The splice for results of which `touched` may have come, gone or moved, and all others are as they
/// were. Everything touched is taken out, and put in again where it now is (RFC 8620 §5.6).
pub fn splice<T: Copy + Eq + Hash>(now: &[T], touched: Vec<T>) -> Splice<T> {
    let places: HashMap<T, usize> = now.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let mut added: Vec<(usize, T)> =
        touched.iter().filter_map(|id| Some((*places.get(id)?, *id))).collect();
    added.sort_unstable_by_key(|(at, _)| *at);
    added.dedup_by_key(|(at, _)| *at);
    Splice { removed: touched, added }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn range(arguments: Value, total: usize, anchor_at: Option<usize>) -> Option<Range<usize>> {
        let mut arguments = arguments;
        arguments["accountId"] = json!("A1");
        let asked: QueryArguments = serde_json::from_value(arguments).unwrap();
        asked.range(total, |_| anchor_at).ok()
    }

    #[test]
    fn pieces_of_results() {
        assert_eq!(range(json!({}), 5, None), Some(0..5));
        assert_eq!(range(json!({"position": 2, "limit": 2}), 5, None), Some(2..4));
        assert_eq!(range(json!({"position": 9}), 5, None), Some(5..5));
        assert_eq!(range(json!({"position": -2}), 5, None), Some(3..5));
        // RFC 8620 §5.5: what is still below zero is zero.
        assert_eq!(range(json!({"position": -9, "limit": 1}), 5, None), Some(0..1));
        assert_eq!(
            range(json!({"anchor": "x", "limit": 2, "position": 4}), 5, Some(1)),
            Some(1..3)
        );
        assert_eq!(range(json!({"anchor": "x", "anchorOffset": -3}), 5, Some(1)), Some(0..5));
        assert_eq!(range(json!({"anchor": "x", "anchorOffset": 1}), 5, Some(1)), Some(2..5));
        assert_eq!(range(json!({"anchor": "x"}), 5, None), None);
        assert_eq!(range(json!({"limit": 0}), 5, None), Some(0..0));
    }

    proptest! {
        /// RFC 8620 §5.6, the algorithm of the client.
        #[test]
        fn a_client_that_splices_has_what_is(before in prop::collection::btree_set(0u8..40, 0..20), keys in prop::collection::vec(0u8..40, 40), after in prop::collection::btree_set(0u8..40, 0..20)) {
            let before: Vec<u8> = before.into_iter().collect();
            // Those in both that are not touched keep their order; here all that differ are touched.
            let mut now: Vec<u8> = after.into_iter().collect();
            now.sort_by_key(|id| if id.is_multiple_of(3) { keys[usize::from(*id)] } else { *id });
            let touched = (0u8..40).filter(|id| {
                id.is_multiple_of(3) || before.contains(id) != now.contains(id)
            }).collect();
            let Splice { removed, added } = splice(&now, touched);
            let mut has: Vec<u8> = before.into_iter().filter(|id| !removed.contains(id)).collect();
            for (at, id) in added {
                has.insert(at, id);
            }
            prop_assert_eq!(has, now);
        }
    }
}
