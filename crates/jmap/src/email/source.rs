//! The octets of blobs, wherever they are: a message, a part of it, an upload, a part of that when it is read
//! as a message, and so on through attached messages that are encoded.
//!
//! What lies in the store is read by ranges, and decoded piece by piece. Only what is inside of something
//! encoded is held in memory, and is no larger than a message may be.

use std::sync::Arc;

use waxwing_message::parse::{PartId, TransferEncoding, transfer::Decoder};
use waxwing_message::summary::{Extent, PartKind};
use waxwing_message::{Message, Summary};
use waxwing_store::{Content, MessageId, Place, StagedBlob};

use super::keywords::is_visible;
use super::part::{Found, find};
use crate::caller::Account;
use crate::context::Context;
use crate::wire::blob_id::{Blob, Source};
use crate::wire::error::MethodError;

/// Octets that are read at a time.
const READ_AT_ONCE: u64 = 1 << 20;

/// Octets that can be read by ranges.
pub enum Octets {
    /// In the store.
    Stored(Content),
    /// Here.
    Held(Arc<Vec<u8>>),
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
    pub async fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>, MethodError> {
        match self {
            Octets::Stored(content) => Ok(content.read(offset, len).await?),
            Octets::Held(octets) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                Ok(octets[from..from.saturating_add(len).min(octets.len())].to_vec())
            }
        }
    }

    /// Decodes a range piece by piece, and shows each piece.
    pub async fn each(
        &self,
        extent: Extent,
        encoding: TransferEncoding,
        show: &mut (dyn FnMut(&[u8]) -> Result<(), MethodError> + Send),
    ) -> Result<(), MethodError> {
        let mut decoder = Decoder::new(encoding);
        let mut decoded = Vec::new();
        let mut at = 0;
        while at < extent.octets {
            let len = READ_AT_ONCE.min(extent.octets - at);
            let piece = self.read(extent.offset + at, len).await?;
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            decoder.push(&piece, &mut decoded);
            show(&decoded)?;
            decoded.clear();
        }
        decoder.finish(&mut decoded);
        show(&decoded)
    }
}

/// A blob that was found.
pub struct Opened {
    /// In which octets.
    pub octets: Octets,
    /// Where.
    pub extent: Extent,
    /// What is to be undone.
    pub encoding: TransferEncoding,
    /// The octets as they are, of an upload: nothing has to be staged anew.
    pub staged: Option<StagedBlob>,
}

impl Opened {
    fn whole(octets: Octets) -> Opened {
        let extent = Extent { offset: 0, octets: octets.size() };
        Opened { octets, extent, encoding: TransferEncoding::SevenBit, staged: None }
    }

    /// Shows the decoded octets piece by piece.
    pub async fn each(
        &self,
        show: &mut (dyn FnMut(&[u8]) -> Result<(), MethodError> + Send),
    ) -> Result<(), MethodError> {
        self.octets.each(self.extent, self.encoding, show).await
    }

    /// How many octets there are, decoded.
    pub async fn decoded_size(&self) -> Result<u64, MethodError> {
        if self.encoding.is_identity() {
            return Ok(self.extent.octets);
        }
        let mut size = 0;
        self.each(&mut |piece| {
            size += piece.len() as u64;
            Ok(())
        })
        .await?;
        Ok(size)
    }

    /// All of them; `None`: more than `most`.
    pub async fn decoded(&self, most: u64) -> Result<Option<Vec<u8>>, MethodError> {
        // Decoding makes no more of them.
        if self.extent.octets > most.saturating_mul(4) {
            return Ok(None);
        }
        let (mut octets, mut fits) = (Vec::new(), true);
        self.each(&mut |piece| {
            fits &= (octets.len() + piece.len()) as u64 <= most;
            if fits {
                octets.extend_from_slice(piece);
            }
            Ok(())
        })
        .await?;
        Ok(fits.then_some(octets))
    }
}

/// Where a message is for the caller: in mailboxes that may be read, and not marked as deleted.
pub fn visible_places(places: &[Place]) -> impl Iterator<Item = &Place> + Clone {
    places.iter().filter(|place| is_visible(place.entry.flags.system))
}

/// Finds a blob. `None`: for the caller there is none.
pub async fn open(
    context: &Context,
    account: &Account,
    blob: &Blob,
) -> Result<Option<Opened>, MethodError> {
    let most = context.limits.max_size_message.max(context.limits.max_size_upload);
    let (octets, summary) = match blob.source {
        Source::Message(message) => {
            let Some(found) = message_octets(context, account, message).await? else {
                return Ok(None);
            };
            found
        }
        Source::Upload(upload) => {
            // RFC 8620 §6: nobody else sees it, whosever account it is for.
            let own = context.caller.account.id;
            let Some(upload) = context.store.upload(own, upload).await? else { return Ok(None) };
            let mut whole = Opened::whole(Octets::Stored(upload.content));
            if blob.path.is_empty() {
                whole.staged = Some(upload.blob);
                return Ok(Some(whole));
            }
            let Some(octets) = whole.decoded(most).await? else { return Ok(None) };
            let summary = Summary::of(&Message::parse(&octets));
            (Octets::Held(Arc::new(octets)), summary)
        }
    };
    if blob.path.is_empty() {
        return Ok(Some(Opened::whole(octets)));
    }
    within(octets, summary, &blob.path, most).await
}

/// The part of that number in a message.
async fn within(
    mut octets: Octets,
    mut summary: Summary,
    mut number: &[u32],
    most: u64,
) -> Result<Option<Opened>, MethodError> {
    loop {
        let (id, rest) = match find(&summary, number) {
            None => return Ok(None),
            Some(Found::Part(id)) => (id, None),
            Some(Found::Within(id, rest)) => (id, Some(rest)),
        };
        let opened = part(octets, &summary, id);
        let Some(rest) = rest else { return Ok(Some(opened)) };
        let Some(inner) = opened.decoded(most).await? else { return Ok(None) };
        summary = Summary::of(&Message::parse(&inner));
        octets = Octets::Held(Arc::new(inner));
        number = rest;
    }
}

/// The body of a part, which is not a multipart.
fn part(octets: Octets, summary: &Summary, id: PartId) -> Opened {
    let part = &summary.parts[id.0 as usize];
    let encoding = match part.kind {
        PartKind::Leaf => part.transfer_encoding(),
        _ => TransferEncoding::SevenBit,
    };
    Opened { octets, extent: part.body, encoding, staged: None }
}

/// A message that the caller may read.
async fn message_octets(
    context: &Context,
    account: &Account,
    message: MessageId,
) -> Result<Option<(Octets, Summary)>, MethodError> {
    let readable = account.mailboxes.readable();
    let located = context.store.locate(account.id, &[message], &readable, true).await?;
    let Some(located) = located.messages.into_iter().next() else { return Ok(None) };
    if visible_places(&located.places).next().is_none() {
        return Ok(None);
    }
    let Some(summary) = located.summary else { return Ok(None) };
    let content = context.store.content_of(account.id, message).await?;
    let Some(content) = content else { return Ok(None) };
    Ok(Some((Octets::Stored(content), summary.read()?)))
}
