//! IDLE (RFC 2177, RFC 9051 §6.3.13): the client hears of changes as they happen.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::notify;
use crate::connection::Connection;
use crate::news;
use crate::reply::{Done, Fail, Tagged};
use crate::session::{Session, State};

/// The news is asked for at least so often, rung for or not, and whether the client may stay.
const AT_LEAST_EVERY: Duration = Duration::from_secs(5 * 60);
/// After the store could not say: some time between these, so that not all sessions ask at once.
const AGAIN_AFTER_MILLIS: Range<u64> = 1000..5000;

/// Waits for DONE, and tells the news whenever the store has some.
pub async fn run(connection: &mut Connection<'_>, session: &mut Session) -> Done {
    session.account()?;
    connection.out.raw("+ Waiting with you\r\n");
    let deadline = session.deadline();
    loop {
        // What came before this moment has woken nobody: it is asked for once at the beginning.
        let told = tell(connection, session).await?;
        if matches!(session.state, State::Logout) {
            return Ok(Tagged::ok("That is all"));
        }
        let pause = match told {
            true => AT_LEAST_EVERY,
            // The bell has been heard and will not ring for the same news again.
            false => Duration::from_millis(rand::random_range(AGAIN_AFTER_MILLIS)),
        };
        let again = Instant::now() + pause;
        connection.flush().await?;
        loop {
            if let Some(done) = done(connection) {
                tell(connection, session).await?;
                return done;
            }
            let Session { state, notify: watching, .. } = session;
            tokio::select! {
                filled = connection.fill(deadline) => filled?,
                () = notify::rung(state, watching.as_deref_mut()), if told => break,
                () = tokio::time::sleep_until(again) => break,
            }
        }
    }
}

/// News in a box of their own: the store's part of them is large, and IDLE lasts long. `false`: the
/// store could not say, which has been logged.
async fn tell(connection: &mut Connection<'_>, session: &mut Session) -> Result<bool, Fail> {
    let telling = Box::pin(async {
        if session.may_stay(connection).await {
            news::tell(connection, session, true).await?;
            notify::tell_others(connection, session).await?; // RFC 5465 §4
        }
        Ok(())
    });
    match telling.await {
        Err(Fail::Lost(lost)) => Err(Fail::Lost(lost)),
        told => Ok(told.is_ok()),
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
