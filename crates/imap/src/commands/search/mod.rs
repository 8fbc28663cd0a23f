//! SEARCH (RFC 9051 §6.4.4) with ESEARCH (RFC 4731), SEARCHRES (RFC 5182), WITHIN (RFC 5032),
//! MODSEQ (RFC 7162 §3.1.5) and PARTIAL (RFC 9394).
//!
//! A search is first made into a [`Test`], whose sets are places in the view, whose words the store has
//! looked up, and whose usual header fields have been looked through in the mailbox's gist. Then each
//! message is tested with as little as decides it: its row and its line in the gist; its stored
//! summary, read for a slice of messages at once; the message's header, for fields that no summary has.

mod answer;
mod evaluate;
mod prepare;

use jiff::Timestamp;
use waxwing_message::Summary;
use waxwing_store::{Entry, MailboxId, ObjectId as _, Store, ThreadId, Uid};

use self::answer::{Answer, what_is_saved};
use self::evaluate::{Candidate, Fields, Test, Texts, decide};
use self::prepare::LookUp;
use crate::commands::fetch::header_of;
use crate::connection::Connection;
use crate::limit::{self, Exceeded};
use crate::news;
use crate::progress::Progress;
use crate::reply::{Done, Fail, Status, Tagged};
use crate::selected::View;
use crate::session::Session;
use crate::wire::command::{Search, SearchKey, SearchReturn};

/// How many messages at a time.
const SLICE: usize = 200;
/// After so many summaries, others have their turn.
const SUMMARIES_AT_ONCE: usize = 16;
/// BODY, TEXT and THREADID in one search: each asks the store.
const MAX_LOOK_UPS: usize = 20;

/// The command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: &str,
    uid: bool,
    search: &Search,
) -> Done {
    session.selected()?;
    session.enabled.condstore |= search.keys.iter().any(SearchKey::mentions_modseq);
    // What is found should be what is there; but numbers in the keys are to mean what they did.
    let renumber = uid && !search.keys.iter().any(SearchKey::mentions_numbers);
    news::tell(connection, session, renumber).await?;
    let limit = session.settings.message_limit;
    let Found { places, exceeded } = match find(connection, session, tag, search, limit).await {
        Ok(found) => found,
        Err(fail) => {
            forget_saved(session, search, &fail);
            return Err(fail);
        }
    };
    answer(connection, session, tag, "SEARCH", uid, search, &places).await?;
    let tagged = Tagged::ok("Searched");
    Ok(limit::tell(connection, exceeded, tagged))
}

/// Writes the answer of SEARCH, or of SORT, whose places are in the order of its criteria.
pub async fn answer(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: &str,
    name: &str,
    uid: bool,
    search: &Search,
    places: &[u32],
) -> Result<(), Fail> {
    let enabled = session.enabled;
    let selected = session.selected()?;
    let returns = search.returns.unwrap_or(SearchReturn { all: true, ..SearchReturn::default() });
    if returns.save {
        let mut saved = what_is_saved(returns, places);
        saved.sort_unstable();
        saved.dedup();
        selected.saved = selected.view.uid_ranges(saved);
    }
    let answer = Answer {
        view: &selected.view,
        uid,
        places,
        with_modseq: search.keys.iter().any(SearchKey::mentions_modseq),
    };
    let SearchReturn { min, max, all, count, partial, .. } = returns;
    if search.returns.is_none() && (!enabled.rev2 || name != "SEARCH") {
        answer.list(connection, name).await?;
    } else if min || max || all || count || partial.is_some() {
        answer.esearch(&mut connection.out, tag, returns);
    } // RFC 5182 §2.1: RETURN (SAVE) alone is answered by nothing
    Ok(connection.relieve().await?)
}

/// RFC 5182 §2.1: a search that was to be saved and is answered NO leaves nothing in `$`.
fn forget_saved(session: &mut Session, search: &Search, fail: &Fail) {
    let refused = matches!(fail, Fail::Refused(tagged) if tagged.status == Status::No);
    if refused
        && search.returns.is_some_and(|returns| returns.save)
        && let Ok(selected) = session.selected()
    {
        selected.saved.clear();
    }
}

/// What a search comes to.
pub struct Found {
    /// Of the messages that fit, ascending.
    pub places: Vec<u32>,
    /// Only the last messages were looked at.
    pub exceeded: Option<Exceeded>,
}

/// Looks at the messages of the mailbox, at most at so many as `limit` says: those that the search's own
/// sets have, from the last up.
pub async fn find(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: &str,
    search: &Search,
    limit: Option<u32>,
) -> Result<Found, Fail> {
    check_charset(session, search)?;
    let store = session.store.clone();
    let selected = session.selected()?;
    let answers = look_up(&store, selected.mailbox, &search.keys).await?;
    let now = Timestamp::now().as_second();
    let view = &selected.view;
    let mailbox = selected.mailbox;
    let gist = match search.keys.iter().any(prepare::asks_gist) {
        true => Some(store.gist(mailbox, view.shown()).await?),
        false => None,
    };
    let asked =
        prepare::Asked { view, saved: &selected.saved, gist: gist.as_deref(), now_secs: now };
    let (test, fields) = prepare::prepare(asked, &search.keys, answers)?;
    let entries = search.keys.iter().any(SearchKey::needs_entries);
    let lines = gist.as_ref().map(|gist| gist.finder());
    let mut finder = Finder { store: &store, mailbox, view, test, fields, entries, lines };
    let beyond = limit.and_then(|limit| first_within(&finder.test, view, limit));
    let first = beyond.map_or(0, |(first, _)| first);
    let mut places = Vec::new();
    let mut slice = Vec::with_capacity(SLICE);
    let mut progress = Progress::new(tag, view.exists());
    for place in first..view.exists() {
        slice.push(place);
        if slice.len() == SLICE || place + 1 == view.exists() {
            finder.find_in(connection, &slice, &mut places).await?;
            progress.tell(connection, place + 1).await?;
            slice.clear();
        }
    }
    Ok(Found { places, exceeded: beyond.map(|(_, exceeded)| exceeded) })
}

/// Where to begin, when the search asks of more messages than the limit (RFC 9738 §3.1: looked at, not
/// found).
fn first_within(test: &Test, view: &View, limit: u32) -> Option<(u32, Exceeded)> {
    let mut asked = (0..view.exists()).rev().filter(|&place| test.asks_of(place));
    let lowest = asked.nth(limit as usize - 1)?;
    asked.next()?; // there is one more
    Some((lowest, Exceeded::new(limit, view.row(lowest)?.uid())))
}

/// RFC 9051 §6.4.4: UTF-8 and US-ASCII are all that need be known, and all that clients send.
fn check_charset(session: &Session, search: &Search) -> Result<(), Fail> {
    match search.charset.as_deref() {
        None => Ok(()),
        // RFC 6855 §3
        Some(_) if session.enabled.utf8 && !session.enabled.rev2 => {
            Err(Fail::bad("With UTF8=ACCEPT, CHARSET is not for use"))
        }
        Some("UTF-8" | "US-ASCII") => Ok(()),
        Some(_) => Err(Fail::no("BADCHARSET (UTF-8 US-ASCII)", "Use UTF-8")),
    }
}

/// Asks the store for the messages of each key that it answers, in the order of the keys.
async fn look_up(
    store: &Store,
    mailbox: MailboxId,
    keys: &[SearchKey],
) -> Result<Vec<Vec<Uid>>, Fail> {
    let mut wanted = Vec::new();
    prepare::look_ups(keys, &mut wanted);
    if wanted.len() > MAX_LOOK_UPS {
        return Err(Fail::no("LIMIT", "Too many texts or threads to search for at once"));
    }
    let mut answers = Vec::with_capacity(wanted.len());
    for one in wanted {
        answers.push(match one {
            LookUp::Text(text, headers_too) => {
                let text = prepare::text_of(text)?;
                store.search_text(mailbox, &text, headers_too).await?
            }
            LookUp::Thread(id) => match ThreadId::of_text(id) {
                Some(thread) => store.thread_uids(mailbox, thread).await?,
                None => Vec::new(),
            },
        });
    }
    Ok(answers)
}

struct Finder<'a> {
    store: &'a Store,
    mailbox: MailboxId,
    view: &'a View,
    test: Test,
    fields: Fields,
    /// The test asks for what the view has not kept of the store's entries.
    entries: bool,
    lines: Option<waxwing_store::Finder<'a>>,
}

impl Finder<'_> {
    /// Those of a slice that fit.
    async fn find_in(
        &mut self,
        connection: &mut Connection<'_>,
        places: &[u32],
        found: &mut Vec<u32>,
    ) -> Result<(), Fail> {
        connection.breathe().await?;
        let entries = self.entries_of(places).await?;
        let (view, test) = (self.view, &self.test);
        let mut open: Vec<Uid> = Vec::new();
        let mut verdicts: Vec<Option<bool>> = Vec::with_capacity(places.len());
        for &place in places {
            let Some(row) = view.row(place) else { continue };
            let verdict = match view.is_gone(row.uid()) {
                true => Some(false),
                false => {
                    let entry = entry_of(&entries, row.uid());
                    let line = self.lines.as_mut().and_then(|lines| lines.find(row.uid()));
                    let known = Candidate { line, entry, ..Candidate::new(view, place, row) };
                    decide(test, &known)
                }
            };
            if verdict.is_none() {
                open.push(row.uid());
            }
            verdicts.push(verdict);
        }
        if !open.is_empty() {
            let summaries = self.store.summaries(self.mailbox, &open).await?;
            for (at, (uid, summary)) in summaries.into_iter().enumerate() {
                if at % SUMMARIES_AT_ONCE == SUMMARIES_AT_ONCE - 1 {
                    connection.breathe().await?;
                }
                let Some(place) = view.place_of(uid) else { continue };
                let entry = entry_of(&entries, uid);
                let verdict = self.read(connection, place, entry, &summary).await?;
                let at = place.checked_sub(places[0]).map(|at| at as usize);
                if let Some(slot) = at.and_then(|at| verdicts.get_mut(at)) {
                    *slot = verdict;
                }
            }
        }
        let fitting = places.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Some(true));
        found.extend(fitting.map(|(&place, _)| place));
        Ok(())
    }

    /// What the store has of these messages, if the test asks for it.
    async fn entries_of(&self, places: &[u32]) -> Result<Vec<Entry>, Fail> {
        if !self.entries {
            return Ok(Vec::new());
        }
        let rows = places.iter().filter_map(|&place| self.view.row(place));
        let uids: Vec<Uid> = rows.map(|row| row.uid()).collect();
        Ok(self.store.entries_of(self.mailbox, &uids).await?)
    }

    /// The verdict by the summary, or by the header if that is not enough.
    async fn read(
        &self,
        connection: &mut Connection<'_>,
        place: u32,
        entry: Option<&Entry>,
        summary: &Summary,
    ) -> Result<Option<bool>, Fail> {
        let Finder { view, test, .. } = self;
        let Some(row) = view.row(place) else { return Ok(None) };
        let read = summary;
        let mut texts = Texts::new(&self.fields, &summary.overview);
        let summary = Some(summary);
        let bare = Candidate::new(view, place, row);
        let known = Candidate { entry, summary, texts: Some(&texts), ..bare };
        if let Some(verdict) = decide(test, &known) {
            return Ok(Some(verdict));
        }
        let Some(header) = header_of(self.store, self.mailbox, row.uid(), read).await? else {
            return Ok(None); // gone meanwhile
        };
        connection.breathe().await?; // headers may be large
        texts.add_header(&self.fields, &header);
        let known = Candidate { entry, summary, texts: Some(&texts), ..bare };
        Ok(decide(test, &known))
    }
}

fn entry_of(entries: &[Entry], uid: Uid) -> Option<&Entry> {
    entries.binary_search_by_key(&uid, |entry| entry.uid).ok().map(|at| &entries[at])
}
