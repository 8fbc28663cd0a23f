//! PASS (RFC 1939 §7): the second half of a log-in, and how every kind of log-in fails.
//!
//! Name and password go through SASLprep (RFC 6856 §2.2), with the departures that `waxwing-sasl`
//! tells of.

use tokio::io::{AsyncRead, AsyncWrite};
use waxwing_sasl::{prepare_login, prepare_password};
use waxwing_store::LoginError;

use super::Next;
use crate::connection::{Connection, Lost};
use crate::maildrops::Maildrops;
use crate::session::{Session, State, store_failed};
use crate::wire::response::{self, ResponseCode};

pub(super) async fn run<S, M>(
    password: &str,
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
) -> Result<Next, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    let name = match &mut session.state {
        State::Authorization { user } => user.take(),
        State::Transaction(_) => None,
    };
    let Some(name) = name else {
        response::err(&mut conn.out, "USER comes first");
        return Ok(Next::Continue);
    };
    let Ok(login) = prepare_login(&name) else { return rejected(session, conn).await };
    match session
        .maildrops
        .login(&session.visitor(), "login", &login, &prepare_password(password))
        .await
    {
        Ok(pass) => session.enter(pass, conn).await,
        Err(error) => return failed(error, session, conn).await,
    }
    Ok(Next::Continue)
}

/// The store did not accept a name and password.
pub(super) async fn failed<S, M>(
    error: LoginError,
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
) -> Result<Next, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    match error {
        LoginError::Rejected => return rejected(session, conn).await,
        LoginError::Disabled => {
            response::err_code(&mut conn.out, ResponseCode::SysPerm, "this account is disabled");
        }
        LoginError::NotHere(why) => {
            response::err_code(&mut conn.out, ResponseCode::SysPerm, why.text());
        }
        LoginError::TooMany(_) => {
            let text = "too many wrong log-ins: try again later";
            return refused(session, conn, ResponseCode::SysTemp, text).await;
        }
        LoginError::Store(error) => store_failed(&mut conn.out, &error),
    }
    Ok(Next::Continue)
}

/// Wrong name or password: the same words each time.
pub(super) async fn rejected<S, M>(
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
) -> Result<Next, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    refused(session, conn, ResponseCode::Auth, "wrong login or password").await
}

/// Said late, and not too often.
async fn refused<S, M>(
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
    code: ResponseCode,
    text: &str,
) -> Result<Next, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    conn.flush().await?;
    tokio::time::sleep(session.settings.failed_login_delay).await;
    response::err_code(&mut conn.out, code, text);
    session.failed_logins += 1;
    let too_many = session.failed_logins >= session.settings.max_failed_logins;
    Ok(if too_many { Next::Close } else { Next::Continue })
}
