//! Answers, and problems in the form of RFC 7807.

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE,
    HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tracing::warn;
use waxwing_store::StoreError;

use crate::serve::router::Streamed;

/// What goes back.
pub type Reply = Response<Streamed>;

/// JSON that nobody keeps.
pub fn json(status: StatusCode, value: &Value) -> Reply {
    typed(status, "application/json", value.to_string())
}

/// Problem details as they are.
pub fn json_problem(status: StatusCode, value: &Value) -> Reply {
    typed(status, "application/problem+json", value.to_string())
}

/// Problem details of no type of their own (RFC 7807 §4.2).
pub fn problem(status: StatusCode, detail: &str) -> Reply {
    json_problem(
        status,
        &json!({"type": "about:blank", "status": status.as_u16(), "detail": detail}),
    )
}

/// One of the limits of the core capability is reached (RFC 8620 §3.6.1). Trying later may help.
pub fn limit(name: &str) -> Reply {
    let value = json!({
        "type": "urn:ietf:params:jmap:error:limit",
        "status": 429,
        "limit": name,
        "detail": format!("{name} is reached: try again when another has ended"),
    });
    later(json_problem(StatusCode::TOO_MANY_REQUESTS, &value), 1)
}

/// With the number of seconds after which trying again makes sense.
pub fn later(mut reply: Reply, secs: u64) -> Reply {
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    reply
}

/// The page is there, but not for this.
pub fn wrong_method() -> Reply {
    problem(StatusCode::METHOD_NOT_ALLOWED, "this page is not asked for so")
}

/// The store could not do its work.
pub fn failed(error: StoreError) -> Reply {
    warn!(%error, "a JMAP request failed");
    later(problem(StatusCode::SERVICE_UNAVAILABLE, "try again in a moment"), 5)
}

/// Nothing.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *reply.status_mut() = status;
    reply
}

/// Text of this media type, that nobody keeps.
fn typed(status: StatusCode, media_type: &'static str, text: String) -> Reply {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Pages of any origin may read the answer: they cannot ask without knowing a password or a token.
pub fn for_browsers(mut reply: Reply) -> Reply {
    let headers = reply.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, Last-Event-ID"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After, WWW-Authenticate"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}
