//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8), with COPYUID (RFC 4315).

use waxwing_store::{Copied, MailboxId, Uid};

use super::{expunge, pick};
use crate::access::{self, Act};
use crate::connection::Connection;
use crate::limit::{self, Exceeded};
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::out::set_text;
use crate::wire::sequence::SequenceSet;

/// COPY: all or nothing.
pub async fn copy(
    connection: &mut Connection<'_>,
    session: &mut Session,
    uid: bool,
    set: &SequenceSet,
    name: &[u8],
) -> Done {
    let Source { from, uids, exceeded } = source(connection, session, uid, set).await?;
    let to = access::target(session, name).await?;
    if uids.is_empty() {
        return Ok(Tagged::ok("No such messages: nothing copied"));
    }
    if let Some(exceeded) = exceeded {
        return Err(exceeded.refuse());
    }
    let kept = access::alterable(to.rights);
    let copied = session.store.transfer(from, &uids, to.mailbox.id, false, kept).await?;
    let tagged = Tagged::ok("Copied");
    Ok(match copy_uid(&copied) {
        Some(code) => tagged.with(code),
        None => tagged,
    })
}

/// MOVE (RFC 6851): COPYUID comes before the EXPUNGE responses, which are written with the news.
pub async fn move_messages(
    connection: &mut Connection<'_>,
    session: &mut Session,
    uid: bool,
    set: &SequenceSet,
    name: &[u8],
) -> Done {
    session.selected_for(Act::TakeOut)?;
    let Source { from, uids, exceeded } = source(connection, session, uid, set).await?;
    let to = access::target(session, name).await?;
    if from == to.mailbox.id {
        return Err(Fail::no("CANNOT", "The messages are there already"));
    }
    if uids.is_empty() {
        return Ok(Tagged::ok("No such messages: nothing moved"));
    }
    let kept = access::alterable(to.rights);
    let moved = session.store.transfer(from, &uids, to.mailbox.id, true, kept).await?;
    if let Some(code) = copy_uid(&moved) {
        connection.out.raw("* OK [").raw(code).raw("] Moved\r\n");
    }
    let modseq = (!moved.uids.is_empty()).then_some(moved.modseq);
    let tagged = expunge::with_modseq(session, Tagged::ok("Moved"), modseq);
    Ok(limit::tell(connection, exceeded, tagged))
}

/// What is copied or moved.
struct Source {
    from: MailboxId,
    /// Ascending.
    uids: Vec<Uid>,
    /// These are only the last of them.
    exceeded: Option<Exceeded>,
}

/// The messages, as they are now. One that is named by its number and is gone keeps the others from
/// being copied (RFC 2180 §4.4); one that is named by its UID is passed over.
async fn source(
    connection: &mut Connection<'_>,
    session: &mut Session,
    uid: bool,
    set: &SequenceSet,
) -> Result<Source, Fail> {
    news::tell(connection, session, uid).await?;
    let limit = session.settings.message_limit;
    let picked = pick(session, set, uid)?;
    let selected = session.selected()?;
    let view = &selected.view;
    let rows = picked.iter().filter_map(|place| view.row(place));
    let mut uids: Vec<Uid> = rows.map(|row| row.uid()).collect();
    let exceeded = limit::keep_last(&mut uids, limit);
    if uids.iter().any(|&uid| view.is_gone(uid)) {
        return Err(Fail::no("EXPUNGEISSUED", "Some of the messages are gone"));
    }
    Ok(Source { from: selected.mailbox, uids, exceeded })
}

/// RFC 4315 §3: both sets in the same order; UIDs are assigned in order, so both ascend.
fn copy_uid(copied: &Copied) -> Option<String> {
    if copied.uids.is_empty() {
        return None;
    }
    let from = set_text(copied.uids.iter().map(|(from, _)| from.0));
    let to = set_text(copied.uids.iter().map(|(_, to)| to.0));
    Some(format!("COPYUID {} {from} {to}", copied.uid_validity))
}
