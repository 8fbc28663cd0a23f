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
