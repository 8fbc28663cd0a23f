//! An authorisation request (RFC 6749 §4.1.1) with PKCE (RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::Form;

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
    /// What for: names between spaces (RFC 6749 §3.3); `None`: what is usual.
    pub scope: Option<String>,
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
        Ok(Authorize {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge: challenge.to_owned(),
            state: form.get("state").unwrap_or_default().to_owned(),
            scope: form.get("scope").map(str::to_owned),
        })
    }
}

fn is_challenge(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok()
}

/// RFC 7636 §4.6; `None`: that is no verifier (§4.1).
pub fn challenge_of(verifier: &str) -> Option<String> {
    let unreserved = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
    let fits = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    fits.then(|| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)))
}

#[cfg(test)]
mod tests {
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
    fn requests_must_have_pkce() {
        let parse = |more: &str| {
            let text = format!("client_id=c&redirect_uri=http%3A%2F%2F127.0.0.1%2F&{more}");
            Authorize::parse(&Form::parse(&text).unwrap()).map(|asked| asked.scope)
        };
        let pkce = "response_type=code&code_challenge_method=S256&\
                    code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(parse(pkce), Ok(None));
        let scope = parse(&format!("{pkce}&scope=imap+offline_access+sieve"));
        assert_eq!(scope, Ok(Some("imap offline_access sieve".to_owned())));
        assert_eq!(parse(&pkce.replace("S256", "plain")), Err("invalid_request"));
        assert_eq!(parse("response_type=code"), Err("invalid_request"));
        let token = pkce.replace("=code&", "=token&");
        assert_eq!(parse(&token), Err("unsupported_response_type"));
    }
}
