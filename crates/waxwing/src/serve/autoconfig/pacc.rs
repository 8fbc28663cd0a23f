//! Automatic configuration as the IETF is making it (draft-ietf-mailmaint-pacc-02): a JSON file, and its
//! digest in the DNS, so that whoever controls the web page alone cannot send people elsewhere.
//!
//! The file names hosts, not ports: only a service with TLS from the first octet on its usual port is
//! told. Who gives out access tokens is named where tokens are given out: programs then need no password. It is
//! the same octets each time, for the digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Announced, Protocol};

/// Below `ua-auto-config.DOMAIN`.
pub const PATH: &str = "/.well-known/user-agent-configuration.json";

/// The file.
pub fn write(announced: &Announced, name: &str) -> String {
    let mut protocols = Map::new();
    for (protocol, key, port, implicit) in [
        (Protocol::Imap, "imap", 993, true),
        (Protocol::ManageSieve, "managesieve", 4190, false),
        (Protocol::Pop3, "pop3", 995, true),
        (Protocol::Smtp, "smtp", 465, true),
    ] {
        let usual = announced
            .of_protocol(protocol)
            .any(|service| service.implicit_tls == implicit && service.port == port);
        if usual {
            protocols.insert(key.to_owned(), json!({ "host": announced.host }));
        }
    }
    if let Some(url) = &announced.jmap_session {
        protocols.insert("jmap".to_owned(), json!({ "url": url }));
    }
    let mut authentication = Map::from_iter([("password".to_owned(), Value::from(true))]);
    if let Some(issuer) = &announced.issuer {
        authentication.insert("oauth-public".to_owned(), json!({ "issuer": issuer }));
    }
    let file = json!({
        "authentication": Value::Object(authentication),
        "info": { "provider": { "name": name } },
        "protocols": Value::Object(protocols),
    });
    format!("{file:#}\n")
}

/// The record `_ua-auto-config.DOMAIN` for that file.
pub fn record(announced: &Announced, name: &str) -> String {
    let digest = Sha256::digest(write(announced, name));
    format!("v=UAAC1; a=sha256; d={}", STANDARD.encode(digest))
}
