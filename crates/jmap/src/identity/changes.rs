//! Identity/changes (RFC 8621 §6.2).

use serde_json::{Map, Value};
use waxwing_store::IdentityId;

use super::{all, own};
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::standard::changes::{Change, ChangesArguments, Fate, first};
use crate::wire::error::MethodError;
use crate::wire::id;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: ChangesArguments = standard::arguments(arguments)?;
    let most = asked.most()?;
    let account = own(context, &asked.account_id).await?;
    let since = account.since(&asked.since_state)?;
    let lost = context.store.lost_identities(account.id, since.since()).await?;
    let mut changes: Vec<Change> = lost
        .into_iter()
        .map(|(id, modseq)| Change { modseq, number: id.0, fate: Fate::Destroyed })
        .collect();
    changes.extend(all(context).await?.iter().map(|one| {
        match since.is_before(one.created_modseq, one.id.0) {
            true => Change { modseq: one.created_modseq, number: one.id.0, fate: Fate::Created },
            false => Change { modseq: one.changed_modseq, number: one.id.0, fate: Fate::Updated },
        }
    }));
    let some = first(changes, since, account.modseq, most);
    Ok(some.response(&account.text(), |number| id::text(IdentityId(number))).into())
}
