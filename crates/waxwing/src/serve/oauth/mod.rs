//! An OAuth 2 authorisation server (RFC 6749) for mail programs: they send their owner's browser here,
//! the owner logs in and consents, and the program is given tokens instead of a password.
//!
//! | page | what it does |
//! |---|---|
//! | `GET /.well-known/oauth-authorization-server` | says where everything is (RFC 8414) |
//! | `POST /oauth/register` | a program makes itself known (RFC 7591) |
//! | `GET`, `POST /oauth/authorize` | its owner logs in and consents (RFC 6749 §4.1) |
//! | `POST /oauth/token` | codes and refresh tokens become tokens (§4.1.3, §6) |
//! | `POST /oauth/revoke` | a token's consent ends (RFC 7009) |
//!
//! Programs on people's computers cannot keep a secret, so all are public clients, and all must use PKCE
//! (RFC 7636, S256). Nobody stays logged in at these pages: who consents gives the password with the
//! consent, so that no cookie opens anything. Not here: the device flow, OpenID Connect.

mod page;
mod request;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HeaderValue, LOCATION, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::warn;
use waxwing_store::{
    ConsentError, LoginError, NewCode, OAuthClient, Protocol, Redeem, Store, Tokens, Visitor,
};
use zeroize::Zeroizing;

use super::router::{Answer, Answering, Asked, Room, typed};
use crate::config::Config;
use request::{Authorize, Form, Registration, challenge_of, is_same_uri, with_parameters};

const METADATA: &str = "/.well-known/oauth-authorization-server";
/// Programs that may register from one address in an hour.
const REGISTRATIONS_MAX: u32 = 30;
const REGISTRATIONS_WITHIN: Duration = Duration::from_secs(3_600);
/// Addresses that are counted at one time.
const COUNTED_MAX: usize = 10_000;
/// A cookie that no page elsewhere can set or send (RFC 6265bis §4.1.3).
const FORM_COOKIE: &str = "__Host-waxwing-form";

/// The room.
pub struct OAuth {
    store: Store,
    issuer: String,
    host: String,
    registrations: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

impl OAuth {
    /// As configured; `None` when no tokens are given out.
    pub fn new(config: &Config, store: &Store) -> Option<OAuth> {
        let settings = config.oauth.as_ref()?;
        let host = config.hostname.to_string();
        let issuer = settings.issuer.clone().unwrap_or_else(|| format!("https://{host}"));
        let issuer = issuer.trim_end_matches('/').to_owned();
        Some(OAuth { store: store.clone(), issuer, host, registrations: Mutex::default() })
    }

    async fn reply(&self, asked: &Asked) -> Option<Answer> {
        // RFC 6749 §3.1, §3.2: TLS always.
        if !asked.secure {
            return None;
        }
        let post = asked.method == Method::POST;
        match asked.path.as_str() {
            METADATA if asked.is_read() => Some(json_answer(StatusCode::OK, &self.metadata())),
            "/oauth/authorize" if asked.is_read() => Some(self.ask(asked).await),
            "/oauth/authorize" if post => Some(self.consent(asked).await),
            "/oauth/token" if post => Some(self.token(asked).await),
            "/oauth/revoke" if post => Some(self.revoke(asked).await),
            "/oauth/register" if post => Some(self.register(asked).await),
            _ => None,
        }
    }

    /// RFC 8414 §2.
    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/oauth/authorize"),
            "token_endpoint": at("/oauth/token"),
            "revocation_endpoint": at("/oauth/revoke"),
            "registration_endpoint": at("/oauth/register"),
            "scopes_supported": ["mail", "imap", "pop3", "smtp", "sieve"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// The program, if it may be answered where it wants to be; otherwise what to tell the person.
    async fn addressee(&self, form: &Form) -> Result<OAuthClient, &'static str> {
        let (id, uri) = Authorize::addressee(form)
            .ok_or("The program did not say who it is, or where you are to be sent afterwards.")?;
        let client = self.store.oauth_client(id).await.map_err(|error| {
            warn!("a login page could not be shown: {error}");
            "The server cannot look up the program at the moment. Try again later."
        })?;
        let client = client.ok_or("The program is not known here: it has to register itself.")?;
        match client.redirect_uris.iter().any(|registered| is_same_uri(registered, uri)) {
            true => Ok(client),
            false => Err("The program wants you to be sent to a place that it has not registered."),
        }
    }

    async fn ask(&self, asked: &Asked) -> Answer {
        let Some(form) = Form::parse(&asked.query) else { return self.invalid(BROKEN) };
        let client = match self.addressee(&form).await {
            Ok(client) => client,
            Err(why) => return self.invalid(why),
        };
        match Authorize::parse(&form) {
            Ok(request) => {
                let hint = form.get("login_hint").unwrap_or_default();
                self.show(StatusCode::OK, &client, &request, hint, None)
            }
            Err(code) => self.send_back(&form, &[("error", code)]),
        }
    }

    async fn consent(&self, asked: &Asked) -> Answer {
        let Some(form) = form_of(asked) else { return self.invalid(BROKEN) };
        let client = match self.addressee(&form).await {
            Ok(client) => client,
            Err(why) => return self.invalid(why),
        };
        let request = match Authorize::parse(&form) {
            Ok(request) => request,
            Err(code) => return self.send_back(&form, &[("error", code)]),
        };
        let address = form.get("address").unwrap_or_default();
        let again = |status, why| self.show(status, &client, &request, address, Some(why));
        if form.get("form_token").is_none() || form.get("form_token") != form_cookie(asked) {
            return again(StatusCode::FORBIDDEN, "This page was too old. Please try once more.");
        }
        if form.get("answer") != Some("allow") {
            return self.send_back(&form, &[("error", "access_denied")]);
        }
        let visitor = Visitor { protocol: Protocol::Web, address: asked.peer, tls: true };
        let password = waxwing_sasl::prepare_password(form.get("password").unwrap_or_default());
        let admitted = match self.store.login(&visitor, "login", address, &password).await {
            Ok(admitted) => admitted,
            Err(LoginError::TooMany(_)) => {
                let why = "There were too many wrong logins. Wait a few minutes, then try again.";
                return again(StatusCode::TOO_MANY_REQUESTS, why);
            }
            Err(LoginError::Store(error)) => {
                warn!("a login could not be checked: {error}");
                return again(StatusCode::SERVICE_UNAVAILABLE, LATER);
            }
            Err(_) => return again(StatusCode::FORBIDDEN, "Wrong address or password."),
        };
        let new = NewCode {
            account: admitted.account.id,
            client: client.clone(),
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            scopes: request.scopes,
        };
        match self.store.make_code(new).await {
            Ok(code) => self.send_back(&form, &[("code", &code)]),
            Err(error) => {
                warn!("a consent could not be kept: {error}");
                again(StatusCode::SERVICE_UNAVAILABLE, LATER)
            }
        }
    }

    /// RFC 6749 §4.1.3 and §6.
    async fn token(&self, asked: &Asked) -> Answer {
        let Some(form) = form_of(asked) else { return refused("invalid_request") };
        let Some(client) = form.get("client_id") else { return refused("invalid_client") };
        let outcome = match form.get("grant_type") {
            Some("authorization_code") => {
                let parts = (form.get("code"), form.get("redirect_uri"), form.get("code_verifier"));
                let (Some(code), Some(uri), Some(verifier)) = parts else {
                    return refused("invalid_request");
                };
                let Some(challenge) = challenge_of(verifier) else {
                    return refused("invalid_grant");
                };
                let redeem = Redeem {
                    code: Zeroizing::new(code.to_owned()),
                    client: client.to_owned(),
                    redirect_uri: uri.to_owned(),
                    challenge,
                };
                self.store.redeem_code(redeem).await
            }
            Some("refresh_token") => match form.get("refresh_token") {
                Some(token) => self.store.refresh_tokens(token, client).await,
                None => return refused("invalid_request"),
            },
            _ => return refused("unsupported_grant_type"),
        };
        match outcome {
            Ok(tokens) => json_answer(StatusCode::OK, &given(&tokens)),
            Err(ConsentError::Invalid) => refused("invalid_grant"),
            Err(ConsentError::TooMany) => refused("access_denied"),
            Err(ConsentError::Store(error)) => unavailable(&error),
        }
    }

    /// RFC 7009 §2.2: done is what is answered whether there was such a token or not.
    async fn revoke(&self, asked: &Asked) -> Answer {
        let form = form_of(asked).unwrap_or_default();
        let Some(token) = form.get("token") else { return refused("invalid_request") };
        match self.store.revoke_token(token).await {
            Ok(()) => json_answer(StatusCode::OK, &json!({})),
            Err(error) => unavailable(&error),
        }
    }

    /// RFC 7591 §3.
    async fn register(&self, asked: &Asked) -> Answer {
        if !self.may_register(asked.peer) {
            let error = json!({ "error": "temporarily_unavailable" });
            return json_answer(StatusCode::TOO_MANY_REQUESTS, &error);
        }
        let (name, uris) = match Registration::parse(&asked.body) {
            Ok(registration) => registration,
            Err(code) => return refused(code),
        };
        match self.store.register_client(name, uris).await {
            Ok(client) => json_answer(
                StatusCode::CREATED,
                &json!({
                    "client_id": client.id,
                    "client_name": client.name,
                    "redirect_uris": client.redirect_uris,
                    "grant_types": ["authorization_code", "refresh_token"],
                    "response_types": ["code"],
                    "token_endpoint_auth_method": "none",
                }),
            ),
            Err(ConsentError::Store(error)) => unavailable(&error),
            Err(_) => {
                let error = json!({ "error": "temporarily_unavailable" });
                json_answer(StatusCode::SERVICE_UNAVAILABLE, &error)
            }
        }
    }

    fn may_register(&self, peer: IpAddr) -> bool {
        let mut counts = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTED_MAX {
            counts.retain(|_, (_, since)| since.elapsed() < REGISTRATIONS_WITHIN);
        }
        if counts.len() >= COUNTED_MAX {
            return false;
        }
        let (count, since) = counts.entry(peer).or_insert((0, Instant::now()));
        if since.elapsed() >= REGISTRATIONS_WITHIN {
            (*count, *since) = (0, Instant::now());
        }
        *count += 1;
        *count <= REGISTRATIONS_MAX
    }

    /// The consent page, with a new form token.
    fn show(
        &self,
        status: StatusCode,
        client: &OAuthClient,
        request: &Authorize,
        address: &str,
        problem: Option<&str>,
    ) -> Answer {
        let (form_token, nonce) = (random(), random());
        let page = page::Consent {
            host: &self.host,
            client: &client.name,
            asked: request,
            form_token: &form_token,
            address,
            problem,
            nonce: &nonce,
        };
        // Browsers apply form-action to where the answer to a form leads, too.
        let leads = request::source_of(&request.redirect_uri);
        let mut answer = html(status, &nonce, &leads, page::consent(&page));
        let cookie =
            format!("{FORM_COOKIE}={form_token}; Path=/; Secure; HttpOnly; SameSite=Strict");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
        answer
    }

    fn invalid(&self, why: &str) -> Answer {
        let nonce = random();
        let text = page::problem(&self.host, &nonce, why);
        html(StatusCode::BAD_REQUEST, &nonce, "", text)
    }

    /// To the program, whose place has been checked; with `iss` (RFC 9207) and its state.
    fn send_back(&self, form: &Form, parameters: &[(&str, &str)]) -> Answer {
        let uri = form.get("redirect_uri").unwrap_or_default();
        let mut all = parameters.to_vec();
        all.push(("iss", &self.issuer));
        all.extend(form.get("state").map(|state| ("state", state)));
        let mut answer = typed(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
        match HeaderValue::from_str(&with_parameters(uri, &all)) {
            Ok(location) => {
                let headers = answer.headers_mut();
                headers.insert(LOCATION, location);
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
                answer
            }
            Err(_) => self.invalid(BROKEN),
        }
    }
}

impl Room for OAuth {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answering<'a> {
        Box::pin(self.reply(asked))
    }
}

const BROKEN: &str = "The program sent something that cannot be read.";
const LATER: &str = "Logins cannot be checked at the moment. Try again later.";

fn form_of(asked: &Asked) -> Option<Form> {
    Form::parse(std::str::from_utf8(&asked.body).ok()?)
}

fn form_cookie(asked: &Asked) -> Option<&str> {
    let cookies = asked.header(&COOKIE)?.split(';');
    cookies
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(name, value)| (name == FORM_COOKIE).then_some(value))
}

fn given(tokens: &Tokens) -> Value {
    json!({
        "access_token": *tokens.access,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in_secs,
        "refresh_token": *tokens.refresh,
        "scope": tokens.scopes.names().join(" "),
    })
}

/// RFC 6749 §5.2.
fn refused(code: &str) -> Answer {
    json_answer(StatusCode::BAD_REQUEST, &json!({ "error": code }))
}

fn unavailable(error: &waxwing_store::StoreError) -> Answer {
    warn!("a program was given no answer: {error}");
    let error = json!({ "error": "temporarily_unavailable" });
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &error)
}

/// RFC 6749 §5.1: never kept by anybody.
fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let mut answer = typed(status, "application/json", format!("{value}\n"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A page that loads nothing, runs nothing, and stands in no frame.
fn html(status: StatusCode, nonce: &str, leads: &str, text: String) -> Answer {
    let mut answer = typed(status, "text/html; charset=utf-8", text);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self' {leads}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = answer.headers_mut();
    for (name, value) in [
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::from_str(&policy);
    let strict = HeaderValue::from_static("default-src 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, policy.unwrap_or(strict));
    answer
}

fn random() -> String {
    let octets: [u8; 16] = rand::random();
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
