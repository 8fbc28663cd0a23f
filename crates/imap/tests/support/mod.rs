//! A store in a temporary folder, and clients that talk to sessions over streams in memory.
#![allow(dead_code)] // each test file uses its own part of it

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use waxwing_imap::{Ended, Session, Settings, TlsFacts, serve};
use waxwing_message::Address;
use waxwing_store::{AccountId, NewAccount, OpenSettings, Store};

pub const LOGIN: &str = "alice@example.test";
pub const PASSWORD: &str = "correct horse";

/// One account on an empty store.
pub struct World {
    pub store: Store,
    pub account: AccountId,
    pub settings: Arc<Settings>,
    pub stop: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> World {
        let mut settings = Settings::new("imap.example.test");
        settings.plaintext_login = true;
        settings.jmap_session = Some("https://imap.example.test/.well-known/jmap".to_owned());
        settings.wrong_login_delay = Duration::ZERO;
        World::with(settings).await
    }

    pub async fn with(settings: Settings) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(OpenSettings {
            database_url: format!("sqlite:{}", folder.path().join("test.db").display()),
            blobs: None,
            spool_folder: folder.path().to_owned(),
            node: "test".into(),
        })
        .await
        .expect("a new store");
        store.create_domain("example.test").await.expect("a new domain");
        let address = Address::parse(LOGIN).expect("an address");
        let account = store
            .create_account(NewAccount {
                address: &address,
                display_name: "Alice",
                password: PASSWORD,
                quota_octets: None,
            })
            .await
            .expect("a new account");
        let (stop, _) = watch::channel(false);
        World { store, account: account.id, settings: Arc::new(settings), stop, _folder: folder }
    }

    /// A new connection; the greeting has not been read.
    pub fn connect(&self) -> Client {
        self.connect_with(None)
    }

    pub fn connect_with(&self, tls: Option<TlsFacts>) -> Client {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let mut session = Session::new(self.store.clone(), self.settings.clone());
        let stop = self.stop.subscribe();
        let server = tokio::spawn(async move { serve(&mut far, &mut session, tls, stop).await });
        Client { stream: near, received: Vec::new(), server, tags: 0 }
    }

    /// Another account in the same domain, with the same password.
    pub async fn account(&self, login: &str) -> AccountId {
        let address = Address::parse(login).expect("an address");
        let new = NewAccount {
            address: &address,
            display_name: "",
            password: PASSWORD,
            quota_octets: None,
        };
        self.store.create_account(new).await.expect("a new account").id
    }

    /// A client that is logged in.
    pub async fn client(&self) -> Client {
        self.client_of(LOGIN).await
    }

    /// The same, as somebody else.
    pub async fn client_of(&self, login: &str) -> Client {
        let mut client = self.connect();
        client.line().await;
        let lines = client.ok(&format!("LOGIN {login} \"{PASSWORD}\"")).await;
        assert!(lines.last().is_some_and(|line| line.contains("[CAPABILITY")));
        client
    }

    /// A client that has selected INBOX.
    pub async fn in_inbox(&self) -> Client {
        let mut client = self.client().await;
        client.ok("SELECT INBOX").await;
        client
    }
}

/// The client's end.
pub struct Client {
    pub stream: DuplexStream,
    received: Vec<u8>,
    pub server: JoinHandle<Ended>,
    tags: u32,
}

impl Client {
    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.expect("the server reads");
    }

    /// One line without its line end; `None` at the end of the stream.
    pub async fn try_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") {
                let line = self.received.drain(..end + 2).collect::<Vec<u8>>();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.stream.read_buf(&mut self.received).await.unwrap_or(0) == 0 {
                assert!(self.received.is_empty(), "half a line");
                return None;
            }
        }
    }

    pub async fn line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(60), self.try_line()).await;
        line.expect("an answer within a minute").expect("the server has more to say")
    }

    /// A response: a line with its literals, each behind its mark and a line end.
    pub async fn response(&mut self) -> String {
        let mut response = self.line().await;
        while let Some(octets) = literal_octets(&response) {
            let data = self.octets(octets).await;
            response.push_str("\r\n");
            response.push_str(&String::from_utf8_lossy(&data));
            response.push_str(&self.line().await);
        }
        response
    }

    pub async fn octets(&mut self, octets: usize) -> Vec<u8> {
        while self.received.len() < octets {
            let read = self.stream.read_buf(&mut self.received).await.unwrap_or(0);
            assert!(read > 0, "the server has more to say");
        }
        self.received.drain(..octets).collect()
    }

    /// Sends a command, gives all responses; the last is the tagged one.
    pub async fn command(&mut self, command: &str) -> Vec<String> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.send(format!("{tag} {command}\r\n")).await;
        self.until(&tag).await
    }

    pub async fn until(&mut self, tag: &str) -> Vec<String> {
        let mut responses = Vec::new();
        loop {
            let response = self.response().await;
            let last = response.starts_with(&format!("{tag} "));
            responses.push(response);
            if last {
                return responses;
            }
        }
    }

    pub async fn ok(&mut self, command: &str) -> Vec<String> {
        let responses = self.command(command).await;
        let last = responses.last().expect("a tagged response");
        assert!(last.split(' ').nth(1) == Some("OK"), "{command}: {last}");
        responses
    }

    /// The tagged response, which is not OK.
    pub async fn refused(&mut self, command: &str) -> String {
        let last = self.command(command).await.pop().expect("a tagged response");
        assert!(last.split(' ').nth(1) != Some("OK"), "{command}: {last}");
        last.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    }

    pub async fn append(&mut self, mailbox: &str, message: &[u8]) -> Vec<String> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.send(format!("{tag} APPEND {mailbox} {{{}+}}\r\n", message.len())).await;
        self.send(message).await;
        self.send("\r\n").await;
        self.until(&tag).await
    }
}

/// The size of the literal that a line ends in.
pub fn literal_octets(response: &str) -> Option<usize> {
    let line = response.rsplit("\r\n").next()?;
    let inner = line.strip_suffix('}')?;
    let (_, number) = inner.rsplit_once('{')?;
    number.parse().ok()
}

/// A small message with that subject.
pub fn message(subject: &str) -> Vec<u8> {
    format!(
        "From: bob@example.test\r\nTo: {LOGIN}\r\nSubject: {subject}\r\n\
         Date: Tue, 1 Jul 2003 10:52:37 +0200\r\n\r\nOf {subject}.\r\n"
    )
    .into_bytes()
}
