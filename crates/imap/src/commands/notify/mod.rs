//! NOTIFY (RFC 5465): a client hears of what happens, in its mailbox and in others, also while no
//! command runs.
//!
//! The store's bells of the account, of those who share with it and of what is shared with anyone wake the
//! session; it then looks
//! at all mailboxes at once, and tells what is otherwise than at its last look ([`snapshot`]). What
//! happened in between twice is told once.
//!
//! Deviates: RFC 5465 §3.1, §5. With its commands a client hears of its selected mailbox whatever it
//! has asked for, so that it never has wrong numbers; and of other mailboxes it hears also of what it
//! did itself, since that cannot be told from what another session of the account did.

mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use waxwing_store::{AccountId, MailboxId, Uid, Watch};

use self::snapshot::{Change, Known, Notes, Snapshot, changes};
use super::{fetch, list, status};
use crate::access::{self, Act, Place};
use crate::connection::{Connection, Lost};
use crate::name::{self, DELIMITER};
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::{Session, State};
use crate::wire::command::StatusItem;
use crate::wire::out::Out;
use crate::wire::parse_notify::{Events, Mailboxes, Notify, NotifySet, SelectedGroup};

/// RFC 5465 §3.1: more mailboxes than this are not watched.
const MAX_MAILBOXES: usize = 20_000;
/// More changes at one look are not told.
const MAX_CHANGES: usize = 2_000;
/// A look is taken at least so often, and whether the client may stay.
const AT_LEAST_EVERY: Duration = Duration::from_secs(5 * 60);
/// After the store could not say.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Those that are known, for BADEVENT.
const EVENTS: &str = "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName \
    SubscriptionChange MailboxMetadataChange ServerMetadataChange)";

/// What a session watches.
pub struct Watching {
    selected: Option<SelectedGroup>,
    groups: Vec<(Which, Events)>,
    known: Snapshot,
    /// One for the account, and one for each that shares with it.
    watches: BTreeMap<AccountId, Watch>,
    /// Somebody may begin to share with everybody.
    anyone: Watch,
}

/// Mailboxes by names as the account has them.
enum Which {
    Personal,
    Subscribed,
    Subtree(Vec<String>),
    Named(Vec<String>),
}

impl Which {
    fn covers(&self, name: &str, own: bool, subscribed: &BTreeSet<String>) -> bool {
        match self {
            Which::Personal => own,
            Which::Subscribed => subscribed.contains(name),
            Which::Named(names) => names.iter().any(|named| named == name),
            Which::Subtree(names) => names.iter().any(|root| {
                let below = name.strip_prefix(root.as_str());
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with(DELIMITER))
            }),
        }
    }
}

/// The command.
pub async fn run(connection: &mut Connection<'_>, session: &mut Session, notify: Notify) -> Done {
    let account = session.account()?;
    let Notify::Set(set) = notify else {
        session.notify = None;
        return Ok(Tagged::ok("Nothing will be told"));
    };
    if set.unknown_event {
        return Err(Fail::no(EVENTS, "That event is not known"));
    }
    let groups = groups(session, &set)?;
    let watches = BTreeMap::from([(account, session.store.watch(account))]);
    let status = set.status;
    let mut watching = Watching {
        selected: set.selected,
        groups,
        known: Snapshot::default(),
        watches,
        anyone: session.store.watch_anyone(),
    };
    watching.known = look(session, &mut watching).await?;
    if watching.known.mailboxes.len() > MAX_MAILBOXES {
        return Err(Fail::no("NOTIFICATIONOVERFLOW", "Those are too many mailboxes"));
    }
    no_access(connection, session, &watching).await?;
    if status {
        tell_status(connection, session, &watching.known).await?;
    }
    if let State::Selected(_, selected) = &mut session.state {
        selected.told = selected.view.last_uid();
    }
    session.notify = Some(Box::new(watching));
    Ok(Tagged::ok("You will hear of it"))
}

fn groups(session: &Session, set: &NotifySet) -> Result<Vec<(Which, Events)>, Fail> {
    let read = |names: &[Vec<u8>]| {
        names.iter().map(|name| name::from_wire(name, session.enabled)).collect::<Result<_, _>>()
    };
    let one = |group: &crate::wire::parse_notify::Group| {
        let which = match &group.mailboxes {
            // RFC 5465 §6.3: rules can file into any of them.
            Mailboxes::Inboxes | Mailboxes::Personal => Which::Personal,
            Mailboxes::Subscribed => Which::Subscribed,
            Mailboxes::Subtree(names) => Which::Subtree(read(names)?),
            Mailboxes::Named(names) => Which::Named(read(names)?),
        };
        Ok((which, group.events))
    };
    set.groups.iter().map(one).collect()
}

/// How things are now. Whoever shares with the account is watched from before the look on.
async fn look(session: &Session, watching: &mut Watching) -> Result<Snapshot, Fail> {
    let account = session.account()?;
    loop {
        let places = access::all(session).await?;
        let subscribed = session.store.subscriptions(account).await?.into_iter().collect();
        let mut unwatched = Vec::new();
        let mut snapshot = Snapshot::default();
        for place in places {
            let events = events(watching, &place, account, &subscribed);
            let owner = place.mailbox.account;
            if events != Events::default() && !watching.watches.contains_key(&owner) {
                unwatched.push(owner);
            }
            let known = Known { mailbox: place.mailbox, events, notes: Notes::new() };
            snapshot.mailboxes.insert(known.mailbox.id, known);
        }
        if unwatched.is_empty() {
            let told = |name: &String| {
                let own = matches!(access::part(name), access::Named::Own(_));
                watching.groups.iter().any(|(which, events)| {
                    events.subscriptions && which.covers(name, own, &subscribed)
                })
            };
            snapshot.subscribed = subscribed.iter().filter(|name| told(name)).cloned().collect();
            add_notes(session, watching, account, &mut snapshot).await?;
            return Ok(snapshot);
        }
        for owner in unwatched {
            watching.watches.entry(owner).or_insert_with(|| session.store.watch(owner));
        }
    }
}

/// RFC 5465 §5: what the client wants to hear of a mailbox, as far as its rights go.
fn events(
    watching: &Watching,
    place: &Place,
    account: AccountId,
    subscribed: &BTreeSet<String>,
) -> Events {
    let (name, own) = (&place.mailbox.name, !place.is_shared(account));
    let covering = watching.groups.iter().filter(|(which, _)| which.covers(name, own, subscribed));
    let mut events = covering.fold(Events::default(), |all, (_, events)| all.with(*events));
    if !access::allows(place.rights, Act::Read) {
        (events.messages, events.flags) = (false, false);
    }
    events.metadata &= access::allows(place.rights, Act::ReadMetadata);
    events
}

async fn add_notes(
    session: &Session,
    watching: &Watching,
    account: AccountId,
    snapshot: &mut Snapshot,
) -> Result<(), Fail> {
    let of_server = watching.groups.iter().any(|(_, events)| events.server_metadata);
    let of_mailboxes = snapshot.mailboxes.values().any(|known| known.events.metadata);
    if !of_server && !of_mailboxes {
        return Ok(());
    }
    for (mailbox, name, digest) in session.store.metadata_digests(account).await? {
        let notes = match mailbox {
            None if of_server => Some(&mut snapshot.server),
            None => None,
            Some(mailbox) => {
                let known = snapshot.mailboxes.get_mut(&mailbox);
                known.filter(|known| known.events.metadata).map(|known| &mut known.notes)
            }
        };
        if let Some(notes) = notes {
            notes.insert(name, digest);
        }
    }
    Ok(())
}

/// RFC 5465 §3.1: names that the client gave, may know of, and cannot hear of.
async fn no_access(
    connection: &mut Connection<'_>,
    session: &Session,
    watching: &Watching,
) -> Result<(), Fail> {
    for (which, _) in watching.groups.iter().filter(|(_, events)| events.messages) {
        let (Which::Named(names) | Which::Subtree(names)) = which else { continue };
        for name in names {
            let place = access::find_named(session, name).await?;
            if let Some(place) = place.filter(|place| place.need(Act::Read).is_err()) {
                let out = &mut connection.out;
                out.raw("* LIST (\\NoAccess) \"/\" ").mailbox(&place.mailbox.name).line_end();
            }
        }
    }
    Ok(())
}

/// RFC 5465 §3.1: STATUS before the tagged response.
async fn tell_status(
    connection: &mut Connection<'_>,
    session: &Session,
    known: &Snapshot,
) -> Result<(), Fail> {
    let selected = selected(session);
    for known in known.mailboxes.values() {
        if !known.events.messages || Some(known.mailbox.id) == selected {
            continue;
        }
        let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
        if known.events.flags {
            items.push(StatusItem::HighestModSeq);
        }
        let beside = status::beside(session, &known.mailbox, &items).await?;
        status::write(&mut connection.out, &known.mailbox, &items, beside);
        connection.relieve().await?;
    }
    Ok(())
}

fn selected(session: &Session) -> Option<MailboxId> {
    match &session.state {
        State::Selected(_, selected) => Some(selected.mailbox),
        _ => None,
    }
}

/// Between two commands: waits for the next one, and tells meanwhile what happens. Gives back at once
/// where nothing is watched.
pub async fn wait(
    connection: &mut Connection<'_>,
    session: &mut Session,
    deadline: Instant,
) -> Result<(), Lost> {
    let mut again = Instant::now() + AT_LEAST_EVERY;
    while session.notify.is_some() && session.is_logged_in() && connection.input().is_empty() {
        let Session { state, notify, .. } = session;
        tokio::select! {
            filled = connection.fill(deadline) => return filled,
            () = rung(state, notify.as_deref_mut()) => {}
            () = tokio::time::sleep_until(again) => {}
        }
        // Boxed: a session that waits is not to be as large as a look.
        let told = Box::pin(async {
            if session.may_stay(connection).await {
                tell_selected(connection, session).await?;
                tell_others(connection, session).await?;
            }
            Ok(())
        });
        let pause = match told.await {
            Err(Fail::Lost(lost)) => return Err(lost),
            Err(Fail::Refused(_)) => AGAIN_AFTER, // it has been logged
            Ok(()) => AT_LEAST_EVERY,
        };
        again = Instant::now() + pause;
    }
    Ok(())
}

/// Waits for a change in what is watched: the selected mailbox's account, and those of NOTIFY.
pub async fn rung(state: &mut State, notify: Option<&mut Watching>) {
    let selected = match state {
        State::Selected(_, selected) => Some(&mut selected.watch),
        _ => None,
    };
    let others = notify.into_iter().flat_map(|watching| {
        watching.watches.values_mut().chain(std::iter::once(&mut watching.anyone))
    });
    let mut bells: Vec<_> =
        selected.into_iter().chain(others).map(|w| Box::pin(w.changed())).collect();
    let any = poll_fn(|context| {
        let rung = bells.iter_mut().any(|bell| bell.as_mut().poll(context).is_ready());
        if rung { Poll::Ready(()) } else { Poll::Pending }
    });
    pin!(any).await;
}

/// What happened in the selected mailbox, if the client wants to hear it when it happens.
async fn tell_selected(connection: &mut Connection<'_>, session: &mut Session) -> Result<(), Fail> {
    let Some(group) = session.notify.as_ref().and_then(|watching| watching.selected.clone()) else {
        return Ok(());
    };
    if !group.events.messages {
        return Ok(());
    }
    news::tell_some(connection, session, !group.delayed, group.events.flags).await?;
    let State::Selected(_, selected) = &mut session.state else { return Ok(()) };
    let view = &selected.view;
    let told = selected.told.0.saturating_add(1);
    let places: Vec<u32> = view.places_from(Uid(told)).collect();
    selected.told = selected.told.max(view.last_uid());
    match group.items.is_empty() {
        true => Ok(()),
        false => fetch::tell_new(connection, session, &group.items, &places).await,
    }
}

/// What happened elsewhere.
pub async fn tell_others(
    connection: &mut Connection<'_>,
    session: &mut Session,
) -> Result<(), Fail> {
    if !session.is_logged_in() {
        return Ok(());
    }
    let Some(mut watching) = session.notify.take_if(|watching| !watching.groups.is_empty()) else {
        return Ok(());
    };
    let now = look(session, &mut watching).await;
    let now = match now {
        Ok(now) => now,
        Err(fail) => {
            session.notify = Some(watching);
            return Err(fail);
        }
    };
    let found = changes(&watching.known, &now, selected(session), session.enabled.condstore);
    if found.len() > MAX_CHANGES || now.mailboxes.len() > MAX_MAILBOXES {
        // RFC 5465 §5.8: as if NOTIFY NONE had been said.
        connection.out.raw("* OK [NOTIFICATIONOVERFLOW] That is too much to tell\r\n");
        return Ok(());
    }
    watching.known = now;
    let told = tell(connection, session, &watching.known, &found).await;
    session.notify = Some(watching);
    told
}

async fn tell(
    connection: &mut Connection<'_>,
    session: &Session,
    known: &Snapshot,
    found: &[Change],
) -> Result<(), Fail> {
    // By the store's word, not the snapshot's: it has those of wanted names only.
    let subscribed = match found.iter().any(|change| matches!(change, Change::Listed { .. })) {
        true => session.store.subscriptions(session.account()?).await?,
        false => Vec::new(),
    };
    for change in found {
        match change {
            Change::Listed { name, old_name } => {
                let subscribed = subscribed.contains(name);
                listed(&mut connection.out, known, name, old_name.as_deref(), subscribed);
            }
            Change::Gone(name) => {
                let out = &mut connection.out;
                out.raw("* LIST (\\NonExistent) \"/\" ").mailbox(name).line_end();
            }
            Change::Counted(id, items) => {
                let Some(known) = known.mailboxes.get(id) else { continue };
                let beside = status::beside(session, &known.mailbox, items).await?;
                status::write(&mut connection.out, &known.mailbox, items, beside);
            }
            Change::Noted(name, entries) => {
                connection.out.raw("* METADATA ").mailbox(name);
                for entry in entries {
                    connection.out.raw(" ").string(entry.as_bytes());
                }
                connection.out.line_end();
            }
        }
        connection.relieve().await?;
    }
    Ok(())
}

/// RFC 5465 §5.4, §5.5: every attribute as it is.
fn listed(out: &mut Out, known: &Snapshot, name: &str, old_name: Option<&str>, subscribed: bool) {
    let below = format!("{name}{DELIMITER}");
    let mut names = known.mailboxes.values().map(|known| &known.mailbox.name);
    let children = names.any(|other| other.starts_with(&below));
    let mut mailboxes = known.mailboxes.values();
    let mailbox = mailboxes.find(|known| known.mailbox.name == name).map(|known| &known.mailbox);
    out.raw("* LIST (").raw(if children { "\\HasChildren" } else { "\\HasNoChildren" });
    if mailbox.is_none() {
        out.raw(" \\NonExistent");
    }
    if subscribed {
        out.raw(" \\Subscribed");
    }
    if let Some(role) = mailbox.and_then(list::special_use) {
        out.raw(" ").raw(role);
    }
    out.raw(") \"/\" ").mailbox(name);
    if let Some(old_name) = old_name {
        out.raw(" (\"OLDNAME\" (").mailbox(old_name).raw("))");
    }
    out.line_end();
}
