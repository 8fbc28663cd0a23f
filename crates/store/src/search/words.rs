//! Cutting text into the words that the index holds, the same for both engines.
//!
//! Text is folded first: compatibility decomposition (NFKD), marks that are accents rather than
//! letters dropped, lower case, runs of white space made one space. Words are runs of letters and
//! digits. Scripts that are written without spaces (Han, Kana, Thai and others) are cut into
//! overlapping pairs, and the last character of a run once more alone, so that every character
//! begins a term and a search for one or more of them finds all places.
//!
//! A term in the index is one letter and a word:
//!
//! | letter | what |
//! |---|---|
//! | `b` | the word stands in the body |
//! | `h` | the word stands in the header |
//! | `o` | and a number: the account that the message belongs to |
//!
//! Terms hold nothing but letters, digits and marks, so both engines take them as they are.

use unicode_normalization::UnicodeNormalization as _;

/// Characters of a word that count; longer ones are cut there, in the index and in questions alike.
const WORD_CHARS_MAX: usize = 40;

/// Text as it is compared: without case, accents and differences of white space.
pub(super) fn fold(text: &str) -> String {
    match text.is_ascii() {
        true => fold_ascii(text),
        false => fold_any(text),
    }
}

/// The same for most text: nothing in it has a decomposition.
fn fold_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, piece) in text.split(char::is_whitespace).enumerate() {
        if index > 0 && !out.ends_with(' ') {
            out.push(' ');
        }
        out.push_str(piece);
    }
    out.make_ascii_lowercase();
    out
}

fn fold_any(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_accent(*c)).flat_map(char::to_lowercase) {
        if !c.is_whitespace() {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

/// The words of folded text, in order, with repetitions.
pub(super) fn words(folded: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for mut run in folded.split(|c: char| !is_word(c)).filter(|run| !run.is_empty()) {
        if run.is_ascii() {
            words.push(&run[..run.len().min(WORD_CHARS_MAX)]);
            continue;
        }
        while let Some(first) = run.chars().next() {
            let spaceless = is_spaceless(first);
            let end = run.find(|c| is_spaceless(c) != spaceless).unwrap_or(run.len());
            let (part, rest) = run.split_at(end);
            run = rest;
            if spaceless {
                words.extend(part.char_indices().map(|(at, _)| first_chars(&part[at..], 2)));
            } else {
                words.push(first_chars(part, WORD_CHARS_MAX));
            }
        }
    }
    words
}

fn first_chars(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}

/// Terms of the index for a message, each once.
pub(super) fn terms(account: i64, header: &str, body: &str) -> Vec<String> {
    let mut terms = vec![owner(account)];
    for (letter, text) in [('h', header), ('b', body)] {
        let folded = fold(text);
        let mut words = words(&folded);
        words.sort_unstable();
        words.dedup();
        terms.extend(words.into_iter().map(|word| format!("{letter}{word}")));
    }
    terms
}

/// The term for an account.
pub(super) fn owner(account: i64) -> String {
    format!("o{account}")
}

/// A question cut up.
pub(super) struct Question {
    /// As it is looked for in folded text.
    pub(super) folded: String,
    /// Each must stand there; the last may be the beginning of a word.
    pub(super) words: Vec<String>,
    /// What the index says is the whole truth: there is no need to look at the text.
    pub(super) one_word: bool,
}

pub(super) fn question(text: &str) -> Question {
    let folded = fold(text);
    let mut words: Vec<String> = words(&folded).into_iter().map(str::to_owned).collect();
    let spaceless = folded.chars().next_back().is_some_and(is_spaceless);
    if spaceless && folded.chars().rev().take(2).filter(|c| is_spaceless(*c)).count() == 2 {
        // The last pair says it already: in the text, its second character need not end a run.
        words.pop();
    }
    let one_word =
        words.len() == 1 && words[0].chars().count() < WORD_CHARS_MAX && folded == words[0];
    Question { folded, words, one_word }
}

/// Whether a match at this octet of folded text begins where a word does (or not with a word).
pub(super) fn begins_at(folded: &str, at: usize) -> bool {
    let before = folded[..at].chars().next_back().filter(|c| is_word(*c) && !is_spaceless(*c));
    let first = folded[at..].chars().next().filter(|c| is_word(*c) && !is_spaceless(*c));
    before.is_none() || first.is_none()
}

/// Whether a character is a part of the one before it.
pub(super) fn joins(c: char) -> bool {
    !c.is_ascii() && unicode_normalization::char::is_combining_mark(c)
}

/// Letters, digits, and the marks that are part of them.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && unicode_normalization::char::is_combining_mark(c))
}

/// Marks that searchers leave out: the combining diacritics, Hebrew points, Arabic vowel signs.
/// The marks of other scripts are part of their letters.
fn is_accent(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}'
            | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}'
            | '\u{64b}'..='\u{65f}' | '\u{670}'
            | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
    )
}

/// Scripts whose words are not parted by spaces.
fn is_spaceless(c: char) -> bool {
    matches!(
        c,
        '\u{e00}'..='\u{eff}'            // Thai, Lao
            | '\u{1000}'..='\u{109f}'    // Myanmar
            | '\u{1780}'..='\u{17ff}'    // Khmer
            | '\u{2e80}'..='\u{2fdf}'    // radicals
            | '\u{3005}'..='\u{3007}'
            | '\u{3040}'..='\u{30ff}'    // Kana
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{9fff}'    // Han
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_width_fold() {
        assert_eq!(fold("Crème\r\n  BRÛLÉE ﬁ Ｗｉｄｅ"), "creme brulee fi wide");
        assert_eq!(fold("Müller"), fold("MU\u{308}LLER"));
        assert_eq!(fold("שָׁלוֹם"), "שלום");
        // Not an accent: another letter.
        assert_ne!(fold("が"), fold("か"));
        assert_ne!(fold("कि"), fold("क"));
    }

    proptest! {
        #[test]
        fn plain_text_is_folded_as_any_other(text in "[\\x00-\\x7f]{0,200}") {
            prop_assert_eq!(fold(&text), fold_any(&text));
        }
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(words("can't do 3.14, a_b"), ["can", "t", "do", "3", "14", "a", "b"]);
        assert_eq!(words("日本語 x"), ["日本", "本語", "語", "x"]);
        assert_eq!(words("abc日本"), ["abc", "日本", "本"]);
        assert_eq!(words("日é本 日"), ["日", "é", "本", "日"]);
        assert_eq!(words(&"x".repeat(100)), ["x".repeat(WORD_CHARS_MAX)]);
        assert!(words("-- !").is_empty());
    }

    #[test]
    fn questions_are_cut_like_texts() {
        assert_eq!(question("Hello World").words, ["hello", "world"]);
        assert!(question("Héllo").one_word);
        assert!(!question("hello!").one_word);
        assert_eq!(question("本").words, ["本"]);
        assert_eq!(question("日本").words, ["日本"]);
        assert_eq!(question("日本語").words, ["日本", "本語"]);
        assert!(question("日本").one_word);
        assert!(question("***").words.is_empty());
    }

    proptest! {
        /// Whatever begins at a word of a text and is asked for is found through the index.
        #[test]
        fn the_index_has_the_words_of_every_piece(
            text in "[a-cÀ-ö日本語กข .,']{0,30}", from in 0usize..30, len in 1usize..12,
        ) {
            let folded = fold(&text);
            let chars: Vec<char> = folded.chars().collect();
            let from = from.min(chars.len());
            let piece: String = chars[from..(from + len).min(chars.len())].iter().collect();
            let starts_inside = from > 0
                && chars.get(from).is_some_and(|c| is_word(*c) && !is_spaceless(*c))
                && is_word(chars[from - 1]) && !is_spaceless(chars[from - 1]);
            let asked = question(&piece);
            prop_assume!(!starts_inside && !asked.words.is_empty());
            let indexed = words(&folded);
            for (index, word) in asked.words.iter().enumerate() {
                let last = index + 1 == asked.words.len();
                prop_assert!(
                    indexed.iter().any(|known| *known == *word || last && known.starts_with(word.as_str())),
                    "{word:?} of {piece:?} is not among {indexed:?}"
                );
            }
        }
    }
}
