//! One client's session: its state (RFC 9051 §3), what it has enabled, and its main loop.
//!
//! ```text
//!                 ┌──────────── STARTTLS: serve again over TLS
//! NotAuthenticated ──LOGIN, AUTHENTICATE──▶ Authenticated ──SELECT, EXAMINE──▶ Selected
//!        │                                     │      ◀──CLOSE, UNSELECT────────┘ │
//!        └──────────────── LOGOUT, too many mistakes, silence, the server stops ──┘──▶ closed
//! ```
//!
//! The loop reads a command literal by literal ([`Framer`]), parses it, and hands it to its file
//! in [`commands`]. What a command leaves behind for the client to hear is told before its tagged
//! response ([`crate::news`]).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use waxwing_store::{AccountId, Pass, Protocol, Store, Visitor};

use crate::access::Act;
use crate::commands;
use crate::commands::append::Beginning;
use crate::commands::notify::Watching;
use crate::connection::{Connection, Lost, Stream};
use crate::reply::{Fail, Status, Tagged};
use crate::selected::Selected;
use crate::settings::{Settings, TlsFacts};
use crate::wire::command::Command;
use crate::wire::frame::{Frame, Framer, LiteralMark};
use crate::wire::{parse, parse_append};

/// A command without APPEND's message, with its literals (RFC 9051 §4: at least 8,192).
const MAX_COMMAND_OCTETS: usize = 64 * 1024;
/// The same before the login, where nobody needs much.
const MAX_COMMAND_OCTETS_BEFORE_LOGIN: usize = 16 * 1024;

/// For so long a client that was seen to be welcome is taken to be.
const WELCOME_FOR: Duration = Duration::from_secs(10);
/// What a client hears that is not.
const ENDED: &str = "* BYE What you logged in with is no longer valid: log in again\r\n";

/// How [`serve`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The connection is to be closed.
    Closed,
    /// The client has been told to begin TLS: do the handshake and call [`serve`] again with the
    /// same session and the TLS stream.
    StartTls,
}

/// What survives from one [`serve`] to the next, and all that is known of the client.
pub struct Session {
    pub(crate) store: Store,
    pub(crate) settings: Arc<Settings>,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) state: State,
    pub(crate) enabled: Enabled,
    /// What NOTIFY has asked for.
    pub(crate) notify: Option<Box<Watching>>,
    pub(crate) wrong_logins: u32,
    /// From the first greeting on, TLS or not: nothing that a client says gains it more time.
    login_deadline: Instant,
    /// Where the client is.
    address: IpAddr,
    /// What it was let in with, and when that was last seen to hold.
    stay: Option<(Pass, Instant)>,
    bad_commands: u32,
    greeted: bool,
}

/// RFC 9051 §3.
pub(crate) enum State {
    NotAuthenticated,
    Authenticated(AccountId),
    Selected(AccountId, Box<Selected>),
    /// After LOGOUT or BYE.
    Logout,
}

/// What the client has asked for with ENABLE, or by using it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Enabled {
    pub rev2: bool,
    pub utf8: bool,
    pub condstore: bool,
    /// With condstore.
    pub qresync: bool,
    /// UIDONLY (RFC 9586): no sequence number is told or taken.
    pub uid_only: bool,
}

impl Enabled {
    /// Mailbox names and quoted strings may be UTF-8.
    pub fn reads_utf8(self) -> bool {
        self.rev2 || self.utf8
    }
}

impl Session {
    /// A client that has just connected.
    pub fn new(store: Store, settings: Arc<Settings>) -> Session {
        let login_deadline = Instant::now() + settings.login_timeout;
        Session {
            store,
            settings,
            tls: None,
            state: State::NotAuthenticated,
            enabled: Enabled::default(),
            notify: None,
            wrong_logins: 0,
            login_deadline,
            address: Ipv4Addr::UNSPECIFIED.into(),
            stay: None,
            bad_commands: 0,
            greeted: false,
        }
    }

    /// The same, from there.
    pub fn from_address(mut self, address: IpAddr) -> Session {
        self.address = address;
        self
    }

    /// The account, for commands of the authenticated state.
    pub(crate) fn account(&self) -> Result<AccountId, Fail> {
        match self.state {
            State::Authenticated(account) | State::Selected(account, _) => Ok(account),
            _ => Err(Fail::bad("Log in first")),
        }
    }

    /// The mailbox, for commands of the selected state.
    pub(crate) fn selected(&mut self) -> Result<&mut Selected, Fail> {
        match &mut self.state {
            State::Selected(_, selected) => Ok(selected),
            _ => Err(Fail::bad("Select a mailbox first")),
        }
    }

    /// The mailbox, for commands that do something with it that not everybody may.
    pub(crate) fn selected_for(&mut self, act: Act) -> Result<&mut Selected, Fail> {
        let selected = self.selected()?;
        selected.need(act)?;
        Ok(selected)
    }

    pub(crate) fn is_logged_in(&self) -> bool {
        matches!(self.state, State::Authenticated(_) | State::Selected(..))
    }

    /// Who is at the other end, for the door.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor { protocol: Protocol::Imap, address: self.address, tls: self.tls.is_some() }
    }

    /// Somebody was let in with this.
    pub(crate) fn begin_stay(&mut self, pass: Pass) {
        self.stay = Some((pass, Instant::now()));
    }

    /// Whether what the client was let in with still opens the door, which the store is asked now and
    /// then. When it does not, the client is told so, and the session is over.
    pub(crate) async fn may_stay(&mut self, connection: &mut Connection<'_>) -> bool {
        if !self.is_logged_in() {
            return true;
        }
        let Some((pass, seen_at)) = &mut self.stay else { return true };
        if seen_at.elapsed() < WELCOME_FOR {
            return true;
        }
        match self.store.pass_holds(pass).await {
            Ok(true) => *seen_at = Instant::now(),
            Ok(false) => {
                connection.out.raw(ENDED);
                self.state = State::Logout;
                return false;
            }
            // Whatever the client wants will fail by itself.
            Err(error) => tracing::warn!(%error, "whether a session may stay is not known"),
        }
        true
    }

    /// Back to the authenticated state. Gives whether a mailbox was selected.
    pub(crate) fn deselect(&mut self) -> bool {
        if let State::Selected(account, _) = self.state {
            self.state = State::Authenticated(account);
            return true;
        }
        false
    }

    /// When silence becomes too long; before the login, when anything does.
    pub(crate) fn deadline(&self) -> Instant {
        match self.is_logged_in() {
            true => Instant::now() + self.settings.idle_timeout,
            false => self.login_deadline,
        }
    }

    fn max_command_octets(&self) -> usize {
        if self.is_logged_in() { MAX_COMMAND_OCTETS } else { MAX_COMMAND_OCTETS_BEFORE_LOGIN }
    }
}

/// Serves a connection until it ends or is to become a TLS connection. `tls` is `None` on a plain
/// one; `stop` ends the session with BYE when it turns true.
pub async fn serve<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send>(
    stream: &mut S,
    session: &mut Session,
    tls: Option<TlsFacts>,
    stop: watch::Receiver<bool>,
) -> Ended {
    serve_stream(stream, session, tls, stop).await
}

/// The same for every kind of stream, so that it is compiled once.
async fn serve_stream(
    stream: &mut dyn Stream,
    session: &mut Session,
    tls: Option<TlsFacts>,
    stop: watch::Receiver<bool>,
) -> Ended {
    let mut connection = Connection::new(stream, stop, session.settings.write_timeout);
    // RFC 9051 §6.2.1: nothing from before TLS is remembered.
    session.tls = tls;
    session.state = State::NotAuthenticated;
    session.enabled = Enabled::default();
    session.notify = None;
    if !std::mem::replace(&mut session.greeted, true) {
        greet(&mut connection, session);
    }
    loop {
        connection.write_by = (!session.is_logged_in()).then_some(session.login_deadline);
        match step(&mut connection, session, session.deadline()).await {
            Ok(Next::Command) => {}
            Ok(Next::StartTls) => {
                // Whatever was sent ahead of the handshake was sent by someone in between.
                let ahead = !connection.input().is_empty();
                let sent = connection.flush().await.is_ok();
                return if sent && !ahead { Ended::StartTls } else { Ended::Closed };
            }
            Ok(Next::Close) => break,
            Err(Lost::Gone) => return Ended::Closed,
            Err(Lost::Silent) => {
                connection.out.raw("* BYE Silent for too long\r\n");
                break;
            }
            Err(Lost::Ended) => {
                connection.out.raw(ENDED);
                break;
            }
            Err(Lost::Stopping) => {
                connection.out.raw("* BYE [UNAVAILABLE] The server is being stopped\r\n");
                break;
            }
        }
    }
    session.state = State::Logout;
    let _ = connection.flush().await; // it is the last word in any case
    Ended::Closed
}

fn greet(connection: &mut Connection<'_>, session: &Session) {
    let out = &mut connection.out;
    out.raw("* OK [");
    commands::capability::write(out, session);
    out.raw("] ").raw(session.settings.host_name.as_bytes()).raw(" Waxwing is ready\r\n");
}

enum Next {
    Command,
    StartTls,
    Close,
}

/// Reads and answers one command.
async fn step(
    connection: &mut Connection<'_>,
    session: &mut Session,
    deadline: Instant,
) -> Result<Next, Lost> {
    commands::notify::wait(connection, session, deadline).await?;
    if matches!(session.state, State::Logout) {
        return Ok(Next::Close);
    }
    match read_command(connection, session, deadline).await? {
        Read::Command(..) | Read::Append(_) if !Box::pin(session.may_stay(connection)).await => {
            Ok(Next::Close)
        }
        Read::Command(tag, command) => answer(connection, session, tag, command).await,
        Read::Append(beginning) => {
            // Boxed: a session that waits is not to be as large as its largest command.
            Box::pin(commands::append::run(connection, session, beginning)).await?;
            let ended = matches!(session.state, State::Logout);
            Ok(if ended { Next::Close } else { Next::Command })
        }
        Read::Bad(tag, why) => {
            Tagged::bad(why).write(&mut connection.out, tag.as_deref().unwrap_or("*"));
            Ok(count_bad_command(connection, session))
        }
        Read::TooLong => {
            connection.out.raw("* BYE [TOOBIG] That command is too long\r\n");
            Ok(Next::Close)
        }
    }
}

fn count_bad_command(connection: &mut Connection<'_>, session: &mut Session) -> Next {
    session.bad_commands += 1;
    if session.bad_commands >= session.settings.max_bad_commands {
        connection.out.raw("* BYE Too many commands that are not understood\r\n");
        return Next::Close;
    }
    Next::Command
}

enum Read {
    Command(String, Command),
    /// The input begins with APPEND or REPLACE up to its first message, or the first piece of one.
    Append(Beginning),
    Bad(Option<String>, &'static str),
    TooLong,
}

async fn read_command(
    connection: &mut Connection<'_>,
    session: &Session,
    deadline: Instant,
) -> Result<Read, Lost> {
    let max_octets = session.max_command_octets();
    let mut framer = Framer::default();
    loop {
        match framer.advance(connection.input()) {
            Frame::Incomplete if connection.input().len().max(framer.needs()) > max_octets => {
                return Ok(Read::TooLong);
            }
            Frame::Incomplete => connection.fill(deadline).await?,
            // All its pieces are here already: no literal has led there (RFC 4469).
            Frame::Complete { text, next }
                if text <= max_octets
                    && session.is_logged_in()
                    && is_whole_append(&connection.input()[..text]) =>
            {
                return Ok(Read::Append(Beginning { text, next, mark: None }));
            }
            Frame::Complete { text, next } => {
                let parsed = match text <= max_octets {
                    true => parse::parse(&connection.input()[..text]),
                    false => return Ok(Read::TooLong),
                };
                connection.consume(next);
                return Ok(match parsed {
                    Ok((tag, command)) => Read::Command(tag, command),
                    Err(bad) => Read::Bad(bad.tag, bad.why.0),
                });
            }
            Frame::Literal(mark) => {
                if session.is_logged_in() && is_message(&connection.input()[..mark.data_at]) {
                    let (text, next, mark) = (mark.data_at, mark.data_at, Some(mark));
                    return Ok(Read::Append(Beginning { text, next, mark }));
                }
                let whole = (mark.data_at as u64).saturating_add(mark.octets);
                if whole > max_octets as u64 {
                    return Ok(refuse_literal(connection, mark));
                }
                if mark.synchronizing {
                    connection.out.raw("+ Go on\r\n");
                }
                framer.accept_literal();
            }
        }
    }
}

/// Whether the literal is APPEND's message (or APPEND is malformed before it, which its own file
/// answers) rather than a mailbox name.
fn is_message(text: &[u8]) -> bool {
    parse_append::is_append(text) && !matches!(parse_append::append_head(text), Ok(None))
}

/// Whether a command without a further literal is a sound APPEND or REPLACE.
fn is_whole_append(text: &[u8]) -> bool {
    parse_append::is_append(text) && matches!(parse_append::append_head(text), Ok(Some(_)))
}

/// RFC 7888 §4: a literal that nobody asked for cannot be told from commands once it is refused,
/// so that the connection ends; one that was only announced is refused and that is all.
fn refuse_literal(connection: &mut Connection<'_>, mark: LiteralMark) -> Read {
    if !mark.synchronizing {
        return Read::TooLong;
    }
    let tag = parse::tag_of(connection.input());
    connection.consume(mark.data_at);
    Read::Bad(tag, "That literal is too large")
}

async fn answer(
    connection: &mut Connection<'_>,
    session: &mut Session,
    tag: String,
    command: Command,
) -> Result<Next, Lost> {
    let is_starttls = command == Command::StartTls;
    let is_compress = matches!(command, Command::Compress { .. });
    let done = match command {
        // Not in the same box as the others: IDLE lasts long, and should be small.
        Command::Idle => Box::pin(commands::idle::run(connection, session)).await,
        command => Box::pin(commands::run(connection, session, &tag, command)).await,
    };
    let tagged = match done {
        Ok(tagged) | Err(Fail::Refused(tagged)) => tagged,
        Err(Fail::Lost(lost)) => return Err(lost),
    };
    tagged.write(&mut connection.out, &tag);
    connection.out.set_utf8(session.enabled.reads_utf8());
    if is_compress && tagged.status == Status::Ok {
        connection.compress().await?;
    }
    connection.relieve().await?;
    if matches!(session.state, State::Logout) {
        return Ok(Next::Close);
    }
    if tagged.status == Status::Bad {
        return Ok(count_bad_command(connection, session));
    }
    session.bad_commands = 0;
    let starts_tls = is_starttls && tagged.status == Status::Ok;
    Ok(if starts_tls { Next::StartTls } else { Next::Command })
}
