//! A store of its own for each test, and somebody who is logged in.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use waxwing_jmap::wire::request::Request;
use waxwing_jmap::{Caller, Context, Limits, Outgoing, Outside, Refused, respond};
use waxwing_message::{Address, JourneyId, Message, Summary};
use waxwing_store::*;

/// Passwords that cost next to nothing.
const CHEAP: PasswordCost = PasswordCost { memory_kib: 64, passes: 1, scram_iterations: 4_096 };

/// Takes what is sent; refuses what begins with `refuse`.
#[derive(Default)]
pub struct Post {
    pub taken: Mutex<Vec<Outgoing>>,
}

impl Outside for Post {
    fn send(&self, mail: Outgoing) -> BoxFuture<'_, Result<JourneyId, Refused>> {
        let to = &mail.envelope.recipients;
        let refused: Vec<Address> = to
            .iter()
            .map(|to| to.address.clone())
            .filter(|to| to.local_part().starts_with("refuse"))
            .collect();
        let answer = match refused.is_empty() {
            true => Ok(JourneyId::new(Timestamp::now(), [7; 10])),
            false => Err(Refused::Recipients(refused)),
        };
        if answer.is_ok() {
            self.taken.lock().unwrap().push(mail);
        }
        async move { answer }.boxed()
    }
}

pub struct World {
    pub store: Store,
    pub account: AccountId,
    pub caller: Arc<Caller>,
    pub post: Arc<Post>,
    _folder: Arc<tempfile::TempDir>,
}

impl World {
    /// Alice, alone.
    pub async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let settings = OpenSettings {
            database_url: format!("sqlite:{}", folder.path().join("mail.db").display()),
            blobs: None,
            spool_folder: folder.path().into(),
            node: "test".into(),
        };
        let store = Store::open_with(settings, CHEAP).await.unwrap();
        store.create_domain("example.test").await.unwrap();
        World::of(store, Arc::new(folder), "alice@example.test").await
    }

    /// Another account on the same store.
    pub async fn another(&self, address: &str) -> World {
        World::of(self.store.clone(), self._folder.clone(), address).await
    }

    async fn of(store: Store, folder: Arc<tempfile::TempDir>, address: &str) -> World {
        let at = Address::parse(address).unwrap();
        let new =
            NewAccount { address: &at, display_name: "", password: "secret", quota_octets: None };
        let account = store.create_account(new).await.unwrap().id;
        let visitor =
            Visitor { protocol: Protocol::Jmap, address: [192, 0, 2, 1].into(), tls: true };
        let admitted = store.login(&visitor, "basic", address, "secret").await.unwrap();
        let caller = Arc::new(admitted.into());
        World { store, account, caller, post: Arc::default(), _folder: folder }
    }

    /// The account's id on the wire.
    pub fn id(&self) -> String {
        format!("A{}", self.account.0)
    }

    /// Runs methods; gives name, arguments and call id of each response.
    pub async fn ask(&self, calls: Value) -> Vec<(String, Value, String)> {
        let request = json!({
            "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail",
                "urn:ietf:params:jmap:submission", "urn:ietf:params:jmap:vacationresponse"],
            "methodCalls": calls,
        });
        let request = Request::of_value(request, 32).unwrap();
        let limits = Arc::new(Limits::of_messages(50 << 20));
        let (store, caller) = (self.store.clone(), self.caller.clone());
        let context = Context::new(store, caller, limits, self.post.clone(), Timestamp::now());
        respond(&context, request, "s".into()).await.unwrap().method_responses
    }

    /// Runs one method, in the own account where none is named.
    pub async fn one(&self, name: &str, mut arguments: Value) -> (String, Value) {
        if arguments.get("accountId").is_none() {
            arguments["accountId"] = json!(self.id());
        }
        let (name, value, _) = self.ask(json!([[name, arguments, "0"]])).await.remove(0);
        (name, value)
    }

    pub async fn mailbox(&self, name: &str) -> MailboxId {
        self.store.mailbox_by_name(self.account, name).await.unwrap().unwrap().id
    }

    /// A mailbox's id on the wire.
    pub async fn text(&self, name: &str) -> String {
        format!("F{}", self.mailbox(name).await.0)
    }

    /// Adds a message with that id (`1` for `<1@x>`).
    pub async fn append(
        &self,
        mailbox: MailboxId,
        id: &str,
        subject: &str,
        references: &str,
    ) -> MessageId {
        let octets = format!(
            "From: Eve <eve@x>\r\nMessage-ID: <{id}@x>\r\nReferences: {references}\r\n\
             Subject: {subject}\r\n\r\ntext of {id}\r\n"
        );
        self.append_octets(mailbox, octets.as_bytes()).await
    }

    pub async fn append_octets(&self, mailbox: MailboxId, octets: &[u8]) -> MessageId {
        let message = NewMessage {
            blob: self.store.stage_bytes(octets.to_vec()).await.unwrap(),
            summary: Summary::of(&Message::parse(octets)),
            received_at: Timestamp::now(),
            flags: Flags::default(),
            journey: None,
        };
        let uid = self.store.append(mailbox, vec![message]).await.unwrap()[0].uid;
        self.store.entries_of(mailbox, &[uid]).await.unwrap()[0].message
    }
}
