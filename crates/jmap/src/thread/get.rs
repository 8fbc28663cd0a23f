//! Thread/get (RFC 8621 §3.1).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use waxwing_store::ThreadId;

use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::{self, get};
use crate::wire::error::MethodError;
use crate::wire::id;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: get::GetArguments = standard::arguments(arguments)?;
    let properties = get::Properties::read(asked.properties, &["id", "emailIds"])?;
    let account = context.account(&asked.account_id).await?;
    // RFC 8620 §5.1: all of a type may be refused, where they are too many.
    let ids = asked.ids.ok_or(MethodError::RequestTooLarge(context.limits.max_objects_in_get))?;
    let ids = get::each_once(ids, &context.limits)?;
    let threads: Vec<ThreadId> = ids.iter().filter_map(|text| id::read(text)).collect();
    let readable = account.mailboxes.readable();
    let (members, _) = context.store.thread_members(account.id, &threads, &readable).await?;
    // RFC 8621 §3: the oldest first.
    let mut emails: BTreeMap<ThreadId, Vec<String>> = BTreeMap::new();
    for member in members {
        emails.entry(member.thread).or_default().push(id::text(member.message));
    }
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for text in ids {
        match id::read(&text).and_then(|thread: ThreadId| emails.remove(&thread)) {
            Some(emails) => list.push(properties.of(json!({"id": text, "emailIds": emails}))),
            None => not_found.push(text),
        }
    }
    Ok(get::response(&account.text(), account.state(), list, not_found).into())
}
