//! Text as forms and queries spell it: names and values with percent signs.

/// More than any request has; each is compared with those before it.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a query or of a form.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// `application/x-www-form-urlencoded`. `None`: broken, a parameter twice (RFC 6749 §3.1), or more than
    /// 64 of them.
    pub fn parse(text: &str) -> Option<Form> {
        let mut form = Form::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescape(name)?, unescape(value)?);
            if form.has(&name) || form.0.len() == PARAMETERS_MAX {
                return None;
            }
            form.0.push((name, value));
        }
        Some(form)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
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

/// A name or value of `application/x-www-form-urlencoded`. `None` when it is malformed.
pub fn unescape(text: &str) -> Option<String> {
    let mut octets = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        out.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digit = |octet: u8| char::from(octet).to_digit(16);
                let (high, low) = (digit(octets.next()?)?, digit(octets.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_malformed_or_there_twice_is_nothing() {
        for broken in ["a=%", "a=%4", "a=%zz", "a=%+1", "%ff=x", "a=1&a=2", "a&a="] {
            assert_eq!(Form::parse(broken), None, "{broken}");
        }
        let many: Vec<String> = (0..64).map(|n| format!("p{n}=")).collect();
        assert!(Form::parse(&many.join("&")).is_some());
        assert_eq!(Form::parse(&format!("{}&x=", many.join("&"))), None);
        let form = Form::parse("a=1&&b=&c=%2B+x&d=e=f").unwrap();
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!(form.get("b"), None);
        assert_eq!(form.get("c"), Some("+ x"));
        assert_eq!(form.get("d"), Some("e=f"));
    }

    proptest! {
        #[test]
        fn forms_come_back_as_they_were(
            pairs in proptest::collection::btree_map(".{1,20}", ".{1,20}", 0..8),
        ) {
            let text: Vec<String> =
                pairs.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
            let form = Form::parse(&text.join("&")).unwrap();
            for (name, value) in &pairs {
                prop_assert_eq!(form.get(name), Some(value.as_str()));
            }
        }
    }
}
