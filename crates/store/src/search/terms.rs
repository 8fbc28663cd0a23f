//! Finding in a text what a search finds in it, to be shown: where the matches stand in the text as it is
//! written, which is longer or shorter than it is when folded.

use std::ops::Range;

use super::words;

/// What a search looks for, ready to be found in texts.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Folded, none empty.
    folded: Vec<String>,
}

impl Terms {
    /// Words and phrases.
    pub fn new(terms: &[String]) -> Terms {
        let folded = terms.iter().map(|term| words::fold(term.trim()));
        Terms { folded: folded.filter(|term| !term.is_empty()).collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.folded.is_empty()
    }

    /// Where they stand in a text: ranges of octets, at characters, that ascend and do not overlap.
    pub fn find_all(&self, text: &str) -> Vec<Range<usize>> {
        if self.is_empty() {
            return Vec::new();
        }
        let Folded { text: folded, origins } = Folded::of(text);
        let mut found: Vec<Range<usize>> = Vec::new();
        for term in &self.folded {
            let matches = folded.match_indices(term.as_str());
            let matches = matches.filter(|(at, _)| words::begins_at(&folded, *at));
            found.extend(matches.map(|(at, _)| {
                // A match ends where what comes after it began.
                let end = origins.get(at + term.len()).copied().unwrap_or(text.len());
                origins[at]..end
            }));
        }
        found.retain(|range| !range.is_empty());
        found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut apart: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for range in found {
            match apart.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }
}

/// A text, folded, and of each of its octets where the character that it came from begins.
struct Folded {
    text: String,
    origins: Vec<usize>,
}

impl Folded {
    /// Folded cluster by cluster: a character and the marks on it.
    fn of(text: &str) -> Folded {
        let mut folded = Folded { text: String::new(), origins: Vec::new() };
        let mut start = 0;
        let mut chars = text.char_indices().peekable();
        while chars.next().is_some() {
            let next = chars.peek().map_or(text.len(), |(next, _)| *next);
            if text[next..].chars().next().is_some_and(words::joins) {
                continue;
            }
            let more = words::fold(&text[start..next]);
            // Runs of white space are one space.
            let more = match folded.text.ends_with(' ') && more.starts_with(' ') {
                true => &more[1..],
                false => more.as_str(),
            };
            folded.text.push_str(more);
            folded.origins.resize(folded.text.len(), start);
            start = next;
        }
        folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found<'t>(text: &'t str, terms: &[&str]) -> Vec<&'t str> {
        let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
        Terms::new(&terms).find_all(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn matches_stand_where_they_are_written() {
        assert_eq!(found("Crème BRÛLÉE, e\u{301}té", &["brulee", "ETE"]), ["BRÛLÉE", "e\u{301}té"]);
        assert_eq!(found("hello   there\nhell", &["hello there"]), ["hello   there"]);
        assert_eq!(found("hello othello", &["hello"]), ["hello"]);
        assert_eq!(found("日本語の本", &["本"]), ["本", "本"]);
        assert_eq!(found("foobar", &["foo", "foobar"]), ["foobar"]);
        assert_eq!(found("ﬁne", &["fin"]), ["ﬁn"]);
        assert!(found("x", &["", " "]).is_empty());
    }

    proptest! {
        #[test]
        fn ranges_are_in_order(text in "[a-cÀ-öﬁİ日本 \u{301}]{0,30}", terms in prop::collection::vec("[a-cé日i ]{1,4}", 0..4)) {
            let ranges = Terms::new(&terms).find_all(&text);
            let mut at = 0;
            for range in ranges {
                prop_assert!(at <= range.start && range.start < range.end);
                prop_assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end));
                at = range.end;
            }
        }
    }
}
