//! AUTH (RFC 5034): a log-in by SASL.
//!
//! ```text
//! C: AUTH SCRAM-SHA-256 biwsbj11...          initial response; `=` for an empty one
//! S: + cj1mLi4u                              challenge
//! C: Yz1iaXdz...                             response, or `*` to cancel
//! S: + dj02cnJp...                           SCRAM's last word, answered by an empty line
//! C:
//! S: +OK 2 messages (320 octets)
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};
use waxwing_sasl::{Mechanism, ServerExchange, ServerStep};
use waxwing_store::{LoginError, Pass};
use zeroize::Zeroizing;

use super::{Next, pass};
use crate::connection::{Connection, Input, Lost};
use crate::maildrops::Maildrops;
use crate::session::Session;
use crate::wire::command::AuthMechanism;
use crate::wire::response;

pub(super) async fn run<S, M>(
    mechanism: Option<AuthMechanism>,
    initial: Option<Zeroizing<String>>,
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
) -> Result<Next, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    let offered = offered(session);
    let mechanism = match mechanism {
        Some(AuthMechanism::Known(mechanism)) if offered.contains(&mechanism) => mechanism,
        Some(AuthMechanism::Known(mechanism)) if mechanism.is_clear_text() => {
            response::err(&mut conn.out, "no passwords without TLS: use STLS first");
            return Ok(Next::Continue);
        }
        Some(_) => {
            response::err(&mut conn.out, "that mechanism is not offered: see CAPA");
            return Ok(Next::Continue);
        }
        None => {
            response::ok(&mut conn.out, "mechanisms follow");
            offered.iter().for_each(|mechanism| response::line(&mut conn.out, mechanism.name()));
            response::end(&mut conn.out);
            return Ok(Next::Continue);
        }
    };
    let initial = match initial.map(|base64| decode(base64.as_bytes())).transpose() {
        Ok(initial) => initial,
        Err(NotBase64) => {
            response::err(&mut conn.out, "that is not base64");
            return Ok(Next::Continue);
        }
    };
    let mut attempt = None;
    let outcome = exchange(mechanism, initial, session, conn, &mut attempt).await;
    // An exchange with keys that broke off was a guess like any other.
    if let Some(attempt) = attempt {
        session.maildrops.refuse_scram(attempt);
    }
    match outcome? {
        Outcome::Known(pass) => session.enter(pass, conn).await,
        Outcome::Rejected => return pass::rejected(session, conn).await,
        Outcome::Failed(error) => return pass::failed(error, session, conn).await,
        Outcome::Answered => {}
    }
    Ok(Next::Continue)
}

/// What this connection offers; CAPA says the same.
pub(super) fn offered<M: Maildrops>(session: &Session<M>) -> Vec<Mechanism> {
    let binding = session.tls.as_ref().is_some_and(|facts| facts.channel_binding.is_some());
    let offered = match session.settings.tokens {
        true => Mechanism::offered_with_tokens,
        false => Mechanism::offered,
    };
    offered(session.tls.is_some(), session.settings.plaintext_allowed, binding)
}

enum Outcome {
    Known(Pass),
    Rejected,
    Failed(LoginError),
    /// The answer is written already.
    Answered,
}

async fn exchange<S, M>(
    mechanism: Mechanism,
    initial: Option<Zeroizing<Vec<u8>>>,
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
    attempt: &mut Option<M::Attempt>,
) -> Result<Outcome, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    let binding = session.tls.as_ref().and_then(|facts| facts.channel_binding.clone());
    let mut exchange = ServerExchange::new(mechanism, binding, rand::random());
    let (visitor, name) = (session.visitor(), mechanism.name());
    let mut pass = None;
    let mut step = exchange.start(initial.as_ref().map(|octets| octets.as_slice()));
    loop {
        step = match step {
            ServerStep::Challenge(challenge) => match ask(&challenge, conn).await? {
                Some(response) => exchange.respond(&response),
                None => return Ok(Outcome::Answered),
            },
            ServerStep::CheckPassword { login, password } => {
                match session.maildrops.login(&visitor, name, &login, &password).await {
                    Ok(known) => {
                        pass = Some(known);
                        exchange.password_checked(true)
                    }
                    Err(error) => return Ok(Outcome::Failed(error)),
                }
            }
            ServerStep::CheckToken { login, token } => {
                match session.maildrops.token(&visitor, name, login.as_deref(), &token).await {
                    Ok(known) => {
                        pass = Some(known);
                        exchange.token_checked(Some(login.unwrap_or_default()))
                    }
                    // RFC 7628 §3.2.2: told by a challenge.
                    Err(LoginError::Rejected | LoginError::Disabled) => {
                        exchange.token_checked(None)
                    }
                    Err(error) => return Ok(Outcome::Failed(error)),
                }
            }
            ServerStep::NeedKeys { login } => {
                match session.maildrops.scram(&visitor, name, &login).await {
                    Ok((begun, keys)) => {
                        *attempt = Some(begun);
                        exchange.supply_keys(keys)
                    }
                    Err(error) => return Ok(Outcome::Failed(error)),
                }
            }
            ServerStep::CheckProof { pair, .. } => {
                if let Some(begun) = attempt.take() {
                    match session.maildrops.settle_scram(begun, pair).await {
                        Ok(known) => pass = Some(known),
                        Err(error) => return Ok(Outcome::Failed(error)),
                    }
                }
                exchange.proof_checked(pass.is_some())
            }
            ServerStep::Done { last, .. } => {
                let Some(pass) = pass else { return Ok(Outcome::Rejected) };
                // RFC 5034 §4 has no place for additional data, so it goes as a challenge.
                if let Some(last) = last {
                    match ask(&last, conn).await? {
                        Some(response) if response.is_empty() => {}
                        Some(_) => return Ok(Outcome::Rejected),
                        None => return Ok(Outcome::Answered),
                    }
                }
                return Ok(Outcome::Known(pass));
            }
            ServerStep::Failed(why) => {
                tracing::debug!(why, "SASL exchange failed");
                return Ok(Outcome::Rejected);
            }
        };
    }
}

/// Sends a challenge and gives the response; `None` when the client cancelled or sent no base64,
/// which has been answered.
async fn ask<S>(
    challenge: &[u8],
    conn: &mut Connection<'_, S>,
) -> Result<Option<Zeroizing<Vec<u8>>>, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    response::challenge(&mut conn.out, &STANDARD.encode(challenge));
    let complaint = match conn.read_line().await? {
        Input::Line(line) if line.as_slice() == b"*" => "cancelled", // RFC 5034 §4
        Input::Line(line) => match STANDARD.decode(line.as_slice()) {
            Ok(response) => return Ok(Some(Zeroizing::new(response))),
            Err(_) => "that is not base64",
        },
        Input::TooLong => "that line is too long",
    };
    response::err(&mut conn.out, complaint);
    Ok(None)
}

struct NotBase64;

/// An initial response: `=` stands for an empty one.
fn decode(base64: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotBase64> {
    if base64 == b"=" {
        return Ok(Zeroizing::new(Vec::new()));
    }
    STANDARD.decode(base64).map(Zeroizing::new).map_err(|_| NotBase64)
}
