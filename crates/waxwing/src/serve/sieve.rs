//! Joins sockets to ManageSieve sessions (RFC 5804): reads, writes, does the handshake, and carries
//! the session's questions to the store. The protocol is in `waxwing-managesieve`, the language in
//! `waxwing-filter`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};
use waxwing_delivery::sieve_capabilities;
use waxwing_filter::sieve::extension::NOTIFY_METHODS;
use waxwing_filter::sieve::{self, Limits};
use waxwing_managesieve::{Action, Answer, Listed, Refusal, Scripts, Session, Settings, perform};
use waxwing_sasl::Mechanism;
use waxwing_store::{
    AccountId, Admitted, LoginError, Pass, Protocol, SCRIPT_OCTETS_MAX, ScramAttempt, ScriptError,
    Store, Visitor,
};

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
            tokens: config.oauth.is_some(),
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
        let mut visit = Visit {
            desk: self,
            peer,
            stop,
            pass: None,
            attempt: None,
            tls: false,
            logins: 0,
            begun,
        };
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
    /// What somebody is logging in or logged in with.
    pass: Option<Pass>,
    /// A SCRAM exchange that has begun.
    attempt: Option<ScramAttempt>,
    tls: bool,
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
            (self.tls, self.pass) = (true, None);
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
        let mut ends: Option<(Pass, Ends)> = None;
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
                    action => {
                        self.settle(session);
                        self.answer(session, action).await;
                    }
                }
            }
            self.settle(session);
            if ends.as_ref().map(|(pass, _)| *pass) != self.pass {
                let store = &self.desk.store;
                let pass_ended = |pass| (pass, Box::pin(store.pass_ended(pass)) as Ends);
                ends = self.pass.map(pass_ended);
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
                () = until(&mut ends) => {
                    (ends, self.pass) = (None, None);
                    session.shut_down("what you logged in with is no longer valid: log in again");
                }
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
                let (visitor, mechanism) = (self.visitor(), mechanism_of(session));
                let checked = self.desk.store.login(&visitor, mechanism, &login, &password).await;
                session.answer_password(self.checked(checked).map(|login| login.is_some()));
            }
            Action::CheckToken { login, token } => {
                let (visitor, mechanism) = (self.visitor(), mechanism_of(session));
                let store = &self.desk.store;
                let checked =
                    store.login_with_token(&visitor, mechanism, login.as_deref(), &token).await;
                session.answer_token(self.checked(checked));
            }
            Action::NeedKeys { login } => {
                self.pass = None;
                let (visitor, mechanism) = (self.visitor(), mechanism_of(session));
                let found = self.desk.store.scram(&visitor, mechanism, &login).await;
                session.answer_keys(match found {
                    Ok((attempt, keys)) => {
                        self.attempt = Some(attempt);
                        Ok(keys)
                    }
                    Err(error) => Err(refusal(&error)),
                });
            }
            Action::CheckProof { pair, .. } => {
                let proven = match self.attempt.take() {
                    Some(attempt) => self.desk.store.settle_scram(attempt, pair).await,
                    None => Err(LoginError::Rejected),
                };
                let checked = self.checked(proven);
                session.answer_proof(checked.map(|login| login.is_some()));
            }
            Action::Request(request) => {
                let answer = match self.pass {
                    Some(pass) => {
                        let own = Own { store: &self.desk.store, account: pass.account() };
                        perform(&own, request).await
                    }
                    None => Answer::TryLater,
                };
                session.answer(answer);
            }
            Action::StartTls | Action::Close => {}
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor { protocol: Protocol::Sieve, address: self.peer.ip(), tls: self.tls }
    }

    /// What the door says: whose login it is, if anybody's.
    fn checked(
        &mut self,
        checked: Result<Admitted, LoginError>,
    ) -> Result<Option<String>, Refusal> {
        self.pass = None;
        match checked {
            Ok(admitted) => {
                self.pass = Some(admitted.pass);
                Ok(Some(admitted.account.address.to_string()))
            }
            Err(LoginError::Rejected | LoginError::Disabled) => Ok(None),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// A SCRAM exchange that ended without a right proof was a wrong guess.
    fn settle(&mut self, session: &Session) {
        if session.is_logging_in() {
            return;
        }
        if let Some(attempt) = self.attempt.take() {
            self.desk.store.refuse_scram(attempt);
        }
        if session.login().is_none() {
            self.pass = None; // UNAUTHENTICATE
        }
    }
}

fn mechanism_of(session: &Session) -> &'static str {
    session.mechanism().map_or("", Mechanism::name)
}

fn refusal(error: &LoginError) -> Refusal {
    match error {
        LoginError::NotHere(why) => Refusal::NotHere(why.text()),
        LoginError::TooMany(_) => Refusal::Later,
        error => {
            warn!("a login could not be checked: {error}");
            Refusal::Later
        }
    }
}

/// Ready when a pass holds no longer.
type Ends = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits until it holds no longer; for ever where nobody has logged in.
async fn until(ends: &mut Option<(Pass, Ends)>) {
    match ends {
        Some((_, ends)) => ends.await,
        None => std::future::pending().await,
    }
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
