//! Received-SPF (RFC 7208 §9.1), which some filters read beside Authentication-Results.

use std::fmt::Write;
use std::net::IpAddr;

use super::{comment_text, keyword, quoted};

/// What a Received-SPF field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedSpf<'a> {
    /// `pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`, `permerror`.
    pub result: &'a str,
    /// Why, in words for people.
    pub comment: &'a str,
    /// The client's address.
    pub client_ip: IpAddr,
    /// MAIL FROM, without angle brackets; empty for the null reverse-path.
    pub envelope_from: &'a str,
    /// What the client called itself.
    pub helo: &'a str,
    /// Which of both was examined: `mailfrom` or `helo`.
    pub identity: &'a str,
    /// Our own host name.
    pub receiver: &'a str,
    /// The term that matched, or `default`.
    pub mechanism: Option<&'a str>,
    /// What went wrong, for `temperror` and `permerror`.
    pub problem: Option<&'a str>,
}

/// The field, folded, with its line end.
pub fn received_spf(parts: &ReceivedSpf<'_>) -> Vec<u8> {
    let client_ip = parts.client_ip.to_string();
    let pairs = [
        ("receiver", Some(parts.receiver)),
        ("identity", Some(parts.identity)),
        ("client-ip", Some(client_ip.as_str())),
        ("helo", Some(parts.helo)),
        ("envelope-from", Some(parts.envelope_from)),
        ("mechanism", parts.mechanism),
        ("problem", parts.problem),
    ];
    let mut field =
        format!("Received-SPF: {} ({})", keyword(parts.result), comment_text(parts.comment));
    let mut given = pairs.into_iter().filter_map(|(key, value)| value.map(|value| (key, value)));
    if let Some((key, value)) = given.next() {
        let _ = write!(field, "\r\n\t{key}={}", value_text(value));
    }
    for (key, value) in given {
        let _ = write!(field, ";\r\n\t{key}={}", value_text(value));
    }
    field.push_str("\r\n");
    field.into_bytes()
}

/// A dot-atom or a quoted-string.
fn value_text(value: &str) -> String {
    let atom = |c: char| {
        c.is_ascii_alphanumeric()
            || !c.is_ascii() && !c.is_control()
            || "!#$%&'*+-/=?^_`{|}~".contains(c)
    };
    match value.split('.').all(|part| !part.is_empty() && part.chars().all(atom)) {
        true => value.to_owned(),
        false => quoted(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_rfc_7208_section_9_1_has_it() {
        let parts = ReceivedSpf {
            result: "pass",
            comment: "mybox.example.org: domain of myname@example.com designates 192.0.2.1",
            client_ip: "192.0.2.1".parse().unwrap(),
            envelope_from: "myname@example.com",
            helo: "foo.example.com",
            identity: "mailfrom",
            receiver: "mybox.example.org",
            mechanism: None,
            problem: None,
        };
        assert_eq!(
            String::from_utf8(received_spf(&parts)).unwrap(),
            "Received-SPF: pass (mybox.example.org: domain of myname@example.com designates \
             192.0.2.1)\r\n\treceiver=mybox.example.org;\r\n\tidentity=mailfrom;\r\n\t\
             client-ip=192.0.2.1;\r\n\thelo=foo.example.com;\r\n\t\
             envelope-from=\"myname@example.com\"\r\n"
        );
    }

    #[test]
    fn what_a_client_says_stays_a_value() {
        let parts = ReceivedSpf {
            result: "fail",
            comment: "x)\r\nBcc: y",
            client_ip: "2001:db8::1".parse().unwrap(),
            envelope_from: "",
            helo: "a\"\r\nBcc: z",
            identity: "helo",
            receiver: "mx",
            mechanism: Some("-all"),
            problem: None,
        };
        let text = String::from_utf8(received_spf(&parts)).unwrap();
        assert!(text.contains("client-ip=\"2001:db8::1\"") && text.contains("envelope-from=\"\""));
        assert!(text.lines().skip(1).all(|line| line.starts_with('\t')), "{text}");
    }
}
