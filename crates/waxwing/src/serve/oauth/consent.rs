//! Logging in and consenting, in one form, and in another one where a code is wanted too.
//!
//! ```text
//! page ── address, password, "allow" ──▶ let in
//!   ▲         └── a second step is on ──▶ page ── ticket, code, "allow" ──▶ let in
//!   └── wrong, or too late ◀────────────────┘
//! ```
//!
//! Both pages hold the whole request and a token that a cookie holds too, so that no page elsewhere can send
//! them. Between the two only a ticket of the store is carried: the password is not sent again.

use hyper::StatusCode;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use jiff::Timestamp;
use tracing::warn;
use waxwing_oauth::Form;
use waxwing_store::{Admitted, LoginError, PageLogin, Protocol, Scope, Ticket, Visitor};

use super::{Answer, OAuth, html, page, random};
use crate::serve::router::Asked;

/// A cookie that no page elsewhere can set or send (RFC 6265bis §4.1.3).
const FORM_COOKIE: &str = "__Host-waxwing-form";

pub const TOO_OLD: &str = "This page was too old. Please try once more.";
pub const LATER: &str = "Logins cannot be checked at the moment. Try again later.";

/// What somebody is asked to consent to.
pub struct Consent<'a> {
    /// As the program calls itself.
    pub client: &'a str,
    /// What it asks for.
    pub scopes: Scope,
    /// What to look out for.
    pub warning: Option<String>,
    /// Where the form goes.
    pub action: &'static str,
    /// The request, to be sent again with the form.
    pub hidden: Vec<(&'static str, &'a str)>,
    /// Scheme and host of where the browser is sent afterwards; empty: nowhere.
    pub leads: String,
}

impl OAuth {
    /// The first page.
    pub fn ask_for_password(
        &self,
        status: StatusCode,
        consent: &Consent<'_>,
        address: &str,
        problem: Option<&str>,
    ) -> Answer {
        self.show(status, consent, page::Ask::Password { address }, problem)
    }

    /// Who has logged in with this form and says yes; otherwise what to show.
    pub async fn log_in(
        &self,
        asked: &Asked,
        form: &Form,
        consent: &Consent<'_>,
    ) -> Result<Admitted, Answer> {
        let address = form.get("address").unwrap_or_default();
        let again = |status, why| self.ask_for_password(status, consent, address, Some(why));
        let visitor = Visitor { protocol: Protocol::Web, address: asked.peer, tls: true };
        let now = Timestamp::now();
        let ticket = form.get("ticket");
        let outcome = match ticket {
            Some(ticket) => {
                let code = form.get("code").unwrap_or_default();
                self.store.login_by_code(&visitor, Ticket::from_text(ticket), code, now).await
            }
            None => {
                let password = form.get("password").unwrap_or_default();
                let password = waxwing_sasl::prepare_password(password);
                self.store.login_by_page(&visitor, address, &password, now).await
            }
        };
        Err(match outcome {
            Ok(PageLogin::Admitted(admitted)) => return Ok(admitted),
            Ok(PageLogin::CodeWanted { ticket, wrong }) => {
                let (status, problem) = match wrong {
                    true => (StatusCode::FORBIDDEN, Some(WRONG_CODE)),
                    false => (StatusCode::OK, None),
                };
                let ask = page::Ask::Code { address, ticket: ticket.as_text() };
                self.show(status, consent, ask, problem)
            }
            Err(LoginError::TooMany(_)) => again(
                StatusCode::TOO_MANY_REQUESTS,
                "There were too many wrong logins. Wait a few minutes, then try again.",
            ),
            Err(LoginError::Store(error)) => {
                warn!("a login could not be checked: {error}");
                again(StatusCode::SERVICE_UNAVAILABLE, LATER)
            }
            Err(LoginError::Rejected) if ticket.is_some() => again(StatusCode::FORBIDDEN, ENDED),
            Err(_) => again(StatusCode::FORBIDDEN, "Wrong address or password."),
        })
    }

    /// A page with a new form token.
    fn show(
        &self,
        status: StatusCode,
        consent: &Consent<'_>,
        ask: page::Ask<'_>,
        problem: Option<&str>,
    ) -> Answer {
        let (form_token, nonce) = (random(), random());
        let page = page::Page {
            host: &self.host,
            consent,
            ask,
            form_token: &form_token,
            problem,
            nonce: &nonce,
        };
        // Browsers apply form-action to where the answer to a form leads, too.
        let mut answer = html(status, &nonce, &consent.leads, page::consent(&page));
        set_form_cookie(&mut answer, &form_token);
        answer
    }
}

/// What let somebody in lets them in no more.
pub const ENDED: &str = "That took too long. Give your password again.";
const WRONG_CODE: &str = "That code is wrong, or was used before. Wait for the next one.";

/// Whether a form was sent by a page of ours.
pub fn is_ours(asked: &Asked, form: &Form) -> bool {
    let token = form.get("form_token");
    token.is_some() && token == form_cookie(asked)
}

pub fn set_form_cookie(answer: &mut Answer, form_token: &str) {
    let cookie = format!("{FORM_COOKIE}={form_token}; Path=/; Secure; HttpOnly; SameSite=Strict");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
}

fn form_cookie(asked: &Asked) -> Option<&str> {
    let cookies = asked.header(&COOKIE)?.split(';');
    cookies
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == FORM_COOKIE).then_some(value))
}
