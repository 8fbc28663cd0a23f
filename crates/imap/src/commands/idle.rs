//! IDLE (RFC 2177, RFC 9051 §6.3.13): the client hears of changes as they happen.

use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::{Session, State};

/// Waits for DONE, and tells the news whenever the store has some.
pub async fn run(connection: &mut Connection<'_>, session: &mut Session) -> Done {
    session.account()?;
    connection.out.raw("+ Waiting with you\r\n");
    let deadline = session.deadline();
    loop {
        // What came before this moment has woken nobody: it is asked for once at the beginning.
        tell(connection, session).await?;
        connection.flush().await?;
        loop {
            if let Some(done) = done(connection) {
                tell(connection, session).await?;
                return done;
            }
            let State::Selected(_, selected) = &mut session.state else {
                connection.fill(deadline).await?;
                continue;
            };
            tokio::select! {
                filled = connection.fill(deadline) => filled?,
                () = selected.watch.changed() => break,
            }
        }
    }
}

/// News in a box of their own: the store's part of them is large, and IDLE lasts long.
async fn tell(connection: &mut Connection<'_>, session: &mut Session) -> Result<(), Fail> {
    match Box::pin(news::tell(connection, session, true)).await {
        Err(Fail::Lost(lost)) => Err(Fail::Lost(lost)),
        // The store may answer again at the next change; it has been logged.
        _ => Ok(()),
    }
}

/// The end of IDLE, if the client has sent a line.
fn done(connection: &mut Connection<'_>) -> Option<Done> {
    let end = memchr::memchr(b'\n', connection.input());
    let Some(end) = end else {
        let too_long = connection.input().len() > 64;
        return too_long.then(|| Err(Fail::bad("IDLE ends with DONE")));
    };
    let line = connection.input()[..end].trim_ascii_end();
    let is_done = line.eq_ignore_ascii_case(b"DONE");
    connection.consume(end + 1);
    Some(match is_done {
        true => Ok(Tagged::ok("Back to work")),
        false => Err(Fail::bad("IDLE ends with DONE")),
    })
}
