//! Gmail's labels, as its exports write them into `X-Gmail-Labels`: a list parted by commas, in which a
//! label with a comma or a quote is quoted as in CSV.
//!
//! Labels of the system become flags or say which mailbox it is; a label of the owner is a mailbox. A
//! message with several is in several, as Gmail shows it; one with none was archived.

use waxwing_store::{Role, SystemFlags};

use crate::flags::Gathered;
use crate::names;

/// Labels of one message that are looked at.
const LABELS_MAX: usize = 100;

/// What the labels of a message come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// In the mailboxes of these roles.
    pub roles: Vec<Role>,
    /// And in these.
    pub mailboxes: Vec<String>,
    /// With these.
    pub flags: Gathered,
}

impl Labels {
    /// Of the decoded value of the field.
    pub fn parse(value: &str) -> Labels {
        let mut labels = Labels::default();
        let mut unread = false;
        for label in split(value).into_iter().take(LABELS_MAX) {
            match label.to_lowercase().as_str() {
                "inbox" => labels.roles.push(Role::Inbox),
                "sent" => labels.roles.push(Role::Sent),
                "drafts" | "draft" => labels.roles.push(Role::Drafts),
                "spam" => labels.roles.push(Role::Junk),
                "trash" => labels.roles.push(Role::Trash),
                "unread" => unread = true,
                "starred" => labels.flags.system(SystemFlags::FLAGGED),
                "important" => labels.flags.keyword("$Important"),
                "opened" | "archived" | "chat" | "" => {}
                category if category.starts_with("category ") => {}
                _ => labels.mailboxes.extend(names::ours(&label, Some('/'), "")),
            }
        }
        if !unread {
            labels.flags.system(SystemFlags::SEEN);
        }
        if labels.roles.contains(&Role::Drafts) {
            labels.flags.system(SystemFlags::DRAFT);
        }
        // What is thrown away, or junk, is nowhere else.
        let away =
            labels.roles.iter().find(|role| matches!(role, Role::Trash | Role::Junk)).copied();
        if let Some(role) = away {
            labels.roles = vec![role];
            labels.mailboxes.clear();
        } else if labels.roles.is_empty() && labels.mailboxes.is_empty() {
            labels.roles.push(Role::Archive);
        }
        labels.roles.dedup();
        labels.mailboxes.sort();
        labels.mailboxes.dedup();
        labels
    }
}

/// The fields of one line of CSV.
fn split(value: &str) -> Vec<String> {
    let (mut all, mut label, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => label.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut label)),
            c => label.push(c),
        }
    }
    all.push(label);
    all.into_iter().map(|label| label.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_flags_roles_and_mailboxes() {
        let labels =
            Labels::parse("Inbox,Starred,Work/Reports,\"Smith, \"\"J\"\"\",Category Updates");
        assert_eq!(labels.roles, [Role::Inbox]);
        assert_eq!(labels.mailboxes, ["Smith, \"J\"", "Work/Reports"]);
        assert_eq!(labels.flags.system, SystemFlags::FLAGGED.with(SystemFlags::SEEN));
        let labels = Labels::parse("Archived,Unread,Important");
        assert_eq!(labels.roles, [Role::Archive]);
        assert_eq!(labels.flags.system, SystemFlags::default());
        let labels = Labels::parse("Work,Trash,Opened");
        assert_eq!((labels.roles, labels.mailboxes), (vec![Role::Trash], vec![]));
    }
}
