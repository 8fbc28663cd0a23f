//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3; RFC 7162 §3.1.2, §3.2.5).

use std::sync::Arc;

use waxwing_store::{Mailbox, ObjectId as _};

use super::{list, resync};
use crate::access::{self, Act};
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::selected::{Selected, View};
use crate::session::{Session, State};
use crate::wire::command::Select;
use crate::wire::out::Out;

/// Either command.
pub async fn run(connection: &mut Connection<'_>, session: &mut Session, select: &Select) -> Done {
    let account = session.account()?;
    if select.qresync.is_some() && !session.enabled.qresync {
        return Err(Fail::bad("ENABLE QRESYNC first")); // RFC 7162 §3.2.5
    }
    // RFC 9051 §6.3.2: whatever comes of it, the former mailbox is selected no more.
    if session.deselect() {
        connection.out.raw("* OK [CLOSED] The former mailbox is closed\r\n");
    }
    session.enabled.condstore |= select.condstore;
    let place = access::open(session, &select.mailbox, Act::Read).await?;
    let (shared, rights) = (place.is_shared(account), place.rights);
    let mailbox = place.mailbox;
    let watch = session.store.watch(mailbox.account); // first, so that nothing is missed
    let roll = session.store.roll(mailbox.id).await?.ok_or_else(access::no_mailbox)?;
    let keywords = session.store.mailbox_keywords(mailbox.id).await?;
    let view = View::new(roll, keywords.into_iter().map(Arc::from));
    let selected = Selected {
        mailbox: mailbox.id,
        shared,
        examined: select.read_only,
        rights,
        told: view.last_uid(),
        view,
        saved: Vec::new(),
        watch,
    };
    describe(&mut connection.out, session, &mailbox, &selected);
    if let Some(known) = &select.qresync {
        let (store, view) = (&session.store, &selected.view);
        resync::after_select(connection, store, &mailbox, view, known, session.enabled).await?;
    }
    let read_only = selected.examined || access::is_read_only(rights);
    session.state = State::Selected(account, Box::new(selected));
    Ok(match read_only {
        true => Tagged::ok("Look, do not touch").with("READ-ONLY"),
        false => Tagged::ok("Selected").with("READ-WRITE"),
    })
}

fn describe(out: &mut Out, session: &Session, mailbox: &Mailbox, selected: &Selected) {
    let (rev2, view) = (session.enabled.rev2, &selected.view);
    news::flags_response(out, view);
    news::permanent_flags(out, selected);
    news::exists(out, view, rev2);
    if !rev2 && !session.enabled.uid_only {
        // RFC 3501 §7.1; rev2 has done away with it.
        if let Some(place) = view.shown().first_unseen() {
            out.raw("* OK [UNSEEN ").number(place + 1).raw("] The first unseen\r\n");
        }
    }
    out.raw("* OK [UIDVALIDITY ").number(mailbox.uid_validity).raw("] UIDs are good\r\n");
    // The counters were read before the entries: a message that came between them counts.
    let after_last = view.last_uid().0.saturating_add(1);
    let next = mailbox.uid_next.0.max(after_last);
    out.raw("* OK [UIDNEXT ").number(next).raw("] The next UID\r\n");
    // RFC 8474 §4.2
    let id = mailbox.id.text();
    out.raw("* OK [MAILBOXID (").raw(id).raw(")] Its name for ever\r\n");
    let modseq = view.modseq().0.max(1); // RFC 7162 §7: not 0
    out.raw("* OK [HIGHESTMODSEQ ").number(modseq).raw("] The last change\r\n");
    if rev2 {
        list::line_of(out, mailbox); // RFC 9051 §6.3.2: LIST is among the required responses
    }
}
