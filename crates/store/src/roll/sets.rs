//! The sets of keywords that occur in a mailbox: few, while messages are many. Rows name a set by its
//! number; number 0 is the empty set.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One set: sorted, each keyword once.
pub type KeywordSet = Arc<[Arc<str>]>;

/// Forgetting begins here.
const SWEEP_AT_LEAST: usize = 64;

/// All sets of one roll.
#[derive(Debug, Clone)]
pub(super) struct Sets {
    /// Set number 1 is the first.
    sets: Vec<KeywordSet>,
    numbers: BTreeMap<KeywordSet, u32>,
    /// With so many sets it is time to look which are in use.
    sweep_at: usize,
}

impl Default for Sets {
    fn default() -> Sets {
        Sets { sets: Vec::new(), numbers: BTreeMap::new(), sweep_at: SWEEP_AT_LEAST }
    }
}

impl Sets {
    /// The number of a set, which is a new one where it has none.
    pub(super) fn number(this: &mut Arc<Sets>, set: Option<&KeywordSet>) -> u32 {
        let Some(set) = set.filter(|set| !set.is_empty()) else { return 0 };
        if let Some(&number) = this.numbers.get(set) {
            return number;
        }
        let this = Arc::make_mut(this);
        this.sets.push(set.clone());
        let number = u32::try_from(this.sets.len()).unwrap_or(0);
        this.numbers.insert(set.clone(), number);
        number
    }

    /// The number of a set, if it has one.
    pub(super) fn known(&self, set: Option<&KeywordSet>) -> Option<u32> {
        match set.filter(|set| !set.is_empty()) {
            Some(set) => self.numbers.get(set).copied(),
            None => Some(0),
        }
    }

    /// The set with that number.
    pub(super) fn get(&self, number: u32) -> Option<&KeywordSet> {
        self.sets.get((number as usize).checked_sub(1)?)
    }

    pub(super) fn all(&self) -> &[KeywordSet] {
        &self.sets
    }

    /// There may be many that no row has.
    pub(super) fn want_sweeping(&self) -> bool {
        self.sets.len() >= self.sweep_at
    }

    /// These are all in use.
    pub(super) fn swept(&mut self) {
        self.sweep_at = SWEEP_AT_LEAST.max(2 * self.sets.len());
    }
}
