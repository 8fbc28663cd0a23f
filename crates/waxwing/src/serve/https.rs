//! HTTPS as a client: one request, one answer, within a minute. Others' MTA-STS policies are fetched so
//! (`sts`), and TLS reports are posted so.
//!
//! No redirection is followed. Where a URI was written by a stranger, [`Https::reach`] keeps the request
//! from what only this machine or its network can reach.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use waxwing_delivery::reports::PostReport;
use waxwing_dns::Resolve;

use super::connect;

/// For everything from the lookup to the last octet (RFC 8461 §3.3 suggests a minute).
const TIMEOUT: Duration = Duration::from_secs(60);
/// For each of the host's addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Addresses that are tried.
const MAX_ADDRESSES: usize = 4;
/// What is read of an answer of which nobody wants the body.
const UNREAD_OCTETS: usize = 16 * 1024;

/// Asks hosts.
pub struct Https<R> {
    pub resolver: R,
    /// Checks certificates.
    pub connector: TlsConnector,
    /// Which addresses may be connected to.
    pub reach: fn(IpAddr) -> bool,
}

/// What a host answered.
pub struct Answer {
    pub status: StatusCode,
    pub media_type: Option<String>,
    /// Or why it could not be read, such as that it is too long.
    pub body: Result<Vec<u8>, String>,
}

/// Why there is no answer.
pub enum HttpsError {
    /// The host's certificate does not hold.
    Certificate(String),
    /// Anything else, in words.
    Other(String),
}

impl<R: Resolve> Https<R> {
    /// Sends a request to a host, and reads at most so many octets of its answer.
    pub async fn ask(
        &self,
        host: &str,
        port: u16,
        request: Builder,
        body: Bytes,
        most_octets: usize,
    ) -> Result<Answer, HttpsError> {
        let asking = self.ask_for_ever(host, port, request, body, most_octets);
        let late = |_| HttpsError::Other("it took longer than a minute".to_owned());
        tokio::time::timeout(TIMEOUT, asking).await.map_err(late)?
    }

    async fn ask_for_ever(
        &self,
        host: &str,
        port: u16,
        request: Builder,
        body: Bytes,
        most_octets: usize,
    ) -> Result<Answer, HttpsError> {
        let stream = self.connect(host, port).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(other)?;
        let stream = self.connector.connect(name, stream).await.map_err(|error| {
            let text = format!("TLS with {host}: {error}");
            match connect::is_about_certificate(&error) {
                true => HttpsError::Certificate(text),
                false => HttpsError::Other(text),
            }
        })?;
        let io = TokioIo::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(other)?;
        // It ends with the answer, or when this future is dropped with its sender.
        let driving = tokio::spawn(connection);
        let authority = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
        let request = request
            .header(HOST, authority)
            .header(USER_AGENT, "waxwing")
            .body(Full::new(body))
            .map_err(other)?;
        let response = sender.send_request(request).await.map_err(other)?;
        let status = response.status();
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|t| t.to_str().ok());
        let media_type = media_type.map(str::to_owned);
        let body = Limited::new(response.into_body(), most_octets).collect().await;
        driving.abort();
        let body = body.map(|body| body.to_bytes().to_vec()).map_err(|error| error.to_string());
        Ok(Answer { status, media_type, body })
    }

    /// TCP to the first address of the host that answers.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, HttpsError> {
        let (v4, v6) = (self.resolver.a(host).await, self.resolver.aaaa(host).await);
        let mut addresses: Vec<IpAddr> = Vec::new();
        addresses.extend(v4.iter().flat_map(|answer| &answer.records).map(|&ip| IpAddr::V4(ip)));
        addresses.extend(v6.iter().flat_map(|answer| &answer.records).map(|&ip| IpAddr::V6(ip)));
        let mut why = match v4 {
            Err(error) => format!("{host}: {error}"),
            Ok(_) => format!("{host} has no address"),
        };
        for ip in addresses.into_iter().take(MAX_ADDRESSES) {
            if !(self.reach)(ip.to_canonical()) {
                why = format!("{host} [{ip}] is not a public address");
                continue;
            }
            let connecting = TcpStream::connect(SocketAddr::new(ip, port));
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => why = format!("{host} [{ip}]: {error}"),
                Err(_) => why = format!("{host} [{ip}] did not answer in time"),
            }
        }
        Err(HttpsError::Other(why))
    }

    /// Posts a TLS report (RFC 8460 §5.4). An answer that is not 2xx is an error.
    async fn post_report(&self, uri: &str, report: &[u8]) -> Result<(), String> {
        let uri: Uri = uri.parse().map_err(|_| "it is no URI".to_owned())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
        let authority = authority.filter(|authority| !authority.as_str().contains('@'));
        let Some(authority) = authority else {
            return Err("it is no https URI of a host".to_owned());
        };
        let (host, port) = (authority.host(), authority.port_u16().unwrap_or(443));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path).header(CONTENT_TYPE, "application/tlsrpt+gzip");
        let body = Bytes::copy_from_slice(report);
        match self.ask(host, port, request, body, UNREAD_OCTETS).await {
            Ok(Answer { status, .. }) if status.is_success() => Ok(()),
            Ok(Answer { status, .. }) => Err(format!("{host} answered {status}")),
            Err(HttpsError::Certificate(why) | HttpsError::Other(why)) => Err(why),
        }
    }
}

impl<R: Resolve> PostReport for Https<R> {
    fn post<'a>(
        &'a self,
        uri: &'a str,
        report: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(self.post_report(uri, report))
    }
}

fn other(error: impl std::fmt::Display) -> HttpsError {
    HttpsError::Other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::connect::is_public;
    use crate::serve::testing::Authority;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use waxwing_dns::FakeZone;

    fn zone() -> FakeZone {
        FakeZone::parse("wing.test", "rpt A 127.0.0.1\nmapped AAAA ::ffff:127.0.0.1\n").unwrap()
    }

    /// Posts a report to a server that answers this; gives what the server was sent, and how it went.
    async fn posted(answer: &'static str) -> (String, Result<(), String>) {
        let authority = Authority::new();
        let acceptor = authority.acceptor(&["rpt.wing.test"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\nreport") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
            String::from_utf8(request).unwrap()
        });
        let https = Https { resolver: zone(), connector: authority.connector(), reach: |_| true };
        let uri = format!("https://rpt.wing.test:{port}/v1/tls?for=wing");
        let went = https.post(&uri, b"report").await;
        (server.await.unwrap(), went)
    }

    #[tokio::test]
    async fn a_report_is_posted() {
        let (request, went) = posted("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(went, Ok(()));
        let request = request.to_ascii_lowercase();
        assert!(request.starts_with("post /v1/tls?for=wing http/1.1\r\n"), "{request}");
        assert!(request.contains("\r\ncontent-type: application/tlsrpt+gzip\r\n"), "{request}");
        assert!(request.contains("\r\nhost: rpt.wing.test:"), "{request}");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_yes_is_told() {
        for answer in [
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 302 Found\r\nLocation: https://rpt.wing.test/\r\nContent-Length: 0\r\n\r\n",
        ] {
            let why = posted(answer).await.1.unwrap_err();
            assert!(why.starts_with("rpt.wing.test answered "), "{why}");
        }
    }

    #[tokio::test]
    async fn what_a_stranger_writes_leads_nowhere_else() {
        let connector = Authority::new().connector();
        let https = Https { resolver: zone(), connector, reach: is_public };
        for (uri, words) in [
            ("https://rpt.wing.test/", "not a public address"),
            ("https://mapped.wing.test/", "not a public address"),
            ("https://127.0.0.1/", "127.0.0.1"),
            ("https://gone.wing.test/", "gone.wing.test"),
            ("http://rpt.wing.test/", "no https URI"),
            ("https://user@rpt.wing.test/", "no https URI"),
            ("https://", "no URI"),
        ] {
            let why = https.post(uri, b"report").await.unwrap_err();
            assert!(why.contains(words), "{uri}: {why}");
        }
    }
}
