//! Reading blobs, piece by piece, wherever they are: a message, a part of it, an upload, a part of that when it
//! is read as a message; parts with their transfer encoding undone.
//!
//! What lies in the store is read by ranges. Only what is inside of an upload, or of an attached message that is
//! itself encoded, is held in memory, up to a bound.

use std::sync::Arc;

use waxwing_message::Summary;
use waxwing_message::parse::transfer::{Decoder, TransferEncoding};
use waxwing_message::parse::{Message, PartId};
use waxwing_message::summary::{Extent, PartKind};
use waxwing_store::{Content, StagedBlob, Store, StoreError};

use super::part::{Found, find};
use crate::caller::{Account, Caller};
use crate::email::keywords::visible_places;
use crate::wire::blob_id::{Blob, Source};

/// Read at once.
const PIECE_OCTETS: u64 = 256 * 1024;
/// Octets up to here are held in memory, to find parts in them.
const HELD_OCTETS_MAX: u64 = 64 << 20;

/// Octets that can be read by ranges. Cheap to clone.
#[derive(Clone)]
pub enum Octets {
    /// In the store.
    Stored(Arc<Content>),
    /// Here.
    Held(Arc<Vec<u8>>),
}

impl From<Content> for Octets {
    fn from(content: Content) -> Octets {
        Octets::Stored(Arc::new(content))
    }
}

impl Octets {
    /// How many.
    pub fn size(&self) -> u64 {
        match self {
            Octets::Stored(content) => content.size_octets,
            Octets::Held(octets) => octets.len() as u64,
        }
    }

    /// Those of a range, as far as they are there.
    pub async fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        match self {
            Octets::Stored(content) => content.read(offset, len).await,
            Octets::Held(octets) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                Ok(octets[from..from.saturating_add(len).min(octets.len())].to_vec())
            }
        }
    }
}

/// A blob that exists for the caller.
pub struct Opened {
    /// What it is called where that is known: of an upload as it was said, of a part as it is written.
    pub media_type: Option<String>,
    /// Octets, where that is known before reading.
    pub size_octets: Option<u64>,
    /// All of the octets, when they are asked for as they are.
    pub whole: Option<StagedBlob>,
    octets: Octets,
    at: u64,
    left: u64,
    decoder: Option<Decoder>,
}

/// Opens a blob; `None`: it does not exist for the caller, who may see messages only in mailboxes that they may
/// read, and uploads only of their own.
pub async fn open(
    store: &Store,
    caller: &Caller,
    account: &Account,
    blob: &Blob,
) -> Result<Option<Opened>, StoreError> {
    match blob.source {
        Source::Upload(id) => {
            let Some(upload) = store.upload(caller.account.id, id).await? else { return Ok(None) };
            let media_type = Some(upload.media_type);
            let opened = Opened::whole(media_type, upload.content.into(), upload.blob);
            if blob.path.is_empty() {
                return Ok(Some(opened));
            }
            let Some(octets) = opened.read_all(HELD_OCTETS_MAX).await? else { return Ok(None) };
            let summary = Summary::of(&Message::parse(&octets));
            within(Octets::Held(Arc::new(octets)), summary, &blob.path).await
        }
        Source::Message(id) => {
            let readable = account.mailboxes.readable();
            let wants_part = !blob.path.is_empty();
            let found = store.locate(account.id, &[id], &readable, wants_part).await?;
            let Some(located) = found.messages.into_iter().next() else { return Ok(None) };
            if visible_places(&located.places).next().is_none() {
                return Ok(None);
            }
            let content = store.content_of(account.id, id).await?;
            let Some((content, staged)) = content else { return Ok(None) };
            match located.summary {
                Some(summary) => within(content.into(), summary.read()?, &blob.path).await,
                None => {
                    let media_type = Some("message/rfc822".to_owned());
                    Ok(Some(Opened::whole(media_type, content.into(), staged)))
                }
            }
        }
    }
}

/// The part of that number in a message, through attached messages that are encoded, too.
async fn within(
    mut octets: Octets,
    mut summary: Summary,
    mut number: &[u32],
) -> Result<Option<Opened>, StoreError> {
    loop {
        let (id, rest) = match find(&summary, number) {
            None => return Ok(None),
            Some(Found::Part(id)) => (id, None),
            Some(Found::Within(id, rest)) => (id, Some(rest)),
        };
        let opened = Opened::part(octets, &summary, id);
        let Some(rest) = rest else { return Ok(Some(opened)) };
        let Some(inner) = opened.read_all(HELD_OCTETS_MAX).await? else { return Ok(None) };
        summary = Summary::of(&Message::parse(&inner));
        octets = Octets::Held(Arc::new(inner));
        number = rest;
    }
}

impl Opened {
    fn whole(media_type: Option<String>, octets: Octets, staged: StagedBlob) -> Opened {
        let left = octets.size();
        Opened {
            media_type,
            size_octets: Some(left),
            whole: Some(staged),
            octets,
            at: 0,
            left,
            decoder: None,
        }
    }

    /// The body of a part, which is no multipart.
    fn part(octets: Octets, summary: &Summary, id: PartId) -> Opened {
        let part = &summary.parts[id.0 as usize];
        let encoding = match part.kind {
            PartKind::Leaf => part.transfer_encoding(),
            _ => TransferEncoding::SevenBit,
        };
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).to_ascii_lowercase();
        Opened {
            media_type: Some(format!("{}/{}", text(&part.media_type), text(&part.subtype))),
            ..Opened::body(octets, part.body, encoding)
        }
    }

    /// A range of octets that are encoded so.
    pub fn body(octets: Octets, extent: Extent, encoding: TransferEncoding) -> Opened {
        // A stored summary is not trusted with more than there is.
        let at = extent.offset.min(octets.size());
        let left = extent.octets.min(octets.size() - at);
        Opened {
            media_type: None,
            size_octets: encoding.is_identity().then_some(left),
            whole: None,
            octets,
            at,
            left,
            decoder: (!encoding.is_identity()).then(|| Decoder::new(encoding)),
        }
    }

    /// The next octets; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        loop {
            if self.left == 0 {
                let mut out = Vec::new();
                if let Some(decoder) = self.decoder.take() {
                    decoder.finish(&mut out);
                }
                return Ok((!out.is_empty()).then_some(out));
            }
            let piece = self.octets.read(self.at, self.left.min(PIECE_OCTETS)).await?;
            if piece.is_empty() {
                return Err(StoreError::Damaged("a blob is shorter than it is said to be".into()));
            }
            self.at += piece.len() as u64;
            self.left = self.left.saturating_sub(piece.len() as u64);
            let Some(decoder) = &mut self.decoder else { return Ok(Some(piece)) };
            let mut out = Vec::new();
            decoder.push(&piece, &mut out);
            if !out.is_empty() {
                return Ok(Some(out));
            }
        }
    }

    /// All of it, if it has no more than so many octets.
    pub async fn read_all(mut self, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if (all.len() + piece.len()) as u64 > most {
                return Ok(None);
            }
            all.extend_from_slice(&piece);
        }
        Ok(Some(all))
    }

    /// How many octets there are.
    pub async fn size(mut self) -> Result<u64, StoreError> {
        if let Some(size) = self.size_octets {
            return Ok(size);
        }
        let mut size = 0;
        while let Some(piece) = self.next().await? {
            size += piece.len() as u64;
        }
        Ok(size)
    }

    /// The octets, staged: to be named by a message or an upload.
    pub async fn stage(mut self, store: &Store) -> Result<StagedBlob, StoreError> {
        if let Some(staged) = self.whole {
            return Ok(staged);
        }
        let mut spool = store.spool();
        while let Some(piece) = self.next().await? {
            spool.write(&piece)?;
        }
        store.stage(Vec::new(), &spool.finish()?, 0).await
    }
}
