//! Where messages go: `mailboxIds`, and who may put them there and take them away (RFC 8621 §2
//! `mayAddItems`, `mayRemoveItems`).

use serde_json::Value;
use waxwing_store::{MailboxId, Rights};

use crate::caller::Account;
use crate::context::Context;
use crate::wire::error::{SetError, SetErrorKind};

/// What takes messages out of a mailbox.
pub const REMOVE: Rights = Rights::DELETE_MESSAGES.with(Rights::EXPUNGE);

/// The mailboxes of a `mailboxIds` property: one or more, into which the caller may put messages.
pub fn read(
    context: &Context,
    account: &Account,
    value: Option<&Value>,
) -> Result<Vec<MailboxId>, SetError> {
    let invalid = |why: String| SetError::invalid("mailboxIds", why);
    let Some(Value::Object(members)) = value else {
        return Err(invalid("it is an object".to_owned()));
    };
    if members.is_empty() {
        return Err(invalid("an Email is in one mailbox at least".to_owned()));
    }
    let mut mailboxes = Vec::with_capacity(members.len());
    for (text, value) in members {
        if value != &Value::Bool(true) {
            return Err(invalid("its values are true".to_owned()));
        }
        mailboxes.push(find(context, account, text)?);
    }
    mailboxes.sort_unstable();
    mailboxes.dedup();
    Ok(mailboxes)
}

/// A mailbox by its id or creation id.
pub fn find(context: &Context, account: &Account, text: &str) -> Result<MailboxId, SetError> {
    let found = context
        .resolve_id(text)
        .and_then(|id| account.mailboxes.find(&id).map(|visible| visible.mailbox.id));
    found.ok_or_else(|| SetError::invalid("mailboxIds", format!("there is no mailbox {text}")))
}

/// Refuses mailboxes into which the caller may put nothing.
pub fn check_insert(account: &Account, mailboxes: &[MailboxId]) -> Result<(), SetError> {
    let may = |id: &MailboxId| account.mailboxes.rights(*id).contains(Rights::INSERT);
    match mailboxes.iter().all(may) {
        true => Ok(()),
        false => Err(forbidden("you may put nothing into one of these mailboxes")),
    }
}

/// `forbidden`, and why.
pub fn forbidden(why: &str) -> SetError {
    SetError::new(SetErrorKind::Forbidden, why)
}
