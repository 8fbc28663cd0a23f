//! AUTHENTICATE (RFC 9051 §6.2.2) with an initial response (RFC 4959): carries a SASL exchange.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use waxwing_sasl::{Mechanism, ServerExchange, ServerStep};
use waxwing_store::{Account, AccountId, LoginError};

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
    match converse(connection, session, &mut exchange, step).await? {
        Some(account) => Ok(login::accepted(session, account)),
        None => login::rejected(connection, session).await,
    }
}

/// Goes on until the exchange ends; `None` when the client is not let in.
async fn converse(
    connection: &mut Connection<'_>,
    session: &mut Session,
    exchange: &mut ServerExchange,
    mut step: ServerStep,
) -> Result<Option<Account>, Fail> {
    let mut by_password = None;
    let mut by_keys: Option<AccountId> = None;
    loop {
        step = match step {
            ServerStep::Challenge(challenge) => {
                let response = ask(connection, session, &challenge).await?;
                exchange.respond(&response)
            }
            ServerStep::CheckPassword { login, password } => {
                by_password = match session.store.login(&login, &password).await {
                    Ok(account) => Some(account),
                    Err(LoginError::Rejected | LoginError::Disabled) => None,
                    Err(LoginError::Store(error)) => return Err(error.into()),
                };
                exchange.password_checked(by_password.is_some())
            }
            ServerStep::NeedKeys { login } => {
                let (account, keys) = session.store.scram_keys(&login).await?;
                by_keys = account;
                exchange.supply_keys(keys)
            }
            ServerStep::Done { last, .. } => {
                // RFC 9051 §6.2.2: no place for data with success, so it is a challenge that an
                // empty response answers.
                if let Some(last) = last {
                    ask(connection, session, &last).await?;
                }
                return match (by_password, by_keys) {
                    (Some(account), _) => Ok(Some(account)),
                    (None, Some(id)) => Ok(session.store.account(id).await?),
                    (None, None) => Ok(None),
                };
            }
            ServerStep::Failed(why) => {
                tracing::info!(why, "IMAP login refused");
                return Ok(None);
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
