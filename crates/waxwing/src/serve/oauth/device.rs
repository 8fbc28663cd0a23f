//! The device flow (RFC 8628): for programs that cannot open a browser, or where nobody can type.
//!
//! ```text
//! program ─ POST /oauth/device_authorization ▶ device code, user code
//!    │ shows "go to /oauth/device and type XXXX-XXXX"
//!    ├─ POST /oauth/token ▶ authorization_pending …          its owner, elsewhere:
//!    │                                          GET /oauth/device ▶ type the code
//!    │                                         POST /oauth/device ▶ what asks, and for what
//!    │                                         POST /oauth/device ▶ logged in, allowed
//!    └─ POST /oauth/token ▶ tokens
//! ```

use std::time::Instant;

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use tracing::warn;
use waxwing_oauth::{Form, shown, typed, user_code};
use waxwing_store::{ConsentError, DeviceError, LoginError, Protocol, Visitor, WaitingDevice};

use super::consent::{Consent, ENDED, LATER, TOO_OLD, is_ours, set_form_cookie};
use super::{Answer, OAuth, form_of, given, html, json_answer, page, random, refused, unavailable};
use super::{scopes, too_many};
use crate::serve::router::Asked;

/// Where people go; short, since it is typed.
pub const PAGE: &str = "/oauth/device";

impl OAuth {
    /// RFC 8628 §3.1, §3.2.
    pub async fn begin_device(&self, asked: &Asked) -> Answer {
        let Some(form) = form_of(asked) else { return refused("invalid_request") };
        let Some(client) = form.get("client_id") else { return refused("invalid_client") };
        if !self.devices.allows(asked.peer, Instant::now()) {
            return too_many();
        }
        let client = match self.store.oauth_client(client).await {
            Ok(Some(client)) => client,
            Ok(None) => return refused("invalid_client"),
            Err(error) => return unavailable(&error),
        };
        let Some(scopes) = scopes(form.get("scope")) else { return refused("invalid_scope") };
        let random: [u8; 32] = rand::random();
        // Of 32 octets, fewer than eight fit once in 10^20 times.
        let Some(user_code) = user_code(&random) else { return too_many() };
        match self.store.begin_device(&client, scopes, &user_code).await {
            Ok(device) => {
                let (page, user_code) = (format!("{}{PAGE}", self.issuer), shown(&user_code));
                let complete = format!("{page}?user_code={user_code}");
                let answer = json!({
                    "device_code": *device.code,
                    "user_code": user_code,
                    "verification_uri": page,
                    "verification_uri_complete": complete,
                    "expires_in": device.expires_in_secs,
                    "interval": device.pause_secs,
                });
                json_answer(StatusCode::OK, &answer)
            }
            Err(ConsentError::Store(error)) => unavailable(&error),
            Err(_) => too_many(),
        }
    }

    /// RFC 8628 §3.4, §3.5.
    pub async fn poll_device(&self, form: &Form, client: &str) -> Answer {
        let Some(code) = form.get("device_code") else { return refused("invalid_request") };
        match self.store.poll_device(code, client, Timestamp::now()).await {
            Ok(tokens) => json_answer(StatusCode::OK, &given(&tokens)),
            Err(DeviceError::Pending) => refused("authorization_pending"),
            Err(DeviceError::SlowDown) => refused("slow_down"),
            Err(DeviceError::Expired) => refused("expired_token"),
            Err(DeviceError::Denied) => refused("access_denied"),
            Err(DeviceError::Consent(error)) => super::no_tokens(error),
        }
    }

    /// Where the code is typed; one that stands in the address is filled in (RFC 8628 §3.3.1).
    pub fn ask_for_user_code(&self, asked: &Asked) -> Answer {
        let form = Form::parse(&asked.query).unwrap_or_default();
        let code = form.get("user_code").and_then(typed).unwrap_or_default();
        self.show_user_code(StatusCode::OK, &code, None)
    }

    /// A code was typed, or what it stands for was answered.
    pub async fn answer_device(&self, asked: &Asked) -> Answer {
        let form = form_of(asked).unwrap_or_default();
        let code = form.get("user_code").unwrap_or_default();
        let again = |status, why| self.show_user_code(status, code, Some(why));
        if !is_ours(asked, &form) {
            return again(StatusCode::FORBIDDEN, TOO_OLD);
        }
        let Some(code) = typed(code) else { return again(StatusCode::BAD_REQUEST, NO_CODE) };
        let visitor = Visitor { protocol: Protocol::Web, address: asked.peer, tls: true };
        let waiting = match self.store.waiting_device(&visitor, &code).await {
            Ok(Some(waiting)) => waiting,
            Ok(None) => return again(StatusCode::NOT_FOUND, NOTHING_WAITS),
            Err(LoginError::TooMany(_)) => return again(StatusCode::TOO_MANY_REQUESTS, TOO_OFTEN),
            Err(error) => {
                warn!("a code could not be looked up: {error}");
                return again(StatusCode::SERVICE_UNAVAILABLE, LATER);
            }
        };
        let shown = shown(&code);
        let consent = to_device(&waiting, &shown);
        match form.get("answer") {
            None => self.ask_for_password(StatusCode::OK, &consent, "", None),
            Some("allow") => match self.log_in(asked, &form, &consent).await {
                Ok(admitted) => match self.store.answer_device(&code, Some(admitted.pass)).await {
                    Err(ConsentError::Invalid) => {
                        let status = StatusCode::FORBIDDEN;
                        self.ask_for_password(status, &consent, "", Some(ENDED))
                    }
                    done => self.answered(done, &shown, ALLOWED),
                },
                Err(answer) => answer,
            },
            Some(_) => {
                let done = self.store.answer_device(&code, None).await;
                self.answered(done, &shown, DENIED)
            }
        }
    }

    fn answered(&self, done: Result<bool, ConsentError>, code: &str, text: &str) -> Answer {
        match done {
            Ok(true) => {
                let nonce = random();
                html(StatusCode::OK, &nonce, "", page::done(&self.host, &nonce, text))
            }
            Ok(false) => self.show_user_code(StatusCode::NOT_FOUND, code, Some(NOTHING_WAITS)),
            Err(error) => {
                warn!("an answer to a program could not be kept: {error}");
                self.show_user_code(StatusCode::SERVICE_UNAVAILABLE, code, Some(LATER))
            }
        }
    }

    fn show_user_code(&self, status: StatusCode, code: &str, problem: Option<&str>) -> Answer {
        let (form_token, nonce) = (random(), random());
        let code = typed(code).map(|code| shown(&code)).unwrap_or_default();
        let text = page::user_code(&self.host, &nonce, &form_token, &code, problem);
        let mut answer = html(status, &nonce, "", text);
        set_form_cookie(&mut answer, &form_token);
        answer
    }
}

/// What a program elsewhere asks consent to. RFC 8628 §5.4: somebody may have been sent here with another's
/// code.
fn to_device<'a>(waiting: &'a WaitingDevice, code: &'a str) -> Consent<'a> {
    Consent {
        client: &waiting.client_name,
        scopes: waiting.scopes,
        warning: Some(format!(
            "Go on only if a program of your own shows you {code} at this moment. Whoever sent you this \
             code would read your mail."
        )),
        action: PAGE,
        hidden: vec![("user_code", code)],
        leads: String::new(),
    }
}

const NO_CODE: &str = "That is not a code: it has eight letters.";
const NOTHING_WAITS: &str =
    "No program waits with that code. It may be mistyped, or too old: then begin again there.";
const TOO_OFTEN: &str = "There were too many wrong codes. Wait a few minutes, then try again.";
const ALLOWED: &str = "Done: the program has access in a moment. You can close this page.";
const DENIED: &str = "The program was given nothing. You can close this page.";
