//! NOTIFY (RFC 5465 §8).

use super::cursor::{Bad, Cursor, Parse};
use super::parse_fetch::{self, FetchItem};

/// Groups in one command.
const MAX_GROUPS: usize = 50;
/// Mailboxes named in one command: every mailbox that there is may be compared with each.
const MAX_MAILBOXES: usize = 200;

/// NOTIFY.
#[derive(Debug, Clone, PartialEq)]
pub enum Notify {
    /// NONE.
    None,
    /// SET.
    Set(NotifySet),
}

/// What a client wants to hear of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NotifySet {
    /// How things are is told at once.
    pub status: bool,
    /// Of the selected mailbox.
    pub selected: Option<SelectedGroup>,
    /// Of others.
    pub groups: Vec<Group>,
    /// An event that is not known: RFC 5465 §3.1 wants NO for it.
    pub unknown_event: bool,
}

impl NotifySet {
    /// How many mailboxes are named.
    fn named(&self) -> usize {
        let one = |group: &Group| match &group.mailboxes {
            Mailboxes::Subtree(names) | Mailboxes::Named(names) => names.len(),
            _ => 0,
        };
        self.groups.iter().map(one).sum()
    }
}

/// What is told of the selected mailbox, when it happens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SelectedGroup {
    /// SELECTED-DELAYED: expunges wait for a command that allows them.
    pub delayed: bool,
    /// Which events.
    pub events: Events,
    /// What to tell of each new message.
    pub items: Vec<FetchItem>,
}

/// Mailboxes, and what is told of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Which.
    pub mailboxes: Mailboxes,
    /// What.
    pub events: Events,
}

/// RFC 5465 §6.
#[derive(Debug, Clone, PartialEq)]
pub enum Mailboxes {
    /// Those into which mail may be delivered.
    Inboxes,
    /// The account's own.
    Personal,
    /// Those that it has subscribed to.
    Subscribed,
    /// These and what is below them.
    Subtree(Vec<Vec<u8>>),
    /// These.
    Named(Vec<Vec<u8>>),
}

/// RFC 5465 §5.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// MessageNew and MessageExpunge, which go together.
    pub messages: bool,
    /// FlagChange.
    pub flags: bool,
    /// MailboxName.
    pub names: bool,
    /// SubscriptionChange.
    pub subscriptions: bool,
    /// MailboxMetadataChange.
    pub metadata: bool,
    /// ServerMetadataChange.
    pub server_metadata: bool,
}

impl Events {
    /// Those of both.
    pub fn with(self, other: Events) -> Events {
        Events {
            messages: self.messages || other.messages,
            flags: self.flags || other.flags,
            names: self.names || other.names,
            subscriptions: self.subscriptions || other.subscriptions,
            metadata: self.metadata || other.metadata,
            server_metadata: self.server_metadata || other.server_metadata,
        }
    }

    /// Some are not about messages.
    fn beside_messages(self) -> bool {
        self.names || self.subscriptions || self.metadata || self.server_metadata
    }
}

/// Reads the arguments of NOTIFY.
pub fn notify(cursor: &mut Cursor<'_>) -> Parse<Notify> {
    if cursor.eat_word("NONE") {
        return Ok(Notify::None);
    }
    if !cursor.eat_word("SET ") {
        return Err(Bad("NOTIFY is SET or NONE"));
    }
    let mut set = NotifySet { status: cursor.eat_word("STATUS "), ..NotifySet::default() };
    loop {
        group(cursor, &mut set)?;
        if set.groups.len() > MAX_GROUPS || set.named() > MAX_MAILBOXES {
            return Err(Bad("NOTIFY has too many groups or mailboxes"));
        }
        if !cursor.eat(b' ') {
            return Ok(Notify::Set(set));
        }
    }
}

fn group(cursor: &mut Cursor<'_>, set: &mut NotifySet) -> Parse<()> {
    cursor.expect(b'(', "A group of events is missing")?;
    let filter = cursor.keyword()?;
    cursor.space()?;
    let mailboxes = match filter.as_str() {
        "SELECTED" | "SELECTED-DELAYED" => None,
        "INBOXES" => Some(Mailboxes::Inboxes),
        "PERSONAL" => Some(Mailboxes::Personal),
        "SUBSCRIBED" => Some(Mailboxes::Subscribed),
        "SUBTREE" => Some(Mailboxes::Subtree(names(cursor)?)),
        "MAILBOXES" => Some(Mailboxes::Named(names(cursor)?)),
        _ => return Err(Bad("Those mailboxes are not known to NOTIFY")),
    };
    let Told { events, items, unknown } = events(cursor)?;
    cursor.expect(b')', "A group of events is not closed")?;
    set.unknown_event |= unknown;
    match mailboxes {
        Some(_) if !items.is_empty() => {
            Err(Bad("Only of the selected mailbox can that be fetched"))
        }
        Some(mailboxes) => {
            set.groups.push(Group { mailboxes, events });
            Ok(())
        }
        // RFC 5465 §6.1
        None if set.selected.is_some() => Err(Bad("The selected mailbox is given twice")),
        None if events.beside_messages() => Err(Bad("Of the selected mailbox only messages")),
        None => {
            let delayed = filter == "SELECTED-DELAYED";
            set.selected = Some(SelectedGroup { delayed, events, items });
            Ok(())
        }
    }
}

/// RFC 5465 §8 `one-or-more-mailbox`, and the space behind it.
fn names(cursor: &mut Cursor<'_>) -> Parse<Vec<Vec<u8>>> {
    let one = |cursor: &mut Cursor<'_>| cursor.astring().map(|name| name.into_owned());
    let names = match cursor.peek() {
        Some(b'(') => cursor.list(one)?,
        _ => vec![one(cursor)?],
    };
    if names.is_empty() {
        return Err(Bad("NOTIFY needs mailboxes"));
    }
    cursor.space()?;
    Ok(names)
}

#[derive(Default)]
struct Told {
    events: Events,
    items: Vec<FetchItem>,
    unknown: bool,
}

/// RFC 5465 §8 `events`. Its examples have no parentheses around them: both are read.
fn events(cursor: &mut Cursor<'_>) -> Parse<Told> {
    let mut told = Told::default();
    if cursor.eat_word("NONE") {
        return Ok(told);
    }
    let (mut new, mut expunge) = (false, false);
    let closed = cursor.eat(b'(');
    loop {
        match cursor.keyword()?.as_str() {
            "MESSAGENEW" => {
                new = true;
                if cursor.rest().starts_with(b" (") {
                    cursor.space()?;
                    told.items = parse_fetch::item_list(cursor)?;
                }
            }
            "MESSAGEEXPUNGE" => expunge = true,
            "FLAGCHANGE" => told.events.flags = true,
            "MAILBOXNAME" => told.events.names = true,
            "SUBSCRIPTIONCHANGE" => told.events.subscriptions = true,
            "MAILBOXMETADATACHANGE" => told.events.metadata = true,
            "SERVERMETADATACHANGE" => told.events.server_metadata = true,
            _ => told.unknown = true,
        }
        if !cursor.eat(b' ') {
            break;
        }
    }
    if closed {
        cursor.expect(b')', "The events are not closed")?;
    }
    // RFC 5465 §5
    if new != expunge || (told.events.flags && !new) {
        return Err(Bad("MessageNew, MessageExpunge: both, and FlagChange only with them"));
    }
    told.events.messages = new;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Parse<Notify> {
        let mut cursor = Cursor::new(text.as_bytes());
        let notify = notify(&mut cursor)?;
        cursor.end().map(|()| notify)
    }

    fn set(text: &str) -> NotifySet {
        match read(text) {
            Ok(Notify::Set(set)) => set,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// RFC 5465 §3.1's examples, and §6's.
    #[test]
    fn what_clients_ask_for() {
        assert_eq!(read("none"), Ok(Notify::None));
        let first = set(
            "set status (selected MessageNew (uid body.peek[header.fields (from to subject)]) \
             MessageExpunge) (subtree Lists (MessageNew MessageExpunge))",
        );
        assert!(first.status);
        let selected = first.selected.unwrap();
        assert_eq!((selected.items.len(), selected.delayed), (2, false));
        assert!(selected.events.messages && !selected.events.flags);
        assert_eq!(first.groups[0].mailboxes, Mailboxes::Subtree(vec![b"Lists".to_vec()]));
        let second = set("SET (SELECTED-DELAYED (MessageNew MessageExpunge FlagChange)) \
             (mailboxes (INBOX {4}\r\nmisc) (MailboxMetadataChange)) (personal NONE) \
             (inboxes (MailboxName SubscriptionChange)) (subscribed (ServerMetadataChange))");
        assert!(second.selected.unwrap().delayed);
        assert_eq!(second.groups.len(), 4);
        assert_eq!(second.groups[1].events, Events::default());
        assert!(set("SET (personal (AnnotationChange))").unknown_event);
        for bad in [
            "",
            "SET",
            "SET ()",
            "SET (personal)",
            "SET (personal (MessageNew))",
            "SET (personal (MessageExpunge))",
            "SET (personal (FlagChange))",
            "SET (selected (MailboxName))",
            "SET (selected NONE) (selected-delayed NONE)",
            "SET (personal (MessageNew (uid) MessageExpunge))",
            "SET (everything NONE)",
            "SET (mailboxes () NONE)",
            "SET (subtree x (MailboxName)",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let many = |groups: usize| format!("SET{}", " (mailboxes (a b c d) NONE)".repeat(groups));
        assert!(read(&many(50)).is_ok() && read(&many(51)).is_err());
        let names = "a ".repeat(201);
        assert!(read(&format!("SET (mailboxes ({}) NONE)", names.trim_end())).is_err());
    }

    proptest! {
        #[test]
        fn any_octets(text: Vec<u8>, tail in "(\\(|\\)| |personal|selected|subtree|x|MessageNew|NONE){0,12}") {
            let _ = notify(&mut Cursor::new(&text));
            let _ = read(&format!("SET ({tail}"));
        }
    }
}
