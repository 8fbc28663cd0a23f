//! The HTTP that a mail server owes the world: connections, and their limits. Which pages there are is
//! up to the rooms behind the [`Router`].
//!
//! | page | on | for | room |
//! |---|---|---|---|
//! | `/.well-known/acme-challenge/TOKEN` | HTTP | any host | [`super::acme`] (RFC 8555 §8.3) |
//! | `/.well-known/mta-sts.txt` | HTTPS | `mta-sts.DOMAIN` of a domain of ours | [`super::sts`] (RFC 8461 §3.3) |
//! | how accounts are set up | HTTPS, one also on HTTP | our domains | [`super::autoconfig`] |
//! | `/.well-known/oauth-authorization-server` and its like, `/oauth/…` | HTTPS | any host | [`super::oauth`] (RFC 6749) |
//! | anything else | both | any host | 404 |
//!
//! One request per connection, at most 16 KiB of header and 32 KiB of content, half a minute for all:
//! nobody reads more than a page here.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::router::{Asked, Router};

/// For the handshake, the request and the answer together.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

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

    /// Serves one connection.
    pub async fn serve(self: Arc<Self>, stream: TcpStream, peer: IpAddr, secure: bool) {
        // A peer that breaks off or stalls is of no interest.
        let _ = tokio::time::timeout(CONNECTION_TIMEOUT, async {
            match secure {
                false => self.converse(stream, peer, secure).await,
                true => {
                    if let Ok(stream) = self.acceptor.accept(stream).await {
                        self.converse(stream, peer, secure).await;
                    }
                }
            }
        })
        .await;
    }

    async fn converse(
        self: &Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        peer: IpAddr,
        secure: bool,
    ) {
        let answer = move |request: Request<Incoming>| {
            let desk = self.clone();
            async move {
                Ok::<_, Infallible>(match Asked::read(request, secure, peer).await {
                    Ok(asked) => desk.router.answer(&asked).await,
                    Err(refused) => refused,
                })
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
