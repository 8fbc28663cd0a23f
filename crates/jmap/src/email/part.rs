//! Body parts by their numbers: the parts of a message that JMAP shows, what each is called, and which
//! part a name means.
//!
//! Parts are numbered as IMAP numbers them (RFC 9051 §6.4.5.1): `1.2` is the second part of the first.
//! A `partId` is such a number within its message; a `blobId` is one within the octets that the store has
//! (see [`crate::wire::blob_id`]), through attached messages too.

use waxwing_message::Summary;
use waxwing_message::parse::{PartId, View};
use waxwing_message::summary::{PartInfo, PartKind};

use crate::wire::blob_id::Blob;

/// A message among the parts of a summary: the whole of it, or one that is attached.
#[derive(Debug, Clone)]
pub struct Parts<'s> {
    summary: &'s Summary,
    children: Vec<Vec<PartId>>,
    root: PartId,
    /// What the message is called.
    blob: Blob,
    /// By index; `None` for multiparts, and for parts that are not this message's.
    numbers: Vec<Option<Vec<u32>>>,
}

impl<'s> Parts<'s> {
    /// The message that `root` is the root part of, and whose octets are called so.
    pub fn new(summary: &'s Summary, root: PartId, blob: Blob) -> Parts<'s> {
        let children = summary.children();
        let mut numbers = vec![None; summary.parts.len()];
        // The root of a message that is no multipart is its part 1.
        let mut open = vec![(root, Vec::new())];
        while let Some((id, number)) = open.pop() {
            let Some(part) = summary.parts.get(id.0 as usize) else { continue };
            match part.kind {
                PartKind::Multipart { .. } => {
                    let inner = children[id.0 as usize].iter().zip(1u32..);
                    open.extend(inner.map(|(child, i)| (*child, [&number[..], &[i]].concat())));
                }
                _ if number.is_empty() => numbers[id.0 as usize] = Some(vec![1]),
                _ => numbers[id.0 as usize] = Some(number),
            }
        }
        Parts { summary, children, root, blob, numbers }
    }

    /// The root part.
    pub fn root(&self) -> PartId {
        self.root
    }

    /// One part.
    pub fn part(&self, id: PartId) -> &'s PartInfo {
        &self.summary.parts[id.0 as usize]
    }

    /// The parts within one that is a multipart; none for anything else: messages are not looked into
    /// (RFC 8621 §4.1.4, `bodyStructure`).
    pub fn within(&self, id: PartId) -> &[PartId] {
        match self.part(id).kind {
            PartKind::Multipart { .. } => &self.children[id.0 as usize],
            _ => &[],
        }
    }

    /// Every part of the message, the root first, depth first.
    pub fn all(&self) -> Vec<PartId> {
        let mut all = Vec::new();
        let mut open = vec![self.root];
        while let Some(id) = open.pop() {
            all.push(id);
            open.extend(self.within(id).iter().rev());
        }
        all
    }

    /// The lists that a client shows.
    pub fn view(&self) -> View {
        self.summary.view(self.root)
    }

    /// What a part is called within the message; `None` for a multipart.
    pub fn part_id(&self, id: PartId) -> Option<String> {
        let number = self.numbers[id.0 as usize].as_ref()?;
        let pieces: Vec<String> = number.iter().map(u32::to_string).collect();
        Some(pieces.join("."))
    }

    /// What the octets of a part are called; `None` for a multipart.
    pub fn blob(&self, id: PartId) -> Option<Blob> {
        let number = self.numbers[id.0 as usize].as_ref()?;
        Some(self.blob.part([&self.blob.path[..], number].concat()))
    }

    /// Whether a part is text that a client can have as such.
    pub fn is_text(&self, id: PartId) -> bool {
        let part = self.part(id);
        part.kind == PartKind::Leaf && part.media_type.eq_ignore_ascii_case(b"text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::part::tests::summary;
    use crate::blob::part::{Found, find};
    use waxwing_store::MessageId;

    #[test]
    fn every_part_is_found_by_what_it_is_called() {
        let summary = summary();
        let whole = Blob::of_message(MessageId(7));
        let parts = Parts::new(&summary, PartId::ROOT, whole.clone());
        let called: Vec<_> = parts.all().into_iter().map(|id| parts.part_id(id)).collect();
        let numbers = called.iter().flatten().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(numbers, ["1", "2", "3", "4.1", "4.2", "4.3"]);
        assert_eq!(called[0], None);
        for id in parts.all() {
            let Some(blob) = parts.blob(id) else { continue };
            assert_eq!(find(&summary, &blob.path), Some(Found::Part(id)));
        }
        let attached = PartId(4);
        let inner = Parts::new(&summary, attached, whole.part(vec![3]));
        assert_eq!(inner.part_id(PartId(6)).as_deref(), Some("2"));
        assert_eq!(inner.blob(PartId(6)).unwrap().to_string(), "B7_3_2");
        assert_eq!(inner.all(), [4, 5, 6].map(PartId));
    }
}
