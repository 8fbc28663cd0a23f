//! Reading blobs, piece by piece: whole octets as they are, parts with their transfer encoding undone.

use waxwing_message::parse::transfer::{Decoder, TransferEncoding};
use waxwing_message::summary::PartInfo;
use waxwing_message::{Summary, parse::Message};
use waxwing_store::{Content, StagedBlob, Store, StoreError};

use super::part;
use crate::caller::{Account, Caller};
use crate::wire::blob_id::{Blob, Source};

/// Read at once.
const PIECE_OCTETS: u64 = 64 * 1024;
/// Uploads up to this size are read as messages, to find parts in them.
const PARSED_OCTETS_MAX: u64 = 64 << 20;

/// A blob that exists for the caller.
pub struct Opened {
    /// What it is called where that is known: of an upload as it was said, of a part as it is written.
    pub media_type: Option<String>,
    /// Octets, where that is known before reading.
    pub size_octets: Option<u64>,
    content: Content,
    /// All of the octets, when they are asked for as they are.
    whole: Option<StagedBlob>,
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
            if blob.path.is_empty() {
                let media_type = Some(upload.media_type);
                return Ok(Some(Opened::whole(media_type, upload.content, upload.blob)));
            }
            if upload.content.size_octets > PARSED_OCTETS_MAX {
                return Ok(None);
            }
            let octets = upload.content.read_all().await?;
            let summary = Summary::of(&Message::parse(&octets));
            Ok(Opened::part(upload.content, &summary, &blob.path))
        }
        Source::Message(id) => {
            let readable = account.mailboxes.readable();
            let wants_part = !blob.path.is_empty();
            let found = store.locate(account.id, &[id], &readable, wants_part).await?;
            let Some(located) = found.messages.into_iter().next() else { return Ok(None) };
            let content = store.content_of(account.id, id).await?;
            let Some((content, staged)) = content else { return Ok(None) };
            match located.summary {
                Some(summary) => Ok(Opened::part(content, &summary.read()?, &blob.path)),
                None => {
                    let media_type = Some("message/rfc822".to_owned());
                    Ok(Some(Opened::whole(media_type, content, staged)))
                }
            }
        }
    }
}

impl Opened {
    fn whole(media_type: Option<String>, content: Content, staged: StagedBlob) -> Opened {
        let left = content.size_octets;
        Opened {
            media_type,
            size_octets: Some(left),
            content,
            whole: Some(staged),
            at: 0,
            left,
            decoder: None,
        }
    }

    fn part(content: Content, summary: &Summary, path: &[u32]) -> Option<Opened> {
        let id = part::find(summary, path)?;
        let part: &PartInfo = summary.parts.get(id.0 as usize)?;
        let encoding = TransferEncoding::parse(&part.encoding);
        // A stored summary is not trusted with more than there is.
        let at = part.body.offset.min(content.size_octets);
        let left = part.body.octets.min(content.size_octets - at);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).to_ascii_lowercase();
        Some(Opened {
            media_type: Some(format!("{}/{}", text(&part.media_type), text(&part.subtype))),
            size_octets: encoding.is_identity().then_some(left),
            content,
            whole: None,
            at,
            left,
            decoder: (!encoding.is_identity()).then(|| Decoder::new(encoding)),
        })
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
            let piece = self.content.read(self.at, self.left.min(PIECE_OCTETS)).await?;
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
    pub async fn read_all(mut self, most: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > most {
                return Ok(None);
            }
            all.extend_from_slice(&piece);
        }
        Ok(Some(all))
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
