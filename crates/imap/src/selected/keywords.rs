//! Keywords that one client has been told of by FLAGS responses.

use std::collections::BTreeSet;
use std::sync::Arc;

use waxwing_store::Roll;

/// See above.
#[derive(Debug, Default)]
pub struct Told {
    keywords: BTreeSet<Arc<str>>,
    untold: bool,
}

impl Told {
    /// The client is told of these by SELECT's FLAGS response.
    pub fn tell(&mut self, keywords: impl IntoIterator<Item = Arc<str>>) {
        self.keywords.extend(keywords);
        self.untold = false;
    }

    /// Keywords of a newer roll are to be told.
    pub fn learn(&mut self, roll: &Roll) {
        for keyword in roll.keyword_sets().iter().flat_map(|set| set.iter()) {
            if !self.keywords.contains(keyword) {
                self.keywords.insert(keyword.clone());
                self.untold = true;
            }
        }
    }

    /// All that the client knows, or will know by the next FLAGS response.
    pub fn known(&self) -> impl Iterator<Item = &Arc<str>> {
        self.keywords.iter()
    }

    /// Keywords came up since the last call that no FLAGS response has named.
    pub fn take_untold(&mut self) -> bool {
        std::mem::take(&mut self.untold)
    }
}
