//! STATUS (RFC 9051 §6.3.11): the store's counters; no mailbox is opened for it, but for
//! DELETED-STORAGE.

use waxwing_store::{Mailbox, ObjectId as _};

use crate::access::{self, Act};
use crate::connection::Connection;
use crate::reply::{Done, Fail, Tagged};
use crate::session::Session;
use crate::wire::command::StatusItem;
use crate::wire::out::Out;

/// The command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    name: &[u8],
    items: &[StatusItem],
) -> Done {
    let mailbox = access::open(session, name, Act::Read).await?.mailbox;
    session.enabled.condstore |= items.contains(&StatusItem::HighestModSeq); // RFC 7162 §3.1
    let beside = beside(session, &mailbox, items).await?;
    write(&mut connection.out, &mailbox, items, beside);
    Ok(Tagged::ok("That is the status"))
}

/// What a mailbox's counters do not have.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    append_limit: u64,
    deleted_octets: u64,
}

/// Finds it out, as far as it is asked for.
pub async fn beside(
    session: &Session,
    mailbox: &Mailbox,
    items: &[StatusItem],
) -> Result<Beside, Fail> {
    let wanted = items.contains(&StatusItem::DeletedStorage) && mailbox.deleted > 0;
    let deleted_octets = match wanted {
        true => session.store.deleted_octets(mailbox.id).await?,
        false => 0,
    };
    Ok(Beside { append_limit: session.settings.max_message_octets, deleted_octets })
}

/// A STATUS response.
pub fn write(out: &mut Out, mailbox: &Mailbox, items: &[StatusItem], beside: Beside) {
    out.raw("* STATUS ").mailbox(&mailbox.name).raw(" (");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.raw(" ");
        }
        let (name, value) = match item {
            StatusItem::MailboxId => {
                out.raw("MAILBOXID (").raw(mailbox.id.text()).raw(")");
                continue;
            }
            StatusItem::Messages => ("MESSAGES ", mailbox.total.into()),
            StatusItem::Recent => ("RECENT ", 0),
            StatusItem::UidNext => ("UIDNEXT ", mailbox.uid_next.0.into()),
            StatusItem::UidValidity => ("UIDVALIDITY ", mailbox.uid_validity.into()),
            StatusItem::Unseen => ("UNSEEN ", mailbox.unseen.into()),
            StatusItem::Deleted => ("DELETED ", mailbox.deleted.into()),
            StatusItem::Size => ("SIZE ", mailbox.octets),
            StatusItem::HighestModSeq => ("HIGHESTMODSEQ ", mailbox.highest_modseq.0.max(1)),
            StatusItem::AppendLimit => ("APPENDLIMIT ", beside.append_limit),
            // RFC 9208 §4.1.4
            StatusItem::DeletedStorage => ("DELETED-STORAGE ", beside.deleted_octets),
        };
        out.raw(name).number(value);
    }
    out.raw(")\r\n");
}
