//! Cutting content into chunks, and packing them.

use std::cell::RefCell;

use super::{BlobId, Staged, StagedBlob};
use crate::{Spool, StoreError};
use std::sync::Arc;

/// Octets of content in a chunk.
pub(super) const CHUNK_OCTETS: usize = 256 * 1024;
/// Speed matters more than the last tenth.
const ZSTD_LEVEL: i32 = 1;

pub(super) struct Joined {
    pub(super) prefix: Vec<u8>,
    pub(super) spool: Spool,
    pub(super) from: usize,
}

impl Joined {
    fn rest(&self) -> &[u8] {
        &self.spool.as_bytes()[self.from..]
    }

    pub(super) fn len(&self) -> usize {
        self.prefix.len() + self.rest().len()
    }

    pub(super) fn hash(&self) -> BlobId {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.prefix);
        hasher.update(self.rest());
        BlobId(*hasher.finalize().as_bytes())
    }

    /// The octets of one chunk, copied only where prefix and spool meet.
    pub(super) fn chunk(&self, number: usize) -> std::borrow::Cow<'_, [u8]> {
        let (start, joint) = (number * CHUNK_OCTETS, self.prefix.len());
        let end = (start + CHUNK_OCTETS).min(self.len());
        if start >= joint {
            return self.rest()[start - joint..end - joint].into();
        }
        if end <= joint {
            return self.prefix[start..end].into();
        }
        let mut chunk = self.prefix[start..].to_vec();
        chunk.extend_from_slice(&self.rest()[..end - joint]);
        chunk.into()
    }

    pub(super) fn stage_together(&self) -> StagedBlob {
        // An empty blob has one chunk too.
        let chunks = self.len().div_ceil(CHUNK_OCTETS).max(1);
        let packed = (0..chunks).map(|number| compress(&self.chunk(number))).collect();
        StagedBlob {
            id: self.hash(),
            size_octets: self.len() as u64,
            staged: Arc::new(Staged::Chunks(packed)),
        }
    }
}

thread_local! {
    // Making a context costs as much as packing a short message.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A chunk as it is stored.
pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let packed = COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        slot.as_mut()?.compress(plain).ok()
    });
    let (kind, octets) = match &packed {
        Some(packed) if packed.len() < plain.len() => (1, packed.as_slice()),
        _ => (0, plain),
    };
    let mut chunk = Vec::with_capacity(1 + octets.len());
    chunk.push(kind);
    chunk.extend_from_slice(octets);
    chunk
}

/// The content of a stored chunk: never more than a chunk can hold, whatever is stored.
pub(super) fn decompress(chunk: &[u8]) -> Result<Vec<u8>, StoreError> {
    match chunk.split_first() {
        Some((0, plain)) => Ok(plain.to_vec()),
        Some((1, packed)) => DECOMPRESSOR
            .with_borrow_mut(|slot| {
                if slot.is_none() {
                    *slot = Some(zstd::bulk::Decompressor::new()?);
                }
                slot.as_mut().expect("made above").decompress(packed, plain_octets(packed))
            })
            .map_err(|e| StoreError::Damaged(format!("a chunk cannot be unpacked: {e}"))),
        _ => Err(StoreError::Damaged("a chunk of no known kind".into())),
    }
}

/// How much room the content takes, as its frame says (RFC 8878 §3.1.1.1.4); never more than a chunk
/// can hold.
fn plain_octets(packed: &[u8]) -> usize {
    let said = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    said.and_then(|octets| usize::try_from(octets).ok())
        .map_or(CHUNK_OCTETS, |n| n.min(CHUNK_OCTETS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_and_noise_is_left_plain() {
        let text = b"so it goes, and so it goes, and so it goes".repeat(100);
        let packed = compress(&text);
        assert!(packed.len() < text.len() / 10);
        assert_eq!(decompress(&packed).unwrap(), text);
        assert_eq!(decompress(&packed).unwrap().capacity(), text.len());
        let mut noise = [0u8; 64];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let kept = compress(&noise);
        assert_eq!((kept[0], kept.len()), (0, 65));
        assert_eq!(decompress(&kept).unwrap(), noise);
        assert!(decompress(&[]).is_err());
        assert!(decompress(&[1, 2, 3]).is_err());
        assert!(decompress(&[7]).is_err());
    }

    #[test]
    fn a_packed_bomb_is_refused() {
        let huge = zstd::bulk::compress(&vec![0; CHUNK_OCTETS * 40], 1).unwrap();
        assert!(decompress(&[&[1][..], &huge].concat()).is_err());
    }

    #[test]
    fn joined_content_is_cut_where_it_should_be() {
        let spool: Vec<u8> = (0..CHUNK_OCTETS * 2).map(|i| i as u8).collect();
        for prefix_len in [0, 1, 100, CHUNK_OCTETS, CHUNK_OCTETS + 5] {
            let prefix = vec![9; prefix_len];
            let whole = [&prefix[..], &spool[3..]].concat();
            let joined = Joined { prefix, spool: Spool::from_bytes(spool.clone()), from: 3 };
            let chunks = (0..joined.len().div_ceil(CHUNK_OCTETS)).map(|n| joined.chunk(n));
            assert_eq!(chunks.collect::<Vec<_>>().concat(), whole);
            assert_eq!(joined.hash().0, *blake3::hash(&whole).as_bytes());
        }
    }
}
