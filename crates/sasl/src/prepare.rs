//! SASLprep (RFC 4013): names and passwords brought into one form before they are compared, so
//! that an `é` typed as one character on one keyboard and as two on another is the same password.
//!
//! RFC 4616 §2 and RFC 5802 §2.2 name SASLprep, and every SCRAM client in use applies it, so it is
//! what is done here, rather than its successor OpaqueString (RFC 8265 §4.2), which normalises
//! differently (NFC instead of NFKC) and would make other clients' proofs fail.
//!
//! The steps of RFC 4013 §2: map (§2.1), normalise with NFKC (§2.2), look for prohibited
//! characters (§2.3) and mixed directions (§2.4). The tables of RFC 3454 come from the
//! `stringprep` crate.
//!
//! Deviates: code points that Unicode 3.2 had not assigned (§2.5) are allowed, in stored strings
//! too. RFC 3454 §7 forbids them there, which would refuse every emoji of the last twenty years.
//!
//! Deviates: a password that SASLprep prohibits (Hebrew and Latin letters mixed, say) is used as it
//! was typed, as PostgreSQL does. Its owner can then log in with every client that does likewise;
//! refusing it would help nobody.

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

/// SASLprep does not allow this string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Prohibited {
    /// Nothing was given, or nothing is left of it.
    #[error("the string is empty")]
    Empty,
    /// RFC 4013 §2.3: a control character, a private-use character and the like.
    #[error("the character U+{:04X} is not allowed", u32::from(*.0))]
    Character(char),
    /// RFC 4013 §2.4: right-to-left and left-to-right letters are mixed.
    #[error("right-to-left and left-to-right letters are mixed")]
    MixedDirections,
}

/// A login name in the form in which it is looked up.
pub fn prepare_login(login: &str) -> Result<String, Prohibited> {
    saslprep(login).map(Cow::into_owned)
}

/// A password in the form in which it is hashed and compared: by SASLprep, or as given where
/// SASLprep prohibits it.
///
/// Whoever stores passwords must hash this form: PLAIN and LOGIN hand it over in this form, and
/// [`ScramKeys::derive`](crate::ScramKeys::derive) applies it itself. Applying it twice is harmless.
pub fn prepare_password(password: &str) -> Zeroizing<String> {
    match saslprep(password) {
        Ok(prepared) => Zeroizing::new(prepared.into_owned()),
        Err(_) => Zeroizing::new(password.to_owned()),
    }
}

fn saslprep(text: &str) -> Result<Cow<'_, str>, Prohibited> {
    if text.is_empty() {
        return Err(Prohibited::Empty);
    }
    if text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        return Ok(Cow::Borrowed(text)); // Nearly always.
    }
    // RFC 4013 §2.1 and §2.2. Decomposing can make a string up to 18 times longer; reserving
    // that would be absurd, so a growing copy may leave fragments of a non-ASCII password behind.
    let mut mapped: String = text
        .chars()
        .filter(|&c| !tables::commonly_mapped_to_nothing(c))
        .map(|c| if tables::non_ascii_space_character(c) { ' ' } else { c })
        .collect();
    let normalised: String = mapped.nfkc().collect();
    mapped.zeroize();

    match check(&normalised) {
        Ok(()) => Ok(Cow::Owned(normalised)),
        Err(prohibited) => {
            Zeroizing::new(normalised).zeroize();
            Err(prohibited)
        }
    }
}

fn check(text: &str) -> Result<(), Prohibited> {
    if text.is_empty() {
        return Err(Prohibited::Empty);
    }
    if let Some(c) = text.chars().find(|&c| is_prohibited(c)) {
        return Err(Prohibited::Character(c));
    }
    // RFC 3454 §6: with any right-to-left letter there is no left-to-right one, and the string
    // begins and ends with right-to-left letters.
    if text.contains(tables::bidi_r_or_al)
        && (text.contains(tables::bidi_l)
            || !text.starts_with(tables::bidi_r_or_al)
            || !text.ends_with(tables::bidi_r_or_al))
    {
        return Err(Prohibited::MixedDirections);
    }
    Ok(())
}

/// RFC 4013 §2.3, table by table.
fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::surrogate_code(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 4013 §3, all seven examples.
    #[test]
    fn the_examples_of_rfc_4013() {
        assert_eq!(saslprep("I\u{AD}X").as_deref(), Ok("IX"));
        assert_eq!(saslprep("user").as_deref(), Ok("user"));
        assert_eq!(saslprep("USER").as_deref(), Ok("USER"));
        assert_eq!(saslprep("\u{AA}").as_deref(), Ok("a"));
        assert_eq!(saslprep("\u{2168}").as_deref(), Ok("IX"));
        assert_eq!(saslprep("\u{7}"), Err(Prohibited::Character('\u{7}')));
        assert_eq!(saslprep("\u{627}\u{31}"), Err(Prohibited::MixedDirections));
    }

    #[test]
    fn spaces_and_accents_are_unified() {
        assert_eq!(saslprep("a\u{A0}b\u{3000}c").as_deref(), Ok("a b c"));
        assert_eq!(saslprep("e\u{301}").as_deref(), Ok("\u{E9}"));
        assert_eq!(saslprep("\u{AD}"), Err(Prohibited::Empty));
        assert_eq!(saslprep("").map(Cow::into_owned), Err(Prohibited::Empty));
    }

    #[test]
    fn emoji_pass_although_unicode_3_2_had_none() {
        assert_eq!(saslprep("\u{1F422}pw").as_deref(), Ok("\u{1F422}pw"));
    }

    #[test]
    fn a_prohibited_password_is_used_as_typed() {
        assert_eq!(*prepare_password("\u{5D0}b"), "\u{5D0}b");
        assert_eq!(*prepare_password("\u{AD}"), "\u{AD}");
        assert_eq!(*prepare_password("e\u{301}"), "\u{E9}");
        assert_eq!(prepare_login("\u{5D0}b"), Err(Prohibited::MixedDirections));
    }

    proptest! {
        /// The crate's own SASLprep is the oracle, wherever it finds nothing unassigned.
        #[test]
        fn agrees_with_the_strict_profile(text in any::<String>()) {
            if text.is_empty() { return Ok(()); }
            if let Ok(strict) = stringprep::saslprep(&text)
                && !strict.is_empty()
            {
                let ours = saslprep(&text);
                prop_assert_eq!(ours.as_deref(), Ok(&*strict));
            }
            if let Ok(ours) = saslprep(&text)
                && !ours.contains(tables::unassigned_code_point)
            {
                prop_assert_eq!(&*stringprep::saslprep(&text).expect("allowed"), &*ours);
            }
        }

        #[test]
        fn preparing_twice_changes_nothing(text in any::<String>()) {
            let once = prepare_password(&text);
            prop_assert_eq!(&*prepare_password(&once), &*once);
        }
    }
}
