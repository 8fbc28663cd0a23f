//! What programs and browsers send to an OAuth 2 authorisation server, as data: forms, authorisation requests,
//! redirect URIs, registrations, the codes that people type.
//!
//! Everything here is pure, takes octets of strangers, and is bounded by the length of what it is given. What
//! scopes there are, who consents, and tokens are not here.

mod authorize;
mod device;
mod form;
mod redirect;
mod registration;

pub use authorize::{Authorize, challenge_of};
pub use device::{DEVICE_GRANT, shown, typed, user_code};
pub use form::{Form, encode, unescape};
pub use redirect::{is_same_uri, source_of, with_parameters};
pub use registration::Registration;

/// For the fuzz target.
#[doc(hidden)]
pub mod fuzzing {
    use super::*;
    use crate::redirect::is_allowed;

    /// Any octets as each of the things that come from outside; what is taken keeps its promises.
    pub fn fuzz_request(data: &[u8]) {
        if let Ok((name, uris)) = Registration::parse(data) {
            assert!(!name.is_empty() && !name.chars().any(char::is_control));
            assert!(uris.iter().all(|uri| is_allowed(uri) && is_same_uri(uri, uri)));
            for uri in &uris {
                let sent = with_parameters(uri, &[("code", "a b"), ("state", "\r\n")]);
                assert!(
                    sent.starts_with(uri.as_str()) && sent.bytes().all(|o| o.is_ascii_graphic())
                );
                assert!(!source_of(uri).contains([' ', ';', ',', '\'']));
            }
        }
        let Ok(text) = std::str::from_utf8(data) else { return };
        if let Some(code) = typed(text) {
            assert_eq!(typed(&shown(&code)), Some(code));
        }
        if let Some(challenge) = challenge_of(text) {
            assert_eq!(challenge.len(), 43);
        }
        assert_eq!(unescape(&encode(text)).as_deref(), Some(text));
        let Some(form) = Form::parse(text) else { return };
        if let Ok(request) = Authorize::parse(&form) {
            assert_eq!(request.challenge.len(), 43);
            assert_eq!(form.get("redirect_uri"), Some(request.redirect_uri.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_request_panics(octets in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
            super::fuzzing::fuzz_request(&octets);
            super::fuzzing::fuzz_request(text.as_bytes());
        }
    }
}
