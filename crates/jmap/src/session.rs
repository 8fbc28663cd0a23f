//! The Session object (RFC 8620 §2): what is here for the caller, and where.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use waxwing_store::{AccountId, Rights, Store, StoreError, VisibleMailbox};

use crate::caller::{Caller, Mailboxes};
use crate::context::Limits;
use crate::dispatch::Capability;
use crate::email;
use crate::wire::id;

/// Levels of mailboxes (RFC 8621 §1.3.1): as many as the store has.
const MAILBOX_DEPTH: usize = 32;
/// Octets of a mailbox's name, one level of it.
const MAILBOX_NAME_OCTETS: usize = 255;
/// How long a message can be held back before it is sent, in seconds (RFC 8621 §1.3.2): a month.
pub const DELAYED_SEND_SECS: u64 = 30 * 24 * 3_600;

/// What a caller is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The object.
    pub value: Value,
    /// Its `state`: another as soon as anything in it is.
    pub state: String,
}

/// The Session object of a caller. `base` is where we are, such as `https://mail.example.org`, without a `/`
/// at its end; the paths are those of `serve`.
pub async fn session(
    store: &Store,
    caller: &Caller,
    limits: &Limits,
    base: &str,
) -> Result<Session, StoreError> {
    let visible = store.visible_mailboxes(caller.account.id).await?;
    Ok(of(caller, limits, base, accounts(caller, visible)))
}

/// Name and mailboxes of each account, the caller's own first.
type Accounts = Vec<(AccountId, String, Mailboxes)>;

fn accounts(caller: &Caller, visible: Vec<VisibleMailbox>) -> Accounts {
    let (own, others): (Vec<_>, Vec<_>) = visible.into_iter().partition(|one| one.owner.is_none());
    let address = caller.account.address.to_string();
    let mut accounts = vec![(caller.account.id, address, Mailboxes::new(own))];
    let mut shared: BTreeMap<(String, AccountId), Vec<VisibleMailbox>> = BTreeMap::new();
    for one in others.into_iter().filter(|one| one.rights.contains(Rights::LOOKUP)) {
        let owner = one.owner.as_ref().map(ToString::to_string).unwrap_or_default();
        shared.entry((owner, one.mailbox.account)).or_default().push(one);
    }
    accounts.extend(shared.into_iter().map(|((name, id), all)| (id, name, Mailboxes::new(all))));
    accounts
}

fn of(caller: &Caller, limits: &Limits, base: &str, accounts: Accounts) -> Session {
    let capabilities = offered(caller);
    let own = id::text(caller.account.id);
    let primary = capabilities.iter().filter(|one| **one != Capability::Core);
    let primary: Map<String, Value> =
        primary.map(|one| (one.urn().to_owned(), Value::from(own.as_str()))).collect();
    let accounts: Map<String, Value> = accounts
        .into_iter()
        .map(|(account, name, mailboxes)| {
            let is_own = account == caller.account.id;
            (id::text(account), account_value(&capabilities, is_own, name, &mailboxes, limits))
        })
        .collect();
    let capabilities: Map<String, Value> = capabilities
        .into_iter()
        .map(|one| {
            let value = if one == Capability::Core { core(limits) } else { json!({}) };
            (one.urn().to_owned(), value)
        })
        .collect();
    let mut value = json!({
        "capabilities": capabilities,
        "accounts": accounts,
        "primaryAccounts": primary,
        "username": caller.account.address.to_string(),
        "apiUrl": format!("{base}/jmap"),
        "downloadUrl": format!("{base}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?type={{type}}"),
        "uploadUrl": format!("{base}/jmap/upload/{{accountId}}"),
        "eventSourceUrl": format!(
            "{base}/jmap/eventsource?types={{types}}&closeafter={{closeafter}}&ping={{ping}}"
        ),
    });
    let state = format!("{:016x}", digest(value.to_string().as_bytes()));
    value["state"] = Value::from(state.as_str());
    Session { value, state }
}

/// Those that what the caller logged in with opens.
pub(crate) fn offered(caller: &Caller) -> Vec<Capability> {
    let open = |one: &Capability| caller.scopes.has(one.scope());
    Capability::ALL.into_iter().filter(open).collect()
}

fn core(limits: &Limits) -> Value {
    json!({
        "maxSizeUpload": limits.max_size_upload,
        "maxConcurrentUpload": limits.max_concurrent_upload,
        "maxSizeRequest": limits.max_size_request,
        "maxConcurrentRequests": limits.max_concurrent_requests,
        "maxCallsInRequest": limits.max_calls_in_request,
        "maxObjectsInGet": limits.max_objects_in_get,
        "maxObjectsInSet": limits.max_objects_in_set,
        "collationAlgorithms": ["i;unicode-casemap"],
    })
}

fn account_value(
    offered: &[Capability],
    is_own: bool,
    name: String,
    mailboxes: &Mailboxes,
    limits: &Limits,
) -> Value {
    let mut capabilities = Map::new();
    for one in offered {
        let value = match one {
            Capability::Core => json!({}),
            Capability::Mail => json!({
                "maxMailboxesPerEmail": null,
                "maxMailboxDepth": MAILBOX_DEPTH,
                "maxSizeMailboxName": MAILBOX_NAME_OCTETS,
                "maxSizeAttachmentsPerEmail": limits.max_size_message,
                "emailQuerySortOptions": email::SORT_OPTIONS,
                "mayCreateTopLevelMailbox": is_own,
            }),
            // Nobody sends as another here.
            Capability::Submission if is_own => json!({
                "maxDelayedSend": DELAYED_SEND_SECS,
                // RFC 4865 §4; RFC 3461.
                "submissionExtensions": {"FUTURERELEASE": [DELAYED_SEND_SECS.to_string()], "DSN": []},
            }),
            Capability::Vacation if is_own => json!({}),
            Capability::Submission | Capability::Vacation => continue,
        };
        capabilities.insert(one.urn().to_owned(), value);
    }
    json!({
        "name": name,
        "isPersonal": is_own,
        "isReadOnly": !is_own && mailboxes.are_read_only(),
        "accountCapabilities": capabilities,
    })
}

/// FNV-1a: the same on every node, whatever it was built with.
fn digest(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_fnv() {
        // The published vectors of FNV-1a, 64 bits.
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
