//! FETCH (RFC 9051 §6.4.5, §7.5.2).
//!
//! Messages are fetched in slices: the store is asked once per slice for summaries, and once to
//! mark as seen. What does not need the store (FLAGS, UID, INTERNALDATE, RFC822.SIZE, MODSEQ) comes
//! from the view. Responses are written straight into the output buffer, which is sent whenever it
//! is full, so that memory stays flat however much is fetched.

pub mod body;
mod message;

use waxwing_message::Summary;
use waxwing_store::{FlagChange, Flags, MailboxId, Row, Store, SystemFlags, Uid};

use super::{pick, resync};
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::command::{Fetch, FetchItem, SectionText};
use crate::wire::parse_fetch::Modifiers;
use crate::wire::sequence::{SequenceSet, merged};

/// How many messages at a time.
const SLICE: usize = 200;

/// What a FETCH takes.
struct Plan {
    items: Vec<FetchItem>,
    summary: bool,
    content: bool,
    /// What the view has not kept of the store's entries.
    entry: bool,
    sets_seen: bool,
}

/// What was left out.
#[derive(Debug, Default)]
struct Shortfall {
    /// Messages that are gone from the store.
    gone: bool,
    /// Parts whose transfer encoding is not known (RFC 3516 §4.3).
    unknown_encoding: bool,
}

/// The command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    uid: bool,
    fetch: &Fetch,
) -> Done {
    let Modifiers { changed_since: since, vanished, partial } = fetch.modifiers;
    if (vanished || partial.is_some()) && !uid {
        return Err(Fail::bad("That modifier is for UID FETCH")); // RFC 7162 §3.2.6, RFC 9394 §3.3
    }
    if vanished {
        tell_vanished(connection, session, fetch).await?;
    }
    let mut picked = pick(session, &fetch.set, uid)?;
    if let Some(partial) = partial {
        picked = picked.part(partial);
    }
    // RFC 9586 §3.3: with UIDFETCH it is told already.
    let plan = Plan::new(uid && !session.enabled.uid_only, fetch);
    // RFC 7162 §3.1; CHANGEDSINCE asks for it too.
    session.enabled.condstore |= plan.items.contains(&FetchItem::ModSeq);
    let mut shortfall = Shortfall::default();
    let mut places = picked.iter();
    loop {
        let view = &session.selected()?.view;
        let changed = |place: &u32| {
            since.is_none_or(|since| view.row(*place).is_some_and(|row| row.modseq().0 > since))
        };
        let slice: Vec<u32> = places.by_ref().filter(changed).take(SLICE).collect();
        if slice.is_empty() {
            break;
        }
        fetch_slice(connection, session, &plan, &slice, &mut shortfall).await?;
    }
    if shortfall.unknown_encoding {
        return Err(Fail::no("UNKNOWN-CTE", "A part has an unknown transfer encoding"));
    }
    if shortfall.gone && !uid {
        // RFC 2180 §4.1.2; UID FETCH passes over UIDs that are not there.
        return Err(Fail::no("EXPUNGEISSUED", "Some of the messages are gone"));
    }
    Ok(Tagged::ok("Fetched"))
}

/// What NOTIFY tells of new messages (RFC 5465 §5.2): nothing is marked as seen by it.
pub async fn tell_new(
    connection: &mut Connection<'_>,
    session: &mut Session,
    items: &[FetchItem],
    places: &[u32],
) -> Result<(), Fail> {
    let plan = Plan { sets_seen: false, ..Plan::of(items.to_vec()) };
    for slice in places.chunks(SLICE) {
        // One that is gone again is not told of.
        fetch_slice(connection, session, &plan, slice, &mut Shortfall::default()).await?;
    }
    Ok(())
}

/// RFC 7162 §3.2.6.
async fn tell_vanished(
    connection: &mut Connection<'_>,
    session: &mut Session,
    fetch: &Fetch,
) -> Result<(), Fail> {
    let Some(since) = fetch.modifiers.changed_since else {
        return Err(Fail::bad("VANISHED needs CHANGEDSINCE"));
    };
    if !session.enabled.qresync {
        return Err(Fail::bad("ENABLE QRESYNC first"));
    }
    let store = session.store.clone();
    let selected = session.selected()?;
    let asked = match &fetch.set {
        SequenceSet::Saved => merged(selected.saved.iter().copied()),
        set => merged(set.resolved(u32::MAX)), // `*` is above all that vanished
    };
    resync::before_fetch(connection, &store, selected.mailbox, &selected.view, since, &asked).await
}

impl Plan {
    fn new(uid: bool, fetch: &Fetch) -> Plan {
        let mut items = Vec::with_capacity(fetch.items.len() + 2);
        if uid {
            items.push(FetchItem::Uid); // RFC 9051 §6.4.9
        }
        items.extend(fetch.items.iter().filter(|item| !(uid && **item == FetchItem::Uid)).cloned());
        if fetch.modifiers.changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq); // RFC 7162 §3.1.4.1
        }
        Plan::of(items)
    }

    fn of(items: Vec<FetchItem>) -> Plan {
        Plan {
            summary: items.iter().any(needs_summary),
            content: items.iter().any(needs_content),
            entry: items
                .iter()
                .any(|item| matches!(item, FetchItem::EmailId | FetchItem::SaveDate)),
            sets_seen: items.iter().any(FetchItem::sets_seen),
            items,
        }
    }
}

fn needs_summary(item: &FetchItem) -> bool {
    match item {
        FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure | FetchItem::Preview => {
            true
        }
        FetchItem::Rfc822Header | FetchItem::Rfc822Text => true,
        FetchItem::Section { section, .. } => {
            !(section.part.is_empty() && section.text == SectionText::Whole)
        }
        FetchItem::Binary { part, .. } | FetchItem::BinarySize(part) => !part.is_empty(),
        _ => false,
    }
}

fn needs_content(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Section { .. }
            | FetchItem::Rfc822
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Text
            | FetchItem::Binary { .. }
            | FetchItem::BinarySize(_)
    )
}

async fn fetch_slice(
    connection: &mut Connection<'_>,
    session: &mut Session,
    plan: &Plan,
    places: &[u32],
    shortfall: &mut Shortfall,
) -> Result<(), Fail> {
    let newly_seen = mark_seen(connection, session, plan, places).await?;
    let enabled = session.enabled;
    let store = session.store.clone();
    let selected = session.selected()?;
    let (view, mailbox) = (&selected.view, selected.mailbox);
    let uids: Vec<Uid> =
        places.iter().filter_map(|&place| view.row(place)).map(|row| row.uid()).collect();
    let summaries = match plan.summary {
        true => store.summaries(mailbox, &uids).await?,
        false => Vec::new(),
    };
    let mut summaries = summaries.into_iter().peekable();
    let entries = match plan.entry {
        true => store.entries_of(mailbox, &uids).await?,
        false => Vec::new(),
    };
    for (&place, &uid) in places.iter().zip(&uids) {
        while summaries.next_if(|(at, _)| *at < uid).is_some() {}
        let summary = summaries.next_if(|(at, _)| *at == uid).map(|(_, summary)| summary);
        let content = match plan.content {
            true => store.content(mailbox, uid).await?,
            false => None,
        };
        let entry =
            entries.binary_search_by_key(&uid, |entry| entry.uid).ok().map(|at| &entries[at]);
        let lacks = (plan.summary && summary.is_none())
            || (plan.content && content.is_none())
            || (plan.entry && entry.is_none());
        if lacks {
            shortfall.gone = true;
            continue;
        }
        let message = message::Message {
            view,
            place,
            enabled,
            summary: summary.as_ref(),
            content: content.as_ref(),
            entry,
            newly_seen: newly_seen.binary_search(&uid).is_ok(),
        };
        match message.write(connection, &plan.items).await {
            Err(message::Unwritten::UnknownEncoding) => shortfall.unknown_encoding = true,
            Err(message::Unwritten::Fail(fail)) => return Err(fail),
            Ok(()) => connection.relieve().await?,
        }
    }
    Ok(())
}

/// Sets \Seen where BODY[…] and its like do so. Gives the UIDs that it was news for.
/// What others did meanwhile is told with it.
async fn mark_seen(
    connection: &mut Connection<'_>,
    session: &mut Session,
    plan: &Plan,
    places: &[u32],
) -> Result<Vec<Uid>, Fail> {
    let enabled = session.enabled;
    let store = session.store.clone();
    let selected = session.selected()?;
    // RFC 4314 §4: not without `s`.
    if !plan.sets_seen || !selected.alterable().system.contains(SystemFlags::SEEN) {
        return Ok(Vec::new());
    }
    let unseen = |place: &u32| {
        let row = selected.view.row(*place)?;
        (!row.system().contains(SystemFlags::SEEN)).then_some(row.uid())
    };
    let uids: Vec<Uid> = places.iter().filter_map(unseen).collect();
    if uids.is_empty() {
        return Ok(uids);
    }
    let seen = Flags { system: SystemFlags::SEEN, keywords: None };
    store.store_flags(selected.mailbox, &uids, FlagChange::Add(seen), None).await?;
    if let Some(mut news) = news::gather(&store, selected, enabled.condstore).await? {
        let view = &mut selected.view;
        let ours = |row: &Row| uids.binary_search(&row.uid()).is_ok();
        news.altered.retain(|&place| !view.row(place).is_some_and(ours));
        news::write(connection, view, &news, false, enabled).await?;
    }
    Ok(uids)
}

/// A message's header, for SEARCH; `None` when the message is gone.
pub async fn header_of(
    store: &Store,
    mailbox: MailboxId,
    uid: Uid,
    summary: &Summary,
) -> Result<Option<Vec<u8>>, Fail> {
    let Some(root) = summary.parts.first() else { return Ok(None) };
    match store.content(mailbox, uid).await? {
        Some(content) => Ok(Some(body::header(&content, root.header).await?)),
        None => Ok(None),
    }
}
