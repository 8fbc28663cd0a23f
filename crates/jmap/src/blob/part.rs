//! Numbers of parts (RFC 9051 §6.4.5.1): from 1, outermost first; the only part of a message that has no
//! others is 1; an attached message's parts go on where its own number ends.

use waxwing_message::Summary;
use waxwing_message::parse::PartId;
use waxwing_message::summary::PartKind;

/// Where a number leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'n> {
    /// To this part.
    Part(PartId),
    /// Into this part, which the parser left closed: its body, once decoded, is a message in which the rest
    /// of the number leads on.
    Within(PartId, &'n [u32]),
}

/// The part that a number means in a message, which is not the empty one.
pub fn find<'n>(summary: &Summary, number: &'n [u32]) -> Option<Found<'n>> {
    let children = summary.children();
    let kind = |id: PartId| summary.parts.get(id.0 as usize).map(|part| &part.kind);
    let (mut id, mut rest) = enter(&children, kind(PartId::ROOT)?, PartId::ROOT, number)?;
    while let Some((&next, after)) = rest.split_first() {
        match kind(id)? {
            PartKind::Multipart { .. } => {
                id = *children[id.0 as usize].get((next as usize).checked_sub(1)?)?;
                rest = after;
            }
            PartKind::Message { .. } => {
                let root = *children[id.0 as usize].first()?;
                (id, rest) = enter(&children, kind(root)?, root, rest)?;
            }
            PartKind::Leaf => return Some(Found::Within(id, rest)),
        }
    }
    // A multipart has no octets of its own.
    (!matches!(kind(id)?, PartKind::Multipart { .. })).then_some(Found::Part(id))
}

/// The first step into a message.
fn enter<'n>(
    children: &[Vec<PartId>],
    kind: &PartKind,
    root: PartId,
    number: &'n [u32],
) -> Option<(PartId, &'n [u32])> {
    let (&first, rest) = number.split_first()?;
    match kind {
        PartKind::Multipart { .. } => {
            let inner = children[root.0 as usize].get((first as usize).checked_sub(1)?)?;
            Some((*inner, rest))
        }
        _ => (first == 1).then_some((root, rest)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use waxwing_message::Message;

    /// RFC 9051 §6.4.5.1 has such a message, with its numbers.
    const MIXED: &str = "Content-Type: multipart/mixed; boundary=a\r\n\r\n\
        --a\r\n\r\ntext\r\n\
        --a\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n\
        --a\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\n\r\n3.1\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n3.2\r\n--b--\r\n\
        --a\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n\
        --c\r\nContent-Type: image/gif\r\n\r\n4.1\r\n\
        --c\r\nContent-Type: message/rfc822\r\n\r\nSubject: one\r\n\r\n4.2.1\r\n\
        --c\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nDQp4\r\n--c--\r\n--a--\r\n";

    /// Of that message.
    pub fn summary() -> Summary {
        Summary::of(&Message::parse(MIXED.as_bytes()))
    }

    fn body<'m>(summary: &Summary, id: PartId) -> &'m str {
        let body = summary.parts[id.0 as usize].body;
        &MIXED[body.offset as usize..(body.offset + body.octets) as usize]
    }

    #[test]
    fn parts_are_found_by_their_numbers() {
        let summary = summary();
        let found = |number: &[u32]| match find(&summary, number) {
            Some(Found::Part(id)) => Some(body(&summary, id)),
            _ => None,
        };
        assert_eq!(found(&[1]), Some("text"));
        assert_eq!(found(&[3, 1]), Some("3.1"));
        assert_eq!(found(&[3, 2]), Some("3.2"));
        assert_eq!(found(&[4, 1]), Some("4.1"));
        assert_eq!(found(&[4, 2]), Some("Subject: one\r\n\r\n4.2.1"));
        assert_eq!(found(&[4, 2, 1]), Some("4.2.1"));
        for no in [&[4][..], &[], &[5], &[0], &[3, 3], &[4, 2, 2]] {
            assert_eq!(find(&summary, no), None, "{no:?}");
        }
        let Some(Found::Within(_, [1])) = find(&summary, &[4, 3, 1]) else {
            panic!("a closed part")
        };
        let single = Summary::of(&Message::parse(b"Subject: x\r\n\r\nbody"));
        assert_eq!(find(&single, &[1]), Some(Found::Part(PartId::ROOT)));
        assert_eq!(find(&single, &[2]), None);
    }
}
