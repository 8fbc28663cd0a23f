//! THREAD (RFC 5256): [`crate::threading`] makes the threads, of what the stored summaries say.

use waxwing_message::Summary;
use waxwing_store::Row;

use super::{search, sort};
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Tagged};
use crate::session::Session;
use crate::threading::{self, Item};
use crate::wire::command::{Algorithm, SearchKey, Thread};
use crate::wire::message_id;
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
    let places = search::find(connection, session, tag, search).await?;
    let mut items = Vec::with_capacity(places.len());
    let each = |place, row: &Row, summary: &Summary| {
        items.push(item(*algorithm, if uid { row.uid().0 } else { place + 1 }, row, summary));
    };
    search::with_summaries(connection, session, tag, &places, each).await?;
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

fn item(algorithm: Algorithm, number: u32, row: &Row, summary: &Summary) -> Item {
    let overview = &summary.overview;
    let (subject, is_reply) = sort::base_subject(overview);
    let sent_secs = sort::sent_secs(overview, row);
    let item = Item { number, subject, is_reply, sent_secs, ..Item::default() };
    if algorithm == Algorithm::OrderedSubject {
        return item;
    }
    let mut references: Vec<String> = ids(&overview.references).collect();
    if references.is_empty() {
        references.extend(ids(&overview.in_reply_to).next());
    }
    Item { message_id: ids(&overview.message_id).next(), references, ..item }
}

fn ids(field: &Option<Vec<u8>>) -> impl Iterator<Item = String> {
    message_id::all(field.as_deref().unwrap_or_default())
}
