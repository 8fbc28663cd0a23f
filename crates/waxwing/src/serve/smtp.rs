//! Joins a socket to an SMTP session: reads, writes, does the handshake, and carries the session's
//! questions to the store and to delivery. The protocol is in `waxwing-smtp`, the decisions are in
//! `waxwing-delivery`; nothing is decided here.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};
use waxwing_delivery::accept::{Entrance, Incoming, Refusal};
use waxwing_mailauth::dkim::Verifier;
use waxwing_message::journey::{Source, TlsUsed};
use waxwing_message::{Envelope, Recipient, ReversePath};
use waxwing_smtp::{Action, Reply, Role, ServerSession, ServerSettings, Tls};
use waxwing_store::{
    Account, Admitted, LoginError, Pass, Protocol, ScramAttempt, SpoolWriter, Store, StoreError,
    Visitor,
};

use super::road::Reception;
use super::tls;

/// What one read takes while commands are awaited, and while a message flows.
const COMMAND_READ_OCTETS: usize = 4 * 1_024;
const DATA_READ_OCTETS: usize = 64 * 1_024;
/// How long a peer may take to read what we write, and to shake hands.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause after a wrong login; it doubles with each, up to a bound.
const WRONG_LOGIN_PAUSE: Duration = Duration::from_millis(500);
const WRONG_LOGIN_PAUSES_DOUBLED: u32 = 5;

/// What all SMTP connections of one kind of listener share.
pub struct Desk {
    settings: Arc<ServerSettings>,
    reception: Arc<Reception>,
    store: Store,
    acceptor: TlsAcceptor,
}

/// One connection's own facts and the message it is receiving.
struct Visit<'a> {
    desk: &'a Desk,
    peer: SocketAddr,
    tls: Option<TlsUsed>,
    account: Option<Account>,
    /// What the account was opened with.
    pass: Option<Pass>,
    mechanism: &'static str,
    /// A SCRAM exchange that has begun.
    attempt: Option<ScramAttempt>,
    wrong_logins: u32,
    spool: Option<SpoolWriter>,
    /// Of mail from other servers: reads it as it comes.
    verifier: Option<Verifier>,
}

/// Why the driving of a stream ended.
enum Next {
    Closed,
    StartTls,
}

/// What an action asks for, taken out of the session's borrow.
enum Task {
    StartTls,
    Close,
    Nothing,
    FailData(Reply),
    Nonce,
    Password { login: String, password: zeroize::Zeroizing<String> },
    Token { login: Option<String>, token: zeroize::Zeroizing<String> },
    Keys { login: String },
    Proof(usize),
    Sender(ReversePath),
    Recipient(Recipient, Option<u64>),
    BeginData,
    Complete(Box<Envelope>),
}

impl Desk {
    pub fn new(
        settings: ServerSettings,
        reception: Arc<Reception>,
        store: Store,
        acceptor: TlsAcceptor,
    ) -> Desk {
        Desk { settings: Arc::new(settings), reception, store, acceptor }
    }

    /// Serves one connection to its end.
    pub async fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        implicit_tls: bool,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut visit = Visit {
            desk: self,
            peer,
            tls: None,
            account: None,
            pass: None,
            mechanism: "",
            attempt: None,
            wrong_logins: 0,
            spool: None,
            verifier: None,
        };
        let outcome = visit.run(stream, implicit_tls, &mut stop).await;
        if let Err(error) = outcome {
            debug!(%peer, "SMTP connection ended: {error}");
        }
    }
}

impl Visit<'_> {
    async fn run(
        &mut self,
        mut stream: TcpStream,
        implicit_tls: bool,
        stop: &mut watch::Receiver<bool>,
    ) -> io::Result<()> {
        if implicit_tls {
            let (mut stream, facts) = self.shake_hands(stream).await?;
            let mut session =
                ServerSession::new(self.desk.settings.clone(), Some(facts), Instant::now());
            self.drive(&mut stream, &mut session, stop).await?;
            return close(stream).await;
        }
        let mut session = ServerSession::new(self.desk.settings.clone(), None, Instant::now());
        match self.drive(&mut stream, &mut session, stop).await? {
            Next::Closed => close(stream).await,
            Next::StartTls => {
                let (mut stream, facts) = self.shake_hands(stream).await?;
                // RFC 3207 §4.2: what was said in clear text is forgotten, the login too.
                self.account = None;
                self.pass = None;
                self.spool = None;
                session.tls_established(Instant::now(), facts);
                self.drive(&mut stream, &mut session, stop).await?;
                close(stream).await
            }
        }
    }

    async fn shake_hands(&mut self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Tls)> {
        let stream =
            tokio::time::timeout(HANDSHAKE_TIMEOUT, self.desk.acceptor.accept(stream)).await??;
        let (_, connection) = stream.get_ref();
        self.tls = Some(tls::used(
            connection.protocol_version(),
            connection.negotiated_cipher_suite(),
            false,
        ));
        let binding = tls::channel_binding(connection);
        Ok((stream, Tls { binding }))
    }

    /// Drives the session over this stream until it is closed or wants TLS.
    async fn drive<S>(
        &mut self,
        stream: &mut S,
        session: &mut ServerSession,
        stop: &mut watch::Receiver<bool>,
    ) -> io::Result<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = Vec::with_capacity(COMMAND_READ_OCTETS);
        let mut room = COMMAND_READ_OCTETS;
        let mut ends: Option<(Pass, Ends)> = None;
        let mut told_to_stop = *stop.borrow();
        if told_to_stop {
            session.shut_down(Reply::shutting_down());
        }
        loop {
            while let Some(action) = session.next_action(Instant::now()) {
                let task = self.take(action);
                match task {
                    Task::StartTls => {
                        write_out(stream, session).await?;
                        return Ok(Next::StartTls);
                    }
                    Task::Close => {
                        write_out(stream, session).await?;
                        return Ok(Next::Closed);
                    }
                    // The message is being made durable; what the client must hear first goes out.
                    Task::Complete(envelope) => {
                        write_out(stream, session).await?;
                        // Boxed: a connection that waits is not to be as large as this.
                        Box::pin(self.complete(session, *envelope)).await;
                    }
                    task => self.answer(session, task).await,
                }
            }
            if !session.output().is_empty() {
                write_out(stream, session).await?;
                continue;
            }
            if ends.as_ref().map(|(pass, _)| *pass) != self.pass {
                let store = &self.desk.store;
                let pass_ended = |pass| (pass, Box::pin(store.pass_ended(pass)) as Ends);
                ends = self.pass.map(pass_ended);
            }
            let wanted = if self.spool.is_some() { DATA_READ_OCTETS } else { COMMAND_READ_OCTETS };
            if wanted != room {
                (buffer, room) = (Vec::with_capacity(wanted), wanted);
            }
            buffer.clear();
            let deadline =
                session.deadline().map_or_else(far_future, tokio::time::Instant::from_std);
            tokio::select! {
                read = stream.read_buf(&mut buffer) => match read? {
                    0 => return Ok(Next::Closed),
                    _ => session.receive(Instant::now(), &buffer),
                },
                () = tokio::time::sleep_until(deadline) => session.on_timeout(Instant::now()),
                () = until(&mut ends) => {
                    (ends, self.pass, self.account) = (None, None, None);
                    session.shut_down(no_longer_valid());
                }
                _ = stop.changed(), if !told_to_stop => {
                    told_to_stop = true;
                    session.shut_down(Reply::shutting_down());
                }
            }
        }
    }

    /// Takes what the action asks out of the session's borrow; message octets are spooled here.
    fn take(&mut self, action: Action<'_>) -> Task {
        match action {
            Action::StartTls => Task::StartTls,
            Action::Close => Task::Close,
            Action::Authenticate { mechanism } => {
                self.mechanism = mechanism.name();
                Task::Nonce
            }
            Action::CheckPassword { login, password } => Task::Password { login, password },
            Action::CheckToken { login, token } => Task::Token { login, token },
            Action::NeedKeys { login } => Task::Keys { login },
            Action::CheckProof { pair, .. } => Task::Proof(pair),
            Action::LoginEnded { outcome, .. } => {
                self.login_ended(outcome);
                Task::Nothing
            }
            Action::CheckSender { envelope, .. } => Task::Sender(envelope.reverse_path.clone()),
            Action::CheckRecipient { recipient, size_octets, .. } => {
                Task::Recipient(recipient.clone(), size_octets)
            }
            Action::BeginData { .. } => Task::BeginData,
            Action::Data(octets) => {
                if let Some(verifier) = &mut self.verifier {
                    verifier.write(octets);
                }
                match self.spool.as_mut().map(|spool| spool.write(octets)) {
                    Some(Err(error)) => {
                        self.spool = None;
                        Task::FailData(store_reply(&error))
                    }
                    _ => Task::Nothing,
                }
            }
            Action::DiscardData => {
                self.spool = None;
                Task::Nothing
            }
            Action::DataComplete { envelope, .. } => Task::Complete(envelope),
        }
    }

    async fn answer(&mut self, session: &mut ServerSession, task: Task) {
        match task {
            Task::FailData(reply) => session.fail_data(reply),
            Task::Nonce => {
                self.pause_after_wrong_logins().await;
                session.answer_authenticate(Instant::now(), Ok(rand::random()));
            }
            Task::Password { login, password } => {
                let answer = self.check_password(&login, &password).await;
                session.answer_password(Instant::now(), answer);
            }
            Task::Token { login, token } => {
                let answer = self.check_token(login, &token).await;
                session.answer_token(Instant::now(), answer);
            }
            Task::Keys { login } => {
                let answer = self.find_keys(&login).await;
                session.answer_keys(Instant::now(), answer);
            }
            Task::Proof(pair) => {
                let answer = self.check_proof(pair).await;
                session.answer_proof(Instant::now(), answer);
            }
            Task::Sender(reverse_path) => {
                let verdict = match self.entrance() {
                    Ok(entrance) => self.desk.reception.check_sender(entrance, &reverse_path).await,
                    Err(refusal) => Err(refusal),
                };
                session.answer_sender(Instant::now(), verdict.map_err(|refusal| refusal.reply));
            }
            Task::Recipient(recipient, size_octets) => {
                let reception = &self.desk.reception;
                let verdict = match self.entrance() {
                    Ok(entrance) => {
                        reception.check_recipient(entrance, &recipient, size_octets).await
                    }
                    Err(refusal) => Err(refusal),
                };
                session.answer_recipient(Instant::now(), verdict.map_err(|refusal| refusal.reply));
            }
            Task::BeginData => {
                self.spool = Some(self.desk.store.spool());
                let entrance = self.entrance().ok();
                self.verifier = entrance
                    .and_then(|entrance| self.desk.reception.verifier(entrance, self.peer.ip()));
                session.answer_data(Instant::now(), Ok(()));
            }
            Task::Nothing | Task::StartTls | Task::Close | Task::Complete(_) => {}
        }
    }

    async fn pause_after_wrong_logins(&self) {
        if self.wrong_logins > 0 {
            let doubled = (self.wrong_logins - 1).min(WRONG_LOGIN_PAUSES_DOUBLED);
            tokio::time::sleep(WRONG_LOGIN_PAUSE * 2u32.pow(doubled)).await;
        }
    }

    fn visitor(&self) -> Visitor {
        let (address, tls) = (self.peer.ip(), self.tls.is_some());
        Visitor { protocol: Protocol::Submission, address, tls }
    }

    fn admitted(&mut self, admitted: Admitted) {
        self.pass = Some(admitted.pass);
        self.account = Some(admitted.account);
    }

    /// The session has told the client how its login went.
    fn login_ended(&mut self, outcome: Result<(), &'static str>) {
        // An exchange that ended without a right proof was a wrong guess.
        if let Some(attempt) = self.attempt.take() {
            self.desk.store.refuse_scram(attempt);
        }
        if let Err(why) = outcome {
            self.wrong_logins += 1;
            self.account = None;
            self.pass = None;
            debug!(peer = %self.peer, why, "login refused");
        }
    }

    async fn check_password(&mut self, login: &str, password: &str) -> Result<bool, Reply> {
        let (visitor, mechanism) = (self.visitor(), self.mechanism);
        let checked = self.desk.store.login(&visitor, mechanism, login, password).await;
        self.checked(checked).map(|login| login.is_some())
    }

    /// What the door says: whose login it is, if anybody's.
    fn checked(&mut self, checked: Result<Admitted, LoginError>) -> Result<Option<String>, Reply> {
        match checked {
            Ok(admitted) => {
                let login = admitted.account.address.to_string();
                self.admitted(admitted);
                Ok(Some(login))
            }
            Err(LoginError::Rejected | LoginError::Disabled) => Ok(None),
            Err(error) => Err(login_reply(&error)),
        }
    }

    async fn check_token(
        &mut self,
        login: Option<String>,
        token: &str,
    ) -> Result<Option<String>, Reply> {
        let (visitor, mechanism) = (self.visitor(), self.mechanism);
        let store = &self.desk.store;
        let checked = store.login_with_token(&visitor, mechanism, login.as_deref(), token).await;
        self.checked(checked)
    }

    async fn check_proof(&mut self, pair: usize) -> Result<bool, Reply> {
        let proven = match self.attempt.take() {
            Some(attempt) => self.desk.store.settle_scram(attempt, pair).await,
            None => Err(LoginError::Rejected),
        };
        self.checked(proven).map(|login| login.is_some())
    }

    async fn find_keys(&mut self, login: &str) -> Result<waxwing_sasl::ScramKeys, Reply> {
        let found = self.desk.store.scram(&self.visitor(), self.mechanism, login).await;
        let (attempt, keys) = found.map_err(|error| login_reply(&error))?;
        self.attempt = Some(attempt);
        Ok(keys)
    }

    /// The message is whole: hands it over, and replies when it is durable.
    async fn complete(&mut self, session: &mut ServerSession, envelope: Envelope) {
        let Some(spool) = self.spool.take() else {
            return session.answer_message(
                Instant::now(),
                Reply::new(451, (4, 3, 0), "the message was not kept, send it again"),
            );
        };
        let spool = match spool.finish() {
            Ok(spool) => spool,
            Err(error) => return session.answer_message(Instant::now(), store_reply(&error)),
        };
        let source = Source {
            ip: Some(self.peer.ip()),
            helo: session.hello().map(str::to_owned),
            tls: self.tls.clone(),
            login: self.account.as_ref().map(|account| account.address.clone()),
        };
        let entrance = match self.entrance() {
            Ok(entrance) => entrance,
            Err(refusal) => return session.answer_message(Instant::now(), refusal.reply),
        };
        let protocol = session.protocol().to_owned();
        let verifier = self.verifier.take();
        let incoming = Incoming { entrance, source, protocol, envelope, spool, verifier };
        if entrance == Entrance::Lmtp {
            let each = self.desk.reception.accept_each(incoming).await;
            let replies = each
                .into_iter()
                .map(|one| one.map_or_else(|refusal| refusal.reply, |a| a.reply()))
                .collect();
            return session.answer_message_each(Instant::now(), replies);
        }
        let reply = match self.desk.reception.accept(incoming).await {
            Ok(accepted) => accepted.reply(),
            Err(refusal) => refusal.reply,
        };
        session.answer_message(Instant::now(), reply);
    }

    /// In what role this client speaks. The session lets nobody submit who has not logged in; that
    /// the account is known here is checked all the same.
    fn entrance(&self) -> Result<Entrance, Refusal> {
        match (self.desk.settings.role, &self.account) {
            (Role::Mx, _) => Ok(Entrance::Mx),
            (Role::Lmtp, _) => Ok(Entrance::Lmtp),
            (Role::Submission, Some(account)) => Ok(Entrance::Submission { account: account.id }),
            (Role::Submission, None) => Err(Reply::new(530, (5, 7, 0), "log in first").into()),
        }
    }
}

/// Writes all of the session's output.
async fn write_out<S: AsyncWrite + Unpin>(
    stream: &mut S,
    session: &mut ServerSession,
) -> io::Result<()> {
    let output = session.take_output();
    let write = async {
        stream.write_all(&output).await?;
        stream.flush().await
    };
    tokio::time::timeout(WRITE_TIMEOUT, write).await?
}

/// Says goodbye to TCP, and to TLS if there is one, without waiting for a peer that does not.
async fn close<S: AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    tokio::time::timeout(Duration::from_secs(5), stream.shutdown()).await?
}

fn far_future() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(86_400)
}

fn store_reply(error: &StoreError) -> Reply {
    warn!("a message could not be taken: {error}");
    match error {
        StoreError::NoSpace(_) => Reply::out_of_space(),
        _ => Reply::new(
            451,
            (4, 3, 0),
            "the mail store does not answer at the moment, try again later",
        ),
    }
}

/// Why a login is refused for another reason than a wrong secret.
fn login_reply(error: &LoginError) -> Reply {
    match error {
        // RFC 4954 §6: the policy wants another way of logging in.
        LoginError::NotHere(why) => Reply::new(534, (5, 7, 9), why.text()),
        LoginError::TooMany(_) => {
            Reply::new(454, (4, 7, 0), "too many wrong logins, try again later")
        }
        error => {
            warn!("a login could not be checked: {error}");
            Reply::new(454, (4, 7, 0), "logins cannot be checked at the moment, try again later")
        }
    }
}

fn no_longer_valid() -> Reply {
    Reply::new(421, (4, 7, 0), "what you logged in with is no longer valid: log in again")
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
