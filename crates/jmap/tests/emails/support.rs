//! A store in a temporary folder, and callers that ask it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use waxwing_jmap::wire::request::Request;
use waxwing_jmap::{Caller, Context, Limits, Outgoing, Outside, Refused, respond};
use waxwing_message::{Address, JourneyId, Message, Summary};
use waxwing_store::{
    Account, Flags, Mailbox, MailboxId, NewAccount, NewMessage, OpenSettings, PasswordCost,
    Protocol, Store, SystemFlags, Visitor,
};

const CHEAP: PasswordCost = PasswordCost { memory_kib: 64, passes: 1, scram_iterations: 4_096 };

pub struct World {
    pub store: Store,
    _folder: tempfile::TempDir,
}

/// Nothing is sent here.
struct Nowhere;

impl Outside for Nowhere {
    fn send(&self, _: Outgoing) -> BoxFuture<'_, Result<JourneyId, Refused>> {
        Box::pin(async { Err(Refused::Later("nothing is sent in these tests".into())) })
    }
}

/// Somebody who is logged in.
pub struct Client {
    pub store: Store,
    pub account: Account,
    pub id: String,
    caller: Arc<Caller>,
    pub limits: Limits,
}

impl World {
    pub async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_with(
            OpenSettings {
                database_url: format!("sqlite:{}", folder.path().join("mail.db").display()),
                blobs: None,
                spool_folder: folder.path().to_owned(),
                node: "test".into(),
            },
            CHEAP,
        )
        .await
        .unwrap();
        store.create_domain("x.test").await.unwrap();
        World { store, _folder: folder }
    }

    pub async fn client(&self, name: &str) -> Client {
        let login = format!("{name}@x.test");
        let address = Address::parse(&login).unwrap();
        let new = NewAccount {
            address: &address,
            display_name: "",
            password: "secret",
            quota_octets: None,
        };
        self.store.create_account(new).await.unwrap();
        let visitor = Visitor {
            protocol: Protocol::Jmap,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tls: true,
        };
        let admitted = self.store.login(&visitor, "basic", &login, "secret").await.unwrap();
        let caller = Caller::from(admitted);
        let account = caller.account.clone();
        Client {
            store: self.store.clone(),
            id: format!("A{}", account.id.0),
            account,
            caller: Arc::new(caller),
            limits: Limits::of_messages(1_000_000),
        }
    }
}

impl Client {
    /// The responses to calls that are made in one request.
    pub async fn responses(&self, calls: Value) -> Vec<(String, Value)> {
        let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
        let request = json!({"using": using, "methodCalls": calls});
        let request = Request::of_value(request, 32).unwrap();
        let limits = Arc::new(self.limits.clone());
        let (store, caller) = (self.store.clone(), self.caller.clone());
        let context = Context::new(store, caller, limits, Arc::new(Nowhere), Timestamp::now());
        let response = respond(&context, request, "s".into()).await.unwrap();
        let responses = response.method_responses.into_iter();
        responses.map(|(name, arguments, _)| (name, arguments)).collect()
    }

    /// The arguments of the one response, of the method's own name, to one call in the own account.
    pub async fn call(&self, method: &str, mut arguments: Value) -> Value {
        if arguments.get("accountId").is_none() {
            arguments["accountId"] = json!(self.id);
        }
        let mut responses = self.responses(json!([[method, arguments, "c"]])).await;
        assert_eq!(responses.len(), 1, "{responses:?}");
        let (name, value) = responses.remove(0);
        assert_eq!(name, method, "{value}");
        value
    }

    /// The type of the error that a call comes to.
    pub async fn fails(&self, method: &str, mut arguments: Value) -> String {
        if arguments.get("accountId").is_none() {
            arguments["accountId"] = json!(self.id);
        }
        let (name, value) = self.responses(json!([[method, arguments, "c"]])).await.remove(0);
        assert_eq!(name, "error", "{value}");
        value["type"].as_str().unwrap().to_owned()
    }

    /// One Email with these properties.
    pub async fn email(&self, id: &str, properties: &[&str]) -> Value {
        let got = self.call("Email/get", json!({"ids": [id], "properties": properties})).await;
        assert_eq!(got["notFound"], json!([]), "{got}");
        got["list"][0].clone()
    }

    pub async fn state(&self) -> String {
        let got = self.call("Email/get", json!({"ids": []})).await;
        got["state"].as_str().unwrap().to_owned()
    }

    pub async fn mailbox(&self, name: &str) -> Mailbox {
        let found = self.store.mailbox_by_name(self.account.id, name).await.unwrap();
        match found {
            Some(found) => found,
            None => self.store.create_mailbox(self.account.id, name, None).await.unwrap(),
        }
    }

    /// Adds a message as an IMAP client would; gives its id.
    pub async fn add(&self, mailbox: &str, raw: &str) -> String {
        self.add_with(mailbox, raw, SystemFlags(0), 1_600_000_000).await
    }

    pub async fn add_with(
        &self,
        mailbox: &str,
        raw: &str,
        system: SystemFlags,
        received_secs: i64,
    ) -> String {
        let mailbox = self.mailbox(mailbox).await.id;
        let raw = raw.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
        let summary = Summary::of(&Message::parse(&raw));
        let new = NewMessage {
            blob: self.store.stage_bytes(raw).await.unwrap(),
            summary,
            received_at: Timestamp::from_second(received_secs).unwrap(),
            flags: Flags { system, keywords: None },
            journey: None,
        };
        let id = self.store.add_message(self.account.id, &[mailbox], new).await.unwrap();
        format!("M{}", id.0)
    }

    /// The ids of the results of a query.
    pub async fn query(&self, arguments: Value) -> Vec<String> {
        let results = self.call("Email/query", arguments).await;
        serde_json::from_value(results["ids"].clone()).unwrap()
    }

    /// What a filter finds, in the order in which messages came.
    pub async fn find(&self, filter: Value) -> Vec<String> {
        let sort = json!([{"property": "receivedAt"}]);
        self.query(json!({"filter": filter, "sort": sort})).await
    }

    /// The octets of a message.
    pub async fn octets(&self, id: &str) -> Vec<u8> {
        let message = waxwing_store::MessageId(id[1..].parse().unwrap());
        let (content, _) = self.store.content_of(self.account.id, message).await.unwrap().unwrap();
        content.read_all().await.unwrap()
    }
}

/// `F12`.
pub fn text(mailbox: MailboxId) -> String {
    format!("F{}", mailbox.0)
}

/// A message with some header and a text.
pub fn mail(header: &str, body: &str) -> String {
    format!("{header}\n\n{body}\n")
}
