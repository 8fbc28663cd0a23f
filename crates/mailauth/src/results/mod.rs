//! What was found out about a message, in its header: Authentication-Results (RFC 8601), which is
//! also what ARC seals (RFC 8617 §4.1.1), and Received-SPF (RFC 7208 §9.1).
//!
//! ```text
//! Authentication-Results: mx.example.org;
//!         dkim=pass reason="..." header.d=example.org header.b="aB3/xy=="
//!         ───┬ ──┬─ ─────┬────── ──┬─── ┬ ────┬──────
//!       method  result reason   ptype property value
//! ```
//!
//! The field is believed by whoever reads the message later, so one that claims to be ours and
//! comes from outside must go: [`is_ours`] (RFC 8601 §5).

mod read;
mod received_spf;

use std::fmt::Write;

pub use read::{ResultsError, authserv_id};
pub use received_spf::{ReceivedSpf, received_spf};

/// One Authentication-Results field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthenticationResults {
    /// Who found it out (RFC 8601 §2.5), most often a host name.
    pub authserv_id: String,
    /// What; none is written as `none`.
    pub results: Vec<MethodResult>,
}

/// The outcome of one method.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MethodResult {
    /// `spf`, `dkim`, `dmarc`, `arc`, `iprev`, `auth`.
    pub method: String,
    /// `pass`, `fail`, `none`.
    pub result: String,
    /// Words in parentheses after the result.
    pub comment: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What was examined.
    pub properties: Vec<Property>,
}

/// One `ptype.property=value`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Property {
    /// `smtp`, `header`, `body`, `policy`, `dns`.
    pub ptype: String,
    /// `mailfrom`, `d`.
    pub property: String,
    /// Any text.
    pub value: String,
}

impl MethodResult {
    /// A bare `method=result`.
    pub fn new(method: &str, result: &str) -> MethodResult {
        MethodResult { method: method.to_owned(), result: result.to_owned(), ..Self::default() }
    }

    /// With one more property.
    pub fn with(mut self, ptype: &str, property: &str, value: &str) -> MethodResult {
        self.properties.push(Property {
            ptype: ptype.to_owned(),
            property: property.to_owned(),
            value: value.to_owned(),
        });
        self
    }

    /// With a reason.
    pub fn because(mut self, reason: &str) -> MethodResult {
        self.reason = Some(reason.to_owned());
        self
    }

    /// The value of a property; names are case-insensitive.
    pub fn property(&self, ptype: &str, property: &str) -> Option<&str> {
        let found = self.properties.iter().find(|p| {
            p.ptype.eq_ignore_ascii_case(ptype) && p.property.eq_ignore_ascii_case(property)
        });
        found.map(|p| p.value.as_str())
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, "{}={}", keyword(&self.method), keyword(&self.result));
        if let Some(comment) = &self.comment {
            let _ = write!(out, " ({})", comment_text(comment));
        }
        if let Some(reason) = &self.reason {
            let _ = write!(out, " reason={}", quoted(reason));
        }
        for Property { ptype, property, value } in &self.properties {
            let _ =
                write!(out, "\r\n\t {}.{}={}", keyword(ptype), keyword(property), pvalue(value));
        }
    }
}

impl AuthenticationResults {
    /// No results yet.
    pub fn new(authserv_id: &str) -> AuthenticationResults {
        AuthenticationResults { authserv_id: authserv_id.to_owned(), results: Vec::new() }
    }

    /// The value, folded, without field name and line end: what ARC's field has after `i=`.
    pub fn to_payload(&self) -> String {
        let mut out = pvalue(&self.authserv_id);
        if self.results.is_empty() {
            out.push_str("; none");
        }
        for result in &self.results {
            out.push_str(";\r\n\t");
            result.write(&mut out);
        }
        out
    }

    /// The whole field, folded, with its line end.
    pub fn to_field(&self) -> Vec<u8> {
        format!("Authentication-Results: {}\r\n", self.to_payload()).into_bytes()
    }

    /// Reads the value of a field: what is after the colon. Comments other than the one after a
    /// result are passed over, and so is what is no `ptype.property`.
    pub fn parse(value: &[u8]) -> Result<AuthenticationResults, ResultsError> {
        read::read(value)
    }

    /// The first outcome of a method.
    pub fn method(&self, method: &str) -> Option<&MethodResult> {
        self.results.iter().find(|result| result.method.eq_ignore_ascii_case(method))
    }
}

/// Whether the value of an Authentication-Results field claims to be by one of `authserv_ids`. Such
/// a field that comes from outside is forged and must be removed before the message goes on
/// (RFC 8601 §5).
pub fn is_ours(field_value: &[u8], authserv_ids: &[&str]) -> bool {
    let Ok(id) = authserv_id(field_value) else { return false };
    let id = same(&id);
    authserv_ids.iter().any(|ours| same(ours) == id)
}

/// Host names compare without case, and an internationalised one is the same in both its forms.
fn same(id: &str) -> String {
    let id = id.trim_end_matches('.');
    idna::domain_to_ascii(id).unwrap_or_else(|_| id.to_lowercase())
}

/// A word that the grammar gives no quotes to: what does not fit is left out.
fn keyword(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// A value: bare when it is a token or an address, else quoted.
fn pvalue(text: &str) -> String {
    let bare = |c: char| {
        !c.is_ascii() && !c.is_control()
            || c.is_ascii_alphanumeric()
            || "!#$%&'*+-.^_`{|}~@".contains(c)
    };
    match !text.is_empty() && text.chars().all(bare) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// A quoted-string on one line.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What can stand in a comment.
fn comment_text(text: &str) -> String {
    let fit = |c: char| if matches!(c, '(' | ')' | '\\') || c.is_control() { ' ' } else { c };
    text.chars().map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_written() {
        let dkim = MethodResult::new("dkim", "pass")
            .with("header", "d", "example.org")
            .with("header", "b", "aB3/xy==");
        let spf = MethodResult::new("spf", "fail").because("10.0.0.1 is not \"allowed\"").with(
            "smtp",
            "mailfrom",
            "joe@example.org",
        );
        let results = vec![dkim, spf];
        let field = AuthenticationResults { authserv_id: "mx.example.org".into(), results };
        assert_eq!(
            String::from_utf8(field.to_field()).unwrap(),
            "Authentication-Results: mx.example.org;\r\n\
             \tdkim=pass\r\n\t header.d=example.org\r\n\t header.b=\"aB3/xy==\";\r\n\
             \tspf=fail reason=\"10.0.0.1 is not \\\"allowed\\\"\"\r\n\t smtp.mailfrom=joe@example.org\r\n"
        );
        assert_eq!(AuthenticationResults::parse(field.to_payload().as_bytes()).unwrap(), field);
        let none = AuthenticationResults::new("mx.example.org");
        assert_eq!(none.to_field(), b"Authentication-Results: mx.example.org; none\r\n");
    }

    #[test]
    fn what_is_forged_is_known() {
        let ours = &["mx.example.org", "grå.example"][..];
        for value in [
            " mx.example.org; spf=pass",
            "MX.Example.ORG; none",
            " (hi (there)) \"mx.example.org\" 1; spf=pass",
            "\r\n\tmx.example.org(x);spf=pass",
            "mx.example.org",
            "mx.example.org.; spf=pass",
            "xn--gr-zia.example; none",
        ] {
            assert!(is_ours(value.as_bytes(), ours), "{value}");
        }
        for value in
            ["", ";", "mx2.example.org; none", "mx.example.org.evil; none", "(mx.example.org)"]
        {
            assert!(!is_ours(value.as_bytes(), ours), "{value}");
        }
    }

    #[test]
    fn nothing_escapes_from_a_value() {
        let evil = "a\"; dkim=pass\r\nBcc: x";
        let result = MethodResult::new("sp;f", "pa\r\nss").because(evil).with("smtp", "helo", evil);
        let result = MethodResult { comment: Some("a) b=c\r\n".into()), ..result };
        let field = AuthenticationResults { authserv_id: evil.into(), results: vec![result] };
        let text = field.to_payload();
        assert!(text.replace("\r\n\t", "").chars().all(|c| !c.is_control()));
        let again = AuthenticationResults::parse(text.as_bytes()).unwrap();
        assert_eq!(again.results.len(), 1);
        assert_eq!(again.results[0].method, "spf");
    }
}
