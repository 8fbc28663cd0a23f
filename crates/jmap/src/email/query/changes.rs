//! `Email/queryChanges` (RFC 8621 §4.5).
//!
//! Whatever was touched since is taken out, and put in again where it now is; where the place of a message
//! depends on its thread, so is all that is in the thread.

use std::collections::HashSet;

use serde_json::{Map, Value};
use waxwing_store::{MessageId, ThreadId};

use super::Query;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::standard::query::QueryChangesArguments;
use crate::wire::error::MethodError;

/// Runs the method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let mut asked: QueryChangesArguments = standard::arguments(arguments)?;
    let query = Query::read(asked.filter.take(), asked.sort.take(), &mut asked.more)?;
    let account = context.account(&asked.account_id).await?;
    let since = account.since(&asked.since_query_state)?;
    let readable = account.mailboxes.readable();
    let reader = context.caller.account.id;
    // Read before the results: what happens in between is in these, and will be told again.
    let happened =
        context.store.account_changes(reader, account.id, since.since(), &readable).await?;
    let happened = happened.ok_or(MethodError::CannotCalculateChanges)?;
    let results = query.results(context, &account).await?;
    let mut touched: HashSet<MessageId> =
        happened.messages.iter().map(|change| change.message).collect();
    if query.collapse_threads || query.depends_on_threads() {
        let threads: HashSet<ThreadId> =
            happened.messages.iter().filter_map(|change| change.thread).collect();
        let threads: Vec<ThreadId> = threads.into_iter().collect();
        let (members, _) = context.store.thread_members(account.id, &threads, &readable).await?;
        touched.extend(members.iter().map(|member| member.message));
    }
    let now: Vec<MessageId> = results.iter().map(|(message, _)| *message).collect();
    let mut touched: Vec<MessageId> = touched.into_iter().collect();
    touched.sort_unstable();
    asked.answer(&account, &now, touched)
}
