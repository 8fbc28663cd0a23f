//! JMAP over HTTPS (RFC 8620): who asks, how much, and what goes back. What a request means is in
//! `waxwing-jmap`.
//!
//! | page | what it does |
//! |---|---|
//! | `GET /.well-known/jmap` | the Session object (§2) |
//! | `POST /jmap` | runs methods (§3) |
//! | `POST /jmap/upload/ACCOUNT` | keeps octets for some hours (§6.1) |
//! | `GET /jmap/download/ACCOUNT/BLOB/NAME?type=` | gives octets (§6.2) |
//! | `GET /jmap/eventsource?types=&closeafter=&ping=` | tells of changes (§7.3) |
//!
//! Browsers may ask from any page: who is asking is in the Authorization field, which no page has by itself, and
//! never in a cookie. Over plain HTTP nothing of this exists, unless passwords may go in clear.

mod crowd;
mod door;
mod download;
mod events;
mod reply;
pub mod sending;
mod upload;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tracing::warn;
use waxwing_jmap::wire::error::RequestError;
use waxwing_jmap::wire::request;
use waxwing_jmap::{Caller, Context, Limits, Outside, respond, session};
use waxwing_store::Store;

use super::road::Reception;
use super::router::{Greeting, Hall, host_of};
use crate::config::Config;
use crowd::{Crowd, Errand};
use door::Door;
use reply::{Reply, problem};
use sending::Sending;

const WELL_KNOWN: &str = "/.well-known/jmap";
const API: &str = "/jmap";
const UPLOAD: &str = "/jmap/upload/";
const DOWNLOAD: &str = "/jmap/download/";
const EVENTS: &str = "/jmap/eventsource";

/// For the octets of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The hall.
pub struct Jmap {
    shared: Arc<Shared>,
}

/// What all requests share.
struct Shared {
    store: Store,
    limits: Arc<Limits>,
    outside: Arc<dyn Outside>,
    hostname: String,
    url: Option<String>,
    plaintext: bool,
    door: Door,
    crowd: Arc<Crowd>,
    stopped: watch::Receiver<bool>,
}

impl Jmap {
    /// As configured; `None` when JMAP is not spoken.
    pub fn new(
        config: &Config,
        store: &Store,
        reception: &Arc<Reception>,
        stopped: &watch::Receiver<bool>,
    ) -> Option<Jmap> {
        let settings = config.jmap.as_ref()?;
        let mut limits = Limits::of_messages(config.limits.message_size.0);
        limits.max_recipients = config.limits.recipients;
        let shared = Shared {
            store: store.clone(),
            limits: Arc::new(limits),
            outside: Arc::new(Sending { reception: reception.clone() }),
            hostname: config.hostname.to_string(),
            url: settings.url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            plaintext: config.tls.allow_plaintext_login,
            door: Door::new(store, config),
            crowd: Arc::default(),
            stopped: stopped.clone(),
        };
        Some(Jmap { shared: Arc::new(shared) })
    }
}

impl Hall for Jmap {
    fn takes(&self, path: &str, secure: bool) -> bool {
        let ours = path == WELL_KNOWN || path == API || path.starts_with("/jmap/");
        ours && (secure || self.shared.plaintext)
    }

    fn greet(&self, request: Request<Incoming>, secure: bool, peer: IpAddr) -> Greeting<'_> {
        Box::pin(async move {
            let reply =
                self.shared.reply(request, secure, peer).await.unwrap_or_else(|reply| reply);
            reply::for_browsers(reply)
        })
    }
}

impl Shared {
    /// An `Err` is what went wrong, to be sent like any other.
    async fn reply(
        self: &Arc<Self>,
        request: Request<Incoming>,
        secure: bool,
        peer: IpAddr,
    ) -> Result<Reply, Reply> {
        if request.method() == Method::OPTIONS {
            return Ok(reply::empty(StatusCode::NO_CONTENT));
        }
        let (head, body) = request.into_parts();
        let caller = self.door.admit(&head.headers, secure, peer).await?;
        let path = head.uri.path();
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let is_post = head.method == Method::POST;
        match path {
            WELL_KNOWN if is_read => self.session(&head, secure, &caller).await,
            API if is_post => self.api(&head, secure, body, caller).await,
            EVENTS if is_read => self.events(&head, caller).await,
            WELL_KNOWN | API | EVENTS => Err(reply::wrong_method()),
            _ => match (path.strip_prefix(UPLOAD), path.strip_prefix(DOWNLOAD)) {
                (Some(account), _) if is_post => self.upload(&head, account, body, caller).await,
                (_, Some(rest)) if is_read => self.download(&head, rest, caller).await,
                (None, None) => Err(problem(StatusCode::NOT_FOUND, "there is no such page")),
                _ => Err(reply::wrong_method()),
            },
        }
    }

    /// Where the client finds us: as configured, or where it found us.
    fn base(&self, head: &Parts, secure: bool) -> String {
        if let Some(url) = &self.url {
            return url.clone();
        }
        let scheme = if secure { "https" } else { "http" };
        let authority = head.uri.authority().map(|authority| authority.as_str().to_owned());
        let named = head.headers.get(hyper::header::HOST).and_then(|host| host.to_str().ok());
        let plain =
            |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        let host = authority.or_else(|| named.filter(plain).map(str::to_owned));
        let host = host.filter(|_| host_of(head).is_some_and(|host| !host.is_empty()));
        format!("{scheme}://{}", host.unwrap_or_else(|| self.hostname.clone()))
    }

    async fn session(&self, head: &Parts, secure: bool, caller: &Caller) -> Result<Reply, Reply> {
        let base = self.base(head, secure);
        let session = session::session(&self.store, caller, &self.limits, &base);
        Ok(reply::json(StatusCode::OK, &session.await.map_err(reply::failed)?.value))
    }

    async fn api(
        self: &Arc<Self>,
        head: &Parts,
        secure: bool,
        body: Incoming,
        caller: Arc<Caller>,
    ) -> Result<Reply, Reply> {
        let most = self.limits.max_concurrent_requests;
        let place = self.crowd.enter(caller.account.id, Errand::Request, most);
        let _place = place.ok_or_else(|| reply::limit("maxConcurrentRequests"))?;
        let refused =
            |error: RequestError| reply::json_problem(StatusCode::BAD_REQUEST, &error.problem());
        let reading = Limited::new(body, self.limits.max_size_request).collect();
        let octets = match tokio::time::timeout(REQUEST_TIMEOUT, reading).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(refused(RequestError::Limit("maxSizeRequest")));
            }
            _ => {
                return Err(problem(StatusCode::REQUEST_TIMEOUT, "the request did not come whole"));
            }
        };
        // Only now: with its content read, the connection can be used again.
        let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let bare = media_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        if !bare.eq_ignore_ascii_case("application/json") {
            return Err(refused(RequestError::NotJson(
                "its type is not application/json".to_owned(),
            )));
        }
        let request = request::Request::read(&octets, self.limits.max_calls_in_request);
        let request = request.map_err(refused)?;
        drop(octets);
        let base = self.base(head, secure);
        let session = session::session(&self.store, &caller, &self.limits, &base).await;
        let state = session.map_err(reply::failed)?.state;
        let response = respond(&self.context(caller), request, state).await.map_err(refused)?;
        Ok(reply::json(StatusCode::OK, &response.value()))
    }

    fn context(&self, caller: Arc<Caller>) -> Context {
        let (limits, outside) = (self.limits.clone(), self.outside.clone());
        Context::new(self.store.clone(), caller, limits, outside, jiff::Timestamp::now())
    }

    /// The account of a page's path, if it is there for the caller.
    async fn account(
        &self,
        caller: &Arc<Caller>,
        text: &str,
    ) -> Result<waxwing_jmap::Account, Reply> {
        use waxwing_jmap::wire::error::MethodError;
        self.context(caller.clone()).account(text).await.map_err(|error| match error {
            MethodError::AccountNotFound => {
                problem(StatusCode::NOT_FOUND, "there is no such account")
            }
            error => {
                warn!(%error, "an account could not be looked at");
                problem(StatusCode::SERVICE_UNAVAILABLE, "try again in a moment")
            }
        })
    }
}

/// What an upload gives back (RFC 8620 §6.1).
fn uploaded(account: &str, blob: &str, media_type: &str, size: u64) -> Reply {
    let value = json!({"accountId": account, "blobId": blob, "type": media_type, "size": size});
    reply::json(StatusCode::CREATED, &value)
}
