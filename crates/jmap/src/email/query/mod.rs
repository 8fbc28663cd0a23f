//! `Email/query` and `Email/queryChanges` (RFC 8621 §4.4, §4.5).
//!
//! | file | what |
//! |---|---|
//! | `condition` | the filter, read; pure |
//! | `universe` | the messages that a query is about |
//! | `evaluate` | which of them pass |
//! | `sort` | in which order |
//! | `changes` | how the results that a client has become those of now |
//!
//! The state of a query is the account's: results are the same as long as nothing happens in it.

pub mod changes;
pub mod condition;
mod evaluate;
mod sort;
mod universe;

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use waxwing_store::{MessageId, ThreadId};

use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::{self, query::QueryArguments};
use crate::wire::error::MethodError;
use crate::wire::id;
use condition::{Test, Tests};
use evaluate::{column, has_test, only_mailbox, passing};
use sort::By;
pub use sort::OPTIONS;
use universe::{Scope, Universe};

/// Ids in one answer: whoever wants more asks again.
const IDS_MAX: u64 = 5_000;

/// Runs `Email/query`.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let mut asked: QueryArguments = standard::arguments(arguments)?;
    let query = Query::read(asked.filter.take(), asked.sort.take(), &mut asked.more)?;
    let account = context.account(&asked.account_id).await?;
    let results = query.results(context, &account).await?;
    let place = |anchor: &str| {
        let anchor = id::read::<MessageId>(anchor)?;
        results.iter().position(|(message, _)| *message == anchor)
    };
    let is_limited = asked.limit.is_none_or(|limit| limit > IDS_MAX);
    asked.limit = Some(asked.limit.map_or(IDS_MAX, |limit| limit.min(IDS_MAX)));
    let range = asked.range(results.len(), place)?;
    let ids: Vec<String> =
        results[range.clone()].iter().map(|(message, _)| id::text(*message)).collect();
    let mut response = json!({
        "accountId": asked.account_id,
        "queryState": account.state().to_string(),
        "canCalculateChanges": true,
        "position": range.start,
        "ids": ids,
    });
    if asked.calculate_total {
        response["total"] = json!(results.len());
    }
    if is_limited {
        response["limit"] = json!(IDS_MAX);
    }
    Ok(response.into())
}

/// A question that is understood.
struct Query {
    filter: Tests,
    order: Vec<(By, bool)>,
    collapse_threads: bool,
}

impl Query {
    /// Takes what is particular to Emails out of `more`, in which nothing else may be.
    fn read(
        filter: Option<Value>,
        sort: Option<Value>,
        more: &mut Map<String, Value>,
    ) -> Result<Query, MethodError> {
        let collapse_threads = match more.remove("collapseThreads") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(collapse)) => collapse,
            Some(_) => return Err(MethodError::invalid("collapseThreads is true or false")),
        };
        if let Some(name) = more.keys().next() {
            return Err(MethodError::invalid(format!("there is no argument {name}")));
        }
        Ok(Query { filter: condition::read(filter)?, order: sort::read(sort)?, collapse_threads })
    }

    /// All results, in order.
    async fn results(
        &self,
        context: &Context,
        account: &Account,
    ) -> Result<Vec<(MessageId, ThreadId)>, MethodError> {
        let Some(scope) = self.scope() else { return Ok(Vec::new()) };
        let readable = account.mailboxes.readable();
        let store = &context.store;
        let mut universe = Universe::gather(store, account.id, &readable, scope).await?;
        if self.asks_gist() {
            universe = universe.with_gists(store).await?;
        }
        let found = passing(context, account, &universe, &self.filter).await?;
        let sorted = sort::sort(&universe, found, &self.order);
        let subjects = sorted.into_iter().map(|index| universe.subject(index));
        let mut results: Vec<(MessageId, ThreadId)> =
            subjects.map(|subject| (subject.message(), subject.thread())).collect();
        // RFC 8621 §4.4.3.
        if self.collapse_threads {
            let mut seen = HashSet::new();
            results.retain(|(_, thread)| seen.insert(*thread));
        }
        Ok(results)
    }

    /// What must be gathered; `None`: nothing passes.
    fn scope(&self) -> Option<Scope> {
        let of_threads = self.depends_on_threads();
        let mut tests_of_mailboxes = 0;
        self.filter.conditions(&mut |test| {
            tests_of_mailboxes +=
                usize::from(matches!(test, Test::InMailbox(_) | Test::InOther(_)));
        });
        let keywords = has_test(&self.filter, |test| matches!(test, Test::Has(_)))
            || self.order.iter().any(|(by, _)| matches!(by, By::Has(_)));
        Some(match only_mailbox(&self.filter) {
            Some(None) => return None,
            _ if of_threads => Scope::All,
            None => Scope::All,
            Some(Some(mailbox)) if keywords || tests_of_mailboxes > 1 => Scope::Messages(mailbox),
            Some(Some(mailbox)) => Scope::One(mailbox),
        })
    }

    /// Whether a message's place depends on others of its thread.
    fn depends_on_threads(&self) -> bool {
        let test = |test: &Test| matches!(test, Test::AllInThread(_) | Test::SomeInThread(_));
        let by = |by: &By| matches!(by, By::AllInThread(_) | By::SomeInThread(_));
        has_test(&self.filter, test) || self.order.iter().any(|(one, _)| by(one))
    }

    fn asks_gist(&self) -> bool {
        let asks = |test: &Test| match test {
            Test::HasAttachment(_) => true,
            Test::Field { name, terms } => column(name).is_some() && !terms.is_empty(),
            _ => false,
        };
        has_test(&self.filter, asks) || self.order.iter().any(|(by, _)| by.asks_gist())
    }
}
