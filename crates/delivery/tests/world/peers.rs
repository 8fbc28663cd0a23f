//! Mail servers at the other end: honest ones over our own server session, and scripted ones that
//! lie, stall and hang up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use waxwing_delivery::reports::PostReport;
use waxwing_delivery::{Clock, VirtualClock};
use waxwing_message::Envelope;
use waxwing_smtp::reply::Reply;
use waxwing_smtp::server::{Action, ServerSession, ServerSettings, StartTls};

use super::Peer;

/// Web servers that reports are posted to.
#[derive(Default)]
pub struct Posts {
    /// What they took.
    pub taken: Mutex<Vec<(String, Vec<u8>)>>,
    /// URIs that are answered by an error.
    pub broken: Mutex<Vec<String>>,
}

impl PostReport for Posts {
    fn post<'a>(&'a self, uri: &'a str, report: &'a [u8]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if self.broken.lock().unwrap().iter().any(|broken| broken == uri) {
                return Err("500 Internal Server Error".to_owned());
            }
            self.taken.lock().unwrap().push((uri.to_owned(), report.to_vec()));
            Ok(())
        })
    }
}

/// An honest server.
pub struct Mx {
    settings: Mutex<ServerSettings>,
    /// What recipients (by address) are told instead of 250.
    refused: Mutex<BTreeMap<String, Reply>>,
    /// What the end of data is told instead of 250.
    data: Mutex<Option<Reply>>,
    /// What it took.
    pub taken: Mutex<Vec<(Envelope, String)>>,
    /// Connections open now, and the most there ever were.
    pub open: Mutex<(usize, usize)>,
    /// When set, messages wait here for a permit before they are answered.
    gate: Mutex<Option<Arc<tokio::sync::Semaphore>>>,
    /// How many messages wait there.
    pub at_the_gate: Mutex<usize>,
}

impl Mx {
    pub fn new(name: &str) -> Arc<Mx> {
        Arc::new(Mx {
            settings: Mutex::new(ServerSettings::mx(name)),
            refused: Mutex::default(),
            data: Mutex::default(),
            taken: Mutex::default(),
            open: Mutex::default(),
            gate: Mutex::default(),
            at_the_gate: Mutex::default(),
        })
    }

    pub fn set(self: &Arc<Mx>, choose: impl FnOnce(&mut ServerSettings)) -> Arc<Mx> {
        choose(&mut self.settings.lock().unwrap());
        self.clone()
    }

    pub fn without_starttls(self: &Arc<Mx>) -> Arc<Mx> {
        self.set(|settings| settings.starttls = StartTls::Off)
    }

    pub fn refuse(&self, recipient: &str, reply: Reply) {
        self.refused.lock().unwrap().insert(recipient.to_owned(), reply);
    }

    pub fn accept_again(&self, recipient: &str) {
        self.refused.lock().unwrap().remove(recipient);
    }

    pub fn answer_data(&self, reply: Option<Reply>) {
        *self.data.lock().unwrap() = reply;
    }

    pub fn gate(&self) -> Arc<tokio::sync::Semaphore> {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    pub fn peer(self: &Arc<Mx>) -> Peer {
        let mx = self.clone();
        Arc::new(move |stream, clock| {
            let mx = mx.clone();
            tokio::spawn(async move {
                {
                    let mut open = mx.open.lock().unwrap();
                    open.0 += 1;
                    open.1 = open.1.max(open.0);
                }
                mx.serve(stream, clock).await;
                mx.open.lock().unwrap().0 -= 1;
            });
        })
    }

    /// The recipients of every message taken, in order.
    pub fn recipients(&self) -> Vec<Vec<String>> {
        let taken = self.taken.lock().unwrap();
        let of = |envelope: &Envelope| {
            envelope.recipients.iter().map(|to| to.address.to_string()).collect()
        };
        taken.iter().map(|(envelope, _)| of(envelope)).collect()
    }

    async fn serve(&self, mut stream: DuplexStream, clock: Arc<VirtualClock>) {
        let settings = Arc::new(self.settings.lock().unwrap().clone());
        let mut session = ServerSession::new(settings, None, clock.instant());
        let mut message = Vec::new();
        let mut input = vec![0; 16 * 1024];
        loop {
            let now = clock.instant();
            let mut complete = None;
            match session.next_action(now) {
                Some(Action::Close) => {
                    let _ = stream.write_all(&session.take_output()).await;
                    return;
                }
                Some(Action::StartTls) => {
                    let _ = stream.write_all(&session.take_output()).await;
                    session.tls_established(now, waxwing_smtp::Tls::default());
                }
                Some(Action::CheckRecipient { recipient, .. }) => {
                    let refused = self.refused.lock().unwrap();
                    let verdict = refused.get(&recipient.address.to_string()).cloned();
                    drop(refused);
                    session.answer_recipient(now, verdict.map_or(Ok(()), Err));
                }
                Some(Action::CheckSender { .. }) => session.answer_sender(now, Ok(())),
                Some(Action::BeginData { .. }) => {
                    message.clear();
                    session.answer_data(now, Ok(()));
                }
                Some(Action::Data(octets)) => message.extend_from_slice(octets),
                Some(Action::DiscardData) => message.clear(),
                Some(Action::DataComplete { envelope, .. }) => complete = Some(envelope),
                Some(Action::Authenticate { .. }) => session.answer_authenticate(now, Ok([7; 18])),
                Some(Action::CheckPassword { login, password }) => {
                    session.answer_password(now, Ok(login == "alice" && *password == "sesame"));
                }
                Some(Action::NeedKeys { .. }) => {
                    let keys = waxwing_sasl::ScramKeys::derive("sesame", b"salt", 4096);
                    session.answer_keys(now, Ok(keys));
                }
                Some(Action::CheckProof { .. }) => session.answer_proof(now, Ok(true)),
                Some(_) => {}
                None => {
                    let output = session.take_output();
                    if !output.is_empty() {
                        if stream.write_all(&output).await.is_err() {
                            return;
                        }
                        continue;
                    }
                    match stream.read(&mut input).await {
                        Ok(0) | Err(_) => return,
                        Ok(octets) => session.receive(clock.instant(), &input[..octets]),
                    }
                }
            }
            if let Some(envelope) = complete {
                let gate = self.gate.lock().unwrap().clone();
                if let Some(gate) = gate {
                    *self.at_the_gate.lock().unwrap() += 1;
                    gate.acquire().await.unwrap().forget();
                    *self.at_the_gate.lock().unwrap() -= 1;
                }
                let refusal = self.data.lock().unwrap().clone();
                let reply = refusal.unwrap_or_else(|| {
                    let text = String::from_utf8(std::mem::take(&mut message)).unwrap();
                    self.taken.lock().unwrap().push((*envelope, text));
                    Reply::new(250, (2, 0, 0), "taken")
                });
                session.answer_message(clock.instant(), reply);
            }
        }
    }
}

/// What a script is asked for the greeting: no line that a client sends.
pub const CONNECTED: &str = "<connected>";

/// A server that answers each line by a script: `Some(reply)` is sent (nothing when empty), `None`
/// hangs up. The first question is [`CONNECTED`].
pub fn scripted(script: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> Peer {
    let script = Arc::new(script);
    Arc::new(move |stream: DuplexStream, _| {
        let script = script.clone();
        tokio::spawn(async move {
            let (reader, mut writer) = tokio::io::split(stream);
            let mut lines = BufReader::new(reader).lines();
            let mut line = CONNECTED.to_owned();
            loop {
                let Some(reply) = script(&line) else { return };
                if writer.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
                match lines.next_line().await {
                    Ok(Some(next)) => line = next,
                    _ => return,
                }
            }
        });
    })
}
