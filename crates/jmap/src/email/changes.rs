//! `Email/changes` (RFC 8621 §4.3).
//!
//! Deviates: of many changes, RFC 8621 §4.3 recommends the newest first. They come in their order, so that a
//! state says what is known. And a message that loses IMAP's `\Deleted`, and so is there again, is told as
//! updated.

use std::collections::HashSet;

use serde_json::{Map, Value};
use waxwing_store::{Happened, MessageId};

use super::keywords::visible_places;
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard;
use crate::standard::changes::{Change, ChangesArguments, Fate, first};
use crate::wire::error::MethodError;
use crate::wire::id;

/// Messages that are looked at in one go.
const AT_ONCE: usize = 500;

/// Runs the method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked: ChangesArguments = standard::arguments(arguments)?;
    let most = asked.most()?;
    let account = context.account(&asked.account_id).await?;
    let since = account.since(&asked.since_state)?;
    let readable = account.mailboxes.readable();
    let reader = context.caller.account.id;
    let happened =
        context.store.account_changes(reader, account.id, since.since(), &readable).await?;
    let happened = happened.ok_or(MethodError::CannotCalculateChanges)?;
    let fate = |happened| match happened {
        Happened::Came => Fate::Created,
        Happened::Changed => Fate::Updated,
        Happened::Left => Fate::Destroyed,
    };
    let all = happened.messages.iter().map(|change| Change {
        modseq: change.modseq,
        number: change.message.0,
        fate: fate(change.happened),
    });
    let mut changes = first(all.collect(), since, happened.modseq, most);
    let there = changes.changes.iter().filter(|change| change.fate != Fate::Destroyed);
    let there: Vec<MessageId> = there.map(|change| MessageId(change.number)).collect();
    let hidden = hidden(context, &account, &there).await?;
    changes.changes.retain_mut(|change| {
        if !hidden.contains(&MessageId(change.number)) {
            return true;
        }
        // What came and was marked as deleted at once was never there.
        let was_there = change.fate != Fate::Created;
        change.fate = Fate::Destroyed;
        was_there
    });
    Ok(changes.response(&asked.account_id, |number| id::text(MessageId(number))).into())
}

/// Those of the messages that exist for no JMAP client: they are only where they are marked as deleted.
async fn hidden(
    context: &Context,
    account: &Account,
    messages: &[MessageId],
) -> Result<HashSet<MessageId>, MethodError> {
    let mut hidden = HashSet::new();
    if account.mailboxes.iter().all(|one| one.mailbox.deleted == 0) {
        return Ok(hidden);
    }
    let readable = account.mailboxes.readable();
    for some in messages.chunks(AT_ONCE) {
        let located = context.store.locate(account.id, some, &readable, false).await?;
        let unseen = |places: &[_]| visible_places(places).next().is_none();
        let gone = located.messages.iter().filter(|one| unseen(&one.places));
        hidden.extend(gone.map(|one| one.message));
    }
    Ok(hidden)
}
