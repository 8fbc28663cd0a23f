//! MTA-STS at both ends (RFC 8461 §3.3): fetching other domains' policies, and showing our own.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use tokio_rustls::TlsConnector;
use waxwing_delivery::outbound::{FetchError, FetchPolicy};
use waxwing_dns::{Resolve, Resolver};
use waxwing_mailauth::policy::mta_sts::{self, Mode, MxPattern, Policy};
use waxwing_store::Store;

use super::https::{Https, HttpsError};
use super::router::{self, Answering, Asked, Room};
use crate::config::{Config, MtaStsMode};

/// Fetches policies over HTTPS.
pub struct Fetcher<R> {
    https: Https<R>,
    port: u16,
}

impl<R: Resolve> Fetcher<R> {
    /// With certificates checked by this connector, at this port.
    pub fn new(resolver: R, connector: TlsConnector, port: u16) -> Fetcher<R> {
        Fetcher { https: Https { resolver, connector, reach: |_| true }, port }
    }

    async fn get(&self, domain: &str) -> Result<Vec<u8>, FetchError> {
        let host = mta_sts::policy_host(domain);
        let request = Request::get(mta_sts::PATH);
        let most = mta_sts::MAX_FILE_OCTETS;
        let answer = self.https.ask(&host, self.port, request, Bytes::new(), most).await?;
        // RFC 8461 §3.3: a redirection is an answer like any other that is not the file.
        if answer.status != StatusCode::OK {
            return Err(FetchError::Other(format!("{host} answered {}", answer.status)));
        }
        if !answer.media_type.as_deref().is_some_and(is_text_plain) {
            let shown = answer.media_type.as_deref().unwrap_or("no media type");
            return Err(FetchError::Other(format!("{host} answered with {shown}, not text/plain")));
        }
        answer.body.map_err(FetchError::Other)
    }
}

impl From<HttpsError> for FetchError {
    fn from(error: HttpsError) -> FetchError {
        match error {
            HttpsError::Certificate(why) => FetchError::Certificate(why),
            HttpsError::Other(why) => FetchError::Other(why),
        }
    }
}

impl<R: Resolve> FetchPolicy for Fetcher<R> {
    fn fetch<'a>(
        &'a self,
        domain: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>> {
        Box::pin(self.get(domain))
    }
}

/// `text/plain`, with or without parameters.
fn is_text_plain(media_type: &str) -> bool {
    let essence = media_type.split_once(';').map_or(media_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case("text/plain")
}

/// The policy that we show for our own domains: the same for all.
pub struct Hosted {
    policy: Policy,
    store: Store,
}

impl Hosted {
    /// As configured; `None` when nothing is to be shown.
    pub fn new(config: &Config, store: &Store) -> Option<Hosted> {
        Some(Hosted { policy: policy(config)?, store: store.clone() })
    }

    /// The file, if `host` is `mta-sts.DOMAIN` of a domain of ours.
    pub async fn file(&self, host: &str) -> Option<String> {
        let domain = host.strip_prefix("mta-sts.")?;
        match self.store.domain(domain).await {
            Ok(found) => found.map(|_| self.policy.to_file()),
            Err(error) => {
                tracing::warn!("the MTA-STS policy of {domain} was not shown: {error}");
                None
            }
        }
    }
}

/// RFC 8461 §3.3: over HTTPS, under `mta-sts.DOMAIN`.
impl Room for Hosted {
    fn answer<'a>(&'a self, asked: &'a Asked) -> Answering<'a> {
        Box::pin(async move {
            let host = asked.host.as_deref()?;
            if !asked.secure || !asked.is_read() || asked.path != mta_sts::PATH {
                return None;
            }
            let file = self.file(host).await?;
            Some(router::page(StatusCode::OK, file))
        })
    }
}

/// The policy as configured; `None` when `[mta-sts]` is absent.
pub fn policy(config: &Config) -> Option<Policy> {
    let settings = config.mta_sts.as_ref()?;
    let names = match settings.mx.as_slice() {
        [] => std::slice::from_ref(&config.hostname),
        these => these,
    };
    let mx = names.iter().filter_map(|name| MxPattern::parse(name.as_str())).collect();
    let mode = match settings.mode {
        MtaStsMode::Enforce => Mode::Enforce,
        MtaStsMode::Testing => Mode::Testing,
        MtaStsMode::None => Mode::None,
    };
    let max_age_secs = u32::try_from(settings.max_age.0.as_secs()).unwrap_or(u32::MAX);
    Some(Policy { mode, mx, max_age_secs: max_age_secs.min(mta_sts::MAX_AGE_SECS) })
}

/// The names `PREFIX.DOMAIN` of our domains that lead to this server, for its certificate. A name that
/// leads elsewhere, or nowhere yet, would make an authority refuse the whole certificate.
pub async fn names_that_lead_here(
    resolver: &Arc<Resolver>,
    store: &Store,
    hostname: &str,
    prefixes: &[&str],
) -> Vec<String> {
    let ours = addresses(resolver, hostname).await;
    let mut names = Vec::new();
    for domain in store.domains().await.unwrap_or_default() {
        for prefix in prefixes {
            let name = format!("{prefix}.{}", domain.name);
            if addresses(resolver, &name).await.iter().any(|ip| ours.contains(ip)) {
                names.push(name);
            }
        }
    }
    names
}

async fn addresses(resolver: &Arc<Resolver>, name: &str) -> Vec<IpAddr> {
    let (v4, v6) = (resolver.a(name).await, resolver.aaaa(name).await);
    let v4 = v4.into_iter().flat_map(|answer| answer.records).map(IpAddr::V4);
    v4.chain(v6.into_iter().flat_map(|answer| answer.records).map(IpAddr::V6)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http;
    use crate::serve::router::Router;
    use crate::serve::testing::{Authority, answer_https, folder_store};
    use std::path::Path;
    use tokio::net::TcpListener;
    use waxwing_dns::FakeZone;

    const FILE: &str = "version: STSv1\r\nmode: enforce\r\nmx: mx.wing.test\r\nmax_age: 604800\r\n";

    /// One HTTPS answer, from a host with a certificate for these names.
    async fn fetched(names: &[&str], answer: String) -> Result<Vec<u8>, FetchError> {
        let authority = Authority::new();
        let port = answer_https(authority.acceptor(names), answer).await;
        let zone = FakeZone::parse("wing.test", "mta-sts A 127.0.0.1\n").unwrap();
        Fetcher::new(zone, authority.connector(), port).fetch("wing.test").await
    }

    fn ok(media_type: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn a_policy_comes_over_https() {
        for media_type in ["text/plain", "Text/Plain; charset=utf-8"] {
            let file = fetched(&["mta-sts.wing.test"], ok(media_type, FILE)).await.unwrap();
            assert!(Policy::parse(&file).unwrap().allows("mx.wing.test"));
        }
        // RFC 8461 §3.3: a wildcard certificate will do.
        assert!(fetched(&["*.wing.test"], ok("text/plain", FILE)).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_not_the_file_is_refused() {
        let moved = "HTTP/1.1 301 Moved\r\nLocation: https://mta-sts.wing.test/x\r\nContent-Length: 0\r\n\r\n";
        for (answer, words) in [
            (moved.to_owned(), "301"),
            ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned(), "404"),
            (ok("text/html", FILE), "text/html"),
            (format!("HTTP/1.1 200 OK\r\n\r\n{FILE}"), "no media type"),
            (ok("text/plain", &"x".repeat(mta_sts::MAX_FILE_OCTETS + 1)), "length limit"),
        ] {
            let error = fetched(&["mta-sts.wing.test"], answer).await.unwrap_err();
            assert!(matches!(&error, FetchError::Other(why) if why.contains(words)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_certificate_for_another_host_is_a_failure_of_its_own() {
        let error = fetched(&["wing.test"], ok("text/plain", FILE)).await.unwrap_err();
        assert!(matches!(error, FetchError::Certificate(_)), "{error:?}");
        let zone = FakeZone::parse("wing.test", "@ A 127.0.0.1\n").unwrap();
        let error = Fetcher::new(zone, Authority::new().connector(), 1).fetch("wing.test").await;
        assert!(matches!(error, Err(FetchError::Other(_))), "{error:?}");
    }

    fn config(text: &str) -> Config {
        let text = format!("hostname='mx.wax.test'\n{text}\n[tls]\nself-signed=true\n");
        Config::parse(&text, Path::new("x")).unwrap()
    }

    #[tokio::test]
    async fn what_we_show_is_what_others_fetch() {
        let (_folder, store) = folder_store().await;
        store.create_domain("wax.test").await.unwrap();
        let config = config("[mta-sts]\nmode='enforce'\nmx=['mx.wax.test', 'mx2.wax.test']");
        let authority = Authority::new();
        let acceptor = authority.acceptor(&["mta-sts.wax.test", "mta-sts.other.test"]);
        let hosted = Hosted::new(&config, &store);
        let desk = Arc::new(http::Desk::new(acceptor, Router::default().with(hosted)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Never told to stop.
        let (_running, stop) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                tokio::spawn(desk.clone().serve(stream, peer.ip(), true, stop.clone()));
            }
        });
        let zone = FakeZone::parse("test", "mta-sts.wax A 127.0.0.1\nmta-sts.other A 127.0.0.1\n");
        let fetcher = Fetcher::new(zone.unwrap(), authority.connector(), port);
        let file = fetcher.fetch("wax.test").await.unwrap();
        assert_eq!(Policy::parse(&file), Ok(policy(&config).unwrap()));
        let error = fetcher.fetch("other.test").await.unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }

    #[tokio::test]
    async fn our_policy_is_shown_for_our_domains_only() {
        let (_folder, store) = folder_store().await;
        store.create_domain("wax.test").await.unwrap();
        assert!(Hosted::new(&config(""), &store).is_none());
        let config = config("[mta-sts]\nmode='testing'\nmax-age='7d'");
        let hosted = Hosted::new(&config, &store).unwrap();
        let file = hosted.file("mta-sts.wax.test").await.unwrap();
        assert_eq!(
            file,
            "version: STSv1\r\nmode: testing\r\nmx: mx.wax.test\r\nmax_age: 604800\r\n"
        );
        for host in ["mta-sts.wing.test", "wax.test", "mta-sts.", "mta-sts.mta-sts.wax.test"] {
            assert_eq!(hosted.file(host).await, None, "{host}");
        }
    }
}
