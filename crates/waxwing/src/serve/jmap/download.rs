//! Downloads (RFC 8620 §6.2), piece by piece. What is in a message is a stranger's: a browser that is led to it keeps
//! it in a file and runs nothing of it.

use std::sync::Arc;

use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderValue,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tracing::warn;
use waxwing_jmap::Caller;
use waxwing_jmap::blob::open::{Opened, open};
use waxwing_jmap::wire::blob_id::Blob;

use super::Shared;
use super::crowd::{Errand, Place};
use super::reply::{self, Reply, problem};
use crate::serve::router::Streamed;

/// Downloads of an account at a time.
const AT_ONCE: usize = 16;
/// Octets of a name that goes back.
const NAME_OCTETS_MAX: usize = 255;

impl Shared {
    pub(super) async fn download(
        &self,
        head: &Parts,
        rest: &str,
        caller: Arc<Caller>,
    ) -> Result<Reply, Reply> {
        let nothing = || problem(StatusCode::NOT_FOUND, "there is no such blob");
        let mut pieces = rest.splitn(3, '/');
        let (Some(account), Some(blob)) = (pieces.next(), pieces.next()) else {
            return Err(nothing());
        };
        let name = decoded(pieces.next().unwrap_or_default(), false);
        let place = self.crowd.enter(caller.account.id, Errand::Download, AT_ONCE);
        let place = place.ok_or_else(|| reply::limit("maxConcurrentDownload"))?;
        let account = self.account(&caller, account).await?;
        let blob = Blob::read(blob).ok_or_else(nothing)?;
        let opened = open(&self.store, &caller, &account, &blob).await.map_err(reply::failed)?;
        let opened = opened.ok_or_else(nothing)?;
        let wanted = parameter(head.uri.query().unwrap_or_default(), "type");
        let known = opened.media_type.clone();
        let media_type = [wanted, known].into_iter().flatten().find_map(|text| media_type(&text));
        let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let size = opened.size_octets;
        let mut response = match head.method {
            Method::HEAD => reply::empty(StatusCode::OK),
            _ => Response::new(body(opened, place)),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, media_type);
        headers.insert(CONTENT_DISPOSITION, disposition(&name));
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'"),
        );
        // RFC 8620 §6.2: what a blob id names never changes.
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("private, immutable, max-age=31536000"),
        );
        if let Some(size) = size {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
        }
        Ok(response)
    }
}

fn body(opened: Opened, place: Place) -> Streamed {
    let pieces = stream::try_unfold((opened, place), |(mut opened, place)| async move {
        match opened.next().await {
            Ok(Some(piece)) => Ok(Some((Frame::data(Bytes::from(piece)), (opened, place)))),
            Ok(None) => Ok(None),
            Err(error) => {
                // The client sees that the end is missing.
                warn!(%error, "the store failed in the middle of a download");
                Err(Box::from(error.to_string()))
            }
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// A media type that can stand in a header field.
fn media_type(text: &str) -> Option<HeaderValue> {
    let (kind, _) = text.split_once('/')?;
    let is_token = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b)) && text.len() <= 255;
    (is_token && printable).then(|| HeaderValue::from_str(text).ok())?
}

/// RFC 6266, with the name in the form of RFC 8187.
fn disposition(name: &str) -> HeaderValue {
    let name = &name[..name.floor_char_boundary(NAME_OCTETS_MAX)];
    let mut text = "attachment".to_owned();
    if !name.is_empty() {
        text.push_str("; filename*=UTF-8''");
        for b in name.bytes() {
            match b {
                b if b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&b) => {
                    text.push(char::from(b));
                }
                b => text.push_str(&format!("%{b:02X}")),
            }
        }
    }
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// A parameter of a query, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| decoded(value, true))
}

/// Percent-encoding undone (RFC 3986 §2.1); in a query `+` is a space.
fn decoded(text: &str, is_query: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        let hex = after.first_chunk::<2>().and_then(|two| str::from_utf8(two).ok());
        let octet = hex.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match (b, octet.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(octet)) => {
                out.push(octet);
                rest = &after[2..];
            }
            (b'+', _) if is_query => out.push(b' '),
            _ => out.push(b),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_goes_into_a_field() {
        assert_eq!(disposition(""), "attachment");
        // RFC 6266 §5, the example.
        assert_eq!(disposition("€ rates"), "attachment; filename*=UTF-8''%E2%82%AC%20rates");
        assert_eq!(disposition("a\"\r\nX: y"), "attachment; filename*=UTF-8''a%22%0D%0AX%3A%20y");
        assert_eq!(media_type("text/plain; charset=utf-8").unwrap(), "text/plain; charset=utf-8");
        for no in ["", "text", "text/\r\nX: y", "te xt/plain", "/"] {
            assert!(media_type(no).is_none(), "{no}");
        }
    }

    #[test]
    fn queries() {
        let query = "accept=a&type=text%2Fplain%3b+x&name=";
        assert_eq!(parameter(query, "type").as_deref(), Some("text/plain; x"));
        assert_eq!(parameter(query, "name").as_deref(), Some(""));
        assert_eq!(parameter(query, "none"), None);
        assert_eq!(decoded("100%", false), "100%");
        assert_eq!(decoded("%e2%82%ac+%zz", false), "€+%zz");
    }

    proptest! {
        #[test]
        fn nothing_panics(text: String) {
            let _ = (decoded(&text, true), disposition(&text), media_type(&text), parameter(&text, "a"));
        }
    }
}
