//! A message of an object (RFC 8621 §4.6): composed into a spool, whatever its attachments weigh, and added
//! to its mailboxes at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use waxwing_message::compose::entity::{Looks, Piece, base64_lines};
use waxwing_message::parse::TransferEncoding;
use waxwing_message::{Message, Summary};
use waxwing_store::{
    MailboxId, MessageId, NewMessage, Spool, SpoolWriter, StagedBlob, StoreError, ThreadId,
};

use super::{Fail, target};
use crate::blob::open::{Opened, open};
use crate::caller::Account;
use crate::context::Context;
use crate::email::compose::{Letter, Origin};
use crate::email::keywords::{self, Keywords};
use crate::standard::set::or_null;
use crate::wire::blob_id::Blob;
use crate::wire::error::{MethodError, SetError, SetErrorKind};
use crate::wire::state::State;
use crate::wire::{date, id};

/// Octets that base64 makes lines of: see [`base64_lines`].
const LINE_OCTETS: usize = 57;

/// A new Email.
pub struct Created {
    /// Its message.
    pub message: MessageId,
    /// With which others it belongs together.
    pub thread: ThreadId,
    /// Its octets.
    pub size_octets: u64,
}

impl Created {
    /// `id`.
    pub fn id(&self) -> String {
        id::text(self.message)
    }

    /// What the client did not know (RFC 8621 §4.6).
    pub fn value(&self) -> Value {
        json!({
            "id": self.id(),
            "blobId": Blob::of_message(self.message).to_string(),
            "threadId": id::text(self.thread),
            "size": self.size_octets,
        })
    }
}

/// What became of Emails that are made of octets which are there already (RFC 8621 §4.7, §4.8).
#[derive(Default)]
pub struct Made {
    created: Map<String, Value>,
    not_created: Map<String, Value>,
}

impl Made {
    /// One more; an error is the whole method's.
    pub fn note(
        &mut self,
        context: &Context,
        creation_id: String,
        made: Result<Created, Fail>,
    ) -> Result<(), MethodError> {
        match made {
            Ok(one) => {
                context.note_created(&creation_id, one.id());
                self.created.insert(creation_id, one.value());
            }
            Err(Fail::Set(error)) => {
                self.not_created.insert(creation_id, error.value());
            }
            Err(Fail::Method(_)) if !self.created.is_empty() => {
                return Err(MethodError::ServerPartialFail);
            }
            Err(Fail::Method(error)) => return Err(error),
        }
        Ok(())
    }

    /// The response.
    pub fn response(self, account_id: &str, old: State, new: State) -> Value {
        json!({
            "accountId": account_id,
            "oldState": old.to_string(),
            "newState": new.to_string(),
            "created": or_null(self.created),
            "notCreated": or_null(self.not_created),
        })
    }
}

/// What is known of a message besides its octets.
pub struct Metadata {
    /// One or more.
    pub mailboxes: Vec<MailboxId>,
    /// `keywords`.
    pub keywords: Keywords,
    /// `receivedAt`.
    pub received_at: Option<Timestamp>,
}

impl Metadata {
    /// Reads `mailboxIds`, `keywords` and `receivedAt` of an object; refuses what the caller may not do.
    pub fn read(
        context: &Context,
        account: &Account,
        object: &Map<String, Value>,
    ) -> Result<Metadata, SetError> {
        let mailboxes = target::read(context, account, object.get("mailboxIds"))?;
        target::check_insert(account, &mailboxes)?;
        let keywords = keywords::read(object.get("keywords"))?;
        let received_at = match object.get("receivedAt") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_str().and_then(date::read_utc).ok_or_else(|| {
                SetError::invalid("receivedAt", "a UTCDate looks like 2014-10-30T06:12:00Z")
            })?),
        };
        Ok(Metadata { mailboxes, keywords, received_at })
    }

    /// Keywords that the caller may not give in one of the mailboxes are left out, as IMAP's APPEND has it
    /// (RFC 4314 §4).
    fn flags(&self, account: &Account) -> waxwing_store::Flags {
        let (seen, others) = super::SEEN_AND_OTHERS;
        let may = |name: &&String| {
            let right = if *name == "$seen" { seen } else { others };
            self.mailboxes.iter().all(|id| account.mailboxes.rights(*id).contains(right))
        };
        keywords::flags(&self.keywords.iter().filter(may).cloned().collect())
    }
}

/// Creates an Email of an object.
pub async fn create(context: &Context, account: &Account, object: &Value) -> Result<Created, Fail> {
    let Value::Object(object) = object else {
        return Err(SetError::new(SetErrorKind::InvalidProperties(vec![]), "no object").into());
    };
    let metadata = Metadata::read(context, account, object)?;
    let letter = Letter::read(object)?;
    let spool = assemble(context, account, &letter).await?;
    let summary = Summary::of(&Message::parse(spool.as_bytes()));
    let blob = context.store.stage(Vec::new(), &spool, 0).await?;
    add(context, account, metadata, blob, summary, context.now).await
}

/// Adds a message whose octets are staged. `received_at` is for one that does not say.
pub async fn add(
    context: &Context,
    account: &Account,
    metadata: Metadata,
    blob: StagedBlob,
    summary: Summary,
    received_at: Timestamp,
) -> Result<Created, Fail> {
    let size_octets = blob.size_octets;
    let new = NewMessage {
        blob,
        summary,
        received_at: metadata.received_at.unwrap_or(received_at),
        flags: metadata.flags(account),
        journey: None,
    };
    let message = context.store.add_message(account.id, &metadata.mailboxes, new).await?;
    let threads = context.store.threads_of(account.id, &[message]).await?;
    // One that somebody has removed already had a thread of its own.
    let thread = threads.get(&message).copied().unwrap_or(ThreadId(message.0));
    Ok(Created { message, thread, size_octets })
}

/// Writes the message, with the octets of its blobs.
async fn assemble(context: &Context, account: &Account, letter: &Letter) -> Result<Spool, Fail> {
    let mut blobs = Vec::with_capacity(letter.blobs().len());
    let mut missing = Vec::new();
    for text in letter.blobs() {
        let blob = Blob::read(text);
        match open_one(context, account, blob.as_ref()).await? {
            Some(_) => blobs.extend(blob),
            None => missing.push(text.clone()),
        }
    }
    if !missing.is_empty() {
        return Err(SetError::from(SetErrorKind::BlobNotFound(missing)).into());
    }
    let mut looks = BTreeMap::new();
    for (key, blob) in blobs.iter().enumerate().filter(|(key, _)| letter.must_look_at(*key)) {
        let mut of_blob = Looks::default();
        let mut opened = open_again(context, account, blob).await?;
        while let Some(piece) = opened.next().await? {
            of_blob.add(&piece);
        }
        looks.insert(key, of_blob);
    }
    let domain = context.caller.account.address.domain();
    let origin = Origin { now: context.now, domain, random: rand::random() };
    let mut out = Limited { spool: context.store.spool(), most: context.limits.max_size_message };
    for piece in letter.pieces(&looks, &origin) {
        match piece {
            Piece::Octets(octets) => out.write(&octets)?,
            Piece::Elsewhere { key, encoding } => {
                let blob = blobs.get(key).expect("keys are places among the blobs");
                let opened = open_again(context, account, blob).await?;
                copy(opened, encoding, &mut out).await?;
            }
        }
        if out.is_over() {
            let why = format!("a message has at most {} octets", out.most);
            return Err(SetError::new(SetErrorKind::TooLarge, why).into());
        }
    }
    Ok(out.spool.finish()?)
}

async fn open_one(
    context: &Context,
    account: &Account,
    blob: Option<&Blob>,
) -> Result<Option<Opened>, StoreError> {
    match blob {
        Some(blob) => open(&context.store, &context.caller, account, blob).await,
        None => Ok(None),
    }
}

/// A part may be wanted several times, and is read each time.
async fn open_again(context: &Context, account: &Account, blob: &Blob) -> Result<Opened, Fail> {
    let opened = open_one(context, account, Some(blob)).await?;
    let gone = || SetError::from(SetErrorKind::BlobNotFound(vec![blob.to_string()]));
    Ok(opened.ok_or_else(gone)?)
}

/// A spool that takes no more than a message may have, and a little to tell that there was more.
struct Limited {
    spool: SpoolWriter,
    most: u64,
}

impl Limited {
    fn is_over(&self) -> bool {
        self.spool.len() > self.most
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        if !self.is_over() {
            self.spool.write(octets)?;
        }
        Ok(())
    }
}

/// Writes a blob, encoded.
async fn copy(
    mut blob: Opened,
    encoding: TransferEncoding,
    out: &mut Limited,
) -> Result<(), StoreError> {
    let mut held = Vec::new();
    while !out.is_over()
        && let Some(piece) = blob.next().await?
    {
        if encoding != TransferEncoding::Base64 {
            out.write(&piece)?;
            continue;
        }
        held.extend_from_slice(&piece);
        let whole = held.len() - held.len() % LINE_OCTETS;
        out.write(&base64_lines(&held[..whole]))?;
        held.drain(..whole);
    }
    out.write(&base64_lines(&held))
}
