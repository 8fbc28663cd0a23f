//! Base subjects (RFC 5256 §2.1): what is left of a subject without `Re:`, `Fwd:`, `[list]` and
//! `(fwd)`.
//!
//! ```text
//! subject  = *leader [middle] *trailer
//! leader   = *blob ("re" / "fw" / "fwd") *WSP [blob] ":"  /  WSP
//! middle   = *blob (base / "[fwd:" subject "]")       the last blob stays if nothing else would
//! blob     = "[" anything but brackets "]" *WSP
//! trailer  = "(fwd)" / WSP
//! ```
//!
//! Translations of these tokens are text, as the RFC has it (§7). Time is linear: where a row of
//! blobs is not followed by a token, neither is a part of it.

/// A subject without what replying and forwarding put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseSubject<'s> {
    /// Spelled as it was.
    pub text: &'s str,
    /// Something was removed that replies and forwarded messages have.
    pub is_reply: bool,
}

/// RFC 5256 §2.1 (1): runs of white space become one space. Encoded words have been decoded.
pub fn collapsed(subject: &str) -> String {
    let mut text = String::with_capacity(subject.len());
    for c in subject.chars() {
        let space = matches!(c, ' ' | '\t' | '\r' | '\n');
        if !space {
            text.push(c);
        } else if !text.ends_with(' ') {
            text.push(' ');
        }
    }
    text
}

/// The base of a subject that is [`collapsed`].
pub fn base_subject(subject: &str) -> BaseSubject<'_> {
    let mut text = subject;
    let mut is_reply = false;
    loop {
        (text, is_reply) = without_trailers(text, is_reply);
        (text, is_reply) = without_leaders(text, is_reply);
        text = without_blobs(text);
        // (6)
        let inner = strip_word(text, "[fwd:").and_then(|inner| inner.strip_suffix(']'));
        match inner {
            Some(inner) => (text, is_reply) = (inner, true),
            None => return BaseSubject { text, is_reply },
        }
    }
}

/// (2)
fn without_trailers(mut text: &str, mut is_reply: bool) -> (&str, bool) {
    loop {
        text = text.trim_end_matches(is_wsp);
        let kept = text.len().wrapping_sub("(fwd)".len());
        match text.get(kept..) {
            Some(end) if end.eq_ignore_ascii_case("(fwd)") => text = &text[..kept],
            _ => return (text, is_reply),
        }
        is_reply = true;
    }
}

/// (3)
fn without_leaders(mut text: &str, mut is_reply: bool) -> (&str, bool) {
    loop {
        text = text.trim_start_matches(is_wsp);
        let mut after_blobs = text;
        while let Some(rest) = strip_blob(after_blobs) {
            after_blobs = rest;
        }
        match strip_token(after_blobs) {
            Some(rest) => (text, is_reply) = (rest, true),
            None => return (text, is_reply),
        }
    }
}

/// (4), where no token stands behind the blobs.
fn without_blobs(mut text: &str) -> &str {
    while let Some(rest) = strip_blob(text).filter(|rest| !rest.is_empty()) {
        text = rest;
    }
    text
}

/// `subj-refwd`.
fn strip_token(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"].iter().find_map(|token| strip_word(text, token))?;
    let rest = rest.trim_start_matches(is_wsp);
    strip_blob(rest).unwrap_or(rest).strip_prefix(':')
}

/// `subj-blob`.
fn strip_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    let rest = inner[end..].strip_prefix(']')?;
    Some(rest.trim_start_matches(is_wsp))
}

fn strip_word<'s>(text: &'s str, word: &str) -> Option<&'s str> {
    let start = text.get(..word.len())?;
    start.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

fn is_wsp(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base(subject: &str) -> (String, bool) {
        let subject = collapsed(subject);
        let base = base_subject(&subject);
        (base.text.to_owned(), base.is_reply)
    }

    #[test]
    fn bases() {
        for (subject, text, is_reply) in [
            ("hello", "hello", false),
            ("RE: Fwd [3] : \t hello \t world (FWD) ", "hello world", true),
            ("[list] hello", "hello", false),
            ("[list] [other]", "[other]", false),
            ("[list] re: [x] [y]", "[y]", true),
            ("re : a", "a", true),
            ("rec: a", "rec: a", false),
            ("[Fwd: Re: a (fwd)]", "a", true),
            ("[fwd: [fwd: a]]", "a", true),
            ("[fwd: ]", "", true),
            ("(fwd)", "", true),
            ("AW: a", "AW: a", false),
            ("é", "é", false),
            ("re", "re", false),
        ] {
            assert_eq!(base(subject), (text.into(), is_reply), "{subject}");
        }
    }

    #[test]
    fn time_is_linear() {
        for piece in ["[a]", "[fwd:", "re:", "(fwd)", "[", "re[", "[a] re"] {
            let started = std::time::Instant::now();
            base(&piece.repeat(200_000));
            assert!(started.elapsed().as_secs() < 5, "{piece}");
        }
    }

    proptest! {
        /// Whatever is put around a base, it is the same base.
        #[test]
        fn what_mailers_add_is_removed(
            added in proptest::collection::vec(0usize..6, 0..8), word in "[a-z]{5,9}( [a-z]{5,9})?",
        ) {
            let mut subject = word.clone();
            for &how in &added {
                subject = match how {
                    0 => format!("Re: {subject}"),
                    1 => format!("FWD[2]:{subject}"),
                    2 => format!("[fwd: {subject}]"),
                    3 => format!("[a list]  {subject}"),
                    4 => format!("{subject} (fwd)"),
                    _ => format!("fw:\t{subject} "),
                };
            }
            let (text, _) = base(&subject);
            prop_assert_eq!(text, word);
        }

        #[test]
        fn any_subject(subject: String) {
            let once = base(&subject).0;
            prop_assert!(subject.len() >= once.len());
        }
    }
}
