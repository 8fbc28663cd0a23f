//! A store of its own for each test, on either engine, and small makers of mail.

use std::path::PathBuf;

use jiff::Timestamp;
use waxwing_message::journey::{Event, Source, Step};
use waxwing_message::{Address, Envelope, JourneyId, Message, ReversePath, Summary};
use waxwing_store::*;

use crate::server::Server;

/// Passwords that cost next to nothing.
pub const CHEAP: PasswordCost = PasswordCost { memory_kib: 64, passes: 1, scram_iterations: 4_096 };

/// An engine with an empty database, and a folder that goes with it.
pub struct World {
    pub store: Store,
    pub folder: tempfile::TempDir,
    pub url: String,
}

impl World {
    pub async fn sqlite() -> World {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("mail.db").display());
        World::at(folder, url).await
    }

    pub async fn postgres() -> World {
        let folder = tempfile::tempdir().unwrap();
        let url = Server::shared().create_database().await;
        World::at(folder, url).await
    }

    async fn at(folder: tempfile::TempDir, url: String) -> World {
        let store = Store::open_with(settings(&url, folder.path().into(), "n1"), CHEAP).await;
        World { store: store.unwrap(), folder, url }
    }

    /// Another handle on the same database, as another process has it.
    pub async fn second(&self) -> Store {
        let settings = settings(&self.url, self.folder.path().into(), "n2");
        Store::open_with(settings, CHEAP).await.unwrap()
    }

    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// An account with a domain of its own where there is none.
    pub async fn account(&self, at: &str) -> Account {
        let address = address(at);
        match self.store.create_domain(address.domain()).await {
            Ok(_) | Err(AccountError::Exists(_)) => {}
            Err(error) => panic!("{error}"),
        }
        let new = NewAccount {
            address: &address,
            display_name: "",
            password: "secret",
            quota_octets: None,
        };
        self.store.create_account(new).await.unwrap()
    }

    pub async fn inbox(&self, account: &Account) -> Mailbox {
        self.store.mailbox_by_name(account.id, "INBOX").await.unwrap().unwrap()
    }

    /// Numbers straight out of the database.
    pub async fn count(&self, sql: &str) -> i64 {
        if let Some(path) = self.url.strip_prefix("sqlite:") {
            let connection = rusqlite::Connection::open(path).unwrap();
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        } else {
            let client = crate::server::connect(&self.url).await;
            client.query_one(sql, &[]).await.unwrap().get(0)
        }
    }

    /// Changes something behind the store's back.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await;
    }

    /// What must hold at any moment, whatever happened.
    pub async fn check_invariants(&self) {
        for (what, sql) in INVARIANTS {
            assert_eq!(self.count(sql).await, 0, "{what}");
        }
    }
}

/// Statements straight into a database.
pub async fn execute(url: &str, sql: &str) {
    if let Some(path) = url.strip_prefix("sqlite:") {
        rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    } else {
        crate::server::connect(url).await.batch_execute(sql).await.unwrap();
    }
}

/// Each counts offenders.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "mailbox counters equal a count",
        "SELECT COUNT(*) FROM mailboxes m WHERE \
         m.total <> (SELECT COUNT(*) FROM entries e WHERE e.mailbox = m.id) OR \
         m.unseen <> (SELECT COUNT(*) FROM entries e WHERE e.mailbox = m.id AND e.flags & 1 = 0) OR \
         m.deleted <> (SELECT COUNT(*) FROM entries e WHERE e.mailbox = m.id AND e.flags & 8 = 8) OR \
         m.octets <> COALESCE((SELECT SUM(size_octets) FROM entries e WHERE e.mailbox = m.id), 0)",
    ),
    (
        "account counters equal the sum over mailboxes",
        "SELECT COUNT(*) FROM accounts a WHERE \
         a.message_count <> COALESCE((SELECT SUM(total) FROM mailboxes m WHERE m.account = a.id), 0) OR \
         a.used_octets <> COALESCE((SELECT SUM(octets) FROM mailboxes m WHERE m.account = a.id), 0)",
    ),
    (
        "a message has one entry, and as many more as are counted",
        "SELECT COUNT(*) FROM messages m WHERE \
         1 + COALESCE((SELECT more FROM copies c WHERE c.message = m.id), 0) \
         <> (SELECT COUNT(*) FROM entries e WHERE e.message = m.id)",
    ),
    (
        "copies are counted of messages that are there",
        "SELECT COUNT(*) FROM copies c LEFT JOIN messages m ON m.id = c.message \
         WHERE m.id IS NULL",
    ),
    (
        "references of blobs equal the rows that name them",
        "SELECT COUNT(*) FROM blobs b WHERE \
         b.refs <> (SELECT COUNT(*) FROM messages m WHERE m.blob = b.id) \
         + (SELECT COUNT(*) FROM queue q WHERE q.blob = b.id) \
         + (SELECT COUNT(*) FROM uploads u WHERE u.blob = b.id) \
         + (SELECT COUNT(*) FROM submissions s WHERE s.blob = b.id)",
    ),
    (
        "what is in a thread is there",
        "SELECT COUNT(*) FROM threaded t LEFT JOIN messages m ON m.id = t.message \
         WHERE m.id IS NULL",
    ),
    (
        "what is indexed is in a thread",
        "SELECT COUNT(*) FROM messages m JOIN accounts a ON a.id = m.account \
         LEFT JOIN threaded t ON t.message = m.id \
         WHERE m.indexed = 1 AND a.threaded_upto IS NULL AND t.message IS NULL",
    ),
    (
        "nothing names a blob that is not there",
        "SELECT (SELECT COUNT(*) FROM messages m LEFT JOIN blobs b ON b.id = m.blob \
         WHERE b.id IS NULL OR b.complete = 0) \
         + (SELECT COUNT(*) FROM queue q LEFT JOIN blobs b ON b.id = q.blob \
         WHERE b.id IS NULL OR b.complete = 0)",
    ),
    (
        "every entry has a message",
        "SELECT COUNT(*) FROM entries e LEFT JOIN messages m ON m.id = e.message \
         WHERE m.id IS NULL",
    ),
    (
        "UIDs are below the next one, modseqs not above the highest",
        "SELECT COUNT(*) FROM entries e JOIN mailboxes m ON m.id = e.mailbox \
         JOIN accounts a ON a.id = m.account \
         WHERE e.uid >= m.uid_next OR e.modseq > m.highest_modseq OR m.highest_modseq > a.modseq",
    ),
    (
        "pending equals the rows in the queue",
        "SELECT COUNT(*) FROM journeys j WHERE \
         j.pending <> (SELECT COUNT(*) FROM queue q WHERE q.journey = j.uuid) \
         OR (j.pending = 0) <> (j.ended_at IS NOT NULL)",
    ),
    (
        "a blob in the database has all its chunks",
        "SELECT COUNT(*) FROM blobs b WHERE b.complete = 1 AND b.object IS NULL AND \
         (SELECT COUNT(*) FROM blob_chunks c WHERE c.place BETWEEN b.id * 65536 \
         AND b.id * 65536 + 65535) \
         <> CASE WHEN b.size_octets = 0 THEN 1 ELSE (b.size_octets + 262143) / 262144 END",
    ),
];

pub fn settings(url: &str, spool_folder: PathBuf, node: &str) -> OpenSettings {
    OpenSettings { database_url: url.into(), blobs: None, spool_folder, node: node.into() }
}

/// Somebody who logs in by IMAP.
pub fn visitor() -> Visitor {
    Visitor { protocol: Protocol::Imap, address: [192, 0, 2, 1].into(), tls: true }
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn now() -> Timestamp {
    // As precise as what is stored.
    Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap()
}

pub fn journey_id() -> JourneyId {
    JourneyId::new(Timestamp::now(), rand::random())
}

/// A message with a subject and a body.
pub fn mail(subject: &str, body: &str) -> Vec<u8> {
    format!(
        "From: Alice <alice@wax.test>\r\nTo: bob@wing.test\r\nSubject: {subject}\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <{subject}@wax.test>\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}

pub fn summary(octets: &[u8]) -> Summary {
    Summary::of(&Message::parse(octets))
}

pub fn flags(system: SystemFlags, keywords: &[&str]) -> Flags {
    let mut keywords: Vec<std::sync::Arc<str>> = keywords.iter().map(|k| (*k).into()).collect();
    keywords.sort();
    Flags { system, keywords: (!keywords.is_empty()).then(|| keywords.into()) }
}

pub async fn new_message(store: &Store, octets: &[u8], flags: Flags) -> NewMessage {
    NewMessage {
        blob: store.stage_bytes(octets.to_vec()).await.unwrap(),
        summary: summary(octets),
        received_at: now(),
        flags,
        journey: None,
    }
}

/// A message of octets that need not be mail.
pub fn of_blob(blob: StagedBlob) -> NewMessage {
    NewMessage {
        blob,
        summary: summary(b"\r\n"),
        received_at: now(),
        flags: Flags::default(),
        journey: None,
    }
}

/// Appends one message; gives its UID.
pub async fn append(store: &Store, mailbox: MailboxId, octets: &[u8]) -> Uid {
    let message = new_message(store, octets, Flags::default()).await;
    store.append(mailbox, vec![message]).await.unwrap()[0].uid
}

pub async fn deposit(store: &Store, account: &Account, octets: &[u8]) -> Deposit {
    Deposit {
        account: account.id,
        mailbox: DepositTo::Role(Role::Inbox),
        blob: store.stage_bytes(octets.to_vec()).await.unwrap(),
        summary: summary(octets),
        received_at: now(),
        flags: Flags::default(),
        recipient: account.address.clone(),
        despite_quota: false,
        author: None,
    }
}

pub fn accepted_event() -> Event {
    let step = Step::Accepted {
        by: "mx.wing.test".into(),
        protocol: "ESMTPS".into(),
        source: Source { ip: None, helo: Some("wax.test".into()), tls: None, login: None },
        reverse_path: ReversePath::Null,
        recipients: vec![address("bob@wing.test")],
        message_id: Some("x@wax.test".into()),
        size_octets: 100,
        repairs: Vec::new(),
    };
    Event { at: now(), step }
}

/// A message with nobody to take it yet.
pub fn acceptance() -> Acceptance {
    Acceptance {
        journey: journey_id(),
        now: now(),
        envelope: Envelope::plain(ReversePath::Address(address("alice@wax.test")), Vec::new()),
        message_id: Some("x@wax.test".into()),
        deposits: Vec::new(),
        queue: Vec::new(),
        queue_blob: None,
        events: vec![accepted_event()],
        beside: Beside::default(),
    }
}
