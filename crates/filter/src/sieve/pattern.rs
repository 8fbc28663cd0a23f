//! The match type `:matches` (RFC 5228 §2.7.1): `*` any characters, `?` one, `\` takes away their meaning.
//!
//! Each wildcard takes as little as it can, the leftmost first (RFC 5229 §3.2). A pattern is cut at
//! its stars; each piece is searched for after the one before, and the last must end the text. So no
//! pattern makes more than one pass over the text, times the length of a piece that holds a `?`.

use memchr::memmem;

use super::matching::Comparator;

/// A pattern, ready to be matched.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// What stands between stars; one more than there are stars.
    pieces: Vec<Vec<Glyph>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glyph {
    Char(char),
    Any,
}

impl Pattern {
    pub fn new(pattern: &str) -> Pattern {
        let mut pieces = vec![Vec::new()];
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            let glyph = match c {
                '*' => {
                    pieces.push(Vec::new());
                    continue;
                }
                '?' => Glyph::Any,
                '\\' => Glyph::Char(chars.next().unwrap_or('\\')),
                c => Glyph::Char(c),
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(glyph);
            }
        }
        Pattern { pieces }
    }

    /// How much work a text of that many octets may be, in octets looked at.
    pub fn cost(&self, octets: usize) -> usize {
        let searched = self.pieces.iter().filter(|piece| piece.contains(&Glyph::Any));
        // A step of such a search is slower than one that looks for text.
        octets.saturating_mul(16 * searched.map(Vec::len).max().unwrap_or(0) + 1)
    }

    /// What each wildcard took, after the whole text; `None` where the text does not match. `folded` is
    /// the text as the comparator has it: ASCII folding moves nothing, so offsets are the same.
    pub fn matches(&self, text: &str, folded: &str, comparator: Comparator) -> Option<Vec<String>> {
        let fold = comparator == Comparator::AsciiCasemap;
        let mut taken = Vec::new();
        let (first, rest) = self.pieces.split_first()?;
        let mut at = at_start(first, folded, fold, &mut taken, text, 0)?;
        let Some((last, middle)) = rest.split_last() else {
            return (at == text.len()).then(|| with_whole(text, taken));
        };
        for piece in middle {
            let (from, to, inner) = find(piece, folded, fold, at, text)?;
            taken.push(text[at..from].to_owned());
            taken.extend(inner);
            at = to;
        }
        let (from, inner) = at_end(last, folded, fold, at, text)?;
        taken.push(text[at..from].to_owned());
        taken.extend(inner);
        Some(with_whole(text, taken))
    }
}

fn with_whole(text: &str, taken: Vec<String>) -> Vec<String> {
    std::iter::once(text.to_owned()).chain(taken).collect()
}

fn folded(c: char, fold: bool) -> char {
    if fold { c.to_ascii_uppercase() } else { c }
}

/// Matches a piece at `at`: where it ends. What `?` took goes to `taken`.
fn at_start(
    piece: &[Glyph],
    haystack: &str,
    fold: bool,
    taken: &mut Vec<String>,
    text: &str,
    at: usize,
) -> Option<usize> {
    let mut end = at;
    let mut chars = haystack[at..].chars();
    for glyph in piece {
        let c = chars.next()?;
        let next = end + c.len_utf8();
        match glyph {
            Glyph::Any => taken.push(text[end..next].to_owned()),
            Glyph::Char(wanted) if folded(*wanted, fold) == c => {}
            Glyph::Char(_) => return None,
        }
        end = next;
    }
    Some(end)
}

/// Finds a piece at or after `from`: its place, and what `?` took.
fn find(
    piece: &[Glyph],
    haystack: &str,
    fold: bool,
    from: usize,
    text: &str,
) -> Option<(usize, usize, Vec<String>)> {
    if let Some(literal) = literal(piece, fold) {
        let at = from + memmem::find(&haystack.as_bytes()[from..], literal.as_bytes())?;
        return Some((at, at + literal.len(), Vec::new()));
    }
    let starts = haystack[from..].char_indices().map(|(at, _)| from + at);
    for start in starts.chain([haystack.len()]) {
        let mut taken = Vec::new();
        if let Some(end) = at_start(piece, haystack, fold, &mut taken, text, start) {
            return Some((start, end, taken));
        }
    }
    None
}

/// Matches a piece at the end, not before `from`: where it begins.
fn at_end(
    piece: &[Glyph],
    haystack: &str,
    fold: bool,
    from: usize,
    text: &str,
) -> Option<(usize, Vec<String>)> {
    let mut start = haystack.len();
    let mut chars = haystack[from..].chars().rev();
    for _ in piece {
        start -= chars.next()?.len_utf8();
    }
    let mut taken = Vec::new();
    at_start(piece, haystack, fold, &mut taken, text, start).map(|_| (start, taken))
}

/// The piece as text, when it has no `?`.
fn literal(piece: &[Glyph], fold: bool) -> Option<String> {
    piece
        .iter()
        .map(|glyph| match glyph {
            Glyph::Char(c) => Some(folded(*c, fold)),
            Glyph::Any => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pattern: &str, text: &str) -> Option<Vec<String>> {
        let folded = text.to_ascii_uppercase();
        let all = Pattern::new(pattern).matches(text, &folded, Comparator::AsciiCasemap)?;
        Some(all[1..].to_vec())
    }

    #[test]
    fn wildcards_take_as_little_as_they_can() {
        assert_eq!(taken("*", "").unwrap(), [""]);
        assert_eq!(
            taken("[*] *", "[acme-users] [fwd] version").unwrap(),
            ["acme-users", "[fwd] version"]
        );
        assert_eq!(taken("*-*", "a-b-c").unwrap(), ["a", "b-c"]);
        assert_eq!(taken("?*b?", "AaBc").unwrap(), ["A", "a", "c"]);
        assert_eq!(taken("**x", "yx").unwrap(), ["", "y"]);
        assert!(taken("a*a", "a").is_none());
        assert!(taken("a", "ab").is_none());
        assert!(taken("?", "").is_none());
    }

    #[test]
    fn escapes_and_characters() {
        // RFC 5228 §2.7.1: "\*" matches a star.
        assert!(taken("\\*a\\?", "*A?").is_some());
        assert!(taken("\\*", "x").is_none());
        assert_eq!(taken("?x", "éx").unwrap(), ["é"]);
        assert!(Pattern::new("A").matches("a", "a", Comparator::Octet).is_none());
    }
}
