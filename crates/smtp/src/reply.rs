//! Replies (RFC 5321 §4.2) and enhanced status codes (RFC 3463): written, folded and read.
//!
//! A reply is a code, perhaps an enhanced status, and text of one or more lines. Every line on the
//! wire repeats code and status (RFC 2034 §4), and none is longer than 512 octets
//! (RFC 5321 §4.5.3.1.5): longer text is folded into more lines.
//!
//! ```text
//! 550-5.7.1 first line CRLF
//! 550 5.7.1 last line CRLF
//! ```
//!
//! [`ReplyReader`] takes octets as they come. It forgives what real servers do (bare LF, a missing
//! space, non-ASCII text) and refuses what would cost memory or hide a lie: lines and replies
//! without end, codes that change within a reply.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use waxwing_message::journey::ReplySeen;

/// The longest line we write, with its CRLF: RFC 5321 §4.5.3.1.5.
pub const MAX_REPLY_LINE_OCTETS: usize = 512;

/// `class.subject.detail` of RFC 3463 §2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedStatus {
    /// 2 success, 4 temporary, 5 permanent.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedStatus {
    /// From its three numbers.
    pub const fn new(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
        EnhancedStatus { class, subject, detail }
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// Not `class.subject.detail` with a class of 2, 4 or 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code, such as 5.1.1")]
pub struct NotAStatus;

impl FromStr for EnhancedStatus {
    type Err = NotAStatus;

    fn from_str(text: &str) -> Result<Self, NotAStatus> {
        let number = |part: Option<&str>| -> Result<u16, NotAStatus> {
            let part = part.ok_or(NotAStatus)?;
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse().map_err(|_| NotAStatus) } else { Err(NotAStatus) }
        };
        let mut parts = text.split('.');
        let (class, subject, detail) =
            (number(parts.next())?, number(parts.next())?, number(parts.next())?);
        match (class, parts.next()) {
            (2 | 4 | 5, None) => Ok(EnhancedStatus::new(class as u8, subject, detail)),
            _ => Err(NotAStatus),
        }
    }
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// Absent where RFC 2034 §4 has none: greeting, HELO and EHLO, 3xx.
    pub enhanced: Option<EnhancedStatus>,
    /// Lines joined by `\n`.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced status given as its three numbers.
    pub fn new(
        code: u16,
        (class, subject, detail): (u8, u16, u16),
        text: impl Into<Cow<'static, str>>,
    ) -> Reply {
        let enhanced = Some(EnhancedStatus::new(class, subject, detail));
        Reply { code, enhanced, text: text.into() }
    }

    /// A reply without enhanced status.
    pub fn bare(code: u16, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: None, text: text.into() }
    }

    /// `550 5.7.1`: this server does not send mail elsewhere for this client.
    pub fn relaying_denied() -> Reply {
        Reply::new(550, (5, 7, 1), "relaying denied: log in first, or use your own mail server")
    }

    /// `550 5.1.1`: there is no such mailbox.
    pub fn no_such_mailbox() -> Reply {
        Reply::new(550, (5, 1, 1), "no such mailbox here")
    }

    /// `452 4.3.1`: out of space.
    pub fn out_of_space() -> Reply {
        Reply::new(452, (4, 3, 1), "out of space, try again later")
    }

    /// `452 4.2.2`: the mailbox is over its quota.
    pub fn mailbox_full() -> Reply {
        Reply::new(452, (4, 2, 2), "mailbox full, try again later")
    }

    /// `451 4.3.0`: something here went wrong; nothing is lost, the client keeps the message.
    pub fn local_error() -> Reply {
        Reply::new(451, (4, 3, 0), "local error, try again later")
    }

    /// `421 4.3.2`: this server is shutting down. Ends the session.
    pub fn shutting_down() -> Reply {
        Reply::new(421, (4, 3, 2), "shutting down, try again later")
    }

    /// `421 4.7.0`: too many connections from one place. Ends the session.
    pub fn too_many_connections() -> Reply {
        Reply::new(421, (4, 7, 0), "too many connections, try again later")
    }

    /// `553 5.7.1`: the login may not use this sender address (RFC 6409 §6.1).
    pub fn sender_not_yours() -> Reply {
        Reply::new(553, (5, 7, 1), "this login may not send as that address")
    }

    /// 2xx or 3xx.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 4xx.
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// The enhanced status, or `class.0.0` where there is none (RFC 3464 §2.3.4 needs one).
    pub fn status(&self) -> EnhancedStatus {
        let class = match self.code {
            ..400 => 2,
            400..500 => 4,
            _ => 5,
        };
        // A status of another class than the code contradicts it; the code decides
        // (RFC 5321 §4.2.1).
        self.enhanced
            .filter(|status| status.class == class)
            .unwrap_or(EnhancedStatus::new(class, 0, 0))
    }

    /// As the journey keeps it: the text is cut at 1,000 octets.
    pub fn seen(&self) -> ReplySeen {
        let mut end = self.text.len().min(1000);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        ReplySeen {
            code: self.code,
            enhanced: self.enhanced.map(|status| status.to_string()),
            text: self.text[..end].to_owned(),
        }
    }
}

/// Writing.
impl Reply {
    /// Appends the reply as it goes over the wire, folded into lines of at most 512 octets. Control
    /// characters, and everything outside ASCII unless `utf8` (RFC 6531 §3.7.4.2), become `?`.
    pub fn write(&self, out: &mut Vec<u8>, utf8: bool) {
        let status = self.enhanced.map(|status| format!("{status} ")).unwrap_or_default();
        let room = MAX_REPLY_LINE_OCTETS - "250-".len() - status.len() - "\r\n".len();
        let mut lines = self.text.split('\n').flat_map(|line| fold(line, room)).peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{separator}{status}", self.code).as_bytes());
            for c in line.chars() {
                if c.is_control() || !(utf8 || c.is_ascii()) {
                    out.push(b'?');
                } else {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// As on the wire, without the final CRLF.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut wire = Vec::new();
        self.write(&mut wire, true);
        f.write_str(String::from_utf8_lossy(&wire).trim_end())
    }
}

/// Cuts a line into pieces of at most `room` octets, after a space where there is one.
fn fold(line: &str, room: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        if line.len() <= room {
            return Some(line);
        }
        let mut end = room;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        let cut = line[..end].rfind(' ').map_or(end, |space| space + 1);
        rest = Some(&line[cut..]);
        Some(line[..cut].trim_end_matches(' '))
    })
}

/// Why what a server says is not a reply. The connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with a code of 200 to 599.
    #[error("the server's answer is not an SMTP reply")]
    Garbage,
    /// The lines of one reply have different codes (RFC 5321 §4.2.1).
    #[error("the lines of the server's reply have different codes")]
    MixedCodes,
    /// A line or a reply without end.
    #[error("the server's reply is too long")]
    TooLong,
}

/// The longest line read: sixteen times what RFC 5321 §4.5.3.1.5 allows.
const MAX_READ_LINE_OCTETS: usize = 8192;
/// The longest reply read, all lines together.
const MAX_READ_REPLY_OCTETS: usize = 64 * 1024;
/// The most lines of one reply.
const MAX_READ_REPLY_LINES: usize = 512;

/// Reads replies from octets as they come, in bounded memory.
#[derive(Debug, Default)]
pub struct ReplyReader {
    line: Vec<u8>,
    code: Option<u16>,
    enhanced: Option<EnhancedStatus>,
    text: String,
    lines: usize,
    octets: usize,
}

impl ReplyReader {
    /// Reads until a reply is whole: how many octets were used, and the reply. Call again with the
    /// rest. After an error the reader is of no more use.
    pub fn read(&mut self, input: &[u8]) -> (usize, Option<Result<Reply, ReplyError>>) {
        let mut used = 0;
        while used < input.len() {
            let rest = &input[used..];
            let end = memchr::memchr(b'\n', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            self.octets += piece.len();
            if self.line.len() + piece.len() > MAX_READ_LINE_OCTETS
                || self.octets > MAX_READ_REPLY_OCTETS
            {
                return (used, Some(Err(ReplyError::TooLong)));
            }
            self.line.extend_from_slice(piece);
            used += piece.len() + usize::from(end.is_some());
            if end.is_none() {
                break;
            }
            match self.end_line() {
                Ok(false) => {}
                Ok(true) => return (used, Some(Ok(self.take()))),
                Err(error) => return (used, Some(Err(error))),
            }
        }
        (used, None)
    }

    /// True between the first octet of a reply and its end.
    pub fn is_within_reply(&self) -> bool {
        self.code.is_some() || !self.line.is_empty()
    }

    /// Whether that line ends the reply.
    fn end_line(&mut self) -> Result<bool, ReplyError> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let (code, rest) = line.split_first_chunk::<3>().ok_or(ReplyError::Garbage)?;
        let code = match code {
            [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'))
            }
            _ => return Err(ReplyError::Garbage),
        };
        let (last, text) = match rest {
            [] => (true, rest),
            [b'-', text @ ..] => (false, text),
            [b' ' | b'\t', text @ ..] => (true, text),
            _ => return Err(ReplyError::Garbage),
        };
        if self.code.is_some_and(|first| first != code) {
            return Err(ReplyError::MixedCodes);
        }
        self.lines += 1;
        if self.lines > MAX_READ_REPLY_LINES {
            return Err(ReplyError::TooLong);
        }
        self.add_text(code, &String::from_utf8_lossy(text));
        self.code = Some(code);
        Ok(last)
    }

    fn add_text(&mut self, code: u16, text: &str) {
        // RFC 2034 §4: the status stands at the start of every line.
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let status = word.parse::<EnhancedStatus>().ok();
        let text = match status.filter(|status| u16::from(status.class) == code / 100) {
            Some(status) => {
                self.enhanced.get_or_insert(status);
                rest
            }
            None => text,
        };
        if self.code.is_some() {
            self.text.push('\n');
        }
        self.text.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }

    fn take(&mut self) -> Reply {
        let read = std::mem::take(self);
        Reply {
            code: read.code.expect("a line was read"),
            enhanced: read.enhanced,
            text: read.text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out, false);
        String::from_utf8(out).unwrap()
    }

    fn read(input: &str) -> Option<Result<Reply, ReplyError>> {
        ReplyReader::default().read(input.as_bytes()).1
    }

    #[test]
    fn writes_lines_with_code_and_status_on_each() {
        let reply = Reply::new(550, (5, 7, 1), "no\nnever");
        assert_eq!(wire(&reply), "550-5.7.1 no\r\n550 5.7.1 never\r\n");
        assert_eq!(wire(&Reply::bare(354, "go on")), "354 go on\r\n");
    }

    #[test]
    fn text_cannot_forge_a_line() {
        let reply = Reply::new(550, (5, 1, 1), "a\r250 2.0.0 b\u{e9}\0");
        assert_eq!(wire(&reply), "550 5.1.1 a?250 2.0.0 b??\r\n");
    }

    #[test]
    fn reads_what_rfc_2034_shows() {
        let reply = read("551-5.7.1 Forwarding is off\r\n551 5.7.1 Select another host\r\n");
        let reply = reply.unwrap().unwrap();
        assert_eq!((reply.code, reply.enhanced), (551, Some(EnhancedStatus::new(5, 7, 1))));
        assert_eq!(reply.text, "Forwarding is off\nSelect another host");
    }

    #[test]
    fn forgives_and_refuses() {
        assert_eq!(read("250\n").unwrap().unwrap(), Reply::bare(250, ""));
        // A status of another class than its code is only text.
        assert_eq!(read("250 5.1.1 ok\r\n").unwrap().unwrap().enhanced, None);
        for (input, error) in [
            ("\r\n", ReplyError::Garbage),
            ("HTTP/1.1 400 Bad Request\r\n", ReplyError::Garbage),
            ("650 x\r\n", ReplyError::Garbage),
            ("25\r\n", ReplyError::Garbage),
            ("250x\r\n", ReplyError::Garbage),
            ("250-a\r\n550 b\r\n", ReplyError::MixedCodes),
        ] {
            assert_eq!(read(input), Some(Err(error)), "{input:?}");
        }
    }

    #[test]
    fn replies_without_end_are_cut_off() {
        assert_eq!(read(&"2".repeat(10_000)), Some(Err(ReplyError::TooLong)));
        assert_eq!(read(&"250-x\r\n".repeat(1000)), Some(Err(ReplyError::TooLong)));
        let long = format!("250-{}\r\n", "x".repeat(8000));
        assert_eq!(read(&long.repeat(9)), Some(Err(ReplyError::TooLong)));
    }

    #[test]
    fn a_status_that_contradicts_its_code_does_not_count() {
        let reply = Reply::new(450, (5, 1, 1), "");
        assert_eq!(reply.status(), EnhancedStatus::new(4, 0, 0));
    }

    proptest! {
        #[test]
        fn round_trips(
            code in 200u16..600,
            subject in 0u16..1000,
            lines in prop::collection::vec("[!-~]{1,30}( [!-~]{1,300}){0,9}", 1..4),
            cut in 0usize..2000,
        ) {
            let class = (code / 100) as u8;
            let enhanced = (class != 3).then(|| EnhancedStatus::new(class, subject, 7));
            let reply = Reply { code, enhanced, text: lines.join("\n").into() };
            prop_assume!(enhanced.is_some() || lines.iter().all(|l| !l.starts_with(['2', '4', '5'])));
            let wire = wire(&reply);
            for line in wire.split_inclusive("\r\n") {
                prop_assert!(line.ends_with("\r\n") && line.len() <= MAX_REPLY_LINE_OCTETS);
            }
            let mut reader = ReplyReader::default();
            let cut = cut.min(wire.len() - 1);
            prop_assert_eq!(reader.read(&wire.as_bytes()[..cut]), (cut, None));
            let (used, read) = reader.read(&wire.as_bytes()[cut..]);
            prop_assert_eq!(used, wire.len() - cut);
            let read = read.unwrap().unwrap();
            prop_assert_eq!((read.code, read.enhanced), (code, enhanced));
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(words(&read.text), words(&reply.text));
        }

        #[test]
        fn any_octets_are_read_in_bounded_memory(input in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut reader = ReplyReader::default();
            let (used, _) = reader.read(&input);
            prop_assert!(used <= input.len());
        }
    }
}
