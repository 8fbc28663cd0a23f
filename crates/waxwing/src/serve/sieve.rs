//! Joins sockets to ManageSieve sessions (RFC 5804): reads, writes, does the handshake, and carries
//! the session's questions to the store. The protocol is in `waxwing-managesieve`, the language in
//! `waxwing-filter`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};
use waxwing_delivery::sieve_capabilities;
use waxwing_filter::sieve::extension::NOTIFY_METHODS;
use waxwing_filter::sieve::{self, Limits};
use waxwing_managesieve::{
    Action, Answer, Listed, Scripts, Session, Settings, Unavailable, perform,
};
use waxwing_store::{AccountId, LoginError, SCRIPT_OCTETS_MAX, ScriptError, Store, StoreError};

use super::tls;
use crate::config::Config;

const READ_OCTETS: usize = 4 * 1_024;
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// So long a client may take to log in, and be silent after that (RFC 5804 §1.2: at least half an
/// hour).
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The pause before each login after the first.
const LOGIN_PAUSE: Duration = Duration::from_millis(500);

/// What all connections of people changing their rules share.
pub struct Desk {
    store: Store,
    acceptor: TlsAcceptor,
    settings: Settings,
}

impl Desk {
    pub fn new(config: &Config, store: Store, acceptor: TlsAcceptor) -> Desk {
        let settings = Settings {
            plaintext_allowed: config.tls.allow_plaintext_login,
            sieve: sieve_capabilities().names().map(str::to_owned).collect(),
            notify: NOTIFY_METHODS.iter().map(|&method| method.to_owned()).collect(),
            max_script_octets: SCRIPT_OCTETS_MAX,
            max_redirects: Limits::default().redirects,
            ..Settings::default()
        };
        Desk { store, acceptor, settings }
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, stream: TcpStream, peer: SocketAddr, stop: watch::Receiver<bool>) {
        let begun = Instant::now();
        let mut visit = Visit { desk: self, peer, stop, account: None, logins: 0, begun };
        if let Err(error) = visit.run(stream).await {
            debug!(%peer, "ManageSieve connection ended: {error}");
        }
    }
}

/// One connection's own facts.
struct Visit<'a> {
    desk: &'a Desk,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
    /// Who is logging in or logged in.
    account: Option<AccountId>,
    logins: u32,
    begun: Instant,
}

enum Next {
    Closed,
    StartTls,
}

impl Visit<'_> {
    async fn run(&mut self, mut stream: TcpStream) -> io::Result<()> {
        let mut session = Session::new(self.desk.settings.clone(), false, None);
        if let Next::StartTls = self.drive(&mut stream, &mut session).await? {
            let accepting = self.desk.acceptor.accept(stream);
            let mut stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await??;
            session.tls_established(tls::channel_binding(stream.get_ref().1));
            self.drive(&mut stream, &mut session).await?;
            return stream.shutdown().await;
        }
        stream.shutdown().await
    }

    /// Until the connection is to be closed or wants TLS.
    async fn drive<S>(&mut self, stream: &mut S, session: &mut Session) -> io::Result<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = vec![0; READ_OCTETS];
        let mut stop = self.stop.clone();
        loop {
            while let Some(action) = session.next_action() {
                match action {
                    Action::StartTls => {
                        write_out(stream, session).await?;
                        return Ok(Next::StartTls);
                    }
                    Action::Close => {
                        write_out(stream, session).await?;
                        return Ok(Next::Closed);
                    }
                    action => self.answer(session, action).await,
                }
            }
            write_out(stream, session).await?;
            let silent_until = Instant::now() + IDLE_TIMEOUT;
            let deadline = match session.login() {
                Some(_) => silent_until,
                None => silent_until.min(self.begun + LOGIN_TIMEOUT),
            };
            tokio::select! {
                read = stream.read(&mut buffer) => match read? {
                    0 => return Ok(Next::Closed),
                    n => session.receive(&buffer[..n]),
                },
                () = tokio::time::sleep_until(deadline) => session.shut_down("that took too long"),
                _ = stop.wait_for(|stop| *stop) => session.shut_down("this server stops"),
            }
        }
    }

    async fn answer(&mut self, session: &mut Session, action: Action) {
        match action {
            Action::Nonce => {
                tokio::time::sleep(LOGIN_PAUSE * self.logins).await;
                self.logins += 1;
                session.answer_nonce(rand::random());
            }
            Action::CheckPassword { login, password } => {
                session.answer_password(self.check_password(&login, &password).await);
            }
            Action::NeedKeys { login } => {
                let found = self.desk.store.scram_keys(&login).await;
                let found = found.map_err(|error| unavailable(&error));
                self.account = found.as_ref().ok().and_then(|(account, _)| *account);
                session.answer_keys(found.map(|(_, keys)| keys));
            }
            Action::Request(request) => {
                let answer = match self.account {
                    Some(account) => {
                        let own = Own { store: &self.desk.store, account };
                        perform(&own, request).await
                    }
                    None => Answer::TryLater,
                };
                session.answer(answer);
            }
            Action::StartTls | Action::Close => {}
        }
    }

    async fn check_password(&mut self, login: &str, password: &str) -> Result<bool, Unavailable> {
        self.account = None;
        match self.desk.store.login(login, password).await {
            Ok(account) => {
                self.account = Some(account.id);
                Ok(true)
            }
            Err(why @ (LoginError::Rejected | LoginError::Disabled)) => {
                info!(peer = %self.peer, login, %why, "login refused");
                Ok(false)
            }
            Err(LoginError::Store(error)) => Err(unavailable(&error)),
        }
    }
}

fn unavailable(error: &StoreError) -> Unavailable {
    warn!("a login could not be checked: {error}");
    Unavailable
}

/// The scripts of one person, in the store.
struct Own<'a> {
    store: &'a Store,
    account: AccountId,
}

impl Scripts for Own<'_> {
    fn check(&self, content: &[u8]) -> Answer {
        match sieve::compile(content, &sieve_capabilities()) {
            Ok(_) => Answer::Done,
            Err(faults) => Answer::Faulty(faults.to_string().replace('\n', "\r\n")),
        }
    }

    async fn have_space(&self, name: &str, octets: u64) -> Answer {
        done(self.store.sieve_space(self.account, name, octets).await)
    }

    async fn list(&self) -> Answer {
        match self.store.sieve_scripts(self.account).await {
            Ok(scripts) => {
                let listed = |script: waxwing_store::SieveScript| Listed {
                    name: script.name,
                    active: script.active,
                };
                Answer::List(scripts.into_iter().map(listed).collect())
            }
            Err(error) => done(Err(error.into())),
        }
    }

    async fn get(&self, name: &str) -> Answer {
        match self.store.sieve_script(self.account, name).await {
            Ok(Some(content)) => Answer::Script(content),
            Ok(None) => Answer::NonExistent,
            Err(error) => done(Err(error.into())),
        }
    }

    async fn put(&self, name: &str, content: &[u8]) -> Answer {
        let now = jiff::Timestamp::now();
        done(self.store.put_sieve_script(self.account, name, content.to_vec(), now).await)
    }

    async fn activate(&self, name: Option<&str>) -> Answer {
        done(self.store.activate_sieve_script(self.account, name).await)
    }

    async fn rename(&self, old: &str, new: &str) -> Answer {
        done(self.store.rename_sieve_script(self.account, old, new).await)
    }

    async fn delete(&self, name: &str) -> Answer {
        done(self.store.delete_sieve_script(self.account, name).await)
    }
}

fn done(outcome: Result<(), ScriptError>) -> Answer {
    match outcome {
        Ok(()) => Answer::Done,
        Err(ScriptError::NotFound) => Answer::NonExistent,
        Err(ScriptError::Exists) => Answer::AlreadyExists,
        Err(ScriptError::BadName) => Answer::Faulty("that is not a name of a script".to_owned()),
        Err(ScriptError::Active) => Answer::Active,
        Err(ScriptError::TooMany) => Answer::TooMany,
        Err(ScriptError::TooLarge) => Answer::TooLarge,
        Err(ScriptError::NoSpace) => Answer::NoSpace,
        Err(ScriptError::Store(error)) => {
            warn!("scripts cannot be read or written: {error}");
            Answer::TryLater
        }
    }
}

/// Writes all of the session's output.
async fn write_out<S: AsyncWrite + Unpin>(stream: &mut S, session: &mut Session) -> io::Result<()> {
    let output = session.take_output();
    if output.is_empty() {
        return Ok(());
    }
    let write = async {
        stream.write_all(&output).await?;
        stream.flush().await
    };
    tokio::time::timeout(WRITE_TIMEOUT, write).await?
}
