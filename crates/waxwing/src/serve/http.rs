//! The HTTP that a mail server owes the world: a handful of well-known pages, each from its own room.
//!
//! | page | on | for | from |
//! |---|---|---|---|
//! | `/.well-known/acme-challenge/TOKEN` | HTTP | any host | [`super::acme`] (RFC 8555 §8.3) |
//! | `/.well-known/mta-sts.txt` | HTTPS | `mta-sts.DOMAIN` of a domain of ours | [`super::sts`] (RFC 8461 §3.3) |
//! | how accounts are set up | HTTPS, one also on HTTP | our domains | [`super::autoconfig`] |
//! | anything else | both | any host | 404 |
//!
//! One request per connection, at most 16 KiB of it, half a minute for all: nobody reads more than a
//! page here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use waxwing_mailauth::policy::mta_sts;

use super::{acme, autoconfig, sts};

/// For the handshake, the request and the answer together.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// Whoever serves HTTP.
pub struct Desk {
    acceptor: TlsAcceptor,
    tokens: acme::Tokens,
    sts: Option<sts::Hosted>,
    autoconfig: Option<autoconfig::Pages>,
}

impl Desk {
    /// With these rooms behind it.
    pub fn new(acceptor: TlsAcceptor, tokens: acme::Tokens, sts: Option<sts::Hosted>) -> Desk {
        Desk { acceptor, tokens, sts, autoconfig: None }
    }

    /// And this one.
    pub fn and_autoconfig(mut self, pages: Option<autoconfig::Pages>) -> Desk {
        self.autoconfig = pages;
        self
    }

    /// Serves one connection.
    pub async fn serve(self: Arc<Self>, stream: TcpStream, secure: bool) {
        // A peer that breaks off or stalls is of no interest.
        let _ = tokio::time::timeout(CONNECTION_TIMEOUT, async {
            match secure {
                false => self.converse(stream, secure).await,
                true => {
                    if let Ok(stream) = self.acceptor.accept(stream).await {
                        self.converse(stream, secure).await;
                    }
                }
            }
        })
        .await;
    }

    async fn converse(self: &Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin, secure: bool) {
        let answer = move |request: Request<Incoming>| {
            let desk = self.clone();
            async move {
                let (parts, body) = request.into_parts();
                let wanted = desk.autoconfig.as_ref().is_some_and(|pages| pages.wants_body(&parts));
                let mut read = Bytes::new();
                if wanted {
                    match Limited::new(body, autoconfig::BODY_OCTETS_MAX).collect().await {
                        Ok(whole) => read = whole.to_bytes(),
                        Err(_) => {
                            let words = "that is too long\n".to_owned();
                            return Ok(page(StatusCode::PAYLOAD_TOO_LARGE, words));
                        }
                    }
                }
                Ok::<_, Infallible>(desk.answer(&parts, &read, secure).await)
            }
        };
        let serving = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .max_buf_size(16 * 1024)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
        let _ = serving.await;
    }

    async fn answer(&self, request: &Parts, body: &[u8], secure: bool) -> Response<Full<Bytes>> {
        if let (Some(pages), Some(host)) = (&self.autoconfig, host_of(request))
            && let Some(found) = pages.answer(request, &host, body, secure).await
        {
            return of_autoconfig(found);
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return page(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        }
        let path = request.uri.path();
        let found = match (&self.sts, host_of(request)) {
            (Some(sts), Some(host)) if secure && path == mta_sts::PATH => sts.file(&host).await,
            _ if secure => None,
            _ => self.tokens.answer(path),
        };
        match found {
            Some(text) => page(StatusCode::OK, text),
            None => page(StatusCode::NOT_FOUND, "nothing here\n".to_owned()),
        }
    }
}

/// The host that is asked for, without its port, in lower case.
fn host_of(request: &Parts) -> Option<String> {
    let named = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = request.uri.authority().map(|authority| authority.as_str()).or(named)?;
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    Some(host.trim_end_matches('.').to_ascii_lowercase())
}

fn of_autoconfig(found: autoconfig::Page) -> Response<Full<Bytes>> {
    let mut response = page(found.status, found.body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(found.media_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some((name, value)) = found.header
        && let Ok(value) = HeaderValue::try_from(value)
    {
        headers.insert(name, value);
    }
    response
}

fn page(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tls;

    async fn status(desk: &Desk, method: &str, path: &str, secure: bool) -> u16 {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "mail.example.org:443")
            .body(())
            .unwrap();
        desk.answer(&request.into_parts().0, b"", secure).await.status().as_u16()
    }

    #[tokio::test]
    async fn challenges_are_answered_in_clear_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let key = tls::self_signed(folder.path(), &["a.test".into()]).unwrap();
        let acceptor = TlsAcceptor::from(tls::Certificates::new(key).server_config().unwrap());
        let tokens = acme::Tokens::default();
        tokens.set("abc", "abc.thumb".into());
        let desk = Desk::new(acceptor, tokens, None);
        let challenge = "/.well-known/acme-challenge/abc";
        assert_eq!(status(&desk, "GET", challenge, false).await, 200);
        assert_eq!(status(&desk, "POST", challenge, false).await, 405);
        assert_eq!(status(&desk, "GET", challenge, true).await, 404);
        for path in ["/", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/x", "/abc"] {
            assert_eq!(status(&desk, "GET", path, false).await, 404, "{path}");
        }
        assert_eq!(status(&desk, "GET", "/.well-known/mta-sts.txt", true).await, 404);
    }

    #[test]
    fn the_host_is_without_port_and_in_lower_case() {
        let host = |text: &str| {
            let request = Request::builder().uri("/").header("host", text).body(()).unwrap();
            host_of(&request.into_parts().0)
        };
        assert_eq!(host("MTA-STS.Example.org.:443").as_deref(), Some("mta-sts.example.org"));
        assert_eq!(host("mta-sts.example.org").as_deref(), Some("mta-sts.example.org"));
    }
}
