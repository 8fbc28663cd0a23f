//! `Email/copy` (RFC 8621 §4.7, RFC 8620 §5.4): an Email of one account in another. The octets stay where
//! they are.

use serde_json::{Map, Value};

use super::keywords::{self, visible_places};
use super::set::create::{Created, Made, Metadata, add};
use super::set::{Fail, destroy_all, locate, message};
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::standard::set::SetOutcome;
use crate::wire::error::{MethodError, SetError, SetErrorKind};

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    from_account_id: String,
    #[serde(default)]
    if_from_in_state: Option<String>,
    account_id: String,
    #[serde(default)]
    if_in_state: Option<String>,
    create: Map<String, Value>,
    #[serde(default)]
    on_success_destroy_original: bool,
    #[serde(default)]
    destroy_from_if_in_state: Option<String>,
}

/// Runs the method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: Arguments = standard::arguments(arguments)?;
    // RFC 8620 §5.4.
    if asked.from_account_id == asked.account_id {
        return Err(MethodError::invalid("an Email is copied to another account"));
    }
    if asked.create.len() > context.limits.max_objects_in_set {
        return Err(MethodError::RequestTooLarge(context.limits.max_objects_in_set));
    }
    let from = context.account(&asked.from_account_id).await.map_err(|error| match error {
        MethodError::AccountNotFound => MethodError::FromAccountNotFound,
        other => other,
    })?;
    let account = context.account(&asked.account_id).await?;
    let before = account.state();
    let mismatch = |wanted: &Option<String>, is: String| wanted.as_ref().is_some_and(|w| *w != is);
    if mismatch(&asked.if_from_in_state, from.state().to_string())
        || mismatch(&asked.if_in_state, before.to_string())
    {
        return Err(MethodError::StateMismatch);
    }
    let (mut made, mut originals) = (Made::default(), Vec::new());
    for (creation_id, object) in asked.create {
        let copied = copy(context, &from, &account, &object).await.map(|(original, one)| {
            originals.push(original);
            one
        });
        made.note(context, creation_id, copied)?;
    }
    let after = context.account(&asked.account_id).await?.state();
    let mut response = made.response(&asked.account_id, before, after);
    response["fromAccountId"] = Value::from(asked.from_account_id.as_str());
    let mut answer = Answer::from(response);
    if asked.on_success_destroy_original && !originals.is_empty() {
        let also =
            destroy(context, &asked.from_account_id, originals, &asked.destroy_from_if_in_state);
        answer.also.push(match also.await {
            Ok(response) => ("Email/set", response),
            Err(error) => ("error", error.arguments()),
        });
    }
    Ok(answer)
}

/// Copies one; gives the original's id, too.
async fn copy(
    context: &Context,
    from: &Account,
    account: &Account,
    object: &Value,
) -> Result<(String, Created), Fail> {
    let Value::Object(object) = object else {
        return Err(SetError::new(SetErrorKind::InvalidProperties(vec![]), "no object").into());
    };
    let known = ["id", "mailboxIds", "keywords", "receivedAt"];
    if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(SetError::invalid(name, "a copy cannot be another in that").into());
    }
    let Some(Value::String(text)) = object.get("id") else {
        return Err(SetError::invalid("id", "it is the id of an Email").into());
    };
    let mut metadata = Metadata::read(context, account, object)?;
    let not_found = || SetError::from(SetErrorKind::NotFound);
    let original = message(context, text).ok_or_else(not_found)?;
    let readable = from.mailboxes.readable();
    let located = context.store.locate(from.id, &[original], &readable, true).await?;
    let located = located.messages.first().ok_or_else(not_found)?;
    let places = || visible_places(&located.places);
    let received_at = places().map(|place| place.entry.received_at).min();
    let received_at = received_at.ok_or_else(not_found)?;
    if !object.contains_key("keywords") {
        metadata.keywords = keywords::of_places(places());
    }
    let content = context.store.content_of(from.id, original).await?;
    let (_, blob) = content.ok_or_else(not_found)?;
    let summary = located.summary.as_ref().ok_or_else(not_found)?.read()?;
    let created = add(context, account, metadata, blob, summary, received_at).await?;
    Ok((text.clone(), created))
}

/// RFC 8620 §5.4: the implicit `Email/set`.
async fn destroy(
    context: &Context,
    account_id: &str,
    originals: Vec<String>,
    if_in_state: &Option<String>,
) -> Result<Value, MethodError> {
    let account = context.account(account_id).await?;
    let before = account.state();
    if if_in_state.as_ref().is_some_and(|state| *state != before.to_string()) {
        return Err(MethodError::StateMismatch);
    }
    let messages: Vec<_> = originals.iter().filter_map(|text| message(context, text)).collect();
    let located = locate(context, &account, &messages).await?;
    let mut outcome = SetOutcome::default();
    destroy_all(context, &account, originals, &located, false, &mut outcome).await?;
    let after = context.account(account_id).await?.state();
    Ok(outcome.response(account_id, before, after))
}
