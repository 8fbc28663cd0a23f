//! `Email/import` (RFC 8621 §4.8): uploads, or messages that are here already, added as Emails.

use jiff::Timestamp;
use serde_json::{Map, Value};
use waxwing_message::parse::date;
use waxwing_message::parse::field::fields;
use waxwing_message::{Message, Summary};
use waxwing_store::{Spool, StagedBlob};

use super::set::Fail;
use super::set::create::{Created, Made, Metadata, add};
use crate::blob::open::{Opened, open};
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::wire::blob_id::Blob;
use crate::wire::error::{MethodError, SetError, SetErrorKind};

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    account_id: String,
    #[serde(default)]
    if_in_state: Option<String>,
    emails: Map<String, Value>,
}

/// Runs the method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: Arguments = standard::arguments(arguments)?;
    if asked.emails.len() > context.limits.max_objects_in_set {
        return Err(MethodError::RequestTooLarge(context.limits.max_objects_in_set));
    }
    let account = context.account(&asked.account_id).await?;
    let before = account.state();
    if asked.if_in_state.is_some_and(|state| state != before.to_string()) {
        return Err(MethodError::StateMismatch);
    }
    let mut made = Made::default();
    for (creation_id, object) in asked.emails {
        made.note(context, creation_id, import(context, &account, &object).await)?;
    }
    let after = context.account(&asked.account_id).await?.state();
    Ok(made.response(&asked.account_id, before, after).into())
}

async fn import(context: &Context, account: &Account, object: &Value) -> Result<Created, Fail> {
    let Value::Object(object) = object else {
        return Err(SetError::new(SetErrorKind::InvalidProperties(vec![]), "no object").into());
    };
    let known = ["blobId", "mailboxIds", "keywords", "receivedAt"];
    if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(SetError::invalid(name, "an EmailImport has no such property").into());
    }
    let metadata = Metadata::read(context, account, object)?;
    let blob = object.get("blobId").and_then(Value::as_str).and_then(Blob::read);
    let opened = match blob {
        Some(blob) => open(&context.store, &context.caller, account, &blob).await?,
        None => None,
    };
    let opened = opened.ok_or_else(|| SetError::invalid("blobId", "there is no such blob"))?;
    let (spool, staged) = spooled(context, opened).await?;
    let message = Message::parse(spool.as_bytes());
    if message.root().headers.is_empty() {
        let why = "these octets are no message: they do not begin with a header field";
        return Err(SetError::new(SetErrorKind::InvalidEmail(vec![]), why).into());
    }
    let summary = Summary::of(&message);
    let received_at = last_received(spool.as_bytes()).unwrap_or(context.now);
    let staged = match staged {
        Some(staged) => staged,
        None => context.store.stage(Vec::new(), &spool, 0).await?,
    };
    add(context, account, metadata, staged, summary, received_at).await
}

/// The octets of a blob, decoded, where they can be parsed without being in memory.
async fn spooled(context: &Context, mut blob: Opened) -> Result<(Spool, Option<StagedBlob>), Fail> {
    let most = context.limits.max_size_message;
    let mut spool = context.store.spool();
    while spool.len() <= most
        && let Some(piece) = blob.next().await?
    {
        spool.write(&piece)?;
    }
    if spool.len() > most {
        let why = format!("a message has at most {most} octets");
        return Err(SetError::new(SetErrorKind::TooLarge, why).into());
    }
    Ok((spool.finish()?, blob.whole))
}

/// RFC 8621 §4.8: when the last server took it.
fn last_received(raw: &[u8]) -> Option<Timestamp> {
    let field = fields(raw).find(|field| field.is("Received"))?;
    let at = memchr::memrchr(b';', field.value)?;
    date::parse(&field.value[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_server_is_the_first_in_the_header() {
        let raw = b"Received: from a by b; Tue, 1 Jul 2003 10:52:37 +0200\r\n\
            Received: from c by a; Mon, 30 Jun 2003 10:52:37 +0200\r\n\r\n";
        assert_eq!(last_received(raw), Timestamp::from_second(1_057_049_557).ok());
        assert_eq!(last_received(b"Received: from a by b\r\n\r\n"), None);
        assert_eq!(last_received(b"Subject: x\r\n\r\n"), None);
    }
}
