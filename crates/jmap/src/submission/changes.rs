//! EmailSubmission/changes (RFC 8621 §7.2).
//!
//! Deviates: what becomes of a message after it was handed over stands in `deliveryStatus` at every get, and
//! changes no state: journeys are kept apart from accounts.

use serde_json::{Map, Value};
use waxwing_store::SubmissionId;

use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::identity::own;
use crate::standard;
use crate::standard::changes::{Change, ChangesArguments, Fate, first};
use crate::wire::error::MethodError;
use crate::wire::id;
use crate::wire::state::State;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: ChangesArguments = standard::arguments(arguments)?;
    let most = asked.most()?;
    let account = own(context, &asked.account_id).await?;
    let since = account.since(&asked.since_state)?;
    let changes = since_then(context, &account, since).await?;
    let some = first(changes, since, account.modseq, most);
    Ok(some.response(&account.text(), |number| id::text(SubmissionId(number))).into())
}

/// Everything since a state, and older things that `first` leaves out.
pub async fn since_then(
    context: &Context,
    account: &Account,
    since: State,
) -> Result<Vec<Change>, MethodError> {
    let lost = context.store.lost_submissions(account.id, since.since()).await?;
    let mut changes: Vec<Change> = lost
        .into_iter()
        .map(|(id, modseq)| Change { modseq, number: id.0, fate: Fate::Destroyed })
        .collect();
    let all = context.store.submissions(account.id).await?;
    changes.extend(all.iter().map(|one| match since.is_before(one.created_modseq, one.id.0) {
        true => Change { modseq: one.created_modseq, number: one.id.0, fate: Fate::Created },
        false => Change { modseq: one.changed_modseq, number: one.id.0, fate: Fate::Updated },
    }));
    Ok(changes)
}
