//! What went while a client was away (RFC 7162 §3.2.5, §3.2.6): VANISHED (EARLIER), for SELECT with
//! QRESYNC and for UID FETCH with VANISHED.
//!
//! The store remembers what was expunged, back to some modseq. Beyond that, every UID that is not
//! there is said to have vanished: the client passes over those that it never had.

use waxwing_store::{Mailbox, MailboxId, ModSeq, Store};

use crate::connection::Connection;
use crate::news;
use crate::reply::Fail;
use crate::selected::View;
use crate::session::Enabled;
use crate::wire::command::Qresync;
use crate::wire::sequence::{SequenceSet, gaps, in_both, merged};

/// The end of SELECT: what is gone, and what changed, since the client was here.
pub async fn after_select(
    connection: &mut Connection<'_>,
    store: &Store,
    mailbox: &Mailbox,
    view: &View,
    client: &Qresync,
    enabled: Enabled,
) -> Result<(), Fail> {
    if client.uid_validity != mailbox.uid_validity {
        return Ok(()); // RFC 7162 §3.2.5: what it knows is of another mailbox
    }
    let all = || vec![(1, u32::MAX)];
    let known = client.known.as_ref().map_or_else(all, |set| merged(set.resolved(0)));
    let since = ModSeq(client.modseq);
    let gone = vanished(store, mailbox.id, view, since, &known).await?;
    let settled = client.matched.as_ref().map_or(0, |(numbers, uids)| settled(view, numbers, uids));
    let open = settled.checked_add(1).map(|first| vec![(first, u32::MAX)]).unwrap_or_default();
    write(connection, &in_both(&gone, &open));
    for (place, row) in view.rows().enumerate() {
        let uid = row.uid().0;
        if row.modseq() > since && has(&known, uid) {
            news::flags_of(&mut connection.out, view, place as u32, enabled);
            connection.relieve().await?;
        }
    }
    Ok(())
}

/// Whether the UID is in one of the ranges, which ascend.
fn has(ranges: &[(u32, u32)], uid: u32) -> bool {
    let at = ranges.partition_point(|&(_, last)| last < uid);
    ranges.get(at).is_some_and(|&(first, _)| first <= uid)
}

/// VANISHED (EARLIER) before the answers of a UID FETCH.
pub async fn before_fetch(
    connection: &mut Connection<'_>,
    store: &Store,
    mailbox: MailboxId,
    view: &View,
    since: u64,
    asked: &[(u32, u32)],
) -> Result<(), Fail> {
    let gone = vanished(store, mailbox, view, ModSeq(since), asked).await?;
    write(connection, &gone);
    Ok(())
}

fn write(connection: &mut Connection<'_>, gone: &[(u32, u32)]) {
    if !gone.is_empty() {
        connection.out.raw("* VANISHED (EARLIER) ").ranges(gone).line_end();
    }
}

/// Of the UIDs asked for, those that went after `since`, or at any time if that is not known. What
/// the client still counts is left to a VANISHED of its own (RFC 7162 §3.2.10).
async fn vanished(
    store: &Store,
    mailbox: MailboxId,
    view: &View,
    since: ModSeq,
    asked: &[(u32, u32)],
) -> Result<Vec<(u32, u32)>, Fail> {
    let changes = store.changes(mailbox, since).await?;
    let gone = if changes.incomplete {
        let next = store.mailbox(mailbox).await?.map_or(1, |mailbox| mailbox.uid_next.0);
        // A message that has come since the view was made is not gone.
        let new = changes.changed.iter().map(|entry| entry.uid.0);
        let last = view.last_uid().0;
        let here = view.rows().map(|row| row.uid().0);
        gaps(here.chain(new.filter(|&uid| uid > last)), next.saturating_sub(1))
    } else {
        let gone = changes.vanished.iter().filter(|&&uid| view.place_of(uid).is_none());
        merged(gone.map(|uid| (uid.0, uid.0)))
    };
    Ok(in_both(&gone, asked))
}

/// RFC 7162 §3.2.5.2: the UID up to which the client's numbers still hold, so that it knows of
/// whatever vanished below it. As no message ever comes in between others, the last pair that
/// holds decides.
fn settled(view: &View, numbers: &SequenceSet, uids: &SequenceSet) -> u32 {
    let each = |(first, last)| first..=last;
    let numbers = numbers.resolved(0).flat_map(each).take_while(|&n| n <= view.exists());
    let pairs = numbers.zip(uids.resolved(0).flat_map(each));
    let holds = |&(number, uid): &(u32, u32)| {
        view.row(number.wrapping_sub(1)).is_some_and(|row| row.uid().0 == uid)
    };
    pairs.filter(holds).map(|(_, uid)| uid).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cursor::Cursor;
    use jiff::Timestamp;
    use waxwing_store::{Entry, Flags, MessageId, Roll, Uid};

    fn set(text: &str) -> SequenceSet {
        SequenceSet::parse(&mut Cursor::new(text.as_bytes())).unwrap()
    }

    /// RFC 7162 §3.2.5.2: only UIDs that are divisible by three are left.
    #[test]
    fn sequence_match_data() {
        let entry = |uid| Entry {
            uid: Uid(uid),
            message: MessageId(1),
            modseq: ModSeq(1),
            flags: Flags::default(),
            size_octets: 1,
            received_at: Timestamp::UNIX_EPOCH,
            saved_at: Timestamp::UNIX_EPOCH,
        };
        let entries: Vec<Entry> = (1..=10_003).map(|n| entry(n * 3)).collect();
        let view = View::new(Roll::new(&entries, ModSeq(1)).into(), []);
        let numbers = set("5000,7500,9000,9990:9999");
        let uids = "15000,22500,27000,29970,29973,29976,29979,29982,29985,29988,29991,29994,29997";
        assert_eq!(settled(&view, &numbers, &set(uids)), 29_997);
        assert_eq!(settled(&view, &set("4,8"), &set("12,25")), 12);
        assert_eq!(settled(&view, &set("4"), &set("13")), 0);
        assert_eq!(settled(&view, &set("1:4294967295"), &set("3")), 3);
        assert_eq!(settled(&View::default(), &set("1"), &set("3")), 0);
    }
}
