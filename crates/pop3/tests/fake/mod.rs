//! Maildrops in memory that fail when told to, and a client that follows a transcript.
#![allow(dead_code)] // Each test program uses its part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::watch;
use waxwing_pop3::maildrops::{ListedMessage, Listing, Maildrops};
use waxwing_pop3::{Session, Settings, TlsFacts, serve};
use waxwing_sasl::{ChannelBinding, ScramKeys};
use waxwing_store::{AccountId, LoginError, MailboxId, Pass, StoreError, Uid, Visitor};

pub const LOGIN: &str = "ann@wax.test";
pub const PASSWORD: &str = "correct horse";
pub const TOKEN: &str = "c29tZSB0b2tlbg";
const ANN: AccountId = AccountId(1);
const INBOX: MailboxId = MailboxId(10);

/// A question that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    Login,
    Lock,
    Listing,
    Content,
    /// Every read but the first of a message.
    LaterRead,
    Expunge,
    MarkSeen,
}

#[derive(Default)]
pub struct State {
    pub messages: BTreeMap<u32, Arc<[u8]>>,
    pub seen: Vec<u32>,
    pub locked: bool,
    pub disabled: bool,
    pub failing: Option<(Question, bool)>,
    pub longest_read: u64,
}

#[derive(Clone, Default)]
pub struct Fake(pub Arc<Mutex<State>>);

pub struct FakeLock(Fake);

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().locked = false;
    }
}

pub struct FakeContent(Fake, Arc<[u8]>);

impl Fake {
    pub fn with_messages(messages: &[&[u8]]) -> Fake {
        let fake = Fake::default();
        for (uid, message) in (1..).zip(messages) {
            fake.0.lock().unwrap().messages.insert(uid, Arc::from(*message));
        }
        fake
    }

    pub fn fail(&self, question: Question, temporary: bool) {
        self.0.lock().unwrap().failing = Some((question, temporary));
    }

    pub fn uids(&self) -> Vec<u32> {
        self.0.lock().unwrap().messages.keys().copied().collect()
    }

    fn check(&self, question: Question) -> Result<(), StoreError> {
        match self.0.lock().unwrap().failing {
            Some((failing, true)) if failing == question => {
                Err(StoreError::Unavailable("secret detail".into()))
            }
            Some((failing, false)) if failing == question => {
                Err(StoreError::Damaged("secret detail".into()))
            }
            _ => Ok(()),
        }
    }
}

impl Maildrops for Fake {
    type Lock = FakeLock;
    type Attempt = Option<AccountId>;
    type Content = FakeContent;

    async fn login(
        &self,
        _: &Visitor,
        _: &'static str,
        login: &str,
        password: &str,
    ) -> Result<Pass, LoginError> {
        self.check(Question::Login)?;
        match (login, password) {
            (LOGIN, PASSWORD) if self.0.lock().unwrap().disabled => Err(LoginError::Disabled),
            (LOGIN, PASSWORD) => Ok(Pass::invented(ANN)),
            ("b\u{fc}cher@wax.test", "gr\u{fc}n") => Ok(Pass::invented(ANN)),
            _ => Err(LoginError::Rejected),
        }
    }

    async fn token(
        &self,
        _: &Visitor,
        _: &'static str,
        login: Option<&str>,
        token: &str,
    ) -> Result<Pass, LoginError> {
        match (login, token) {
            (None | Some(LOGIN), TOKEN) => Ok(Pass::invented(ANN)),
            _ => Err(LoginError::Rejected),
        }
    }

    async fn scram(
        &self,
        _: &Visitor,
        _: &'static str,
        login: &str,
    ) -> Result<(Option<AccountId>, ScramKeys), LoginError> {
        self.check(Question::Login)?;
        Ok(match login {
            LOGIN => (Some(ANN), ScramKeys::derive(PASSWORD, &[5; 16], 4096)),
            _ => (None, ScramKeys::invented(login, &[6; 32], 4096)),
        })
    }

    async fn settle_scram(&self, attempt: Option<AccountId>, _: usize) -> Result<Pass, LoginError> {
        Ok(Pass::invented(attempt.ok_or(LoginError::Rejected)?))
    }

    fn refuse_scram(&self, _: Option<AccountId>) {}

    async fn holds(&self, _: &Pass) -> Result<bool, StoreError> {
        Ok(!self.0.lock().unwrap().disabled)
    }

    fn ended(&self, _: Pass) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }

    async fn lock(&self, _: AccountId) -> Result<Option<FakeLock>, StoreError> {
        self.check(Question::Lock)?;
        let was_locked = std::mem::replace(&mut self.0.lock().unwrap().locked, true);
        Ok((!was_locked).then(|| FakeLock(self.clone())))
    }

    async fn release(&self, lock: FakeLock) -> Result<(), StoreError> {
        drop(lock);
        Ok(())
    }

    async fn listing(&self, _: AccountId) -> Result<Listing, StoreError> {
        self.check(Question::Listing)?;
        let state = self.0.lock().unwrap();
        let messages = state.messages.iter().map(|(&uid, message)| ListedMessage {
            uid: Uid(uid),
            size_octets: message.len() as u64,
            seen: state.seen.contains(&uid),
        });
        Ok(Listing { mailbox: INBOX, uid_validity: 1700000000, messages: messages.collect() })
    }

    async fn content(
        &self,
        mailbox: MailboxId,
        uid: Uid,
    ) -> Result<Option<FakeContent>, StoreError> {
        assert_eq!(mailbox, INBOX);
        self.check(Question::Content)?;
        let message = self.0.lock().unwrap().messages.get(&uid.0).cloned();
        Ok(message.map(|message| FakeContent(self.clone(), message)))
    }

    async fn read(content: &FakeContent, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        if offset > 0 {
            content.0.check(Question::LaterRead)?;
        }
        let mut state = content.0.0.lock().unwrap();
        state.longest_read = state.longest_read.max(len);
        let size = content.1.len() as u64;
        let range = offset.min(size) as usize..(offset + len).min(size) as usize;
        Ok(content.1[range].to_vec())
    }

    async fn expunge(&self, _: MailboxId, uids: &[Uid]) -> Result<(), StoreError> {
        self.check(Question::Expunge)?;
        let mut state = self.0.lock().unwrap();
        uids.iter().for_each(|uid| drop(state.messages.remove(&uid.0)));
        Ok(())
    }

    async fn mark_seen(&self, _: MailboxId, uids: &[Uid]) -> Result<(), StoreError> {
        self.check(Question::MarkSeen)?;
        self.0.lock().unwrap().seen.extend(uids.iter().map(|uid| uid.0));
        Ok(())
    }
}

/// The client's end of a session that runs beside it.
pub struct Client {
    pub stream: BufReader<DuplexStream>,
    pub stop: watch::Sender<bool>,
    pub server: tokio::task::JoinHandle<waxwing_pop3::Ended>,
}

pub fn tls(binding: bool) -> TlsFacts {
    TlsFacts { channel_binding: binding.then_some(ChannelBinding([0xab; 32])) }
}

impl Client {
    pub fn start(fake: &Fake, settings: Settings, tls: Option<TlsFacts>) -> Client {
        let (near, mut far) = tokio::io::duplex(1024);
        let (stop, stopped) = watch::channel(false);
        let mut session = Session::new(fake.clone(), Arc::new(settings), tls, stopped);
        let server = tokio::spawn(async move { serve(&mut far, &mut session).await });
        Client { stream: BufReader::new(near), stop, server }
    }

    pub async fn send(&mut self, octets: &[u8]) {
        // The server may have closed already; what follows will tell.
        let _ = self.stream.write_all(octets).await;
    }

    /// The next line without its CRLF; `None` at the end.
    pub async fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let count = self.stream.read_until(b'\n', &mut line).await.expect("a duplex does not fail");
        if count == 0 {
            return None;
        }
        assert!(line.ends_with(b"\r\n"), "{:?} does not end with CRLF", line.escape_ascii());
        line.truncate(line.len() - 2);
        Some(line)
    }

    pub async fn text(&mut self) -> String {
        String::from_utf8(self.line().await.expect("the server has not hung up")).expect("UTF-8")
    }

    pub async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.text().await
    }

    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.expect("a duplex does not fail");
        rest
    }
}

/// Follows a transcript (see `transcripts.rs` for what it may hold).
pub async fn follow(transcript: &str) {
    let mut script = Script::default();
    for (number, line) in (1..).zip(transcript.lines()) {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "" | "#" => {}
            "C:" => script.client().send(&[&unescape(rest), &b"\r\n"[..]].concat()).await,
            "C>" => script.client().send(&unescape(rest)).await,
            "S:" => {
                let got = script.client().line().await;
                let got = got.map(|line| line.escape_ascii().to_string());
                let matches = match (&got, rest.strip_suffix('…')) {
                    (Some(got), Some(start)) => got.starts_with(start),
                    (Some(got), None) => got == rest,
                    (None, _) => false,
                };
                assert!(matches, "line {number}: expected {rest:?}, got {got:?}");
            }
            "@" => script.direct(number, rest).await,
            _ => panic!("line {number}: {line:?} is no part of a transcript"),
        }
    }
    script.finish().await;
}

#[derive(Default)]
struct Script {
    fake: Fake,
    settings: Option<Settings>,
    tls: Option<TlsFacts>,
    client: Option<Client>,
    other: Option<FakeLock>,
}

impl Script {
    fn client(&mut self) -> &mut Client {
        let settings = self.settings.clone().unwrap_or_default();
        self.client.get_or_insert_with(|| Client::start(&self.fake, settings, self.tls.clone()))
    }

    fn settings(&mut self) -> &mut Settings {
        self.settings.get_or_insert_with(Settings::default)
    }

    async fn direct(&mut self, number: usize, directive: &str) {
        let (verb, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match verb {
            "plaintext" => self.settings().plaintext_allowed = true,
            "tls" => self.tls = Some(tls(false)),
            "tls-with-binding" => self.tls = Some(tls(true)),
            "no-starttls" => self.settings().starttls_offered = false,
            "message" => {
                let mut state = self.fake.0.lock().unwrap();
                let uid = state.messages.keys().last().map_or(1, |last| last + 1);
                state.messages.insert(uid, Arc::from(unescape(rest)));
            }
            "disabled" => self.fake.0.lock().unwrap().disabled = true,
            "busy" => self.other = self.fake.lock(ANN).await.unwrap(),
            "free" => self.other = None,
            "expunged" => {
                let uid = Uid(rest.parse().unwrap());
                self.fake.expunge(INBOX, &[uid]).await.unwrap();
            }
            "fail" => {
                let (question, kind) = rest.split_once(' ').unwrap();
                let question = match question {
                    "login" => Question::Login,
                    "lock" => Question::Lock,
                    "listing" => Question::Listing,
                    "content" => Question::Content,
                    "later-read" => Question::LaterRead,
                    "expunge" => Question::Expunge,
                    "mark-seen" => Question::MarkSeen,
                    _ => panic!("line {number}: no such question"),
                };
                self.fake.fail(question, kind == "temporarily");
            }
            "mend" => self.fake.0.lock().unwrap().failing = None,
            "wait" => {
                self.client();
                tokio::time::sleep(Duration::from_secs(rest.parse().unwrap())).await;
            }
            "stop" => drop(self.client().stop.send(true)),
            "lost" => {
                let client = self.client.take().expect("connected");
                drop(client.stream);
                client.server.await.expect("the server does not panic");
            }
            "closed" => {
                let rest = self.client().rest().await;
                assert_eq!(rest.escape_ascii().to_string(), "", "line {number}");
            }
            "left" => assert_eq!(self.fake.uids(), numbers(rest), "line {number}"),
            "seen" => {
                assert_eq!(self.fake.0.lock().unwrap().seen, numbers(rest), "line {number}");
            }
            _ => panic!("line {number}: no such directive"),
        }
    }

    /// Every session ends, and no lock outlives it.
    async fn finish(self) {
        if let Some(client) = self.client {
            drop(client.stream);
            client.server.await.expect("the server does not panic");
        }
        drop(self.other);
        assert!(!self.fake.0.lock().unwrap().locked, "the maildrop is still locked");
    }
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// `\r`, `\n`, `\0`, `\\` and `\xNN`; all else stands for itself.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        let (octet, length) = match after.as_bytes().first() {
            Some(b'r') => (b'\r', 1),
            Some(b'n') => (b'\n', 1),
            Some(b'0') => (0, 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => (u8::from_str_radix(&after[1..3], 16).unwrap(), 3),
            _ => panic!("bad escape in {text:?}"),
        };
        octets.push(octet);
        rest = &after[length..];
    }
    octets.extend_from_slice(rest.as_bytes());
    octets
}
