//! Blob/copy (RFC 8620 §6.3). An upload is its uploader's in every account, and stays the same; what is in a
//! message becomes an upload.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::open::open;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::standard::set::or_null;
use crate::wire::blob_id::{Blob, Source};
use crate::wire::error::{MethodError, SetError, SetErrorKind};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    from_account_id: String,
    account_id: String,
    blob_ids: Vec<String>,
}

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: Arguments = standard::arguments(arguments)?;
    if asked.blob_ids.len() > context.limits.max_objects_in_set {
        return Err(MethodError::RequestTooLarge(context.limits.max_objects_in_set));
    }
    let from = context.account(&asked.from_account_id).await.map_err(|error| match error {
        MethodError::AccountNotFound => MethodError::FromAccountNotFound,
        other => other,
    })?;
    let to = context.account(&asked.account_id).await?;
    let (mut copied, mut not_copied) = (Map::new(), Map::new());
    for text in asked.blob_ids {
        let opened = match Blob::read(&text) {
            Some(blob) => {
                let opened = open(&context.store, &context.caller, &from, &blob).await?;
                opened.map(|opened| (blob, opened))
            }
            None => None,
        };
        let Some((blob, opened)) = opened else {
            not_copied.insert(text, SetError::from(SetErrorKind::NotFound).value());
            continue;
        };
        let id = match blob.source {
            Source::Upload(_) => text.clone(),
            Source::Message(_) if from.id == to.id => text.clone(),
            Source::Message(_) => {
                let media_type = opened.media_type.clone().unwrap_or_default();
                let staged = opened.stage(&context.store).await?;
                let own = context.caller.account.id;
                let upload =
                    context.store.keep_upload(own, staged, &media_type, context.now).await?;
                Blob::of_upload(upload).to_string()
            }
        };
        copied.insert(text, Value::from(id));
    }
    let response = json!({
        "fromAccountId": from.text(),
        "accountId": to.text(),
        "copied": or_null(copied),
        "notCopied": or_null(not_copied),
    });
    Ok(response.into())
}
