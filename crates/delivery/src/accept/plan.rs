//! From recipients to places: aliases, catch-all, plus addressing, each place once.

use std::collections::HashSet;

use jiff::Timestamp;
use waxwing_message::journey::{Event, Step};
use waxwing_message::{Address, OriginalRecipient, Recipient};
use waxwing_store::{
    AccountId, DepositTo, Destination, NewQueueEntry, Resolution, Role, Store, StoreError,
};

use crate::clock::later;
use crate::policy::Policy;

/// Where a message goes.
#[derive(Default)]
pub(crate) struct Plan {
    pub deposits: Vec<PlannedDeposit>,
    pub queue: Vec<NewQueueEntry>,
    /// [`Step::Expanded`] and [`Step::Queued`].
    pub events: Vec<Event>,
    /// Those that lead nowhere (any more).
    pub nowhere: Vec<Address>,
    /// Envelope recipients that end in a mailbox here, also where another led there before.
    pub delivered: Vec<Recipient>,
}

/// One mailbox.
pub(crate) struct PlannedDeposit {
    pub account: AccountId,
    pub mailbox: DepositTo,
    pub recipient: Address,
}

/// Where one recipient leads, with RFC 5321 §4.5.1's postmaster: at each of our domains, and without
/// a domain, which comes to us as `postmaster` at our host name.
pub(crate) async fn resolve(
    store: &Store,
    policy: &Policy,
    recipient: &Address,
) -> Result<Resolution, StoreError> {
    let found = store.resolve(recipient).await?;
    if !recipient.local_part().eq_ignore_ascii_case("postmaster") {
        return Ok(found);
    }
    match (&found, &policy.postmaster) {
        (Resolution::NoSuchRecipient, Some(postmaster)) => store.resolve(postmaster).await,
        (Resolution::NotLocal, postmaster) if recipient.domain() == policy.host_name => {
            match postmaster {
                Some(postmaster) => store.resolve(postmaster).await,
                None => host_postmaster(store, &policy.host_name).await,
            }
        }
        _ => Ok(found),
    }
}

/// The postmaster of the domain that our host name stands in, else of our first domain.
async fn host_postmaster(store: &Store, host_name: &str) -> Result<Resolution, StoreError> {
    let mut above = host_name;
    while let Some((_, parent)) = above.split_once('.') {
        above = parent;
        if store.domain(parent).await?.is_some() {
            return resolve_postmaster(store, parent).await;
        }
    }
    match store.domains().await?.first() {
        Some(domain) => resolve_postmaster(store, &domain.name).await,
        None => Ok(Resolution::NotLocal),
    }
}

async fn resolve_postmaster(store: &Store, domain: &str) -> Result<Resolution, StoreError> {
    match Address::new("postmaster", domain) {
        Ok(postmaster) => store.resolve(&postmaster).await,
        Err(_) => Ok(Resolution::NoSuchRecipient),
    }
}

/// Plans for all recipients of a message.
pub(crate) async fn plan(
    store: &Store,
    policy: &Policy,
    recipients: &[Recipient],
    now: Timestamp,
) -> Result<Plan, StoreError> {
    let mut planner = Planner { policy, now, plan: Plan::default(), seen: HashSet::new() };
    for recipient in recipients {
        match resolve(store, policy, &recipient.address).await? {
            Resolution::NotLocal => planner.queue(recipient.clone()),
            Resolution::NoSuchRecipient | Resolution::Disabled => {
                planner.plan.nowhere.push(recipient.address.clone());
            }
            Resolution::Leads(destinations) => planner.lead(recipient, destinations),
        }
    }
    Ok(planner.plan)
}

/// What is known as one place, so that it gets the message once.
#[derive(PartialEq, Eq, Hash)]
enum Place {
    Account(AccountId),
    Remote(Address),
}

struct Planner<'p> {
    policy: &'p Policy,
    now: Timestamp,
    plan: Plan,
    seen: HashSet<Place>,
}

impl Planner<'_> {
    fn lead(&mut self, recipient: &Recipient, destinations: Vec<Destination>) {
        if !is_itself(&recipient.address, &destinations) {
            let to = destinations.iter().map(|destination| match destination {
                Destination::Account { address, .. } => address.clone(),
                Destination::Remote(address) => address.clone(),
            });
            let step = Step::Expanded { recipient: recipient.address.clone(), to: to.collect() };
            self.plan.events.push(Event { at: self.now, step });
        }
        for destination in destinations {
            match destination {
                Destination::Account { id, detail, .. } => self.deposit(recipient, id, detail),
                Destination::Remote(address) => self.queue(forwarded(recipient, address)),
            }
        }
    }

    fn deposit(&mut self, recipient: &Recipient, account: AccountId, detail: Option<String>) {
        if !self.plan.delivered.iter().any(|known| known.address == recipient.address) {
            self.plan.delivered.push(recipient.clone());
        }
        if !self.seen.insert(Place::Account(account)) {
            return;
        }
        let mailbox = match detail {
            Some(detail) => DepositTo::NameOrInbox(detail),
            None => DepositTo::Role(Role::Inbox),
        };
        let recipient = recipient.address.clone();
        self.plan.deposits.push(PlannedDeposit { account, mailbox, recipient });
    }

    fn queue(&mut self, recipient: Recipient) {
        if !self.seen.insert(Place::Remote(recipient.address.clone())) {
            return;
        }
        let next_attempt_at = self.now;
        let step = Step::Queued { recipient: recipient.address.clone(), next_attempt_at };
        self.plan.events.push(Event { at: self.now, step });
        self.plan.queue.push(NewQueueEntry {
            domain: recipient.address.domain().to_owned(),
            recipient,
            next_attempt_at,
            expires_at: later(self.now, self.policy.expire_after),
        });
    }
}

/// An account that is reached by its own name (with or without detail) is no expansion.
fn is_itself(recipient: &Address, destinations: &[Destination]) -> bool {
    match destinations {
        [Destination::Account { address, .. }] => {
            let base = recipient.subaddress().0;
            let whole = recipient.local_part();
            address.domain() == recipient.domain()
                && [base, whole].iter().any(|name| address.local_part().eq_ignore_ascii_case(name))
        }
        _ => false,
    }
}

/// An alias that leads elsewhere: the sender's wishes hold there too, and reports name the address
/// that the sender wrote (RFC 3461 §4.2, §5.2.7.1).
fn forwarded(recipient: &Recipient, address: Address) -> Recipient {
    let original = recipient.original.clone().or_else(|| {
        Some(OriginalRecipient {
            address_type: if recipient.address.needs_smtputf8() { "utf-8" } else { "rfc822" }
                .into(),
            address: recipient.address.to_string(),
        })
    });
    Recipient { address, notify: recipient.notify, original }
}
