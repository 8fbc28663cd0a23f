//! Comparing texts as i;unicode-casemap does (RFC 5051), as sorting and threading ask for (RFC 5256 §7):
//! simple titlecase, then decomposition.

use unicode_normalization::UnicodeNormalization as _;

/// Deviates: RFC 5256 knows no such bound. Texts are compared by so many characters: a hundred
/// thousand subjects are held at once.
const MAX_CHARS: usize = 500;

/// Texts that are alike have the same key, and keys sort as texts should.
pub fn key(text: &str) -> String {
    if text.is_ascii() {
        return text[..text.len().min(MAX_CHARS)].to_ascii_uppercase();
    }
    text.chars().take(MAX_CHARS).map(titlecase).nfkd().collect()
}

/// The simple mapping of UnicodeData: one character to one.
fn titlecase(c: char) -> char {
    match c {
        // The digraphs, whose titlecase is not their uppercase.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                _ => c, // `ß` and its like have no simple mapping
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(key("Hello"), key("hELLO"));
        assert_eq!(key("Ärger"), key("a\u{308}RGER")); // composed or not
        assert_eq!(key("ǆ"), key("Ǆ"));
        assert_eq!(key("ａ"), key("A")); // compatibility decomposition
        assert_eq!(key("ﬁ"), "fi"); // which comes after the titlecase (RFC 5051 §2)
        assert!(key("") < key("a") && key("a") < key("B"));
        assert!(key("E") < key("é") && key("é") < key("F"));
        assert_ne!(key("ß"), key("ss"));
        assert_eq!(key(&"a".repeat(9999)).len(), MAX_CHARS);
    }
}
