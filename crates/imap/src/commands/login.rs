//! LOGIN (RFC 9051 §6.2.3), and what follows every login, right or wrong.

use std::time::Duration;

use waxwing_store::{Admitted, LoginError};

use super::capability;
use crate::connection::Connection;
use crate::reply::{Done, Fail, Tagged};
use crate::session::{Session, State};
use crate::wire::command::Secret;

/// The command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    user: &[u8],
    password: &Secret,
) -> Done {
    check_state(session)?;
    if session.tls.is_none() && !session.settings.plaintext_login {
        return Err(Fail::no("PRIVACYREQUIRED", "Use STARTTLS first"));
    }
    let (Ok(user), Ok(password)) = (std::str::from_utf8(user), std::str::from_utf8(&password.0))
    else {
        return rejected(connection, session).await;
    };
    let password = waxwing_sasl::prepare_password(password);
    match session.store.login(&session.visitor(), "login", user, &password).await {
        Ok(admitted) => Ok(accepted(connection, session, admitted)),
        Err(error) => failed(connection, session, error).await,
    }
}

/// Nobody logs in twice.
pub fn check_state(session: &Session) -> Result<(), Fail> {
    if session.is_logged_in() { Err(Fail::bad("You are logged in already")) } else { Ok(()) }
}

/// The client is who it says.
pub fn accepted(
    connection: &mut Connection<'_>,
    session: &mut Session,
    admitted: Admitted,
) -> Tagged {
    session.state = State::Authenticated(admitted.account.id);
    session.wrong_logins = 0;
    session.begin_stay(admitted.pass);
    connection.until = Some(Box::pin(session.store.pass_ended(admitted.pass)));
    Tagged::ok("Logged in").with(capability::text(session))
}

/// Why not, for those who may know.
pub async fn failed(
    connection: &mut Connection<'_>,
    session: &mut Session,
    error: LoginError,
) -> Done {
    match error {
        LoginError::Rejected | LoginError::Disabled => rejected(connection, session).await,
        // RFC 5530 §3: the secret is right, and opens something else.
        LoginError::NotHere(why) => Err(Fail::no("AUTHORIZATIONFAILED", why.text())),
        LoginError::TooMany(_) => {
            let text = "Too many wrong logins; try again later";
            refused(connection, session, Fail::no("UNAVAILABLE", text)).await
        }
        LoginError::Store(error) => Err(error.into()),
    }
}

/// It is not; the same answer for every reason (RFC 5530 AUTHENTICATIONFAILED).
pub async fn rejected(connection: &mut Connection<'_>, session: &mut Session) -> Done {
    let answer = Fail::no("AUTHENTICATIONFAILED", "Wrong address or password");
    refused(connection, session, answer).await
}

/// Says so later each time, and after some for the last time.
async fn refused(connection: &mut Connection<'_>, session: &mut Session, answer: Fail) -> Done {
    session.wrong_logins += 1;
    let doublings = session.wrong_logins.saturating_sub(1).min(6);
    let delay = session.settings.wrong_login_delay.saturating_mul(1 << doublings);
    tokio::time::sleep(delay.min(Duration::from_secs(60))).await;
    if session.wrong_logins >= session.settings.max_wrong_logins {
        connection.out.raw("* BYE Too many wrong logins\r\n");
        session.state = State::Logout;
    }
    Err(answer)
}
