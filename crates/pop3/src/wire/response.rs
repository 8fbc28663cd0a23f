//! Responses (RFC 1939 §3) and response codes (RFC 2449 §8).
//!
//! The first line of a response has at most 512 octets with its CRLF (RFC 2449 §4), and text that
//! is not a response code never begins with `[`. Both hold because every text is this server's own.

use std::fmt::Display;
use std::io::Write;

/// Why a command failed, for the client's program rather than its owner.
///
/// Not here: LOGIN-DELAY, which is not enforced, and UTF8 (RFC 6856 §5), since no message is refused
/// for the sake of its header (`command/retr.rs` says why).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCode {
    /// RFC 3206 §6: wrong login or password.
    Auth,
    /// RFC 2449 §8.1.2: another session has the maildrop.
    InUse,
    /// RFC 3206 §4: try again later.
    SysTemp,
    /// RFC 3206 §4: trying again will not help until somebody acts.
    SysPerm,
}

impl ResponseCode {
    /// As it stands between the brackets.
    pub fn text(self) -> &'static str {
        match self {
            ResponseCode::Auth => "AUTH",
            ResponseCode::InUse => "IN-USE",
            ResponseCode::SysTemp => "SYS/TEMP",
            ResponseCode::SysPerm => "SYS/PERM",
        }
    }
}

/// `+OK text`
pub fn ok(out: &mut Vec<u8>, text: impl Display) {
    line(out, format_args!("+OK {text}"));
}

/// `-ERR text`
pub fn err(out: &mut Vec<u8>, text: impl Display) {
    line(out, format_args!("-ERR {text}"));
}

/// `-ERR [CODE] text`
pub fn err_code(out: &mut Vec<u8>, code: ResponseCode, text: impl Display) {
    line(out, format_args!("-ERR [{}] {text}", code.text()));
}

/// `+ base64` (RFC 5034 §4): a challenge. The space stands even before an empty one.
pub fn challenge(out: &mut Vec<u8>, base64: &str) {
    line(out, format_args!("+ {base64}"));
}

/// One line of a multi-line response that cannot begin with a dot.
pub fn line(out: &mut Vec<u8>, text: impl Display) {
    write!(out, "{text}\r\n").expect("a Vec takes everything");
}

/// The line that ends a multi-line response.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b".\r\n");
}

/// `1 message`, `2 messages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Messages(pub usize);

impl Display for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Messages(count) = self;
        if *count == 1 { f.write_str("1 message") } else { write!(f, "{count} messages") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_of_responses() {
        let mut out = Vec::new();
        ok(&mut out, "2 320");
        ok(&mut out, Messages(0));
        ok(&mut out, Messages(1));
        err(&mut out, "no such message");
        err_code(&mut out, ResponseCode::InUse, "busy");
        challenge(&mut out, "");
        end(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "+OK 2 320\r\n+OK 0 messages\r\n+OK 1 message\r\n\
             -ERR no such message\r\n-ERR [IN-USE] busy\r\n+ \r\n.\r\n"
        );
    }
}
