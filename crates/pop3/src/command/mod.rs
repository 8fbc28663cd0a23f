//! One file per command. Each answers by writing to the connection's output.
//!
//! | state | commands |
//! |---|---|
//! | AUTHORIZATION | AUTH PASS STLS USER UTF8 |
//! | TRANSACTION | DELE LIST NOOP RETR RSET STAT TOP UIDL |
//! | both | CAPA LANG QUIT |

mod auth;
mod capa;
mod dele;
mod lang;
mod list;
mod noop;
mod pass;
mod quit;
mod retr;
mod rset;
mod stat;
mod stls;
mod top;
mod uidl;
mod user;
mod utf8;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::{Connection, Lost};
use crate::maildrops::Maildrops;
use crate::session::{Session, State};
use crate::wire::command::Command;
use crate::wire::response;

/// How the session goes on after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    Close,
    StartTls,
}

/// Runs a command if the state allows it.
pub(crate) async fn run<S, M>(
    command: Command,
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
) -> Result<Next, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    let authorized = match &session.state {
        State::Authorization { .. } => false,
        State::Transaction(_) => true,
    };
    match command {
        Command::Capa => capa::run(session, &mut conn.out),
        Command::Lang(range) => lang::run(range.as_deref(), &mut conn.out),
        Command::Quit => {
            quit::run(session, &mut conn.out).await;
            return Ok(Next::Close);
        }
        command if authorized => return in_transaction(command, session, conn).await,
        command => return in_authorization(command, session, conn).await,
    }
    Ok(Next::Continue)
}

async fn in_authorization<S, M>(
    command: Command,
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
) -> Result<Next, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    match command {
        Command::Auth { mechanism, initial } => {
            return auth::run(mechanism, initial, session, conn).await;
        }
        Command::Pass(password) => return pass::run(&password, session, conn).await,
        Command::Stls => return Ok(stls::run(session, conn)),
        Command::User(name) => user::run(name, session, &mut conn.out),
        Command::Utf8 => utf8::run(session, &mut conn.out),
        _ => response::err(&mut conn.out, "log in first"),
    }
    Ok(Next::Continue)
}

async fn in_transaction<S, M>(
    command: Command,
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
) -> Result<Next, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    let State::Transaction(maildrop) = &mut session.state else {
        unreachable!("the caller has looked at the state")
    };
    match command {
        Command::Dele(number) => dele::run(number, maildrop, &mut conn.out),
        Command::List(number) => list::run(number, maildrop, conn).await?,
        Command::Noop => noop::run(&mut conn.out),
        Command::Retr(number) => retr::run(number, &session.maildrops, maildrop, conn).await?,
        Command::Rset => rset::run(maildrop, &mut conn.out),
        Command::Stat => stat::run(maildrop, &mut conn.out),
        Command::Top(number, lines) => {
            top::run(number, lines, &session.maildrops, maildrop, conn).await?;
        }
        Command::Uidl(number) => uidl::run(number, maildrop, conn).await?,
        _ => response::err(&mut conn.out, "you are logged in already"),
    }
    Ok(Next::Continue)
}
