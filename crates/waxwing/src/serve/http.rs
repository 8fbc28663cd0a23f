//! The HTTP that a mail server owes the world: connections, and their limits. Which pages there are is
//! up to the rooms behind the [`Router`].
//!
//! | page | on | for | room |
//! |---|---|---|---|
//! | `/.well-known/acme-challenge/TOKEN` | HTTP | any host | [`super::acme`] (RFC 8555 §8.3) |
//! | `/.well-known/mta-sts.txt` | HTTPS | `mta-sts.DOMAIN` of a domain of ours | [`super::sts`] (RFC 8461 §3.3) |
//! | how accounts are set up | HTTPS, one also on HTTP | our domains | [`super::autoconfig`] |
//! | `/.well-known/oauth-authorization-server` and its like, `/oauth/…` | HTTPS | any host | [`super::oauth`] (RFC 6749) |
//! | `/.well-known/jmap`, `/jmap…` | HTTPS | any host | [`super::jmap`] (RFC 8620), a hall |
//! | anything else | both | any host | 404 |
//!
//! At most 16 KiB of header. For rooms one request per connection, at most 32 KiB of content, half a minute for
//! all: nobody reads more than a page there. A hall has the connection for as long as it answers; whoever does
//! not take its answer, or asks nothing more, is left after a while.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::router::{Asked, Router, Streamed};

/// For the handshake, the request and the answer together.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection stays open after a hall's answer, without another request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a peer may take for a piece of a hall's answer.
const PIECE_TIMEOUT: Duration = Duration::from_secs(90);

/// Whoever serves HTTP.
pub struct Desk {
    acceptor: TlsAcceptor,
    router: Router,
}

impl Desk {
    /// With these rooms behind it.
    pub fn new(acceptor: TlsAcceptor, router: Router) -> Desk {
        Desk { acceptor, router }
    }

    /// Serves one connection, until it ends or, between requests, we are told to stop.
    pub async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: IpAddr,
        secure: bool,
        stop: watch::Receiver<bool>,
    ) {
        let patience = Patience::new(CONNECTION_TIMEOUT);
        let serving = async {
            match secure {
                false => self.converse(stream, peer, secure, &patience, stop).await,
                true => {
                    if let Ok(stream) = self.acceptor.accept(stream).await {
                        self.converse(stream, peer, secure, &patience, stop).await;
                    }
                }
            }
        };
        // A peer that breaks off or stalls is of no interest.
        tokio::select! {
            () = serving => {}
            () = patience.ends() => {}
        }
    }

    async fn converse(
        self: &Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        peer: IpAddr,
        secure: bool,
        patience: &Patience,
        mut stop: watch::Receiver<bool>,
    ) {
        let answer = |request: Request<Incoming>| {
            let (desk, patience) = (self.clone(), patience.clone());
            async move { Ok::<_, Infallible>(desk.answer(request, peer, secure, patience).await) }
        };
        let serving = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
        let mut serving = pin!(serving);
        tokio::select! {
            _ = serving.as_mut() => return,
            // An error means that the program itself is ending.
            _ = stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
        }
        let _ = serving.await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        secure: bool,
        patience: Patience,
    ) -> Response<Streamed> {
        if let Some(hall) = self.router.hall(request.uri().path(), secure) {
            patience.rest();
            let response = hall.greet(request, secure, peer).await;
            return response.map(|body| Watched { body, patience }.boxed_unsync());
        }
        let mut response = match Asked::read(request, secure, peer).await {
            Ok(asked) => self.router.answer(&asked).await,
            Err(refused) => refused,
        };
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response.map(|body| body.map_err(|never| match never {}).boxed_unsync())
    }
}

/// How long we wait for a peer: until some moment, or for as long as it is our turn.
#[derive(Clone)]
struct Patience {
    until: Arc<watch::Sender<Option<Instant>>>,
}

impl Patience {
    fn new(first: Duration) -> Patience {
        Patience { until: Arc::new(watch::Sender::new(Some(Instant::now() + first))) }
    }

    /// It is our turn.
    fn rest(&self) {
        self.until.send_replace(None);
    }

    /// It is the peer's turn.
    fn for_at_most(&self, time: Duration) {
        self.until.send_replace(Some(Instant::now() + time));
    }

    async fn ends(&self) {
        let mut until = self.until.subscribe();
        loop {
            let now = *until.borrow_and_update();
            match now {
                None => drop(until.changed().await),
                Some(end) => {
                    if tokio::time::timeout_at(end, until.changed()).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// An answer whose pieces the peer has to take in time.
struct Watched {
    body: Streamed,
    patience: Patience,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = <Streamed as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match polled {
            Poll::Pending => self.patience.rest(),
            Poll::Ready(_) => self.patience.for_at_most(PIECE_TIMEOUT),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.patience.for_at_most(IDLE_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::*;
    use crate::serve::acme;

    #[tokio::test]
    async fn challenges_are_answered_in_clear_and_nothing_else_is() {
        let tokens = acme::Tokens::default();
        tokens.set("abc", "abc.thumb".into());
        let router = Router::default().with(Some(tokens));
        let status = async |method: Method, path: &str, secure: bool| {
            router.answer(&Asked::test(method, path, secure)).await.status().as_u16()
        };
        let challenge = "/.well-known/acme-challenge/abc";
        assert_eq!(status(Method::GET, challenge, false).await, 200);
        assert_eq!(status(Method::POST, challenge, false).await, 405);
        assert_eq!(status(Method::GET, challenge, true).await, 404);
        for path in ["/", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/x", "/abc"] {
            assert_eq!(status(Method::GET, path, false).await, 404, "{path}");
        }
        assert_eq!(status(Method::GET, "/.well-known/mta-sts.txt", true).await, 404);
    }
}
