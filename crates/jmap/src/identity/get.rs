//! Identity/get (RFC 8621 §6.1).

use serde_json::{Map, Value};
use waxwing_store::IdentityId;

use super::{all, object, own};
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::{self, get};
use crate::wire::error::MethodError;
use crate::wire::id;

const PROPERTIES: [&str; 8] =
    ["id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"];

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: get::GetArguments = standard::arguments(arguments)?;
    let properties = get::Properties::read(asked.properties, &PROPERTIES)?;
    own(context, &asked.account_id).await?;
    let identities = all(context).await?;
    // After that: the first time, it made them.
    let account = own(context, &asked.account_id).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    match asked.ids {
        None => list.extend(identities.iter().map(|one| properties.of(object(one)))),
        Some(ids) => {
            for text in get::each_once(ids, &context.limits)? {
                let wanted: Option<IdentityId> = id::read(&text);
                match identities.iter().find(|one| Some(one.id) == wanted) {
                    Some(one) => list.push(properties.of(object(one))),
                    None => not_found.push(text),
                }
            }
        }
    }
    Ok(get::response(&account.text(), account.state(), list, not_found).into())
}
