//! EmailSubmission/query and EmailSubmission/queryChanges (RFC 8621 §7.3, §7.4).

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Map, Value};
use waxwing_store::{Submission, SubmissionId};

use super::changes::since_then;
use super::object::undo_status;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::identity::own;
use crate::standard;
use crate::standard::query::{QueryArguments, QueryChangesArguments};
use crate::wire::error::MethodError;
use crate::wire::filter::{Comparator, Filter};
use crate::wire::{date, id};

/// FilterCondition: what is given must hold. Ids are compared as they are written.
#[derive(Debug, Default)]
struct Condition {
    identities: Option<Vec<String>>,
    emails: Option<Vec<String>>,
    threads: Option<Vec<String>>,
    undo_status: Option<String>,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
}

struct Question {
    filter: Option<Filter<Condition>>,
    sort: Vec<Comparator>,
}

/// EmailSubmission/query.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let mut asked: QueryArguments = standard::arguments(arguments)?;
    let question = Question::read(asked.filter.take(), asked.sort.take(), &asked.more)?;
    let account = own(context, &asked.account_id).await?;
    let found = question.answer(context.store.submissions(account.id).await?);
    asked.answer(context, &account, &found)
}

/// EmailSubmission/queryChanges.
pub async fn changes(
    context: &Context,
    arguments: Map<String, Value>,
) -> Result<Answer, MethodError> {
    let mut asked: QueryChangesArguments = standard::arguments(arguments)?;
    let question = Question::read(asked.filter.take(), asked.sort.take(), &asked.more)?;
    let account = own(context, &asked.account_id).await?;
    let since = account.since(&asked.since_query_state)?;
    let changes = since_then(context, &account, since).await?.into_iter();
    let touched = changes.filter(|change| since.is_before(change.modseq, change.number));
    let touched: Vec<SubmissionId> = touched.map(|change| SubmissionId(change.number)).collect();
    let found = question.answer(context.store.submissions(account.id).await?);
    asked.answer(&account, &found, touched)
}

impl Question {
    fn read(
        filter: Option<Value>,
        sort: Option<Value>,
        more: &Map<String, Value>,
    ) -> Result<Question, MethodError> {
        if let Some(name) = more.keys().next() {
            return Err(MethodError::invalid(format!("there is no argument {name:?}")));
        }
        let filter = match filter {
            None | Some(Value::Null) => None,
            Some(value) => Some(Filter::read(value, &mut Condition::read)?),
        };
        let sort = Comparator::read_all(sort)?;
        // RFC 8621 §7.3 calls the time sentAt; clients know it as sendAt.
        let known = ["emailId", "threadId", "sentAt", "sendAt"];
        if sort.iter().any(|one| !known.contains(&one.property.as_str())) {
            let why = "submissions are sorted by emailId, threadId and sentAt";
            return Err(MethodError::UnsupportedSort(why.to_owned()));
        }
        Ok(Question { filter, sort })
    }

    fn answer(&self, mut all: Vec<Submission>) -> Vec<SubmissionId> {
        all.retain(|one| {
            self.filter
                .as_ref()
                .is_none_or(|filter| filter.passes(&mut |condition| condition.holds(one)))
        });
        all.sort_by(|a, b| self.compare(a, b));
        all.iter().map(|one| one.id).collect()
    }

    fn compare(&self, a: &Submission, b: &Submission) -> Ordering {
        let by = |comparator: &Comparator| {
            let order = match comparator.property.as_str() {
                "emailId" => a.message.cmp(&b.message),
                "threadId" => a.thread.cmp(&b.thread),
                _ => a.send_at.cmp(&b.send_at),
            };
            if comparator.is_ascending { order } else { order.reverse() }
        };
        let order = self.sort.iter().map(by).find(|order| order.is_ne());
        order.unwrap_or_else(|| a.id.cmp(&b.id))
    }
}

impl Condition {
    fn read(members: Map<String, Value>) -> Result<Condition, MethodError> {
        let mut condition = Condition::default();
        for (name, value) in members {
            let strings = || -> Option<Vec<String>> {
                let text = |one: &Value| one.as_str().map(str::to_owned);
                value.as_array()?.iter().map(text).collect()
            };
            let time = || value.as_str().and_then(date::read_utc);
            let fits = match name.as_str() {
                "identityIds" => strings().map(|ids| condition.identities = Some(ids)),
                "emailIds" => strings().map(|ids| condition.emails = Some(ids)),
                "threadIds" => strings().map(|ids| condition.threads = Some(ids)),
                "undoStatus" => {
                    value.as_str().map(|text| condition.undo_status = Some(text.to_owned()))
                }
                "before" => time().map(|at| condition.before = Some(at)),
                "after" => time().map(|at| condition.after = Some(at)),
                _ => {
                    let why = format!("submissions are not filtered by {name}");
                    return Err(MethodError::UnsupportedFilter(why));
                }
            };
            let wrong = || MethodError::invalid(format!("{name} is of the wrong type"));
            fits.ok_or_else(wrong)?;
        }
        Ok(condition)
    }

    fn holds(&self, one: &Submission) -> bool {
        let among = |ids: &Option<Vec<String>>, id: String| {
            ids.as_ref().is_none_or(|ids| ids.contains(&id))
        };
        among(&self.identities, id::text(one.identity))
            && among(&self.emails, id::text(one.message))
            && among(&self.threads, id::text(one.thread))
            && self.undo_status.as_ref().is_none_or(|status| *status == undo_status(one.state))
            && self.before.is_none_or(|at| one.send_at < at)
            && self.after.is_none_or(|at| one.send_at >= at)
    }
}
