//! An IMAP client for tests, to see what is in a mailbox. Real clients prove the rest.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::wire::Wire;

/// One response with its literals taken out (each leaves `{n}` in the line).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The text around the literals.
    pub line: String,
    /// In order.
    pub literals: Vec<Vec<u8>>,
}

/// A message as fetched whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: u32,
    /// Such as `\Seen`.
    pub flags: Vec<String>,
    /// Every octet.
    pub octets: Vec<u8>,
}

/// A session.
#[derive(Debug)]
pub struct Imap {
    /// The connection under it.
    pub wire: Wire,
    /// The number of the last tag.
    pub tag: u32,
}

impl Imap {
    /// Connects and reads the greeting.
    pub fn connect(to: SocketAddr) -> io::Result<Imap> {
        let mut imap = Imap { wire: Wire::connect(to)?, tag: 0 };
        let greeting = imap.response()?.line;
        if greeting.starts_with("* OK") {
            Ok(imap)
        } else {
            Err(io::Error::other(format!("greeting: {greeting}")))
        }
    }

    /// Connects, logs in and selects INBOX.
    pub fn inbox(to: SocketAddr, user: &str, password: &str) -> io::Result<Imap> {
        let mut imap = Imap::connect(to)?;
        imap.ok(&format!("LOGIN \"{user}\" \"{password}\""))?;
        imap.ok("SELECT INBOX")?;
        Ok(imap)
    }

    /// Sends a command and gives the untagged responses and the tagged one without its tag.
    pub fn command(&mut self, command: &str) -> io::Result<(Vec<Response>, String)> {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.wire.send(format!("{tag} {command}\r\n"))?;
        let mut untagged = Vec::new();
        loop {
            let response = self.response()?;
            match response.line.strip_prefix(&format!("{tag} ")) {
                Some(end) => return Ok((untagged, end.to_owned())),
                None => untagged.push(response),
            }
        }
    }

    /// A command that must be answered OK.
    pub fn ok(&mut self, command: &str) -> io::Result<Vec<Response>> {
        let (untagged, end) = self.command(command)?;
        if end.starts_with("OK") {
            Ok(untagged)
        } else {
            Err(io::Error::other(format!("{command}: {end}")))
        }
    }

    /// Reads one response.
    pub fn response(&mut self) -> io::Result<Response> {
        let mut response = Response { line: String::new(), literals: Vec::new() };
        loop {
            let line = self.wire.line()?;
            response.line.push_str(&String::from_utf8_lossy(&line));
            let Some(octets) = literal_length(&line) else {
                return Ok(response);
            };
            response.literals.push(self.wire.exactly(octets)?);
        }
    }

    /// Every message of the selected mailbox, whole, without setting `\Seen`.
    pub fn fetch_all(&mut self) -> io::Result<Vec<Fetched>> {
        let responses = self.ok("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")?;
        Ok(responses.iter().filter_map(fetched).collect())
    }

    /// The values of one header field over the whole mailbox (one entry for each message).
    pub fn fetch_field(&mut self, field: &str) -> io::Result<Vec<String>> {
        let command = format!("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS ({field})])");
        let responses = self.ok(&command)?;
        let value = |response: &Response| {
            let literal = response.literals.first()?;
            let text = String::from_utf8_lossy(literal).into_owned();
            Some(text.split_once(':')?.1.trim().to_owned())
        };
        Ok(responses.iter().filter_map(value).collect())
    }

    /// Begins to idle; the server has said so when this returns.
    pub fn idle(&mut self) -> io::Result<()> {
        self.tag += 1;
        self.wire.send(format!("a{} IDLE\r\n", self.tag))?;
        loop {
            let line = self.response()?.line;
            if line.starts_with('+') {
                return Ok(());
            }
            if !line.starts_with('*') {
                return Err(io::Error::other(format!("IDLE: {line}")));
            }
        }
    }

    /// Waits, idling, for a response that contains `what`; gives when it came.
    pub fn wait_for(&mut self, what: &str, within: Duration) -> io::Result<Instant> {
        self.wire.set_patience(within)?;
        loop {
            if self.response()?.line.contains(what) {
                return Ok(Instant::now());
            }
        }
    }

    /// Ends idling.
    pub fn done(&mut self) -> io::Result<()> {
        self.wire.send("DONE\r\n")?;
        let tag = format!("a{} OK", self.tag);
        while !self.response()?.line.starts_with(&tag) {}
        Ok(())
    }
}

fn fetched(response: &Response) -> Option<Fetched> {
    let after = |key: &str| Some(response.line.split_once(key)?.1);
    let uid = after("UID ")?.split([' ', ')']).next()?.parse().ok()?;
    let flags = after("FLAGS (")?.split(')').next()?;
    Some(Fetched {
        uid,
        flags: flags.split_whitespace().map(str::to_owned).collect(),
        octets: response.literals.first()?.clone(),
    })
}

/// `…{123}` at the end of a line announces 123 octets.
fn literal_length(line: &[u8]) -> Option<usize> {
    let rest = line.strip_suffix(b"}")?;
    let open = rest.iter().rposition(|&octet| octet == b'{')?;
    std::str::from_utf8(&rest[open + 1..]).ok()?.parse().ok()
}
