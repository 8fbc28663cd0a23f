//! `Email/get` (RFC 8621 §4.2).
//!
//! What listings show is answered from what is stored ready; messages are opened only for what is in
//! them alone.

use std::collections::HashMap;

use serde_json::{Map, Value};
use waxwing_store::{Located, MessageId};

use super::keywords::visible_places;
use super::show::{Subject, email};
use super::wanted::{GET_DEFAULT, Wanted};
use crate::blob::open::Octets;
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::get::{each_once, response};
use crate::standard::{self};
use crate::wire::blob_id::Blob;
use crate::wire::error::MethodError;
use crate::wire::state::State;
use crate::wire::{id, json};

/// Octets of memory that the objects of one answer may take, about.
pub const ANSWER_OCTETS_MAX: usize = 64 << 20;

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    account_id: String,
    #[serde(default)]
    ids: Option<Vec<String>>,
}

/// Runs the method.
pub async fn run(
    context: &Context,
    mut arguments: Map<String, Value>,
) -> Result<Answer, MethodError> {
    let wanted = Wanted::take(&mut arguments, &GET_DEFAULT)?;
    let asked: Arguments = standard::arguments(arguments)?;
    let account = context.account(&asked.account_id).await?;
    let ids = match asked.ids {
        Some(ids) => each_once(ids, &context.limits)?,
        None => all_ids(context, &account).await?,
    };
    let messages: Vec<MessageId> = ids.iter().filter_map(|text| id::read(text)).collect();
    let readable = account.mailboxes.readable();
    let located = context.store.locate(account.id, &messages, &readable, true).await?;
    let state = State::after(located.modseq);
    let by_id: HashMap<MessageId, Located> =
        located.messages.into_iter().map(|one| (one.message, one)).collect();
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    let mut room = ANSWER_OCTETS_MAX;
    for text in ids {
        let found = id::read(&text).and_then(|id| by_id.get(&id));
        let shown = match found {
            Some(located) => show(context, &account, located, &wanted, room).await?,
            None => None,
        };
        let Some(value) = shown else {
            not_found.push(text);
            continue;
        };
        match room.checked_sub(json::weight(&value)) {
            Some(left) => room = left,
            // RFC 8620 §5.1: fewer at a time will do.
            None if !list.is_empty() => return Err(MethodError::RequestTooLarge(list.len())),
            None => room = 0,
        }
        list.push(value);
    }
    Ok(response(&asked.account_id, state, list, not_found).into())
}

/// An Email; `None`: it does not exist for the caller.
async fn show(
    context: &Context,
    account: &Account,
    located: &Located,
    wanted: &Wanted,
    room: usize,
) -> Result<Option<Value>, MethodError> {
    let Some(place) = visible_places(&located.places).next() else { return Ok(None) };
    let Some(summary) = &located.summary else { return Ok(None) };
    let summary = summary.read()?;
    let octets = match wanted.opens_message() {
        true => match context.store.content_of(account.id, located.message).await? {
            Some((content, _)) => Some(Octets::from(content)),
            None => return Ok(None),
        },
        false => None,
    };
    let subject = Subject {
        located: Some(located),
        blob: Blob::of_message(located.message),
        summary: &summary,
        octets: octets.as_ref(),
        size: place.entry.size_octets,
    };
    email(&subject, wanted, values_max(wanted, room)).await.map(Some)
}

/// How long each text may be: as long as the client wants, and as there is room.
pub fn values_max(wanted: &Wanted, room: usize) -> u64 {
    match wanted.value_octets_max {
        0 => room.max(1) as u64,
        most => most.min(room.max(1) as u64),
    }
}

/// The ids of all Emails, where they are few enough to be given at once.
async fn all_ids(context: &Context, account: &Account) -> Result<Vec<String>, MethodError> {
    let most = context.limits.max_objects_in_get;
    let readable = account.mailboxes.readable();
    let total: u64 = account
        .mailboxes
        .iter()
        .filter(|one| readable.contains(&one.mailbox.id))
        .map(|one| u64::from(one.mailbox.total))
        .sum();
    if total > most as u64 {
        return Err(MethodError::RequestTooLarge(most));
    }
    let mut ids = Vec::new();
    for mailbox in readable {
        let (entries, _) = context.store.entries(mailbox).await?;
        let visible =
            entries.iter().filter(|entry| super::keywords::is_visible(entry.flags.system));
        ids.extend(visible.map(|entry| id::text(entry.message)));
    }
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(most);
    Ok(ids)
}
