//! How a program makes itself known (RFC 7591).

use serde::Deserialize;

use crate::DEVICE_GRANT;
use crate::redirect::is_allowed;

const URIS_MAX: usize = 10;
const NAME_OCTETS_MAX: usize = 100;

/// What a program says of itself (RFC 7591 §2); what else it says does not matter here.
#[derive(Debug, Deserialize)]
pub struct Registration {
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    client_name: String,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
    #[serde(default)]
    grant_types: Option<Vec<String>>,
}

impl Registration {
    /// Its name and redirect URIs. An error is a code of RFC 7591 §3.2.2.
    pub fn parse(json: &[u8]) -> Result<(String, Vec<String>), &'static str> {
        let this: Registration =
            serde_json::from_slice(json).map_err(|_| "invalid_client_metadata")?;
        if this.token_endpoint_auth_method.as_deref().unwrap_or("none") != "none" {
            return Err("invalid_client_metadata"); // public clients only
        }
        // RFC 7591 §5: who is never sent a browser back need not say where.
        let device = |grant: &String| grant == DEVICE_GRANT || grant == "refresh_token";
        let least = match &this.grant_types {
            Some(grants) if grants.iter().all(device) => 0,
            _ => 1,
        };
        let count = this.redirect_uris.len();
        if !(least..=URIS_MAX).contains(&count) || !this.redirect_uris.iter().all(|u| is_allowed(u))
        {
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

#[cfg(test)]
mod tests {
    use super::*;

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
        // Only who waits elsewhere needs no place to be answered at.
        assert!(parse("{}").is_err());
        let grants = format!(r#"{{"grant_types":["{DEVICE_GRANT}","refresh_token"]}}"#);
        assert_eq!(parse(&grants), Ok(("An unnamed program".to_owned(), Vec::new())));
        let both = format!(r#"{{"grant_types":["authorization_code","{DEVICE_GRANT}"]}}"#);
        assert_eq!(parse(&both), Err("invalid_redirect_uri"));
    }
}
