//! Mailbox/queryChanges (RFC 8621 §2.4). Mailboxes are few, and where one is sorted depends on those above it:
//! when one was changed, all are put in anew.

use serde_json::{Map, Value};
use waxwing_store::MailboxId;

use super::changes::happenings;
use super::query::Question;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::standard::changes::Fate;
use crate::standard::query::QueryChangesArguments;
use crate::wire::error::MethodError;

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
    asked.answer(&account, &now, touched)
}
