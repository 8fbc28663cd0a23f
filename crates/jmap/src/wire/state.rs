//! States (RFC 8620 §5.1, §5.2). A state is a modseq of the account: what IMAP calls HIGHESTMODSEQ,
//! account-wide.
//!
//! | | |
//! |---|---|
//! | `42` | all that happened up to modseq 42 |
//! | `42.7` | the same but for what happened at 42 to records with numbers above 7 |
//!
//! The second form is given where more happened at once than a client wants to hear at once
//! (`maxChanges`): so that every answer is within that limit, whatever was done in one transaction.

use std::fmt;

use waxwing_store::ModSeq;

/// A point in an account's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    /// Up to here.
    pub modseq: ModSeq,
    /// Of what happened exactly there, only records up to this number.
    pub within: Option<i64>,
}

impl State {
    /// The state after a modseq.
    pub fn after(modseq: ModSeq) -> State {
        State { modseq, within: None }
    }

    /// `None`: no state of ours looks so.
    pub fn read(text: &str) -> Option<State> {
        let (modseq, within) = match text.split_once('.') {
            None => (text, None),
            Some((modseq, within)) => (modseq, Some(within)),
        };
        let plain = |digits: &str| {
            let zero = digits.len() > 1 && digits.starts_with('0');
            !digits.is_empty() && !zero && digits.bytes().all(|b| b.is_ascii_digit())
        };
        if !plain(modseq) || within.is_some_and(|within| !plain(within)) {
            return None;
        }
        let within = within.map(|within| within.parse().ok());
        Some(State {
            modseq: ModSeq(modseq.parse().ok()?),
            within: match within {
                None => None,
                Some(within) => Some(within?),
            },
        })
    }

    /// The modseq after which everything is news, or might be.
    pub fn since(self) -> ModSeq {
        match self.within {
            None => self.modseq,
            Some(_) => ModSeq(self.modseq.0.saturating_sub(1)),
        }
    }

    /// Whether what happened at a modseq to the record of that number is news.
    pub fn is_before(self, modseq: ModSeq, number: i64) -> bool {
        match self.within {
            Some(within) if modseq == self.modseq => number > within,
            _ => modseq > self.modseq,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.within {
            None => write!(f, "{}", self.modseq.0),
            Some(within) => write!(f, "{}.{within}", self.modseq.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(modseq: u64, within in prop::option::of(0i64..)) {
            let state = State { modseq: ModSeq(modseq), within };
            prop_assert_eq!(State::read(&state.to_string()), Some(state));
        }
    }

    #[test]
    fn what_is_news() {
        let state = State::read("42.7").unwrap();
        assert_eq!(state.since(), ModSeq(41));
        assert!(!state.is_before(ModSeq(41), 9) && !state.is_before(ModSeq(42), 7));
        assert!(state.is_before(ModSeq(42), 8) && state.is_before(ModSeq(43), 1));
        assert!(!State::after(ModSeq(42)).is_before(ModSeq(42), 9));
        for no in ["", "-1", "042", "42.", ".7", "42.-1", "42.7.1", "99999999999999999999", "x"] {
            assert_eq!(State::read(no), None, "{no}");
        }
    }
}
