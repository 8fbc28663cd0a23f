//! One connection from greeting to end.
//!
//! [`serve`] runs until the connection ends or the client asks for TLS. Then the caller performs
//! the handshake, tells the session by [`Session::tls_established`], and calls [`serve`] again with
//! the TLS stream. Nothing that was read before the handshake is carried over: if octets followed
//! STLS, the connection ends instead (RFC 2595 §2.2 and what came of ignoring it, CVE-2011-0411).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;
use waxwing_store::{Pass, Protocol, Store, StoreError, Visitor};

use crate::command::{self, Next};
use crate::connection::{Connection, Input, Lost};
use crate::maildrop::Maildrop;
use crate::maildrops::Maildrops;
use crate::settings::{Settings, TlsFacts};
use crate::wire::command::CommandError;
use crate::wire::response::{self, Messages, ResponseCode};

/// What a client hears whose log-in holds no longer.
const ENDED: &str = "what you logged in with is no longer valid: log in again";
/// For so long a client that was seen to be welcome is taken to be.
const WELCOME_FOR: Duration = Duration::from_secs(10);

/// Why [`serve`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is over; the stream has been shut down.
    Closed,
    /// `+OK` was sent to STLS: now the TLS handshake, then [`serve`] again.
    StartTls,
}

/// What is remembered from command to command, across STLS too.
pub struct Session<M: Maildrops = Store> {
    pub(crate) maildrops: M,
    pub(crate) settings: Arc<Settings>,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) utf8_mode: bool,
    pub(crate) state: State<M>,
    pub(crate) failed_logins: u32,
    /// Where the client is.
    address: IpAddr,
    shutdown: watch::Receiver<bool>,
    login_deadline: Instant,
    greeted: bool,
    bad_commands: u32,
}

/// RFC 1939 §3.
pub(crate) enum State<M: Maildrops> {
    Authorization {
        /// What USER gave, for the PASS to come.
        user: Option<String>,
    },
    /// Boxed: nearly all sessions of nearly all servers are over soon or wait to log in.
    Transaction(Box<Maildrop<M>>),
}

impl<M: Maildrops> Session<M> {
    /// `tls` where TLS came first (port 995). When `shutdown` becomes true, the session ends at its
    /// next pause.
    pub fn new(
        maildrops: M,
        settings: Arc<Settings>,
        tls: Option<TlsFacts>,
        shutdown: watch::Receiver<bool>,
    ) -> Session<M> {
        let login_deadline = Instant::now() + settings.login_timeout;
        Session {
            maildrops,
            settings,
            tls,
            utf8_mode: false,
            state: State::Authorization { user: None },
            failed_logins: 0,
            address: Ipv4Addr::UNSPECIFIED.into(),
            shutdown,
            login_deadline,
            greeted: false,
            bad_commands: 0,
        }
    }

    /// The same, from there.
    pub fn from_address(mut self, address: IpAddr) -> Session<M> {
        self.address = address;
        self
    }

    /// The handshake after [`Ended::StartTls`] is done.
    pub fn tls_established(&mut self, facts: TlsFacts) {
        self.tls = Some(facts);
        // RFC 2595 §4: nothing that was learned before counts any more.
        self.state = State::Authorization { user: None };
    }

    /// Whether a password may cross this connection as it is.
    pub(crate) fn clear_text_allowed(&self) -> bool {
        self.tls.is_some() || self.settings.plaintext_allowed
    }

    /// Opens the maildrop of an account whose owner has proved who they are, and answers.
    pub(crate) async fn enter<S>(&mut self, pass: Pass, conn: &mut Connection<'_, S>) {
        match self.open(pass).await {
            Ok(Some(maildrop)) => {
                let (count, octets) = maildrop.count_and_octets();
                tracing::debug!(account = pass.account().0, count, "maildrop opened");
                self.state = State::Transaction(Box::new(maildrop));
                conn.login_deadline = None;
                conn.until = Some(self.maildrops.ended(pass));
                response::ok(&mut conn.out, format_args!("{} ({octets} octets)", Messages(count)));
            }
            Ok(None) => response::err_code(
                &mut conn.out,
                ResponseCode::InUse,
                "another session has this maildrop",
            ),
            Err(error) => store_failed(&mut conn.out, &error),
        }
    }

    async fn open(&self, pass: Pass) -> Result<Option<Maildrop<M>>, StoreError> {
        let account = pass.account();
        let Some(lock) = self.maildrops.lock(account).await? else { return Ok(None) };
        match self.maildrops.listing(account).await {
            Ok(listing) => Ok(Some(Maildrop::new(pass, lock, listing))),
            Err(error) => {
                self.release(lock).await;
                Err(error)
            }
        }
    }

    /// Leaves the maildrop, if one is open, without changing it.
    async fn leave(&mut self) {
        let closed = State::Authorization { user: None };
        if let State::Transaction(maildrop) = std::mem::replace(&mut self.state, closed) {
            self.release(maildrop.lock).await;
        }
    }

    /// Who is at the other end, for the door.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor { protocol: Protocol::Pop3, address: self.address, tls: self.tls.is_some() }
    }

    /// Whether what the client was let in with still opens the door, which is asked now and then.
    async fn may_stay(&mut self) -> bool {
        let State::Transaction(maildrop) = &mut self.state else { return true };
        if maildrop.welcome_at.elapsed() < WELCOME_FOR {
            return true;
        }
        match self.maildrops.holds(&maildrop.pass).await {
            Ok(true) => maildrop.welcome_at = Instant::now(),
            Ok(false) => return false,
            // Whatever the client wants will fail by itself.
            Err(error) => tracing::warn!(%error, "whether a session may stay is not known"),
        }
        true
    }

    pub(crate) async fn release(&self, lock: M::Lock) {
        if let Err(error) = self.maildrops.release(lock).await {
            tracing::warn!(%error, "the lock of a maildrop will have to run out by itself");
        }
    }
}

/// Answers to a failure of the store: what the client should do, and nothing about how we work.
pub(crate) fn store_failed(out: &mut Vec<u8>, error: &StoreError) {
    tracing::warn!(%error, "POP3 command failed");
    let (code, text) = match error {
        StoreError::Unavailable(_) | StoreError::NoSpace(_) => {
            (ResponseCode::SysTemp, "the server has a problem: try again later")
        }
        StoreError::Damaged(_) => {
            (ResponseCode::SysPerm, "the server has a problem that its operator must solve")
        }
    };
    response::err_code(out, code, text);
}

/// Serves a connection until it ends or TLS begins. Dropping the future ends the session like a lost
/// connection: nothing is deleted.
pub async fn serve<S, M>(stream: &mut S, session: &mut Session<M>) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    let idle_timeout = session.settings.idle_timeout;
    let mut conn = Connection::new(stream, session.shutdown.clone(), idle_timeout);
    conn.login_deadline = Some(session.login_deadline);
    match converse(session, &mut conn).await {
        Ok(Ended::StartTls) => return Ended::StartTls,
        Ok(Ended::Closed) => {}
        Err(lost) => {
            tracing::debug!(?lost, "POP3 session ends without QUIT");
            if lost == Lost::Shutdown {
                let text = "the server is shutting down: try again later";
                response::err_code(&mut conn.out, ResponseCode::SysTemp, text);
            } else if lost == Lost::Ended {
                response::err_code(&mut conn.out, ResponseCode::Auth, ENDED);
            } else {
                // RFC 1939 §3: no response after the autologout timer ran out.
                conn.out.clear();
            }
        }
    }
    session.leave().await;
    conn.close().await;
    Ended::Closed
}

async fn converse<S, M>(
    session: &mut Session<M>,
    conn: &mut Connection<'_, S>,
) -> Result<Ended, Lost>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Maildrops,
{
    if !std::mem::replace(&mut session.greeted, true) {
        // No `<…>` in it: that would announce APOP (RFC 1939 §7).
        response::ok(&mut conn.out, format_args!("{} POP3 ready", session.settings.host_name));
    }
    loop {
        let command = match conn.read_line().await? {
            Input::Line(line) => crate::wire::command::parse(&line),
            Input::TooLong => Err(CommandError::TooLong),
        };
        if !session.may_stay().await {
            response::err_code(&mut conn.out, ResponseCode::Auth, ENDED);
            return Ok(Ended::Closed);
        }
        let next = match command {
            Ok(command) => {
                session.bad_commands = 0;
                command::run(command, session, conn).await?
            }
            Err(error) => refuse(session, &error, &mut conn.out),
        };
        conn.flush_if_much().await?;
        match next {
            Next::Continue => {}
            Next::Close => return Ok(Ended::Closed),
            Next::StartTls => {
                conn.flush().await?;
                return Ok(Ended::StartTls);
            }
        }
    }
}

fn refuse<M: Maildrops>(session: &mut Session<M>, error: &CommandError, out: &mut Vec<u8>) -> Next {
    session.bad_commands += 1;
    if session.bad_commands < session.settings.max_bad_commands {
        response::err(out, error);
        return Next::Continue;
    }
    response::err(out, "too many lines that are no command: goodbye");
    Next::Close
}
