//! Which octets of a message a section names (RFC 9051 §6.4.5.1), and the fields of a header that
//! HEADER.FIELDS selects.
//!
//! Part numbers count the children of a multipart from 1. A message that is not multipart has one
//! part, 1: its body. The parts of a message/rfc822 part `n` are those of the message inside:
//! `n.1` and so on; `n.HEADER` and `n.TEXT` are that message's header and body.

use waxwing_message::parse::field::fields;
use waxwing_message::summary::{Extent, PartInfo, PartKind};

use super::command::SectionText;

/// How many parts follow directly under this one.
pub fn child_count(part: &PartInfo) -> u64 {
    match part.kind {
        PartKind::Leaf => 0,
        PartKind::Multipart { children } => u64::from(children),
        PartKind::Message { .. } => 1,
    }
}

/// The index of a numbered part; the root for an empty path.
pub fn find(parts: &[PartInfo], path: &[u32]) -> Option<usize> {
    let mut at = 0;
    // `at` is the root of a message (whose part 1 is itself when it is not multipart), rather
    // than a part inside of one.
    let mut is_root = true;
    for &number in path {
        loop {
            match (&parts.get(at)?.kind, is_root) {
                (PartKind::Multipart { children }, _) => {
                    at = child(parts, at, *children, number)?;
                    is_root = false;
                }
                (_, true) if number == 1 => is_root = false,
                (PartKind::Message { .. }, false) => {
                    at += 1;
                    is_root = true;
                    continue; // the same number, in the message inside
                }
                _ => return None,
            }
            break;
        }
    }
    parts.get(at).map(|_| at)
}

/// The index of a multipart's child, counted from 1.
fn child(parts: &[PartInfo], parent: usize, children: u32, number: u32) -> Option<usize> {
    if number == 0 || number > children {
        return None;
    }
    let mut at = parent + 1;
    for _ in 1..number {
        let mut left = 1;
        while left > 0 {
            left = left - 1 + child_count(parts.get(at)?);
            at += 1;
        }
    }
    parts.get(at).map(|_| at)
}

/// The octets that a section names, before HEADER.FIELDS has chosen among them. `None`: there is
/// no such part, or no such text in it (NIL).
pub fn locate(parts: &[PartInfo], path: &[u32], text: &SectionText, size: u64) -> Option<Extent> {
    if path.is_empty() {
        let root = parts.first()?;
        return Some(match text {
            SectionText::Whole => Extent { offset: 0, octets: size },
            SectionText::Text => root.body,
            _ => root.header,
        });
    }
    let index = find(parts, path)?;
    let part = &parts[index];
    match text {
        SectionText::Whole => Some(part.body),
        SectionText::Mime => Some(part.header),
        _ => match part.kind {
            PartKind::Message { .. } => {
                let inside = parts.get(index + 1)?;
                Some(if *text == SectionText::Text { inside.body } else { inside.header })
            }
            _ => None,
        },
    }
}

/// The fields of `header` whose name is among `names` (or, with `not`, is not), each as it stands,
/// and the blank line that ends a header (RFC 9051 §6.4.5.1).
pub fn header_fields(header: &[u8], names: &[Vec<u8>], not: bool) -> Vec<u8> {
    let mut chosen = Vec::new();
    for field in fields(header) {
        let listed = names.iter().any(|wanted| wanted.eq_ignore_ascii_case(field.name));
        if listed != not {
            let whole = &header[field.range];
            chosen.extend_from_slice(whole);
            if !whole.ends_with(b"\n") {
                chosen.extend_from_slice(b"\r\n");
            }
        }
    }
    chosen.extend_from_slice(b"\r\n");
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_message::summary::Overview;

    fn part(kind: PartKind, at: u64) -> PartInfo {
        PartInfo {
            kind,
            header: Extent { offset: at, octets: 1 },
            body: Extent { offset: at + 1, octets: 1 },
            lines: 0,
            media_type: Vec::new(),
            subtype: Vec::new(),
            params: Vec::new(),
            id: None,
            description: None,
            encoding: Vec::new(),
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
        }
    }

    /// The tree of RFC 9051 §6.4.5.1's example.
    fn example() -> Vec<PartInfo> {
        let multipart = |children| PartKind::Multipart { children };
        let message = || PartKind::Message { overview: Box::new(Overview::default()) };
        let kinds = [
            multipart(4),   // 0
            PartKind::Leaf, // 1: 1
            PartKind::Leaf, // 2: 2
            message(),      // 3: 3
            multipart(2),   // 4:    the message in 3
            PartKind::Leaf, // 5: 3.1
            PartKind::Leaf, // 6: 3.2
            multipart(3),   // 7: 4
            PartKind::Leaf, // 8: 4.1 (image)
            message(),      // 9: 4.2
            multipart(2),   // 10:   the message in 4.2
            PartKind::Leaf, // 11: 4.2.1
            multipart(2),   // 12: 4.2.2
            PartKind::Leaf, // 13: 4.2.2.1
            PartKind::Leaf, // 14: 4.2.2.2
            PartKind::Leaf, // 15: 4.3
        ];
        kinds.into_iter().enumerate().map(|(i, kind)| part(kind, 10 * i as u64)).collect()
    }

    #[test]
    fn the_example_of_rfc_9051() {
        let parts = example();
        let cases: [(&[u32], usize); 11] = [
            (&[], 0),
            (&[1], 1),
            (&[2], 2),
            (&[3], 3),
            (&[3, 1], 5),
            (&[3, 2], 6),
            (&[4], 7),
            (&[4, 1], 8),
            (&[4, 2], 9),
            (&[4, 2, 1], 11),
            (&[4, 2, 2, 2], 14),
        ];
        for (path, index) in cases {
            assert_eq!(find(&parts, path), Some(index), "{path:?}");
        }
        for path in [&[5][..], &[1, 1], &[3, 3], &[4, 4], &[4, 2, 1, 1], &[0]] {
            assert_eq!(find(&parts, path), None, "{path:?}");
        }
        let at = |path: &[u32], text| locate(&parts, path, &text, 999).map(|e| e.offset);
        assert_eq!(at(&[], SectionText::Whole), Some(0));
        assert_eq!(at(&[], SectionText::Text), Some(1));
        assert_eq!(at(&[3], SectionText::Header), Some(40));
        assert_eq!(at(&[3], SectionText::Text), Some(41));
        assert_eq!(at(&[4, 1], SectionText::Mime), Some(80));
        assert_eq!(at(&[4, 2], SectionText::Header), Some(100));
        assert_eq!(at(&[1], SectionText::Header), None);
        assert_eq!(locate(&parts, &[], &SectionText::Whole, 999).unwrap().octets, 999);
    }

    #[test]
    fn a_message_that_is_not_multipart() {
        let parts = vec![part(PartKind::Leaf, 0)];
        assert_eq!(find(&parts, &[1]), Some(0));
        assert_eq!(find(&parts, &[1, 1]), None);
        assert_eq!(find(&parts, &[2]), None);
        let message = PartKind::Message { overview: Box::new(Overview::default()) };
        let parts = vec![part(message, 0), part(PartKind::Leaf, 10)];
        assert_eq!(find(&parts, &[1]), Some(0));
        assert_eq!(find(&parts, &[1, 1]), Some(1));
        assert_eq!(locate(&parts, &[1], &SectionText::Header, 9).map(|e| e.offset), Some(10));
        assert_eq!(find(&[], &[1]), None);
    }

    #[test]
    fn choosing_fields() {
        let header = b"Subject: a\r\n b\r\nTo: c\r\nFROM : d\r\nbroken\r\nto: e\r\n\r\n";
        let names =
            |names: &[&str]| names.iter().map(|n| n.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(
            header_fields(header, &names(&["SUBJECT", "from"]), false),
            b"Subject: a\r\n b\r\nFROM : d\r\n\r\n"
        );
        assert_eq!(
            header_fields(header, &names(&["TO"]), true),
            b"Subject: a\r\n b\r\nFROM : d\r\n\r\n"
        );
        assert_eq!(header_fields(b"", &names(&["TO"]), false), b"\r\n");
        assert_eq!(header_fields(b"To: x", &names(&["TO"]), false), b"To: x\r\n\r\n");
    }
}
