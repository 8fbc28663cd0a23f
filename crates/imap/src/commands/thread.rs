//! THREAD (RFC 5256): [`crate::threading`] makes the threads, of what the mailbox's gist says.

use waxwing_store::Column;

use super::{search, sort};
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Tagged};
use crate::session::Session;
use crate::threading::{self, Item};
use crate::wire::command::{Algorithm, SearchKey, Thread};
use crate::wire::threads;

/// The command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: &str,
    uid: bool,
    thread: &Thread,
) -> Done {
    let Thread { algorithm, search } = thread;
    session.selected()?;
    session.enabled.condstore |= search.keys.iter().any(SearchKey::mentions_modseq);
    let renumber = uid && !search.keys.iter().any(SearchKey::mentions_numbers);
    news::tell(connection, session, renumber).await?;
    // No limit: see `crate::limit`.
    let found = search::find(connection, session, tag, search, None).await?;
    let store = session.store.clone();
    let selected = session.selected()?;
    let view = &selected.view;
    let gist = store.gist(selected.mailbox, view.shown()).await?;
    let mut finder = gist.finder();
    // One that is gone has no line, and no place in a thread.
    let item = |place: u32| {
        let row = view.row(place)?;
        let line = finder.find(row.uid())?;
        Some(Item {
            number: if uid { row.uid().0 } else { place + 1 },
            message_id: line.message_id(),
            references: gist.ancestors(line),
            subject: gist.rank(Column::BaseSubject, line),
            is_reply: line.is_reply(),
            sent_secs: sort::sent_secs(Some(line), row),
        })
    };
    let items: Vec<Item<'_>> = found.places.into_iter().filter_map(item).collect();
    let threads = match algorithm {
        Algorithm::OrderedSubject => threading::by_subject(&items),
        Algorithm::References => threading::by_references(&items),
    };
    connection.out.raw("* THREAD");
    if !threads.roots.is_empty() {
        connection.out.raw(" ");
    }
    threads::write(&mut connection.out, &threads);
    connection.out.line_end();
    connection.relieve().await?;
    Ok(Tagged::ok("Threaded"))
}
