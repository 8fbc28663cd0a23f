//! The keyword sets that occur in a mailbox: few, while messages are many. Rows name a set by its
//! number; number 0 is the empty set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::row::Row;

/// One set: sorted, each keyword once.
pub type KeywordSet = Arc<[Arc<str>]>;

/// All sets of one selected mailbox.
#[derive(Debug, Default)]
pub struct Keywords {
    /// Set number 1 is the first.
    sets: Vec<KeywordSet>,
    numbers: BTreeMap<KeywordSet, u32>,
    /// Every keyword that the client has been told of by a FLAGS response.
    told: BTreeSet<Arc<str>>,
    untold: bool,
}

impl Keywords {
    /// The client is told of these by SELECT's FLAGS response.
    pub fn tell(&mut self, keywords: impl IntoIterator<Item = Arc<str>>) {
        self.told.extend(keywords);
    }

    /// All that the client knows, or will know by the next FLAGS response.
    pub fn known(&self) -> impl Iterator<Item = &Arc<str>> {
        self.told.iter()
    }

    /// Keywords came up since the last call that no FLAGS response has named.
    pub fn take_untold(&mut self) -> bool {
        std::mem::take(&mut self.untold)
    }

    /// The number of a set.
    pub fn number(&mut self, set: Option<&KeywordSet>) -> u32 {
        let Some(set) = set.filter(|set| !set.is_empty()) else { return 0 };
        if let Some(&number) = self.numbers.get(set) {
            return number;
        }
        for keyword in set.iter() {
            if !self.told.contains(keyword) {
                self.told.insert(keyword.clone());
                self.untold = true;
            }
        }
        self.sets.push(set.clone());
        let number = u32::try_from(self.sets.len()).unwrap_or(0);
        self.numbers.insert(set.clone(), number);
        number
    }

    /// The set with that number.
    pub fn set(&self, number: u32) -> Option<&KeywordSet> {
        self.sets.get((number as usize).checked_sub(1)?)
    }

    /// The keywords of that set.
    pub fn of(&self, row: &Row) -> &[Arc<str>] {
        self.set(row.keywords()).map_or(&[], |set| set)
    }

    /// Forgets sets that no row has, once most are such: a mailbox whose keywords change for ever
    /// takes no more memory for it.
    pub fn sweep(&mut self, rows: &mut [Row]) {
        if self.sets.len() < 64 || self.sets.len() / 2 < rows.len() {
            return;
        }
        let old = std::mem::take(&mut self.sets);
        self.numbers.clear();
        for row in rows {
            let set = (row.keywords() as usize).checked_sub(1).and_then(|at| old.get(at));
            let number = self.number(set);
            row.renumber_keywords(number);
        }
    }
}
