//! POP3 on the real store (SQLite in a temporary folder), over real sockets.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use waxwing_message::{Address, Message, Summary};
use waxwing_pop3::{Session, Settings, serve};
use waxwing_sasl::{ClientExchange, ClientStep, Mechanism};
use waxwing_store::{
    Account, Flags, MailboxId, NewAccount, NewMessage, OpenSettings, Scope, Store, SystemFlags, Uid,
};

const LOGIN: &str = "ann@wax.test";
const PASSWORD: &str = "correct horse";
const LIMIT: Duration = Duration::from_secs(60);

struct World {
    store: Store,
    account: Account,
    inbox: MailboxId,
    settings: Arc<Settings>,
    stop: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

async fn open_store(folder: &tempfile::TempDir, node: &str) -> Store {
    let settings = OpenSettings {
        database_url: format!("sqlite:{}", folder.path().join("mail.db").display()),
        blobs: None,
        spool_folder: folder.path().to_owned(),
        node: node.to_owned(),
    };
    Store::open(settings).await.unwrap()
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(&folder, "one").await;
        store.create_domain("wax.test").await.unwrap();
        let address: Address = LOGIN.parse().unwrap();
        let account = store
            .create_account(NewAccount {
                address: &address,
                display_name: "Ann",
                password: PASSWORD,
                quota_octets: None,
            })
            .await
            .unwrap();
        let inbox = store.mailbox_by_name(account.id, "INBOX").await.unwrap().unwrap().id;
        let settings = Arc::new(Settings {
            plaintext_allowed: true,
            failed_login_delay: Duration::ZERO,
            ..Settings::default()
        });
        World { store, account, inbox, settings, stop: watch::channel(false).0, folder }
    }

    async fn deliver(&self, message: &[u8]) -> Uid {
        let summary = Summary::of(&Message::parse(message));
        let blob = self.store.stage_bytes(message.to_vec()).await.unwrap();
        let new = NewMessage {
            blob,
            summary,
            received_at: Timestamp::UNIX_EPOCH,
            flags: Flags::default(),
            journey: None,
        };
        self.store.append(self.inbox, vec![new]).await.unwrap()[0].uid
    }

    async fn uids(&self) -> Vec<Uid> {
        let (entries, _) = self.store.entries(self.inbox).await.unwrap();
        entries.iter().map(|entry| entry.uid).collect()
    }

    /// A client whose session runs in a task of its own.
    async fn connect(&self) -> Client {
        self.connect_to(&self.store).await
    }

    async fn connect_to(&self, store: &Store) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut session =
            Session::new(store.clone(), self.settings.clone(), None, self.stop.subscribe());
        let server = tokio::spawn(async move {
            serve(&mut far, &mut session).await;
        });
        let mut client = Client { stream: BufReader::new(stream), server };
        assert!(client.line().await.starts_with("+OK"));
        client
    }

    async fn logged_in(&self) -> Client {
        let mut client = self.connect().await;
        assert!(client.say(&format!("USER {LOGIN}")).await.starts_with("+OK"));
        let reply = client.say(&format!("PASS {PASSWORD}")).await;
        assert!(reply.starts_with("+OK"), "{reply}");
        client
    }
}

struct Client {
    stream: BufReader<TcpStream>,
    server: tokio::task::JoinHandle<()>,
}

impl Client {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(LIMIT, self.stream.read_line(&mut line)).await.unwrap().unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    async fn say(&mut self, line: &str) -> String {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.line().await
    }

    /// The lines of a multi-line response, unstuffed.
    async fn body(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if line == "." {
                return lines;
            }
            lines.push(line.strip_prefix('.').map(str::to_owned).unwrap_or(line));
        }
    }

    async fn quit(mut self) -> String {
        let reply = self.say("QUIT").await;
        let mut rest = Vec::new();
        tokio::time::timeout(LIMIT, self.stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert_eq!(rest, b"");
        self.server.await.unwrap();
        reply
    }

    /// The connection breaks.
    async fn vanish(self) {
        drop(self.stream);
        self.server.await.unwrap();
    }
}

#[tokio::test]
async fn mail_is_fetched_and_deleted_on_quit_only() {
    let world = World::new().await;
    let first = world.deliver(b"Subject: one\r\n\r\nfirst\r\n").await;
    let second = world.deliver(b"Subject: two\r\n\r\n.dot\r\n").await;

    let mut client = world.logged_in().await;
    assert_eq!(client.say("STAT").await, "+OK 2 45");
    assert_eq!(client.say("RETR 2").await, "+OK 22 octets");
    assert_eq!(client.body().await, ["Subject: two", "", ".dot"]);
    assert!(client.say("DELE 1").await.starts_with("+OK"));
    assert_eq!(world.uids().await, [first, second]);
    client.vanish().await;
    assert_eq!(world.uids().await, [first, second]);

    let mut client = world.logged_in().await;
    assert!(client.say("RETR 2").await.starts_with("+OK"));
    client.body().await;
    assert!(client.say("DELE 1").await.starts_with("+OK"));
    assert_eq!(client.quit().await, "+OK goodbye, 1 message removed");
    let (entries, _) = world.store.entries(world.inbox).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].uid, second);
    assert!(entries[0].flags.system.contains(SystemFlags::SEEN), "fetched is seen");
}

#[tokio::test]
async fn unique_ids_last_and_are_never_used_again() {
    let world = World::new().await;
    for message in [b"a: 1\r\n\r\n", b"a: 2\r\n\r\n", b"a: 3\r\n\r\n"] {
        world.deliver(message).await;
    }
    let mut client = world.logged_in().await;
    client.say("UIDL").await;
    let before = client.body().await;
    client.say("DELE 3").await;
    client.quit().await;

    world.deliver(b"a: 3\r\n\r\n").await;
    let mut client = world.logged_in().await;
    client.say("UIDL").await;
    let after = client.body().await;
    assert_eq!(before[..2], after[..2]);
    assert_eq!(after.len(), 3);
    assert_ne!(before[2], after[2], "the unique-id of a deleted message came back");
    let unique_id = after[2].split(' ').nth(1).unwrap();
    assert!((1..=70).contains(&unique_id.len()), "RFC 1939 §7");
    assert!(unique_id.bytes().all(|octet| (0x21..=0x7e).contains(&octet)));
    client.quit().await;
}

#[tokio::test]
async fn one_session_has_the_maildrop_at_a_time() {
    let world = World::new().await;
    let client = world.logged_in().await;
    let mut other = world.connect().await;
    other.say(&format!("USER {LOGIN}")).await;
    let reply = other.say(&format!("PASS {PASSWORD}")).await;
    assert!(reply.starts_with("-ERR [IN-USE]"), "{reply}");
    client.quit().await;
    other.say(&format!("USER {LOGIN}")).await;
    let reply = other.say(&format!("PASS {PASSWORD}")).await;
    assert!(reply.starts_with("+OK"), "free at once after QUIT: {reply}");
    other.vanish().await;
    // And after a lost connection.
    world.logged_in().await.quit().await;
}

/// The lock is in the database, so it holds for every node.
#[tokio::test]
async fn a_session_on_another_node_has_the_maildrop() {
    let world = World::new().await;
    let other_node = open_store(&world.folder, "two").await;
    let mut client = world.connect_to(&other_node).await;
    client.say(&format!("USER {LOGIN}")).await;
    assert!(client.say(&format!("PASS {PASSWORD}")).await.starts_with("+OK"));
    let mut here = world.connect().await;
    here.say(&format!("USER {LOGIN}")).await;
    let reply = here.say(&format!("PASS {PASSWORD}")).await;
    assert!(reply.starts_with("-ERR [IN-USE]"), "{reply}");
    client.quit().await;
    here.say(&format!("USER {LOGIN}")).await;
    assert!(here.say(&format!("PASS {PASSWORD}")).await.starts_with("+OK"));
}

#[tokio::test]
async fn a_message_expunged_meanwhile_is_answered_well() {
    let world = World::new().await;
    let first = world.deliver(b"a: 1\r\n\r\n").await;
    let second = world.deliver(b"a: 2\r\n\r\n").await;
    let mut client = world.logged_in().await;
    world.store.expunge(world.inbox, &[first]).await.unwrap();
    assert!(client.say("RETR 1").await.starts_with("-ERR another session"));
    assert!(client.say("TOP 1 0").await.starts_with("-ERR another session"));
    assert_eq!(client.say("RETR 2").await, "+OK 8 octets");
    assert_eq!(client.body().await, ["a: 2", ""]);
    assert!(client.say("DELE 1").await.starts_with("+OK"));
    assert_eq!(client.quit().await, "+OK goodbye, 1 message removed");
    assert_eq!(world.uids().await, [second]);
}

#[tokio::test]
async fn a_large_message_comes_whole() {
    let world = World::new().await;
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    for number in 0..200_000 {
        message.extend_from_slice(format!(".{number} of a large message\r\n").as_bytes());
    }
    world.deliver(&message).await;
    let mut client = world.logged_in().await;
    assert_eq!(client.say("RETR 1").await, format!("+OK {} octets", message.len()));
    let received = client.body().await.join("\r\n") + "\r\n";
    assert!(received.as_bytes() == message);
    // Its top costs little.
    assert!(client.say("TOP 1 1").await.starts_with("+OK"));
    assert_eq!(client.body().await, ["Subject: large", "", ".0 of a large message"]);
    client.quit().await;
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_are_refused_alike() {
    let world = World::new().await;
    for (login, password) in [(LOGIN, "wrong"), ("nobody@wax.test", PASSWORD), ("x", "y")] {
        let mut client = world.connect().await;
        assert!(client.say(&format!("USER {login}")).await.starts_with("+OK"));
        let reply = client.say(&format!("PASS {password}")).await;
        assert_eq!(reply, "-ERR [AUTH] wrong login or password");
        assert_eq!(scram(&mut client, login, password).await, reply);
    }
}

#[tokio::test]
async fn scram_works_with_the_stores_keys() {
    let world = World::new().await;
    world.deliver(b"a: 1\r\n\r\n").await;
    for login in [LOGIN, "ANN@Wax.Test"] {
        let mut client = world.connect().await;
        assert_eq!(scram(&mut client, login, PASSWORD).await, "+OK 1 message (8 octets)");
        client.quit().await;
    }
}

#[tokio::test]
async fn app_passwords_are_proven_as_well_as_shown() {
    let world = World::new().await;
    world.deliver(b"a: 1\r\n\r\n").await;
    let address = &world.account.address;
    let secret = async |name, scopes| {
        world.store.add_app_password(address, name, scopes).await.unwrap().secret
    };
    let (phone, rules) = (secret("phone", Scope::POP3).await, secret("rules", Scope::SIEVE).await);
    for password in [phone.as_str(), PASSWORD] {
        let mut client = world.connect().await;
        assert_eq!(scram(&mut client, LOGIN, password).await, "+OK 1 message (8 octets)");
        client.quit().await;
    }
    let mut client = world.connect().await;
    let reply = scram(&mut client, LOGIN, &rules).await;
    assert_eq!(reply, "-ERR [SYS/PERM] this app password is not for this protocol");
}

/// One password in two spellings of Unicode, by every way of logging in: the store hashes the form
/// that SASLprep makes.
#[tokio::test]
async fn passwords_are_compared_by_saslprep() {
    let world = World::new().await;
    world.store.set_password(&world.account.address, "gru\u{308}n\u{a0}\u{2168}").await.unwrap();
    for password in ["gru\u{308}n\u{a0}\u{2168}", "gr\u{fc}n IX"] {
        let mut client = world.connect().await;
        client.say(&format!("USER {LOGIN}")).await;
        let reply = client.say(&format!("PASS {password}")).await;
        assert!(reply.starts_with("+OK"), "PASS {password:?}: {reply}");
        client.quit().await;

        let mut client = world.connect().await;
        let reply = scram(&mut client, LOGIN, password).await;
        assert!(reply.starts_with("+OK"), "SCRAM {password:?}: {reply}");
        client.quit().await;
    }
}

#[tokio::test]
async fn shutdown_ends_idle_sessions_with_a_word() {
    let world = World::new().await;
    let uid = world.deliver(b"a: 1\r\n\r\n").await;
    let mut client = world.logged_in().await;
    client.say("DELE 1").await;
    world.stop.send(true).unwrap();
    assert!(client.line().await.starts_with("-ERR [SYS/TEMP]"));
    client.vanish().await;
    assert_eq!(world.uids().await, [uid]);
}

/// Thousands of idle sessions are affordable: what one holds besides its socket is small.
#[tokio::test]
async fn an_idle_session_is_small() {
    let world = World::new().await;
    let (_near, mut far) = tokio::io::duplex(64);
    let stopped = world.stop.subscribe();
    let mut session = Session::new(world.store.clone(), world.settings.clone(), None, stopped);
    let session_octets = size_of_val(&session);
    let future_octets = size_of_val(&serve(&mut far, &mut session));
    assert!(session_octets + future_octets < 8192, "{session_octets} + {future_octets}");
}

async fn scram(client: &mut Client, login: &str, password: &str) -> String {
    let mut exchange = ClientExchange::new(Mechanism::ScramSha256, login, password, None, [3; 18]);
    let initial = STANDARD.encode(exchange.initial().unwrap());
    let mut reply = client.say(&format!("AUTH SCRAM-SHA-256 {initial}")).await;
    while let Some(challenge) = reply.strip_prefix("+ ") {
        let ClientStep::Respond(response) =
            exchange.challenge(&STANDARD.decode(challenge).unwrap())
        else {
            panic!("the server is an impostor")
        };
        reply = client.say(&STANDARD.encode(response)).await;
    }
    reply
}
