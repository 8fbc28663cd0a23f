//! `Email/parse` (RFC 8621 §4.9): blobs as if they were Emails, such as messages that are attached to others.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use waxwing_message::{Message, Summary};

use super::get::{ANSWER_OCTETS_MAX, values_max};
use super::show::{Subject, email};
use super::wanted::{PARSE_DEFAULT, Wanted};
use crate::blob::open::{Octets, open};
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::{self, get::each_once};
use crate::wire::blob_id::Blob;
use crate::wire::error::MethodError;
use crate::wire::json::weight;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    account_id: String,
    blob_ids: Vec<String>,
}

/// Runs the method.
pub async fn run(
    context: &Context,
    mut arguments: Map<String, Value>,
) -> Result<Answer, MethodError> {
    let wanted = Wanted::take(&mut arguments, PARSE_DEFAULT)?;
    let asked: Arguments = standard::arguments(arguments)?;
    let account = context.account(&asked.account_id).await?;
    let (mut parsed, mut not_parsable, mut not_found) = (Map::new(), Vec::new(), Vec::new());
    let mut room = ANSWER_OCTETS_MAX;
    for text in each_once(asked.blob_ids, &context.limits)? {
        let blob = Blob::read(&text);
        let opened = match &blob {
            Some(blob) => open(&context.store, &context.caller, &account, blob).await?,
            None => None,
        };
        let (Some(blob), Some(opened)) = (blob, opened) else {
            not_found.push(text);
            continue;
        };
        let octets = opened.read_all(context.limits.max_size_message).await?;
        let Some((octets, summary)) = octets.and_then(read) else {
            not_parsable.push(text);
            continue;
        };
        let size = octets.len() as u64;
        let octets = Octets::Held(Arc::new(octets));
        let subject =
            Subject { located: None, blob, summary: &summary, octets: Some(&octets), size };
        let value = email(&subject, &wanted, values_max(&wanted, room)).await?;
        match room.checked_sub(weight(&value)) {
            Some(left) => room = left,
            None if !parsed.is_empty() => return Err(MethodError::RequestTooLarge(parsed.len())),
            None => room = 0,
        }
        parsed.insert(text, value);
    }
    let or_null = |list: Vec<String>| if list.is_empty() { Value::Null } else { json!(list) };
    let response = json!({
        "accountId": asked.account_id,
        "parsed": if parsed.is_empty() { Value::Null } else { Value::Object(parsed) },
        "notParsable": or_null(not_parsable),
        "notFound": or_null(not_found),
    });
    Ok(response.into())
}

/// The summary of octets that are a message: they begin with a header field.
fn read(octets: Vec<u8>) -> Option<(Vec<u8>, Summary)> {
    let message = Message::parse(&octets);
    let is_message = !message.root().headers.is_empty();
    let summary = is_message.then(|| Summary::of(&message))?;
    Some((octets, summary))
}
