//! What a client that uses NOTIFY knows of mailboxes, and what it must hear when they are otherwise.
//! Pure: two snapshots go in, changes come out.

use std::collections::{BTreeMap, BTreeSet};

use waxwing_store::{Mailbox, MailboxId};

use crate::name::DELIMITER;
use crate::wire::command::StatusItem;
use crate::wire::parse_notify::Events;

/// Notes by name, each as a digest of its value.
pub type Notes = BTreeMap<String, u64>;

/// How things were at one moment, as far as the account sees them.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub mailboxes: BTreeMap<MailboxId, Known>,
    /// Subscribed names whose subscription the client wants to hear of.
    pub subscribed: BTreeSet<String>,
    /// The server's notes, if the client wants to hear of them.
    pub server: Notes,
}

/// A mailbox that the account sees.
#[derive(Debug)]
pub struct Known {
    /// By the name that the account has for it.
    pub mailbox: Mailbox,
    /// What the client wants to hear, and may.
    pub events: Events,
    pub notes: Notes,
}

/// What the client must hear.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// LIST: the name is there, or its subscription or its children are otherwise.
    Listed { name: String, old_name: Option<String> },
    /// LIST: the name is not there any more.
    Gone(String),
    /// STATUS.
    Counted(MailboxId, Vec<StatusItem>),
    /// METADATA: entries of a mailbox; of the server, where the name is empty.
    Noted(String, Vec<String>),
}

/// From what the client knows to what is. `selected` is told of by other means.
pub fn changes(
    old: &Snapshot,
    new: &Snapshot,
    selected: Option<MailboxId>,
    condstore: bool,
) -> Vec<Change> {
    let mut found = names(old, new);
    for name in old.subscribed.symmetric_difference(&new.subscribed) {
        let listed = Change::Listed { name: name.clone(), old_name: None };
        if !found.contains(&listed) {
            found.push(listed);
        }
    }
    for (&id, now) in &new.mailboxes {
        let before = old.mailboxes.get(&id);
        if Some(id) != selected {
            let items = counters(before, now, condstore);
            if !items.is_empty() {
                found.push(Change::Counted(id, items));
            }
        }
        if let Some(before) = before.filter(|_| now.events.metadata) {
            found.extend(noted(&now.mailbox.name, &before.notes, &now.notes));
        }
    }
    found.extend(noted("", &old.server, &new.server));
    found
}

/// RFC 5465 §5.4.
fn names(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let renamed: BTreeMap<&str, &str> = new
        .mailboxes
        .iter()
        .filter_map(|(id, now)| {
            let before = &old.mailboxes.get(id)?.mailbox.name;
            (*before != now.mailbox.name).then_some((before.as_str(), now.mailbox.name.as_str()))
        })
        .collect();
    let mut found = Vec::new();
    let mut parents = BTreeSet::new();
    for (id, now) in new.mailboxes.iter().filter(|(_, now)| now.events.names) {
        let name = now.mailbox.name.clone();
        match old.mailboxes.get(id).map(|before| before.mailbox.name.as_str()) {
            None => {
                parents.extend(parent(&name).map(str::to_owned));
                found.push(Change::Listed { name, old_name: None });
            }
            Some(before) if before != name && !went_with_parent(&renamed, before, &name) => {
                found.push(Change::Listed { name, old_name: Some(before.to_owned()) });
            }
            Some(_) => {}
        }
    }
    for (id, before) in old.mailboxes.iter().filter(|(_, before)| before.events.names) {
        if !new.mailboxes.contains_key(id) {
            parents.extend(parent(&before.mailbox.name).map(str::to_owned));
            found.push(Change::Gone(before.mailbox.name.clone()));
        }
    }
    // Whether a parent has children is otherwise, too.
    let listed =
        |name: &str| new.mailboxes.values().any(|k| k.mailbox.name == name && k.events.names);
    for name in parents.into_iter().filter(|name| listed(name)) {
        let change = Change::Listed { name, old_name: None };
        if !found.contains(&change) {
            found.push(change);
        }
    }
    found
}

/// Children of what was renamed are not told of.
fn went_with_parent(renamed: &BTreeMap<&str, &str>, before: &str, now: &str) -> bool {
    let (Some(before_parent), Some(now_parent)) = (parent(before), parent(now)) else {
        return false;
    };
    let same_level = before[before_parent.len()..] == now[now_parent.len()..];
    same_level && renamed.get(before_parent) == Some(&now_parent)
}

fn parent(name: &str) -> Option<&str> {
    name.rsplit_once(DELIMITER).map(|(parent, _)| parent)
}

/// RFC 5465 §5.1 to §5.3.
fn counters(before: Option<&Known>, now: &Known, condstore: bool) -> Vec<StatusItem> {
    let mut items = Vec::new();
    if !now.events.messages {
        return items;
    }
    let count = |known: &Known| (known.mailbox.uid_next, known.mailbox.total);
    let moved = match before {
        Some(before) => count(before) != count(now),
        None => now.mailbox.total > 0,
    };
    let altered = before.is_some_and(|b| b.mailbox.highest_modseq != now.mailbox.highest_modseq);
    let unseen = before.is_some_and(|b| b.mailbox.unseen != now.mailbox.unseen);
    if moved {
        items.extend([StatusItem::UidNext, StatusItem::Messages]);
    }
    if now.events.flags && altered && (condstore || unseen) {
        items.extend([StatusItem::UidValidity, StatusItem::Unseen]);
    }
    if condstore && !items.is_empty() {
        items.push(StatusItem::HighestModSeq);
    }
    items
}

/// Entries that were added, altered or removed.
fn noted(name: &str, before: &Notes, now: &Notes) -> Option<Change> {
    let mut entries: BTreeSet<&String> = BTreeSet::new();
    entries.extend(now.iter().filter(|(key, v)| before.get(*key) != Some(v)).map(|(key, _)| key));
    entries.extend(before.keys().filter(|key| !now.contains_key(*key)));
    let entries: Vec<String> = entries.into_iter().cloned().collect();
    (!entries.is_empty()).then(|| Change::Noted(name.to_owned(), entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxwing_store::{AccountId, ModSeq, Uid};

    const ALL: Events = Events {
        messages: true,
        flags: true,
        names: true,
        subscriptions: true,
        metadata: true,
        server_metadata: true,
    };

    fn mailbox(id: i64, name: &str, uid_next: u32, unseen: u32, modseq: u64) -> Known {
        let mailbox = Mailbox {
            id: MailboxId(id),
            account: AccountId(1),
            name: name.into(),
            role: None,
            uid_validity: 1,
            uid_next: Uid(uid_next),
            subscribed: false,
            total: uid_next - 1,
            unseen,
            deleted: 0,
            octets: 0,
            highest_modseq: ModSeq(modseq),
            sort_order: 0,
            created_modseq: ModSeq(1),
            changed_modseq: ModSeq(1),
        };
        Known { mailbox, events: ALL, notes: Notes::new() }
    }

    fn snapshot(all: impl IntoIterator<Item = Known>) -> Snapshot {
        let mailboxes = all.into_iter().map(|known| (known.mailbox.id, known)).collect();
        Snapshot { mailboxes, ..Snapshot::default() }
    }

    fn listed(name: &str, old_name: Option<&str>) -> Change {
        Change::Listed { name: name.into(), old_name: old_name.map(str::to_owned) }
    }

    #[test]
    fn names_come_go_and_change() {
        let old = snapshot([
            mailbox(1, "a", 1, 0, 1),
            mailbox(2, "a/b", 1, 0, 1),
            mailbox(3, "z", 1, 0, 1),
            mailbox(4, "a/b/c", 1, 0, 1),
        ]);
        let new = snapshot([
            mailbox(1, "a", 1, 0, 1),
            mailbox(2, "x", 1, 0, 1),
            mailbox(4, "x/c", 1, 0, 1),
            mailbox(5, "a/new", 1, 0, 1),
        ]);
        let expected = [
            listed("x", Some("a/b")),
            listed("a/new", None),
            Change::Gone("z".into()),
            listed("a", None),
        ];
        assert_eq!(changes(&old, &new, None, false), expected);
        assert_eq!(changes(&new, &new, None, true), []);
    }

    #[test]
    fn counters_as_the_client_can_read_them() {
        use StatusItem::{HighestModSeq, Messages, UidNext, UidValidity, Unseen};
        let of = |now: Known, condstore| {
            let old = snapshot([mailbox(1, "a", 5, 2, 9)]);
            match changes(&old, &snapshot([now]), None, condstore).pop() {
                Some(Change::Counted(_, items)) => items,
                None => Vec::new(),
                other => panic!("{other:?}"),
            }
        };
        let came = || mailbox(1, "a", 6, 2, 10);
        assert_eq!(of(came(), false), [UidNext, Messages]);
        assert_eq!(of(came(), true), [UidNext, Messages, UidValidity, Unseen, HighestModSeq]);
        assert_eq!(of(mailbox(1, "a", 5, 1, 10), false), [UidValidity, Unseen]);
        assert_eq!(of(mailbox(1, "a", 5, 2, 10), false), []);
        assert_eq!(of(mailbox(1, "a", 5, 2, 10), true), [UidValidity, Unseen, HighestModSeq]);
        let silent = |events| Known { events, ..came() };
        assert_eq!(of(silent(Events::default()), true), []);
        let old = snapshot([mailbox(1, "a", 5, 2, 9)]);
        assert_eq!(changes(&old, &snapshot([came()]), Some(MailboxId(1)), true), []);
    }

    #[test]
    fn subscriptions_and_notes() {
        let notes = |all: &[(&str, u64)]| all.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        let mut old = snapshot([mailbox(1, "a", 1, 0, 1)]);
        let mut new = snapshot([mailbox(1, "a", 1, 0, 1)]);
        old.subscribed = ["a".to_owned(), "b".to_owned()].into();
        new.subscribed = ["b".to_owned(), "c".to_owned()].into();
        old.server = notes(&[("/private/x", 1)]);
        for (snapshot, all) in [
            (&mut old, [("/shared/gone", 1), ("/shared/same", 1), ("/shared/other", 1)]),
            (&mut new, [("/shared/new", 1), ("/shared/same", 1), ("/shared/other", 2)]),
        ] {
            snapshot.mailboxes.get_mut(&MailboxId(1)).unwrap().notes = notes(&all);
        }
        let entries = ["/shared/gone", "/shared/new", "/shared/other"].map(str::to_owned);
        let expected = [
            listed("a", None),
            listed("c", None),
            Change::Noted("a".into(), entries.to_vec()),
            Change::Noted(String::new(), vec!["/private/x".to_owned()]),
        ];
        assert_eq!(changes(&old, &new, None, false), expected);
    }
}
