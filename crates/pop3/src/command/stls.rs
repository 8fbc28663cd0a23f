//! STLS (RFC 2595 §4): from here on, TLS.

use super::Next;
use crate::connection::Connection;
use crate::maildrops::Maildrops;
use crate::session::Session;
use crate::wire::response;
use tokio::io::{AsyncRead, AsyncWrite};

pub(super) fn run<S, M>(session: &Session<M>, conn: &mut Connection<'_, S>) -> Next
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    if session.tls.is_some() {
        response::err(&mut conn.out, "TLS is active already");
        return Next::Continue;
    }
    if !session.settings.starttls_offered {
        response::err(&mut conn.out, "STLS is not offered here");
        return Next::Continue;
    }
    if session.utf8_mode {
        // RFC 6856 §2.1
        response::err(&mut conn.out, "STLS comes before UTF8");
        return Next::Continue;
    }
    if conn.has_input() {
        // Somebody in the middle may have put it there, to be taken for the client's words once
        // TLS has made it trustworthy.
        response::err(&mut conn.out, "nothing may follow STLS before the handshake: goodbye");
        return Next::Close;
    }
    response::ok(&mut conn.out, "begin TLS now");
    Next::StartTls
}
