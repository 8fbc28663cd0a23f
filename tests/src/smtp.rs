//! An SMTP client for tests: says what it is told, gives back the reply, corrects nothing.

use std::io;
use std::net::SocketAddr;

use crate::wire::Wire;

/// A reply, lines joined by a newline without their codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// What follows.
    pub text: String,
}

impl Reply {
    /// Whether the code begins with 2.
    pub fn is_ok(&self) -> bool {
        self.code / 100 == 2
    }

    /// The journey that the reply to the message names.
    pub fn journey(&self) -> String {
        let word = self
            .text
            .split_whitespace()
            .find(|word| word.len() == 32 && word.bytes().all(|octet| octet.is_ascii_hexdigit()));
        word.unwrap_or_else(|| panic!("no journey in {self:?}")).to_owned()
    }

    /// Fails unless the reply has this code and its text begins so (the enhanced status).
    #[track_caller]
    pub fn expect(self, code: u16, starts: &str) -> Reply {
        let fits = self.code == code && self.text.starts_with(starts);
        assert!(fits, "expected {code} {starts}, got {self:?}");
        self
    }
}

/// A session.
#[derive(Debug)]
pub struct Smtp {
    /// The connection under it.
    pub wire: Wire,
}

impl Smtp {
    /// Connects and reads the greeting.
    pub fn connect(to: SocketAddr) -> io::Result<Smtp> {
        let mut smtp = Smtp { wire: Wire::connect(to)? };
        let greeting = smtp.reply()?;
        if greeting.code != 220 {
            return Err(io::Error::other(format!("greeting: {greeting:?}")));
        }
        Ok(smtp)
    }

    /// Connects and says `EHLO client.test`.
    pub fn greeted(to: SocketAddr) -> io::Result<Smtp> {
        let mut smtp = Smtp::connect(to)?;
        let reply = smtp.command("EHLO client.test")?;
        if reply.is_ok() { Ok(smtp) } else { Err(io::Error::other(format!("{reply:?}"))) }
    }

    /// Logs in with PLAIN.
    pub fn login(&mut self, user: &str, password: &str) -> io::Result<Reply> {
        let secret = crate::base64(format!("\0{user}\0{password}").as_bytes());
        self.command(&format!("AUTH PLAIN {secret}"))
    }

    /// Sends a command and reads its reply.
    pub fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.wire.send(format!("{line}\r\n"))?;
        self.reply()
    }

    /// Reads one reply.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut text = Vec::new();
        loop {
            let line = String::from_utf8_lossy(&self.wire.line()?).into_owned();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| io::Error::other(format!("not a reply: {line:?}")))?;
            text.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text: text.join("\n") });
            }
        }
    }

    /// MAIL, RCPT, DATA and the message: the first reply that is not as wished, or the last.
    pub fn send(&mut self, from: &str, to: &[&str], message: &[u8]) -> io::Result<Reply> {
        let reply = self.command(&format!("MAIL FROM:<{from}>"))?;
        if !reply.is_ok() {
            return Ok(reply);
        }
        for recipient in to {
            let reply = self.command(&format!("RCPT TO:<{recipient}>"))?;
            if !reply.is_ok() {
                return Ok(reply);
            }
        }
        let reply = self.command("DATA")?;
        if reply.code != 354 {
            return Ok(reply);
        }
        self.wire.send(dot_stuffed(message))?;
        self.reply()
    }
}

/// The message as DATA carries it, with the final dot (RFC 5321 §4.5.2).
pub fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}
