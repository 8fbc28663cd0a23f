//! EmailSubmission/get (RFC 8621 §7.1).

use serde_json::{Map, Value};
use waxwing_store::SubmissionId;

use super::object::{PROPERTIES, object};
use crate::context::Context;
use crate::dispatch::Answer;
use crate::identity::own;
use crate::standard::{self, get};
use crate::wire::error::MethodError;
use crate::wire::id;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: get::GetArguments = standard::arguments(arguments)?;
    let properties = get::Properties::read(asked.properties, &PROPERTIES)?;
    let account = own(context, &asked.account_id).await?;
    let all = context.store.submissions(account.id).await?;
    let ids = match asked.ids {
        Some(ids) => ids,
        None => all.iter().map(|one| id::text(one.id)).collect(),
    };
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for text in get::each_once(ids, &context.limits)? {
        let wanted: Option<SubmissionId> = id::read(&text);
        match all.iter().find(|one| Some(one.id) == wanted) {
            Some(one) => list.push(properties.of(object(&context.store, one).await?)),
            None => not_found.push(text),
        }
    }
    Ok(get::response(&account.text(), account.state(), list, not_found).into())
}
