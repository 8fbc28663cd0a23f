//! UIDL (RFC 1939 §7): unique-ids, of one message or of all.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::{Connection, Lost};
use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::wire::command::MessageNumber;
use crate::wire::response;

pub(super) async fn run<S, M>(
    number: Option<MessageNumber>,
    maildrop: &Maildrop<M>,
    conn: &mut Connection<'_, S>,
) -> Result<(), Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    if let Some(number) = number {
        match maildrop.message(number) {
            Ok(message) => {
                let unique_id = maildrop.unique_id(message);
                response::ok(&mut conn.out, format_args!("{} {unique_id}", number.0));
            }
            Err(error) => response::err(&mut conn.out, error),
        }
        return Ok(());
    }
    response::ok(&mut conn.out, "unique-ids follow");
    for (number, message) in maildrop.remaining() {
        let unique_id = maildrop.unique_id(message);
        response::line(&mut conn.out, format_args!("{} {unique_id}", number.0));
        conn.flush_if_much().await?;
    }
    response::end(&mut conn.out);
    Ok(())
}
