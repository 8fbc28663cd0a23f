//! LIST with its options (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154) and LSUB (RFC 3501
//! §6.3.9).
//!
//! The answer is worked out on a tree of names: every mailbox, every subscribed name, and every
//! parent of these, whether it exists or not.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use waxwing_store::{Mailbox, Role};

use super::{acl, status};
use crate::access::{self, Act, Place};
use crate::connection::Connection;
use crate::name::{self, DELIMITER};
use crate::pattern::Pattern;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::command::{List, ListSelect};
use crate::wire::out::Out;

/// Longer patterns than the longest name are refused.
const MAX_PATTERN_OCTETS: usize = 1024;
/// All patterns of one command together: every name may have to go through all of them.
const MAX_PATTERNS_OCTETS: usize = 4096;
/// After so many names, parents that are only walked through included, others have their turn.
const NAMES_AT_ONCE: usize = 64;

/// One name.
#[derive(Debug, Default, Clone, Copy)]
struct Node<'m> {
    place: Option<&'m Place>,
    subscribed: bool,
    /// A name stands below it.
    is_parent: bool,
    /// A mailbox stands below it.
    has_children: bool,
    /// A name that the selection options choose stands below it.
    chosen_below: bool,
}

impl Node<'_> {
    /// A name below it with these properties makes no difference.
    fn knows(&self, exists: bool, chosen: bool) -> bool {
        self.is_parent && self.has_children >= exists && self.chosen_below >= chosen
    }
}

/// INBOX first, then by name.
type Tree<'m> = BTreeMap<(bool, &'m str), Node<'m>>;

/// The command.
pub async fn run(connection: &mut Connection<'_>, session: &Session, list: &List) -> Done {
    let account = session.account()?;
    let mut patterns = patterns(session, list)?;
    if !list.extended && !list.lsub && list.patterns == [b""] {
        connection.out.raw("* LIST (\\Noselect) \"/\" \"\"\r\n"); // the delimiter is asked for
        return Ok(Tagged::ok("That is the delimiter"));
    }
    let mailboxes = access::all(session).await?;
    let subscriptions = session.store.subscriptions(account).await?;
    let tree = tree(connection, &mailboxes, &subscriptions, list.select).await?;
    // RFC 3501 §6.3.9: LSUB "%" names a parent of what is subscribed, if it is not itself.
    let percent = list.lsub && list.patterns.iter().any(|pattern| pattern.contains(&b'%'));
    for (at, ((_, name), node)) in tree.iter().enumerate() {
        if at.is_multiple_of(NAMES_AT_ONCE) {
            connection.breathe().await?;
        }
        if !is_wanted(list, percent, node) || !patterns.iter_mut().any(|p| p.matches(name)) {
            continue;
        }
        line(&mut connection.out, list, name, node);
        if let Some(place) = node.place {
            if list.returns.my_rights {
                acl::write_mine(&mut connection.out, place); // RFC 8440 §4
            }
            if let Some(items) = &list.returns.status
                && access::allows(place.rights, Act::Read)
            {
                let beside = status::beside(session, &place.mailbox, items).await?;
                status::write(&mut connection.out, &place.mailbox, items, beside);
            }
        }
        connection.relieve().await?;
    }
    Ok(Tagged::ok("That is all"))
}

/// RFC 9051 §6.3.9: the reference stands before each pattern.
fn patterns(session: &Session, list: &List) -> Result<Vec<Pattern>, Fail> {
    let reference = &list.reference;
    let octets = list.patterns.iter().map(|pattern| reference.len() + pattern.len());
    if octets.sum::<usize>() > MAX_PATTERNS_OCTETS {
        return Err(Fail::no("LIMIT", "Those patterns are too long together"));
    }
    let read = |pattern: &Vec<u8>| {
        let whole = [reference.as_slice(), pattern].concat();
        if whole.len() > MAX_PATTERN_OCTETS {
            return Err(Fail::no("LIMIT", "That pattern is longer than any name"));
        }
        Ok(Pattern::new(&name::from_wire(&whole, session.enabled)?))
    };
    list.patterns.iter().map(read).collect()
}

async fn tree<'m>(
    connection: &mut Connection<'_>,
    places: &'m [Place],
    subscriptions: &'m [String],
    select: ListSelect,
) -> Result<Tree<'m>, Fail> {
    let key = |name: &'m str| (name != "INBOX", name);
    let mut tree = Tree::new();
    for place in places {
        tree.entry(key(&place.mailbox.name)).or_default().place = Some(place);
    }
    for name in subscriptions {
        tree.entry(key(name)).or_default().subscribed = true;
    }
    let leaves: Vec<(&str, bool, bool)> = tree
        .iter()
        .map(|(&(_, name), node)| (name, node.place.is_some(), is_chosen(select, node)))
        .collect();
    let mut walked = 0_usize;
    for (name, exists, chosen) in leaves {
        let mut parent = name;
        while let Some((above, _)) = parent.rsplit_once(DELIMITER) {
            parent = above;
            walked += 1;
            if walked.is_multiple_of(NAMES_AT_ONCE) {
                connection.breathe().await?;
            }
            match tree.entry(key(parent)) {
                // Who came here before with as much to tell has told those above.
                Entry::Occupied(node) if node.get().knows(exists, chosen) => break,
                node => {
                    let node = node.or_default();
                    node.is_parent = true;
                    node.has_children |= exists;
                    node.chosen_below |= chosen;
                }
            }
        }
    }
    Ok(tree)
}

/// Whether the selection options choose this name by itself.
fn is_chosen(select: ListSelect, node: &Node<'_>) -> bool {
    let special = node.place.is_some_and(|place| special_use(&place.mailbox).is_some());
    let any = select.subscribed || select.special_use;
    // RFC 5258 §3.1: with several options, all must hold.
    any && (node.subscribed || !select.subscribed) && (special || !select.special_use)
}

/// Whether a name that fits a pattern is answered.
fn is_wanted(list: &List, percent: bool, node: &Node<'_>) -> bool {
    let select = list.select;
    if is_chosen(select, node) {
        return true;
    }
    if select.subscribed || select.special_use {
        return (select.recursive_match || percent) && node.chosen_below;
    }
    // A parent that does not exist is there for its children's sake.
    node.place.is_some() || node.has_children
}

fn line(out: &mut Out, list: &List, name: &str, node: &Node<'_>) {
    out.raw(if list.lsub { "* LSUB (" } else { "* LIST (" });
    let mut attributes = Attributes { out, first: true };
    if list.lsub {
        if !node.subscribed || node.place.is_none() {
            attributes.put("\\Noselect");
        }
    } else {
        if node.place.is_none() {
            // RFC 5258 §3: the one implies the other, but rev1 clients know only \Noselect.
            attributes.put("\\NonExistent");
            attributes.put("\\Noselect");
        }
        attributes.put(if node.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
        if node.subscribed && (list.select.subscribed || list.returns.subscribed) {
            attributes.put("\\Subscribed");
        }
        if let Some(role) = node.place.and_then(|place| special_use(&place.mailbox)) {
            attributes.put(role);
        }
    }
    out.raw(") \"/\" ").mailbox(name);
    if list.select.recursive_match && node.chosen_below {
        out.raw(" (\"CHILDINFO\" (");
        let mut criteria = Attributes { out, first: true };
        if list.select.subscribed {
            criteria.put("\"SUBSCRIBED\"");
        }
        if list.select.special_use {
            criteria.put("\"SPECIAL-USE\"");
        }
        out.raw("))");
    }
    out.line_end();
}

/// The LIST response of SELECT in rev2.
pub fn line_of(out: &mut Out, mailbox: &Mailbox) {
    out.raw("* LIST (").raw(special_use(mailbox).unwrap_or_default()).raw(") \"/\" ");
    out.mailbox(&mailbox.name).line_end();
}

struct Attributes<'o> {
    out: &'o mut Out,
    first: bool,
}

impl Attributes<'_> {
    fn put(&mut self, attribute: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.raw(" ");
        }
        self.out.raw(attribute);
    }
}

/// RFC 6154 §2: what it is for.
pub fn special_use(mailbox: &Mailbox) -> Option<&'static str> {
    mailbox.role.and_then(Role::special_use)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Lost;
    use std::time::Duration;
    use tokio::sync::watch;

    async fn tree_of(subscriptions: &[String], stop: bool) -> Result<Tree<'_>, Fail> {
        let (mut near, _far) = tokio::io::duplex(64);
        let (_stop, stopped) = watch::channel(stop);
        let mut connection = Connection::new(&mut near, stopped, Duration::from_secs(1));
        let select = ListSelect { subscribed: true, ..ListSelect::default() };
        tree(&mut connection, &[], subscriptions, select).await
    }

    #[tokio::test]
    async fn every_parent_is_there_and_knows_what_is_below() {
        let names = ["b/c".into(), "b".into(), "a/b/c".into()];
        let tree = tree_of(&names, false).await.unwrap();
        let seen: Vec<_> = tree
            .iter()
            .map(|((_, name), node)| (*name, node.subscribed, node.chosen_below))
            .collect();
        let expected =
            [("a", false, true), ("a/b", false, true), ("a/b/c", true, false), ("b", true, true)];
        assert_eq!(seen[..4], expected);
        assert_eq!(seen[4..], [("b/c", true, false)]);
    }

    /// The tree of an account with many names is long work, that the server's end cuts short.
    #[tokio::test]
    async fn the_servers_end_is_heard_meanwhile() {
        let deep = |n: usize| format!("{n}{}", "/a".repeat(31));
        let names: Vec<String> = (0..100).map(deep).collect();
        assert_eq!(tree_of(&names, false).await.unwrap().len(), 100 * 32);
        assert!(matches!(tree_of(&names, true).await, Err(Fail::Lost(Lost::Stopping))));
    }
}
