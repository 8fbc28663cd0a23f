//! Paths as a tree. A path's parent is the nearest of the paths above it that is there: in IMAP a mailbox can
//! outlive the one above it.

use std::collections::HashMap;

use waxwing_store::{Mailbox, MailboxId, Role};

use crate::caller::Mailboxes;

/// What INBOX is called here: its name says nothing, and never changes.
const INBOX: &str = "Inbox";

/// Where a mailbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Above it.
    pub parent: Option<MailboxId>,
    /// Below that.
    pub name: String,
}

/// All mailboxes of an account by their paths.
pub struct Tree {
    paths: HashMap<String, MailboxId>,
}

impl Tree {
    /// Of the mailboxes that exist for the caller.
    pub fn new(mailboxes: &Mailboxes) -> Tree {
        let all = mailboxes.iter().map(|one| (one.mailbox.name.clone(), one.mailbox.id));
        Tree { paths: all.collect() }
    }

    /// Where a mailbox is.
    pub fn node(&self, mailbox: &Mailbox) -> Node {
        if mailbox.role == Some(Role::Inbox) {
            return Node { parent: None, name: INBOX.to_owned() };
        }
        let path = mailbox.name.as_str();
        let mut slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        while let Some(at) = slashes.pop() {
            if let Some(parent) = self.paths.get(&path[..at]) {
                return Node { parent: Some(*parent), name: path[at + 1..].to_owned() };
            }
        }
        Node { parent: None, name: path.to_owned() }
    }
}

/// The path of a name below a parent's path.
pub fn path(parent: Option<&str>, name: &str) -> String {
    match parent {
        None => name.to_owned(),
        Some(parent) => format!("{parent}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_that_is_missing_is_passed_over() {
        let paths = [("a", 1), ("a/b/c", 2), ("x/y", 3)];
        let paths = paths.map(|(path, id)| (path.to_owned(), MailboxId(id)));
        let tree = Tree { paths: paths.into() };
        let node = |name: &str, role| {
            let mailbox = crate::mailbox::object::test_mailbox(name, role);
            let Node { parent, name } = tree.node(&mailbox);
            (parent.map(|parent| parent.0), name)
        };
        assert_eq!(node("a", None), (None, "a".to_owned()));
        assert_eq!(node("a/b/c", None), (Some(1), "b/c".to_owned()));
        assert_eq!(node("a/b/c/d", None), (Some(2), "d".to_owned()));
        assert_eq!(node("x/y", None), (None, "x/y".to_owned()));
        assert_eq!(node("INBOX", Some(Role::Inbox)), (None, "Inbox".to_owned()));
    }
}
