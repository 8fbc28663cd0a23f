//! TOP (RFC 1939 §7): a message's header and the first lines of its body. What is not asked for is
//! not read either.

use tokio::io::{AsyncRead, AsyncWrite};

use super::retr;
use crate::connection::{Connection, Lost};
use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::wire::command::MessageNumber;
use crate::wire::multiline::TopCut;

pub(super) async fn run<S, M>(
    number: MessageNumber,
    body_lines: u64,
    maildrops: &M,
    maildrop: &Maildrop<M>,
    conn: &mut Connection<'_, S>,
) -> Result<(), Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    retr::send(number, Some(TopCut::new(body_lines)), maildrops, maildrop, conn).await.map(|_| ())
}
