//! The words of a text, alone and in pairs, how they look, and runs of marks.

use unicode_normalization::char::decompose_compatible;

use super::{Bag, cut};

/// Longest word kept as it is.
const MAX_WORD_CHARS: usize = 24;

/// The words of a text, alone and in pairs, and how they look.
pub(super) fn words(text: &str, prefix: &str, bag: &mut Bag) {
    let mut reader = Words { prefix, last: String::new(), spaced: String::new(), bag };
    let mut word = String::new();
    let (mut latin, mut other, mut invisible) = (false, false, 0);
    let mut capitals = true;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if reader.bag.full() {
            return;
        }
        let inner = matches!(c, '\'' | '’' | '-') && !word.is_empty();
        if is_unspaced(c) {
            reader.word(&word);
            word.clear();
            if let Some(&next) = chars.peek().filter(|next| is_unspaced(**next)) {
                reader.pair(c, next);
            }
        } else if c.is_alphanumeric() || (c == '$' && word.is_empty()) {
            latin |= c.is_ascii_alphabetic();
            capitals &= c.is_uppercase();
            other |= matches!(c, '\u{370}'..='\u{52f}');
            if word.len() <= 4 * MAX_WORD_CHARS {
                fold(c, &mut word);
            }
        } else if inner && chars.peek().is_some_and(|next| next.is_alphanumeric()) {
            word.push(if c == '’' { '\'' } else { c });
        } else if matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        ) {
            invisible += 1; // Inside words, they are there to deceive; the word goes on.
        } else {
            if latin && other {
                reader.bag.add("look:letters of several scripts in a word");
            }
            reader.in_capitals(&word, capitals);
            (latin, other, capitals) = (false, false, true);
            reader.word(&word);
            word.clear();
        }
    }
    reader.in_capitals(&word, capitals);
    reader.word(&word);
    reader.end_spaced();
    if invisible > 3 {
        bag.add("look:invisible characters");
    }
}

struct Words<'a> {
    prefix: &'a str,
    /// The word before, for pairs.
    last: String,
    /// Letters that stood alone, one after another.
    spaced: String,
    bag: &'a mut Bag,
}

impl Words<'_> {
    fn word(&mut self, word: &str) {
        let chars = word.chars().count();
        match chars {
            0 => return,
            1 => {
                self.spaced.push_str(word);
                return;
            }
            _ => self.end_spaced(),
        }
        if chars > MAX_WORD_CHARS {
            self.bag.join(&[self.prefix, "look:long word"]);
            self.last.clear();
            return;
        }
        self.bag.add_in(self.prefix, word);
        if !self.last.is_empty() {
            self.bag.join(&[self.prefix, &self.last, " ", word]);
        }
        self.last.clear();
        self.last.push_str(word);
    }

    /// A word that is written in capitals is counted by that beside itself.
    fn in_capitals(&mut self, word: &str, capitals: bool) {
        if capitals && (3..=MAX_WORD_CHARS).contains(&word.chars().count()) {
            self.bag.join(&[self.prefix, "capitals:", word]);
        }
    }

    /// Two characters of a script without spaces.
    fn pair(&mut self, first: char, second: char) {
        self.last.clear();
        let (mut one, mut other) = ([0; 4], [0; 4]);
        let pair = [first.encode_utf8(&mut one), second.encode_utf8(&mut other)];
        self.bag.join(&[self.prefix, pair[0], pair[1]]);
    }

    /// `v i a g r a` is one word that does not want to be read.
    fn end_spaced(&mut self) {
        if self.spaced.chars().count() >= 5 {
            self.bag.add("look:letters spaced out");
            let word: String = self.spaced.chars().take(MAX_WORD_CHARS).collect();
            self.bag.add_in(self.prefix, &word);
        }
        self.spaced.clear();
    }
}

/// Looked up: each octet of a message is asked about.
const IS_MARK: [bool; 256] = {
    let (mut table, marks, mut i) = ([false; 256], b"!$%*#=_~?.-", 0);
    while i < marks.len() {
        table[marks[i] as usize] = true;
        i += 1;
    }
    table
};

/// Runs of marks, up to six; of single ones those that shout and those of prices.
pub(super) fn marks(text: &str, prefix: &str, bag: &mut Bag) {
    let octets = text.as_bytes();
    let is_mark = |octet: &u8| IS_MARK[usize::from(*octet)];
    let is_digit = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while let Some(start) = octets[at..].iter().position(is_mark).map(|n| at + n) {
        let length = octets[start..].iter().take_while(|octet| is_mark(octet)).count();
        at = start + length;
        match &text[start..at] {
            "!" => bag.join(&[prefix, "marks:!"]),
            "$" if is_digit(octets.get(at)) => bag.join(&[prefix, "marks:$9"]),
            "%" if start > 0 && is_digit(octets.get(start - 1)) => {
                bag.join(&[prefix, "marks:9%"]);
            }
            _ if length == 1 => {}
            run => bag.join(&[prefix, "marks:", cut(run, 6)]),
        }
    }
}

/// Adds a character folded: compatibility forms, case and accents are gone.
fn fold(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
        return;
    }
    // Korean syllables are letters as they are; decomposed they would be three each.
    if matches!(c, '\u{ac00}'..='\u{d7a3}') {
        out.push(c);
        return;
    }
    decompose_compatible(c, |part| {
        if !matches!(part, '\u{300}'..='\u{36f}') {
            out.extend(part.to_lowercase());
        }
    });
}

/// Letters of scripts that put no spaces between words: Thai, Lao, Myanmar, Khmer, kana, ideographs.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

pub(super) fn is_shouted(text: &str) -> bool {
    let upper = text.chars().filter(|c| c.is_uppercase()).count();
    let lower = text.chars().filter(|c| c.is_lowercase()).count();
    upper >= 8 && upper > 4 * lower
}
