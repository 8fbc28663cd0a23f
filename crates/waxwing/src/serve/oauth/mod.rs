//! An OAuth 2 authorisation server (RFC 6749) for mail programs: they send their owner's browser here,
//! the owner logs in and consents, and the program is given tokens instead of a password.
//!
//! | page | what it does |
//! |---|---|
//! | `GET /.well-known/oauth-authorization-server` | says where everything is (RFC 8414); also where older programs look |
//! | `GET /.well-known/oauth-protected-resource` | says who gives out tokens for mail here (RFC 9728) |
//! | `POST /oauth/register` | a program makes itself known (RFC 7591) |
//! | `GET`, `POST /oauth/authorize` | its owner logs in and consents (RFC 6749 §4.1) |
//! | `POST /oauth/device_authorization`, `GET`, `POST /oauth/device` | the same for a program without a browser (RFC 8628) |
//! | `POST /oauth/token` | codes and refresh tokens become tokens (§4.1.3, §6) |
//! | `POST /oauth/revoke` | a token's consent ends (RFC 7009) |
//!
//! Programs on people's computers cannot keep a secret, so all are public clients, and all must use PKCE
//! (RFC 7636, S256). Nobody stays logged in at these pages: who consents gives the password with the
//! consent, so that no cookie opens anything: `consent` says how. Not here: OpenID Connect. What is sent here is read by
//! `waxwing-oauth`.

mod consent;
mod device;
mod limit;
mod page;

use std::time::Instant;

use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tracing::warn;
use waxwing_oauth::{
    Authorize, DEVICE_GRANT, Form, Registration, challenge_of, is_same_uri, source_of,
    with_parameters,
};
use waxwing_store::{ConsentError, NewCode, OAuthClient, Redeem, Scope, Store, Tokens};
use zeroize::Zeroizing;

use super::router::{Answer, Answering, Asked, Room, typed};
use crate::config::Config;
use consent::{Consent, ENDED, LATER, TOO_OLD, is_ours};
use limit::Limit;

const METADATA: &str = "/.well-known/oauth-authorization-server";
/// The same, where OpenID Connect has it: RFC 8414 §5 calls that a general feature of OAuth, and mail programs
/// look there. Nothing in it says that we speak OpenID Connect.
const METADATA_OF_OLD: &str = "/.well-known/openid-configuration";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// Programs that may register from one address in an hour.
const REGISTRATIONS_MAX: u32 = 30;
/// Programs that may begin to wait, from one address in an hour.
const DEVICES_MAX: u32 = 60;

/// The room.
pub struct OAuth {
    store: Store,
    issuer: String,
    host: String,
    registrations: Limit,
    devices: Limit,
}

impl OAuth {
    /// As configured; `None` when no tokens are given out.
    pub fn new(config: &Config, store: &Store) -> Option<OAuth> {
        Some(OAuth {
            store: store.clone(),
            issuer: config.issuer()?,
            host: config.hostname.to_string(),
            registrations: Limit::new(REGISTRATIONS_MAX),
            devices: Limit::new(DEVICES_MAX),
        })
    }

    async fn reply(&self, asked: &Asked) -> Option<Answer> {
        // RFC 6749 §3.1, §3.2: TLS always.
        if !asked.secure {
            return None;
        }
        let post = asked.method == Method::POST;
        match asked.path.as_str() {
            METADATA | METADATA_OF_OLD if asked.is_read() => {
                Some(json_answer(StatusCode::OK, &self.metadata()))
            }
            RESOURCE if asked.is_read() => Some(json_answer(StatusCode::OK, &self.resource())),
            "/oauth/device_authorization" if post => Some(self.begin_device(asked).await),
            device::PAGE if asked.is_read() => Some(self.ask_for_user_code(asked)),
            device::PAGE if post => Some(self.answer_device(asked).await),
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
            "device_authorization_endpoint": at("/oauth/device_authorization"), // RFC 8628 §4
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": GRANTS,
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "protected_resources": [self.issuer], // RFC 9728 §4
        })
    }

    /// RFC 9728 §2. Its name is the issuer's: the mail services of this host are one resource. Tokens come by
    /// SASL (RFC 7628), so by none of the methods of HTTP.
    fn resource(&self) -> Value {
        json!({
            "resource": self.issuer,
            "authorization_servers": [self.issuer],
            "scopes_supported": SCOPES,
            "bearer_methods_supported": [],
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
        match authorize(&form) {
            Ok((request, scopes)) => {
                let hint = form.get("login_hint").unwrap_or_default();
                let consent = to_program(&client, &request, scopes);
                self.ask_for_password(StatusCode::OK, &consent, hint, None)
            }
            Err(code) => self.turn_away(&form, code, StatusCode::BAD_REQUEST, WRONG_REQUEST),
        }
    }

    async fn consent(&self, asked: &Asked) -> Answer {
        let Some(form) = form_of(asked) else { return self.invalid(BROKEN) };
        let client = match self.addressee(&form).await {
            Ok(client) => client,
            Err(why) => return self.invalid(why),
        };
        let (request, scopes) = match authorize(&form) {
            Ok(request) => request,
            Err(code) => {
                return self.turn_away(&form, code, StatusCode::BAD_REQUEST, WRONG_REQUEST);
            }
        };
        let consent = to_program(&client, &request, scopes);
        let address = form.get("address").unwrap_or_default();
        let again = |status, why| self.ask_for_password(status, &consent, address, Some(why));
        if !is_ours(asked, &form) {
            return again(StatusCode::FORBIDDEN, TOO_OLD);
        }
        if form.get("answer") != Some("allow") {
            return self.turn_away(&form, "access_denied", StatusCode::OK, DENIED);
        }
        let admitted = match self.log_in(asked, &form, &consent).await {
            Ok(admitted) => admitted,
            Err(answer) => return answer,
        };
        let new = NewCode {
            pass: admitted.pass,
            client: client.clone(),
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            scopes,
        };
        match self.store.make_code(new).await {
            Ok(code) => self.send_back(&form, &[("code", &code)]),
            Err(ConsentError::Invalid) => again(StatusCode::FORBIDDEN, ENDED),
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
            Some(DEVICE_GRANT) => return self.poll_device(&form, client).await,
            _ => return refused("unsupported_grant_type"),
        };
        match outcome {
            Ok(tokens) => json_answer(StatusCode::OK, &given(&tokens)),
            Err(error) => no_tokens(error),
        }
    }

    /// RFC 7009 §2.2: done is what is answered whether there was such a token or not; but not to a program that
    /// shows another's (§2.1).
    async fn revoke(&self, asked: &Asked) -> Answer {
        let form = form_of(asked).unwrap_or_default();
        let Some(token) = form.get("token") else { return refused("invalid_request") };
        match self.store.revoke_token(token, form.get("client_id")).await {
            Ok(()) => json_answer(StatusCode::OK, &json!({})),
            Err(error) => no_tokens(error),
        }
    }

    /// RFC 7591 §3.
    async fn register(&self, asked: &Asked) -> Answer {
        if !self.registrations.allows(asked.peer, Instant::now()) {
            return too_many();
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
                    "grant_types": GRANTS,
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

    fn invalid(&self, why: &str) -> Answer {
        let nonce = random();
        let text = page::problem(&self.host, &nonce, why);
        html(StatusCode::BAD_REQUEST, &nonce, "", text)
    }

    /// Where the program, whose place has been checked, hears of it; with `iss` (RFC 9207) and its state.
    fn onward(&self, form: &Form, parameters: &[(&str, &str)]) -> String {
        let mut all = parameters.to_vec();
        all.push(("iss", &self.issuer));
        all.extend(form.get("state").map(|state| ("state", state)));
        with_parameters(form.get("redirect_uri").unwrap_or_default(), &all)
    }

    /// To the program, without what it asked for. Anybody registers any site on the web, so there the person
    /// goes by themselves, knowing where: otherwise links to us would lead wherever strangers like (RFC 9700
    /// §4.11.2). Programs on their own computer are told at once.
    fn turn_away(&self, form: &Form, code: &str, status: StatusCode, why: &str) -> Answer {
        let uri = form.get("redirect_uri").unwrap_or_default();
        if !uri.starts_with("https:") {
            return self.send_back(form, &[("error", code)]);
        }
        let (nonce, onward) = (random(), self.onward(form, &[("error", code)]));
        let text = page::turned_away(&self.host, &nonce, why, &source_of(uri), &onward);
        html(status, &nonce, "", text)
    }

    /// To the program at once.
    fn send_back(&self, form: &Form, parameters: &[(&str, &str)]) -> Answer {
        let mut answer = typed(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
        match HeaderValue::from_str(&self.onward(form, parameters)) {
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
const WRONG_REQUEST: &str = "The program asked for something that is not given here";
const DENIED: &str = "The program was given nothing";
const SCOPES: [&str; 5] = ["mail", "imap", "pop3", "smtp", "sieve"];
const GRANTS: [&str; 3] = ["authorization_code", "refresh_token", DEVICE_GRANT];

/// An authorisation request; an error is a code to be sent back to the program.
fn authorize(form: &Form) -> Result<(Authorize, Scope), &'static str> {
    let request = Authorize::parse(form)?;
    let scopes = scopes(request.scope.as_deref()).ok_or("invalid_scope")?;
    Ok((request, scopes))
}

/// RFC 6749 §3.3: names between spaces; those we do not know are left out. `None`: nothing is left.
fn scopes(text: Option<&str>) -> Option<Scope> {
    let known = text.unwrap_or("mail").split(' ').filter_map(Scope::parse);
    let scopes = known.fold(Scope::NONE, Scope::and);
    (scopes != Scope::NONE).then_some(scopes)
}

/// What an authorisation request asks consent to.
fn to_program<'a>(client: &'a OAuthClient, request: &'a Authorize, scopes: Scope) -> Consent<'a> {
    Consent {
        client: &client.name,
        scopes,
        warning: None,
        action: "/oauth/authorize",
        hidden: vec![
            ("response_type", "code"),
            ("client_id", &request.client_id),
            ("redirect_uri", &request.redirect_uri),
            ("code_challenge", &request.challenge),
            ("code_challenge_method", "S256"),
            ("state", &request.state),
        ],
        leads: source_of(&request.redirect_uri),
    }
}

fn form_of(asked: &Asked) -> Option<Form> {
    Form::parse(std::str::from_utf8(&asked.body).ok()?)
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

fn no_tokens(error: ConsentError) -> Answer {
    match error {
        ConsentError::Invalid => refused("invalid_grant"),
        ConsentError::TooMany => refused("access_denied"),
        ConsentError::Store(error) => unavailable(&error),
    }
}

fn too_many() -> Answer {
    let error = json!({ "error": "temporarily_unavailable" });
    json_answer(StatusCode::TOO_MANY_REQUESTS, &error)
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

#[cfg(test)]
mod tests;
