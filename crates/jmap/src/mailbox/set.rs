//! Mailbox/set (RFC 8621 §2.5).

use serde_json::{Map, Value, json};
use waxwing_store::{
    MailboxChange, MailboxError, MailboxId, RemoveMailboxError, Rights, VisibleMailbox,
};

use super::draft::Draft;
use super::get::count;
use super::object::{object, role_name};
use super::tree::{Tree, path};
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::set::{SetArguments, SetOutcome};
use crate::wire::error::{MethodError, SetError, SetErrorKind};
use crate::wire::id;

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let asked = SetArguments::read(arguments, &context.limits, &["onDestroyRemoveEmails"])?;
    let with_messages = match asked.more.get("onDestroyRemoveEmails") {
        None => false,
        Some(Value::Bool(value)) => *value,
        Some(_) => return Err(MethodError::invalid("onDestroyRemoveEmails is true or false")),
    };
    let before = context.account(&asked.account_id).await?;
    asked.check_state(before.state())?;
    let mut outcome = SetOutcome::default();
    let destroy = asked.destroy.unwrap_or_default();
    create_all(context, &before, asked.create.unwrap_or_default(), &mut outcome).await?;
    for (text, patch) in asked.update.unwrap_or_default() {
        let account = context.account(&asked.account_id).await?;
        let changed = match destroy.contains(&text) {
            true => Err(SetError::from(SetErrorKind::WillDestroy).into()),
            false => update(context, &account, &text, &patch).await,
        };
        match changed {
            Ok(()) => outcome.updated(&text, Value::Null),
            Err(Stop::One(error)) => outcome.not_updated(&text, &error),
            Err(Stop::All(error)) => return Err(error),
        }
    }
    destroy_all(context, &asked.account_id, destroy, with_messages, &mut outcome).await?;
    let after = context.account(&asked.account_id).await?;
    Ok(outcome.response(&after.text(), before.state(), after.state()).into())
}

/// Why something was not done.
enum Stop {
    /// That one object.
    One(SetError),
    /// Nothing can be done.
    All(MethodError),
}

impl From<SetError> for Stop {
    fn from(error: SetError) -> Stop {
        Stop::One(error)
    }
}

impl From<MethodError> for Stop {
    fn from(error: MethodError) -> Stop {
        Stop::All(error)
    }
}

impl From<MailboxError> for Stop {
    fn from(error: MailboxError) -> Stop {
        let why = error.to_string();
        match error {
            MailboxError::Store(error) => Stop::All(error.into()),
            MailboxError::NotFound => Stop::One(SetErrorKind::NotFound.into()),
            MailboxError::Exists | MailboxError::BadName(_) => {
                Stop::One(SetError::invalid("name", why))
            }
            MailboxError::Refused(_) => Stop::One(SetError::new(
                SetErrorKind::InvalidProperties(vec![
                    "name".into(),
                    "parentId".into(),
                    "role".into(),
                ]),
                why,
            )),
            MailboxError::TooMany => Stop::One(SetError::new(SetErrorKind::OverQuota, why)),
        }
    }
}

fn forbidden(why: &str) -> SetError {
    SetError::new(SetErrorKind::Forbidden, why)
}

/// Those first whose parents are there: one mailbox may be made below another of the same request.
async fn create_all(
    context: &Context,
    before: &Account,
    mut waiting: Map<String, Value>,
    outcome: &mut SetOutcome,
) -> Result<(), MethodError> {
    loop {
        let names = waiting.keys().cloned().collect::<Vec<_>>();
        let is_parent_coming = |value: &Value| {
            let parent = value.get("parentId").and_then(Value::as_str);
            let creation_id = parent.and_then(|parent| parent.strip_prefix('#'));
            creation_id.is_some_and(|id| waiting.contains_key(id))
        };
        let mut ready: Vec<String> =
            names.iter().filter(|name| !is_parent_coming(&waiting[*name])).cloned().collect();
        if ready.is_empty() {
            // Each waits for another: none of them can be.
            ready = names;
        }
        if ready.is_empty() {
            return Ok(());
        }
        for creation_id in ready {
            let Some(wanted) = waiting.remove(&creation_id) else { continue };
            let account = context.account(&before.text()).await?;
            match create(context, &account, wanted).await {
                Ok((id, object)) => outcome.created(context, &creation_id, id, object),
                Err(Stop::One(error)) => outcome.not_created(&creation_id, &error),
                Err(Stop::All(error)) => return Err(error),
            }
        }
    }
}

/// The id, and what the client did not say itself.
async fn create(
    context: &Context,
    account: &Account,
    wanted: Value,
) -> Result<(String, Value), Stop> {
    let Value::Object(members) = wanted else {
        return Err(
            SetError::new(SetErrorKind::InvalidProperties(vec![]), "it is no object").into()
        );
    };
    let draft = Draft::read(&members, None)?;
    if !account.is_own && (draft.role.flatten().is_some() || draft.subscribed == Some(true)) {
        return Err(forbidden("roles and subscriptions are in one's own account").into());
    }
    let parent = parent_of(context, account, draft.parent.flatten().as_deref())?;
    let name =
        path(parent.map(|parent| parent.mailbox.name.as_str()), &draft.name.unwrap_or_default());
    let role = draft.role.flatten();
    let made = context.store.create_mailbox(account.id, &name, role).await?;
    let change = MailboxChange {
        sort_order: draft.sort_order.filter(|order| *order != 0),
        subscribed: draft.subscribed.filter(|is| *is),
        ..MailboxChange::default()
    };
    if change != MailboxChange::default() {
        context.store.change_mailbox(made.id, change).await?;
    }
    let account = context.account(&account.text()).await?;
    let id = id::text(made.id);
    let Some(visible) = account.mailboxes.find(&id) else {
        return Err(SetError::from(SetErrorKind::NotFound).into());
    };
    let mut shown = object(&account, &Tree::new(&account.mailboxes), None, visible);
    if let Some(shown) = shown.as_object_mut() {
        // What the client said and what became of it are the same, but for a name that was normalised.
        shown.retain(|name, value| members.get(name) != Some(value) && name != "parentId");
    }
    Ok((id, shown))
}

/// The mailbox below which another is to be, if not at the top; with the right to make it there.
fn parent_of<'a>(
    context: &Context,
    account: &'a Account,
    wanted: Option<&str>,
) -> Result<Option<&'a VisibleMailbox>, SetError> {
    let Some(wanted) = wanted else {
        return match account.is_own {
            true => Ok(None),
            false => Err(forbidden("only its owner makes mailboxes at the top of an account")),
        };
    };
    let id = context.resolve_id(wanted);
    let parent = id.and_then(|id| account.mailboxes.find(&id));
    let parent = parent.ok_or_else(|| SetError::invalid("parentId", "there is no such mailbox"))?;
    match parent.rights.contains(Rights::CREATE) {
        true => Ok(Some(parent)),
        false => Err(forbidden("you may not make mailboxes there")),
    }
}

async fn update(
    context: &Context,
    account: &Account,
    text: &str,
    patch: &Value,
) -> Result<(), Stop> {
    let id = context.resolve_id(text);
    let visible = id.as_deref().and_then(|id| account.mailboxes.find(id));
    let visible = visible.ok_or_else(|| SetError::from(SetErrorKind::NotFound))?;
    let Value::Object(members) = patch else {
        return Err(SetError::from(SetErrorKind::InvalidPatch).into());
    };
    let tree = Tree::new(&account.mailboxes);
    let census = count(context, account).await?;
    let now = object(account, &tree, Some(&census), visible);
    let draft = Draft::read(members, Some(&now))?;
    let change = change_of(context, account, visible, &now, draft)?;
    if change != MailboxChange::default() {
        context.store.change_mailbox(visible.mailbox.id, change).await?;
    }
    Ok(())
}

/// What is to be changed, and may be.
fn change_of(
    context: &Context,
    account: &Account,
    visible: &VisibleMailbox,
    now: &Value,
    draft: Draft,
) -> Result<MailboxChange, SetError> {
    let mut change = MailboxChange::default();
    let same_name = draft.name.as_deref().is_none_or(|name| now["name"] == name);
    let wanted_parent = match &draft.parent {
        None => None,
        Some(None) => Some(Value::Null),
        Some(Some(parent)) => Some(context.resolve_id(parent).map_or(json!(parent), Value::from)),
    };
    let same_parent = wanted_parent.as_ref().is_none_or(|parent| *parent == now["parentId"]);
    if !(same_name && same_parent) {
        if !visible.rights.contains(Rights::DELETE_MAILBOX) {
            return Err(forbidden("you may not rename this mailbox"));
        }
        let parent = wanted_parent.unwrap_or_else(|| now["parentId"].clone());
        let parent = match same_parent {
            // Where it is it may stay.
            true => parent.as_str().and_then(|id| account.mailboxes.find(id)),
            false => parent_of(context, account, parent.as_str())?,
        };
        let own = now["name"].as_str().unwrap_or_default();
        let name = draft.name.as_deref().unwrap_or(own);
        change.name = Some(path(parent.map(|parent| parent.mailbox.name.as_str()), name));
    }
    let role = draft.role.filter(|role| json!(role.map(role_name)) != now["role"]);
    let order = draft.sort_order.filter(|order| now["sortOrder"] != *order);
    let subscribed = draft.subscribed.filter(|is| now["isSubscribed"] != *is);
    if !account.is_own && (role.is_some() || order.is_some() || subscribed.is_some()) {
        return Err(forbidden("only its owner changes that"));
    }
    Ok(MailboxChange { role, sort_order: order, subscribed, ..change })
}

/// Those below others first.
async fn destroy_all(
    context: &Context,
    account_id: &str,
    destroy: Vec<String>,
    with_messages: bool,
    outcome: &mut SetOutcome,
) -> Result<(), MethodError> {
    let account = context.account(account_id).await?;
    let mut found: Vec<(usize, MailboxId, String)> = Vec::new();
    for text in destroy {
        let id = context.resolve_id(&text);
        match id.as_deref().and_then(|id| account.mailboxes.find(id)) {
            None => outcome.not_destroyed(&text, &SetErrorKind::NotFound.into()),
            Some(one) if !one.rights.contains(Rights::DELETE_MAILBOX) => {
                outcome.not_destroyed(&text, &forbidden("you may not delete this mailbox"));
            }
            Some(one) => {
                let levels = one.mailbox.name.split('/').count();
                found.push((levels, one.mailbox.id, text));
            }
        }
    }
    found.sort_by_key(|(levels, ..)| std::cmp::Reverse(*levels));
    for (_, id, text) in found {
        let rights = account.mailboxes.rights(id);
        let may_remove = Rights::DELETE_MESSAGES.with(Rights::EXPUNGE);
        let with_messages = with_messages && rights.contains(may_remove);
        let error = match context.store.remove_mailbox(id, with_messages).await {
            Ok(()) => {
                outcome.destroyed(&text);
                continue;
            }
            Err(RemoveMailboxError::Store(error)) => return Err(error.into()),
            Err(RemoveMailboxError::NotFound) => SetErrorKind::NotFound.into(),
            Err(RemoveMailboxError::Inbox) => forbidden("the inbox stays"),
            Err(RemoveMailboxError::HasChildren) => SetErrorKind::MailboxHasChild.into(),
            Err(RemoveMailboxError::HasMessages) => SetErrorKind::MailboxHasEmail.into(),
        };
        outcome.not_destroyed(&text, &error);
    }
    Ok(())
}
