//! STORE (RFC 9051 §6.4.6) with UNCHANGEDSINCE (RFC 7162 §3.1.3).

use std::collections::HashMap;
use std::sync::Arc;

use waxwing_store::{FlagChange, FlagMask, Flags, ModSeq, Roll, SystemFlags, Uid};

use super::pick;
use crate::connection::Connection;
use crate::limit;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::selected::View;
use crate::session::Session;
use crate::wire::command::{FlagList, StoreFlags, StoreHow};
use crate::wire::out::set_text;

/// So many messages are altered in one transaction, so that the store's other users get their turn.
const SLICE: usize = 10_000;

/// The command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    uid: bool,
    store: &StoreFlags,
) -> Done {
    let mask = check_rights(session, store)?;
    session.enabled.condstore |= store.unchanged_since.is_some();
    let picked = pick(session, &store.set, uid)?;
    let view = &session.selected()?.view;
    let mut uids: Vec<Uid> =
        picked.iter().filter_map(|place| view.row(place)).map(|row| row.uid()).collect();
    let exceeded = limit::keep_last(&mut uids, session.settings.message_limit);
    let mut modified = Vec::new();
    let mut missing = false;
    for slice in limit::slices(&uids, SLICE, exceeded) {
        let outcome = alter(connection, session, store, mask, slice).await?;
        missing |= outcome.missing;
        modified.extend(outcome.modified);
    }
    let tagged = if !modified.is_empty() {
        modified.sort_unstable();
        Tagged::ok("Some were altered by others first")
            .with(modified_code(session, uid, &modified)?)
    } else if missing && !uid {
        // RFC 2180 §4.2.1
        Tagged::no("EXPUNGEISSUED", "Some of the messages are gone")
    } else {
        Tagged::ok("Stored")
    };
    Ok(limit::tell(connection, exceeded, tagged))
}

/// RFC 4314 §4: flags are altered as far as the rights go; it is refused when none of those given
/// can be.
fn check_rights(session: &mut Session, store: &StoreFlags) -> Result<FlagMask, Fail> {
    let selected = session.selected()?;
    if selected.examined {
        return Err(Fail::no("", "The mailbox is selected read-only"));
    }
    let mask = selected.alterable();
    let given = to_flags(&store.flags);
    let nothing_given = given == Flags::default();
    if mask.is_empty() || (!nothing_given && mask.of(given) == Flags::default()) {
        return Err(Fail::no("NOPERM", "You do not have the right to alter those flags"));
    }
    Ok(mask)
}

struct Outcome {
    modified: Vec<Uid>,
    /// Some are no longer in the mailbox.
    missing: bool,
}

async fn alter(
    connection: &mut Connection<'_>,
    session: &mut Session,
    store: &StoreFlags,
    mask: FlagMask,
    uids: &[Uid],
) -> Result<Outcome, Fail> {
    let enabled = session.enabled;
    let handle = session.store.clone();
    let selected = session.selected()?;
    let since = store.unchanged_since.map(ModSeq);
    let before = selected.view.shown().clone();
    let results =
        handle.store_flags(selected.mailbox, uids, flag_change(store, mask), since).await?;
    let answered = results.entries.len() + results.modified.len();
    let outcome = Outcome { modified: results.modified, missing: answered < uids.len() };
    let Some(news) = news::gather(&handle, selected, enabled.condstore).await? else {
        return Ok(outcome);
    };
    let view = &mut selected.view;
    // The UIDs ascend, for they were picked in the order of the mailbox.
    let mut news = view.news_of_others(news, uids);
    let mut expecting = Expecting { store, known: HashMap::new() };
    for entry in &results.entries {
        let Some(place) = before.place_of(entry.uid) else { continue };
        // RFC 9051 §6.4.6: with .SILENT the client assumes what it asked for; it is told when
        // another's change came between, or when it wants modseqs (RFC 7162 §3.1.3).
        if !store.silent || enabled.condstore || !expecting.finds(&before, view, place) {
            news.altered.push(place);
        }
    }
    news.altered.sort_unstable();
    news::write(connection, view, &news, false, enabled).await?;
    Ok(outcome)
}

/// Whether messages have the flags that a silent client takes them to have. Most messages are alike,
/// so that few must be thought about.
struct Expecting<'s> {
    store: &'s StoreFlags,
    known: HashMap<[(SystemFlags, u32); 2], bool>,
}

impl Expecting<'_> {
    /// The message at that place, which the client knew as it was `before`.
    fn finds(&mut self, before: &Roll, view: &View, place: u32) -> bool {
        let (Some(was), Some(is)) = (before.row(place), view.row(place)) else { return false };
        let key = [was, is].map(|row| (row.system(), row.keywords()));
        *self.known.entry(key).or_insert_with(|| {
            same_flags(&expected_flags(self.store, before.flags(was)), &view.flags(is))
        })
    }
}

/// RFC 7162 §3.1.3: in the numbers that the command used.
fn modified_code(session: &mut Session, uid: bool, modified: &[Uid]) -> Result<String, Fail> {
    let view = &session.selected()?.view;
    let set = match uid {
        true => set_text(modified.iter().map(|uid| uid.0)),
        false => set_text(modified.iter().filter_map(|&uid| view.place_of(uid)).map(|at| at + 1)),
    };
    Ok(format!("MODIFIED {set}"))
}

fn flag_change(store: &StoreFlags, mask: FlagMask) -> FlagChange {
    let flags = mask.of(to_flags(&store.flags));
    match store.how {
        StoreHow::Set if mask == FlagMask::ALL => FlagChange::Set(flags),
        StoreHow::Set => FlagChange::SetWithin(flags, mask),
        StoreHow::Add => FlagChange::Add(flags),
        StoreHow::Remove => FlagChange::Remove(flags),
    }
}

/// Flags as the store has them: keywords sorted, each once in any case.
pub fn to_flags(list: &FlagList) -> Flags {
    let mut keywords = list.keywords.clone();
    keywords.sort_by_key(|keyword| keyword.to_ascii_lowercase());
    keywords.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    keywords.sort();
    let keywords: Option<Arc<[Arc<str>]>> =
        (!keywords.is_empty()).then(|| keywords.into_iter().map(Arc::from).collect());
    Flags { system: list.system, keywords }
}

/// What the client takes the flags to be after its command.
fn expected_flags(store: &StoreFlags, before: Flags) -> Flags {
    let given = to_flags(&store.flags);
    if store.how == StoreHow::Set {
        return given;
    }
    let given_keywords = given.keywords.as_deref().unwrap_or_default();
    let is_given = |k: &Arc<str>| given_keywords.iter().any(|g| g.eq_ignore_ascii_case(k));
    let before_keywords = before.keywords.as_deref().unwrap_or_default();
    let mut kept: Vec<Arc<str>> =
        before_keywords.iter().filter(|keyword| !is_given(keyword)).cloned().collect();
    let system = if store.how == StoreHow::Add {
        kept.extend(given_keywords.iter().cloned());
        before.system.with(given.system)
    } else {
        before.system.without(given.system)
    };
    Flags { system, keywords: Some(kept.into()) }
}

fn same_flags(a: &Flags, b: &Flags) -> bool {
    let sorted = |flags: &Flags| {
        let keywords = flags.keywords.as_deref().unwrap_or_default();
        let mut keywords: Vec<String> = keywords.iter().map(|k| k.to_ascii_lowercase()).collect();
        keywords.sort();
        keywords
    };
    a.system == b.system && sorted(a) == sorted(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(system: SystemFlags, keywords: &[&str]) -> FlagList {
        FlagList { system, keywords: keywords.iter().map(|&k| k.into()).collect() }
    }

    #[test]
    fn keywords_are_sorted_and_once() {
        let flags = to_flags(&list(SystemFlags::SEEN, &["b", "A", "B", "a"]));
        let keywords = flags.keywords.unwrap();
        assert_eq!(keywords.len(), 2);
        assert!(keywords.is_sorted());
        assert_eq!(to_flags(&FlagList::default()).keywords, None);
    }

    #[test]
    fn what_a_silent_client_assumes() {
        let before = to_flags(&list(SystemFlags::SEEN, &["x", "y"]));
        let after = |how, flags: FlagList| {
            let set = crate::wire::sequence::SequenceSet::Saved;
            let store = StoreFlags { set, unchanged_since: None, how, silent: true, flags };
            expected_flags(&store, before.clone())
        };
        let flagged = || list(SystemFlags::FLAGGED, &["X", "z"]);
        let both = SystemFlags::SEEN.with(SystemFlags::FLAGGED);
        assert!(same_flags(
            &after(StoreHow::Add, flagged()),
            &to_flags(&list(both, &["x", "y", "z"]))
        ));
        assert!(same_flags(&after(StoreHow::Set, flagged()), &to_flags(&flagged())));
        assert!(same_flags(
            &after(StoreHow::Remove, list(SystemFlags::SEEN, &["Y"])),
            &to_flags(&list(SystemFlags::default(), &["x"]))
        ));
    }
}
