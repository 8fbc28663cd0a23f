//! From recipients to places: aliases, catch-all, plus addressing, each place once.

use std::collections::HashSet;

use jiff::Timestamp;
use waxwing_mailauth::srs::{Srs, SrsError};
use waxwing_message::journey::{Event, Step};
use waxwing_message::{Address, OriginalRecipient, Recipient, ReversePath, Summary};
use waxwing_store::{
    AccountId, Caused, DepositTo, Destination, Flags, NewQueueEntry, Resolution, Role, SeenId,
    StagedBlob, Store, StoreError,
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
    /// The first recipient here whose mail is forwarded elsewhere.
    pub forwarded_by: Option<Address>,
    /// What readers' rules are to know again.
    pub seen_ids: Vec<SeenId>,
    /// Messages that readers' rules cause.
    pub caused: Vec<Caused>,
}

/// The secret that reverse-paths of forwarded mail are signed with.
const FORWARDING_SECRET: &str = "forwarding";

/// One mailbox.
pub(crate) struct PlannedDeposit {
    pub account: AccountId,
    pub mailbox: DepositTo,
    pub recipient: Address,
    /// The points of the verdict for this reader; `None` when nobody judged.
    pub weight: Option<i32>,
    /// To begin with.
    pub flags: Flags,
    /// Another message than the others get, staged.
    pub content: Option<(StagedBlob, Summary)>,
    /// Also into a full mailbox: for small mail of our own.
    pub despite_quota: bool,
}

/// Where one recipient leads, with RFC 5321 §4.5.1's postmaster: at each of our domains, and without
/// a domain, which comes to us as `postmaster` at our host name.
pub(crate) async fn resolve(
    store: &Store,
    policy: &Policy,
    recipient: &Address,
    now: Timestamp,
) -> Result<Resolution, StoreError> {
    if let Some(found) = came_back(store, recipient, now).await? {
        return Ok(found);
    }
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

/// Where a bounce of forwarded mail goes: back to the sender whose reverse-path we rewrote. `None`
/// for all other addresses.
async fn came_back(
    store: &Store,
    recipient: &Address,
    now: Timestamp,
) -> Result<Option<Resolution>, StoreError> {
    Ok(match rewritten_sender(store, recipient, now).await? {
        None => None,
        Some(Ok(sender)) => Some(Resolution::Leads(vec![Destination::Remote(sender)])),
        Some(Err(why)) => {
            tracing::info!(%recipient, %why, "a returning address is refused");
            Some(Resolution::NoSuchRecipient)
        }
    })
}

/// The sender behind a reverse-path that we gave to forwarded mail; `None` for all other addresses.
pub(crate) async fn rewritten_sender(
    store: &Store,
    address: &Address,
    now: Timestamp,
) -> Result<Option<Result<Address, SrsError>>, StoreError> {
    let tag = address.local_part().get(..4).unwrap_or_default();
    let is_tagged = ["srs0", "srs1"].iter().any(|known| tag.eq_ignore_ascii_case(known));
    if !is_tagged || store.domain(address.domain()).await?.is_none() {
        return Ok(None);
    }
    let secret = store.secret(FORWARDING_SECRET).await?;
    let srs = Srs::new(secret, address.domain().to_owned());
    Ok(match srs.reverse(address, now) {
        Ok(Some(ReversePath::Address(sender))) => Some(Ok(sender)),
        Ok(_) => None,
        Err(why) => Some(Err(why)),
    })
}

/// The reverse-path of forwarded mail: at the domain that forwards, so that its SPF record allows us
/// and bounces come back to us. `None`: as it is, where there is none or it is one of our own.
pub(crate) async fn rewritten_path(
    store: &Store,
    path: &ReversePath,
    domain: &str,
    now: Timestamp,
) -> Result<Option<ReversePath>, StoreError> {
    let Some(sender) = path.address() else { return Ok(None) };
    if store.domain(sender.domain()).await?.is_some() {
        return Ok(None);
    }
    let secret = store.secret(FORWARDING_SECRET).await?;
    Ok(Some(Srs::new(secret, domain.to_owned()).forward(path, now)))
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
        match resolve(store, policy, &recipient.address, now).await? {
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
                Destination::Remote(address) => {
                    self.plan.forwarded_by.get_or_insert_with(|| recipient.address.clone());
                    self.queue(forwarded(recipient, address));
                }
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
        self.plan.deposits.push(PlannedDeposit {
            account,
            mailbox,
            recipient,
            weight: None,
            flags: Flags::default(),
            content: None,
            despite_quota: false,
        });
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
pub(crate) fn forwarded(recipient: &Recipient, address: Address) -> Recipient {
    let original = recipient.original.clone().or_else(|| {
        Some(OriginalRecipient {
            address_type: if recipient.address.needs_smtputf8() { "utf-8" } else { "rfc822" }
                .into(),
            address: recipient.address.to_string(),
        })
    });
    Recipient { address, notify: recipient.notify, original }
}
