//! Which room answers an HTTP request.
//!
//! A [`Room`] is a handful of pages with one purpose: ACME's challenges, our MTA-STS policy, the login
//! pages. Rooms are asked one after another; the first that knows the page answers. A new room is an
//! implementation of [`Room`] and one line in [`super::Desks`].
//!
//! A [`Hall`] takes requests over before their content is read: long ones, and those whose answer may not end.
//!
//! What a request to a room may be is decided here once for all: at most [`BODY_OCTETS_MAX`] of content, a host
//! in lower case without its port, and a path that is compared as it was sent.

use std::net::IpAddr;
#[cfg(test)]
use std::net::Ipv4Addr;
use std::pin::Pin;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

/// Content of a request: forms and small JSON documents.
pub const BODY_OCTETS_MAX: usize = 32 * 1024;

/// What goes back.
pub type Answer = Response<Full<Bytes>>;
/// A room's answer to come; `None`: the page is not one of its own.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'a>>;

/// The content of an answer that comes piece by piece.
pub type Streamed = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
/// A hall's answer to come.
pub type Greeting<'a> = Pin<Box<dyn Future<Output = Response<Streamed>> + Send + 'a>>;

/// Pages whose content may be long in both directions. Who has one bounds sizes and waits itself; the connection
/// may be used again.
pub trait Hall: Send + Sync {
    /// Whether a page is one of its own.
    fn takes(&self, path: &str, secure: bool) -> bool;
    /// Answers a request for such a page.
    fn greet(&self, request: Request<Incoming>, secure: bool, peer: IpAddr) -> Greeting<'_>;
}

/// One request, whole.
pub struct Asked {
    /// GET, HEAD, POST, …
    pub method: Method,
    /// Begins with `/`; percent-encoding is not undone.
    pub path: String,
    /// What follows `?`, as it was sent.
    pub query: String,
    /// The host that is asked for, without its port, in lower case.
    pub host: Option<String>,
    /// All of them.
    pub headers: HeaderMap,
    /// At most [`BODY_OCTETS_MAX`].
    pub body: Bytes,
    /// Whether it came over TLS.
    pub secure: bool,
    /// Whose connection it is.
    pub peer: IpAddr,
}

/// Some pages.
pub trait Room: Send + Sync {
    /// Answers when the page is one of its own.
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answering<'a>;
}

impl Asked {
    /// Takes a request apart and reads its content; an answer when it is too long or breaks off.
    pub async fn read<B>(request: Request<B>, secure: bool, peer: IpAddr) -> Result<Asked, Answer>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let host = host_of(&parts);
        let body = Limited::new(body, BODY_OCTETS_MAX).collect().await;
        let Ok(body) = body else {
            return Err(page(StatusCode::PAYLOAD_TOO_LARGE, "that is too long\n".to_owned()));
        };
        Ok(Asked {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            host,
            headers: parts.headers,
            body: body.to_bytes(),
            secure,
            peer,
        })
    }

    /// GET or HEAD.
    pub fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// A header's value, where it is text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Nothing in particular, to begin a test with.
    #[cfg(test)]
    pub fn test(method: Method, path: &str, secure: bool) -> Asked {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Asked {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            host: Some("mail.example.org".to_owned()),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            secure,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// All rooms, in the order in which they are asked.
#[derive(Default)]
pub struct Router {
    rooms: Vec<Box<dyn Room>>,
    halls: Vec<Box<dyn Hall>>,
}

impl Router {
    /// One more room, if there is one.
    pub fn with(mut self, room: Option<impl Room + 'static>) -> Router {
        self.rooms.extend(room.map(|room| Box::new(room) as Box<dyn Room>));
        self
    }

    /// One more hall, if there is one.
    pub fn with_hall(mut self, hall: Option<impl Hall + 'static>) -> Router {
        self.halls.extend(hall.map(|hall| Box::new(hall) as Box<dyn Hall>));
        self
    }

    /// The hall that takes a page, if one does.
    pub fn hall(&self, path: &str, secure: bool) -> Option<&dyn Hall> {
        self.halls.iter().map(Box::as_ref).find(|hall| hall.takes(path, secure))
    }

    /// The answer of the first room that knows the page.
    pub async fn answer(&self, asked: &Asked) -> Answer {
        for room in &self.rooms {
            if let Some(answer) = room.answer(asked).await {
                return answer;
            }
        }
        match asked.is_read() {
            true => page(StatusCode::NOT_FOUND, "nothing here\n".to_owned()),
            false => page(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned()),
        }
    }
}

/// A page of plain text.
pub fn page(status: StatusCode, text: String) -> Answer {
    typed(status, "text/plain; charset=utf-8", text)
}

/// A page of this media type.
pub fn typed(status: StatusCode, media_type: &'static str, text: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

pub fn host_of(request: &Parts) -> Option<String> {
    let named = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = request.uri.authority().map(|authority| authority.as_str()).or(named)?;
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    Some(host.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_without_port_and_in_lower_case() {
        let host = |text: &str| {
            let request = Request::builder().uri("/").header("host", text).body(()).unwrap();
            host_of(&request.into_parts().0)
        };
        assert_eq!(host("MTA-STS.Example.org.:443").as_deref(), Some("mta-sts.example.org"));
        assert_eq!(host("mta-sts.example.org").as_deref(), Some("mta-sts.example.org"));
    }

    #[tokio::test]
    async fn content_is_bounded() {
        let ask = async |octets: usize| {
            let request = Request::post("/").body(Full::new(Bytes::from(vec![b'x'; octets])));
            Asked::read(request.unwrap(), true, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
        };
        assert_eq!(ask(BODY_OCTETS_MAX).await.map(|asked| asked.body.len()).ok(), Some(32 * 1024));
        let refused = ask(BODY_OCTETS_MAX + 1).await.err().map(|answer| answer.status());
        assert_eq!(refused, Some(StatusCode::PAYLOAD_TOO_LARGE));
    }
}
