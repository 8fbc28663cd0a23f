//! Mailbox/changes (RFC 8621 §2.2).
//!
//! A mailbox is another when it was changed itself, when something happened in it, and when something
//! happened elsewhere to a thread that has a message in it: by that, `unreadThreads` may be another.

use serde_json::{Map, Value, json};
use waxwing_store::ModSeq;

use super::object::COUNTS;
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::standard::changes::{Change, ChangesArguments, Fate, first};
use crate::wire::error::MethodError;
use crate::wire::id;
use crate::wire::state::State;

/// What happened to mailboxes.
pub struct Happenings {
    /// One for each.
    pub changes: Vec<Change>,
    /// Nothing but counts is another, in those that were updated.
    pub only_counts: bool,
}

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: ChangesArguments = standard::arguments(arguments)?;
    let most = asked.most()?;
    let account = context.account(&asked.account_id).await?;
    let since = account.since(&asked.since_state)?;
    let Happenings { changes, only_counts } = happenings(context, &account, since).await?;
    let some = first(changes, since, account.modseq, most);
    let mut response =
        some.response(&account.text(), |number| id::text(waxwing_store::MailboxId(number)));
    let has_updated = some.changes.iter().any(|change| change.fate == Fate::Updated);
    response["updatedProperties"] = match only_counts && has_updated {
        true => json!(COUNTS),
        false => Value::Null,
    };
    Ok(response.into())
}

/// Everything since a state.
pub async fn happenings(
    context: &Context,
    account: &Account,
    since: State,
) -> Result<Happenings, MethodError> {
    let readable = account.mailboxes.readable();
    let caller = context.caller.account.id;
    let changes = context.store.account_changes(caller, account.id, since.since(), &readable);
    let changes = changes.await?.ok_or(MethodError::CannotCalculateChanges)?;
    let threads: Vec<_> = changes.messages.iter().filter_map(|change| change.thread).collect();
    let by_thread = context.store.mailboxes_of_threads(account.id, &threads).await?;
    let last = changes.messages.iter().map(|change| change.modseq).max().unwrap_or(ModSeq(0));
    let mut all: Vec<Change> = changes
        .lost_mailboxes
        .iter()
        .map(|(mailbox, modseq)| Change {
            modseq: *modseq,
            number: mailbox.0,
            fate: Fate::Destroyed,
        })
        .collect();
    let mut only_counts = true;
    for one in account.mailboxes.iter() {
        let (mailbox, number) = (&one.mailbox, one.mailbox.id.0);
        let is_news = |modseq| since.is_before(modseq, number);
        if is_news(mailbox.created_modseq) {
            all.push(Change { modseq: mailbox.created_modseq, number, fate: Fate::Created });
            continue;
        }
        only_counts &= !is_news(mailbox.changed_modseq);
        let mut modseq = mailbox.changed_modseq.max(mailbox.highest_modseq);
        if by_thread.contains(&mailbox.id) {
            modseq = modseq.max(last);
        }
        if is_news(modseq) {
            all.push(Change { modseq, number, fate: Fate::Updated });
        }
    }
    Ok(Happenings { changes: all, only_counts })
}
