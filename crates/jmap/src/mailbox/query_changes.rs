//! Mailbox/queryChanges (RFC 8621 §2.4). Mailboxes are few, and where one is sorted depends on those above it:
//! when one was changed, all are put in anew.

use serde_json::{Map, Value, json};
use waxwing_store::MailboxId;

use super::changes::happenings;
use super::query::Question;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::standard::changes::Fate;
use crate::standard::query::{QueryChangesArguments, splice};
use crate::wire::error::MethodError;
use crate::wire::id;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let mut asked: QueryChangesArguments = standard::arguments(arguments)?;
    let (filter, sort) = (asked.filter.take(), asked.sort.take());
    let question = Question::read(filter, sort, std::mem::take(&mut asked.more))?;
    let account = context.account(&asked.account_id).await?;
    let since = account.since(&asked.since_query_state)?;
    let happened = happenings(context, &account, since).await?;
    let now = question.answer(&account);
    let came_or_went = happened.changes.iter().any(|change| change.fate != Fate::Updated);
    let touched: Vec<MailboxId> = match happened.only_counts && !came_or_went {
        true => Vec::new(),
        false => {
            let gone = happened.changes.iter().filter(|change| change.fate == Fate::Destroyed);
            let gone = gone.map(|change| MailboxId(change.number));
            account.mailboxes.iter().map(|one| one.mailbox.id).chain(gone).collect()
        }
    };
    let changes = splice(&now, touched);
    let count = changes.removed.len() + changes.added.len();
    if asked.max_changes.is_some_and(|most| count as u64 > most) {
        return Err(MethodError::TooManyChanges);
    }
    let removed: Vec<String> = changes.removed.iter().map(|id| id::text(*id)).collect();
    let added: Vec<Value> = changes
        .added
        .iter()
        .map(|(index, id)| json!({"id": id::text(*id), "index": index}))
        .collect();
    let mut response = json!({
        "accountId": account.text(),
        "oldQueryState": since.to_string(),
        "newQueryState": account.state().to_string(),
        "removed": removed,
        "added": added,
    });
    if asked.calculate_total {
        response["total"] = Value::from(now.len());
    }
    Ok(response.into())
}
