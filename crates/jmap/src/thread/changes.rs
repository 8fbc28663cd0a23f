//! Thread/changes (RFC 8621 §3.2). A thread is another when a message comes or goes, not when one is read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use waxwing_store::{Happened, MessageId, ModSeq, ThreadId};

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
    let account = context.account(&asked.account_id).await?;
    let since = account.since(&asked.since_state)?;
    let (caller, readable) = (context.caller.account.id, account.mailboxes.readable());
    let changes = context.store.account_changes(caller, account.id, since.since(), &readable);
    let changes = changes.await?.ok_or(MethodError::CannotCalculateChanges)?;
    // Moves into what the caller may read look like changes; in one's own account there are none such.
    let counts = |happened| happened != Happened::Changed || !account.is_own;
    let mut touched: BTreeMap<ThreadId, Touched> = BTreeMap::new();
    for change in changes.messages.iter().filter(|change| counts(change.happened)) {
        let Some(thread) = change.thread else { continue };
        let one = touched.entry(thread).or_default();
        one.last = one.last.max(Some(change.modseq));
        one.first = Some(one.first.map_or(change.modseq, |first| first.min(change.modseq)));
        match change.happened {
            Happened::Came => drop(one.came.insert(change.message)),
            Happened::Changed | Happened::Left => one.was_there = true,
        }
    }
    let threads: Vec<ThreadId> = touched.keys().copied().collect();
    let (members, _) = context.store.thread_members(account.id, &threads, &readable).await?;
    let mut there: BTreeSet<ThreadId> = BTreeSet::new();
    for member in members {
        there.insert(member.thread);
        if let Some(one) = touched.get_mut(&member.thread) {
            one.was_there |= !one.came.contains(&member.message);
        }
    }
    let all = touched.into_iter().map(|(thread, one)| {
        let (fate, modseq) = match (there.contains(&thread), one.was_there) {
            (false, _) => (Fate::Destroyed, one.last),
            (true, true) => (Fate::Updated, one.last),
            // A client that hears piece by piece is to hear of it before of what came later.
            (true, false) => (Fate::Created, one.first),
        };
        Change { modseq: modseq.unwrap_or(ModSeq(0)), number: thread.0, fate }
    });
    let some = first(all.collect(), since, account.modseq, most);
    Ok(some.response(&account.text(), |number| id::text(ThreadId(number))).into())
}

/// What is known of a thread to which something happened.
#[derive(Default)]
struct Touched {
    first: Option<ModSeq>,
    last: Option<ModSeq>,
    came: BTreeSet<MessageId>,
    was_there: bool,
}
