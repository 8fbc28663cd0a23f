//! `Email/set` (RFC 8621 §4.6): drafts are created, keywords and mailboxes altered, Emails destroyed.
//!
//! | file | what |
//! |---|---|
//! | `create` | a message of an object |
//! | `update` | a patch of keywords and mailboxes |
//! | `target` | where a message is to go: `mailboxIds`, and who may put it there |
//!
//! What is asked for of different Emails is done side by side, so that the store can write much of it at
//! once.

pub mod create;
pub mod target;
mod update;

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value};
use waxwing_store::{
    AppendError, Located, MessageId, RearrangeError, Rearrangement, Rights, StoreError,
};

use super::keywords::visible_places;
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::set::{SetArguments, SetOutcome};
use crate::wire::error::{MethodError, SetError, SetErrorKind};
use crate::wire::id;
use update::Update;

/// Emails that are altered at one time.
const SIDE_BY_SIDE: usize = 32;

/// Why something was not done to an object: it is wrong, or the store could not.
#[derive(Debug)]
pub enum Fail {
    /// About this object.
    Set(SetError),
    /// About everything.
    Method(MethodError),
}

impl From<SetError> for Fail {
    fn from(error: SetError) -> Fail {
        Fail::Set(error)
    }
}

impl From<MethodError> for Fail {
    fn from(error: MethodError) -> Fail {
        Fail::Method(error)
    }
}

impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Fail {
        Fail::Method(error.into())
    }
}

impl From<AppendError> for Fail {
    fn from(error: AppendError) -> Fail {
        match error {
            AppendError::NoMailbox => {
                SetError::invalid("mailboxIds", "a mailbox is not there any more").into()
            }
            AppendError::OverQuota => SetError::from(SetErrorKind::OverQuota).into(),
            AppendError::Store(error) => error.into(),
        }
    }
}

impl From<RearrangeError> for Fail {
    fn from(error: RearrangeError) -> Fail {
        match error {
            RearrangeError::NotFound => SetError::from(SetErrorKind::NotFound).into(),
            RearrangeError::Nowhere => {
                SetError::invalid("mailboxIds", "an Email is in one mailbox at least").into()
            }
            RearrangeError::Append(error) => error.into(),
        }
    }
}

/// Runs the method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked = SetArguments::read(arguments, &context.limits, &[])?;
    let account = context.account(&asked.account_id).await?;
    let before = account.state();
    asked.check_state(before)?;
    let mut outcome = SetOutcome::default();
    let mut any = false;
    for (creation_id, object) in asked.create.unwrap_or_default() {
        match create::create(context, &account, &object).await {
            Ok(created) => {
                any = true;
                outcome.created(context, &creation_id, created.id(), created.value());
            }
            Err(Fail::Set(error)) => outcome.not_created(&creation_id, &error),
            Err(Fail::Method(error)) => return Err(half_done(any, error)),
        }
    }
    let destroy = asked.destroy.unwrap_or_default();
    let update = asked.update.unwrap_or_default();
    let named: Vec<MessageId> =
        update.keys().chain(&destroy).filter_map(|id| message(context, id)).collect();
    let located = locate(context, &account, &named).await?;
    let doomed: Vec<Option<MessageId>> =
        destroy.iter().map(|text| message(context, text)).collect();
    let jobs = update.into_iter().map(|(text, patch)| {
        let found = message(context, &text);
        let located = found.and_then(|id| located.get(&id));
        let dies = found.is_some() && doomed.contains(&found);
        let account = &account;
        async move {
            let done = match (located, dies) {
                (None, _) => Err(SetError::from(SetErrorKind::NotFound).into()),
                (Some(_), true) => Err(SetError::from(SetErrorKind::WillDestroy).into()),
                (Some(located), false) => update_one(context, account, located, patch).await,
            };
            (text, done)
        }
    });
    let mut jobs = std::pin::pin!(stream::iter(jobs).buffer_unordered(SIDE_BY_SIDE));
    while let Some((text, done)) = jobs.next().await {
        match done {
            Ok(()) => {
                any = true;
                outcome.updated(&text, Value::Null);
            }
            Err(Fail::Set(error)) => outcome.not_updated(&text, &error),
            Err(Fail::Method(error)) => return Err(half_done(any, error)),
        }
    }
    destroy_all(context, &account, destroy, &located, any, &mut outcome).await?;
    let after = context.account(&asked.account_id).await?.state();
    Ok(outcome.response(&asked.account_id, before, after).into())
}

/// Destroys Emails (RFC 8621 §4.6): they leave all mailboxes that the caller may read.
pub async fn destroy_all(
    context: &Context,
    account: &Account,
    ids: Vec<String>,
    located: &HashMap<MessageId, Located>,
    any: bool,
    outcome: &mut SetOutcome,
) -> Result<(), MethodError> {
    let mut any = any;
    let mut seen = std::collections::HashSet::new();
    let once = ids.into_iter().filter(|text| seen.insert(text.clone())).collect::<Vec<_>>();
    let jobs = once.into_iter().map(|text| {
        let located = message(context, &text).and_then(|id| located.get(&id));
        async move {
            let done = match located {
                None => Err(SetError::from(SetErrorKind::NotFound).into()),
                Some(located) => destroy_one(context, account, located).await,
            };
            (text, done)
        }
    });
    let mut jobs = std::pin::pin!(stream::iter(jobs).buffer_unordered(SIDE_BY_SIDE));
    while let Some((text, done)) = jobs.next().await {
        match done {
            Ok(()) => {
                any = true;
                outcome.destroyed(&text);
            }
            Err(Fail::Set(error)) => outcome.not_destroyed(&text, &error),
            Err(Fail::Method(error)) => return Err(half_done(any, error)),
        }
    }
    Ok(())
}

/// Where messages are for the caller, as far as they exist.
pub async fn locate(
    context: &Context,
    account: &Account,
    messages: &[MessageId],
) -> Result<HashMap<MessageId, Located>, MethodError> {
    let readable = account.mailboxes.readable();
    let located = context.store.locate(account.id, messages, &readable, false).await?;
    let visible = |one: &Located| visible_places(&one.places).next().is_some();
    let there = located.messages.into_iter().filter(visible);
    Ok(there.map(|one| (one.message, one)).collect())
}

/// The message that an id means, or a creation id.
pub fn message(context: &Context, text: &str) -> Option<MessageId> {
    id::read(&context.resolve_id(text)?)
}

/// RFC 8620 §3.6.2: some of it was done.
fn half_done(any: bool, error: MethodError) -> MethodError {
    if any { MethodError::ServerPartialFail } else { error }
}

async fn update_one(
    context: &Context,
    account: &Account,
    located: &Located,
    patch: Value,
) -> Result<(), Fail> {
    let Value::Object(patch) = patch else {
        return Err(SetError::new(SetErrorKind::InvalidPatch, "a patch is an object").into());
    };
    let update = Update::read(context, account, patch)?;
    let rearrangement = update.rearrangement(account, located)?;
    context.store.rearrange(account.id, located.message, rearrangement).await?;
    Ok(())
}

async fn destroy_one(context: &Context, account: &Account, located: &Located) -> Result<(), Fail> {
    let mailboxes = || visible_places(&located.places).map(|place| place.mailbox);
    let may = |mailbox| account.mailboxes.rights(mailbox).contains(target::REMOVE);
    if !mailboxes().all(may) {
        return Err(SetError::from(SetErrorKind::Forbidden).into());
    }
    let rearrangement = Rearrangement {
        out_of: located
            .places
            .iter()
            .map(|place| place.mailbox)
            .filter(|mailbox| may(*mailbox))
            .collect(),
        within: account.mailboxes.readable(),
        may_vanish: true,
        ..Rearrangement::default()
    };
    context.store.rearrange(account.id, located.message, rearrangement).await?;
    Ok(())
}

/// What may be altered of keywords: `$seen`, and the others.
const SEEN_AND_OTHERS: (Rights, Rights) = (Rights::SEEN, Rights::WRITE);
