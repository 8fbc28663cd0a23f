//! The grammar, forgiving where servers are known to stray: superfluous spaces, unknown responses and
//! items are passed over.

use waxwing_imap::wire::cursor::Cursor;
use waxwing_imap::wire::date;

/// Lists within lists.
const DEPTH_MAX: usize = 16;

/// How a command ended, or what the server says unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood.
    Bad,
    /// The server ends the connection.
    Bye,
    /// Logged in from the beginning.
    PreAuth,
}

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// `+ …`: go on.
    Continue(Vec<u8>),
    /// The end of a command.
    Done {
        /// The command's tag.
        tag: String,
        /// How it ended.
        status: Status,
        /// What stands in brackets, such as `AUTHENTICATIONFAILED`.
        code: Option<String>,
        /// For people.
        text: String,
    },
    /// The same without a tag.
    Status {
        /// Of what kind.
        status: Status,
        /// What stands in brackets, such as `UIDVALIDITY 17`.
        code: Option<String>,
        /// For people.
        text: String,
    },
    /// What the server can, in upper case.
    Capability(Vec<String>),
    /// A mailbox.
    List {
        /// Such as `\Noselect` and `\Sent`.
        attributes: Vec<String>,
        /// What parts the levels of its name.
        separator: Option<char>,
        /// As on the wire.
        name: Value,
    },
    /// The first personal namespace: what stands before all names (RFC 2342).
    Namespace(Value),
    /// So many messages are in the mailbox.
    Exists(u32),
    /// Items of a message, by its number: names in upper case.
    Fetch(u32, Vec<(String, Value)>),
    /// What does not concern us.
    Other,
}

/// A value in a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// An atom, a number or a quoted string.
    Text(Vec<u8>),
    /// The literal of that number.
    Literal(usize),
    /// In parentheses.
    List(Vec<Value>),
}

impl Value {
    /// A number.
    pub fn number(&self) -> Option<u32> {
        match self {
            Value::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// Texts of a list.
    pub fn texts(&self) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        match self {
            Value::List(list) => list.iter().filter_map(text).collect(),
            _ => Vec::new(),
        }
    }

    /// A `date-time`.
    pub fn moment(&self) -> Option<jiff::Timestamp> {
        let Value::Text(text) = self else { return None };
        let quoted = [b"\"", text.as_slice(), b"\""].concat();
        date::date_time(&mut Cursor::new(&quoted)).ok()
    }
}

/// `…{123}` at the end of a line: a literal of 123 octets follows.
pub fn literal_mark(line: &[u8]) -> Option<u64> {
    let rest = line.strip_suffix(b"}")?;
    let open = rest.iter().rposition(|&b| b == b'{')?;
    let digits = &rest[open + 1..];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse::<u32>().ok().map(u64::from)
}

impl Response {
    /// Of a whole response without its line end, literals taken out. `None`: that is none.
    pub fn parse(text: &[u8]) -> Option<Response> {
        let mut scan = Scan { rest: text.trim_ascii_end(), literals: 0 };
        if scan.rest.first() == Some(&b'+') {
            return Some(Response::Continue(scan.rest[1..].trim_ascii_start().to_vec()));
        }
        let tag = scan.word()?;
        let word = scan.word()?.to_ascii_uppercase();
        if tag != "*" {
            let (status, code, text) = scan.status(&word)?;
            return Some(Response::Done { tag, status, code, text });
        }
        if let Some((status, code, text)) = scan.clone().status(&word) {
            return Some(Response::Status { status, code, text });
        }
        Some(match word.as_str() {
            "CAPABILITY" => Response::Capability(words(scan.rest)),
            "LIST" => scan.list()?,
            "NAMESPACE" => Response::Namespace(scan.namespace().unwrap_or(Value::Nil)),
            number => match number.parse() {
                Ok(number) => scan.numbered(number)?,
                Err(_) => Response::Other,
            },
        })
    }
}

fn words(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text).to_ascii_uppercase().split(' ').map(str::to_owned).collect()
}

/// What is left to be read.
#[derive(Clone)]
struct Scan<'a> {
    rest: &'a [u8],
    literals: usize,
}

impl<'a> Scan<'a> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn take(&mut self, octets: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(octets);
        self.rest = rest;
        taken
    }

    /// As far as the next space.
    fn word(&mut self) -> Option<String> {
        self.blank();
        let end = self.rest.iter().position(|&b| b == b' ').unwrap_or(self.rest.len());
        let word = String::from_utf8_lossy(self.take(end)).into_owned();
        (!word.is_empty()).then_some(word)
    }

    fn status(&mut self, word: &str) -> Option<(Status, Option<String>, String)> {
        let status = match word {
            "OK" => Status::Ok,
            "NO" => Status::No,
            "BAD" => Status::Bad,
            "BYE" => Status::Bye,
            "PREAUTH" => Status::PreAuth,
            _ => return None,
        };
        self.blank();
        let mut code = None;
        if self.rest.first() == Some(&b'[')
            && let Some(end) = self.rest.iter().position(|&b| b == b']')
        {
            code = Some(String::from_utf8_lossy(&self.rest[1..end]).into_owned());
            self.take(end + 1);
            self.blank();
        }
        // It will be shown to people, and must not steer their terminal.
        let text = String::from_utf8_lossy(self.rest).replace(char::is_control, "\u{fffd}");
        Some((status, code, text))
    }

    fn list(&mut self) -> Option<Response> {
        let attributes = self.value(0)?.texts();
        let separator = match self.value(0)? {
            Value::Text(text) => std::str::from_utf8(&text).ok()?.chars().next(),
            _ => None,
        };
        Some(Response::List { attributes, separator, name: self.value(0)? })
    }

    fn namespace(&mut self) -> Option<Value> {
        let Value::List(personal) = self.value(0)? else { return None };
        let Some(Value::List(first)) = personal.into_iter().next() else { return None };
        first.into_iter().next()
    }

    fn numbered(&mut self, number: u32) -> Option<Response> {
        match self.word()?.to_ascii_uppercase().as_str() {
            "EXISTS" => Some(Response::Exists(number)),
            "FETCH" => {
                let Value::List(list) = self.value(0)? else { return None };
                let mut items = Vec::new();
                let mut list = list.into_iter();
                while let (Some(name), Some(value)) = (list.next(), list.next()) {
                    let Value::Text(name) = name else { return None };
                    items.push((String::from_utf8_lossy(&name).to_ascii_uppercase(), value));
                }
                Some(Response::Fetch(number, items))
            }
            _ => Some(Response::Other),
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.blank();
        match *self.rest.first()? {
            b'(' if depth < DEPTH_MAX => {
                self.take(1);
                let mut list = Vec::new();
                loop {
                    self.blank();
                    if self.rest.first()? == &b')' {
                        self.take(1);
                        return Some(Value::List(list));
                    }
                    list.push(self.value(depth + 1)?);
                }
            }
            b'(' | b')' => None,
            b'"' => self.quoted(),
            b'~' if self.rest.get(1) == Some(&b'{') => {
                self.take(1);
                self.literal()
            }
            b'{' => self.literal(),
            _ => Some(self.atom()),
        }
    }

    fn quoted(&mut self) -> Option<Value> {
        self.take(1);
        let mut text = Vec::new();
        loop {
            match *self.rest.first()? {
                b'"' => {
                    self.take(1);
                    return Some(Value::Text(text));
                }
                b'\\' => {
                    self.take(1);
                    text.push(*self.rest.first()?);
                }
                octet => text.push(octet),
            }
            self.take(1);
        }
    }

    fn literal(&mut self) -> Option<Value> {
        let end = self.rest.iter().position(|&b| b == b'}')?;
        literal_mark(self.take(end + 1))?;
        self.literals += 1;
        Some(Value::Literal(self.literals - 1))
    }

    /// `BODY[HEADER.FIELDS (DATE)]<0>` is one.
    fn atom(&mut self) -> Value {
        let mut inside = false;
        let end = self.rest.iter().position(|&b| {
            match b {
                b'[' => inside = true,
                b']' => inside = false,
                _ => {}
            }
            !inside && matches!(b, b' ' | b'(' | b')')
        });
        let text = self.take(end.unwrap_or(self.rest.len()));
        match text.eq_ignore_ascii_case(b"NIL") {
            true => Value::Nil,
            false => Value::Text(text.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn fetch_with_a_literal() {
        let line = b"* 12 FETCH (UID 7 FLAGS (\\Seen $Junk) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" BODY[] {342})";
        let Some(Response::Fetch(12, items)) = Response::parse(line) else { panic!() };
        let item = |name: &str| items.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!(item("UID").number(), Some(7));
        assert_eq!(item("FLAGS").texts(), ["\\Seen", "$Junk"]);
        assert_eq!(item("INTERNALDATE").moment().unwrap().as_second(), 837_596_665);
        assert_eq!(item("BODY[]"), Value::Literal(0));
        let line = b"* 1 FETCH (BODY[HEADER.FIELDS (A B)] ~{3} UID 2 BODY[] NIL)";
        let Some(Response::Fetch(1, items)) = Response::parse(line) else { panic!() };
        assert_eq!(items[0], ("BODY[HEADER.FIELDS (A B)]".to_owned(), Value::Literal(0)));
        assert_eq!(items[2].1, Value::Nil);
    }

    #[test]
    fn listings_and_endings() {
        let parsed =
            Response::parse(b"* LIST (\\HasNoChildren \\Sent) \".\" \"INBOX.Sent \\\"x\\\"\"");
        let expected = Response::List {
            attributes: vec!["\\HasNoChildren".to_owned(), "\\Sent".to_owned()],
            separator: Some('.'),
            name: text("INBOX.Sent \"x\""),
        };
        assert_eq!(parsed, Some(expected));
        let flat = Response::parse(b"* LIST () NIL {5}");
        assert!(matches!(
            flat,
            Some(Response::List { separator: None, name: Value::Literal(0), .. })
        ));
        let space = Response::parse(b"* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL");
        assert_eq!(space, Some(Response::Namespace(text("INBOX."))));
        assert_eq!(
            Response::parse(b"* NAMESPACE NIL NIL NIL"),
            Some(Response::Namespace(Value::Nil))
        );
        let done = Response::parse(b"a1 NO [AUTHENTICATIONFAILED] wrong\r\n").unwrap();
        assert_eq!(
            done,
            Response::Done {
                tag: "a1".into(),
                status: Status::No,
                code: Some("AUTHENTICATIONFAILED".into()),
                text: "wrong".into()
            }
        );
        let Some(Response::Status { text, .. }) = Response::parse(b"* BYE \x1b[2Jx") else {
            panic!()
        };
        assert_eq!(text, "\u{fffd}[2Jx");
        assert_eq!(Response::parse(b"* 3 EXISTS"), Some(Response::Exists(3)));
        assert_eq!(Response::parse(b"+ "), Some(Response::Continue(Vec::new())));
        assert_eq!(Response::parse(b"* FLAGS (\\Seen)"), Some(Response::Other));
        for none in [&b""[..], b"*", b"a1", b"* 1 FETCH (UID", b"* 1 FETCH ((", b"a1 WHAT x"] {
            assert_eq!(Response::parse(none), None);
        }
        assert_eq!(Response::parse(&[&b"* 1 FETCH "[..], &[b'('; 10_000]].concat()), None);
    }

    #[test]
    fn literal_marks() {
        assert_eq!(literal_mark(b"x {12}"), Some(12));
        assert_eq!(literal_mark(b"x ~{0}"), Some(0));
        for none in [&b"x {12"[..], b"x {}", b"x {-1}", b"x {99999999999}", b"x {1} "] {
            assert_eq!(literal_mark(none), None);
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200), text in "(\\* |a1 |[0-9]{1,3} |FETCH |LIST |OK |NO |[\\[\\](){}\"~\\\\ ]|[A-Za-z0-9]{1,4}){0,30}") {
            crate::fuzzing::fuzz_imap(&octets);
            crate::fuzzing::fuzz_imap(text.as_bytes());
        }

        #[test]
        fn names_come_back(name in any::<String>()) {
            let wire = crate::imap::name_to_wire(&name);
            prop_assert_eq!(crate::imap::name_from_wire(wire.as_bytes()), name.clone());
            let quoted = crate::imap::quoted(&wire).unwrap();
            let line = format!("* LIST () \"/\" {quoted}");
            let Some(Response::List { name: Value::Text(back), .. }) = Response::parse(line.as_bytes()) else { panic!("{line}") };
            prop_assert_eq!(back, wire.into_bytes());
        }
    }
}
