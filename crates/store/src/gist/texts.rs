//! Texts that are kept once each, and named by numbers.

use std::collections::HashMap;
use std::sync::Arc;

use memchr::memmem;

/// The number of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextId(u32);

impl TextId {
    /// There is no text, which is not the same as an empty one.
    pub(super) const ABSENT: TextId = TextId(0);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// See above.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    /// Number 1 is the first.
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, TextId>,
    octets: usize,
}

impl Texts {
    /// The number of a text, which is a new one where it has none.
    pub(super) fn id(&mut self, text: Option<&str>) -> TextId {
        let Some(text) = text else { return TextId::ABSENT };
        match self.numbers.get(text) {
            Some(id) => *id,
            None => self.add(text.into()),
        }
    }

    fn add(&mut self, text: Arc<str>) -> TextId {
        self.octets += text.len();
        self.texts.push(text.clone());
        let id = TextId(self.texts.len() as u32);
        self.numbers.insert(text, id);
        id
    }

    /// Takes in another's texts. Gives their numbers here, by their numbers there.
    pub(super) fn join(&mut self, other: &Texts) -> Vec<TextId> {
        let known = |text: &Arc<str>| match self.numbers.get(text) {
            Some(id) => *id,
            None => self.add(text.clone()),
        };
        let ids = other.texts.iter().map(known);
        [TextId::ABSENT].into_iter().chain(ids).collect()
    }

    /// Where each of these stands among them when they are sorted, by its number: from 1, and 0 where
    /// the text is empty or absent.
    pub(super) fn ranks(&self, used: impl Iterator<Item = TextId>) -> Vec<u32> {
        let mut is_used = vec![false; self.texts.len() + 1];
        used.for_each(|id| is_used[id.index()] = true);
        let used =
            (0..is_used.len()).filter(|&index| is_used[index] && !self.text(index).is_empty());
        let mut sorted: Vec<(&str, usize)> = used.map(|index| (self.text(index), index)).collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; self.texts.len() + 1];
        for (rank, (_, index)) in (1..).zip(sorted) {
            ranks[index] = rank;
        }
        ranks
    }

    /// Which of these have that text in them, by their numbers.
    pub(super) fn having(&self, used: impl Iterator<Item = TextId>, wanted: &str) -> Vec<bool> {
        let finder = memmem::Finder::new(wanted);
        let mut looked_at = vec![false; self.texts.len() + 1];
        let mut having = vec![false; self.texts.len() + 1];
        for id in used.filter(|id| *id != TextId::ABSENT) {
            if !std::mem::replace(&mut looked_at[id.index()], true) {
                having[id.index()] = finder.find(self.text(id.index()).as_bytes()).is_some();
            }
        }
        having
    }

    /// Empty where there is none.
    pub(super) fn text(&self, index: usize) -> &str {
        index.checked_sub(1).map_or("", |at| &self.texts[at])
    }

    /// About how much room they take.
    pub(super) fn octets(&self) -> usize {
        // Counters and pointers of each.
        self.octets + self.texts.len() * 64
    }
}
