//! Where a recipient leads: aliases followed, details cut off, catch-alls asked.

use std::collections::{HashSet, VecDeque};

use waxwing_message::Address;

use super::domains::domain_by_name;
use super::names::{key, key_of, stored_address};
use super::rows::account_by_key;
use super::{Account, Destination, Quota, Resolution};
use crate::StoreError;
use crate::engine::{Tx, params};

/// Destinations of one recipient at most, and addresses looked at on the way; targets of one
/// alias.
pub(super) const EXPANSION_MAX: usize = 1_000;

/// What one address is, before anything is followed.
enum Step {
    Remote,
    Nobody,
    Disabled,
    Account(Destination),
    Leads(Vec<Address>),
}

pub(super) async fn resolve_in(tx: &Tx, recipient: &Address) -> Result<Resolution, StoreError> {
    let mut waiting = VecDeque::from([recipient.clone()]);
    let mut seen = HashSet::from([key(recipient)]);
    let mut destinations = Vec::new();
    let mut disabled = false;
    while let Some(address) = waiting.pop_front() {
        let found = match look_up(tx, &address).await? {
            Step::Remote if address == *recipient => return Ok(Resolution::NotLocal),
            Step::Remote => Destination::Remote(address),
            Step::Account(account) => account,
            Step::Nobody => continue,
            Step::Disabled => {
                disabled = true;
                continue;
            }
            Step::Leads(targets) => {
                let new = targets.into_iter().filter(|target| seen.insert(key(target)));
                waiting.extend(new);
                // Not one of them is left out in silence: RFC 5321 §3.9 wants all or an error.
                if seen.len() > EXPANSION_MAX + 1 {
                    return Err(StoreError::Damaged(format!(
                        "{recipient} leads to more than {EXPANSION_MAX} addresses: \
                         aliases must be removed"
                    )));
                }
                continue;
            }
        };
        if !destinations.iter().any(|known| same_place(known, &found)) {
            destinations.push(found);
        }
    }
    Ok(match destinations.is_empty() {
        false => Resolution::Leads(destinations),
        true if disabled => Resolution::Disabled,
        true => Resolution::NoSuchRecipient,
    })
}

/// One message goes to one place once, with whichever detail came first.
fn same_place(a: &Destination, b: &Destination) -> bool {
    match (a, b) {
        (Destination::Account { id: a, .. }, Destination::Account { id: b, .. }) => a == b,
        _ => a == b,
    }
}

async fn look_up(tx: &Tx, address: &Address) -> Result<Step, StoreError> {
    let Some(domain) = domain_by_name(tx, &address.domain().to_owned()).await? else {
        return Ok(Step::Remote);
    };
    if let Some(step) = look_up_exactly(tx, &key(address), None).await? {
        return Ok(step);
    }
    if let (base, Some(detail)) = address.subaddress() {
        let base = key_of(base, address.domain());
        if let Some(step) = look_up_exactly(tx, &base, Some(detail)).await? {
            return Ok(step);
        }
    }
    Ok(match domain.catch_all {
        Some(target) => Step::Leads(vec![target]),
        None => Step::Nobody,
    })
}

async fn look_up_exactly(
    tx: &Tx,
    key: &String,
    detail: Option<&str>,
) -> Result<Option<Step>, StoreError> {
    const TARGETS: &str = "SELECT target FROM aliases WHERE address_key = ?1 ORDER BY target_key";
    if let Some(account) = account_by_key(tx, key).await? {
        return Ok(Some(if account.disabled {
            Step::Disabled
        } else {
            let used_octets = account.used_octets;
            let quota =
                account.quota_octets.map(|limit_octets| Quota { limit_octets, used_octets });
            let Account { id, address, .. } = account;
            let detail = detail.map(str::to_owned);
            Step::Account(Destination::Account { id, address, detail, quota })
        }));
    }
    let targets = tx.rows(TARGETS, params![key], |row| stored_address(&row.text(0)?)).await?;
    Ok((!targets.is_empty()).then_some(Step::Leads(targets)))
}
