//! FETCH (RFC 9051 §6.4.5, §7.5.2).
//!
//! Messages are fetched in slices: the store is asked once per slice for summaries and contents, and
//! once to mark as seen. While a slice is written, the next ones are read, side by side. What does not need the store
//! (FLAGS, UID, INTERNALDATE, RFC822.SIZE, MODSEQ) comes from the view. Responses are written straight
//! into the output buffer, which is sent whenever it is full, so that memory stays flat however much
//! is fetched.

pub mod body;
mod message;

use std::collections::{BTreeMap, VecDeque};

use waxwing_message::Summary;
use waxwing_store::{
    Bring, Brought, Entry, FlagChange, Flags, MailboxId, MessageId, Row, Store, StoredSummary,
    SystemFlags, ThreadId, Uid,
};

use super::{pick, resync};
use crate::connection::Connection;
use crate::limit::{self, Exceeded};
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::selected::{Picked, View};
use crate::session::Session;
use crate::wire::command::{Fetch, FetchItem, SectionText};
use crate::wire::parse_fetch::Modifiers;
use crate::wire::sequence::{SequenceSet, merged};

/// How many messages at a time, and how many octets of them, or one.
const SLICE: usize = 200;
const SLICE_OCTETS: u64 = 1024 * 1024;
/// Slices that are being read while one is written. Contents are decompressed: one alone would not keep
/// the connection busy.
const SLICES_AHEAD: usize = 2;

/// What a FETCH takes.
struct Plan {
    items: Vec<FetchItem>,
    overview: bool,
    /// The whole summary.
    summary: bool,
    content: bool,
    /// What the view has not kept of the store's entries.
    entry: bool,
    thread: bool,
    sets_seen: bool,
    /// From the highest UID down (RFC 9738 §3.1).
    highest_first: bool,
}

/// What the store is asked for.
#[derive(Debug, Clone, Copy)]
struct Wants {
    messages: Option<Bring>,
    entries: bool,
    threads: bool,
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
    let limit = session.settings.message_limit;
    let mut picked = pick(session, &fetch.set, uid)?;
    if let Some(partial) = partial {
        picked = picked.part(partial);
        if let Some(limit) = limit.filter(|&limit| picked.len() > limit as usize) {
            return Err(limit::refuse(limit)); // RFC 9738 §3.1
        }
    }
    let last = match limit {
        Some(limit) => last_within(&picked, &session.selected()?.view, since, limit),
        None => None,
    };
    // RFC 9586 §3.3: with UIDFETCH it is told already.
    let mut plan = Plan::new(uid && !session.enabled.uid_only, fetch);
    let exceeded = last.as_ref().map(|(_, exceeded)| *exceeded);
    plan.highest_first = exceeded.is_some();
    // RFC 7162 §3.1; CHANGEDSINCE asks for it too.
    session.enabled.condstore |= plan.items.contains(&FetchItem::ModSeq);
    let mut shortfall = Shortfall::default();
    let places: Box<dyn Iterator<Item = u32> + Send> = match &last {
        None => Box::new(picked.iter()),
        Some((places, _)) => Box::new(places.iter().rev().copied()),
    };
    let mut slices = Slices { plan: &plan, places, since };
    let store = session.store.clone();
    let mailbox = session.selected()?.mailbox;
    let mut slice = slices.next(&session.selected()?.view);
    let mut brought = bring(&store, mailbox, plan.wants(), &slice).await?;
    let mut ahead = VecDeque::new();
    while !slice.places.is_empty() {
        while ahead.len() < SLICES_AHEAD {
            let next = slices.next(&session.selected()?.view);
            if next.places.is_empty() {
                break;
            }
            let (store, wants) = (store.clone(), plan.wants());
            ahead.push_back(tokio::spawn(async move {
                let read = bring(&store, mailbox, wants, &next).await?;
                Ok::<_, Fail>((next, read))
            }));
        }
        write_slice(connection, session, &plan, slice, brought, &mut shortfall).await?;
        (slice, brought) = match ahead.pop_front() {
            Some(next) => next.await.map_err(broken_off)??,
            None => Default::default(),
        };
    }
    let tagged = if shortfall.unknown_encoding {
        Tagged::no("UNKNOWN-CTE", "A part has an unknown transfer encoding")
    } else if shortfall.gone && !uid {
        // RFC 2180 §4.1.2; UID FETCH passes over UIDs that are not there.
        Tagged::no("EXPUNGEISSUED", "Some of the messages are gone")
    } else {
        Tagged::ok("Fetched")
    };
    Ok(limit::tell(connection, exceeded, tagged))
}

/// The last of the messages, when there are more than the limit: those that CHANGEDSINCE leaves out do not
/// count.
fn last_within(
    picked: &Picked,
    view: &View,
    since: Option<u64>,
    limit: u32,
) -> Option<(Vec<u32>, Exceeded)> {
    let asked =
        picked.iter().rev().filter(|&place| view.row(place).is_some_and(|row| changed(row, since)));
    let mut places: Vec<u32> = asked.take(limit as usize + 1).collect();
    if places.len() <= limit as usize {
        return None;
    }
    places.pop();
    places.reverse();
    let lowest = view.row(*places.first()?)?.uid();
    Some((places, Exceeded::new(limit, lowest)))
}

/// RFC 7162 §3.1.4.1: whether a message is fetched, for its modseq is higher.
fn changed(row: &Row, since: Option<u64>) -> bool {
    since.is_none_or(|since| row.modseq().0 > since)
}

/// What NOTIFY tells of new messages (RFC 5465 §5.2): nothing is marked as seen by it.
pub async fn tell_new(
    connection: &mut Connection<'_>,
    session: &mut Session,
    items: &[FetchItem],
    places: &[u32],
) -> Result<(), Fail> {
    let plan = Plan { sets_seen: false, ..Plan::of(items.to_vec()) };
    let mut slices = Slices { plan: &plan, places: places.iter().copied(), since: None };
    let store = session.store.clone();
    let mailbox = session.selected()?.mailbox;
    loop {
        let slice = slices.next(&session.selected()?.view);
        if slice.places.is_empty() {
            return Ok(());
        }
        let brought = bring(&store, mailbox, plan.wants(), &slice).await?;
        // One that is gone again is not told of.
        let shortfall = &mut Shortfall::default();
        write_slice(connection, session, &plan, slice, brought, shortfall).await?;
    }
}

/// Some messages, in the order of the mailbox.
#[derive(Default)]
struct Slice {
    places: Vec<u32>,
    uids: Vec<Uid>,
}

/// All that are fetched, slice by slice.
struct Slices<'p, P> {
    plan: &'p Plan,
    places: P,
    /// See [`changed`].
    since: Option<u64>,
}

impl<P: Iterator<Item = u32>> Slices<'_, P> {
    /// Empty at the end.
    fn next(&mut self, view: &View) -> Slice {
        let mut slice = Slice::default();
        let mut octets = 0;
        while slice.places.len() < SLICE && octets < SLICE_OCTETS {
            let Some(place) = self.places.next() else { break };
            let row = view.row(place).filter(|row| changed(row, self.since));
            let Some(row) = row else { continue };
            slice.places.push(place);
            slice.uids.push(row.uid());
            if self.plan.content {
                octets += row.size_octets();
            }
        }
        if self.plan.highest_first {
            slice.places.reverse();
            slice.uids.reverse();
        }
        slice
    }
}

/// What the store has of a slice.
#[derive(Default)]
struct Read {
    messages: Vec<Brought>,
    entries: Vec<Entry>,
    threads: BTreeMap<MessageId, ThreadId>,
}

async fn bring(
    store: &Store,
    mailbox: MailboxId,
    wants: Wants,
    slice: &Slice,
) -> Result<Read, Fail> {
    let mut read = Read::default();
    if slice.uids.is_empty() {
        return Ok(read);
    }
    if let Some(what) = wants.messages {
        read.messages = store.bring(mailbox, &slice.uids, what).await?;
    }
    if wants.entries {
        read.entries = store.entries_of(mailbox, &slice.uids).await?;
    }
    if wants.threads {
        let messages: Vec<_> = read.entries.iter().map(|entry| entry.message).collect();
        read.threads = store.threads_in(mailbox, &messages).await?;
    }
    Ok(read)
}

/// Reading ahead panicked, or the server ends.
fn broken_off(error: tokio::task::JoinError) -> Fail {
    tracing::error!(%error, "reading for FETCH broke off");
    Fail::no("SERVERBUG", "The messages could not be read")
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
        let thread = items.contains(&FetchItem::ThreadId);
        Plan {
            overview: items.contains(&FetchItem::Envelope),
            summary: items.iter().any(needs_summary),
            content: items.iter().any(needs_content),
            entry: items
                .iter()
                .any(|item| matches!(item, FetchItem::EmailId | FetchItem::SaveDate))
                || thread,
            thread,
            sets_seen: items.iter().any(FetchItem::sets_seen),
            highest_first: false,
            items,
        }
    }

    fn wants(&self) -> Wants {
        Wants { messages: self.reads_messages(), entries: self.entry, threads: self.thread }
    }

    fn reads_messages(&self) -> Option<Bring> {
        match (self.overview || self.summary, self.content) {
            (true, true) => Some(Bring::Both),
            (true, false) => Some(Bring::Summaries),
            (false, true) => Some(Bring::Contents),
            (false, false) => None,
        }
    }
}

fn needs_summary(item: &FetchItem) -> bool {
    match item {
        FetchItem::Body | FetchItem::BodyStructure | FetchItem::Preview => true,
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

async fn write_slice(
    connection: &mut Connection<'_>,
    session: &mut Session,
    plan: &Plan,
    mut slice: Slice,
    mut read: Read,
    shortfall: &mut Shortfall,
) -> Result<(), Fail> {
    let newly_seen = mark_seen(connection, session, plan, &slice.places).await?;
    let enabled = session.enabled;
    let view = &session.selected()?.view;
    if plan.highest_first {
        slice.places.reverse();
        slice.uids.reverse();
        read.messages.reverse();
        read.entries.reverse();
    }
    let (mut messages, mut entries) =
        (read.messages.iter().peekable(), read.entries.iter().peekable());
    for (&place, &uid) in slice.places.iter().zip(&slice.uids) {
        let message = messages.next_if(|message| message.uid == uid);
        let entry = entries.next_if(|entry| entry.uid == uid);
        if (plan.reads_messages().is_some() && message.is_none()) || (plan.entry && entry.is_none())
        {
            shortfall.gone = true;
            continue;
        }
        let stored = message.and_then(|message| message.summary.as_ref());
        let overview = stored.filter(|_| plan.overview).map(StoredSummary::overview).transpose()?;
        let summary = stored.filter(|_| plan.summary).map(StoredSummary::read).transpose()?;
        let message = message::Message {
            view,
            place,
            enabled,
            overview: overview.as_ref(),
            summary: summary.as_ref(),
            content: message.and_then(|message| message.content.as_ref()),
            entry,
            thread: entry.and_then(|entry| read.threads.get(&entry.message)).copied(),
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
    if let Some(news) = news::gather(&store, selected, enabled.condstore).await? {
        let view = &mut selected.view;
        let news = view.news_of_others(news, &uids);
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
