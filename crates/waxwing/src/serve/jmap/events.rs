//! Telling of changes as they come (RFC 8620 §7.3), in the format that browsers call EventSource.
//!
//! The id of an event says which states the client knows, so that one that comes back with `Last-Event-ID` is
//! told at once what it missed. The stream ends when what its owner logged in with does, and when we stop.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use waxwing_jmap::Caller;
use waxwing_jmap::push::Listener;

use super::Shared;
use super::crowd::{Errand, Place};
use super::download::parameter;
use super::reply::{self, Reply, problem};
use crate::serve::router::Streamed;

/// Streams of an account at a time.
const AT_ONCE: usize = 32;
/// RFC 8620 §7.3: the least that may be asked for is 30 s or less, the most 300 s or more.
const PING_SECS: std::ops::RangeInclusive<u64> = 15..=3_600;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream on its way.
struct Events {
    listener: Listener,
    /// In seconds.
    ping: Option<u64>,
    /// Ends after the first state.
    once: bool,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    stopped: watch::Receiver<bool>,
    is_over: bool,
    _place: Place,
}

impl Shared {
    pub(super) async fn events(&self, head: &Parts, caller: Arc<Caller>) -> Result<Reply, Reply> {
        let query = head.uri.query().unwrap_or_default();
        let wrong = |detail: &str| problem(StatusCode::BAD_REQUEST, detail);
        let types = parameter(query, "types").unwrap_or_else(|| "*".to_owned());
        let once = match parameter(query, "closeafter").as_deref() {
            Some("state") => true,
            Some("no") | None => false,
            Some(_) => return Err(wrong("closeafter is state or no")),
        };
        let ping = match parameter(query, "ping").as_deref() {
            None => 0,
            Some(secs) => secs.parse().map_err(|_| wrong("ping is a number of seconds"))?,
        };
        let place = self.crowd.enter(caller.account.id, Errand::Events, AT_ONCE);
        let place = place.ok_or_else(|| reply::limit("maxConcurrentRequests"))?;
        let types: Vec<&str> = types.split(',').collect();
        // Begun before we look: a password that is changed meanwhile is noticed.
        let ended = Box::pin(self.store.pass_ended(caller.pass));
        let listener = Listener::new(&self.store, caller.account.id, &types).await;
        let mut listener = listener.map_err(reply::failed)?;
        if let Some(id) = head.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()) {
            listener.knows(id);
        }
        let events = Events {
            listener,
            ping: (ping > 0).then(|| ping.clamp(*PING_SECS.start(), *PING_SECS.end())),
            once,
            ended,
            stopped: self.stopped.clone(),
            is_over: false,
            _place: place,
        };
        let mut response = match head.method {
            Method::HEAD => reply::empty(StatusCode::OK),
            _ => Response::new(body(events)),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // nginx would hold back what is to come at once.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

fn body(events: Events) -> Streamed {
    // A first line, so that the client knows at once that it is connected.
    let hello = stream::iter([Ok(Frame::data(Bytes::from_static(b": waiting\n\n")))]);
    let news = stream::unfold(events, |mut events| async move {
        let event = events.next().await?;
        Some((Ok(Frame::data(Bytes::from(event))), events))
    });
    StreamBody::new(stream::StreamExt::chain(hello, news)).boxed_unsync()
}

impl Events {
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        let Events { listener, ping, ended, stopped, .. } = self;
        // RFC 8620 §7.3: after so long without anything else.
        let silence = async {
            match ping {
                Some(secs) => {
                    tokio::time::sleep_until(Instant::now() + Duration::from_secs(*secs)).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            change = listener.next() => match change {
                Ok(change) => {
                    self.is_over = self.once;
                    let id = self.listener.event_id();
                    Some(format!("event: state\nid: {id}\ndata: {change}\n\n"))
                }
                Err(error) => {
                    tracing::warn!(%error, "a client that waits cannot be told of changes");
                    None
                }
            },
            () = silence => {
                let interval = json!({"interval": ping});
                Some(format!("event: ping\ndata: {interval}\n\n"))
            }
            () = ended.as_mut() => None,
            _ = stopped.wait_for(|stop| *stop) => None,
        }
    }
}
