//! Reading Authentication-Results (RFC 8601 §2.2).
//!
//! ```text
//! payload  = [CFWS] authserv-id [ CFWS version ] ( ";" none / 1*( ";" resinfo ) )
//! resinfo  = method [ "/" version ] "=" result [ reason "=" value ] *( ptype "." property "=" pvalue )
//! ```
//!
//! Fields in the wild have values that should be quoted and are not, and words that are no
//! property: a value goes on to the next white space, semicolon or comment, and such words are
//! passed over.

use super::{AuthenticationResults, MethodResult, Property};

/// Outcomes and properties that are read of one field.
const RESULTS_MAX: usize = 100;
const PROPERTIES_MAX: usize = 40;

/// Why a field cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResultsError {
    /// There is no authserv-id.
    #[error("nobody is named who found this out")]
    NoAuthservId,
    /// The version is not 1.
    #[error("the version is not 1")]
    Version,
    /// What should be `method=result` is not.
    #[error("there is no method=result")]
    NoResult,
}

/// Who a field claims to be by: the authserv-id of its value.
pub fn authserv_id(value: &[u8]) -> Result<String, ResultsError> {
    Cursor { rest: value }.authserv_id()
}

pub(super) fn read(value: &[u8]) -> Result<AuthenticationResults, ResultsError> {
    let mut cursor = Cursor { rest: value };
    let authserv_id = cursor.authserv_id()?;
    cursor.white_space();
    if cursor.rest.first().is_some_and(|b| *b != b';') && cursor.word() != b"1" {
        return Err(ResultsError::Version);
    }
    let mut results = Vec::new();
    loop {
        cursor.white_space();
        // What is left of a broken result is passed over.
        while !cursor.rest.is_empty() && !cursor.take(b';') {
            cursor.skip();
        }
        cursor.white_space();
        if cursor.rest.is_empty() || results.len() == RESULTS_MAX {
            return Ok(AuthenticationResults { authserv_id, results });
        }
        if cursor.rest[0] == b';' {
            continue;
        }
        let method = text(cursor.keyword());
        cursor.white_space();
        let none = method.eq_ignore_ascii_case("none");
        if none && (cursor.rest.is_empty() || cursor.rest[0] == b';') {
            continue;
        }
        if cursor.take(b'/') {
            cursor.white_space();
            cursor.keyword();
            cursor.white_space();
        }
        if method.is_empty() || !cursor.take(b'=') {
            return Err(ResultsError::NoResult);
        }
        results.push(cursor.result(method)?);
    }
}

/// What is left to read.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn authserv_id(&mut self) -> Result<String, ResultsError> {
        self.white_space();
        let id = self.value();
        if id.is_empty() { Err(ResultsError::NoAuthservId) } else { Ok(id) }
    }

    /// After `method=`: the rest, up to the semicolon.
    fn result(&mut self, method: String) -> Result<MethodResult, ResultsError> {
        self.white_space();
        let mut result =
            MethodResult { method, result: text(self.keyword()), ..Default::default() };
        if result.result.is_empty() {
            return Err(ResultsError::NoResult);
        }
        result.comment = self.white_space();
        while self.rest.first().is_some_and(|b| *b != b';') {
            let before = self.rest.len();
            let name = self.keyword();
            self.white_space();
            if self.take(b'.') {
                self.white_space();
                let property = self.keyword();
                self.white_space();
                if self.take(b'=') {
                    self.white_space();
                    let value = self.value();
                    if result.properties.len() < PROPERTIES_MAX {
                        let (ptype, property) = (text(name), text(property));
                        result.properties.push(Property { ptype, property, value });
                    }
                }
            } else if self.take(b'=') {
                self.white_space();
                let value = self.value();
                if name.eq_ignore_ascii_case(b"reason") {
                    result.reason.get_or_insert(value);
                }
            }
            self.white_space();
            if self.rest.len() == before {
                self.skip();
            }
        }
        Ok(result)
    }

    /// Passes over white space and comments; gives the first comment's text.
    fn white_space(&mut self) -> Option<String> {
        let mut first = None;
        loop {
            match self.rest {
                [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] => self.rest = rest,
                [b'(', ..] => {
                    let comment = self.comment();
                    first.get_or_insert(comment);
                }
                _ => return first,
            }
        }
    }

    /// A comment, with those inside it.
    fn comment(&mut self) -> String {
        let mut depth = 0usize;
        let mut inside = Vec::new();
        while let Some((octet, rest)) = self.rest.split_first() {
            self.rest = rest;
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => {
                    let Some((escaped, rest)) = self.rest.split_first() else { break };
                    self.rest = rest;
                    inside.push(*escaped);
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inside.push(*octet);
        }
        // The first parenthesis is not part of the text.
        String::from_utf8_lossy(inside.get(1..).unwrap_or_default()).trim().to_owned()
    }

    fn take(&mut self, octet: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// One octet, or one quoted string or comment.
    fn skip(&mut self) {
        match self.rest {
            [b'"', ..] => {
                self.quoted(&mut Vec::new());
            }
            [b'(', ..] => {
                self.comment();
            }
            [_, rest @ ..] => self.rest = rest,
            [] => {}
        }
    }

    /// Letters, digits, `-` and `_`.
    fn keyword(&mut self) -> &'a [u8] {
        self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    }

    /// Up to white space, a semicolon or a comment.
    fn word(&mut self) -> &'a [u8] {
        self.run(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'('))
    }

    fn run(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|b| !belongs(*b)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// A value: words and quoted strings without anything between, as in `"a b"@example.org`.
    fn value(&mut self) -> String {
        let mut value = Vec::new();
        loop {
            match self.rest.first() {
                Some(b'"') => self.quoted(&mut value),
                Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(') | None => return text(&value),
                Some(_) => value.extend_from_slice(
                    self.run(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b'"')),
                ),
            }
        }
    }

    /// A quoted string, appended without its quotes and line ends.
    fn quoted(&mut self, out: &mut Vec<u8>) {
        self.take(b'"');
        while let Some((octet, rest)) = self.rest.split_first() {
            self.rest = rest;
            match octet {
                b'"' => return,
                b'\\' => {
                    if let Some((escaped, rest)) = self.rest.split_first() {
                        self.rest = rest;
                        out.push(*escaped);
                    }
                }
                b'\r' | b'\n' => {}
                octet => out.push(*octet),
            }
        }
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> AuthenticationResults {
        AuthenticationResults::parse(value.as_bytes()).unwrap()
    }

    /// RFC 8601 appendix B, examples 2 to 6.
    #[test]
    fn the_examples_of_rfc_8601_appendix_b() {
        let none = parse(" example.org 1; none");
        assert_eq!((none.authserv_id.as_str(), none.results.len()), ("example.org", 0));

        let spf = parse(" example.com;\r\n          spf=pass smtp.mailfrom=example.net");
        let spf = spf.method("spf").unwrap();
        assert_eq!(spf.result, "pass");
        assert_eq!(spf.property("smtp", "mailfrom"), Some("example.net"));

        let two = parse(
            " example.com;\r\n auth=pass (cleartext) smtp.auth=sender@example.net;\r\n \
             spf=pass smtp.mailfrom=example.net",
        );
        assert_eq!(two.results[0].comment.as_deref(), Some("cleartext"));
        assert_eq!(two.results[0].property("smtp", "auth"), Some("sender@example.net"));
        assert_eq!(two.results[1].method, "spf");

        let reason = parse(
            " example.com;\r\n dkim=pass reason=\"good signature\"\r\n \
             header.i=@mail-router.example.net;\r\n dkim=fail reason=\"bad signature\"\r\n \
             header.i=@newyork.example.com",
        );
        assert_eq!(reason.results[1].reason.as_deref(), Some("bad signature"));
        assert_eq!(reason.results[0].property("header", "i"), Some("@mail-router.example.net"));

        // Example 7: comments everywhere.
        let comments = parse(
            " foo.example.net (foobar) 1 (baz);\r\n    dkim (Because I like it) / 1 (One yay) = (wait \
             for it) fail\r\n      policy (A dot can go here) . (like that) expired\r\n      (this \
             surprised me) = (as I wasn't expecting it) 1362471462",
        );
        assert_eq!(comments.authserv_id, "foo.example.net");
        assert_eq!(comments.results[0].result, "fail");
        assert_eq!(comments.results[0].property("policy", "expired"), Some("1362471462"));
    }

    #[test]
    fn the_wild_is_forgiven() {
        let found = parse(
            "mx.google.com;\r\n dkim=pass header.i=@x.org header.s=s header.b=aB/+c=;\r\n spf=pass \
             (google.com: domain of a@x.org) smtp.mailfrom=\"a b\"@x.org;\r\n dmarc=pass (p=NONE \
             dis=NONE) action=none header.from=x.org;",
        );
        assert_eq!(found.results.len(), 3);
        assert_eq!(found.results[0].property("header", "b"), Some("aB/+c="));
        assert_eq!(found.results[1].property("smtp", "mailfrom"), Some("a b@x.org"));
        assert_eq!(found.results[2].property("header", "from"), Some("x.org"));
    }

    #[test]
    fn faults() {
        let error = |value: &str| AuthenticationResults::parse(value.as_bytes()).unwrap_err();
        assert_eq!(error(""), ResultsError::NoAuthservId);
        assert_eq!(error("; spf=pass"), ResultsError::NoAuthservId);
        assert_eq!(error("a 2; none"), ResultsError::Version);
        assert_eq!(error("a; spf"), ResultsError::NoResult);
        assert_eq!(error("a; =pass"), ResultsError::NoResult);
        assert_eq!(error("a; spf="), ResultsError::NoResult);
    }
}
