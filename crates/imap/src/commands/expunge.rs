//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9). The EXPUNGE responses are written with the
//! rest of the news.

use waxwing_store::{ModSeq, Row, SystemFlags, Uid};

use super::pick;
use crate::access::Act;
use crate::connection::Connection;
use crate::limit::{self, Exceeded};
use crate::reply::{Done, Fail, Tagged};
use crate::selected::Selected;
use crate::session::Session;
use crate::wire::sequence::SequenceSet;

/// So many go in one transaction, so that the store's other users get their turn.
const SLICE: usize = 4000;

/// Either command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    set: Option<SequenceSet>,
) -> Done {
    session.selected_for(Act::Expunge)?;
    let (modseq, exceeded) = expunge(session, set.as_ref()).await?;
    let tagged = with_modseq(session, Tagged::ok("Expunged"), modseq);
    Ok(limit::tell(connection, exceeded, tagged))
}

/// RFC 7162 §3.2.7, §3.2.9: after the news, the client is up to date to here.
pub fn with_modseq(session: &Session, tagged: Tagged, modseq: Option<ModSeq>) -> Tagged {
    match modseq.filter(|_| session.enabled.qresync) {
        Some(modseq) => tagged.with(format!("HIGHESTMODSEQ {}", modseq.0)),
        None => tagged,
    }
}

/// Removes the messages with \Deleted, of a set of UIDs or of all. Gives the modseq of the last
/// removal, if there was one. Only a set has a limit (RFC 9738 §3.1).
pub async fn expunge(
    session: &mut Session,
    set: Option<&SequenceSet>,
) -> Result<(Option<ModSeq>, Option<Exceeded>), Fail> {
    let picked = set.map(|set| pick(session, set, true)).transpose()?;
    let store = session.store.clone();
    let limit = session.settings.message_limit.filter(|_| set.is_some());
    let Selected { mailbox, view, .. } = session.selected()?;
    // Not the flags that the client was told last: another session may have set \Deleted since.
    // Where one takes it back from here on, the store sees that when it comes to the removal.
    let Some(roll) = store.roll(*mailbox).await? else {
        return Ok((None, None));
    };
    let deleted = roll.rows().filter(|row| row.system().contains(SystemFlags::DELETED));
    let wanted = deleted.map(Row::uid).filter(|&uid| {
        let place = view.place_of(uid);
        place.is_some_and(|at| picked.as_ref().is_none_or(|picked| picked.contains(at)))
    });
    let mut uids: Vec<Uid> = wanted.collect();
    let exceeded = limit::keep_last(&mut uids, limit);
    let mut last = None;
    for uids in limit::slices(&uids, SLICE, exceeded) {
        let (gone, modseq) = store.expunge_if_deleted(*mailbox, uids).await?;
        if !gone.is_empty() {
            last = Some(modseq);
        }
    }
    Ok((last, exceeded))
}
