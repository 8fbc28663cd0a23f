//! Mailbox/get (RFC 8621 §2.1).

use std::sync::Arc;

use serde_json::{Map, Value};
use waxwing_store::{Census, Role};

use super::object::{COUNTS, PROPERTIES, object};
use super::tree::Tree;
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::{self, get};
use crate::wire::error::MethodError;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: get::GetArguments = standard::arguments(arguments)?;
    let properties = get::Properties::read(asked.properties, &PROPERTIES)?;
    let account = context.account(&asked.account_id).await?;
    let ids = asked.ids.map(|ids| get::each_once(ids, &context.limits)).transpose()?;
    let census = match properties.has_any(&COUNTS) {
        false => None,
        true => Some(count(context, &account).await?),
    };
    let tree = Tree::new(&account.mailboxes);
    let shown = |one| properties.of(object(&account, &tree, census.as_deref(), one));
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    match ids {
        None => list.extend(account.mailboxes.iter().map(shown)),
        Some(ids) => {
            for id in ids {
                match account.mailboxes.find(&id) {
                    Some(found) => list.push(shown(found)),
                    None => not_found.push(id),
                }
            }
        }
    }
    Ok(get::response(&account.text(), account.state(), list, not_found).into())
}

/// What is in the mailboxes that the caller may read.
pub async fn count(context: &Context, account: &Account) -> Result<Arc<Census>, MethodError> {
    let trash = account.mailboxes.iter().find(|one| one.mailbox.role == Some(Role::Trash));
    let trash = trash.map(|one| one.mailbox.id);
    let readable = account.mailboxes.readable();
    Ok(context.store.census(account.id, &readable, trash).await?.0)
}
