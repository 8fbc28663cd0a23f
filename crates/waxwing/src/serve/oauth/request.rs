//! What is sent to an authorisation server, pure: forms, redirect URIs, scopes, PKCE.
//!
//! Everything is bounded by the router's limit of a request's content; nothing here allocates more than
//! a few times that.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use waxwing_store::Scope;

use crate::serve::web_text::unescape_form;

const URI_OCTETS_MAX: usize = 500;
const URIS_MAX: usize = 10;
const NAME_OCTETS_MAX: usize = 100;

/// The parameters of a query or of a form.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// `application/x-www-form-urlencoded`. `None`: broken, or a parameter twice (RFC 6749 §3.1).
    pub fn parse(text: &str) -> Option<Form> {
        let mut form = Form::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescape_form(name)?, unescape_form(value)?);
            if form.get(&name).is_some() {
                return None;
            }
            form.0.push((name, value));
        }
        Some(form)
    }

    /// Without a value is as good as not there (RFC 6749 §3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// For a query of a URI: everything but unreserved characters is escaped (RFC 3986 §2.3).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(octet));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A redirect URI with more parameters.
pub fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = uri.to_owned();
    for (name, value) in parameters {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(&format!("{name}={}", encode(value)));
    }
    out
}

/// What a program asks of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorize {
    /// Who asks.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// RFC 7636.
    pub challenge: String,
    /// Given back as it is.
    pub state: String,
    /// What for.
    pub scopes: Scope,
}

impl Authorize {
    /// Who asks and where the answer goes: until these are checked nobody is sent anywhere (RFC 6749
    /// §4.1.2.1).
    pub fn addressee(form: &Form) -> Option<(&str, &str)> {
        Some((form.get("client_id")?, form.get("redirect_uri")?))
    }

    /// The rest. An error is a code of RFC 6749 §4.1.2.1, to be sent back to the program.
    pub fn parse(form: &Form) -> Result<Authorize, &'static str> {
        let (client_id, redirect_uri) = Authorize::addressee(form).ok_or("invalid_request")?;
        if form.get("response_type") != Some("code") {
            return Err("unsupported_response_type");
        }
        // RFC 9700 §2.1.1: nobody without PKCE; RFC 7636 §4.2: S256 alone hides the verifier.
        let challenge = form.get("code_challenge").unwrap_or_default();
        if form.get("code_challenge_method") != Some("S256") || !is_challenge(challenge) {
            return Err("invalid_request");
        }
        let scopes = scopes(form.get("scope").unwrap_or("mail")).ok_or("invalid_scope")?;
        Ok(Authorize {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.to_owned(),
            state: form.get("state").unwrap_or_default().to_owned(),
            scopes,
        })
    }
}

fn is_challenge(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok()
}

/// RFC 6749 §3.3: names between spaces; those we do not know are left out. `None`: nothing is left.
pub fn scopes(text: &str) -> Option<Scope> {
    let known = text.split(' ').filter_map(Scope::parse);
    let scopes = known.fold(Scope::NONE, Scope::and);
    (scopes != Scope::NONE).then_some(scopes)
}

/// RFC 7636 §4.6; `None`: that is no verifier (§4.1).
pub fn challenge_of(verifier: &str) -> Option<String> {
    let unreserved = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    let fits = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    fits.then(|| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)))
}

/// What a program says of itself (RFC 7591 §2); what else it says does not matter here.
#[derive(Debug, Deserialize)]
pub struct Registration {
    redirect_uris: Vec<String>,
    #[serde(default)]
    client_name: String,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

impl Registration {
    /// Its name and redirect URIs. An error is a code of RFC 7591 §3.2.2.
    pub fn parse(json: &[u8]) -> Result<(String, Vec<String>), &'static str> {
        let this: Registration =
            serde_json::from_slice(json).map_err(|_| "invalid_client_metadata")?;
        if this.token_endpoint_auth_method.as_deref().unwrap_or("none") != "none" {
            return Err("invalid_client_metadata"); // public clients only
        }
        let count = this.redirect_uris.len();
        if !(1..=URIS_MAX).contains(&count) || !this.redirect_uris.iter().all(|u| is_allowed(u)) {
            return Err("invalid_redirect_uri");
        }
        let name = this.client_name.trim();
        let name = if name.is_empty() { "An unnamed program" } else { name };
        if name.len() > NAME_OCTETS_MAX || name.chars().any(char::is_control) {
            return Err("invalid_client_metadata");
        }
        Ok((name.to_owned(), this.redirect_uris))
    }
}

/// Whether browsers may be sent there at all: HTTPS, this computer (RFC 8252 §7.3), or a program by a
/// scheme that holds its domain (§7.1).
fn is_allowed(uri: &str) -> bool {
    let printable =
        uri.bytes().all(|octet| octet.is_ascii_graphic() && !b"\"'<>\\^`{|}#;,".contains(&octet));
    if uri.len() > URI_OCTETS_MAX || !printable {
        return false;
    }
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let word = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    match scheme {
        "https" => rest.strip_prefix("//").is_some_and(|rest| {
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            !authority.is_empty() && !authority.contains('@')
        }),
        "http" => loopback(uri).is_some(),
        private => private.contains('.') && private.bytes().all(word),
    }
}

/// A URI of this computer without its port: host and the rest.
fn loopback(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = ["127.0.0.1", "[::1]", "localhost"].into_iter().find_map(|host| {
        let port = authority.strip_prefix(host)?;
        let digits = port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        (port.is_empty() || digits).then_some(host)
    })?;
    Some((host, path))
}

/// Whether a program that registered one may be answered at the other: the same octets, but for the
/// port of this computer, which a program cannot choose beforehand (RFC 8252 §7.3).
pub fn is_same_uri(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    match (loopback(registered), loopback(asked)) {
        (Some(registered), Some(asked)) => registered == asked,
        _ => false,
    }
}

/// What a page may be sent on to, for its Content-Security-Policy: scheme and authority.
pub fn source_of(uri: &str) -> String {
    match uri.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => {
            format!("{scheme}://{}", rest.split(['/', '?']).next().unwrap_or_default())
        }
        _ => format!("{}:", uri.split(':').next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_7636() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = challenge_of(verifier).unwrap();
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(is_challenge(&challenge));
        for wrong in [&verifier[1..], &"x".repeat(129), &format!("{verifier}=")] {
            assert_eq!(challenge_of(wrong), None);
        }
    }

    #[test]
    fn browsers_are_sent_to_registered_places_only() {
        for allowed in [
            "https://app.example/back?x=1",
            "http://127.0.0.1/back",
            "http://[::1]:8080/",
            "http://localhost",
            "com.example.app:/back",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in [
            "http://app.example/back",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "http://127.0.0.1:99999/",
            "https://good.example@evil.example/",
            "https:///x",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://app.example/#fragment",
            "https://app.example/a b",
            "https://app.example/\r\nSet-Cookie: x",
            "https://a.example;script-src *",
            "",
        ] {
            assert!(!is_allowed(refused), "{refused}");
        }
        let same = is_same_uri;
        assert!(same("http://127.0.0.1/back", "http://127.0.0.1:49152/back"));
        assert!(!same("http://127.0.0.1/back", "http://127.0.0.1:49152/back/"));
        assert!(!same("http://127.0.0.1/back", "http://localhost:1/back"));
        assert!(same("https://a.example/b", "https://a.example/b"));
        assert!(!same("https://a.example/b", "https://a.example:8443/b"));
        assert!(!same("https://a.example/b", "https://a.example/b?c"));
    }

    #[test]
    fn requests_must_have_pkce() {
        let parse = |more: &str| {
            let text = format!("client_id=c&redirect_uri=http%3A%2F%2F127.0.0.1%2F&{more}");
            Authorize::parse(&Form::parse(&text).unwrap()).map(|asked| asked.scopes)
        };
        let pkce = "response_type=code&code_challenge_method=S256&\
                    code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(parse(pkce), Ok(Scope::MAIL));
        let scope = parse(&format!("{pkce}&scope=imap+offline_access+sieve"));
        assert_eq!(scope, Ok(Scope::IMAP.and(Scope::SIEVE)));
        assert_eq!(parse(&format!("{pkce}&scope=root")), Err("invalid_scope"));
        assert_eq!(parse(&pkce.replace("S256", "plain")), Err("invalid_request"));
        assert_eq!(parse("response_type=code"), Err("invalid_request"));
        let token = pkce.replace("=code&", "=token&");
        assert_eq!(parse(&token), Err("unsupported_response_type"));
    }

    #[test]
    fn only_public_clients_register() {
        let parse = |json: &str| Registration::parse(json.as_bytes());
        let (name, uris) =
            parse(r#"{"client_name":" M ","redirect_uris":["http://127.0.0.1/"],"x":1}"#).unwrap();
        assert_eq!((name.as_str(), uris.len()), ("M", 1));
        assert!(parse(r#"{"redirect_uris":[]}"#).is_err());
        assert!(parse(r#"{"redirect_uris":["http://evil.example/"]}"#).is_err());
        let secret = r#"{"redirect_uris":["http://127.0.0.1/"],
            "token_endpoint_auth_method":"client_secret_basic"}"#;
        assert_eq!(parse(secret), Err("invalid_client_metadata"));
        assert!(parse("[").is_err());
    }

    proptest! {
        #[test]
        fn forms_come_back_as_they_were(pairs in proptest::collection::btree_map(".{1,20}", ".{1,20}", 0..8)) {
            let text: Vec<String> =
                pairs.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
            let form = Form::parse(&text.join("&")).unwrap();
            for (name, value) in &pairs {
                prop_assert_eq!(form.get(name), Some(value.as_str()));
            }
        }

        #[test]
        fn no_request_panics(text in ".{0,200}", octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(form) = Form::parse(&text) {
                let _ = Authorize::parse(&form);
            }
            let _ = (is_allowed(&text), challenge_of(&text), scopes(&text), source_of(&text));
            let _ = Registration::parse(&octets);
        }
    }
}
