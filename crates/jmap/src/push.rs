//! What a client that waits is told (RFC 8620 §7.1): the states that are others by now. The store's bells
//! ring for each account that the caller may see; what happens in a shared account where the caller may not look
//! rings, but is not told, since its state stays the same.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::select_all;
use serde_json::{Map, Value, json};
use waxwing_store::{AccountId, Store, StoreError, Watch};

use crate::caller::Account;
use crate::wire::id;

/// Types whose states are told.
pub const TYPES: [&str; 7] = [
    "Mailbox",
    "Email",
    "EmailDelivery",
    "Thread",
    "Identity",
    "EmailSubmission",
    "VacationResponse",
];

/// States by account and type.
pub type States = BTreeMap<AccountId, BTreeMap<&'static str, String>>;

/// Waits for changes in everything that one caller may see.
pub struct Listener {
    store: Store,
    caller: AccountId,
    types: Vec<&'static str>,
    told: States,
    own: Watch,
    anyone: Watch,
    others: Vec<(AccountId, Watch)>,
}

impl Listener {
    /// Begins to listen; `types` as a client asks: names, or `*` for all. Unknown names never change.
    pub async fn new(
        store: &Store,
        caller: AccountId,
        types: &[&str],
    ) -> Result<Listener, StoreError> {
        let all = types.contains(&"*");
        let wanted = TYPES.into_iter().filter(|one| all || types.contains(one)).collect();
        // First the bells, then the states: what changes in between rings.
        let (own, anyone) = (store.watch(caller), store.watch_anyone());
        let mut listener = Listener {
            store: store.clone(),
            caller,
            types: wanted,
            told: States::new(),
            own,
            anyone,
            others: Vec::new(),
        };
        listener.listen_to_others().await?;
        listener.told = listener.states().await?;
        Ok(listener)
    }

    /// What the client knows, from the id of the event that it heard last; what is other by now is told
    /// at once.
    pub fn knows(&mut self, last_event_id: &str) {
        self.told = read_event_id(last_event_id);
    }

    /// Names the states that were told last, for [`Listener::knows`].
    pub fn event_id(&self) -> String {
        let accounts = self.told.iter().map(|(account, states)| {
            let states: Vec<String> =
                states.iter().map(|(name, state)| format!("{name}={state}")).collect();
            format!("{}:{}", account.0, states.join(","))
        });
        accounts.collect::<Vec<_>>().join(";")
    }

    /// Waits for a change, and gives the StateChange object that tells of it. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Value, StoreError> {
        loop {
            self.listen_to_others().await?;
            let now = self.states().await?;
            let changed = difference(&self.told, &now);
            self.told = now;
            if !changed.is_empty() {
                return Ok(json!({"@type": "StateChange", "changed": changed}));
            }
            let mut bells = vec![self.own.changed().boxed(), self.anyone.changed().boxed()];
            bells.extend(self.others.iter_mut().map(|(_, bell)| bell.changed().boxed()));
            select_all(bells).await;
        }
    }

    /// Whoever shares something now.
    async fn listen_to_others(&mut self) -> Result<(), StoreError> {
        let visible = self.store.visible_mailboxes(self.caller).await?;
        let mut owners: Vec<AccountId> = visible
            .iter()
            .filter(|one| one.owner.is_some())
            .map(|one| one.mailbox.account)
            .collect();
        owners.sort_unstable();
        owners.dedup();
        self.others.retain(|(account, _)| owners.contains(account));
        for owner in owners {
            if self.others.iter().all(|(account, _)| *account != owner) {
                self.others.push((owner, self.store.watch(owner)));
            }
        }
        Ok(())
    }

    async fn states(&self) -> Result<States, StoreError> {
        let accounts = self.others.iter().map(|(account, _)| *account).chain([self.caller]);
        let mut states = States::new();
        for id in accounts {
            let Some(visible) = self.store.visible_account(self.caller, id).await? else {
                continue;
            };
            let account = Account::new(id, id == self.caller, visible);
            if account.is_own || account.mailboxes.iter().next().is_some() {
                let of = self.types.iter().map(|name| (*name, state_of(&account, name)));
                states.insert(id, of.collect());
            }
        }
        Ok(states)
    }
}

/// Of one type in an account.
fn state_of(account: &Account, name: &str) -> String {
    match name {
        // RFC 8621 §1.5: another when an Email comes. UIDs are given to nothing else.
        "EmailDelivery" => {
            let given = account.mailboxes.iter().map(|one| u64::from(one.mailbox.uid_next.0));
            given.sum::<u64>().to_string()
        }
        _ => account.state().to_string(),
    }
}

/// `changed` of a StateChange (RFC 8620 §7.1): what is in `now` and not so in `before`. An account that the
/// client never heard of is told whole.
fn difference(before: &States, now: &States) -> Map<String, Value> {
    let changed = now.iter().filter_map(|(account, states)| {
        let known = before.get(account);
        let news: Map<String, Value> = states
            .iter()
            .filter(|(name, state)| known.and_then(|known| known.get(*name)) != Some(*state))
            .map(|(name, state)| ((*name).to_owned(), Value::from(state.as_str())))
            .collect();
        (!news.is_empty()).then(|| (id::text(*account), Value::Object(news)))
    });
    changed.collect()
}

fn read_event_id(text: &str) -> States {
    let account = |text: &str| {
        let (number, states) = text.split_once(':')?;
        let state = |text: &str| {
            let (name, state) = text.split_once('=')?;
            let name = TYPES.into_iter().find(|known| *known == name)?;
            Some((name, state.to_owned()))
        };
        let account = AccountId(number.parse().ok()?);
        Some((account, states.split(',').filter_map(state).collect()))
    };
    text.split(';').filter_map(account).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(text: &str) -> States {
        read_event_id(text)
    }

    #[test]
    fn what_is_news() {
        let before = states("1:Email=4,Mailbox=4;2:Email=7");
        let now = states("1:Email=5,Mailbox=4;3:Email=1");
        let expected = json!({"A1": {"Email": "5"}, "A3": {"Email": "1"}});
        assert_eq!(Value::Object(difference(&before, &now)), expected);
        assert!(difference(&now, &now).is_empty());
        // An id that is none of ours: everything is news.
        assert_eq!(states("nonsense"), States::new());
        assert_eq!(states("1:Nonsense=1").len(), 1);
    }
}
