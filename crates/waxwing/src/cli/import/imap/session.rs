//! One connection to an IMAP server, as far as moving mail needs it.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use waxwing_migrate::imap::{self, Response, Status, Value};
use waxwing_migrate::names;
use waxwing_store::{Role, Spool, Store};
use zeroize::Zeroizing;

use super::super::super::print;
use super::super::intake::MESSAGE_OCTETS_MAX;
use super::Tls;
use crate::serve::connect;

/// For a connection and its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// For the next octets of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// Octets of a response beside its literals.
const TEXT_OCTETS_MAX: usize = 1 << 20;
/// Literals of a response.
const LITERALS_MAX: usize = 64;
/// Responses to LIST.
const MAILBOXES_MAX: usize = 10_000;
/// Responses after a command: a server that never comes to an end is let go.
const RESPONSES_MAX: u32 = 200_000;

/// Why nothing came of it.
#[derive(Debug)]
pub enum Fail {
    /// The connection is gone: another may do better.
    Lost(String),
    /// The server says no, and will again.
    Refused(String),
}

fn lost(error: impl std::fmt::Display) -> Fail {
    Fail::Lost(error.to_string())
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for T {}

/// A mailbox there.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Decoded, as people see it there.
    pub name: String,
    /// As it is said to the server.
    pub wire: String,
    /// The same in our own way of writing.
    pub ours: String,
    /// As the server says.
    pub role: Option<Role>,
}

/// An open mailbox.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opened {
    /// Messages in it.
    pub exists: u32,
    /// Their UIDs mean something as long as this stays.
    pub uid_validity: u32,
}

/// How a command ended.
#[derive(Debug)]
pub struct End {
    /// It did what it was told.
    pub ok: bool,
    /// What the server says of it.
    pub text: String,
    code: Option<String>,
}

/// A message as it was fetched.
pub struct Fetched {
    /// Its sequence number.
    pub number: u32,
    /// Names and values.
    items: Vec<(String, Value)>,
    literals: Vec<Literal>,
}

/// Octets within a response.
pub struct Literal {
    octets: u64,
    /// Empty when there are too many.
    kept: Spool,
}

impl Fetched {
    /// The value of an item.
    pub fn item(&self, name: &str) -> Option<&Value> {
        self.items.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The whole message, if it came; and whether it was too large to be kept.
    pub fn body(&self) -> Option<(Spool, bool)> {
        match self.item("BODY[]")? {
            Value::Literal(number) => {
                let literal = self.literals.get(*number)?;
                Some((literal.kept.clone(), literal.octets > MESSAGE_OCTETS_MAX))
            }
            // A short one may come quoted.
            Value::Text(text) => Some((Spool::from_bytes(text.clone()), false)),
            _ => None,
        }
    }
}

/// The connection.
pub struct Session {
    stream: BufReader<Box<dyn Stream>>,
    capabilities: Vec<String>,
    tag: u32,
    /// Responses since the last command.
    responses: u32,
}

impl Session {
    /// Connects, with TLS as it is wanted; the certificate must be the host's.
    pub async fn open(
        host: &str,
        port: u16,
        tls: Tls,
        roots: Option<&Path>,
    ) -> Result<Session, Fail> {
        let opening = Session::connect(host, port, tls, roots);
        match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(lost("it does not answer")),
        }
    }

    async fn connect(
        host: &str,
        port: u16,
        tls: Tls,
        roots: Option<&Path>,
    ) -> Result<Session, Fail> {
        if tls == Tls::None && !is_this_machine(host, port) {
            let why =
                "without TLS the password would be seen on the way: use --tls starttls or implicit";
            return Err(Fail::Refused(why.to_owned()));
        }
        let connector =
            connect::tls_connector(roots).map_err(|error| Fail::Refused(format!("{error:#}")))?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Fail::Refused(format!("{host:?} is no host name")))?;
        let tcp = TcpStream::connect((host, port)).await.map_err(lost)?;
        tcp.set_nodelay(true).map_err(lost)?;
        let secured = |stream| async {
            connector.connect(name, stream).await.map_err(|error| {
                match connect::is_about_certificate(&error) {
                    true => Fail::Refused(format!("its certificate does not pass: {error}")),
                    false => lost(error),
                }
            })
        };
        let first: Box<dyn Stream> = match tls {
            Tls::Implicit => Box::new(secured(Box::new(tcp) as Box<dyn Stream>).await?),
            Tls::Starttls => {
                let mut plain = Session::on(Box::new(tcp));
                plain.greeting(false).await?;
                let end = plain.command("STARTTLS", |_| {}).await?;
                if !end.ok {
                    return Err(Fail::Refused(format!("it refuses STARTTLS: {}", end.text)));
                }
                // Said before TLS, heard after it: CVE-2011-0411 at this end.
                if !plain.stream.buffer().is_empty() {
                    return Err(Fail::Refused("it speaks on after STARTTLS, in clear".into()));
                }
                let mut session = Session::on(Box::new(secured(plain.stream.into_inner()).await?));
                session.ask_capabilities().await?;
                return Ok(session);
            }
            Tls::None => Box::new(tcp),
        };
        let mut session = Session::on(first);
        session.greeting(true).await?;
        session.ask_capabilities().await?;
        Ok(session)
    }

    fn on(stream: Box<dyn Stream>) -> Session {
        let stream = BufReader::with_capacity(64 * 1024, stream);
        Session { stream, capabilities: Vec::new(), tag: 0, responses: 0 }
    }

    async fn greeting(&mut self, may_be_logged_in: bool) -> Result<(), Fail> {
        let (response, _) = self.response(None).await?;
        match response {
            Response::Status { status: Status::Ok, .. } => Ok(()),
            // RFC 9051 §11.1: in clear it would keep us from TLS.
            Response::Status { status: Status::PreAuth, .. } if may_be_logged_in => Ok(()),
            Response::Status { text, .. } => Err(lost(format!("it says: {text}"))),
            _ => Err(Fail::Refused("it does not speak IMAP".to_owned())),
        }
    }

    async fn ask_capabilities(&mut self) -> Result<(), Fail> {
        let mut found = Vec::new();
        self.command("CAPABILITY", |response| {
            if let Response::Capability(list) = response {
                found = list;
            }
        })
        .await?;
        self.capabilities = found;
        Ok(())
    }

    fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }

    /// By AUTHENTICATE PLAIN (RFC 4616) where it is offered, else by LOGIN.
    pub async fn login(mut self, login: &str, password: &str) -> Result<Session, Fail> {
        let end = if self.can("AUTH=PLAIN") {
            let words = Zeroizing::new(format!("\0{login}\0{password}"));
            let encoded = Zeroizing::new(STANDARD.encode(words.as_bytes()));
            self.authenticate(&encoded).await?
        } else if self.can("LOGINDISABLED") {
            let why = "it takes no password on this connection: try another --tls";
            return Err(Fail::Refused(why.to_owned()));
        } else {
            let (Some(login), Some(word)) = (imap::quoted(login), imap::quoted(password)) else {
                let why = "it offers LOGIN only, which cannot carry these letters of the password";
                return Err(Fail::Refused(why.to_owned()));
            };
            let word = Zeroizing::new(word);
            let line = Zeroizing::new(format!("LOGIN {login} {}", *word));
            self.command(&line, |_| {}).await?
        };
        match end {
            End { ok: true, .. } => {
                self.ask_capabilities().await?;
                Ok(self)
            }
            // RFC 5530: at another time it would work.
            End { code: Some(code), text, .. }
                if matches!(code.as_str(), "UNAVAILABLE" | "INUSE" | "LIMIT") =>
            {
                Err(Fail::Lost(text))
            }
            End { text, .. } => Err(Fail::Refused(format!("it refuses the login: {text}"))),
        }
    }

    async fn authenticate(&mut self, encoded: &str) -> Result<End, Fail> {
        if self.can("SASL-IR") {
            let line = Zeroizing::new(format!("AUTHENTICATE PLAIN {encoded}"));
            return self.command(&line, |_| {}).await;
        }
        let tag = self.send("AUTHENTICATE PLAIN").await?;
        loop {
            match self.response(None).await?.0 {
                Response::Continue(_) => break,
                Response::Done { tag: of, status, code, text } if of == tag => {
                    return Ok(End { ok: status == Status::Ok, text, code });
                }
                _ => {}
            }
        }
        let line = Zeroizing::new(format!("{encoded}\r\n"));
        self.stream.get_mut().write_all(line.as_bytes()).await.map_err(lost)?;
        self.stream.get_mut().flush().await.map_err(lost)?;
        self.finish(&tag, None, |_, _| {}).await
    }

    /// Every mailbox that can be opened.
    pub async fn list(&mut self) -> Result<Vec<Listed>, Fail> {
        let mut prefix = String::new();
        if self.can("NAMESPACE") {
            self.command("NAMESPACE", |response| {
                if let Response::Namespace(Value::Text(text)) = response {
                    prefix = imap::name_from_wire(&text);
                }
            })
            .await?;
        }
        // RFC 6154 §5: to a plain LIST a server need not tell roles.
        let roles = self.can("SPECIAL-USE") && self.can("LIST-EXTENDED");
        let line = if roles { "LIST \"\" \"*\" RETURN (SPECIAL-USE)" } else { "LIST \"\" \"*\"" };
        let tag = self.send(line).await?;
        let mut all = Vec::new();
        let end = self
            .finish(&tag, None, |response, literals| {
                let Response::List { attributes, separator, name } = response else { return };
                let wire = match name {
                    Value::Text(text) => text,
                    Value::Literal(number) => {
                        literals.get(number).map_or_else(Vec::new, |l| l.kept.as_bytes().to_vec())
                    }
                    _ => return,
                };
                let has = |word: &str| attributes.iter().any(|a| a.eq_ignore_ascii_case(word));
                if has("\\Noselect") || has("\\NonExistent") || all.len() >= MAILBOXES_MAX {
                    return;
                }
                let name = imap::name_from_wire(&wire);
                let Some(ours) = names::ours(&name, separator, &prefix) else { return };
                let role = attributes.iter().find_map(|a| Role::of_special_use(a));
                let wire = String::from_utf8_lossy(&wire).into_owned();
                all.push(Listed { name: print::clean(&name), wire, ours, role });
            })
            .await?;
        match end.ok {
            true => Ok(all),
            false => Err(Fail::Refused(format!("it refuses LIST: {}", end.text))),
        }
    }

    /// Opens a mailbox to read; within, what the server says instead.
    pub async fn examine(&mut self, wire: &str) -> Result<Result<Opened, String>, Fail> {
        let Some(name) = imap::quoted(wire) else {
            return Ok(Err("its name cannot be said".to_owned()));
        };
        let mut opened = Opened::default();
        let end = self
            .command(&format!("EXAMINE {name}"), |response| match response {
                Response::Exists(exists) => opened.exists = exists,
                Response::Status { code: Some(code), .. } => {
                    if let Some(("UIDVALIDITY", value)) = code.split_once(' ') {
                        opened.uid_validity = value.parse().unwrap_or(0);
                    }
                }
                _ => {}
            })
            .await?;
        Ok(if end.ok { Ok(opened) } else { Err(end.text) })
    }

    /// The UID of a message; `None` where the server does not say.
    pub async fn uid_of(&mut self, number: u32) -> Result<Option<u32>, Fail> {
        let mut uid = None;
        self.command(&format!("FETCH {number} (UID)"), |response| {
            if let Response::Fetch(of, items) = response
                && of == number
            {
                let value = items.iter().find(|(name, _)| name == "UID");
                uid = value.and_then(|(_, value)| value.number()).or(uid);
            }
        })
        .await?;
        Ok(uid)
    }

    /// Asks for messages; [`Session::next_fetched`] gives them.
    pub async fn ask_for(&mut self, first: u32, last: u32) -> Result<String, Fail> {
        self.send(&format!("FETCH {first}:{last} (UID FLAGS INTERNALDATE BODY.PEEK[])")).await
    }

    /// The next message of that command, or how it ended.
    pub async fn next_fetched(
        &mut self,
        tag: &str,
        store: &Store,
    ) -> Result<Result<Fetched, End>, Fail> {
        loop {
            let (response, literals) = self.response(Some(store)).await?;
            match response {
                Response::Fetch(number, items) => {
                    return Ok(Ok(Fetched { number, items, literals }));
                }
                Response::Done { tag: of, status, code, text } if of == tag => {
                    return Ok(Err(End { ok: status == Status::Ok, text, code }));
                }
                Response::Status { status: Status::Bye, text, .. } => return Err(lost(text)),
                _ => {}
            }
        }
    }

    /// Says goodbye; what the server thinks of it is of no interest.
    pub async fn logout(mut self) {
        if let Ok(tag) = self.send("LOGOUT").await {
            let ending = self.finish(&tag, None, |_, _| {});
            let _ = tokio::time::timeout(Duration::from_secs(5), ending).await;
        }
    }

    async fn command(&mut self, line: &str, mut look: impl FnMut(Response)) -> Result<End, Fail> {
        let tag = self.send(line).await?;
        self.finish(&tag, None, |response, _| look(response)).await
    }

    async fn send(&mut self, line: &str) -> Result<String, Fail> {
        self.tag += 1;
        self.responses = 0;
        let tag = format!("a{}", self.tag);
        let text = Zeroizing::new(format!("{tag} {line}\r\n"));
        let stream = self.stream.get_mut();
        let writing = async {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await
        };
        tokio::time::timeout(READ_TIMEOUT, writing).await.map_err(lost)?.map_err(lost)?;
        Ok(tag)
    }

    async fn finish(
        &mut self,
        tag: &str,
        store: Option<&Store>,
        mut look: impl FnMut(Response, &[Literal]),
    ) -> Result<End, Fail> {
        let mut bye = None;
        loop {
            let next = self.response(store).await;
            let (response, literals) = match (next, bye.take()) {
                (Ok(next), _) => next,
                (Err(_), Some(text)) => return Err(Fail::Lost(text)),
                (Err(fail), None) => return Err(fail),
            };
            match response {
                Response::Done { tag: of, status, code, text } if of == tag => {
                    return Ok(End { ok: status == Status::Ok, text, code });
                }
                Response::Status { status: Status::Bye, text, .. } => bye = Some(text),
                other => look(other, &literals),
            }
        }
    }

    /// The next response and its literals. Large ones go into the store's spool; without a store they
    /// are small.
    async fn response(&mut self, store: Option<&Store>) -> Result<(Response, Vec<Literal>), Fail> {
        let (mut text, mut literals) = (Vec::new(), Vec::new());
        self.responses += 1;
        if self.responses > RESPONSES_MAX {
            return Err(lost("its answer does not come to an end"));
        }
        loop {
            self.line(&mut text).await?;
            let Some(octets) = imap::literal_mark(&text) else { break };
            if literals.len() >= LITERALS_MAX {
                return Err(lost("it sends a response without end"));
            }
            literals.push(Literal { octets, kept: self.literal(octets, store).await? });
        }
        let shown = || print::clean(&String::from_utf8_lossy(&text[..text.len().min(100)]));
        let response = Response::parse(&text);
        Ok((
            response.ok_or_else(|| lost(format!("it says what is no IMAP: {}", shown())))?,
            literals,
        ))
    }

    /// Appends a line without its end.
    async fn line(&mut self, text: &mut Vec<u8>) -> Result<(), Fail> {
        let room = (TEXT_OCTETS_MAX - text.len().min(TEXT_OCTETS_MAX)) as u64;
        let before = text.len();
        let mut limited = (&mut self.stream).take(room);
        let reading = limited.read_until(b'\n', text);
        let read = tokio::time::timeout(READ_TIMEOUT, reading).await;
        read.map_err(|_| lost("it is silent for too long"))?.map_err(lost)?;
        if !text.ends_with(b"\n") {
            let why = if text.len() >= TEXT_OCTETS_MAX {
                "it sends a line without end"
            } else {
                "it closed the connection"
            };
            return Err(lost(why));
        }
        text.pop();
        if text.len() > before && text.ends_with(b"\r") {
            text.pop();
        }
        Ok(())
    }

    async fn literal(&mut self, octets: u64, store: Option<&Store>) -> Result<Spool, Fail> {
        let refused = |error: waxwing_store::StoreError| Fail::Refused(error.to_string());
        let keep =
            octets <= if store.is_some() { MESSAGE_OCTETS_MAX } else { TEXT_OCTETS_MAX as u64 };
        let mut spool = store.map(Store::spool);
        let (mut small, mut left) = (Vec::new(), octets);
        while left > 0 {
            let filled = tokio::time::timeout(READ_TIMEOUT, self.stream.fill_buf()).await;
            let piece = filled.map_err(|_| lost("it is silent for too long"))?.map_err(lost)?;
            if piece.is_empty() {
                return Err(lost("it closed the connection within a message"));
            }
            let take = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match &mut spool {
                _ if !keep => {}
                Some(spool) => spool.write(&piece[..take]).map_err(refused)?,
                None => small.extend_from_slice(&piece[..take]),
            }
            self.stream.consume(take);
            left -= take as u64;
        }
        match spool {
            Some(spool) => spool.finish().map_err(refused),
            None => Ok(Spool::from_bytes(small)),
        }
    }
}

/// Whether all addresses of the host are loopback.
fn is_this_machine(host: &str, port: u16) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => (host, port).to_socket_addrs().is_ok_and(|mut all| {
            let mut any = false;
            all.all(|at| {
                any = true;
                at.ip().is_loopback()
            }) && any
        }),
    }
}
