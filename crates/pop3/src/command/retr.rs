//! RETR (RFC 1939 §5): a message, from the blob to the wire in pieces.
//!
//! Message numbers are fixed for the session, but an IMAP session may expunge a message meanwhile.
//! Its number stays taken, and asking for it is answered by `-ERR`; deleting it is no error, since
//! it is as gone as the client wants it.
//!
//! Deviates: RFC 6856 §2.1 wants a message with UTF-8 in its header rewritten or refused where the
//! client has not given UTF8. It is sent as it is. Clients without UTF8 are nearly all clients,
//! they do show such headers, refusing keeps the mail from its owner, and rewriting breaks
//! signatures.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::{Connection, Lost};
use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::session::store_failed;
use crate::wire::command::MessageNumber;
use crate::wire::multiline::{Stuffer, TopCut};
use crate::wire::response;

/// Read from the store at a time.
const PIECE_OCTETS: u64 = 64 * 1024;

pub(super) async fn run<S, M>(
    number: MessageNumber,
    maildrops: &M,
    maildrop: &mut Maildrop<M>,
    conn: &mut Connection<'_, S>,
) -> Result<(), Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    let sent = send(number, None, maildrops, maildrop, conn).await?;
    if sent && let Ok(message) = maildrop.message_mut(number) {
        message.was_retrieved();
    }
    Ok(())
}

/// The message, or as much of it as `cut` leaves. Gives whether it was sent.
pub(super) async fn send<S, M>(
    number: MessageNumber,
    mut cut: Option<TopCut>,
    maildrops: &M,
    maildrop: &Maildrop<M>,
    conn: &mut Connection<'_, S>,
) -> Result<bool, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    let message = match maildrop.message(number) {
        Ok(message) => message,
        Err(error) => {
            response::err(&mut conn.out, error);
            return Ok(false);
        }
    };
    // The first piece comes before the +OK, so that a store that fails can still be told of.
    let first = match maildrops.content(maildrop.mailbox, message.uid).await {
        Ok(Some(content)) => {
            M::read(&content, 0, PIECE_OCTETS).await.map(|piece| Some((content, piece)))
        }
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let (content, mut piece) = match first {
        Ok(Some(first)) => first,
        Ok(None) => {
            response::err(&mut conn.out, "another session has removed that message");
            return Ok(false);
        }
        Err(error) => {
            store_failed(&mut conn.out, &error);
            return Ok(false);
        }
    };
    match cut {
        None => response::ok(&mut conn.out, format_args!("{} octets", message.size_octets)),
        Some(_) => response::ok(&mut conn.out, "top of the message follows"),
    }

    let mut stuffer = Stuffer::default();
    let mut offset = 0;
    while offset < message.size_octets {
        if piece.is_empty() {
            tracing::error!(uid = message.uid.0, "stored message is shorter than its size says");
            return Err(Lost::Broken);
        }
        offset += piece.len() as u64;
        let (taken, done) = cut.as_mut().map_or((piece.len(), false), |cut| cut.take(&piece));
        stuffer.push(&piece[..taken], &mut conn.out);
        conn.flush_if_much().await?;
        if done || offset >= message.size_octets {
            break;
        }
        piece = M::read(&content, offset, PIECE_OCTETS).await.map_err(|error| {
            tracing::error!(%error, uid = message.uid.0, "message cannot be read to its end");
            Lost::Broken
        })?;
    }
    stuffer.finish(&mut conn.out);
    Ok(true)
}
