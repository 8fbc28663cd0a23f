//! Who asks (RFC 8620 §1.7, §8.2): Basic (RFC 7617) with a password or an app password, Bearer (RFC 6750) with an
//! access token. All go through the one door of the store, as in IMAP.
//!
//! Each request says anew who is asking, and a password is dear to check. Who was let in is therefore known
//! again for some minutes by what they showed, of which a keyed digest is kept; whether that still opens the door is
//! asked of the store every time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use sha2::{Digest as _, Sha256};
use waxwing_jmap::Caller;
use waxwing_store::{Admitted, LoginError, Protocol, Store, Visitor};
use zeroize::Zeroizing;

use super::reply::{self, Reply, problem};
use crate::config::Config;

/// How long somebody is known again.
const KNOWN_FOR: Duration = Duration::from_secs(5 * 60);
/// Of how many.
const KNOWN_MAX: usize = 10_000;
/// Octets of an Authorization field.
const SHOWN_OCTETS_MAX: usize = 8 * 1024;

/// Lets people in.
pub struct Door {
    store: Store,
    /// Schemes that are offered (RFC 9110 §11.6.1).
    challenges: Vec<HeaderValue>,
    tokens: bool,
    key: [u8; 32],
    known: Mutex<HashMap<[u8; 32], Known>>,
}

struct Known {
    caller: Arc<Caller>,
    since: Instant,
}

/// What somebody shows.
enum Shown {
    Password { login: String, password: Zeroizing<String> },
    Token(Zeroizing<String>),
}

impl Door {
    /// As configured.
    pub fn new(store: &Store, config: &Config) -> Door {
        // RFC 7617 §2.1.
        let basic = format!("Basic realm=\"{}\", charset=\"UTF-8\"", config.hostname);
        // RFC 9728 §5.1.
        let bearer = config.issuer().map(|issuer| {
            format!("Bearer resource_metadata=\"{issuer}/.well-known/oauth-protected-resource\"")
        });
        let challenges = [Some(basic), bearer].into_iter().flatten();
        Door {
            store: store.clone(),
            challenges: challenges.filter_map(|text| HeaderValue::from_str(&text).ok()).collect(),
            tokens: config.oauth.is_some(),
            key: rand::random(),
            known: Mutex::default(),
        }
    }

    /// Whoever asks, or what they are told instead.
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        secure: bool,
        peer: IpAddr,
    ) -> Result<Arc<Caller>, Reply> {
        let field = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let field = field.filter(|field| field.len() <= SHOWN_OCTETS_MAX);
        let field = field.ok_or_else(|| self.refuse("log in"))?;
        let mark = self.mark(field, peer);
        if let Some(caller) = self.recall(&mark) {
            match self.store.pass_holds(&caller.pass).await {
                Ok(true) => return Ok(caller),
                Ok(false) => self.forget(&mark),
                Err(error) => return Err(reply::failed(error)),
            }
        }
        let shown = read(field).ok_or_else(|| self.refuse("log in by Basic or Bearer"))?;
        let visitor = Visitor { protocol: Protocol::Jmap, address: peer, tls: secure };
        let admitted = match &shown {
            Shown::Password { login, password } => {
                self.store.login(&visitor, "basic", login, password).await
            }
            Shown::Token(token) if self.tokens => {
                self.store.login_with_token(&visitor, "bearer", None, token).await
            }
            Shown::Token(_) => return Err(self.refuse("tokens are not taken here")),
        };
        let admitted: Admitted = admitted.map_err(|error| self.refused(error))?;
        let caller = Arc::new(Caller::from(admitted));
        self.remember(mark, caller.clone());
        Ok(caller)
    }

    fn refused(&self, error: LoginError) -> Reply {
        match error {
            LoginError::Rejected => self.refuse("wrong address, password or token"),
            LoginError::Disabled => problem(StatusCode::FORBIDDEN, "this account is disabled"),
            LoginError::NotHere(why) => problem(StatusCode::FORBIDDEN, why.text()),
            LoginError::TooMany(wait) => {
                let secs = wait.as_secs().max(1);
                let detail = format!("too many wrong logins: wait {secs} s");
                reply::later(problem(StatusCode::TOO_MANY_REQUESTS, &detail), secs)
            }
            LoginError::Store(error) => reply::failed(error),
        }
    }

    fn refuse(&self, detail: &str) -> Reply {
        let mut reply = problem(StatusCode::UNAUTHORIZED, detail);
        for challenge in &self.challenges {
            reply.headers_mut().append(WWW_AUTHENTICATE, challenge.clone());
        }
        reply
    }

    fn mark(&self, field: &[u8], peer: IpAddr) -> [u8; 32] {
        // The key is of one block and nobody sees a digest, so this needs no more than that.
        let hash = Sha256::new().chain_update(self.key).chain_update(peer.to_string());
        hash.chain_update(b"\0").chain_update(field).finalize().into()
    }

    fn recall(&self, mark: &[u8; 32]) -> Option<Arc<Caller>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(mark).filter(|known| known.since.elapsed() < KNOWN_FOR);
        found.map(|known| known.caller.clone())
    }

    fn remember(&self, mark: [u8; 32], caller: Arc<Caller>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.retain(|_, known| known.since.elapsed() < KNOWN_FOR);
        }
        if known.len() < KNOWN_MAX {
            known.insert(mark, Known { caller, since: Instant::now() });
        }
    }

    fn forget(&self, mark: &[u8; 32]) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(mark);
    }
}

/// An Authorization field.
fn read(field: &[u8]) -> Option<Shown> {
    let text = str::from_utf8(field).ok()?;
    let (scheme, shown) = text.split_once(' ')?;
    let shown = shown.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!shown.is_empty()).then(|| Shown::Token(Zeroizing::new(shown.to_owned())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = Zeroizing::new(STANDARD.decode(shown).ok()?);
    // RFC 7617 §2: the name ends at the first colon.
    let (login, password) = str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(Shown::Password { login: login.to_owned(), password: Zeroizing::new(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(field: &str) -> Option<(String, String)> {
        match read(field.as_bytes())? {
            Shown::Password { login, password } => Some((login, password.to_string())),
            Shown::Token(_) => None,
        }
    }

    #[test]
    fn examples_of_the_rfcs() {
        // RFC 7617 §2 and §2.1.
        let known = |login: &str, password: &str| Some((login.to_owned(), password.to_owned()));
        assert_eq!(password("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), known("Aladdin", "open sesame"));
        assert_eq!(password("basic dGVzdDoxMjPCow=="), known("test", "123£"));
        assert_eq!(password(&format!("Basic {}", STANDARD.encode("a@x:b:c"))), known("a@x", "b:c"));
        // RFC 6750 §2.1.
        let Some(Shown::Token(token)) = read(b"Bearer mF_9.B5f-4.1JqM") else { panic!() };
        assert_eq!(token.as_str(), "mF_9.B5f-4.1JqM");
        for no in ["", "Basic", "Basic !", "Basic bm9jb2xvbg==", "Digest x", "Bearer ", "\u{e9}"] {
            assert!(read(no.as_bytes()).is_none(), "{no}");
        }
    }
}
