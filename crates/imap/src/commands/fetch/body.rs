//! Octets of a stored message on their way to the client: read in pieces, sent in pieces.
//!
//! A literal's size goes out before its octets. When the store fails in the middle of one, nothing
//! that could be sent would be right: the connection ends.

use waxwing_message::summary::Extent;
use waxwing_store::Content;

use crate::connection::{Connection, Lost};
use crate::reply::Fail;
use crate::wire::command::Partial;
use crate::wire::section;
use crate::wire::transfer::Decoder;

/// Read at once.
const PIECE_OCTETS: u64 = 64 * 1024;
/// Deviates: RFC 9051 §6.4.5 knows no such bound. Fields beyond the first MiB of a header are not
/// found by HEADER.FIELDS; no honest message has such a header, and one is not to be held in
/// memory.
const MAX_HEADER_OCTETS: u64 = 1024 * 1024;
/// Decoded parts up to this size are kept from counting to sending.
const KEEP_OCTETS: usize = 256 * 1024;

/// The part of `octets` that a partial asks for: offset and length within it.
pub fn cut(octets: u64, partial: Option<Partial>) -> (u64, u64) {
    match partial {
        None => (0, octets),
        Some(Partial { origin, octets: most }) => {
            let origin = origin.min(octets);
            (origin, most.min(octets - origin))
        }
    }
}

/// Writes a range of the message as a literal.
pub async fn octets(
    connection: &mut Connection<'_>,
    content: &Content,
    extent: Extent,
    partial: Option<Partial>,
) -> Result<(), Fail> {
    let extent = within(content, extent);
    let (from, length) = cut(extent.octets, partial);
    connection.out.literal_mark(length);
    let (mut at, mut left) = (extent.offset + from, length);
    while left > 0 {
        let piece = content.read(at, left.min(PIECE_OCTETS)).await.map_err(broken)?;
        if piece.is_empty() || piece.len() as u64 > left {
            return Err(Fail::Lost(Lost::Gone));
        }
        connection.out.literal_data(&piece);
        at += piece.len() as u64;
        left -= piece.len() as u64;
        connection.relieve().await?;
    }
    Ok(())
}

/// Writes chosen fields of a header as a literal.
pub async fn header_fields(
    connection: &mut Connection<'_>,
    content: &Content,
    extent: Extent,
    names: &[Vec<u8>],
    not: bool,
    partial: Option<Partial>,
) -> Result<(), Fail> {
    let header = header(content, extent).await.map_err(broken)?;
    let chosen = section::header_fields(&header, names, not);
    let (from, length) = cut(chosen.len() as u64, partial);
    let chosen = &chosen[from as usize..(from + length) as usize];
    connection.out.literal_mark(length).literal_data(chosen);
    Ok(())
}

/// A header, or the first MiB of it.
pub async fn header(
    content: &Content,
    extent: Extent,
) -> Result<Vec<u8>, waxwing_store::StoreError> {
    let extent = within(content, extent);
    content.read(extent.offset, extent.octets.min(MAX_HEADER_OCTETS)).await
}

/// Writes a part with its transfer encoding undone: a literal, or a literal8 when there are NULs in
/// it (RFC 3516 §4.2).
pub async fn decoded(
    connection: &mut Connection<'_>,
    content: &Content,
    extent: Extent,
    decoder: Decoder,
    partial: Option<Partial>,
) -> Result<(), Fail> {
    // Once to know the size, and, when it is large, once more to send it.
    let mut measure = Measure { partial, ..Measure::default() };
    let mut pieces = Pieces::new(content, extent, decoder.clone());
    while let Some(piece) = pieces.next().await.map_err(broken)? {
        measure.add(&piece);
    }
    let (from, length) = cut(measure.octets, partial);
    if measure.has_nul {
        connection.out.raw("~");
    }
    connection.out.literal_mark(length);
    if let Some(kept) = &measure.kept {
        connection.out.raw(&kept[from as usize..(from + length) as usize]);
        return Ok(());
    }
    let mut pieces = Pieces::new(content, extent, decoder);
    let (mut skip, mut left) = (from, length);
    while left > 0 {
        let Some(piece) = pieces.next().await.map_err(broken)? else {
            return Err(Fail::Lost(Lost::Gone));
        };
        let start = skip.min(piece.len() as u64);
        skip -= start;
        let piece = &piece[start as usize..];
        let piece = &piece[..(piece.len() as u64).min(left) as usize];
        connection.out.raw(piece);
        left -= piece.len() as u64;
        connection.relieve().await?;
    }
    Ok(())
}

/// The size of a part with its transfer encoding undone.
pub async fn decoded_octets(
    content: &Content,
    extent: Extent,
    decoder: Decoder,
) -> Result<u64, Fail> {
    let mut pieces = Pieces::new(content, extent, decoder);
    let mut octets = 0;
    while let Some(piece) = pieces.next().await.map_err(broken)? {
        octets += piece.len() as u64;
    }
    Ok(octets)
}

struct Measure {
    octets: u64,
    /// Within the partial.
    has_nul: bool,
    partial: Option<Partial>,
    kept: Option<Vec<u8>>,
}

impl Default for Measure {
    fn default() -> Measure {
        Measure { octets: 0, has_nul: false, partial: None, kept: Some(Vec::new()) }
    }
}

impl Measure {
    fn add(&mut self, piece: &[u8]) {
        let before = self.octets;
        self.octets += piece.len() as u64;
        let (from, length) = cut(self.octets, self.partial);
        let start = from.saturating_sub(before).min(piece.len() as u64) as usize;
        let end = (from + length).saturating_sub(before).min(piece.len() as u64) as usize;
        self.has_nul |= piece[start..end.max(start)].contains(&0);
        match &mut self.kept {
            Some(kept) if kept.len() + piece.len() <= KEEP_OCTETS => kept.extend_from_slice(piece),
            kept => *kept = None,
        }
    }
}

/// A part, decoded piece by piece.
struct Pieces<'c> {
    content: &'c Content,
    at: u64,
    left: u64,
    decoder: Option<Decoder>,
}

impl<'c> Pieces<'c> {
    fn new(content: &'c Content, extent: Extent, decoder: Decoder) -> Pieces<'c> {
        let extent = within(content, extent);
        Pieces { content, at: extent.offset, left: extent.octets, decoder: Some(decoder) }
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, waxwing_store::StoreError> {
        let mut out = Vec::new();
        if self.left == 0 {
            return Ok(self.decoder.take().map(|mut decoder| {
                decoder.finish(&mut out);
                out
            }));
        }
        let piece = self.content.read(self.at, self.left.min(PIECE_OCTETS)).await?;
        self.at += piece.len() as u64;
        self.left = match piece.len() as u64 {
            0 => 0, // shorter than it was said to be
            octets => self.left.saturating_sub(octets),
        };
        if let Some(decoder) = &mut self.decoder {
            decoder.push(&piece, &mut out);
        }
        Ok(Some(out))
    }
}

/// The extent, cut where the message ends: a stored summary is not trusted with more.
pub fn within(content: &Content, extent: Extent) -> Extent {
    let offset = extent.offset.min(content.size_octets);
    Extent { offset, octets: extent.octets.min(content.size_octets - offset) }
}

/// A store that fails in the middle of a response.
fn broken(error: waxwing_store::StoreError) -> Fail {
    tracing::warn!(%error, "the store failed in the middle of a FETCH response");
    Fail::Lost(Lost::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_are_cut_at_the_end() {
        let cut = |octets, origin, most| cut(octets, Some(Partial { origin, octets: most }));
        assert_eq!(cut(10, 0, 5), (0, 5));
        assert_eq!(cut(10, 8, 5), (8, 2));
        assert_eq!(cut(10, 10, 5), (10, 0));
        assert_eq!(cut(10, u64::MAX, u64::MAX), (10, 0));
    }

    #[test]
    fn nul_counts_only_where_it_is_asked_for() {
        let has_nul = |origin, octets, pieces: &[&[u8]]| {
            let partial = Some(Partial { origin, octets });
            let mut measure = Measure { partial, ..Measure::default() };
            for piece in pieces {
                measure.add(piece);
            }
            measure.has_nul
        };
        assert!(has_nul(0, 9, &[b"ab\0"]));
        assert!(!has_nul(0, 2, &[b"ab\0"]));
        assert!(!has_nul(3, 2, &[b"ab", b"\0cd"]));
        assert!(has_nul(2, 2, &[b"ab", b"\0cd"]));
    }
}
