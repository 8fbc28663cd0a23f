//! Telling the client what has changed in its mailbox: EXPUNGE (or VANISHED), EXISTS, FETCH, FLAGS.
//!
//! EXPUNGE alters sequence numbers, so that it is told only when the client cannot be in the
//! middle of using them: not in answer to FETCH, STORE or SEARCH (RFC 9051 §7.5.1, RFC 3501
//! §7.4.1); their UID variants are safe.

use std::sync::Arc;

use waxwing_store::{Store, Uid};

use crate::access::{self, Act};
use crate::connection::{Connection, Lost};
use crate::reply::Fail;
use crate::selected::view::News;
use crate::selected::{Selected, View};
use crate::session::{Enabled, Session, State};
use crate::wire::out::Out;

/// Asks the store what has happened in the selected mailbox, if one is selected, and writes it.
pub async fn tell(
    connection: &mut Connection<'_>,
    session: &mut Session,
    expunge: bool,
) -> Result<(), Fail> {
    tell_some(connection, session, expunge, true).await
}

/// The same, perhaps without altered flags.
pub async fn tell_some(
    connection: &mut Connection<'_>,
    session: &mut Session,
    expunge: bool,
    flags: bool,
) -> Result<(), Fail> {
    rights(connection, session).await?;
    let enabled = session.enabled;
    let store = session.store.clone();
    let State::Selected(_, selected) = &mut session.state else { return Ok(()) };
    let Some(mut news) = gather(&store, selected, enabled.condstore).await? else {
        // RFC 2180 §3.3: there is no response that says so to a client and keeps it.
        connection.out.raw("* BYE The selected mailbox was deleted\r\n");
        session.state = State::Logout;
        return Ok(());
    };
    if !flags {
        news.altered.clear();
    }
    Ok(write(connection, &mut selected.view, &news, expunge, enabled).await?)
}

/// Looks whether the account still has its rights in another's mailbox that it has selected. One that
/// it may read no more ends the session (RFC 4314 §5.1.1).
pub async fn rights(connection: &mut Connection<'_>, session: &mut Session) -> Result<(), Fail> {
    let State::Selected(account, selected) = &mut session.state else { return Ok(()) };
    if !selected.shared {
        return Ok(());
    }
    let rights = session.store.rights(selected.mailbox, *account).await?;
    if !access::allows(rights, Act::List) || !access::allows(rights, Act::Read) {
        connection.out.raw("* BYE The selected mailbox is not shared with you any more\r\n");
        session.state = State::Logout;
        return Ok(());
    }
    if rights != selected.rights {
        selected.rights = rights;
        flags_response(&mut connection.out, &selected.view);
        permanent_flags(&mut connection.out, selected);
    }
    Ok(())
}

/// `* OK [PERMANENTFLAGS (…)]`: what can be altered here (RFC 4314 §5.1.1).
pub fn permanent_flags(out: &mut Out, selected: &Selected) {
    let mask = selected.alterable();
    out.raw("* OK [PERMANENTFLAGS ");
    let keywords: Vec<Arc<str>> = match mask.keywords {
        true => selected.view.known_keywords().cloned().chain(["\\*".into()]).collect(),
        false => Vec::new(),
    };
    out.flags_of(mask.system, &keywords).raw("] These are kept\r\n");
}

/// What the client must hear of, which the view knows from now on. `None`: the mailbox is there no
/// more.
pub async fn gather(
    store: &Store,
    selected: &mut Selected,
    condstore: bool,
) -> Result<Option<News>, Fail> {
    let roll = store.roll(selected.mailbox).await?;
    Ok(roll.map(|roll| selected.view.catch_up(roll, condstore)))
}

/// Writes it, and what is gone where the client may hear of it.
pub async fn write(
    connection: &mut Connection<'_>,
    view: &mut View,
    news: &News,
    expunge: bool,
    enabled: Enabled,
) -> Result<(), Lost> {
    if view.take_untold_keywords() {
        flags_response(&mut connection.out, view);
    }
    // Flags first: the places in `news` are those from before any row is taken out.
    for &place in &news.altered {
        if view.row(place).is_some_and(|row| !view.is_gone(row.uid())) {
            flags_of(&mut connection.out, view, place, enabled);
            connection.relieve().await?;
        }
    }
    let out = &mut connection.out;
    // RFC 3501 §7.3.1: EXISTS never makes a mailbox smaller. Before EXPUNGE it counts what is to be
    // expunged.
    if news.more {
        exists(out, view, enabled.rev2);
    }
    if expunge && (enabled.qresync || enabled.uid_only) {
        let gone = view.take_gone_uids();
        if !gone.is_empty() {
            // RFC 7162 §3.2.10.2, RFC 9586 §3.4
            out.raw("* VANISHED ").set(gone).line_end();
        }
    } else if expunge {
        for number in view.take_gone() {
            connection.out.raw("* ").number(number).raw(" EXPUNGE\r\n");
            connection.relieve().await?;
        }
    }
    connection.relieve().await
}

/// EXISTS, and RECENT for rev1 clients, which expect it to come along.
pub fn exists(out: &mut Out, view: &View, rev2: bool) {
    out.raw("* ").number(view.exists()).raw(" EXISTS\r\n");
    if !rev2 {
        out.raw("* 0 RECENT\r\n");
    }
}

/// `* FLAGS (…)`: the flags that occur in the mailbox.
pub fn flags_response(out: &mut Out, view: &View) {
    out.raw("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft");
    for keyword in view.known_keywords() {
        out.raw(" ").raw(keyword.as_bytes());
    }
    out.raw(")\r\n");
}

/// `* n FETCH (UID … FLAGS …)` for a row.
pub fn flags_of(out: &mut Out, view: &View, place: u32, enabled: Enabled) {
    let Some(row) = view.row(place) else { return };
    fetch_head(out, row.uid(), place, enabled);
    if !enabled.uid_only {
        out.raw("UID ").number(row.uid().0).raw(" ");
    }
    out.raw("FLAGS ").flags_of(row.system(), view.keywords(row));
    if enabled.condstore {
        out.raw(" MODSEQ (").number(row.modseq().0).raw(")");
    }
    out.raw(")\r\n");
}

/// `* n FETCH (`, or what stands for it where numbers are not used (RFC 9586 §3.3).
pub fn fetch_head(out: &mut Out, uid: Uid, place: u32, enabled: Enabled) {
    match enabled.uid_only {
        true => out.raw("* ").number(uid.0).raw(" UIDFETCH ("),
        false => out.raw("* ").number(place + 1).raw(" FETCH ("),
    };
}
