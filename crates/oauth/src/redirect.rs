//! Redirect URIs: where browsers may be sent, and with what.

use crate::encode;

const URI_OCTETS_MAX: usize = 500;

/// A redirect URI with more parameters.
pub fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = uri.to_owned();
    for (name, value) in parameters {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(&format!("{name}={}", encode(value)));
    }
    out
}

/// Whether browsers may be sent there at all: HTTPS, this computer (RFC 8252 §7.3), or a program by a
/// scheme that holds its domain (§7.1).
pub fn is_allowed(uri: &str) -> bool {
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
    use super::*;

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
}
