//! LIST (RFC 1939 §5): sizes, of one message or of all.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::{Connection, Lost};
use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::wire::command::MessageNumber;
use crate::wire::response::{self, Messages};

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
                response::ok(&mut conn.out, format_args!("{} {}", number.0, message.size_octets));
            }
            Err(error) => response::err(&mut conn.out, error),
        }
        return Ok(());
    }
    let (count, octets) = maildrop.count_and_octets();
    response::ok(&mut conn.out, format_args!("{} ({octets} octets)", Messages(count)));
    for (number, message) in maildrop.remaining() {
        response::line(&mut conn.out, format_args!("{} {}", number.0, message.size_octets));
        conn.flush_if_much().await?;
    }
    response::end(&mut conn.out);
    Ok(())
}
