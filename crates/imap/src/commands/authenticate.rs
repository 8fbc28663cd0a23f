//! AUTHENTICATE (RFC 9051 §6.2.2) with an initial response (RFC 4959): carries a SASL exchange.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use waxwing_sasl::{Mechanism, ServerExchange, ServerStep};
use waxwing_store::{Admitted, LoginError, ScramAttempt};

use super::{capability, login};
use crate::connection::Connection;
use crate::reply::{Done, Fail};
use crate::session::Session;
use crate::wire::command::Secret;

/// Base64 of the longest message that SASL takes.
const MAX_RESPONSE_OCTETS: usize = waxwing_sasl::MAX_MESSAGE_OCTETS * 4 / 3 + 8;

/// The command.
pub async fn run(
    connection: &mut Connection<'_>,
    session: &mut Session,
    mechanism: &str,
    initial: Option<Secret>,
) -> Done {
    login::check_state(session)?;
    let known =
        Mechanism::parse(mechanism).ok_or_else(|| Fail::no("CANNOT", "No such mechanism"))?;
    if !capability::offered(session).contains(&known) {
        return Err(Fail::no("PRIVACYREQUIRED", "Not without TLS"));
    }
    let initial = initial.map(|initial| match initial.0.as_slice() {
        b"=" => Ok(Vec::new()), // RFC 4959 §3: an empty one
        text => decode(text),
    });
    let initial = initial.transpose()?;
    let binding = session.tls.as_ref().and_then(|tls| tls.channel_binding.clone());
    let mut exchange = ServerExchange::new(known, binding, rand::random());
    let step = exchange.start(initial.as_deref());
    let mut attempt = None;
    let outcome = converse(connection, session, &mut exchange, known, step, &mut attempt).await;
    // An exchange with keys that broke off was a guess like any other.
    if let Some(attempt) = attempt {
        session.store.refuse_scram(attempt);
    }
    match outcome? {
        Outcome::Admitted(admitted) => Ok(login::accepted(connection, session, *admitted)),
        Outcome::Rejected => login::rejected(connection, session).await,
        Outcome::Failed(error) => login::failed(connection, session, error).await,
    }
}

enum Outcome {
    Admitted(Box<Admitted>),
    Rejected,
    Failed(LoginError),
}

/// Goes on until the exchange ends.
async fn converse(
    connection: &mut Connection<'_>,
    session: &mut Session,
    exchange: &mut ServerExchange,
    mechanism: Mechanism,
    mut step: ServerStep,
    attempt: &mut Option<ScramAttempt>,
) -> Result<Outcome, Fail> {
    let (store, visitor, name) = (session.store.clone(), session.visitor(), mechanism.name());
    let mut admitted = None;
    loop {
        step = match step {
            ServerStep::Challenge(challenge) => {
                let response = ask(connection, session, &challenge).await?;
                exchange.respond(&response)
            }
            ServerStep::CheckPassword { login, password } => {
                match store.login(&visitor, name, &login, &password).await {
                    Ok(known) => admitted = Some(known),
                    Err(error) => return Ok(Outcome::Failed(error)),
                }
                exchange.password_checked(true)
            }
            ServerStep::CheckToken { login, token } => {
                match store.login_with_token(&visitor, name, login.as_deref(), &token).await {
                    Ok(known) => admitted = Some(known),
                    // RFC 7628 §3.2.2: told by a challenge.
                    Err(LoginError::Rejected | LoginError::Disabled) => {}
                    Err(error) => return Ok(Outcome::Failed(error)),
                }
                let login = admitted.as_ref().map(|known| known.account.address.to_string());
                exchange.token_checked(login)
            }
            ServerStep::NeedKeys { login } => match store.scram(&visitor, name, &login).await {
                Ok((begun, keys)) => {
                    *attempt = Some(begun);
                    exchange.supply_keys(keys)
                }
                Err(error) => return Ok(Outcome::Failed(error)),
            },
            ServerStep::CheckProof { pair, .. } => {
                if let Some(begun) = attempt.take() {
                    match store.settle_scram(begun, pair).await {
                        Ok(known) => admitted = Some(known),
                        Err(error) => return Ok(Outcome::Failed(error)),
                    }
                }
                exchange.proof_checked(admitted.is_some())
            }
            ServerStep::Done { last, .. } => {
                // RFC 9051 §6.2.2: no place for data with success, so it is a challenge that an
                // empty response answers.
                if let Some(last) = last {
                    ask(connection, session, &last).await?;
                }
                return Ok(match admitted {
                    Some(admitted) => Outcome::Admitted(Box::new(admitted)),
                    None => Outcome::Rejected,
                });
            }
            ServerStep::Failed(why) => {
                tracing::debug!(why, "IMAP login refused");
                return Ok(Outcome::Rejected);
            }
        };
    }
}

/// A challenge and the response to it.
async fn ask(
    connection: &mut Connection<'_>,
    session: &Session,
    challenge: &[u8],
) -> Result<Vec<u8>, Fail> {
    connection.out.raw("+ ").raw(STANDARD.encode(challenge)).line_end();
    let line = connection.line(MAX_RESPONSE_OCTETS, session.deadline()).await?;
    match line.as_deref() {
        None => Err(Fail::bad("That response is too long")),
        Some(b"*") => Err(Fail::bad("As you wish")), // RFC 9051 §6.2.2: cancelled
        Some(line) => decode(line),
    }
}

fn decode(text: &[u8]) -> Result<Vec<u8>, Fail> {
    STANDARD.decode(text).map_err(|_| Fail::bad("That is not base64"))
}
