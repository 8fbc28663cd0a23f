//! Message-IDs in a header field, for threading: `<"a b"@example.org>` is the same as it would be
//! without needless quotes (RFC 5256 §3).

/// Ids that are taken of one field; the nearest ancestors are at its end, but honest mail has fewer.
const MAX_IDS: usize = 1000;

/// The ids of a field, without angle brackets, in their order. What is not one is passed over.
pub fn all(field: &[u8]) -> impl Iterator<Item = String> {
    let mut rest = field;
    let ids = std::iter::from_fn(move || {
        loop {
            let open = memchr::memchr(b'<', rest)?;
            let inner = &rest[open + 1..];
            let close = memchr::memchr2(b'<', b'>', inner)?;
            rest = &inner[close..];
            if rest.starts_with(b">")
                && let Some(id) = normal(&inner[..close])
            {
                return Some(id);
            }
        }
    });
    ids.take(MAX_IDS)
}

/// One spelling of an id. `None`: it is not one.
fn normal(id: &[u8]) -> Option<String> {
    let at = memchr::memrchr(b'@', id)?;
    let (left, right) = (id[..at].trim_ascii(), id[at + 1..].trim_ascii());
    if left.is_empty() || right.is_empty() {
        return None;
    }
    let quoted = left.strip_prefix(b"\"").and_then(|left| left.strip_suffix(b"\""));
    let mut plain = Vec::with_capacity(id.len());
    match quoted {
        Some(quoted) => {
            let mut octets = quoted.iter();
            while let Some(&octet) = octets.next() {
                plain.extend(if octet == b'\\' { octets.next() } else { Some(&octet) });
            }
        }
        None => plain.extend_from_slice(left),
    }
    plain.push(b'@');
    plain.extend_from_slice(right);
    Some(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(field: &str) -> Vec<String> {
        all(field.as_bytes()).collect()
    }

    #[test]
    fn spellings() {
        // RFC 5256 §3.
        assert_eq!(
            ids("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>"),
            ids("<01KF8JCEOCBS0045PS@xxx.yyy.com>")
        );
        assert_eq!(ids("<a@b> (comment)\r\n <c@d>junk <e@f> <unclosed@x"), ["a@b", "c@d", "e@f"]);
        assert_eq!(ids("<\"a\\\"b\"@c>"), ["a\"b@c"]);
        assert_eq!(ids("<A@b>"), ["A@b"]); // case matters
        assert_eq!(ids("<> <@> <a@> <@b> <no> Your message of Monday <x@y>"), ["x@y"]);
        assert_eq!(ids("<a <b@c>"), ["b@c"]);
    }

    proptest! {
        #[test]
        fn any_octets(field: Vec<u8>) {
            prop_assert!(all(&field).count() <= MAX_IDS);
        }
    }
}
