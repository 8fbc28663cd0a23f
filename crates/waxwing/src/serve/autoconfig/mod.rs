//! What programs are told that set up an account from its address alone.
//!
//! | page | for | file |
//! |---|---|---|
//! | `/mail/config-v1.1.xml` on `autoconfig.DOMAIN`, `/.well-known/autoconfig/mail/config-v1.1.xml` | Thunderbird and its kin (draft-ietf-mailmaint-autoconfig) | [`mozilla`] |
//! | `/autodiscover/autodiscover.xml` (POST), `/autodiscover/autodiscover.json` | Outlook | [`autodiscover`] |
//! | `/mobileconfig`, `/mobileconfig/profile` | iPhone, iPad and Mac | [`apple`] |
//! | `/.well-known/user-agent-configuration.json` on `ua-auto-config.DOMAIN` | what comes (draft-ietf-mailmaint-pacc) | [`pacc`] |
//!
//! All say the same: the services that this server listens on, by its host name. Whether an address
//! exists is never looked up, so nothing here tells; whether a domain is ours the DNS tells anyway.
//!
//! Over HTTP without TLS only Mozilla's page is shown, to programs that ask so because the certificate
//! has no `autoconfig.DOMAIN`: what it says is public. Outlook is sent on to HTTPS.

mod apple;
mod autodiscover;
mod mozilla;
mod pacc;
mod xml;

use hyper::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, StatusCode};
use waxwing_message::Address;
use waxwing_oauth::unescape;
use waxwing_store::Store;

use super::router::{self, Answer, Answering, Asked, Room};
use crate::config::{Config, Listen};

pub use pacc::record as pacc_record;

/// The names below a domain under which programs ask.
pub const HOSTS: [&str; 3] = ["autoconfig", "autodiscover", "ua-auto-config"];

/// What a service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Imap,
    Pop3,
    Smtp,
    ManageSieve,
}

/// A service that people's programs can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    pub protocol: Protocol,
    pub port: u16,
    /// TLS from the first octet, else after STARTTLS.
    pub implicit_tls: bool,
}

/// What is announced: in the order in which programs should choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Of the server.
    pub host: String,
    /// TLS from the first octet comes first (RFC 8314 §3).
    pub services: Vec<Service>,
    /// Who gives out access tokens (RFC 8414 §2), if anybody does.
    pub issuer: Option<String>,
    /// The Session object of JMAP, if it is spoken.
    pub jmap_session: Option<String>,
}

impl Announced {
    /// The services that others can reach: one that listens on loopback alone is for this machine, and
    /// is announced only where the pages are for this machine too.
    pub fn of(config: &Config) -> Announced {
        let Listen { imaps, imap, pop3s, pop3, submissions, submission, sieve, .. } =
            &config.listen;
        let here = config.listen.https.iter().flatten().all(|at| at.ip().is_loopback());
        let service = |list: &[std::net::SocketAddr], protocol, implicit_tls| {
            let open = list.iter().find(|at| here || !at.ip().is_loopback())?;
            Some(Service { protocol, port: open.port(), implicit_tls })
        };
        let all = [
            service(imaps, Protocol::Imap, true),
            service(imap, Protocol::Imap, false),
            service(pop3s, Protocol::Pop3, true),
            service(pop3, Protocol::Pop3, false),
            service(submissions, Protocol::Smtp, true),
            service(submission, Protocol::Smtp, false),
            service(sieve, Protocol::ManageSieve, false),
        ];
        Announced {
            host: config.hostname.to_string(),
            services: all.into_iter().flatten().collect(),
            issuer: config.issuer(),
            jmap_session: config.jmap_session(),
        }
    }

    /// Those of a protocol.
    fn of_protocol(&self, protocol: Protocol) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(move |service| service.protocol == protocol)
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub status: StatusCode,
    pub media_type: &'static str,
    pub body: String,
    /// Name and value of one more header field.
    pub header: Option<(&'static str, String)>,
}

impl Page {
    fn ok(media_type: &'static str, body: String) -> Page {
        Page { status: StatusCode::OK, media_type, body, header: None }
    }

    fn status(status: StatusCode, words: &str) -> Page {
        let media_type = "text/plain; charset=utf-8";
        Page { status, media_type, body: format!("{words}\n"), header: None }
    }
}

/// The pages.
pub struct Pages {
    announced: Announced,
    name: Option<String>,
    store: Store,
}

impl Pages {
    /// As configured; `None` without `[autoconfig]`.
    pub fn new(config: &Config, store: &Store) -> Option<Pages> {
        let settings = config.autoconfig.as_ref()?;
        let (announced, name) = (Announced::of(config), settings.name.clone());
        Some(Pages { announced, name, store: store.clone() })
    }

    /// The page that is asked for, if it is one of these.
    async fn page(&self, asked: &Asked) -> Option<Page> {
        let host = asked.host.as_deref()?;
        let path = asked.path.as_str();
        if path.eq_ignore_ascii_case(autodiscover::PATH) {
            return Some(self.autodiscover(asked, host).await);
        }
        if !asked.is_read() {
            return None;
        }
        if mozilla::PATHS.contains(&path) {
            let address = parameter(asked, "emailaddress");
            let domain = self.domain(address.as_deref(), host, "autoconfig.").await?;
            let body = mozilla::write(&self.announced, &domain, self.name(&domain));
            return Some(Page::ok("text/xml; charset=utf-8", body));
        }
        if !asked.secure {
            return None;
        }
        if path == pacc::PATH {
            let domain = self.domain(None, host, "ua-auto-config.").await?;
            let body = pacc::write(&self.announced, self.name(&domain));
            return Some(Page::ok("application/json", body));
        }
        if path.to_ascii_lowercase().starts_with(autodiscover::JSON_PATH) {
            let protocol = parameter(asked, "Protocol").unwrap_or_default();
            return Some(autodiscover::json(&self.announced.host, &protocol));
        }
        match path {
            apple::PAGE => Some(apple::page()),
            apple::PROFILE => Some(self.profile(asked).await),
            _ => None,
        }
    }

    async fn autodiscover(&self, asked: &Asked, host: &str) -> Page {
        if !asked.secure {
            // Outlook asks so first, and goes where it is sent. (The host was checked to be ours.)
            return match self.domain(None, host, "autodiscover.").await {
                Some(_) => autodiscover::elsewhere(&self.announced.host),
                None => Page::status(StatusCode::NOT_FOUND, "nothing here"),
            };
        }
        if asked.method != Method::POST {
            return Page::status(StatusCode::METHOD_NOT_ALLOWED, "only POST");
        }
        let answer = match autodiscover::read(&asked.body) {
            Ok(address) => match self.is_ours(address.domain()).await {
                true => autodiscover::write(&self.announced, &address, self.name(address.domain())),
                false => autodiscover::refuse(autodiscover::Refusal::NotOurs),
            },
            Err(refusal) => autodiscover::refuse(refusal),
        };
        Page::ok("text/xml; charset=utf-8", answer)
    }

    async fn profile(&self, asked: &Asked) -> Page {
        let address = parameter(asked, "email").and_then(|text| Address::parse(text.trim()).ok());
        match address {
            Some(address) if self.is_ours(address.domain()).await => {
                apple::profile(&self.announced, &address, self.name(address.domain()))
            }
            _ => Page::status(
                StatusCode::NOT_FOUND,
                "that is no address of a domain that lives here",
            ),
        }
    }

    fn name<'a>(&'a self, domain: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(domain)
    }

    /// The domain that is asked about, if it is ours: of the address, else of the host.
    async fn domain(&self, address: Option<&str>, host: &str, prefix: &str) -> Option<String> {
        let asked = match address.and_then(|text| Some(text.rsplit_once('@')?.1)) {
            Some(domain) => domain.to_ascii_lowercase(),
            None => host.strip_prefix(prefix).unwrap_or(host).to_owned(),
        };
        self.is_ours(&asked).await.then_some(asked)
    }

    async fn is_ours(&self, domain: &str) -> bool {
        match self.store.domain(domain).await {
            Ok(found) => found.is_some(),
            Err(error) => {
                tracing::warn!("how to set up accounts of {domain} was not shown: {error}");
                false
            }
        }
    }
}

impl Room for Pages {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answering<'a> {
        Box::pin(async move { self.page(asked).await.map(Answer::from) })
    }
}

impl From<Page> for Answer {
    fn from(page: Page) -> Answer {
        let mut answer = router::typed(page.status, page.media_type, page.body);
        let headers = answer.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some((name, value)) = page.header
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
        answer
    }
}

/// A parameter of the query, its percent signs undone; names are compared without case.
fn parameter(asked: &Asked, name: &str) -> Option<String> {
    let pairs = asked.query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    unescape(found.1)
}

#[cfg(test)]
mod tests;
