//! Domains and selectors, as tags hold them and as the DNS is asked for them.

use std::borrow::Cow;

/// A domain or selector in the form for the DNS: lower case, A-labels (RFC 8616 §4). `None` when it
/// cannot be one: an empty or overlong label, or an octet that no host name has.
pub(crate) fn ascii(name: &str) -> Option<String> {
    let name = match name.is_ascii() {
        true => Cow::Borrowed(name),
        false => Cow::Owned(idna::domain_to_ascii(name).ok()?),
    };
    let fit = |b: &u8| b.is_ascii_alphanumeric() || matches!(*b, b'-' | b'_');
    let label = |l: &[u8]| !l.is_empty() && l.len() <= 63 && l.iter().all(fit);
    let whole = name.len() <= 253 && name.as_bytes().split(|b| *b == b'.').all(label);
    whole.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_dns::record::is_at_or_below;

    #[test]
    fn names() {
        assert_eq!(ascii("Example.ORG").as_deref(), Some("example.org"));
        assert_eq!(ascii("grå.example").as_deref(), Some("xn--gr-zia.example"));
        for bad in ["", ".", "a..b", "a.", "legitimate.com(.attacker.com", "a b", "a/b"] {
            assert_eq!(ascii(bad), None, "{bad}");
        }
        assert!(is_at_or_below("a.b.c", "b.c") && is_at_or_below("b.c", "b.c"));
        assert!(!is_at_or_below("ab.c", "b.c"));
    }
}
