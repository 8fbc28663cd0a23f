//! A mailbox as a client sees it (RFC 8621 §2).

use serde_json::{Value, json};
use waxwing_store::{Census, Rights, Role, Tally, VisibleMailbox};

use super::tree::{Node, Tree};
use crate::caller::Account;
use crate::wire::id;

/// All properties.
pub const PROPERTIES: [&str; 11] = [
    "id",
    "name",
    "parentId",
    "role",
    "sortOrder",
    "totalEmails",
    "unreadEmails",
    "totalThreads",
    "unreadThreads",
    "myRights",
    "isSubscribed",
];

/// Those that change without anybody changing the mailbox (RFC 8621 §2.2).
pub const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

/// The object. Without a census, nothing is counted.
pub fn object(
    account: &Account,
    tree: &Tree,
    census: Option<&Census>,
    visible: &VisibleMailbox,
) -> Value {
    let mailbox = &visible.mailbox;
    let Node { parent, name } = tree.node(mailbox);
    let Tally { messages, unread_messages, threads, unread_threads } =
        census.and_then(|census| census.get(&mailbox.id)).copied().unwrap_or_default();
    json!({
        "id": id::text(mailbox.id),
        "name": name,
        "parentId": parent.map(id::text),
        "role": role(account, visible).map(role_name),
        "sortOrder": mailbox.sort_order,
        "totalEmails": messages,
        "unreadEmails": unread_messages,
        "totalThreads": threads,
        "unreadThreads": unread_threads,
        "myRights": my_rights(visible),
        "isSubscribed": is_subscribed(account, visible),
    })
}

/// What it is for. Another's trash is nobody else's.
pub fn role(account: &Account, visible: &VisibleMailbox) -> Option<Role> {
    visible.mailbox.role.filter(|_| account.is_own)
}

/// Deviates: RFC 8621 §2 would have subscriptions of others' mailboxes too; here they have none.
pub fn is_subscribed(account: &Account, visible: &VisibleMailbox) -> bool {
    account.is_own && visible.mailbox.subscribed
}

/// RFC 8621 §2, with the rights of RFC 4314 that it names.
pub fn my_rights(visible: &VisibleMailbox) -> Value {
    let may = |right| visible.rights.contains(right);
    let is_inbox = visible.mailbox.role == Some(Role::Inbox);
    json!({
        "mayReadItems": may(Rights::LOOKUP.with(Rights::READ)),
        "mayAddItems": may(Rights::INSERT),
        "mayRemoveItems": may(Rights::DELETE_MESSAGES.with(Rights::EXPUNGE)),
        "maySetSeen": may(Rights::SEEN),
        "maySetKeywords": may(Rights::WRITE),
        "mayCreateChild": may(Rights::CREATE),
        "mayRename": may(Rights::DELETE_MAILBOX) && !is_inbox,
        "mayDelete": may(Rights::DELETE_MAILBOX) && !is_inbox,
        "maySubmit": may(Rights::POST),
    })
}

/// The names that IANA's registry of mailbox attributes has, in lower case (RFC 8621 §10.5).
const ROLES: [(Role, &str); 9] = [
    (Role::Inbox, "inbox"),
    (Role::Drafts, "drafts"),
    (Role::Sent, "sent"),
    (Role::Junk, "junk"),
    (Role::Trash, "trash"),
    (Role::Archive, "archive"),
    (Role::All, "all"),
    (Role::Flagged, "flagged"),
    (Role::Important, "important"),
];

/// As it stands on the wire.
pub fn role_name(role: Role) -> &'static str {
    ROLES.iter().find(|(known, _)| *known == role).map_or("", |(_, name)| name)
}

/// Of its name; `None`: there is none of that name here.
pub fn role_named(name: &str) -> Option<Role> {
    ROLES.iter().find(|(_, known)| *known == name).map(|(role, _)| *role)
}

#[cfg(test)]
pub fn test_mailbox(name: &str, role: Option<Role>) -> waxwing_store::Mailbox {
    use waxwing_store::{AccountId, MailboxId, ModSeq, Uid};
    waxwing_store::Mailbox {
        id: MailboxId(1),
        account: AccountId(1),
        name: name.to_owned(),
        role,
        uid_validity: 1,
        uid_next: Uid(1),
        subscribed: false,
        total: 0,
        unseen: 0,
        deleted: 0,
        octets: 0,
        highest_modseq: ModSeq(1),
        sort_order: 0,
        created_modseq: ModSeq(1),
        changed_modseq: ModSeq(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_those_of_the_table() {
        let with = |letters: &str, role| {
            let mailbox = test_mailbox("x", role);
            my_rights(&VisibleMailbox { mailbox, owner: None, rights: letters.parse().unwrap() })
        };
        for (letters, name) in [
            ("lr", "mayReadItems"),
            ("i", "mayAddItems"),
            ("te", "mayRemoveItems"),
            ("s", "maySetSeen"),
            ("w", "maySetKeywords"),
            ("k", "mayCreateChild"),
            ("x", "mayRename"),
            ("x", "mayDelete"),
            ("p", "maySubmit"),
        ] {
            assert_eq!(with(letters, None)[name], true, "{name}");
            let without = Rights::ALL.without(letters.parse().unwrap()).to_string();
            assert_eq!(with(&without, None)[name], false, "{name}");
        }
        let inbox = with("lrswipkxtea", Some(Role::Inbox));
        assert_eq!((&inbox["mayRename"], &inbox["mayDelete"]), (&json!(false), &json!(false)));
    }

    #[test]
    fn roles_come_back() {
        for (role, name) in ROLES {
            assert_eq!((role_name(role), role_named(name)), (name, Some(role)));
        }
        assert_eq!(role_named("Inbox"), None);
    }
}
