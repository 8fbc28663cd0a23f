//! VacationResponse/get (RFC 8621 §8.1).

use serde_json::{Map, Value};

use super::{ID, object};
use crate::context::Context;
use crate::dispatch::Answer;
use crate::identity::own;
use crate::standard::{self, get};
use crate::wire::error::MethodError;

const PROPERTIES: [&str; 7] =
    ["id", "isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody"];

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: get::GetArguments = standard::arguments(arguments)?;
    let properties = get::Properties::read(asked.properties, &PROPERTIES)?;
    let account = own(context, &asked.account_id).await?;
    let absence = context.store.absence(account.id).await?;
    let ids = get::each_once(asked.ids.unwrap_or_else(|| vec![ID.to_owned()]), &context.limits)?;
    let (found, not_found): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| id == ID);
    let list = found.iter().map(|_| properties.of(object(&absence))).collect();
    Ok(get::response(&account.text(), account.state(), list, not_found).into())
}
