//! SEARCH (RFC 9051 §6.4.4) with ESEARCH (RFC 4731), SEARCHRES (RFC 5182), WITHIN (RFC 5032) and
//! MODSEQ (RFC 7162 §3.1.5).
//!
//! A search is first made into a [`Test`], whose sets are places in the view and whose words the
//! store has looked up. Then each message is tested with as little as decides it: its row; its
//! stored summary, read for a slice of messages at once; the message's header, for fields that no
//! summary has.

mod evaluate;
mod prepare;

use jiff::Timestamp;
use waxwing_message::Summary;
use waxwing_store::{MailboxId, Store, Uid};

use self::evaluate::{Candidate, Fields, Test, Texts, decide};
use crate::commands::fetch::header_of;
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Fail, Status, Tagged};
use crate::selected::View;
use crate::session::Session;
use crate::wire::command::{Search, SearchKey, SearchReturn};
use crate::wire::out::Out;

/// How many messages at a time.
const SLICE: usize = 200;
/// After so many summaries, others have their turn.
const SUMMARIES_AT_ONCE: usize = 16;
/// BODY and TEXT in one search: each asks the store's index.
const MAX_TEXT_KEYS: usize = 20;

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
    // What is found should be what is there.
    news::tell(connection, session, uid).await?;
    let places = match find(connection, session, search).await {
        Ok(places) => places,
        Err(fail) => {
            forget_saved(session, search, &fail);
            return Err(fail);
        }
    };
    let enabled = session.enabled;
    let selected = session.selected()?;
    let returns = search.returns.unwrap_or(SearchReturn { all: true, ..SearchReturn::default() });
    if returns.save {
        selected.saved = selected.view.uid_ranges(what_is_saved(returns, &places));
    }
    let answer = Answer {
        view: &selected.view,
        uid,
        places: &places,
        with_modseq: search.keys.iter().any(SearchKey::mentions_modseq),
    };
    let SearchReturn { min, max, all, count, .. } = returns;
    if search.returns.is_none() && !enabled.rev2 {
        answer.search(connection).await?;
    } else if min || max || all || count {
        answer.esearch(&mut connection.out, tag, returns);
    } // RFC 5182 §2.1: RETURN (SAVE) alone is answered by nothing
    connection.relieve().await?;
    Ok(Tagged::ok("Searched"))
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

/// RFC 5182 §2.4: with MIN or MAX alone, only those are saved.
fn what_is_saved(returns: SearchReturn, places: &[u32]) -> Vec<u32> {
    if returns.all || returns.count || !(returns.min || returns.max) {
        return places.to_vec();
    }
    let mut saved = Vec::new();
    saved.extend(places.first().filter(|_| returns.min));
    saved.extend(places.last().filter(|_| returns.max));
    saved.dedup();
    saved
}

/// The places of the messages that fit, ascending.
async fn find(
    connection: &mut Connection<'_>,
    session: &mut Session,
    search: &Search,
) -> Result<Vec<u32>, Fail> {
    check_charset(session, search)?;
    let store = session.store.clone();
    let selected = session.selected()?;
    let texts = look_up_texts(&store, selected.mailbox, &search.keys).await?;
    let now = Timestamp::now().as_second();
    let view = &selected.view;
    let (test, fields) = prepare::prepare(view, &selected.saved, &search.keys, texts, now)?;
    let finder = Finder { store: &store, mailbox: selected.mailbox, view, test, fields };
    let mut found = Vec::new();
    let mut slice = Vec::with_capacity(SLICE);
    for place in 0..view.exists() {
        slice.push(place);
        if slice.len() == SLICE || place + 1 == view.exists() {
            finder.find_in(connection, &slice, &mut found).await?;
            slice.clear();
        }
    }
    Ok(found)
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

/// Asks the store for the messages of each BODY and TEXT key, in the order of the keys.
async fn look_up_texts(
    store: &Store,
    mailbox: MailboxId,
    keys: &[SearchKey],
) -> Result<Vec<Vec<Uid>>, Fail> {
    let mut wanted = Vec::new();
    prepare::text_keys(keys, &mut wanted);
    if wanted.len() > MAX_TEXT_KEYS {
        return Err(Fail::no("LIMIT", "Too many texts to search for at once"));
    }
    let mut texts = Vec::with_capacity(wanted.len());
    for (text, headers_too) in wanted {
        let text = prepare::text_of(text)?;
        texts.push(store.search_text(mailbox, &text, headers_too).await?);
    }
    Ok(texts)
}

struct Finder<'a> {
    store: &'a Store,
    mailbox: MailboxId,
    view: &'a View,
    test: Test,
    fields: Fields,
}

impl Finder<'_> {
    /// Those of a slice that fit.
    async fn find_in(
        &self,
        connection: &mut Connection<'_>,
        places: &[u32],
        found: &mut Vec<u32>,
    ) -> Result<(), Fail> {
        connection.breathe().await?;
        let Finder { view, test, .. } = self;
        let mut open: Vec<Uid> = Vec::new();
        let mut verdicts: Vec<Option<bool>> = Vec::with_capacity(places.len());
        for &place in places {
            let Some(row) = view.row(place) else { continue };
            let verdict = match view.is_gone(row.uid()) {
                true => Some(false),
                false => decide(test, &Candidate { view, place, row, summary: None, texts: None }),
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
                let verdict = self.read(connection, place, uid, &summary).await?;
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

    /// The verdict by the summary, or by the header if that is not enough.
    async fn read(
        &self,
        connection: &mut Connection<'_>,
        place: u32,
        uid: Uid,
        summary: &Summary,
    ) -> Result<Option<bool>, Fail> {
        let Finder { view, test, .. } = self;
        let Some(row) = view.row(place) else { return Ok(None) };
        let mut texts = Texts::new(&self.fields, &summary.overview);
        let known = Candidate { view, place, row, summary: Some(summary), texts: Some(&texts) };
        if let Some(verdict) = decide(test, &known) {
            return Ok(Some(verdict));
        }
        let Some(header) = header_of(self.store, self.mailbox, uid, summary).await? else {
            return Ok(None); // gone meanwhile
        };
        connection.breathe().await?; // headers may be large
        texts.add_header(&self.fields, &header);
        let known = Candidate { view, place, row, summary: Some(summary), texts: Some(&texts) };
        Ok(decide(test, &known))
    }
}

struct Answer<'a> {
    view: &'a View,
    uid: bool,
    places: &'a [u32],
    with_modseq: bool,
}

impl Answer<'_> {
    fn number(&self, place: u32) -> u32 {
        match self.view.row(place) {
            Some(row) if self.uid => row.uid().0,
            _ => place + 1,
        }
    }

    /// RFC 3501 §7.2.5: one response, however long.
    async fn search(&self, connection: &mut Connection<'_>) -> Result<(), Fail> {
        connection.out.raw("* SEARCH");
        for &place in self.places {
            connection.out.raw(" ").number(self.number(place));
            connection.relieve().await?;
        }
        if let Some(modseq) = self.highest(self.places) {
            connection.out.raw(" (MODSEQ ").number(modseq).raw(")");
        }
        connection.out.line_end();
        Ok(())
    }

    /// RFC 9051 §7.3.4.
    fn esearch(&self, out: &mut Out, tag: &str, returns: SearchReturn) {
        out.raw("* ESEARCH (TAG \"").raw(tag).raw("\")");
        if self.uid {
            out.raw(" UID");
        }
        if let (true, Some(&first)) = (returns.min, self.places.first()) {
            out.raw(" MIN ").number(self.number(first));
        }
        if let (true, Some(&last)) = (returns.max, self.places.last()) {
            out.raw(" MAX ").number(self.number(last));
        }
        if returns.all && !self.places.is_empty() {
            out.raw(" ALL ").set(self.places.iter().map(|&place| self.number(place)));
        }
        if returns.count {
            out.raw(" COUNT ").number(self.places.len() as u64);
        }
        // RFC 7162 §3.1.10: of what is returned.
        if let Some(modseq) = self.highest(&what_is_saved(returns, self.places)) {
            out.raw(" MODSEQ ").number(modseq);
        }
        out.line_end();
    }

    fn highest(&self, places: &[u32]) -> Option<u64> {
        let modseqs = places.iter().filter_map(|&place| self.view.row(place));
        modseqs.map(|row| row.modseq().0).max().filter(|_| self.with_modseq)
    }
}
