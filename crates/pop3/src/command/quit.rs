//! QUIT (RFC 1939 §4 and §6): the end, and from TRANSACTION the only way into UPDATE, where what
//! DELE marked is removed.

use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::session::{Session, State};
use crate::wire::response::{self, Messages, ResponseCode};

pub(super) async fn run<M: Maildrops>(session: &mut Session<M>, out: &mut Vec<u8>) {
    let closed = State::Authorization { user: None };
    let State::Transaction(maildrop) = std::mem::replace(&mut session.state, closed) else {
        response::ok(out, "goodbye");
        return;
    };
    update(*maildrop, session, out).await;
}

async fn update<M: Maildrops>(maildrop: Maildrop<M>, session: &Session<M>, out: &mut Vec<u8>) {
    let (seen, deleted) = maildrop.outcome();
    let result = session.maildrops.expunge(maildrop.mailbox, &deleted).await;
    if let Err(error) = session.maildrops.mark_seen(maildrop.mailbox, &seen).await {
        tracing::warn!(%error, "fetched messages keep looking unread");
    }
    // RFC 1939 §6: whatever came of it. And before the answer, after which the client may come
    // back at once.
    session.release(maildrop.lock).await;
    match result {
        Ok(()) => {
            tracing::info!(deleted = deleted.len(), "maildrop updated");
            response::ok(out, format_args!("goodbye, {} removed", Messages(deleted.len())));
        }
        Err(error) => {
            tracing::warn!(%error, "maildrop not updated");
            let text = "some deleted messages were not removed";
            response::err_code(out, ResponseCode::SysTemp, text);
        }
    }
}
