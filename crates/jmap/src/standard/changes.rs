//! `/changes` (RFC 8620 §5.2).

use serde::Deserialize;
use serde_json::{Value, json};
use waxwing_store::ModSeq;

use crate::wire::error::MethodError;
use crate::wire::state::State;

/// What every `/changes` is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangesArguments {
    /// Where.
    pub account_id: String,
    /// What the client has.
    pub since_state: String,
    /// The most ids that it wants.
    #[serde(default)]
    pub max_changes: Option<u64>,
}

impl ChangesArguments {
    /// `maxChanges`, which is above zero where it is given.
    pub fn most(&self) -> Result<Option<usize>, MethodError> {
        match self.max_changes {
            Some(0) => Err(MethodError::invalid("maxChanges is above zero")),
            most => Ok(most.map(|most| usize::try_from(most).unwrap_or(usize::MAX))),
        }
    }
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is new.
    Created,
    /// It is another by now.
    Updated,
    /// It is gone.
    Destroyed,
}

/// What happened to one record since some state: one for each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When: of something created its creation, of others the last change.
    pub modseq: ModSeq,
    /// Of the record.
    pub number: i64,
    /// What.
    pub fate: Fate,
}

/// The ids of a `/changes` response, as far as the client wants them.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// Which the client has.
    pub old_state: State,
    /// Which it has when it knows of these.
    pub new_state: State,
    /// In the order in which it happened.
    pub changes: Vec<Change>,
    /// There are more.
    pub has_more: bool,
}

/// The oldest of the changes after `since`, at most so many. `now` is the state at which they were read.
pub fn first(mut all: Vec<Change>, since: State, now: ModSeq, most: Option<usize>) -> Changes {
    all.retain(|change| since.is_before(change.modseq, change.number));
    all.sort_by_key(|change| (change.modseq, change.number));
    let has_more = most.is_some_and(|most| all.len() > most);
    all.truncate(most.unwrap_or(usize::MAX));
    let new_state = match all.last().filter(|_| has_more) {
        Some(last) => State { modseq: last.modseq, within: Some(last.number) },
        None => State::after(now),
    };
    Changes { old_state: since, new_state, changes: all, has_more }
}

impl Changes {
    /// The response; `text` makes ids of numbers.
    pub fn response(&self, account_id: &str, text: impl Fn(i64) -> String) -> Value {
        let with = |fate| -> Vec<String> {
            let those = self.changes.iter().filter(|change| change.fate == fate);
            those.map(|change| text(change.number)).collect()
        };
        json!({
            "accountId": account_id,
            "oldState": self.old_state.to_string(),
            "newState": self.new_state.to_string(),
            "hasMoreChanges": self.has_more,
            "created": with(Fate::Created),
            "updated": with(Fate::Updated),
            "destroyed": with(Fate::Destroyed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(modseq: u64, number: i64) -> Change {
        Change { modseq: ModSeq(modseq), number, fate: Fate::Updated }
    }

    #[test]
    fn pieces_make_the_whole() {
        // Five at once, and one before and after.
        let all: Vec<_> = [(4, 9), (5, 1), (5, 2), (5, 3), (5, 4), (5, 5), (7, 2)]
            .map(|(m, n)| change(m, n))
            .into();
        for most in 1..8 {
            let (mut since, mut heard) = (State::after(ModSeq(3)), Vec::new());
            loop {
                let some = first(all.clone(), since, ModSeq(8), Some(most));
                assert!(some.changes.len() <= most);
                heard.extend(some.changes.iter().copied());
                since = State::read(&some.new_state.to_string()).unwrap();
                if !some.has_more {
                    break;
                }
            }
            assert_eq!(heard, all, "{most}");
            assert_eq!(since, State::after(ModSeq(8)));
        }
    }

    #[test]
    fn a_change_while_the_client_reads_piece_by_piece_is_heard() {
        let before = vec![change(5, 1), change(5, 2), change(5, 3)];
        let some = first(before, State::after(ModSeq(4)), ModSeq(5), Some(2));
        assert_eq!(some.new_state.to_string(), "5.2");
        let after = vec![change(6, 1), change(5, 2), change(5, 3)];
        let rest = first(after, some.new_state, ModSeq(6), None);
        assert_eq!(rest.changes, [change(5, 3), change(6, 1)]);
    }
}
