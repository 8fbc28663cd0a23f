//! Numbers of parts (RFC 9051 §6.4.5.1): from 1, outermost first; the only part of a message that has no
//! others is 1; an attached message's parts go on where its own number ends.

use waxwing_message::Summary;
use waxwing_message::parse::PartId;
use waxwing_message::summary::PartKind;

use crate::wire::blob_id::LEVELS_MAX;

/// The number of each part, by its place in the summary. `None`: it has none of its own (the multipart that a
/// message is, or one that nests too deep).
pub fn numbers(summary: &Summary) -> Vec<Option<Vec<u32>>> {
    let children = summary.children();
    let mut numbers: Vec<Option<Vec<u32>>> = vec![None; summary.parts.len()];
    // What a part's children are numbered after.
    let mut before: Vec<Option<Vec<u32>>> = vec![None; summary.parts.len()];
    let is_multipart =
        |id: PartId| matches!(summary.parts[id.0 as usize].kind, PartKind::Multipart { .. });
    if summary.parts.is_empty() {
        return numbers;
    }
    // The root of a message: a multipart has no number, anything else is 1.
    let root = |root: PartId, prefix: &[u32]| match is_multipart(root) {
        true => (None, Some(prefix.to_vec())),
        false => (after(prefix, 1), after(prefix, 1)),
    };
    (numbers[0], before[0]) = root(PartId::ROOT, &[]);
    // Parents come before their children.
    for at in 0..summary.parts.len() {
        let Some(prefix) = before[at].clone() else { continue };
        match summary.parts[at].kind {
            PartKind::Leaf => {}
            PartKind::Multipart { .. } => {
                for (number, child) in (1..).zip(&children[at]) {
                    let own = after(&prefix, number);
                    before[child.0 as usize].clone_from(&own);
                    numbers[child.0 as usize] = own;
                }
            }
            PartKind::Message { .. } => {
                for &inner in &children[at] {
                    let at = inner.0 as usize;
                    (numbers[at], before[at]) = root(inner, &prefix);
                }
            }
        }
    }
    numbers
}

fn after(prefix: &[u32], number: u32) -> Option<Vec<u32>> {
    (prefix.len() < LEVELS_MAX).then(|| prefix.iter().copied().chain([number]).collect())
}

/// The part of that number.
pub fn find(summary: &Summary, path: &[u32]) -> Option<PartId> {
    let numbers = numbers(summary);
    let at = numbers.iter().position(|own| own.as_deref() == Some(path))?;
    u32::try_from(at).ok().map(PartId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_message::parse::Message;

    #[test]
    fn the_example_of_imap() {
        // RFC 9051 §6.4.5.1, the example; without the deepest level.
        let raw = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n\
            --a\r\nContent-Type: text/plain\r\n\r\n1\r\n\
            --a\r\nContent-Type: application/octet-stream\r\n\r\n2\r\n\
            --a\r\nContent-Type: message/rfc822\r\n\r\n\
            Content-Type: multipart/mixed; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/plain\r\n\r\n3.1\r\n\
            --b\r\nContent-Type: application/octet-stream\r\n\r\n3.2\r\n--b--\r\n\
            --a\r\nContent-Type: message/rfc822\r\n\r\n\
            Content-Type: text/plain\r\n\r\n4.1\r\n--a--\r\n";
        let summary = Summary::of(&Message::parse(raw));
        let expected: [Option<&[u32]>; 9] = [
            None,
            Some(&[1]),
            Some(&[2]),
            Some(&[3]),
            None,
            Some(&[3, 1]),
            Some(&[3, 2]),
            Some(&[4]),
            Some(&[4, 1]),
        ];
        let found = numbers(&summary);
        assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
        assert_eq!(find(&summary, &[3, 2]), Some(PartId(6)));
        assert_eq!(find(&summary, &[5]), None);
        assert_eq!(find(&summary, &[]), None);
    }

    #[test]
    fn a_message_without_parts_is_part_one() {
        let summary = Summary::of(&Message::parse(b"Subject: x\r\n\r\nbody"));
        assert_eq!(find(&summary, &[1]), Some(PartId::ROOT));
        assert_eq!(find(&summary, &[1, 1]), None);
    }
}
