//! Identities (RFC 8621 §6): as whom an account writes. Its own address is always there; further ones may be
//! of any address at which its mail arrives.

mod changes;
mod get;
mod set;

use serde_json::{Value, json};
use waxwing_store::{Alias, Identity, NamedAddress, StoreError};

use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::{Method, methods};
use crate::wire::error::MethodError;
use crate::wire::id;

pub(crate) const METHODS: &[Method] = methods! {
    "Identity/get" Submission get::run,
    "Identity/changes" Submission changes::run,
    "Identity/set" Submission set::run,
};

/// The account of a method on identities or submissions: nobody sends as another.
pub(crate) async fn own(context: &Context, account_id: &str) -> Result<Account, MethodError> {
    let account = context.account(account_id).await?;
    match account.is_own {
        true => Ok(account),
        false => Err(MethodError::AccountNotSupportedByMethod),
    }
}

/// All of an account's.
pub(crate) async fn all(context: &Context) -> Result<Vec<Identity>, StoreError> {
    let account = &context.caller.account;
    // An alias that leads to this account alone is one more name of its owner.
    let aliases = context.store.aliases(Some(account.address.domain())).await?;
    let is_theirs = |alias: &&Alias| alias.targets.as_slice() == [account.address.clone()];
    let others = aliases.iter().filter(is_theirs).map(|alias| alias.address.to_string()).collect();
    context.store.identities(account.id, others).await
}

/// An identity as a client sees it.
fn object(identity: &Identity) -> Value {
    let details = &identity.details;
    json!({
        "id": id::text(identity.id),
        "name": details.name,
        "email": identity.email,
        "replyTo": addresses(details.reply_to.as_deref()),
        "bcc": addresses(details.bcc.as_deref()),
        "textSignature": details.text_signature,
        "htmlSignature": details.html_signature,
        "mayDelete": !identity.is_first,
    })
}

fn addresses(list: Option<&[NamedAddress]>) -> Value {
    let one = |address: &NamedAddress| json!({"name": address.name, "email": address.email});
    list.map_or(Value::Null, |list| list.iter().map(one).collect())
}
