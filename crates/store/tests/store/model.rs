//! Random operations, and a model in memory that says what must come of them: on both engines the
//! same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use waxwing_store::*;

use crate::world::*;

const MAILBOXES: [&str; 3] = ["INBOX", "Archive", "Trash"];
const KEYWORDS: [&str; 3] = ["$Forwarded", "work", "zeta"];

/// What is done. Mailboxes and keywords by index; UIDs as bits over 1..=16.
#[derive(Debug, Clone)]
enum Action {
    Append { mailbox: usize, body: u8, flags: Bits },
    Accept { mailbox: usize, body: u8, flags: Bits },
    Flag { mailbox: usize, uids: u16, how: u8, flags: Bits, since: Option<u8> },
    Copy { from: usize, uids: u16, to: usize },
    Move { from: usize, uids: u16, to: usize },
    Expunge { mailbox: usize, uids: u16 },
    Quota { messages: Option<u8> },
}

#[derive(Debug, Clone, Copy)]
struct Bits {
    system: u8,
    keywords: u8,
}

impl Bits {
    fn flags(self) -> Flags {
        let named = KEYWORDS.iter().enumerate().filter(|(bit, _)| self.keywords >> bit & 1 == 1);
        let named: Vec<&str> = named.map(|(_, name)| *name).collect();
        flags(SystemFlags(self.system), &named)
    }
}

fn action() -> impl Strategy<Value = Action> {
    let bits = || (0u8..32, 0u8..8).prop_map(|(system, keywords)| Bits { system, keywords });
    let place = || 0..MAILBOXES.len();
    prop_oneof![
        4 => (place(), 0u8..6, bits())
            .prop_map(|(mailbox, body, flags)| Action::Append { mailbox, body, flags }),
        4 => (place(), 0u8..6, bits())
            .prop_map(|(mailbox, body, flags)| Action::Accept { mailbox, body, flags }),
        4 => (place(), any::<u16>(), 0u8..3, bits(), prop::option::weighted(0.2, 0u8..60)).prop_map(
            |(mailbox, uids, how, flags, since)| Action::Flag { mailbox, uids, how, flags, since }
        ),
        2 => (place(), any::<u16>(), place()).prop_map(|(from, uids, to)| Action::Copy { from, uids, to }),
        2 => (place(), any::<u16>(), place()).prop_map(|(from, uids, to)| Action::Move { from, uids, to }),
        2 => (place(), any::<u16>()).prop_map(|(mailbox, uids)| Action::Expunge { mailbox, uids }),
        1 => prop::option::of(0u8..12).prop_map(|messages| Action::Quota { messages }),
    ]
}

fn uids(bits: u16) -> Vec<Uid> {
    (0..16).filter(|bit| bits >> bit & 1 == 1).map(|bit| Uid(bit + 1)).collect()
}

/// Bodies of equal length, so that a quota counts messages.
fn body(number: u8) -> Vec<u8> {
    mail("model", &format!("body {number}"))
}

#[derive(Debug, Clone, PartialEq)]
struct ModelEntry {
    body: u8,
    flags: Flags,
    modseq: u64,
}

#[derive(Debug, Default, Clone)]
struct ModelMailbox {
    entries: BTreeMap<u32, ModelEntry>,
    next: u32,
    highest: u64,
    vanished: BTreeMap<u32, u64>,
}

/// What the store should hold.
#[derive(Debug)]
struct Model {
    mailboxes: Vec<ModelMailbox>,
    modseq: u64,
    quota: Option<usize>,
}

impl Model {
    fn total(&self) -> usize {
        self.mailboxes.iter().map(|mailbox| mailbox.entries.len()).sum()
    }

    fn has_room(&self, messages: usize) -> bool {
        self.quota.is_none_or(|quota| self.total() + messages <= quota)
    }

    fn add(&mut self, mailbox: usize, body: u8, flags: Flags) -> u32 {
        self.modseq += 1;
        let target = &mut self.mailboxes[mailbox];
        let uid = target.next;
        target.next += 1;
        target.highest = self.modseq;
        target.entries.insert(uid, ModelEntry { body, flags, modseq: self.modseq });
        uid
    }

    fn chosen(&self, mailbox: usize, uids: &[Uid]) -> Vec<u32> {
        let entries = &self.mailboxes[mailbox].entries;
        uids.iter().map(|uid| uid.0).filter(|uid| entries.contains_key(uid)).collect()
    }

    fn remove(&mut self, mailbox: usize, uids: &[u32]) {
        let source = &mut self.mailboxes[mailbox];
        for uid in uids {
            source.entries.remove(uid);
            source.vanished.insert(*uid, self.modseq);
        }
        source.highest = self.modseq;
    }

    /// UIDs of source and target.
    fn transfer(&mut self, from: usize, uids: &[Uid], to: usize, moved: bool) -> Vec<(Uid, Uid)> {
        let chosen = self.chosen(from, uids);
        if chosen.is_empty() {
            return Vec::new();
        }
        self.modseq += 1;
        let mut pairs = Vec::new();
        for old in &chosen {
            let entry = self.mailboxes[from].entries[old].clone();
            let target = &mut self.mailboxes[to];
            let new = target.next;
            target.next += 1;
            target.highest = self.modseq;
            target.entries.insert(new, ModelEntry { modseq: self.modseq, ..entry });
            pairs.push((Uid(*old), Uid(new)));
        }
        if moved {
            self.remove(from, &chosen);
        }
        pairs
    }

    /// UIDs that were refused.
    fn flag(
        &mut self,
        mailbox: usize,
        uids: &[Uid],
        how: u8,
        given: &Flags,
        since: Option<u64>,
    ) -> Vec<Uid> {
        let chosen = self.chosen(mailbox, uids);
        let target = &mut self.mailboxes[mailbox];
        let (refused, rest): (Vec<u32>, Vec<u32>) = chosen
            .into_iter()
            .partition(|uid| since.is_some_and(|since| target.entries[uid].modseq > since));
        let next = self.modseq + 1;
        for uid in rest {
            let entry = target.entries.get_mut(&uid).expect("chosen from there");
            let new = changed(&entry.flags, how, given);
            if new != entry.flags {
                *entry = ModelEntry { body: entry.body, flags: new, modseq: next };
                (self.modseq, target.highest) = (next, next);
            }
        }
        refused.into_iter().map(Uid).collect()
    }
}

fn changed(old: &Flags, how: u8, given: &Flags) -> Flags {
    let names = |flags: &Flags| -> Vec<String> {
        flags.keywords.iter().flat_map(|list| list.iter()).map(|k| k.to_string()).collect()
    };
    let (old_names, given_names) = (names(old), names(given));
    let (system, keywords) = match how {
        0 => (given.system, given_names),
        1 => (old.system.with(given.system), [old_names, given_names].concat()),
        _ => {
            let left = old_names.into_iter().filter(|name| !given_names.contains(name));
            (old.system.without(given.system), left.collect())
        }
    };
    let mut keywords: Vec<&str> = keywords.iter().map(String::as_str).collect();
    keywords.sort_unstable();
    keywords.dedup();
    flags(system, &keywords)
}

async fn play(world: &World, actions: Vec<Action>) {
    let (store, bob) = (&world.store, world.account("bob@wing.test").await);
    let mut ids = Vec::new();
    let mut model = Model { mailboxes: Vec::new(), modseq: 0, quota: None };
    for name in MAILBOXES {
        let mailbox = store.mailbox_by_name(bob.id, name).await.unwrap().unwrap();
        model.modseq = mailbox.highest_modseq.0;
        let highest = mailbox.highest_modseq.0;
        model.mailboxes.push(ModelMailbox { next: 1, highest, ..ModelMailbox::default() });
        ids.push(mailbox.id);
    }
    let start = model.modseq;
    for action in &actions {
        act(store, &bob, &ids, &mut model, action).await;
    }
    for (id, mailbox) in ids.iter().zip(&model.mailboxes) {
        compare(store, *id, mailbox, start).await;
    }
    world.check_invariants().await;
}

async fn act(store: &Store, bob: &Account, ids: &[MailboxId], model: &mut Model, action: &Action) {
    match action.clone() {
        Action::Append { mailbox, body: number, flags } => {
            let new = new_message(store, &body(number), flags.flags()).await;
            let appended = store.append(ids[mailbox], vec![new]).await;
            if model.has_room(1) {
                let uid = model.add(mailbox, number, flags.flags());
                let appended = appended.unwrap()[0];
                assert_eq!((appended.uid, appended.modseq), (Uid(uid), ModSeq(model.modseq)));
            } else {
                assert!(matches!(appended, Err(AppendError::OverQuota)), "{action:?}");
            }
        }
        Action::Accept { mailbox, body: number, flags } => {
            let new = deposit(store, bob, &body(number)).await;
            let to = DepositTo::Mailbox(ids[mailbox]);
            let deposits = vec![Deposit { mailbox: to, flags: flags.flags(), ..new }];
            let accepted = store.accept(Acceptance { deposits, ..acceptance() }).await;
            if model.has_room(1) {
                accepted.unwrap();
                model.add(mailbox, number, flags.flags());
            } else {
                assert!(matches!(accepted, Err(AcceptError::OverQuota(_))), "{action:?}");
            }
        }
        Action::Flag { mailbox, uids: bits, how, flags, since } => {
            let (uids, flags) = (uids(bits), flags.flags());
            let change = match how {
                0 => FlagChange::Set(flags.clone()),
                1 => FlagChange::Add(flags.clone()),
                _ => FlagChange::Remove(flags.clone()),
            };
            let since = since.map(u64::from);
            let results = store.store_flags(ids[mailbox], &uids, change, since.map(ModSeq)).await;
            let results = results.unwrap();
            let refused = model.flag(mailbox, &uids, how, &flags, since);
            assert_eq!(results.modified, refused, "{action:?}");
            for entry in &results.entries {
                let expected = &model.mailboxes[mailbox].entries[&entry.uid.0];
                assert_eq!((&entry.flags, entry.modseq.0), (&expected.flags, expected.modseq));
            }
        }
        Action::Copy { from, uids: bits, to } => {
            let copied = store.copy(ids[from], &uids(bits), ids[to]).await;
            let count = model.chosen(from, &uids(bits)).len();
            if count == 0 || model.has_room(count) {
                assert_eq!(copied.unwrap().uids, model.transfer(from, &uids(bits), to, false));
            } else {
                assert!(matches!(copied, Err(AppendError::OverQuota)), "{action:?}");
            }
        }
        Action::Move { from, uids: bits, to } => {
            let moved = store.move_entries(ids[from], &uids(bits), ids[to]).await.unwrap();
            assert_eq!(moved.uids, model.transfer(from, &uids(bits), to, true), "{action:?}");
        }
        Action::Expunge { mailbox, uids: bits } => {
            let (gone, modseq) = store.expunge(ids[mailbox], &uids(bits)).await.unwrap();
            let chosen = model.chosen(mailbox, &uids(bits));
            if !chosen.is_empty() {
                model.modseq += 1;
                model.remove(mailbox, &chosen);
            }
            assert_eq!(gone, chosen.into_iter().map(Uid).collect::<Vec<_>>(), "{action:?}");
            assert_eq!(modseq.0, model.mailboxes[mailbox].highest);
        }
        Action::Quota { messages } => {
            let octets = messages.map(|messages| u64::from(messages) * body(0).len() as u64);
            store.set_quota(&bob.address, octets).await.unwrap();
            model.quota = messages.map(usize::from);
        }
    }
}

async fn compare(store: &Store, id: MailboxId, model: &ModelMailbox, start: u64) {
    let (entries, highest) = store.entries(id).await.unwrap();
    assert_eq!(highest.0, model.highest);
    let found: Vec<_> = entries.iter().map(|e| (e.uid.0, e.flags.clone(), e.modseq.0)).collect();
    let expected: Vec<_> =
        model.entries.iter().map(|(uid, e)| (*uid, e.flags.clone(), e.modseq)).collect();
    assert_eq!(found, expected);
    let mailbox = store.mailbox(id).await.unwrap().unwrap();
    assert_eq!((mailbox.total as usize, mailbox.uid_next.0), (expected.len(), model.next));
    let unseen = expected.iter().filter(|(_, f, _)| !f.system.contains(SystemFlags::SEEN));
    assert_eq!(mailbox.unseen as usize, unseen.count());
    for (uid, entry) in &model.entries {
        let content = store.content(id, Uid(*uid)).await.unwrap().unwrap();
        assert_eq!(content.read_all().await.unwrap(), body(entry.body));
    }
    // From every moment on, the changes lead from what was to what is.
    for since in start..=model.highest {
        let changes = store.changes(id, ModSeq(since)).await.unwrap();
        let newer =
            model.entries.iter().filter(|(_, e)| e.modseq > since).map(|(uid, _)| Uid(*uid));
        assert_eq!(
            changes.changed.iter().map(|e| e.uid).collect::<Vec<_>>(),
            newer.collect::<Vec<_>>()
        );
        let gone = model.vanished.iter().filter(|(_, at)| **at > since).map(|(uid, _)| Uid(*uid));
        assert_eq!(changes.vanished, gone.collect::<Vec<_>>());
        assert!(!changes.incomplete);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_do_what_the_model_does(actions in prop::collection::vec(action(), 1..50)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            play(&World::sqlite().await, actions.clone()).await;
            play(&World::postgres().await, actions).await;
        });
    }
}
